package doctor

import (
	"context"
	"fmt"
	"io"

	pb "paxbank/proto/paxbank/v1"
)

// resolving: Resolve of a request that was answered, and of one that never came.
func (e *exam) resolving(ctx context.Context) error {
	q, err := e.prepare(ctx)
	if err != nil {
		return err
	}
	r, err := e.resolve(ctx, q)
	switch {
	case err != nil:
		e.failed(resolves, "Resolve of a committed transfer", err)
		return fmt.Errorf("a committed transfer could not be resolved: %s", plain(err))
	case r.GetResult() != pb.Result_RESULT_COMMITTED || !r.GetFinal():
		e.wrong(resolves, "Resolve of a committed transfer: %s, final %t", worded(r.GetResult(), r.GetMessage(), r.GetLeader()), r.GetFinal())
	}
	e.ok(resolves)
	from := e.items[0][0]
	late := e.request(from, e.items[0][1], 1)
	r, err = e.resolve(ctx, late)
	switch {
	case err != nil:
		e.failed(tombstones, "Resolve of a transfer that was never sent", err)
		return nil
	case r.GetResult() != pb.Result_RESULT_ABORTED || !r.GetFinal():
		e.wrong(tombstones, "Resolve of a transfer that was never sent: %s, final %t", worded(r.GetResult(), r.GetMessage(), r.GetLeader()), r.GetFinal())
		return nil
	}
	leader, err := e.leader(ctx, e.in(0))
	if err != nil {
		return err
	}
	reply, err := within(ctx, leader.bank.Submit, late, deadline)
	if err == nil && reply.GetResult() == pb.Result_RESULT_COMMITTED {
		e.wrong(tombstones, "Submit after Resolve had said RESULT_ABORTED, final: %s", answer(reply))
	}
	if d := e.differs(ctx, 0, from, e.top.Balance(from)-1); d != "" {
		e.wrong(tombstones, "Submit after Resolve had said RESULT_ABORTED, final: %s", d)
	}
	e.ok(tombstones)
	return nil
}

func (e *exam) resolve(ctx context.Context, q *pb.TransactionRequest) (*pb.ResolveReply, error) {
	leader, err := e.leader(ctx, e.in(0))
	if err != nil {
		return nil, err
	}
	return within(ctx, leader.bank.Resolve, &pb.ResolveRequest{
		Epoch: q.GetEpoch(), Topology: q.GetTopology(), ClientId: q.GetClientId(), Timestamp: q.GetTimestamp(),
		DoneBelow: q.GetDoneBelow(), From: q.GetTransfer().GetFrom(), DeadlineMs: q.GetDeadlineMs(),
	}, deadline)
}

// streaming: three transfers in one message.
func (e *exam) streaming(ctx context.Context) error {
	if err := e.begin(ctx); err != nil {
		return err
	}
	leader, err := e.leader(ctx, e.in(0))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, deadline+grace)
	defer cancel()
	from, to := e.items[0][0], e.items[0][1]
	batch := &pb.TransactionRequestBatch{}
	open := map[uint64]bool{}
	for range 3 {
		q := e.request(from, to, 1)
		batch.Requests = append(batch.Requests, q)
		open[q.GetTimestamp()] = true
	}
	stream, err := leader.bank.SubmitStream(ctx)
	if err == nil {
		if err = stream.Send(batch); err == io.EOF {
			err = nil // Recv tells the reason
		}
	}
	for err == nil && len(open) > 0 {
		var replies *pb.TransactionReplyBatch
		if replies, err = stream.Recv(); err != nil {
			break
		}
		for _, r := range replies.GetReplies() {
			if r.GetClientId() != e.client || !open[r.GetTimestamp()] {
				e.wrong(streams, "an answer to (%d, %d), which is not asked for", r.GetClientId(), r.GetTimestamp())
			}
			if r.GetResult() != pb.Result_RESULT_COMMITTED {
				e.wrong(streams, "SubmitStream %s: %s", text(batch.GetRequests()[0]), answer(r))
			}
			delete(open, r.GetTimestamp())
		}
	}
	if err != nil {
		e.failed(streams, fmt.Sprintf("SubmitStream at node %s, %d of 3 requests unanswered", leader.id, len(open)), err)
	}
	e.ok(streams)
	e.readsOnStream(ctx, leader)
	return nil
}

