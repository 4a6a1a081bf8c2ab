package runner

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"

	"paxbank/client/testset"
	pb "paxbank/proto/paxbank/v1"
)

// collect asks every node for everything it knows.
func (s *setRun) collect(ctx context.Context) {
	named := s.namedItems()
	states := make([]NodeState, len(s.nodes))
	views := make([][]*pb.NewView, len(s.nodes))
	holds := make([]*pb.Histogram, len(s.nodes))
	said := make([][]*pb.BalanceReply_Item, len(s.nodes))
	var wg sync.WaitGroup
	for i, id := range s.nodes {
		wg.Go(func() {
			c := s.cluster[id]
			st := &states[i]
			*st = NodeState{ID: id, Cluster: s.topology.Clusters[c].ID, Live: s.live[id]}
			views[i], holds[i] = s.node(ctx, st, named[c])
			said[i] = s.said(ctx, st, sample(named[c], auditItems))
		})
	}
	wg.Wait()
	for i := range states {
		s.contradictions(states[i].ID, states[i].Balances, said[i])
	}
	s.res.Nodes = states
	s.res.Views = s.mergeViews(views)
	s.res.NoViews = !slices.ContainsFunc(views, func(list []*pb.NewView) bool { return list != nil })
	s.res.LockHold = mergeHistograms(holds)
	for i := range states {
		if st := &states[i]; st.Err != "" {
			s.problem("node %s: %s", st.ID, st.Err)
		}
	}
	s.remember()
}

// namedItems are the items that the set names, by cluster.
func (s *setRun) namedItems() [][]int64 {
	seen := map[int64]bool{}
	items := make([][]int64, len(s.topology.Clusters))
	add := func(item int64) {
		if c, ok := s.topology.Items.Cluster(item); ok && !seen[item] {
			seen[item] = true
			items[c] = append(items[c], item)
		}
	}
	for _, c := range s.res.Set.Commands {
		switch c.Kind {
		case testset.Transfer:
			add(c.From)
			add(c.To)
		case testset.Read:
			add(c.Item)
		}
	}
	return items
}

// node asks one node. What it cannot tell stands in st.Err or st.LogErr; views is
// nil when it does not tell any.
func (s *setRun) node(ctx context.Context, st *NodeState, named []int64) (views []*pb.NewView, hold *pb.Histogram) {
	id := st.ID
	fail := func(what string, err error) {
		if st.Err == "" && err != nil {
			st.Err = fmt.Sprintf("%s: %v", what, plain(err))
		}
	}
	statusCtx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	status, err := s.opt.Nodes.Control(id).Status(statusCtx, &pb.StatusRequest{})
	if err != nil {
		fail("Status", err)
		return nil, nil
	}
	st.Reachable = true
	st.Leader, st.Ballot, st.Ready, st.Epoch = status.GetLeader(), status.GetBallot(), status.GetReady(), status.GetEpoch()
	st.LastIndex, st.CommitIndex, st.AppliedIndex = status.GetLastIndex(), status.GetCommitIndex(), status.GetAppliedIndex()
	st.Checksum, st.Elections = status.GetChecksum(), status.GetElections()
	st.Locks, st.UndoRecords = int(status.GetLocks()), int(status.GetUndoRecords())
	st.Prepared, st.Decided = int(status.GetPrepared()), int(status.GetDecided())

	inspect := s.opt.Nodes.Inspect(id)
	st.Balances = map[int64]int64{}
	keep := func(items []*pb.BalanceReply_Item) {
		for _, b := range items {
			st.Balances[b.GetItem()] = b.GetBalance()
		}
	}
	database, err := inspect.Database(ctx, &pb.DatabaseRequest{})
	fail("Database", drain(database, err, func(m *pb.DatabaseReply) { keep(m.GetItems()) }))
	var missing []int64
	for _, item := range named {
		if _, ok := st.Balances[item]; !ok {
			missing = append(missing, item)
		}
	}
	if len(missing) > 0 {
		reply, err := inspect.Balance(ctx, &pb.BalanceRequest{Items: missing})
		fail("Balance", err)
		keep(reply.GetItems())
	}
	log, err := inspect.Log(ctx, &pb.LogRequest{Housekeeping: true})
	err = drain(log, err, func(m *pb.LogReply) {
		st.CheckpointIndex = max(st.CheckpointIndex, m.GetCheckpointIndex())
		for _, e := range m.GetEntries() {
			st.Log = append(st.Log, s.logRow(e))
		}
	})
	if err != nil {
		st.LogErr = plain(err).Error()
	}
	if reply, err := inspect.TransactionStatus(ctx, &pb.TransactionStatusRequest{}); err == nil {
		for _, row := range reply.GetRows() {
			st.Statuses = append(st.Statuses, StatusRow{
				Seq: row.GetSeq(), Status: row.GetStatus(), Phase: row.GetPhase(), Text: s.transferText(row.GetTransfer()),
				ClientID: row.GetClientId(), Timestamp: row.GetTimestamp(),
			})
		}
	}
	if reply, err := inspect.Locks(ctx, &pb.LocksRequest{}); err == nil {
		for _, l := range reply.GetLocks() {
			st.LockTable = append(st.LockTable, Lock{
				Item: l.GetItem(), TxnID: l.GetTxnId(), ClientID: l.GetClientId(), Timestamp: l.GetTimestamp(),
				Held: time.Duration(l.GetHeldUs()) * time.Microsecond, Waiters: int(l.GetWaiters()),
			})
		}
	}
	if reply, err := inspect.Views(ctx, &pb.ViewsRequest{}); err == nil {
		views = append([]*pb.NewView{}, reply.GetViews()...) // not nil: it tells them
	}
	if reply, err := inspect.Performance(ctx, &pb.PerformanceRequest{}); err == nil {
		hold = reply.GetLockHold()
		longest := func(h *pb.Histogram) time.Duration {
			return time.Duration(min(h.GetMaxUs(), uint64(math.MaxInt64/time.Microsecond))) * time.Microsecond
		}
		st.Counters = &Counters{
			Committed: reply.GetCommitted(), InsufficientFunds: reply.GetInsufficientFunds(),
			Aborted: reply.GetAborted(), Reads: reply.GetReads(),
			Slowest: longest(reply.GetLatency()), LockHeld: longest(hold),
		}
	}
	return views, hold
}

