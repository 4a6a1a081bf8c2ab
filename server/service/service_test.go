package service

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "paxbank/proto/paxbank/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestBank(t *testing.T) {
	b := newBank(t, 2, 3)
	l1, l2 := b.leader("c1"), b.leader("c2")

	// Transfers of both kinds, and what is wrong with some.
	r := b.submit(l1, 1, 1, 2, 3, pb.Result_RESULT_COMMITTED)
	if !r.Final {
		t.Errorf("%v is not final", r)
	}
	b.submit(l1, 1, 1, 2, 3, pb.Result_RESULT_COMMITTED) // a resend does nothing twice
	b.submit(l1, 2, 1, 150, 4, pb.Result_RESULT_COMMITTED)
	b.submit(l1, 3, 1, 150, 4, pb.Result_RESULT_INSUFFICIENT_FUNDS)
	b.submit(l1, 4, 1, 1, 4, pb.Result_RESULT_INVALID)
	b.submit(l1, 5, 1, 2, 0, pb.Result_RESULT_INVALID)
	b.submit(l1, 6, 1, 9999, 1, pb.Result_RESULT_INVALID)
	b.submit(l1, 0, 1, 2, 1, pb.Result_RESULT_INVALID)
	var follower *server
	for _, s := range b.nodes[:3] {
		if s != l1 {
			follower = s
		}
	}
	until(t, "a follower that knows its leader", func() (bool, string) {
		st := b.status(follower)
		return st.Leader == l1.id, st.String()
	})
	if r := b.submit(follower, 7, 1, 2, 1, pb.Result_RESULT_NOT_LEADER); r.Leader != l1.id {
		t.Errorf("a follower names %q as its leader, not %s", r.Leader, l1.id)
	}

	// Requests of another reset or bank.
	req := b.request(8, 1, 2, 1)
	req.Epoch = 9
	if r, err := l1.Submit(b.ctx, req); err != nil || r.Result != pb.Result_RESULT_WRONG_EPOCH || r.Epoch != 1 {
		t.Errorf("another epoch: %v, %v", r, err)
	}
	req = b.request(8, 1, 2, 1)
	req.Topology++
	if r, err := l1.Submit(b.ctx, req); err != nil || r.Result != pb.Result_RESULT_WRONG_EPOCH {
		t.Errorf("another topology: %v, %v", r, err)
	}
	if r, err := l1.Submit(b.ctx, &pb.TransactionRequest{Epoch: 1, ClientId: 1, Timestamp: 1}); err != nil || r.Result != pb.Result_RESULT_INVALID || !r.Final {
		t.Errorf("no transfer: %v, %v", r, err)
	}

	// Reads and resolves.
	for item, want := range map[int64]int64{1: 3, 2: 13} {
		r, err := l1.Read(b.ctx, &pb.ReadRequest{Epoch: 1, Item: item, DeadlineMs: 5000})
		if err != nil || r.Result != pb.Result_RESULT_COMMITTED || r.Balance != want {
			t.Errorf("read of %d: %v, %v; want %d", item, r, err, want)
		}
	}
	res, err := l1.Resolve(b.ctx, &pb.ResolveRequest{Epoch: 1, ClientId: 7, Timestamp: 3, From: 1, DeadlineMs: 5000})
	if err != nil || res.Result != pb.Result_RESULT_INSUFFICIENT_FUNDS || !res.Final {
		t.Errorf("resolve of a known request: %v, %v", res, err)
	}
	res, err = l1.Resolve(b.ctx, &pb.ResolveRequest{Epoch: 1, ClientId: 7, Timestamp: 99, From: 1, DeadlineMs: 5000})
	if err != nil || res.Result != pb.Result_RESULT_ABORTED || !res.Final {
		t.Errorf("resolve of a request that never came: %v, %v", res, err)
	}

	b.quiet(b.nodes...)
	for _, s := range b.nodes[:3] {
		if got := b.balance(s, 1); got != 3 {
			t.Errorf("balance of 1 on %s: %d, want 3", s.id, got)
		}
	}
	for _, s := range b.nodes[3:] {
		if got := b.balance(s, 150); got != 14 {
			t.Errorf("balance of 150 on %s: %d, want 14", s.id, got)
		}
	}
	b.inspect(l1, l2)
	b.stop()
}

