package bench

import (
	"context"
	"testing"
	"time"
)

// TestAuditFindsWhatIsWrong: a commit that the driver did not hear of, or that
// the nodes do not hold.
func TestAuditFindsWhatIsWrong(t *testing.T) {
	b := fake(t)
	ctx := context.Background()
	bank, err := connect(b.Topology())
	if err != nil {
		t.Fatal(err)
	}
	defer bank.close()
	if err := bank.reset(ctx); err != nil {
		t.Fatal(err)
	}
	e, err := newEngine(load{clients: 2, inflight: 4, transactions: 50, deadline: time.Second, seed: 1}, bank)
	if err != nil {
		t.Fatal(err)
	}
	before, err := bank.applied(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.run(ctx, hooks{begin: func() {}, end: func() {}}); err != nil {
		t.Fatal(err)
	}
	commits := e.result().commits
	if a := e.audit(ctx, before, commits); !a.passed() || a.failed() {
		t.Errorf("a sound run: %+v", a)
	}
	e.delta[3].Add(1)
	if a := e.audit(ctx, before, commits); !a.failed() || *a.balances || !*a.money {
		t.Errorf("an item that holds something else: %+v", a)
	}
	e.delta[3].Add(-1)
	if a := e.audit(ctx, before, []int64{commits[0] + 1, commits[1]}); !a.failed() || *a.commits {
		t.Errorf("a commit without an entry: %+v", a)
	}
	e.bank.topology.InitialBalance++
	if a := e.audit(ctx, before, commits); !a.failed() || len(a.problems) == 0 {
		t.Errorf("other balances at the start: %+v", a)
	}
	e.bank.topology.InitialBalance--
	e.settler.add(unsettled{})
	if a := e.audit(ctx, before, commits); a.passed() || a.failed() || a.balances != nil {
		t.Errorf("an unsettled transfer: %+v, want balances unknown", a)
	}
}

func TestFloor(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var parts []string
	f, err := measureFloor(ctx, t.TempDir(), 3, load{clients: 4, inflight: 16, deadline: 5 * time.Second}, 200*time.Millisecond, func(s string) { parts = append(parts, s) })
	if err != nil {
		t.Fatal(err)
	}
	for name, v := range map[string]float64{"fsyncs": f.FsyncsPerS, "files": f.FilesFsyncsPerS, "unary": f.UnaryPerS, "messages": f.StreamMessagesPerS, "transfers": f.StreamTransfersPerS} {
		if v <= 0 {
			t.Errorf("%s: %g a second", name, v)
		}
	}
	if f.StreamTransfersPerS < f.StreamMessagesPerS || f.FsyncMicros == nil || f.Files != 3 || len(parts) != 3 {
		t.Errorf("%+v after %v", f, parts)
	}
	r := &Run{CommittedPerS: ptr(f.StreamTransfersPerS / 4), FsyncsPerS: ptr(f.FilesFsyncsPerS / 2)}
	f.enter(r, &load{})
	if *f.Share != 0.25 || *f.FsyncShare != 0.5 {
		t.Errorf("shares %g and %g, want 0.25 and 0.5", *f.Share, *f.FsyncShare)
	}
	f.Share = nil
	if f.enter(r, &load{mix: mix{Reads: 0.5}}); f.Share != nil {
		t.Errorf("share %g of an echo that takes no reads", *f.Share)
	}
}

func TestUsage(t *testing.T) {
	moment := time.Unix(1000, 0)
	before := &usage{at: moment, completed: 100, driver: time.Second, nodes: 2 * time.Second, hasCPU: true, hasCounters: true, syncs: 50,
		locks: map[uint64]uint64{100: 5}, longestLock: 90, elections: 3, hasElections: true}
	after := &usage{at: moment.Add(2 * time.Second), completed: 1100, driver: 1500 * time.Millisecond, nodes: 4 * time.Second, hasCPU: true, hasCounters: true, syncs: 450,
		locks: map[uint64]uint64{100: 5, 200: 40}, longestLock: 190, elections: 5, hasElections: true}
	r := &Run{}
	r.enterUsage(before, after, true)
	if *r.CPUMicrosPerCommit != 2500 || *r.DriverCPUMicrosPerCommit != 500 || *r.FsyncsPerS != 200 {
		t.Errorf("%g and %g µs a commit, %g fsyncs a second; want 2500, 500, 200", *r.CPUMicrosPerCommit, *r.DriverCPUMicrosPerCommit, *r.FsyncsPerS)
	}
	if r.Elections == nil || *r.Elections != 2 {
		t.Errorf("elections %v, want 2", r.Elections)
	}
	if l := r.LockHoldMicros; l.Count != 40 || *l.P50 != 190 || l.Max != 190 || l.P90 != nil {
		t.Errorf("lock hold %+v, want 40 of at most 190 µs, and no p90", l)
	}
	r = &Run{}
	if r.enterUsage(before, after, false); r.CPUMicrosPerCommit != nil || r.FsyncsPerS != nil || r.LockHoldMicros != nil || r.Elections != nil {
		t.Error("CPU time and counters of processes that were replaced")
	}
	after.hasCounters, after.hasElections = false, false
	r = &Run{}
	if r.enterUsage(before, after, true); r.FsyncsPerS != nil || r.Elections != nil || r.LockHoldMicros != nil {
		t.Error("counters of nodes that do not offer them")
	}
}
