package history

import (
	"fmt"
	"slices"
	"time"
)

// What is spent on making a refusal small, at most: steps of one search, and of
// all of them together, where looking at an operation counts as a step. The
// refusal stands without it.
const (
	shrinkStepsEach = 50_000
	shrinkStepsAll  = 2_000_000
)

// refuted is the refusal of a piece that no order explains. Its Ops are as few as
// were found: no serial order explains them, whatever became of the others.
func (p *piece) refuted() Result {
	small := p.shrunk()
	definite := slices.DeleteFunc(slices.Clone(small.ops), func(op Op) bool { return op.Outcome == Indeterminate })
	if len(definite) == 0 {
		small, definite = p, p.ops
	}
	others := ""
	if n := len(small.ops) - len(definite); n > 0 {
		others = fmt.Sprintf(", whatever became of %d others,", n)
	}
	return Result{No, fmt.Sprintf("no serial order explains these %d operations%s starting from %s: %s",
		len(definite), others, small.balances(), describe(definite)), ids(definite)}
}

// shrunk looks for a weaker piece that is refuted as well. Every change only
// allows more orders, so that what refutes the result refutes p: what happens
// after some moment is left out, an operation without effect is left out, and a
// transfer that was committed may have been or not.
func (p *piece) shrunk() *piece {
	left := shrinkStepsAll
	refutes := func(q *piece) bool {
		verdict, used := q.search(limit{steps: shrinkStepsEach})
		left -= used + len(q.ops)
		return verdict == No
	}
	ends := make([]time.Duration, 0, len(p.ops))
	for i := range p.ops {
		if p.ops[i].Outcome != Indeterminate {
			ends = append(ends, p.ops[i].Return)
		}
	}
	slices.Sort(ends)
	// The first moment at which something has ended that cannot be explained.
	small := p
	for low, high := 0, len(ends); low < high && left > 0; {
		middle := (low + high) / 2
		if q := p.until(ends[middle]); refutes(q) {
			small, high = q, middle
		} else {
			low = middle + 1
		}
	}
	for i := 0; i < len(small.ops) && left > 0; {
		if q, fewer := small.weaker(i); q != nil && refutes(q) {
			if small = q; fewer {
				continue // another operation is the i-th now
			}
		}
		i++
	}
	return small
}

// until is the piece as it was known at a moment: what had not ended may happen
// or not.
func (p *piece) until(at time.Duration) *piece {
	q := *p
	q.ops = nil
	for _, op := range p.ops {
		switch {
		case op.Call > at:
		case op.end() <= at:
			q.ops = append(q.ops, op)
		case !op.Read && op.Outcome != InsufficientFunds:
			op.Outcome = Indeterminate
			q.ops = append(q.ops, op)
		}
	}
	return &q
}

// weaker is the piece with less known of its i-th operation, nil if nothing is
// known of it already. fewer: it has one operation less.
func (p *piece) weaker(i int) (q *piece, fewer bool) {
	c := *p
	switch op := &p.ops[i]; {
	case op.Outcome == Indeterminate:
		return nil, false
	case op.Read || op.Outcome == InsufficientFunds:
		c.ops = slices.Delete(slices.Clone(p.ops), i, i+1)
		return &c, true
	}
	c.ops = slices.Clone(p.ops)
	c.ops[i].Outcome = Indeterminate
	return &c, false
}