// inspect looks at what TestBank left.
func (b *bankOf) inspect(l1, l2 *server) {
	t, ctx := b.t, b.ctx
	t.Helper()
	receive := func(next func() error) {
		t.Helper()
		for {
			if err := next(); errors.Is(err, io.EOF) {
				return
			} else if err != nil {
				t.Fatal(err)
			}
		}
	}
	db, err := l1.Database(ctx, &pb.DatabaseRequest{})
	if err != nil {
		t.Fatal(err)
	}
	var modified []string
	receive(func() error {
		m, err := db.Recv()
		for _, it := range m.GetItems() {
			modified = append(modified, fmt.Sprintf("%d=%d", it.Item, it.Balance))
		}
		return err
	})
	if got := strings.Join(modified, " "); got != "1=3 2=13" {
		t.Errorf("modified items: %s, want 1=3 2=13", got)
	}
	log, err := l1.Log(ctx, &pb.LogRequest{})
	if err != nil {
		t.Fatal(err)
	}
	var entries []*pb.LogEntry
	receive(func() error {
		m, err := log.Recv()
		entries = append(entries, m.GetEntries()...)
		return err
	})
	var text []string
	for _, e := range entries {
		text = append(text, strings.TrimSpace(fmt.Sprintf("%s %s %s %s", e.Kind, e.Phase, e.Status, e.Effect)))
		if e.Ballot != "1."+l1.id || e.Origin != e.Ballot {
			t.Errorf("entry %v: ballot, want 1.%s", e, l1.id)
		}
	}
	// transfer 1; P and C of transfer 2; P of transfer 3 without effect; tombstone
	want := "transfer  E applied|transfer P E prepared|transfer C E applied|transfer P E insufficient_funds|tombstone  E applied"
	if got := strings.Join(text, "|"); got != want {
		t.Errorf("log:\n got %s\nwant %s", got, want)
	}
	if len(entries) == 5 {
		p, c := entries[1], entries[2]
		if p.Seq != p.Index || c.Seq != p.Seq || c.PeerSeq == 0 || p.TxnId != c.TxnId || p.Role != "coordinator" || p.Transfer.GetAmount() != 4 {
			t.Errorf("P %v\nC %v", p, c)
		}
		st, err := l1.TransactionStatus(ctx, &pb.TransactionStatusRequest{Seqs: []uint64{p.Seq, 1000}})
		if err != nil || len(st.Rows) != 2 || st.Rows[0].Phase != "C" || st.Rows[0].Status != "E" || st.Rows[0].Transfer.GetTo() != 150 || st.Rows[1].Status != "X" {
			t.Errorf("status of %d and 1000: %v, %v", p.Seq, st, err)
		}
		all, err := l1.TransactionStatus(ctx, &pb.TransactionStatusRequest{})
		if err != nil || len(all.Rows) != 4 {
			t.Errorf("status of all: %v, %v; want 4 rows", all, err)
		}
		if len(st.GetRows()) > 0 {
			lines, err := l1.Timeline(ctx, &pb.TimelineRequest{ClientId: 7, Timestamp: 2})
			if err != nil || len(lines.Timelines) != 1 {
				t.Fatalf("timeline: %v, %v", lines, err)
			}
			l := lines.Timelines[0]
			if l.Outcome != "committed" || l.BalanceBefore != 7 || l.BalancePrepared != 3 || l.LockedUs == 0 || l.ReleasedUs < l.DecisionChosenUs ||
				l.TxnId != c.TxnId || time.Since(time.UnixMicro(l.LockedUs)) > time.Minute {
				t.Errorf("timeline %v", l)
			}
		}
	}
	views, err := l2.Views(ctx, &pb.ViewsRequest{})
	if err != nil || len(views.Views) != 1 || views.Views[0].Leader != l2.id || !views.Views[0].Sent || len(views.Views[0].Entries) == 0 {
		t.Errorf("views: %v, %v", views, err)
	}
	if locks, err := l1.Locks(ctx, &pb.LocksRequest{}); err != nil || len(locks.Locks) != 0 {
		t.Errorf("locks: %v, %v; want none", locks, err)
	}
	perf, err := l1.Performance(ctx, &pb.PerformanceRequest{})
	if err != nil || perf.Committed < 2 || perf.InsufficientFunds != 1 || perf.Reads != 2 || perf.Latency.Count == 0 ||
		perf.MessagesSent == 0 || perf.BytesSent == 0 || perf.DiskSyncs == 0 {
		t.Errorf("performance: %v, %v", perf, err)
	}
}

