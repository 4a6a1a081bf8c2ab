package report

import (
	"encoding/json"
	"io"
	"slices"

	"paxbank/client/runner"
)

// HistorySchema names the version of history.jsonl; its first line says it.
// Fields may be added within a version; a new type of line, or a change of
// meaning, makes a new one, since a judge that skips what it does not know may
// err.
const HistorySchema = "paxbank.history/1"

// HistoryFile is the history's name in a run directory.
const HistoryFile = "history.jsonl"

// History writes a run that is over as history.jsonl: all of a RunResult but the
// addresses of nodes, which name machines. ReadHistory makes the same RunResult
// of it. results/README.md describes the lines.
func History(w io.Writer, run *runner.RunResult) error {
	h := newHistoryWriter(w)
	h.begin(run)
	for i := range run.Sets {
		h.set(&run.Sets[i])
	}
	h.end(run)
	return h.err
}

// historyWriter writes lines until the first error.
type historyWriter struct {
	encoder *json.Encoder
	err     error
}

func newHistoryWriter(w io.Writer) *historyWriter {
	h := &historyWriter{encoder: json.NewEncoder(w)}
	h.encoder.SetEscapeHTML(false)
	return h
}

func (h *historyWriter) line(line any) {
	if h.err == nil {
		h.err = h.encoder.Encode(line)
	}
}

// begin writes what is known of a run before its first set.
func (h *historyWriter) begin(run *runner.RunResult) {
	h.line(runLineOf(run))
}

// end writes what is known of a run after its last set.
func (h *historyWriter) end(run *runner.RunResult) {
	h.line(&runEndLine{Type: typeRunEnd, Interrupted: run.Interrupted, NodesFailed: run.NodesFailed})
}

// set writes a set. Its last line tells a reader that the set is whole.
func (h *historyWriter) set(set *runner.SetResult) {
	number := set.Set.Number
	h.line(setLineOf(set))
	for _, c := range set.Set.Commands {
		h.line(&commandLine{Type: typeCommand, Set: number, command: commandOf(c)})
	}
	h.events(set)
	for _, problem := range set.Problems {
		h.line(&problemLine{Type: typeProblem, Set: number, At: microseconds(set.Ended), Text: problem})
	}
	rows := rowPool[runner.LogRow]{write: func(n int, r runner.LogRow) {
		h.line(&logLine{Type: typeLog, Set: number, Row: n, logRow: logRowOf(r)})
	}}
	statuses := rowPool[runner.StatusRow]{write: func(n int, r runner.StatusRow) {
		h.line(&statusLine{Type: typeStatus, Set: number, Row: n, statusRow: statusRowOf(r)})
	}}
	for i := range set.Nodes {
		n := &set.Nodes[i]
		log, status := rows.add(n.Log), statuses.add(n.Statuses)
		h.line(balancesLineOf(set, n))
		h.line(nodeLineOf(number, n, log, status))
	}
	for i := range set.Views {
		v := &set.Views[i]
		entries := rows.add(v.Entries)
		h.line(viewLineOf(number, v, entries))
	}
	for _, a := range set.Audit {
		h.line(auditLineOf(number, a))
	}
	h.line(&setEndLine{Type: typeSetEnd, Set: number})
}

// events writes calls and observations in the order in which they began.
func (h *historyWriter) events(set *runner.SetResult) {
	type event struct {
		at   microseconds
		line any
	}
	events := make([]event, 0, len(set.Calls)+len(set.Observations))
	for i := range set.Calls {
		c := callLineOf(set.Set.Number, i+1, &set.Calls[i])
		events = append(events, event{c.Start, c})
	}
	for i, o := range set.Observations {
		at := microseconds(o.At)
		events = append(events, event{at, &observationLine{Type: typeObservation, Set: set.Set.Number, At: at, Number: i + 1, Line: o.Line, Text: o.Text}})
	}
	slices.SortStableFunc(events, func(a, b event) int { return int(max(-1, min(1, a.at-b.at))) })
	for _, e := range events {
		h.line(e.line)
	}
}

// rowPool writes every distinct row of a set once, when it is first met. The
// replicas of a cluster hold mostly the same rows, and those of a large set would
// be most of the file.
type rowPool[R comparable] struct {
	write func(number int, row R)
	known map[R]int
}

// add returns the numbers of rows, from 1, as spans.
func (p *rowPool[R]) add(rows []R) spans {
	if p.known == nil {
		p.known = make(map[R]int, len(rows))
	}
	var s spans
	for _, r := range rows {
		n, ok := p.known[r]
		if !ok {
			n = len(p.known) + 1
			p.known[r] = n
			p.write(n, r)
		}
		if last := len(s) - 1; last >= 0 && s[last][1] == n-1 {
			s[last][1] = n
		} else {
			s = append(s, [2]int{n, n})
		}
	}
	return s
}

// spans are row numbers, each pair the first and the last of a run of them.
type spans [][2]int
