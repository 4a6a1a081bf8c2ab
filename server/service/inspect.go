package service

import (
	"context"
	"sort"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	pb "paxbank/proto/paxbank/v1"
	"paxbank/server/bank"
	"paxbank/server/ids"
	"paxbank/server/paxos"
	"paxbank/server/replica"
)

// chunkRows is how many rows go into one message of a stream.
const chunkRows = 1000

// inspect runs f on the owner of the current incarnation.
func (n *Node) inspect(ctx context.Context, what string, f func(core)) (*incarnation, error) {
	inc, err := n.configured(codes.FailedPrecondition)
	if err != nil {
		return nil, err
	}
	return inc, callError(inc.engine.do(ctx, what, func() { f(inc.engine.core) }))
}

// Balance implements Inspect.
func (n *Node) Balance(ctx context.Context, req *pb.BalanceRequest) (*pb.BalanceReply, error) {
	reply := &pb.BalanceReply{}
	_, err := n.inspect(ctx, "the balances", func(c core) {
		for _, item := range req.GetItems() {
			if balance, ok := c.Balance(item); ok {
				reply.Items = append(reply.Items, &pb.BalanceReply_Item{Item: item, Balance: balance})
			}
		}
	})
	if err != nil {
		return nil, err
	}
	return reply, nil
}

// Database implements Inspect. An empty database is one empty message.
func (n *Node) Database(req *pb.DatabaseRequest, s grpc.ServerStreamingServer[pb.DatabaseReply]) error {
	var items []replica.ItemBalance
	if _, err := n.inspect(s.Context(), "the database", func(c core) { items = c.Balances(req.GetAll()) }); err != nil {
		return err
	}
	for first := true; first || len(items) > 0; first = false {
		chunk := items[:min(len(items), chunkRows)]
		items = items[len(chunk):]
		reply := &pb.DatabaseReply{Items: make([]*pb.BalanceReply_Item, len(chunk))}
		for i, it := range chunk {
			reply.Items[i] = &pb.BalanceReply_Item{Item: it.Item, Balance: it.Balance}
		}
		if err := s.Send(reply); err != nil {
			return err
		}
	}
	return nil
}

// Log implements Inspect. An empty log is one message without entries.
func (n *Node) Log(req *pb.LogRequest, s grpc.ServerStreamingServer[pb.LogReply]) error {
	var rows []replica.LogRow
	var checkpoint uint64
	inc, err := n.inspect(s.Context(), "the log", func(c core) {
		rows, checkpoint = c.Log(req.GetFromIndex(), req.GetHousekeeping())
	})
	if err != nil {
		return err
	}
	for first := true; first || len(rows) > 0; first = false {
		chunk := rows[:min(len(rows), chunkRows)]
		rows = rows[len(chunk):]
		if err := s.Send(&pb.LogReply{Entries: inc.entries(chunk), CheckpointIndex: checkpoint}); err != nil {
			return err
		}
	}
	return nil
}

// TransactionStatus implements Inspect.
func (n *Node) TransactionStatus(ctx context.Context, req *pb.TransactionStatusRequest) (*pb.TransactionStatusReply, error) {
	var rows []replica.LogRow
	_, err := n.inspect(ctx, "the log", func(c core) { rows, _ = c.Log(0, false) })
	if err != nil {
		return nil, err
	}
	return &pb.TransactionStatusReply{Rows: statusRows(rows, req.GetSeqs())}, nil
}

// statusRows sees the log by sequence number: one row a transaction, with the
// phase and status of its latest entry. Rows come in the order asked for, or
// ascending when nothing was asked for.
func statusRows(rows []replica.LogRow, asked []uint64) []*pb.TransactionStatusReply_Row {
	found := map[uint64]*pb.TransactionStatusReply_Row{}
	for i := range rows {
		e := &rows[i].Entry
		if e.Kind != bank.KindTransfer && e.Kind != bank.KindTombstone {
			continue
		}
		row := found[e.Seq]
		if row == nil {
			row = &pb.TransactionStatusReply_Row{Seq: e.Seq, ClientId: e.Txn.Client, Timestamp: e.Txn.Timestamp}
			found[e.Seq] = row
		}
		row.Status, row.Phase = rows[i].Status, e.Phase.String()
		if e.Transfer != (ids.Transfer{}) {
			row.Transfer = transfer(e.Transfer)
		}
	}
	if len(asked) == 0 {
		for seq := range found {
			asked = append(asked, seq)
		}
		sort.Slice(asked, func(i, j int) bool { return asked[i] < asked[j] })
	}
	all := make([]*pb.TransactionStatusReply_Row, 0, len(asked))
	for _, seq := range asked {
		row := found[seq]
		if row == nil {
			row = &pb.TransactionStatusReply_Row{Seq: seq, Status: "X"}
		}
		all = append(all, row)
	}
	return all
}

// Views implements Inspect.
func (n *Node) Views(ctx context.Context, _ *pb.ViewsRequest) (*pb.ViewsReply, error) {
	var views []replica.ViewRow
	inc, err := n.inspect(ctx, "the views", func(c core) { views = c.Views() })
	if err != nil {
		return nil, err
	}
	reply := &pb.ViewsReply{}
	for _, v := range views {
		reply.Views = append(reply.Views, &pb.NewView{
			Ballot: inc.ballot(v.Ballot), Leader: inc.nodeName(v.Ballot.Node),
			FirstIndex: v.FirstIndex, CommitIndex: v.CommitIndex, Entries: inc.entries(v.Entries), Sent: v.Sent,
		})
	}
	return reply, nil
}

