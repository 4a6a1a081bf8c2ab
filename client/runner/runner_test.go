package runner

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"paxbank/client/session"
	"paxbank/client/testset"
	"paxbank/internal/fakebank"
	"paxbank/internal/topology"
	pb "paxbank/proto/paxbank/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bank starts a fake bank of two clusters of three nodes (items 1–50, 51–100,
// each at 10) and a runner for it.
func bank(t *testing.T, opt Options) (*fakebank.Bank, *Runner) {
	t.Helper()
	shape, err := topology.Uniform(2, 3, 100, 10)
	if err != nil {
		t.Fatal(err)
	}
	b, err := fakebank.Start(shape)
	if err != nil {
		t.Fatal(err)
	}
	opt.Nodes, err = session.Connect(b.Topology())
	if err != nil {
		t.Fatal(err)
	}
	opt.Started = time.Now()
	if opt.Fault == FaultKill {
		opt.Processes = b
	}
	r, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := opt.Nodes.Close(); err != nil {
			t.Error(err)
		}
		b.Stop()
	})
	return b, r
}

func transfer(line int, from, to, amount int64) testset.Command {
	return testset.Command{Line: line, Kind: testset.Transfer, From: from, To: to, Amount: amount, Text: fmt.Sprintf("(%d, %d, %d)", from, to, amount)}
}

func read(line int, item int64) testset.Command {
	return testset.Command{Line: line, Kind: testset.Read, Item: item, Text: fmt.Sprintf("(%d)", item)}
}

func failed(line int, node string) testset.Command {
	return testset.Command{Line: line, Kind: testset.Fail, Node: node, Text: "F(" + node + ")"}
}

func recovered(line int, node string) testset.Command {
	return testset.Command{Line: line, Kind: testset.Recover, Node: node, Text: "R(" + node + ")"}
}

