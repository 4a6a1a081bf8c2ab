package session

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"paxbank/internal/fakebank"
	"paxbank/internal/topology"
	pb "paxbank/proto/paxbank/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open starts a fake bank of two clusters of three nodes, all live at epoch 1,
// and a session with it. Items 1–50 are c1's, 51–100 c2's; each starts at 10.
func open(t *testing.T) (*fakebank.Bank, *Session) {
	t.Helper()
	shape, err := topology.Uniform(2, 3, 100, 10)
	if err != nil {
		t.Fatal(err)
	}
	bank, err := fakebank.Start(shape)
	if err != nil {
		t.Fatal(err)
	}
	bank.Begin(1)
	nodes, err := Connect(bank.Topology())
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(nodes)
	if err != nil {
		t.Fatal(err)
	}
	s.SetEpoch(1, nodes.Topology().Hash())
	t.Cleanup(func() {
		if err := nodes.Close(); err != nil {
			t.Error(err)
		}
		bank.Stop()
	})
	return bank, s
}

const long = 5 * time.Second

func want(t *testing.T, r Result, o Outcome) {
	t.Helper()
	if r.Outcome != o {
		t.Fatalf("outcome %s (%s, %d attempts), want %s", r.Outcome, r.Message, r.Attempts, o)
	}
}

func TestOutcomes(t *testing.T) {
	_, s := open(t)
	ctx := context.Background()
	want(t, s.Transfer(ctx, 1, 2, 4, long), Committed)
	want(t, s.Transfer(ctx, 1, 51, 6, long), Committed)
	want(t, s.Transfer(ctx, 1, 2, 1, long), InsufficientFunds)
	want(t, s.Transfer(ctx, 1, 1, 1, long), Invalid)
	want(t, s.Transfer(ctx, 1000, 1, 1, long), Invalid)
	for item, balance := range map[int64]int64{1: 0, 2: 14, 51: 16} {
		r := s.Read(ctx, item, long)
		want(t, r, Value)
		if r.Value != balance {
			t.Errorf("item %d: read %d, want %d", item, r.Value, balance)
		}
	}
	if got := s.DoneBelow(); got != 6 {
		t.Errorf("done_below is %d after five final outcomes, want 6", got)
	}
}

func TestLeaderMoves(t *testing.T) {
	bank, s := open(t)
	ctx := context.Background()
	want(t, s.Transfer(ctx, 1, 2, 1, long), Committed)
	bank.SetLive(false, "n1")
	r := s.Transfer(ctx, 1, 2, 1, long)
	want(t, r, Committed)
	if r.Node != "n2" {
		t.Errorf("answered by %s, want n2", r.Node)
	}
	bank.SetLive(true, "n1")
	r = s.Transfer(ctx, 1, 2, 1, long) // n2 names n1
	want(t, r, Committed)
	if r.Node != "n1" || r.Attempts != 2 {
		t.Errorf("answered by %s at attempt %d, want n1 at 2", r.Node, r.Attempts)
	}
	if err := bank.Kill("n1"); err != nil {
		t.Fatal(err)
	}
	want(t, s.Transfer(ctx, 1, 2, 1, long), Committed)
	if b := bank.Balance(1); b != 6 {
		t.Errorf("item 1 holds %d, want 6", b)
	}
}

func TestElectionIsWaitedFor(t *testing.T) {
	bank, s := open(t)
	bank.SetElecting(true, "n1", "n2", "n3")
	result := make(chan Result, 1)
	go func() { result <- s.Transfer(context.Background(), 1, 2, 1, long) }()
	for bank.Requests("n1")+bank.Requests("n2")+bank.Requests("n3") < 6 { // two passes without a leader
		select {
		case r := <-result:
			t.Fatalf("gave up with %s (%s) while the cluster elected", r.Outcome, r.Message)
		case <-time.After(time.Millisecond):
		}
	}
	bank.SetElecting(false, "n1", "n2", "n3")
	want(t, <-result, Committed)
}

func TestNamedLeaderIsGone(t *testing.T) {
	bank, s := open(t)
	bank.SetDeluded("n2", "n1")
	bank.SetDeluded("n3", "n1")
	bank.SetLive(false, "n1")
	// Followers that still believe in a leader that is away are an election to
	// come, never a missing quorum; at the deadline nothing had been taken.
	r := s.Transfer(context.Background(), 1, 2, 1, 600*time.Millisecond)
	want(t, r, Unavailable)
	if r.Attempts < 4 {
		t.Errorf("%d attempts until the deadline, want more than one pass", r.Attempts)
	}
	bank.SetDeluded("n2", "")
	want(t, s.Transfer(context.Background(), 1, 2, 1, long), Committed)
}

