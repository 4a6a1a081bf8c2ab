package history

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// pieceOf makes a piece of operations on items 1 to items that hold 2 each.
func pieceOf(items int64, ops []Op) *piece {
	p := &piece{ops: ops, slot: map[int64]int{}}
	for item := int64(1); item <= items; item++ {
		p.slot[item] = len(p.items)
		p.items, p.start = append(p.items, item), append(p.start, 2)
	}
	return p
}

// TestShrunk: brute force refutes what is left too, and nothing more can be left
// out of it.
func TestShrunk(t *testing.T) {
	two := func(int64) int64 { return 2 }
	refuted, smaller := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		items := rapid.Int64Range(2, 3).Draw(t, "items")
		ops := make([]Op, rapid.IntRange(1, 6).Draw(t, "n"))
		for i := range ops {
			op := &ops[i]
			op.ID = i
			op.Call = time.Duration(rapid.IntRange(0, 8).Draw(t, "call"))
			op.Return = op.Call + time.Duration(rapid.IntRange(0, 6).Draw(t, "len"))
			op.From, op.Amount = rapid.Int64Range(1, items).Draw(t, "item"), 1
			op.To = op.From%items + 1
			op.Outcome = rapid.SampledFrom([]Outcome{Committed, InsufficientFunds, Indeterminate, Value}).Draw(t, "outcome")
			if op.Outcome == Value {
				op.Read, op.Item, op.Value = true, op.From, rapid.Int64Range(0, 5).Draw(t, "value")
			}
		}
		p := pieceOf(items, ops)
		if verdict, _ := p.search(limit{steps: 1 << 20}); verdict != No {
			return
		}
		refuted++
		small := p.shrunk()
		if bruteForce(two, small.ops) {
			t.Fatalf("what is left can be explained:\n%sof\n%s", listing(small.ops), listing(ops))
		}
		if len(small.ops) < len(ops) {
			smaller++
		}
		for i := range small.ops {
			if q, _ := small.weaker(i); q != nil && !bruteForce(two, q.ops) {
				t.Fatalf("%s is needless in\n%s", &small.ops[i], listing(small.ops))
			}
		}
	})
	if refuted < 10 || smaller < 5 {
		t.Errorf("%d pieces were refuted and %d made smaller: too few to show anything", refuted, smaller)
	}
}

// TestRefusalIsSmall: among many operations the few that contradict each other
// are named, and what may have happened besides is counted.
func TestRefusalIsSmall(t *testing.T) {
	ops := []Op{
		transfer(1, 2, 3, 0, 90, Committed), transfer(3, 1, 1, 0, 90, Committed), read(3, 9, 1, 80), read(2, 13, 1, 80),
		read(1, 7, 10, 20), read(1, 10, 30, 40), transfer(2, 3, 2, 50, 90, Committed), read(1, 8, 60, 70),
	}
	for i := range ops {
		ops[i].ID = i
	}
	got := CheckSteps(ten, ops, 100_000)
	if got.Verdict != No || !slices.Equal(got.Ops, []int{4, 5}) ||
		!strings.Contains(got.Reason, "these 2 operations, whatever became of 2 others,") {
		t.Errorf("%v: operations %v: %s; want no because of 4 and 5, the reads that go back in time", got.Verdict, got.Ops, got.Reason)
	}
}

// TestStepsAreABudget: a budget in steps is spent, and gives the same answer twice.
func TestStepsAreABudget(t *testing.T) {
	var ops []Op
	for i := range 12 {
		ops = append(ops, transfer(1, 2, int64(1+i%3), 0, 100, Committed), read(1, int64(i), 0, 100))
	}
	ops = append(ops, read(2, 11, 0, 100))
	fifty := func(int64) int64 { return 50 }
	few, again := CheckSteps(fifty, ops, 50), CheckSteps(fifty, ops, 50)
	if few.Verdict != Unknown || few.Reason != again.Reason || !strings.Contains(few.Reason, "given up after 50 steps") {
		t.Errorf("with 50 steps: %v %q, then %v %q; want unknown twice, naming the steps", few.Verdict, few.Reason, again.Verdict, again.Reason)
	}
}
