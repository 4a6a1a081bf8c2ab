package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"paxbank/internal/topologypb"
	pb "paxbank/proto/paxbank/v1"
)

// begin gives every node a fresh bank in a new epoch, makes all live and waits
// for their leaders. It enters what it learns of that. Its errors are errNoStart.
func (e *exam) begin(ctx context.Context) error {
	if err := e.setUp(ctx); err != nil {
		return fmt.Errorf("%w: %s", errNoStart, plain(err))
	}
	return nil
}

func (e *exam) setUp(ctx context.Context) error {
	if e.fleet != nil {
		for id := range e.fleet.Ended() {
			if err := e.restart(ctx, id); err != nil {
				return err
			}
		}
	}
	epoch := e.epoch
	for _, n := range e.nodes {
		st, err := n.status(ctx)
		if err != nil {
			e.failed(statusEarly, fmt.Sprintf("Status of node %s", n.id), err)
			return fmt.Errorf("node %s: Status: %w", n.id, err)
		}
		epoch = max(epoch, st.GetEpoch())
	}
	epoch++
	hashes := make([]uint64, len(e.nodes))
	err := each(e.nodes, func(n *node) (err error) {
		hashes[slices.Index(e.nodes, n)], err = e.freshen(ctx, n, epoch)
		return err
	})
	if err != nil {
		e.failed(configures, "Configure", err)
		return err
	}
	e.epoch, e.hash = epoch, hashes[0]
	e.ok(configures)
	if i := slices.IndexFunc(hashes, func(h uint64) bool { return h != hashes[0] || h == 0 }); i >= 0 {
		e.wrong(fingerprints, "node %s says %016x, node %s %016x", e.nodes[0].id, hashes[0], e.nodes[i].id, hashes[i])
	}
	e.ok(fingerprints)
	if err := e.connectAll(ctx, e.nodes); err != nil {
		return err
	}
	return e.leaders(ctx)
}

// freshen configures one node for a higher epoch, or, when it was given its bank
// in another way and offers no Configure, resets it. It returns the node's
// fingerprint.
func (e *exam) freshen(ctx context.Context, n *node, epoch uint64) (uint64, error) {
	reply, err := e.configure(ctx, n, epoch)
	if unimplemented(err) {
		st, statusErr := n.status(ctx)
		if statusErr != nil || !st.GetConfigured() {
			return 0, err
		}
		// Another way to a bank of its own: L0 can be examined on it.
		e.failed(configures, "Configure of node "+n.id, err)
		return st.GetTopology(), e.reset(ctx, n, epoch)
	}
	if err != nil {
		return 0, err
	}
	st, err := n.status(ctx)
	if err != nil {
		return 0, err
	}
	if !st.GetConfigured() || st.GetEpoch() != epoch || st.GetLive() {
		e.wrong(configures, "after Configure with epoch %d, Status of node %s says configured %t, epoch %d, live %t",
			epoch, n.id, st.GetConfigured(), st.GetEpoch(), st.GetLive())
	}
	if st.GetTopology() != reply.GetTopology() {
		e.wrong(fingerprints, "node %s: Configure said %016x, Status says %016x", n.id, reply.GetTopology(), st.GetTopology())
	}
	return reply.GetTopology(), nil
}

func (e *exam) configure(ctx context.Context, n *node, epoch uint64) (*pb.ConfigureReply, error) {
	return e.configureAs(ctx, n, n.id, epoch)
}

func (e *exam) configureAs(ctx context.Context, n *node, id string, epoch uint64) (*pb.ConfigureReply, error) {
	ctx, cancel := context.WithTimeout(ctx, resetBound)
	defer cancel()
	return n.control.Configure(ctx, &pb.ConfigureRequest{NodeId: id, Topology: topologypb.ToProto(e.top), Epoch: epoch})
}

func (e *exam) reset(ctx context.Context, n *node, epoch uint64) error {
	ctx, cancel := context.WithTimeout(ctx, resetBound)
	defer cancel()
	_, err := n.control.Reset(ctx, &pb.ResetRequest{Epoch: epoch})
	return err
}

// connectAll makes nodes live. Nodes that are always live have no use for it.
func (e *exam) connectAll(ctx context.Context, nodes []*node) error {
	err := each(nodes, func(n *node) error { return n.setLive(ctx, true) })
	if unimplemented(err) {
		e.failed(refuses, "SetLive", err)
		return nil
	}
	if err != nil {
		e.failed(refuses, "SetLive(true)", err)
		return fmt.Errorf("SetLive(true): %w", err)
	}
	return nil
}

