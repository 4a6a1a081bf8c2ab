package check

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"paxbank/client/runner"
	"paxbank/internal/history"
)

// serialisable: one serial order that respects real time explains what clients
// saw.
func (f *facts) serialisable() Check {
	ops := make([]history.Op, 0, len(f.set.Calls))
	var unknownItems []int64
	for i := range f.set.Calls {
		c := &f.set.Calls[i]
		op := history.Op{ID: i, Call: c.Start, Return: c.End, From: c.Command.From, To: c.Command.To, Amount: c.Command.Amount}
		if c.Resolved && c.ResolvedAt > op.Return {
			op.Return = c.ResolvedAt
		}
		switch c.Outcome {
		case runner.Committed:
			op.Outcome = history.Committed
		case runner.InsufficientFunds:
			op.Outcome = history.InsufficientFunds
		case runner.Value:
			op.Read, op.Item, op.Outcome, op.Value = true, c.Command.Item, history.Value, c.Value
		case runner.Aborted, runner.Unavailable, runner.Invalid:
			continue
		default:
			if c.Kind == "read" {
				continue
			}
			op.Outcome = history.Indeterminate
			unknownItems = append(unknownItems, op.From, op.To)
		}
		ops = append(ops, op)
	}
	// The balances at the end tell more about transfers of unknown outcome.
	slices.Sort(unknownItems)
	for _, item := range slices.Compact(unknownItems) {
		c, ok := f.cluster(item)
		if !ok || f.best[c] == nil || f.best[c].Prepared > 0 || !f.doubt[c].complete {
			continue
		}
		end := max(f.set.Ended, lastEnd(ops))
		ops = append(ops, history.Op{ID: -1, Read: true, Item: item, Value: f.balance(f.best[c], item), Call: end + 1, Return: end + 1, Outcome: history.Value})
	}
	ops, start := f.carriedOps(ops)
	r := history.Check(start, ops, HistoryBudget)
	verdict := map[history.Verdict]Verdict{history.Yes: Pass, history.No: Fail, history.Unknown: Unknown}[r.Verdict]
	message := ""
	if verdict != Pass {
		message = r.Reason + f.lines(r.Ops)
		if verdict == Fail {
			message += ": invariant strict serialisability, what clients saw is explained by one serial order that respects real time"
		}
	}
	check := invariant("serialisable", "history", verdict, "one serial order", r.Verdict.String(), "%s", message)
	if verdict == Fail {
		for _, i := range r.Ops {
			if i >= 0 && len(check.Lines) < maxListed {
				check.Lines = append(check.Lines, f.set.Calls[i].Command.Line)
			}
		}
	}
	return check
}

// carriedOps adds what transfers of earlier sets may do in this one: between each of
// their items and one that nobody else knows, at any time or never. start says what
// those hold, too.
func (f *facts) carriedOps(ops []history.Op) (all []history.Op, start func(int64) int64) {
	funds := map[int64]int64{}
	for i, x := range f.carried() {
		outside := -int64(i) - 1
		op := history.Op{ID: -1, From: outside, To: x.item, Amount: x.change, Outcome: history.Indeterminate}
		if x.change < 0 {
			op.From, op.To, op.Amount = x.item, outside, -x.change
		}
		funds[outside] = op.Amount
		ops = append(ops, op)
	}
	return ops, func(item int64) int64 {
		if held, ok := funds[item]; ok {
			return held
		}
		return f.initial(item)
	}
}

// lastEnd is when the last operation with a known outcome ended.
func lastEnd(ops []history.Op) (end time.Duration) {
	for i := range ops {
		end = max(end, ops[i].Return, ops[i].Call)
	}
	return end
}

// lines names the lines of the test set that calls come from.
func (f *facts) lines(calls []int) string {
	var parts []string
	for _, i := range calls {
		if i < 0 {
			continue
		}
		if len(parts) == 6 {
			parts = append(parts, "…")
			break
		}
		parts = append(parts, strconv.Itoa(f.set.Calls[i].Command.Line))
	}
	if len(parts) == 0 {
		return ""
	}
	return " (line " + strings.Join(parts, ", ") + ")"
}