// said asks a node for balances that it has told in its Database already; nil
// when it has applied more since, or holds what is undecided, so that the two
// cannot be compared.
func (s *setRun) said(ctx context.Context, st *NodeState, items []int64) []*pb.BalanceReply_Item {
	if st.Err != "" || len(items) == 0 || st.Locks+st.UndoRecords+st.Prepared > 0 {
		return nil
	}
	reply, err := s.opt.Nodes.Inspect(st.ID).Balance(ctx, &pb.BalanceRequest{Items: items})
	if err != nil {
		return nil
	}
	statusCtx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	status, err := s.opt.Nodes.Control(st.ID).Status(statusCtx, &pb.StatusRequest{})
	if err != nil || status.GetAppliedIndex() != st.AppliedIndex {
		return nil
	}
	return reply.GetItems()
}

// drain reads a server stream to its end.
func drain[M any](stream grpc.ServerStreamingClient[M], err error, each func(*M)) error {
	for err == nil {
		var m *M
		if m, err = stream.Recv(); err == nil {
			each(m)
		}
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

func (r *Runner) logRow(e *pb.LogEntry) LogRow {
	t := e.GetTransfer()
	return LogRow{
		Index: e.GetIndex(), Seq: e.GetSeq(), PeerSeq: e.GetPeerSeq(),
		Phase: e.GetPhase(), Role: e.GetRole(), Kind: e.GetKind(), TxnID: e.GetTxnId(), Text: r.entryText(e),
		Status: e.GetStatus(), Effect: e.GetEffect(), Ballot: e.GetBallot(), Origin: e.GetOrigin(),
		ClientID: e.GetClientId(), Timestamp: e.GetTimestamp(),
		From: t.GetFrom(), To: t.GetTo(), Amount: t.GetAmount(),
	}
}

// entryText is a transfer as the test set writes it, or what else the entry is.
func (r *Runner) entryText(e *pb.LogEntry) string {
	if e.GetTransfer() == nil {
		return e.GetKind()
	}
	return r.transferText(e.GetTransfer())
}

func (r *Runner) transferText(t *pb.Transfer) string {
	if t == nil {
		return ""
	}
	return fmt.Sprintf("(%s, %s, %d)", r.topology.ItemName(t.GetFrom()), r.topology.ItemName(t.GetTo()), t.GetAmount())
}

// mergeViews makes one list of the nodes' views: each message once, with those
// who saw it, by cluster and ballot.
func (s *setRun) mergeViews(byNode [][]*pb.NewView) []View {
	type key struct {
		cluster int
		ballot  string
	}
	at := map[key]int{}
	var views []View
	var order []key
	for i, list := range byNode {
		id := s.nodes[i]
		c := s.cluster[id]
		for _, v := range list {
			k := key{c, v.GetBallot()}
			j, known := at[k]
			if !known {
				j = len(views)
				at[k] = j
				order = append(order, k)
				view := View{
					Cluster: s.topology.Clusters[c].ID, Ballot: v.GetBallot(), Leader: v.GetLeader(),
					FirstIndex: v.GetFirstIndex(), CommitIndex: v.GetCommitIndex(),
				}
				for _, e := range v.GetEntries() {
					view.Entries = append(view.Entries, s.logRow(e))
				}
				views = append(views, view)
			}
			if !slices.Contains(views[j].SeenBy, id) {
				views[j].SeenBy = append(views[j].SeenBy, id)
			}
		}
	}
	position := make([]int, len(views))
	for i := range position {
		position[i] = i
	}
	slices.SortStableFunc(position, func(a, b int) int {
		return cmp.Or(cmp.Compare(order[a].cluster, order[b].cluster), cmp.Compare(counter(order[a].ballot), counter(order[b].ballot)))
	})
	sorted := make([]View, 0, len(views))
	for _, i := range position {
		sorted = append(sorted, views[i])
	}
	return sorted
}

// counter is the number a ballot such as "3.n1" begins with; 0 for other
// implementations' spellings, which then stay in the order they came in.
func counter(ballot string) uint64 {
	number, _, _ := strings.Cut(ballot, ".")
	n, err := strconv.ParseUint(number, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

func mergeHistograms(list []*pb.Histogram) Histogram {
	var h Histogram
	counts := map[uint64]uint64{}
	for _, p := range list {
		h.Count += p.GetCount()
		h.SumMicros += p.GetSumUs()
		h.MaxMicros = max(h.MaxMicros, p.GetMaxUs())
		for _, b := range p.GetBuckets() {
			counts[b.GetUpperUs()] += b.GetCount()
		}
	}
	for upper := range counts {
		h.Upper = append(h.Upper, upper)
	}
	slices.Sort(h.Upper)
	for _, upper := range h.Upper {
		h.Counts = append(h.Counts, counts[upper])
	}
	return h
}

// remember keeps the balances for a next set that starts from them: those of the
// node of each cluster that has applied most, a live one if there is any.
func (s *setRun) remember() {
	s.balances = map[int64]int64{}
	for _, cl := range s.topology.Clusters {
		var best *NodeState
		for i := range s.res.Nodes {
			n := &s.res.Nodes[i]
			if n.Cluster != cl.ID || !n.Reachable {
				continue
			}
			if best == nil || n.AppliedIndex > best.AppliedIndex || n.AppliedIndex == best.AppliedIndex && n.Live && !best.Live {
				best = n
			}
		}
		if best != nil {
			for item, b := range best.Balances {
				s.balances[item] = b
			}
		}
	}
	s.loose = s.looseEnds()
}

// Timelines asks every node for the measured locks of one transfer.
func (r *Runner) Timelines(ctx context.Context, client, timestamp uint64) ([]Timeline, error) {
	byNode := make([][]*pb.Timeline, len(r.nodes))
	errs := make([]error, len(r.nodes))
	var wg sync.WaitGroup
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	for i, id := range r.nodes {
		wg.Go(func() {
			reply, err := r.opt.Nodes.Inspect(id).Timeline(ctx, &pb.TimelineRequest{ClientId: client, Timestamp: timestamp})
			byNode[i], errs[i] = reply.GetTimelines(), err
		})
	}
	wg.Wait()
	var all []Timeline
	for i, list := range byNode {
		for _, t := range list {
			all = append(all, Timeline{
				Node: r.nodes[i], Role: t.GetRole(), TxnID: t.GetTxnId(), Text: r.transferText(t.GetTransfer()),
				Outcome: t.GetOutcome(), Reason: t.GetReason(), Item: t.GetItem(), Seq: t.GetSeq(), PeerSeq: t.GetPeerSeq(),
				Locked: at(t.GetLockedUs()), PrepareSent: at(t.GetPrepareSentUs()), PrepareChosen: at(t.GetPrepareChosenUs()),
				ParticipantPrepared: at(t.GetParticipantPreparedUs()), DecisionChosen: at(t.GetDecisionChosenUs()),
				Acknowledged: at(t.GetAcknowledgedUs()), Released: at(t.GetReleasedUs()),
				BalanceBefore: t.GetBalanceBefore(), BalancePrepared: t.GetBalancePrepared(), BalanceAfter: t.GetBalanceAfter(),
			})
		}
	}
	if all == nil {
		for i, err := range errs {
			if err != nil {
				return nil, fmt.Errorf("node %s: Timeline: %w", r.nodes[i], plain(err))
			}
		}
	}
	slices.SortStableFunc(all, func(a, b Timeline) int { return a.Locked.Compare(b.Locked) })
	return all, nil
}

// at turns microseconds since the Unix epoch into a time; 0 is the zero time.
func at(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return time.UnixMicro(micros)
}

// Balance asks a node for one item; false when it cannot tell.
func (r *Runner) Balance(ctx context.Context, node string, item int64) (int64, bool) {
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	reply, err := r.opt.Nodes.Inspect(node).Balance(ctx, &pb.BalanceRequest{Items: []int64{item}})
	if err != nil || len(reply.GetItems()) != 1 {
		return 0, false
	}
	return reply.GetItems()[0].GetBalance(), true
}
