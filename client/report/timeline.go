package report

import (
	"io"
	"strconv"
	"time"

	"paxbank/client/runner"
)

// PrintTimeline prints the measured life of the locks of one cross-shard
// transfer: a table an attempt, a column a leader that took part, a row a step
// of the way of a transfer (ARCHITECTURE.md), as time since the lock was first
// taken. Times of different nodes are by their own clocks.
func PrintTimeline(w io.Writer, call *runner.Call, timelines []runner.Timeline) error {
	p := &printer{w: w}
	p.title("Timeline of %s (line %d): %s after %s", call.Command.Text, call.Command.Line, call.Outcome, span(call.Latency()))
	if len(timelines) == 0 {
		p.printf("no node has one: only cross-shard transfers lock their items, and nodes keep a bounded number of timelines\n")
		return p.err
	}
	for _, attempt := range attempts(timelines) {
		p.attempt(attempt)
	}
	return p.err
}

// attempts groups timelines by attempt, in the order in which they began;
// the coordinator comes first in each.
func attempts(timelines []runner.Timeline) [][]*runner.Timeline {
	var order []string
	byTxn := map[string][]*runner.Timeline{}
	for i := range timelines {
		t := &timelines[i]
		if byTxn[t.TxnID] == nil {
			order = append(order, t.TxnID)
		}
		if t.Role == "coordinator" {
			byTxn[t.TxnID] = append([]*runner.Timeline{t}, byTxn[t.TxnID]...)
		} else {
			byTxn[t.TxnID] = append(byTxn[t.TxnID], t)
		}
	}
	var out [][]*runner.Timeline
	for _, txn := range order {
		out = append(out, byTxn[txn])
	}
	return out
}

// steps are the rows of a timeline, in the order in which they usually happen.
var steps = []struct {
	name string
	at   func(*runner.Timeline) time.Time
}{
	{"lock taken", func(t *runner.Timeline) time.Time { return t.Locked }},
	{"TwoPCPrepare sent", func(t *runner.Timeline) time.Time { return t.PrepareSent }},
	{"P chosen", func(t *runner.Timeline) time.Time { return t.PrepareChosen }},
	{"participant prepared", func(t *runner.Timeline) time.Time { return t.ParticipantPrepared }},
	{"C or A chosen", func(t *runner.Timeline) time.Time { return t.DecisionChosen }},
	{"acknowledged", func(t *runner.Timeline) time.Time { return t.Acknowledged }},
	{"lock released", func(t *runner.Timeline) time.Time { return t.Released }},
}

func (p *printer) attempt(attempt []*runner.Timeline) {
	var start time.Time
	for _, t := range attempt {
		if !t.Locked.IsZero() && (start.IsZero() || t.Locked.Before(start)) {
			start = t.Locked
		}
	}
	p.printf("attempt %s\n", attempt[0].TxnID)
	header := []string{"Step"}
	for _, t := range attempt {
		header = append(header, ">"+t.Node+" "+t.Role)
	}
	out := newTable(header...)
	row := func(name string, cell func(*runner.Timeline) string) {
		cells := []string{name}
		empty := true
		for _, t := range attempt {
			c := cell(t)
			empty = empty && c == ""
			cells = append(cells, orDash(c))
		}
		if !empty {
			out.add(cells...)
		}
	}
	for _, s := range steps {
		name := s.name
		if name == "C or A chosen" {
			switch attempt[0].Outcome {
			case "committed":
				name = "C chosen"
			case "aborted":
				name = "A chosen"
			}
		}
		row(name, func(t *runner.Timeline) string {
			at := s.at(t)
			if at.IsZero() {
				return ""
			}
			if start.IsZero() {
				return at.UTC().Format("15:04:05.000000")
			}
			d := at.Sub(start)
			if d < 0 {
				return "-" + span(-d)
			}
			return "+" + span(d)
		})
	}
	row("lock held", func(t *runner.Timeline) string {
		if t.Locked.IsZero() || t.Released.IsZero() {
			return ""
		}
		return span(t.Released.Sub(t.Locked))
	})
	number := func(name string, get func(*runner.Timeline) int64) {
		row(name, func(t *runner.Timeline) string { return strconv.FormatInt(get(t), 10) })
	}
	number("item", func(t *runner.Timeline) int64 { return t.Item })
	row("sequence number", func(t *runner.Timeline) string { return uintText(t.Seq) })
	number("balance before", func(t *runner.Timeline) int64 { return t.BalanceBefore })
	number("balance after P", func(t *runner.Timeline) int64 { return t.BalancePrepared })
	number("balance after decision", func(t *runner.Timeline) int64 { return t.BalanceAfter })
	row("outcome", func(t *runner.Timeline) string { return t.Outcome })
	row("reason", func(t *runner.Timeline) string { return t.Reason })
	p.table(out)
}
