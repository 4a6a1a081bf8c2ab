package doctor

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "paxbank/proto/paxbank/v1"
)

// early: nodes that were just started.
func (e *exam) early(ctx context.Context) error {
	read := true
	for _, n := range e.nodes {
		st, err := n.status(ctx)
		if err != nil {
			e.failed(statusEarly, "Status of node "+n.id, err)
			return fmt.Errorf("node %s: Status: %s", n.id, plain(err))
		}
		if st.GetNodeId() != n.id {
			e.wrong(statusEarly, "the node at %s says that its id is %q, not %q", n.address, st.GetNodeId(), n.id)
		}
		if st.GetConfigured() {
			e.notHere("the nodes belong to a bank already", bankEarly)
			read = false
		}
		if !read {
			continue
		}
		_, err = within(ctx, n.bank.Read, &pb.ReadRequest{Epoch: 1, Item: e.items[n.cluster][0],
			DeadlineMs: uint32(shortDeadline.Milliseconds())}, shortDeadline)
		switch {
		case unimplemented(err):
			e.failed(reads, "Read", err)
		case err == nil:
			e.wrong(bankEarly, "node %s answered a Read before it was configured", n.id)
		case !refused(err):
			e.wrong(bankEarly, "node %s: Read: %s", n.id, plain(err))
			read = false // the others would take as long
		default:
			e.ok(bankEarly)
		}
	}
	e.ok(statusEarly)
	return nil
}

// begins: begin enters what it learns.
func (e *exam) begins(ctx context.Context) error { return e.begin(ctx) }

// offered calls everything once, so that what is missing is known even when the
// scenarios that use it cannot be played.
func (e *exam) offered(ctx context.Context) error {
	if err := e.begin(ctx); err != nil {
		return err
	}
	n := e.nodes[0]
	q := e.request(e.items[0][0], e.items[0][1], 1)
	ctx, cancel := context.WithTimeout(ctx, callBound)
	defer cancel()
	var wg sync.WaitGroup
	defer wg.Wait()
	for _, c := range []struct {
		p    id
		what string
		call func() error
	}{
		{commits, "Submit", func() error { // of a bank that does not exist
			_, err := n.bank.Submit(ctx, like(q, func(q *pb.TransactionRequest) { q.Epoch += 1000 }))
			return err
		}},
		{reads, "Read", func() error {
			_, err := n.bank.Read(ctx, &pb.ReadRequest{Epoch: e.epoch + 1000, Item: e.items[0][0]})
			return err
		}},
		{resets, "Reset", func() error { return e.reset(ctx, n, 0) }}, // an epoch that is over
		{database, "Database", func() error {
			stream, err := n.inspect.Database(ctx, &pb.DatabaseRequest{})
			return drain(stream, err, func(*pb.DatabaseReply) {})
		}},
		{balances, "Balance", func() error { _, _, err := n.balance(ctx, e.items[0][0]); return err }},
		{resolves, "Resolve", func() error { _, err := n.bank.Resolve(ctx, &pb.ResolveRequest{Epoch: e.epoch + 1000}); return err }},
		{streams, "SubmitStream", func() error { return e.streamTo(ctx, n, like(q, func(q *pb.TransactionRequest) { q.Epoch += 1000 })) }},
		{readStreams, "ReadStream", func() error { return e.readStream(ctx, n, map[uint64]int64{1: e.items[0][0]}, nil) }},
		{logs, "Log", func() error {
			stream, err := n.inspect.Log(ctx, &pb.LogRequest{})
			return drain(stream, err, func(*pb.LogReply) {})
		}},
		{rows, "TransactionStatus", func() error { _, err := n.inspect.TransactionStatus(ctx, &pb.TransactionStatusRequest{}); return err }},
		{views, "Views", func() error { _, err := n.inspect.Views(ctx, &pb.ViewsRequest{}); return err }},
		{locks, "Locks", func() error { _, err := n.inspect.Locks(ctx, &pb.LocksRequest{}); return err }},
		{timelines, "Timeline", func() error { _, err := n.inspect.Timeline(ctx, &pb.TimelineRequest{}); return err }},
		{performs, "Performance", func() error { _, err := n.inspect.Performance(ctx, &pb.PerformanceRequest{}); return err }},
	} {
		wg.Go(func() {
			// Whatever else it says, the scenarios will tell.
			if err := c.call(); unimplemented(err) {
				e.failed(c.p, c.what+" of node "+n.id, err)
			}
		})
	}
	return nil
}