func TestNoQuorumIsToldQuickly(t *testing.T) {
	for _, how := range []string{"disconnected", "killed"} {
		t.Run(how, func(t *testing.T) {
			bank, s := open(t)
			ctx := context.Background()
			want(t, s.Transfer(ctx, 1, 2, 1, long), Committed)
			for _, id := range []string{"n1", "n3"} {
				if how == "killed" {
					if err := bank.Kill(id); err != nil {
						t.Fatal(err)
					}
				} else {
					bank.SetLive(false, id)
				}
			}
			began := time.Now()
			r := s.Transfer(ctx, 1, 2, 1, long)
			// A broken stream can leave the first send in doubt, never the second.
			if r.Outcome == Unknown {
				began = time.Now()
				r = s.Transfer(ctx, 1, 2, 1, long)
			}
			want(t, r, Unavailable)
			want(t, s.Read(ctx, 1, long), Unavailable)
			if took := time.Since(began); took > long/2 {
				t.Errorf("took %s", took)
			}
			if !strings.Contains(r.Message, "c1 has no quorum") {
				t.Errorf("message %q does not name the cluster", r.Message)
			}
			want(t, s.Transfer(ctx, 51, 1, 1, long), Aborted)
			want(t, s.Transfer(ctx, 51, 52, 1, long), Committed)
		})
	}
}

func TestLostAnswer(t *testing.T) {
	for _, stream := range []bool{true, false} {
		for _, fate := range []fakebank.Fate{fakebank.DoSilently, fakebank.Swallow, fakebank.Doubt} {
			t.Run(fmt.Sprintf("stream=%t fate=%d", stream, fate), func(t *testing.T) {
				bank, s := open(t)
				bank.NoStream = !stream
				bank.Decide = func(string, *pb.TransactionRequest) fakebank.Fate { return fate }
				ctx := context.Background()
				r := s.Transfer(ctx, 1, 2, 1, 300*time.Millisecond)
				want(t, r, Unknown)
				if got := s.DoneBelow(); got != r.Timestamp {
					t.Errorf("done_below is %d while %d is open", got, r.Timestamp)
				}
				q := Request{Client: r.Client, Timestamp: r.Timestamp, Epoch: r.Epoch, From: 1}
				bank.SetLive(false, "n2", "n3")
				want(t, s.Resolve(ctx, q, long), Unknown)
				bank.SetLive(true, "n2", "n3")
				if fate == fakebank.DoSilently {
					want(t, s.Resolve(ctx, q, long), Committed)
				} else {
					want(t, s.Resolve(ctx, q, long), Aborted)
				}
				if got := s.DoneBelow(); got != r.Timestamp+1 {
					t.Errorf("done_below is %d after %d was resolved", got, r.Timestamp)
				}
			})
		}
	}
}

// TestDoubtIsNotForgotten: once one send is in doubt, a later refusal of another
// must not turn the request into a definite failure.
func TestDoubtIsNotForgotten(t *testing.T) {
	for _, then := range []fakebank.Fate{fakebank.Abort, fakebank.Decline} {
		bank, s := open(t)
		sends := 0
		bank.Decide = func(string, *pb.TransactionRequest) fakebank.Fate {
			if sends++; sends == 1 {
				return fakebank.Doubt
			}
			return then
		}
		r := s.Transfer(context.Background(), 1, 2, 1, 600*time.Millisecond)
		want(t, r, Unknown)
		if r.Attempts < 2 {
			t.Errorf("%d attempts, want a second one", r.Attempts)
		}
	}
}

func TestAbortedIsReported(t *testing.T) {
	bank, s := open(t)
	bank.Decide = func(string, *pb.TransactionRequest) fakebank.Fate { return fakebank.Abort }
	r := s.Transfer(context.Background(), 1, 51, 1, long)
	want(t, r, Aborted)
	if r.Attempts != 1 {
		t.Errorf("%d attempts, want 1: the session does not retry an abort", r.Attempts)
	}
}

func TestHangUpUnderWay(t *testing.T) {
	bank, s := open(t)
	arrived := make(chan struct{})
	var once sync.Once
	bank.Decide = func(node string, _ *pb.TransactionRequest) fakebank.Fate {
		if node == "n1" {
			once.Do(func() { close(arrived) })
			return fakebank.DoSilently
		}
		return fakebank.Serve
	}
	result := make(chan Result, 1)
	go func() { result <- s.Transfer(context.Background(), 1, 2, 1, long) }()
	<-arrived
	bank.SetLive(false, "n1")
	r := <-result // n2 leads now and knows the outcome
	want(t, r, Committed)
	if r.Node != "n2" || bank.Balance(1) != 9 {
		t.Errorf("answered by %s, item 1 holds %d; want n2 and 9", r.Node, bank.Balance(1))
	}
}