func TestStream(t *testing.T) {
	b := newBank(t, 1, 3)
	leader := b.leader("c1")
	s, err := leader.SubmitStream(b.ctx)
	if err != nil {
		t.Fatal(err)
	}
	const batches, perBatch = 20, 100
	go func() {
		for i := range batches {
			batch := &pb.TransactionRequestBatch{}
			for j := range perBatch {
				n := i*perBatch + j
				batch.Requests = append(batch.Requests, b.request(uint64(n+1), int64(n%99+1), int64(n%99+2), 1))
			}
			batch.Requests = append(batch.Requests, &pb.TransactionRequest{Epoch: b.epoch, ClientId: 8, Timestamp: uint64(i + 1)})
			if s.Send(batch) != nil {
				return // Recv says why
			}
		}
		_ = s.CloseSend()
	}()
	seen, invalid := map[uint64]bool{}, 0
	for {
		reply, err := s.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range reply.Replies {
			switch {
			case r.ClientId == 8 && r.Result == pb.Result_RESULT_INVALID:
				invalid++
			case r.ClientId != 7 || seen[r.Timestamp] || r.Result != pb.Result_RESULT_COMMITTED && r.Result != pb.Result_RESULT_INSUFFICIENT_FUNDS:
				t.Errorf("answer %v", r)
			default:
				seen[r.Timestamp] = true
			}
		}
	}
	if len(seen) != batches*perBatch || invalid != batches {
		t.Errorf("%d answers and %d of malformed ones; want %d and %d", len(seen), invalid, batches*perBatch, batches)
	}
	b.quiet(b.nodes...)
	b.stop()
}

func TestReadStream(t *testing.T) {
	b := newBank(t, 1, 3)
	leader := b.leader("c1")
	b.submit(leader, 1, 1, 2, 3, pb.Result_RESULT_COMMITTED)
	s, err := leader.ReadStream(b.ctx)
	if err != nil {
		t.Fatal(err)
	}
	const reads = 200
	batch := &pb.ReadRequestBatch{Epoch: b.epoch, Topology: b.topo.Hash()}
	for i := range reads {
		batch.Reads = append(batch.Reads, &pb.NumberedRead{Number: uint64(i), Item: int64(i%3 + 1), DeadlineMs: 5000})
	}
	for _, m := range []*pb.ReadRequestBatch{
		batch,
		{Epoch: b.epoch, Reads: []*pb.NumberedRead{{Number: reads, Item: 1 << 40}}},
		{Epoch: b.epoch + 1, Reads: []*pb.NumberedRead{{Number: reads + 1, Item: 1}}},
	} {
		if err := s.Send(m); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.CloseSend(); err != nil {
		t.Fatal(err)
	}
	// A message of nothing but crowds ends its own stream and nothing else.
	crowd, err := leader.ReadStream(b.ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := crowd.Send(&pb.ReadRequestBatch{Epoch: b.epoch + 1, Reads: slices.Repeat([]*pb.NumberedRead{{}}, maxOpenCalls+1)}); err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = crowd.Recv()
	}
	if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "calls in one message") {
		t.Errorf("a crowd of reads: %v", err)
	}
	got := map[uint64]*pb.ReadReply{}
	for {
		m, err := s.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range m.Replies {
			if got[r.Number] != nil {
				t.Errorf("read %d was answered twice", r.Number)
			}
			got[r.Number] = r.Reply
		}
	}
	if len(got) != reads+2 {
		t.Errorf("%d answers, want %d", len(got), reads+2)
	}
	for i := range reads {
		if r := got[uint64(i)]; r.GetResult() != pb.Result_RESULT_COMMITTED || r.Balance != []int64{7, 13, 10}[i%3] {
			t.Errorf("read %d of item %d: %v", i, i%3+1, r)
		}
	}
	if r := got[reads]; r.GetResult() != pb.Result_RESULT_INVALID {
		t.Errorf("read of an item that is not there: %v", r)
	}
	if r := got[reads+1]; r.GetResult() != pb.Result_RESULT_WRONG_EPOCH || r.Epoch != b.epoch {
		t.Errorf("read of another epoch: %v", r)
	}
	b.quiet(b.nodes...)
	b.stop()
}