// transfers: everything that Submit decides on a healthy bank.
func (e *exam) transfers(ctx context.Context) error {
	if err := e.begin(ctx); err != nil {
		return err
	}
	from, to := e.items[0][0], e.items[0][1]
	q := e.request(from, to, 1)
	r, err := e.submit(ctx, e.in(0), q)
	switch {
	case err != nil:
		e.failed(commits, "Submit "+text(q), err)
		e.stuck = true
		return errNoTransfer
	case r.GetResult() != pb.Result_RESULT_COMMITTED:
		e.wrong(commits, "Submit %s: %s", text(q), answer(r))
		e.stuck = true
		return errNoTransfer
	case !r.GetSuccess() || r.GetClientId() != q.GetClientId() || r.GetTimestamp() != q.GetTimestamp():
		e.wrong(commits, "Submit %s: RESULT_COMMITTED, but success is %t and client_id, timestamp are %d, %d instead of %d, %d",
			text(q), r.GetSuccess(), r.GetClientId(), r.GetTimestamp(), q.GetClientId(), q.GetTimestamp())
	}
	e.ok(commits)
	var cross *pb.TransactionRequest
	if len(e.items) == 1 {
		e.notHere("the topology has one cluster", crosses)
	} else if far, committed := e.commits1(ctx, crosses, 0, from, e.items[1][0]); committed {
		e.ok(crosses)
		cross = far
	}
	// unchanged expects an answer, and that nothing moves.
	unchanged := func(p id, what string, q *pb.TransactionRequest, want pb.Result) {
		before, known := e.holding(ctx, 0, from)
		r, err := e.submit(ctx, e.in(0), q)
		switch {
		case err != nil:
			e.failed(p, what, err)
		case r.GetResult() != want:
			e.wrong(p, "%s: %s", what, answer(r))
		case known:
			if d := e.differs(ctx, 0, from, before); d != "" {
				e.wrong(p, "%s: %s, but then %s", what, want, d)
			}
		}
	}
	unchanged(funds, "a transfer of more than there is", e.request(from, to, 2*e.top.Balance(from)), pb.Result_RESULT_INSUFFICIENT_FUNDS)
	e.ok(funds)
	bad := pb.Result_RESULT_INVALID
	unchanged(malformed, "amount 0", e.request(from, to, 0), bad)
	unchanged(malformed, "a negative amount", e.request(from, to, -1), bad)
	unchanged(malformed, "sender = receiver", e.request(from, from, 1), bad)
	unchanged(malformed, "a receiver that no cluster owns", e.request(from, e.unowned, 1), bad)
	unchanged(malformed, "client_id 0", like(e.request(from, to, 1), func(q *pb.TransactionRequest) { q.ClientId = 0 }), bad)
	e.ok(malformed)
	unchanged(twice, "a request within a cluster again", q, pb.Result_RESULT_COMMITTED)
	if cross != nil {
		unchanged(twice, "a request across clusters again", cross, pb.Result_RESULT_COMMITTED)
	}
	e.ok(twice)
	unchanged(contents, "the name of an earlier request with another amount", like(q, func(q *pb.TransactionRequest) { q.Transfer.Amount = 2 }), bad)
	e.ok(contents)
	return nil
}

// questions: reads, and requests that went to the wrong place.
func (e *exam) questions(ctx context.Context) error {
	if _, err := e.prepare(ctx); err != nil {
		return err
	}
	from, to := e.items[0][0], e.items[0][1]
	holds := e.top.Balance(from) - 1
	for _, c := range [][2]int64{{from, holds}, {to, e.top.Balance(to) + 1}} {
		if d := e.differs(ctx, 0, c[0], c[1]); d != "" {
			e.wrong(reads, "after a transfer was acknowledged: %s", d)
		}
	}
	e.ok(reads)
	leader, err := e.leader(ctx, e.in(0))
	if err != nil {
		return err
	}
	e.strangers(ctx, leader)
	followers := others(e.in(0), leader)
	if len(followers) == 0 {
		e.notHere("the cluster has one node", misdirected)
	} else if e.misdirect(ctx, leader, followers[0]) {
		holds--
	}
	if d := e.differs(ctx, 0, from, holds); d != "" {
		e.wrong(otherEpoch, "after requests of another epoch and topology: %s", d)
	}
	e.ok(otherEpoch)
	e.ok(readsBad)
	return nil
}

