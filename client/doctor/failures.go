package doctor

import (
	"context"
	"errors"
	"fmt"
	"time"

	pb "paxbank/proto/paxbank/v1"
)

// minorityFails: the leader is disconnected and comes back.
func (e *exam) minorityFails(ctx context.Context) error {
	_, idle := e.prepare(ctx)
	if errors.Is(idle, errNoStart) {
		return idle
	}
	from, to := e.items[0][0], e.items[0][1]
	holds := e.top.Balance(from)
	if idle == nil {
		holds--
		if _, err := e.settle(ctx); err != nil {
			return err
		}
	}
	leader, err := e.leader(ctx, e.in(0))
	if err != nil {
		return err
	}
	if err := leader.setLive(ctx, false); err != nil {
		e.failed(refuses, fmt.Sprintf("SetLive(false) of node %s", leader.id), err)
		return fmt.Errorf("node could not be disconnected: %s", plain(err))
	}
	e.away(ctx, leader, holds)
	if idle != nil {
		return idle
	}
	rest := others(e.in(0), leader)
	if len(rest) < len(e.in(0))/2+1 {
		e.notHere("no minority of the cluster can fail", minority, frozen, recovers)
		return nil
	}
	if _, err := e.leader(ctx, rest); err != nil {
		e.wrong(minority, "after SetLive(false) of leader %s: %v", leader.id, err)
		return err
	}
	q := e.request(from, to, 1)
	r, err := e.submit(ctx, rest, q)
	switch {
	case err != nil:
		e.failed(minority, "Submit "+text(q)+" while "+leader.id+" is away", err)
		return errNoTransfer
	case r.GetResult() != pb.Result_RESULT_COMMITTED:
		e.wrong(minority, "Submit %s while %s is away: %s", text(q), leader.id, answer(r))
		return errNoTransfer
	}
	e.ok(minority)
	switch b, held, err := leader.balance(ctx, from); {
	case err != nil:
		e.failed(frozen, "Balance of node "+leader.id, err)
	case !held || b != holds:
		e.wrong(frozen, "Balance of node %s, which failed when item %d held %d: %d", leader.id, from, holds, b)
	}
	e.ok(frozen)
	e.returns(ctx, leader, from, holds-1)
	return nil
}

// away looks at a node that was just disconnected. Nothing is under way on it.
func (e *exam) away(ctx context.Context, n *node, holds int64) {
	from, to := e.items[0][0], e.items[0][1]
	_, errSubmit := within(ctx, n.bank.Submit, e.request(from, to, 1), shortDeadline)
	_, errRead := within(ctx, n.bank.Read, &pb.ReadRequest{Epoch: e.epoch, Topology: e.hash, Item: from,
		DeadlineMs: uint32(shortDeadline.Milliseconds())}, shortDeadline)
	errStream := e.streamTo(ctx, n, e.request(from, to, 1))
	for _, c := range []struct {
		what string
		err  error
	}{{"Submit", errSubmit}, {"Read", errRead}, {"SubmitStream", errStream}} {
		if !refused(c.err) && !unimplemented(c.err) {
			e.wrong(refuses, "%s at node %s after SetLive(false): %s", c.what, n.id, plainOrOK(c.err))
		}
	}
	e.ok(refuses)
	st, err := n.status(ctx)
	if err != nil {
		e.failed(answersDown, "Status of disconnected node "+n.id, err)
	} else if st.GetLive() || st.GetReady() {
		e.wrong(answersDown, "Status of disconnected node %s: live %t, ready %t", n.id, st.GetLive(), st.GetReady())
	}
	b, held, err := n.balance(ctx, from)
	if err != nil && !unimplemented(err) {
		e.wrong(answersDown, "Balance of disconnected node %s: %s", n.id, plain(err))
	} else if err == nil && (!held || b != holds) {
		e.wrong(answersDown, "Balance of disconnected node %s: item %d holds %d, want %d", n.id, from, b, holds)
	}
	e.ok(answersDown)
}

// streamTo sends one request on a stream of its own and returns how that ended.
func (e *exam) streamTo(ctx context.Context, n *node, q *pb.TransactionRequest) error {
	ctx, cancel := context.WithTimeout(ctx, shortDeadline+grace)
	defer cancel()
	stream, err := n.bank.SubmitStream(ctx)
	if err == nil {
		// An error of Send says only that the stream is over; Recv says why.
		_ = stream.Send(&pb.TransactionRequestBatch{Requests: []*pb.TransactionRequest{q}})
		_, err = stream.Recv()
	}
	return err
}

// returns brings a node back and expects it to catch up.
func (e *exam) returns(ctx context.Context, n *node, item, holds int64) {
	if err := n.setLive(ctx, true); err != nil {
		e.failed(recovers, fmt.Sprintf("SetLive(true) of node %s", n.id), err)
		return
	}
	err := await(ctx, recoverBound, func(ctx context.Context) (bool, string) {
		var leader, back *pb.StatusReply
		for _, other := range e.in(n.cluster) {
			st, err := other.status(ctx)
			if err != nil {
				return false, "the status of node " + other.id
			}
			if st.GetReady() {
				leader = st
			}
			if other == n {
				back = st
			}
		}
		if leader == nil {
			return false, "a ready leader"
		}
		return back.GetAppliedIndex() >= leader.GetCommitIndex() && back.GetLeader() == leader.GetNodeId(),
			fmt.Sprintf("node %s to catch up with %s (applied %d of %d; it names leader %q)",
				n.id, leader.GetNodeId(), back.GetAppliedIndex(), leader.GetCommitIndex(), back.GetLeader())
	})
	if err != nil {
		e.wrong(recovers, "after SetLive(true) of node %s: %v", n.id, err)
		return
	}
	if b, held, err := n.balance(ctx, item); err == nil && (!held || b != holds) {
		e.wrong(recovers, "node %s has applied everything, and item %d holds %d on it, want %d", n.id, item, b, holds)
	}
	e.ok(recovers)
}