// TestDisconnect: calls that wait when the node is disconnected fail as
// unavailable, which is indefinite, and so do later ones.
func TestDisconnect(t *testing.T) {
	b := newBank(t, 1, 3)
	leader := b.leader("c1")
	if _, err := leader.Submit(b.ctx, b.request(1, 1, 2, 1)); err != nil {
		t.Fatal(err)
	}
	for _, s := range b.nodes { // nothing can be chosen any more
		if s != leader {
			if _, err := s.SetLive(b.ctx, &pb.SetLiveRequest{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	unavailable := func(what string, err error, text string) {
		t.Helper()
		if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v, want unavailable: %q", what, err, text)
		}
	}
	s, err := leader.SubmitStream(b.ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Send(&pb.TransactionRequestBatch{Requests: []*pb.TransactionRequest{b.request(2, 1, 2, 1)}}); err != nil {
		t.Fatal(err)
	}
	inFlight := make(chan error, 1)
	go func() {
		r, err := leader.Submit(b.ctx, b.request(3, 1, 2, 1))
		if err == nil && r.Result == pb.Result_RESULT_COMMITTED {
			err = fmt.Errorf("committed without a majority: %v", r)
		}
		inFlight <- err
	}()
	until(t, "two requests under way", func() (bool, string) {
		st := b.status(leader)
		return st.Requests == 2, st.String()
	})
	if st := b.status(leader); st.Quiet {
		t.Errorf("quiet with two requests under way: %v", st)
	}
	if _, err := leader.SetLive(b.ctx, &pb.SetLiveRequest{}); err != nil {
		t.Fatal(err)
	}
	unavailable("a call under way", <-inFlight, "was disconnected while the request was under way")
	_, err = s.Recv()
	unavailable("a stream", err, "was disconnected while the request was under way")
	_, err = leader.Submit(b.ctx, b.request(4, 1, 2, 1))
	unavailable("a later call", err, leader.id+" is disconnected")
	_, err = leader.Read(b.ctx, &pb.ReadRequest{Epoch: 1, Item: 1})
	unavailable("a later read", err, leader.id+" is disconnected")
	if st := b.status(leader); st.Live || st.Requests != 0 || !st.Configured {
		t.Errorf("status of a disconnected node: %v", st)
	}
	// The bank comes back, and with it what was not decided.
	b.live(b.nodes...)
	leader = b.leader("c1")
	res, err := leader.Resolve(b.ctx, &pb.ResolveRequest{Epoch: 1, ClientId: 7, Timestamp: 3, From: 1, DeadlineMs: 5000})
	if err != nil || !res.Final {
		t.Errorf("resolve: %v, %v", res, err)
	}
	b.quiet(b.nodes...)
	b.stop()
}