// restart starts an ended node again and connects to it.
func (e *exam) restart(ctx context.Context, id string) error {
	address, err := e.fleet.Restart(ctx, id)
	if err != nil {
		return err
	}
	e.top = e.fleet.Topology()
	i := slices.IndexFunc(e.nodes, func(n *node) bool { return n.id == id })
	// A fresh connection also when the address is the old one: the old one may be
	// waiting for its next attempt.
	n, err := connect(id, address, e.nodes[i].cluster)
	if err != nil {
		return err
	}
	e.nodes[i].conn.Close()
	e.nodes[i] = n
	return nil
}

// in are the nodes of a cluster, in topology order.
func (e *exam) in(cluster int) []*node {
	var nodes []*node
	for _, n := range e.nodes {
		if n.cluster == cluster {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

// others are nodes without those of without.
func others(nodes []*node, without ...*node) []*node {
	return slices.DeleteFunc(slices.Clone(nodes), func(n *node) bool { return slices.Contains(without, n) })
}

func names(nodes []*node) string {
	var ids []string
	for _, n := range nodes {
		ids = append(ids, n.id)
	}
	return strings.Join(ids, ", ")
}

// leaders waits until every cluster has a ready leader.
func (e *exam) leaders(ctx context.Context) error {
	for c := range e.top.Clusters {
		if _, err := e.leader(ctx, e.in(c)); err != nil {
			e.wrong(leads, "%v", err)
			return err
		}
	}
	e.ok(leads)
	return nil
}

// leader waits until one of these nodes of a cluster says that it leads and is
// ready.
func (e *exam) leader(ctx context.Context, among []*node) (leader *node, err error) {
	err = await(ctx, leaderBound, func(ctx context.Context) (bool, string) {
		for _, n := range among {
			if st, err := n.status(ctx); err == nil && st.GetReady() {
				leader = n
				return true, ""
			}
		}
		return false, fmt.Sprintf("one of %s to say that it leads and is ready", names(among))
	})
	return leader, err
}

// request names a new transfer.
func (e *exam) request(from, to, amount int64) *pb.TransactionRequest {
	e.timestamp++
	return &pb.TransactionRequest{
		Epoch: e.epoch, Topology: e.hash, ClientId: e.client, Timestamp: e.timestamp, DoneBelow: 1,
		Transfer: &pb.Transfer{From: from, To: to, Amount: amount}, DeadlineMs: uint32(deadline.Milliseconds()),
	}
}

// submit sends a request to the leader among nodes of a cluster, again when
// leaders changed or an attempt was aborted, and returns the last answer.
func (e *exam) submit(ctx context.Context, among []*node, q *pb.TransactionRequest) (*pb.TransactionReply, error) {
	var r *pb.TransactionReply
	var failure error
	err := await(ctx, deadline, func(ctx context.Context) (bool, string) {
		n, err := e.leader(ctx, among)
		if err != nil {
			failure = err
			return true, ""
		}
		if r, failure = within(ctx, n.bank.Submit, q, deadline); failure != nil {
			return true, ""
		}
		again := !r.GetFinal() && slices.Contains([]pb.Result{
			pb.Result_RESULT_NOT_LEADER, pb.Result_RESULT_UNAVAILABLE, pb.Result_RESULT_ABORTED}, r.GetResult())
		return !again, "another answer"
	})
	if failure == nil && r == nil {
		failure = err
	}
	return r, failure
}

// commits1 moves 1 between two items and enters at p when it does not commit.
func (e *exam) commits1(ctx context.Context, p id, cluster int, from, to int64) (*pb.TransactionRequest, bool) {
	q := e.request(from, to, 1)
	r, err := e.submit(ctx, e.in(cluster), q)
	switch {
	case err != nil:
		e.failed(p, "Submit "+text(q), err)
	case r.GetResult() != pb.Result_RESULT_COMMITTED:
		e.wrong(p, "Submit %s: %s", text(q), answer(r))
	default:
		return q, true
	}
	return q, false
}

// prepare is begin and one committed transfer between the two items of the first
// cluster.
func (e *exam) prepare(ctx context.Context) (*pb.TransactionRequest, error) {
	if err := e.begin(ctx); err != nil {
		return nil, err
	}
	if e.stuck {
		return nil, errNoTransfer // it would end in the same way
	}
	q, committed := e.commits1(ctx, commits, 0, e.items[0][0], e.items[0][1])
	if !committed {
		return nil, errNoTransfer
	}
	return q, nil
}

var errNoTransfer = errors.New("no transfer committed")

// read asks the leader of an item's cluster.
func (e *exam) read(ctx context.Context, cluster int, item int64) (*pb.ReadReply, error) {
	n, err := e.leader(ctx, e.in(cluster))
	if err != nil {
		return nil, err
	}
	return within(ctx, n.bank.Read, &pb.ReadRequest{Epoch: e.epoch, Topology: e.hash, Item: item,
		DeadlineMs: uint32(deadline.Milliseconds())}, deadline)
}

// holding is what an item holds, as far as that can be learnt: from Read, or,
// where that is not offered, from its leader's own balance.
func (e *exam) holding(ctx context.Context, cluster int, item int64) (balance int64, known bool) {
	r, err := e.read(ctx, cluster, item)
	if unimplemented(err) {
		e.failed(reads, "Read", err)
		if n, err := e.leader(ctx, e.in(cluster)); err == nil {
			balance, known, err = n.balance(ctx, item)
			return balance, known && err == nil
		}
	}
	return r.GetBalance(), err == nil && r.GetResult() == pb.Result_RESULT_COMMITTED
}

// differs says in what way an item does not hold what it should; "" when it
// does, or when nobody offers to say.
func (e *exam) differs(ctx context.Context, cluster int, item, want int64) string {
	if b, known := e.holding(ctx, cluster, item); known {
		if b != want {
			return fmt.Sprintf("item %d holds %d, want %d", item, b, want)
		}
		return ""
	}
	switch r, err := e.read(ctx, cluster, item); {
	case unimplemented(err):
		return ""
	case err != nil:
		return fmt.Sprintf("Read(%d): %s", item, plain(err))
	case r.GetResult() != pb.Result_RESULT_COMMITTED:
		return fmt.Sprintf("Read(%d): %s", item, readAnswer(r))
	case r.GetBalance() != want: // it was away for a moment
		return fmt.Sprintf("item %d holds %d, want %d", item, r.GetBalance(), want)
	}
	return ""
}

// settle waits until all nodes of every cluster have applied the same, and are
// quiet or stand still. saysQuiet: every node said so.
func (e *exam) settle(ctx context.Context) (saysQuiet bool, err error) {
	still := map[*node]int{}
	last := map[*node]string{}
	err = await(ctx, quietBound, func(ctx context.Context) (bool, string) {
		saysQuiet = true
		standing := true
		for c := range e.top.Clusters {
			var first *pb.StatusReply
			for _, n := range e.in(c) {
				st, err := n.status(ctx)
				if err != nil {
					return false, "the status of node " + n.id
				}
				if first == nil {
					first = st
				}
				if st.GetAppliedIndex() != first.GetAppliedIndex() || st.GetAppliedIndex() != st.GetCommitIndex() {
					return false, fmt.Sprintf("node %s to apply what its cluster has (applied %d, committed %d; %s applied %d)",
						n.id, st.GetAppliedIndex(), st.GetCommitIndex(), first.GetNodeId(), first.GetAppliedIndex())
				}
				at := fmt.Sprint(st.GetLastIndex(), st.GetCommitIndex(), st.GetAppliedIndex())
				if still[n]++; at != last[n] {
					still[n], last[n] = 0, at
				}
				saysQuiet = saysQuiet && st.GetQuiet()
				standing = standing && still[n] >= stillPolls
			}
		}
		return saysQuiet || standing, "the nodes to be quiet"
	})
	return saysQuiet, err
}

// text is a transfer as test sets write it.
func text(q *pb.TransactionRequest) string {
	t := q.GetTransfer()
	return fmt.Sprintf("(%d, %d, %d)", t.GetFrom(), t.GetTo(), t.GetAmount())
}

// like is a copy of a request with a change, under the same name.
func like(q *pb.TransactionRequest, change func(*pb.TransactionRequest)) *pb.TransactionRequest {
	c := proto.CloneOf(q)
	change(c)
	return c
}

func answer(r *pb.TransactionReply) string {
	return worded(r.GetResult(), r.GetMessage(), r.GetLeader())
}

func readAnswer(r *pb.ReadReply) string {
	return worded(r.GetResult(), r.GetMessage(), r.GetLeader())
}

func worded(result pb.Result, message, leader string) string {
	s := result.String()
	if leader != "" {
		s += " with leader " + leader
	}
	if message != "" {
		s += fmt.Sprintf(" (%q)", message)
	}
	return s
}

// took is a duration as a finding shows it.
func took(since time.Time) string { return time.Since(since).Round(10 * time.Millisecond).String() }