// majorityFails: a cluster loses its quorum, and others deal with it.
func (e *exam) majorityFails(ctx context.Context) error {
	if _, err := e.prepare(ctx); err != nil {
		return err
	}
	nodes := e.in(0)
	keep := len(nodes) / 2 // the most that is no majority
	down, left := nodes[keep:], nodes[:keep]
	if err := each(down, func(n *node) error { return n.setLive(ctx, false) }); err != nil {
		e.failed(refuses, "SetLive(false)", err)
		return fmt.Errorf("node could not be disconnected: %s", plain(err))
	}
	if len(left) == 0 {
		e.notHere("the cluster has one node", majority)
	} else {
		e.withoutQuorum(ctx, left)
	}
	if len(e.items) == 1 {
		e.notHere("the topology has one cluster", participantDown)
		return nil
	}
	e.receiverAway(ctx)
	return nil
}

// withoutQuorum looks at the nodes that a cluster without a majority has left.
func (e *exam) withoutQuorum(ctx context.Context, left []*node) {
	err := await(ctx, downBound, func(ctx context.Context) (bool, string) {
		for _, n := range left {
			st, err := n.status(ctx)
			if err != nil {
				return false, "the status of node " + n.id
			}
			if st.GetReady() || st.GetLeader() != "" || st.GetQuorum() {
				return false, fmt.Sprintf("node %s to notice that its cluster has no majority (ready %t, leader %q, quorum %t)",
					n.id, st.GetReady(), st.GetLeader(), st.GetQuorum())
			}
		}
		return true, ""
	})
	if err != nil {
		e.wrong(majority, "%v", err)
		return
	}
	from, to := e.items[0][0], e.items[0][1]
	n := left[0]
	began := time.Now()
	q := e.request(from, to, 1)
	q.DeadlineMs = uint32(shortDeadline.Milliseconds())
	r, err := within(ctx, n.bank.Submit, q, shortDeadline)
	if err != nil && !refused(err) {
		e.wrong(majority, "Submit at node %s, after %s: %s", n.id, took(began), plain(err))
	} else if err == nil && r.GetResult() != pb.Result_RESULT_UNAVAILABLE {
		e.wrong(majority, "Submit at node %s: %s", n.id, answer(r))
	}
	began = time.Now()
	read, err := within(ctx, n.bank.Read, &pb.ReadRequest{Epoch: e.epoch, Topology: e.hash, Item: from,
		DeadlineMs: uint32(shortDeadline.Milliseconds())}, shortDeadline)
	if err != nil && !refused(err) && !unimplemented(err) {
		e.wrong(majority, "Read at node %s, after %s: %s", n.id, took(began), plain(err))
	} else if err == nil && read.GetResult() != pb.Result_RESULT_UNAVAILABLE {
		e.wrong(majority, "Read at node %s: %s", n.id, readAnswer(read))
	}
	e.ok(majority)
}

// receiverAway sends a transfer into the cluster that has no majority.
func (e *exam) receiverAway(ctx context.Context) {
	from, to := e.items[1][0], e.items[0][1]
	leader, err := e.leader(ctx, e.in(1))
	if err != nil {
		e.wrong(participantDown, "%v", err)
		return
	}
	q := e.request(from, to, 1)
	began := time.Now()
	r, err := within(ctx, leader.bank.Submit, q, deadline)
	switch {
	case err != nil:
		e.failed(participantDown, fmt.Sprintf("Submit %s, after %s", text(q), took(began)), err)
		return
	case r.GetResult() != pb.Result_RESULT_ABORTED:
		e.wrong(participantDown, "Submit %s, after %s: %s", text(q), took(began), answer(r))
	}
	if d := e.differs(ctx, 1, from, e.top.Balance(from)); d != "" {
		e.wrong(participantDown, "after Submit %s was %s: %s", text(q), answer(r), d)
	}
	e.ok(participantDown)
}

// restarting: every process is killed and comes back from its disk.
func (e *exam) restarting(ctx context.Context) error {
	if e.fleet == nil {
		e.notHere("the nodes were not started here", restarts)
		return nil
	}
	q, err := e.prepare(ctx)
	if err != nil {
		return err
	}
	var ids []string
	for _, n := range e.nodes {
		ids = append(ids, n.id)
		if err := e.fleet.Kill(n.id); err != nil {
			return err
		}
	}
	for _, id := range ids {
		if err := e.restart(ctx, id); err != nil {
			e.wrong(restarts, "%v", err)
			return nil
		}
	}
	err = each(e.nodes, func(n *node) error {
		_, err := e.configure(ctx, n, e.epoch)
		return err
	})
	if err != nil {
		e.wrong(restarts, "Configure with the same topology and epoch after kill -9 and restart: %s", plain(err))
		return nil
	}
	from := e.items[0][0]
	holds := e.top.Balance(from) - 1
	e.goesOn(ctx, restarts, from, holds)
	if e.findings[restarts].Result == Wrong {
		return nil
	}
	if r, err := e.submit(ctx, e.in(0), q); err != nil {
		e.failed(restarts, "Submit of an acknowledged request again", err)
	} else if r.GetResult() != pb.Result_RESULT_COMMITTED {
		e.wrong(restarts, "Submit of an acknowledged request again: %s", answer(r))
	} else if d := e.differs(ctx, 0, from, holds); d != "" {
		e.wrong(restarts, "after Submit of an acknowledged request again: %s", d)
	}
	e.ok(restarts)
	return nil
}