// Locks implements Inspect.
func (n *Node) Locks(ctx context.Context, _ *pb.LocksRequest) (*pb.LocksReply, error) {
	var locks []replica.LockRow
	inc, err := n.inspect(ctx, "the locks", func(c core) { locks = c.Locks() })
	if err != nil {
		return nil, err
	}
	reply, now := &pb.LocksReply{}, n.now()
	for _, l := range locks {
		reply.Locks = append(reply.Locks, &pb.LocksReply_Lock{
			Item: l.Item, ClientId: l.Txn.Client, Timestamp: l.Txn.Timestamp, TxnId: inc.txn(l.Txn),
			HeldUs: uint64(max(now-l.Since, 0)) / 1000, Waiters: uint32(l.Waiters),
		})
	}
	return reply, nil
}

// Timeline implements Inspect.
func (n *Node) Timeline(ctx context.Context, req *pb.TimelineRequest) (*pb.TimelineReply, error) {
	var lines []replica.Timeline
	inc, err := n.inspect(ctx, "the timeline", func(c core) {
		lines = c.Timelines(ids.Request{Client: req.GetClientId(), Timestamp: req.GetTimestamp()})
	})
	if err != nil {
		return nil, err
	}
	us := func(t ids.Time) int64 { return int64(t) / 1000 }
	reply := &pb.TimelineReply{}
	for _, l := range lines {
		reply.Timelines = append(reply.Timelines, &pb.Timeline{
			TxnId: inc.txn(l.Txn), Role: l.Role.String(), Item: l.Item, Seq: l.Seq, PeerSeq: l.PeerSeq, Transfer: transfer(l.Transfer),
			LockedUs: us(l.Locked), PrepareSentUs: us(l.PrepareSent), PrepareChosenUs: us(l.PrepareChosen),
			ParticipantPreparedUs: us(l.ParticipantPrepared), DecisionChosenUs: us(l.DecisionChosen),
			AcknowledgedUs: us(l.Acknowledged), ReleasedUs: us(l.Released), Outcome: l.Outcome, Reason: l.Reason,
			BalanceBefore: l.BalanceBefore, BalancePrepared: l.BalancePrepared, BalanceAfter: l.BalanceAfter,
		})
	}
	return reply, nil
}

// Performance implements Inspect. Messages, bytes and syncs are counted since
// the process started, the rest since the last reset.
func (n *Node) Performance(ctx context.Context, _ *pb.PerformanceRequest) (*pb.PerformanceReply, error) {
	var c replica.Counters
	if _, err := n.inspect(ctx, "the counters", func(core core) { c = *core.Counters() }); err != nil {
		return nil, err
	}
	net := n.opts.Transport.Counters()
	return &pb.PerformanceReply{
		Committed: c.Outcomes[bank.OutcomeCommitted], InsufficientFunds: c.Outcomes[bank.OutcomeInsufficientFunds],
		Aborted: c.Outcomes[bank.OutcomeAborted], Unavailable: c.Outcomes[bank.OutcomeUnavailable],
		Unknown: c.Outcomes[bank.OutcomeUnknown], Invalid: c.Outcomes[bank.OutcomeInvalid], Reads: c.Reads,
		Latency: histogram(&c.Latency), LockHold: histogram(&c.LockHold),
		MessagesSent: net.MessagesSent, BytesSent: net.BytesSent, DiskSyncs: n.opts.Store.Syncs(),
	}, nil
}

func histogram(h *replica.Histogram) *pb.Histogram {
	p := &pb.Histogram{Count: h.Count, SumUs: h.SumMicros, MaxUs: h.MaxMicros}
	for i, count := range h.Buckets {
		if count > 0 {
			p.Buckets = append(p.Buckets, &pb.Bucket{UpperUs: h.Upper(i), Count: count})
		}
	}
	return p
}

func transfer(t ids.Transfer) *pb.Transfer {
	return &pb.Transfer{From: t.From, To: t.To, Amount: t.Amount}
}

func (inc *incarnation) entries(rows []replica.LogRow) []*pb.LogEntry {
	all := make([]*pb.LogEntry, len(rows))
	for i := range rows {
		all[i] = inc.entry(&rows[i])
	}
	return all
}

func (inc *incarnation) entry(r *replica.LogRow) *pb.LogEntry {
	p := &pb.LogEntry{Index: r.Index, Seq: r.Index, Ballot: inc.ballot(r.Ballot), Origin: inc.ballot(r.Origin), Status: r.Status}
	if r.Effect != bank.EffectNone {
		p.Effect = r.Effect.String()
	}
	switch r.Kind {
	case paxos.KindNoop:
		p.Kind = "no-op"
		return p
	case paxos.KindView:
		p.Kind = "view"
		return p
	}
	e := &r.Entry
	p.Phase, p.Role, p.PeerSeq = e.Phase.String(), e.Role.String(), e.PeerSeq
	if e.Seq != 0 {
		p.Seq = e.Seq
	}
	switch e.Kind {
	case bank.KindEnd:
		p.Kind = "end"
		return p
	case bank.KindTombstone:
		p.Kind = "tombstone"
	default:
		p.Kind = "transfer"
	}
	p.TxnId, p.ClientId, p.Timestamp = inc.txn(e.Txn), e.Txn.Client, e.Txn.Timestamp
	if e.Transfer != (ids.Transfer{}) {
		p.Transfer = transfer(e.Transfer)
	}
	return p
}