func run(t *testing.T, r *Runner, set testset.Set) SetResult {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	res, err := r.RunSet(ctx, set)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// summary of a set's calls: batch, command, outcome and value.
func summary(res SetResult) []string {
	var rows []string
	for _, c := range res.Calls {
		row := fmt.Sprintf("%d %s %s %s", c.Batch, c.Command.Text, c.Kind, c.Outcome)
		if c.Outcome == Value {
			row += fmt.Sprint(" ", c.Value)
		}
		if c.Resolved {
			row += " resolved"
		}
		rows = append(rows, row)
	}
	return rows
}

func TestSet(t *testing.T) {
	for _, fault := range []string{FaultPause, FaultKill} {
		t.Run(fault, func(t *testing.T) {
			_, r := bank(t, Options{Fault: fault})
			res := run(t, r, testset.Set{Number: 1, Live: []string{"n6", "n1", "n2", "n4", "n5"}, Commands: []testset.Command{
				transfer(1, 1, 2, 3),
				transfer(2, 1, 51, 2),
				read(3, 1),
				failed(4, "n3"), // never was live
				failed(5, "n1"),
				failed(6, "n1"),
				transfer(7, 1, 2, 1), // c1 has one node left
				transfer(8, 51, 1, 1),
				transfer(9, 51, 52, 30),
				recovered(10, "n3"),
				recovered(11, "n4"), // is live
				transfer(12, 1, 2, 5),
				{Line: 13, Kind: testset.LeaderFail, Text: "LF"},
				read(14, 1),
				read(15, 51),
			}})
			if len(res.Problems) > 0 {
				t.Errorf("problems: %q", res.Problems)
			}
			want := []string{
				"1 (1, 2, 3) intra committed", "1 (1, 51, 2) cross committed", "1 (1) read value 5",
				"2 (1, 2, 1) intra unavailable", "2 (51, 1, 1) cross aborted", "2 (51, 52, 30) intra insufficient_funds",
				"3 (1, 2, 5) intra committed",
				"4 (1) read unavailable", "4 (51) read value 12",
			}
			if d := cmp.Diff(want, summary(res)); d != "" {
				t.Errorf("calls (-want +got):\n%s", d)
			}
			// LF: n2 leads c1 and n4 leads c2.
			if d := cmp.Diff([]string{"n3", "n5", "n6"}, res.LiveAtEnd); d != "" {
				t.Errorf("live at the end (-want +got):\n%s", d)
			}
			if d := cmp.Diff([]string{"c2"}, res.QuorumAtEnd); d != "" {
				t.Errorf("quorum at the end (-want +got):\n%s", d)
			}
			if d := cmp.Diff([]string{"n1", "n2", "n4", "n5", "n6"}, res.Live); d != "" {
				t.Errorf("live at the start (-want +got):\n%s", d)
			}
			for _, n := range res.Nodes {
				want := map[int64]int64{1: 0, 2: 18}
				if n.Cluster == "c2" {
					want = map[int64]int64{51: 12, 52: 10}
				}
				if d := cmp.Diff(want, n.Balances); d != "" || n.Err != "" {
					t.Errorf("%s: %s balances (-want +got):\n%s", n.ID, n.Err, d)
				}
				if n.Live != slices.Contains(res.LiveAtEnd, n.ID) || !n.Reachable || len(n.Log) == 0 {
					t.Errorf("%s: live %t, reachable %t, %d log rows", n.ID, n.Live, n.Reachable, len(n.Log))
				}
			}
			if len(res.Views) != 2 || !slices.Equal(res.Views[0].SeenBy, []string{"n1", "n2", "n3"}) {
				t.Errorf("views %+v", res.Views)
			}
			if h := res.LockHold; h.Count != 12 || !slices.Equal(h.Upper, []uint64{10, 20}) || !slices.Equal(h.Counts, []uint64{6, 6}) {
				t.Errorf("lock hold times %+v", h)
			}
			if res.Busy <= 0 || res.Busy > res.Ended-res.Started {
				t.Errorf("busy %s of %s", res.Busy, res.Ended-res.Started)
			}
		})
	}
}

func TestSetsAreIndependent(t *testing.T) {
	_, r := bank(t, Options{})
	set := testset.Set{Number: 1, Commands: []testset.Command{transfer(1, 1, 2, 10), failed(2, "n1"), failed(3, "n2"), read(4, 51)}}
	first := run(t, r, set)
	second := run(t, r, set)
	if d := cmp.Diff(summary(first), summary(second)); d != "" {
		t.Errorf("the second run differs (-first +second):\n%s", d)
	}
	if first.Nodes[0].Epoch >= second.Nodes[0].Epoch {
		t.Errorf("epochs %d and then %d", first.Nodes[0].Epoch, second.Nodes[0].Epoch)
	}
	if second.StartBalances != nil {
		t.Error("start balances without keep-state")
	}
}

func TestKeepState(t *testing.T) {
	_, r := bank(t, Options{KeepState: true})
	run(t, r, testset.Set{Number: 1, Commands: []testset.Command{transfer(1, 1, 2, 10), failed(2, "n6")}})
	res := run(t, r, testset.Set{Number: 2, Commands: []testset.Command{transfer(3, 1, 2, 1), transfer(4, 2, 51, 20)}})
	if d := cmp.Diff([]string{"1 (1, 2, 1) intra insufficient_funds", "1 (2, 51, 20) cross committed"}, summary(res)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if d := cmp.Diff(map[int64]int64{1: 0, 2: 20}, res.StartBalances); d != "" {
		t.Errorf("start balances (-want +got):\n%s", d)
	}
	if len(res.LiveAtEnd) != 6 {
		t.Errorf("live at the end: %v; the second set's live nodes are all", res.LiveAtEnd)
	}
}

func TestUnknownIsResolved(t *testing.T) {
	b, r := bank(t, Options{Deadline: 500 * time.Millisecond})
	b.Decide = func(_ string, q *pb.TransactionRequest) fakebank.Fate {
		switch q.GetTransfer().GetAmount() {
		case 1:
			return fakebank.DoSilently
		case 2:
			return fakebank.Swallow
		}
		return fakebank.Serve
	}
	res := run(t, r, testset.Set{Commands: []testset.Command{transfer(1, 1, 2, 1), transfer(2, 3, 4, 2), read(3, 1)}})
	want := []string{"1 (1, 2, 1) intra committed resolved", "1 (3, 4, 2) intra aborted resolved", "1 (1) read value 9"}
	if d := cmp.Diff(want, summary(res)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	c := res.Calls[0]
	if c.ResolvedAt < c.End || res.Calls[2].Start < c.ResolvedAt {
		t.Errorf("ended at %s, resolved at %s, and the read that waits for it started at %s", c.End, c.ResolvedAt, res.Calls[2].Start)
	}
}

// TestUnknownWaitsForRecovery: what cannot be resolved because the quorum is
// gone stays unknown, and is resolved after an R brings the quorum back.
func TestUnknownWaitsForRecovery(t *testing.T) {
	for _, back := range []bool{false, true} {
		b, r := bank(t, Options{Deadline: 300 * time.Millisecond})
		// The runner believes in a quorum that the bank does not have.
		b.Decide = func(_ string, q *pb.TransactionRequest) fakebank.Fate { return fakebank.DoSilently }
		commands := []testset.Command{transfer(1, 1, 2, 1)}
		lost := false
		r.opt.Progress = func(text string) {
			if strings.Contains(text, "batch 1") && !lost {
				lost = true
				r.live["n2"], r.live["n3"] = false, false
			}
		}
		if back {
			commands = append(commands, recovered(2, "n2"))
		}
		res := run(t, r, testset.Set{Commands: commands})
		want := []string{"1 (1, 2, 1) intra unknown"}
		if back {
			want = []string{"1 (1, 2, 1) intra committed resolved"}
		}
		if d := cmp.Diff(want, summary(res)); d != "" {
			t.Errorf("R %t (-want +got):\n%s", back, d)
		}
	}
}

func TestNodeWithoutQuiet(t *testing.T) {
	b, r := bank(t, Options{})
	b.NoQuiet = true
	res := run(t, r, testset.Set{Commands: []testset.Command{transfer(1, 1, 2, 1)}})
	if len(res.Problems) > 0 {
		t.Errorf("problems: %q", res.Problems)
	}
}

func TestNodesCannotBeReached(t *testing.T) {
	b, r := bank(t, Options{})
	if err := b.Kill("n5"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	_, err := r.RunSet(ctx, testset.Set{Commands: []testset.Command{transfer(1, 1, 2, 1)}})
	if err == nil || !strings.Contains(err.Error(), "n5") {
		t.Errorf("error %v does not name the node that is away", err)
	}
}

func TestInterruptLeavesNoRowOut(t *testing.T) {
	b, r := bank(t, Options{Order: OrderSerial})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	b.OnTransfer = func(q *pb.TransactionRequest) func() {
		if q.GetTransfer().GetAmount() == 2 {
			cancel()
		}
		return func() {}
	}
	res, err := r.RunSet(ctx, testset.Set{Commands: []testset.Command{
		transfer(1, 1, 2, 1), transfer(2, 1, 2, 2), transfer(3, 1, 2, 3), failed(4, "n1"), transfer(5, 1, 2, 4),
	}})
	if err != nil {
		t.Fatal(err)
	}
	if len(res.Calls) != 4 || res.Calls[0].Outcome != Committed || res.Calls[2].Outcome != Unknown || res.Calls[3].Attempts != 0 {
		t.Errorf("calls %q", summary(res))
	}
	if len(res.LiveAtEnd) != 6 || !slices.Contains(res.Problems, "interrupted") {
		t.Errorf("live %v, problems %q", res.LiveAtEnd, res.Problems)
	}
	if len(res.Nodes) != 6 || !res.Nodes[0].Reachable {
		t.Error("the nodes' state was not collected")
	}
}

func TestOrder(t *testing.T) {
	commands := []testset.Command{
		transfer(1, 1, 2, 1), transfer(2, 3, 4, 1), transfer(3, 2, 3, 1), read(4, 4), transfer(5, 1, 2, 1), read(6, 5), transfer(7, 6, 6, 1), read(8, 6),
	}
	for how, want := range map[string][][]int{
		OrderFree:     {{}, {}, {}, {}, {}, {}, {}, {}},
		OrderSerial:   {{}, {0}, {1}, {2}, {3}, {4}, {5}, {6}},
		OrderConflict: {{}, {}, {0, 1}, {1}, {0, 2}, {}, {}, {6}},
	} {
		after, waits := order(how, commands)
		got := make([][]int, len(commands))
		for i := range got {
			got[i] = []int{}
		}
		for i, list := range after {
			for _, j := range list {
				got[j] = append(got[j], i)
			}
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", how, d)
		}
		for i, w := range waits {
			if w != len(want[i]) {
				t.Errorf("%s: command %d waits for %d, want %d", how, i, w, len(want[i]))
			}
		}
	}
}

// TestOrderIsKept runs a batch for each order and looks at which transfers were
// under way together.
func TestOrderIsKept(t *testing.T) {
	var commands []testset.Command
	for i := range 30 {
		commands = append(commands, transfer(i+1, int64(1+i%3), int64(4+i%2), 1))
	}
	for _, how := range []string{OrderConflict, OrderFree, OrderSerial} {
		b, r := bank(t, Options{Order: how})
		var mu sync.Mutex
		running := map[uint64]*pb.Transfer{}
		together, conflicts := 0, 0
		first := make(chan struct{})
		begun := 0
		b.OnTransfer = func(q *pb.TransactionRequest) func() {
			mu.Lock()
			for _, o := range running {
				together++
				n := q.GetTransfer()
				if o.From == n.From || o.To == n.To {
					conflicts++
				}
			}
			running[q.GetTimestamp()] = q.GetTransfer()
			begun++
			n := begun
			mu.Unlock()
			// The first waits for a second, where one may start before it ends.
			if how != OrderSerial {
				if n == 1 {
					<-first
				} else if n == 2 {
					close(first)
				}
			}
			return func() {
				mu.Lock()
				delete(running, q.GetTimestamp())
				mu.Unlock()
			}
		}
		res := run(t, r, testset.Set{Commands: commands})
		for _, c := range res.Calls {
			if c.Outcome != Committed {
				t.Errorf("%s: line %d %s", how, c.Command.Line, c.Outcome)
			}
		}
		switch how {
		case OrderSerial:
			if together != 0 {
				t.Errorf("serial: %d transfers met another", together)
			}
		case OrderConflict:
			if conflicts != 0 || together == 0 {
				t.Errorf("conflict: %d met another, %d of them a conflicting one", together, conflicts)
			}
		case OrderFree:
			if together == 0 {
				t.Errorf("free: no two transfers were under way together")
			}
		}
		for i, c := range res.Calls {
			for _, e := range res.Calls[:i] {
				shares := e.Command.From == c.Command.From || e.Command.To == c.Command.To
				if how == OrderConflict && shares && c.Start < e.End {
					t.Fatalf("line %d started at %s, before line %d ended at %s", c.Command.Line, c.Start, e.Command.Line, e.End)
				}
			}
		}
	}
}

func TestBusy(t *testing.T) {
	call := func(start, end time.Duration) Call { return Call{Start: start, End: end, Attempts: 1} }
	calls := []Call{call(10, 20), call(0, 5), call(12, 15), call(18, 30), {Start: 40, End: 90}}
	if got := busy(calls); got != 25 {
		t.Errorf("busy %d, want 25", got)
	}
}

func TestTimelines(t *testing.T) {
	_, r := bank(t, Options{})
	run(t, r, testset.Set{})
	lines, err := r.Timelines(context.Background(), 1, 1)
	if err != nil {
		t.Fatal(err)
	}
	if len(lines) != 2 || lines[0].Node != "n4" || lines[1].Node != "n1" || !lines[0].Released.IsZero() {
		t.Errorf("timelines %+v, want n4's and then n1's", lines)
	}
}
