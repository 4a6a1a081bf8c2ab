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
	r := history.Check(f.initial, ops, HistoryBudget)
	verdict := map[history.Verdict]Verdict{history.Yes: Pass, history.No: Fail, history.Unknown: Unknown}[r.Verdict]
	message := ""
	if verdict != Pass {
		message = r.Reason + f.lines(r.Ops)
		if verdict == Fail {
			message += ": invariant strict serialisability, what clients saw is explained by one serial order that respects real time"
		}
	}
	return invariant("serialisable", "history", verdict, "one serial order", r.Verdict.String(), "%s", message)
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
