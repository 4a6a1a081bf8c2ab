// Package history decides whether what clients saw of a bank can be explained:
// is there one order of all transfers and reads that respects real time (what
// ended before another began comes before it) and in which every outcome is
// right? That is strict serialisability (ARCHITECTURE.md, invariant "strict
// serialisability"); operations being short and on named items, it is
// linearisability of the whole bank (Herlihy and Wing, 1990).
//
// Deciding that is NP-hard, so the history is made small first:
//
//   - Operations without effect (aborted, unavailable) constrain nothing.
//   - An item that is never read, was never too poor and cannot be overdrawn by
//     all its debits together in any order constrains nothing either.
//   - Operations that share no constraining item are independent of each other
//     (linearisability is local), so connected items are judged by themselves.
//   - Where everything before a moment has ended before anything after it began,
//     the balances at that moment are known, and the pieces are judged apart;
//     each piece is split again in the same ways until nothing falls apart.
//   - For each piece a likely order is tried first; only what that does not
//     explain goes to the search of porcupine, with a bound on time and memory.
//
// A refusal names as few operations as it can (shrink.go): those that no serial
// order explains whatever became of the others.
//
// The package is pure: it has no clock of its own and reads nothing.
package history

import (
	"fmt"
	"strings"
	"time"
)

// Outcome of an operation, as far as it matters here.
type Outcome int

// The outcomes.
const (
	// Committed: the transfer happened between Call and Return.
	Committed Outcome = iota + 1
	// InsufficientFunds: the sender had too little at some moment between Call and
	// Return; nothing changed.
	InsufficientFunds
	// NoEffect: aborted, unavailable or invalid; nothing changed, nothing was seen.
	NoEffect
	// Indeterminate: may take effect at any time after Call, or never.
	Indeterminate
	// Value: the read returned Op.Value.
	Value
)

// Op is one operation of a client.
type Op struct {
	ID int // the caller's name for it, for Result.Ops
	// Read of Item, or a transfer of Amount from From to To.
	Read             bool
	Item             int64
	From, To, Amount int64
	// Call and Return on one clock. Return counts only where the outcome says so.
	Call, Return time.Duration
	Outcome      Outcome
	Value        int64
}

// Verdict of a check.
type Verdict int

// The verdicts.
const (
	Yes     Verdict = iota + 1 // a serial order exists
	No                         // none exists
	Unknown                    // the budget was spent before either was shown
)

func (v Verdict) String() string {
	return [...]string{"", "yes", "no", "unknown"}[v]
}

// Result is what Check found out. For No and Unknown, Reason says why in one
// line and Ops are the IDs of the operations that it speaks of.
type Result struct {
	Verdict Verdict
	Reason  string
	Ops     []int
}

// Check decides whether ops are strictly serialisable from the initial
// balances. budget bounds the time of the searches together; easy histories,
// which are most, use none of it. To use what is known of the end, add it as
// reads that are called after everything else.
func Check(initial func(item int64) int64, ops []Op, budget time.Duration) Result {
	return check(initial, ops, limit{time: budget})
}

// CheckSteps is Check with a budget in steps of the searches instead of time, so
// that the same history has the same verdict on every machine.
func CheckSteps(initial func(item int64) int64, ops []Op, steps int) Result {
	return check(initial, ops, limit{steps: steps})
}

func check(initial func(item int64) int64, ops []Op, budget limit) Result {
	effective := make([]Op, 0, len(ops))
	for _, op := range ops {
		if op.Outcome == NoEffect {
			continue
		}
		if err := op.validate(); err != nil {
			return Result{Unknown, err.Error(), []int{op.ID}}
		}
		effective = append(effective, op)
	}
	var hard []*piece
	if bad := split(initial, effective, &hard); bad != nil {
		return *bad
	}
	return search(hard, budget)
}

func (op *Op) validate() error {
	switch {
	case op.Outcome < Committed || op.Outcome > Value,
		op.Read && op.Outcome != Value && op.Outcome != Indeterminate,
		!op.Read && op.Outcome == Value:
		return fmt.Errorf("%s has an outcome that does not belong to it", op)
	case op.Outcome != Indeterminate && op.Return < op.Call:
		return fmt.Errorf("%s ended before it began", op)
	case !op.Read && (op.Amount <= 0 || op.From == op.To):
		return fmt.Errorf("%s is not a transfer that a bank accepts", op)
	}
	return nil
}

func (op *Op) String() string {
	if op.Read {
		if op.Outcome == Value {
			return fmt.Sprintf("(%d) = %d", op.Item, op.Value)
		}
		return fmt.Sprintf("(%d)", op.Item)
	}
	word := map[Outcome]string{Committed: "committed", InsufficientFunds: "insufficient_funds", NoEffect: "no effect", Indeterminate: "unknown"}[op.Outcome]
	return fmt.Sprintf("(%d, %d, %d) %s", op.From, op.To, op.Amount, word)
}

// describe lists the first few operations.
func describe(ops []Op) string {
	const most = 6
	var parts []string
	for i := range ops {
		if i == most {
			parts = append(parts, fmt.Sprintf("and %d more", len(ops)-most))
			break
		}
		parts = append(parts, ops[i].String())
	}
	return strings.Join(parts, "; ")
}

func ids(ops []Op) []int {
	out := make([]int, len(ops))
	for i := range ops {
		out[i] = ops[i].ID
	}
	return out
}