// strangers sends the leader what belongs to another epoch, topology or bank.
func (e *exam) strangers(ctx context.Context, leader *node) {
	from, to := e.items[0][0], e.items[0][1]
	for _, c := range []struct {
		what   string
		change func(*pb.TransactionRequest)
	}{
		{"another epoch", func(q *pb.TransactionRequest) { q.Epoch += 1000 }},
		{"another topology", func(q *pb.TransactionRequest) { q.Topology ^= 1 }},
	} {
		r, err := within(ctx, leader.bank.Submit, like(e.request(from, to, 1), c.change), deadline)
		switch {
		case err != nil:
			e.failed(otherEpoch, "Submit of "+c.what, err)
		case r.GetResult() != pb.Result_RESULT_WRONG_EPOCH:
			e.wrong(otherEpoch, "Submit of %s: %s", c.what, answer(r))
		case r.GetEpoch() != e.epoch:
			e.wrong(otherEpoch, "Submit of %s: RESULT_WRONG_EPOCH with epoch %d, the node's is %d", c.what, r.GetEpoch(), e.epoch)
		}
	}
	for _, c := range []struct {
		what string
		q    *pb.ReadRequest
		want pb.Result
	}{
		{"an item that no cluster owns", &pb.ReadRequest{Epoch: e.epoch, Topology: e.hash, Item: e.unowned}, pb.Result_RESULT_INVALID},
		{"another epoch", &pb.ReadRequest{Epoch: e.epoch + 1000, Topology: e.hash, Item: from}, pb.Result_RESULT_WRONG_EPOCH},
	} {
		c.q.DeadlineMs = uint32(shortDeadline.Milliseconds())
		r, err := within(ctx, leader.bank.Read, c.q, shortDeadline)
		if err != nil {
			e.failed(readsBad, "Read of "+c.what, err)
		} else if r.GetResult() != c.want {
			e.wrong(readsBad, "Read of %s: %s", c.what, readAnswer(r))
		}
	}
}

// misdirect asks a node that does not lead, and reports whether it had a transfer
// of 1 carried out.
func (e *exam) misdirect(ctx context.Context, leader, follower *node) (moved bool) {
	from, to := e.items[0][0], e.items[0][1]
	r, err := within(ctx, follower.bank.Submit, e.request(from, to, 1), deadline)
	switch {
	case err != nil:
		e.failed(misdirected, "Submit at follower "+follower.id, err)
	case r.GetResult() == pb.Result_RESULT_COMMITTED:
		moved = true
	case r.GetResult() != pb.Result_RESULT_NOT_LEADER || r.GetLeader() != leader.id:
		e.wrong(misdirected, "Submit at follower %s: %s, while %s leads", follower.id, answer(r), leader.id)
	}
	e.ok(misdirected)
	read, err := within(ctx, follower.bank.Read, &pb.ReadRequest{Epoch: e.epoch, Topology: e.hash, Item: from,
		DeadlineMs: uint32(deadline.Milliseconds())}, deadline)
	switch {
	case err != nil:
		e.failed(readsBad, "Read at follower "+follower.id, err)
	case read.GetResult() != pb.Result_RESULT_NOT_LEADER && read.GetResult() != pb.Result_RESULT_COMMITTED:
		e.wrong(readsBad, "Read at follower %s: %s", follower.id, readAnswer(read))
	}
	return moved
}

// resetting: what Reset leaves, and what it refuses.
func (e *exam) resetting(ctx context.Context) error {
	_, idle := e.prepare(ctx) // why nothing happened that Reset could undo
	if errors.Is(idle, errNoStart) {
		return idle
	}
	epoch := e.epoch + 1
	if err := each(e.nodes, func(n *node) error { return e.reset(ctx, n, epoch) }); err != nil {
		e.failed(resets, fmt.Sprintf("Reset to epoch %d", epoch), err)
		return fmt.Errorf("the nodes could not be reset: %s", plain(err))
	}
	e.epoch = epoch
	for _, n := range e.nodes {
		st, err := n.status(ctx)
		if err != nil {
			return fmt.Errorf("node %s: Status: %s", n.id, plain(err))
		}
		always := e.findings[refuses].Result == Missing // there is no SetLive, so nodes are live from the start
		if st.GetEpoch() != epoch || !always && (st.GetLive() || st.GetReady()) {
			e.wrong(resets, "after Reset to epoch %d, Status of node %s says epoch %d, live %t, ready %t", epoch, n.id, st.GetEpoch(), st.GetLive(), st.GetReady())
		}
	}
	if err := e.connectAll(ctx, e.nodes); err != nil {
		return err
	}
	if err := e.leaders(ctx); err != nil {
		e.wrong(resets, "after Reset and SetLive(true): %v", err)
		return err
	}
	for _, item := range e.items[0] {
		if idle != nil {
			break // nobody could tell
		}
		if d := e.differs(ctx, 0, item, e.top.Balance(item)); d != "" {
			e.wrong(resets, "after Reset: %s", d)
		}
	}
	if idle == nil {
		e.ok(resets)
	}
	n := e.nodes[0]
	var bad []string
	if err := e.reset(ctx, n, epoch); err != nil {
		bad = append(bad, fmt.Sprintf("Reset of node %s to its own epoch %d: %s", n.id, epoch, plain(err)))
	}
	if err := e.reset(ctx, n, epoch-1); status.Code(err) != codes.FailedPrecondition {
		bad = append(bad, fmt.Sprintf("Reset of node %s from epoch %d to %d: %s", n.id, epoch, epoch-1, plainOrOK(err)))
	}
	if len(bad) > 0 {
		e.wrong(resetOver, "%s", strings.Join(bad, "\n"))
	}
	e.ok(resetOver)
	return idle
}

func plainOrOK(err error) string {
	if err == nil {
		return "success"
	}
	return plain(err)
}
