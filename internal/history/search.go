package history

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"
)

// maxSearchBytes bounds what one search may remember. porcupine keeps a bit set
// of the operations and a state for every step that it has seen to lead nowhere.
const maxSearchBytes = 256 << 20

// limit bounds searches: in time, or in steps. One of them is 0.
type limit struct {
	time  time.Duration
	steps int
}

// share is the part of the limit that each of n searches has.
func (l limit) share(n int) limit {
	return limit{time: l.time / time.Duration(n), steps: l.steps / n}
}

func (l limit) String() string {
	if l.steps > 0 {
		return fmt.Sprintf("%d steps", l.steps)
	}
	return l.time.Round(time.Millisecond).String()
}

// search gives the pieces that no guess explained to porcupine, the small ones
// first, each with an equal part of the budget.
func search(hard []*piece, budget limit) Result {
	if len(hard) == 0 {
		return Result{Verdict: Yes}
	}
	slices.SortStableFunc(hard, func(a, b *piece) int { return cmp.Compare(len(a.ops), len(b.ops)) })
	share := budget.share(len(hard))
	result := Result{Verdict: Yes}
	for _, p := range hard {
		switch verdict, _ := p.search(share); verdict {
		case No:
			return p.refuted()
		case Unknown:
			if result.Verdict == Yes {
				result = Result{Unknown, fmt.Sprintf("the search over %d overlapping operations on %d items was given up after %s (a longer budget may decide it)",
					len(p.ops), len(p.items), share), ids(p.ops)}
			}
		}
	}
	return result
}

// search decides one piece, or returns Unknown. used is how many steps a decision
// took.
func (p *piece) search(budget limit) (verdict Verdict, used int) {
	if budget.time <= 0 && budget.steps <= 0 {
		return Unknown, 0
	}
	perStep := len(p.ops)/8 + 8*len(p.items) + 128
	most := maxSearchBytes / perStep
	if budget.steps > 0 {
		most = min(most, budget.steps)
	}
	steps, exhausted := most, false
	model := porcupine.Model{
		Init: func() any { return p.start },
		Step: func(state, input, output any) (bool, any) {
			// Beyond the bound everything is accepted, which ends the search soon; the
			// verdict is then Unknown.
			if steps--; steps < 0 {
				exhausted = true
				return true, state
			}
			next := slices.Clone(state.([]int64))
			return p.step(next, input.(*Op)), next
		},
		Equal: func(a, b any) bool { return slices.Equal(a.([]int64), b.([]int64)) },
		Hash: func(state any) uint64 {
			var h uint64
			for _, b := range state.([]int64) {
				h = (h ^ uint64(b)) * 0x9e3779b97f4a7c15
				h ^= h >> 29
			}
			return h
		},
	}
	ops := make([]porcupine.Operation, len(p.ops))
	for i := range p.ops {
		op := &p.ops[i]
		end := int64(op.Return)
		if op.Outcome == Indeterminate {
			end = math.MaxInt64
		}
		ops[i] = porcupine.Operation{ClientId: i, Input: op, Call: int64(op.Call), Return: end}
	}
	result := porcupine.CheckOperationsTimeout(model, ops, budget.time) // 0: no timeout
	switch {
	// After a timeout porcupine's goroutine may still be writing steps and exhausted.
	case result == porcupine.Unknown:
		return Unknown, 0
	case exhausted:
		return Unknown, most
	case result == porcupine.Ok:
		return Yes, most - steps
	}
	return No, most - steps
}

// balances describes the state that the piece begins with.
func (p *piece) balances() string {
	const most = 6
	s := ""
	for i, item := range p.items {
		if i == most {
			return s + ", …"
		}
		if i > 0 {
			s += ", "
		}
		s += fmt.Sprintf("%d = %d", item, p.start[i])
	}
	return s
}