// readsOnStream reads two items in one message.
func (e *exam) readsOnStream(ctx context.Context, leader *node) {
	asked := map[uint64]int64{7: e.items[0][0], 8: e.items[0][1]}
	err := e.readStream(ctx, leader, asked, func(number uint64, r *pb.ReadReply) {
		want, known := e.holding(ctx, 0, asked[number])
		switch {
		case r.GetResult() != pb.Result_RESULT_COMMITTED:
			e.wrong(readStreams, "ReadStream of item %d: %s", asked[number], readAnswer(r))
		case known && r.GetBalance() != want:
			e.wrong(readStreams, "ReadStream of item %d: %d, Read says %d", asked[number], r.GetBalance(), want)
		}
	})
	if err != nil {
		e.failed(readStreams, "ReadStream at node "+leader.id, err)
	}
	e.ok(readStreams)
}

// readStream reads items by number on a stream of its own, and tells each of
// their answers.
func (e *exam) readStream(ctx context.Context, n *node, items map[uint64]int64, each func(number uint64, r *pb.ReadReply)) error {
	ctx, cancel := context.WithTimeout(ctx, shortDeadline+grace)
	defer cancel()
	stream, err := n.bank.ReadStream(ctx)
	if err != nil {
		return err
	}
	batch := &pb.ReadRequestBatch{Epoch: e.epoch, Topology: e.hash}
	open := map[uint64]bool{}
	for number, item := range items {
		batch.Reads = append(batch.Reads, &pb.NumberedRead{Number: number, Item: item, DeadlineMs: uint32(shortDeadline.Milliseconds())})
		open[number] = true
	}
	// An error of Send says only that the stream is over; Recv says why.
	_ = stream.Send(batch)
	for len(open) > 0 {
		replies, err := stream.Recv()
		if err != nil {
			return fmt.Errorf("%d of %d reads unanswered: %w", len(open), len(items), err)
		}
		for _, r := range replies.GetReplies() {
			if !open[r.GetNumber()] {
				return fmt.Errorf("an answer to read %d, which is not asked for", r.GetNumber())
			}
			delete(open, r.GetNumber())
			if each != nil {
				each(r.GetNumber(), r.GetReply())
			}
		}
	}
	return nil
}

// explaining: everything that is said about a bank that has come to rest.
func (e *exam) explaining(ctx context.Context) error {
	q, err := e.prepare(ctx)
	if err != nil {
		return err
	}
	var cross *pb.TransactionRequest
	if len(e.items) > 1 {
		var committed bool
		if cross, committed = e.commits1(ctx, crosses, 0, e.items[0][0], e.items[1][0]); !committed {
			cross = nil
		}
	}
	saysQuiet, err := e.settle(ctx)
	switch {
	case err != nil:
		e.wrong(quiet, "%v", err)
		return err
	case saysQuiet:
		e.ok(quiet)
	default:
		e.set(quiet, Missing, "no node ever says quiet")
	}
	leader, err := e.leader(ctx, e.in(0))
	if err != nil {
		return err
	}
	e.checksums(ctx)
	ctx, cancel := context.WithTimeout(ctx, resetBound)
	defer cancel()
	e.logs(ctx, q)
	e.rows(ctx, leader, q)
	e.views(ctx, leader)
	e.locks(ctx)
	if cross == nil {
		e.notHere("no cross-shard transfer committed", timelines, performs)
		return nil
	}
	e.timelines(ctx, leader, cross)
	e.performance(ctx, leader)
	return nil
}

func (e *exam) checksums(ctx context.Context) {
	for c := range e.top.Clusters {
		var first *pb.StatusReply
		for _, n := range e.in(c) {
			st, err := n.status(ctx)
			switch {
			case err != nil:
				e.failed(checksums, "Status of node "+n.id, err)
				return
			case st.GetChecksum() == 0:
				e.set(checksums, Missing, "node "+n.id+" has no checksum")
				return
			case first == nil:
				first = st
			case st.GetAppliedIndex() == first.GetAppliedIndex() && st.GetChecksum() != first.GetChecksum():
				e.wrong(checksums, "at index %d, nodes %s and %s have checksums %016x and %016x",
					st.GetAppliedIndex(), first.GetNodeId(), n.id, first.GetChecksum(), st.GetChecksum())
			}
		}
	}
	e.ok(checksums)
}