func TestOtherEpoch(t *testing.T) {
	_, s := open(t)
	s.SetEpoch(7, 0)
	r := s.Transfer(context.Background(), 1, 2, 1, long)
	want(t, r, Unavailable)
}

func TestInterrupt(t *testing.T) {
	bank, s := open(t)
	arrived := make(chan struct{}, 1)
	bank.Decide = func(string, *pb.TransactionRequest) fakebank.Fate {
		arrived <- struct{}{}
		return fakebank.Swallow
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		<-arrived
		cancel()
	}()
	r := s.Transfer(ctx, 1, 2, 1, time.Minute)
	want(t, r, Unknown)
	if r.Message != "interrupted" {
		t.Errorf("message %q", r.Message)
	}
}

func TestManyAtOnce(t *testing.T) {
	for _, stream := range []bool{true, false} {
		bank, s := open(t)
		bank.NoStream = !stream
		const workers, each = 50, 40
		var wg sync.WaitGroup
		var mu sync.Mutex
		count := map[Outcome]int{}
		for w := range workers {
			wg.Go(func() {
				for range each {
					r := s.Transfer(context.Background(), int64(1+w), int64(51+w), 1, long)
					mu.Lock()
					count[r.Outcome]++
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		// Every item held 10, so ten of each worker's transfers have the money.
		if count[Committed] != workers*10 || count[InsufficientFunds] != workers*(each-10) {
			t.Errorf("stream %t: %v", stream, count)
		}
		if got := s.DoneBelow(); got != workers*each+1 {
			t.Errorf("done_below is %d at the end, want %d", got, workers*each+1)
		}
		if floors := bank.Floors(); slices.Max(floors) > workers*each {
			t.Errorf("a request carried done_below %d, above every timestamp", slices.Max(floors))
		}
	}
}

// TestSharedConnections: sessions that share connections give their requests the
// same timestamps, and each must get its own answers.
func TestSharedConnections(t *testing.T) {
	_, first := open(t)
	second, err := New(first.nodes)
	if err != nil {
		t.Fatal(err)
	}
	second.SetEpoch(1, first.topology.Hash())
	const each = 100
	var wg sync.WaitGroup
	for i, s := range []*Session{first, second} {
		for range each {
			// The poor session's transfers fail, so a mixed-up answer shows too.
			from, amount, expected := int64(1), int64(1), Committed
			if i == 1 {
				from, amount, expected = 2, 1000, InsufficientFunds
			}
			wg.Go(func() {
				for range 5 {
					if r := s.Transfer(context.Background(), from, 3, amount, long); r.Outcome != expected {
						if i == 0 && r.Outcome == InsufficientFunds {
							continue // item 1 holds only ten
						}
						t.Errorf("session %d: outcome %s (%s), want %s", i, r.Outcome, r.Message, expected)
						return
					}
				}
			})
		}
	}
	wg.Wait()
}

func TestLedger(t *testing.T) {
	l := ledger{next: 1, low: 1, closed: map[uint64]bool{}}
	for range 4 {
		l.open()
	}
	for _, step := range []struct{ close, low uint64 }{{2, 1}, {3, 1}, {1, 4}, {1, 4}, {4, 5}} {
		if l.close(step.close); l.low != step.low {
			t.Fatalf("after closing %d: low is %d, want %d", step.close, l.low, step.low)
		}
	}
	if len(l.closed) != 0 {
		t.Errorf("%d closed timestamps remembered below the floor", len(l.closed))
	}
}

func TestRenewAddress(t *testing.T) {
	bank, s := open(t)
	if err := s.nodes.Renew("n1", ""); err != nil {
		t.Fatal(err)
	}
	want(t, s.Transfer(context.Background(), 1, 2, 1, long), Committed)
	// n1's connection now leads to n2, which is no leader and names n1.
	if err := s.nodes.Renew("n1", bank.Topology().Clusters[0].Nodes[1].Address); err != nil {
		t.Fatal(err)
	}
	want(t, s.Transfer(context.Background(), 1, 2, 1, 100*time.Millisecond), Unavailable)
}

// TestHangUp: what was under way on a stream is in doubt, and the next transfer
// has a stream of its own.
func TestHangUp(t *testing.T) {
	bank, s := open(t)
	arrived := make(chan struct{})
	first := true
	bank.Decide = func(string, *pb.TransactionRequest) fakebank.Fate {
		if first {
			first = false
			close(arrived)
			return fakebank.DoSilently
		}
		return fakebank.Abort
	}
	result := make(chan Result, 1)
	go func() { result <- s.Transfer(context.Background(), 1, 2, 1, 300*time.Millisecond) }()
	<-arrived
	s.nodes.HangUp()
	want(t, <-result, Unknown)
	want(t, s.Transfer(context.Background(), 1, 2, 1, long), Aborted)
}