// logs looks for one transfer in the logs of its cluster.
func (e *exam) logs(ctx context.Context, q *pb.TransactionRequest) {
	var index uint64
	for i, n := range e.in(0) {
		var found *pb.LogEntry
		stream, err := n.inspect.Log(ctx, &pb.LogRequest{})
		err = drain(stream, err, func(m *pb.LogReply) {
			for _, l := range m.GetEntries() {
				if l.GetClientId() == q.GetClientId() && l.GetTimestamp() == q.GetTimestamp() {
					found = l
				}
			}
		})
		switch {
		case err != nil:
			e.failed(logs, "Log of node "+n.id, err)
			return
		case found == nil:
			e.wrong(logs, "Log of node %s has no entry with client_id %d, timestamp %d", n.id, q.GetClientId(), q.GetTimestamp())
			return
		case found.GetStatus() != "E":
			e.wrong(logs, "Log of node %s: the entry of an applied transfer has status %q", n.id, found.GetStatus())
		case i > 0 && found.GetIndex() != index:
			e.wrong(logs, "the same transfer has index %d on %s and %d on %s", index, e.in(0)[0].id, found.GetIndex(), n.id)
		}
		index = found.GetIndex()
	}
	e.ok(logs)
}

func (e *exam) rows(ctx context.Context, n *node, q *pb.TransactionRequest) {
	reply, err := n.inspect.TransactionStatus(ctx, &pb.TransactionStatusRequest{})
	if err != nil {
		e.failed(rows, "TransactionStatus of node "+n.id, err)
		return
	}
	for _, row := range reply.GetRows() {
		if row.GetClientId() != q.GetClientId() || row.GetTimestamp() != q.GetTimestamp() {
			continue
		}
		if row.GetStatus() != "E" {
			e.wrong(rows, "TransactionStatus of node %s: status %q for an applied transfer", n.id, row.GetStatus())
		}
		e.ok(rows)
		return
	}
	e.wrong(rows, "TransactionStatus of node %s has no row with client_id %d, timestamp %d", n.id, q.GetClientId(), q.GetTimestamp())
}

func (e *exam) views(ctx context.Context, leader *node) {
	reply, err := leader.inspect.Views(ctx, &pb.ViewsRequest{})
	switch {
	case err != nil:
		e.failed(views, "Views of node "+leader.id, err)
		return
	case len(reply.GetViews()) == 0:
		e.set(views, Missing, "Views of node "+leader.id+" is empty")
		return
	}
	for _, v := range reply.GetViews() {
		if v.GetLeader() == leader.id && v.GetBallot() != "" {
			e.ok(views)
			return
		}
	}
	e.wrong(views, "Views of node %s, which leads, names no view with it as leader and a ballot", leader.id)
}

func (e *exam) locks(ctx context.Context) {
	for _, n := range e.nodes {
		reply, err := n.inspect.Locks(ctx, &pb.LocksRequest{})
		if err != nil {
			e.failed(locks, "Locks of node "+n.id, err)
			return
		}
		for _, l := range reply.GetLocks() {
			e.wrong(locks, "Locks of node %s: item %d is locked by (%d, %d) for %d µs, and nothing is under way",
				n.id, l.GetItem(), l.GetClientId(), l.GetTimestamp(), l.GetHeldUs())
		}
	}
	e.ok(locks)
}

func (e *exam) timelines(ctx context.Context, leader *node, q *pb.TransactionRequest) {
	reply, err := leader.inspect.Timeline(ctx, &pb.TimelineRequest{ClientId: q.GetClientId(), Timestamp: q.GetTimestamp()})
	switch list := reply.GetTimelines(); {
	case err != nil:
		e.failed(timelines, "Timeline of node "+leader.id, err)
	case len(list) == 0:
		e.set(timelines, Missing, "Timeline of node "+leader.id+" is empty")
	default:
		if t := list[len(list)-1]; t.GetLockedUs() == 0 || t.GetReleasedUs() < t.GetLockedUs() {
			e.wrong(timelines, "Timeline of node %s: locked_us %d, released_us %d", leader.id, t.GetLockedUs(), t.GetReleasedUs())
		}
		e.ok(timelines)
	}
}

func (e *exam) performance(ctx context.Context, leader *node) {
	reply, err := leader.inspect.Performance(ctx, &pb.PerformanceRequest{})
	switch {
	case err != nil:
		e.failed(performs, "Performance of node "+leader.id, err)
	case reply.GetLockHold().GetCount() == 0:
		e.set(performs, Missing, "lock_hold of node "+leader.id+" is empty")
	default:
		e.ok(performs)
	}
}
