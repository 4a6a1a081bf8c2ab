package report

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"time"

	"github.com/gocarina/gocsv"

	"paxbank/client/check"
	"paxbank/client/runner"
)

// Write writes summary.json, summary.txt, history.jsonl, performance.csv and,
// for large sets, the side files into dir, which must exist. Each is replaced
// atomically, so Write may be called after every set: whatever happens next,
// the files of the last call are whole. verdicts belong to run.Sets by position.
func Write(dir string, run *runner.RunResult, verdicts []check.SetVerdict) error {
	files := []struct {
		name  string
		write func(io.Writer) error
	}{
		// The summary comes last: what it names is there by then.
		{"history.jsonl", func(w io.Writer) error { return History(w, run) }},
		{"performance.csv", func(w io.Writer) error { return PerformanceCSV(w, run) }},
		{"summary.txt", func(w io.Writer) error { return text(w, run, verdicts) }},
		{TransactionsFile, func(w io.Writer) error { return sideTransactions(w, run) }},
		{LogFile, func(w io.Writer) error { return sideLog(w, run) }},
		{"summary.json", func(w io.Writer) error { return JSON(w, run, verdicts) }},
	}
	for _, f := range files {
		if (f.name == TransactionsFile || f.name == LogFile) && !anyLarge(run) {
			continue
		}
		if err := writeAtomically(filepath.Join(dir, f.name), f.write); err != nil {
			return err
		}
	}
	return nil
}

// writeAtomically writes a file under a temporary name beside it, syncs it and
// renames it.
func writeAtomically(path string, write func(io.Writer) error) (err error) {
	fail := func(err error) error { return fmt.Errorf("cannot write %s: %w", filepath.Base(path), err) }
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fail(err)
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	w := bufio.NewWriterSize(f, 1<<16)
	if err := write(w); err != nil {
		return fail(err)
	}
	if err := w.Flush(); err != nil {
		return fail(err)
	}
	if err := f.Chmod(0o644); err != nil {
		return fail(err)
	}
	if err := f.Sync(); err != nil {
		return fail(err)
	}
	if err := f.Close(); err != nil {
		return fail(err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return fail(err)
	}
	return nil
}

func anyLarge(run *runner.RunResult) bool {
	for i := range run.Sets {
		if large(&run.Sets[i]) {
			return true
		}
	}
	return false
}

// JSON writes the content of summary.json.
func JSON(w io.Writer, run *runner.RunResult, verdicts []check.SetVerdict) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	return e.Encode(Summarize(run, verdicts))
}

// text writes summary.txt: the printed tables, without colour.
func text(w io.Writer, run *runner.RunResult, verdicts []check.SetVerdict) error {
	p := &printer{w: w}
	p.printf("paxbank run of %s, %s\n", run.TestSet, run.Started.UTC().Format(time.RFC3339))
	for i := range run.Sets {
		v := check.SetVerdict{Set: run.Sets[i].Set.Number, Verdict: check.Unknown}
		if i < len(verdicts) {
			v = verdicts[i]
		}
		p.call(func() error {
			return PrintSet(w, &run.Sets[i], &v, Options{Log: !large(&run.Sets[i]), Status: !large(&run.Sets[i]), Locks: true})
		})
	}
	rv := check.Combine(verdicts)
	p.call(func() error { return PrintRun(w, run, &rv, Options{}) })
	return p.err
}

// Event is one line of history.jsonl. Times are microseconds since the start of
// the run. Calls have type "call" and carry everything; the others ("run",
// "set", "observation", "balances") are what a judge needs besides.
type Event struct {
	Type    string `json:"type"`
	Set     int    `json:"set,omitempty"`
	StartUS int64  `json:"start_us"`
	EndUS   int64  `json:"end_us,omitempty"`
	// Of a call.
	Client     string `json:"client,omitempty"` // hexadecimal
	Timestamp  uint64 `json:"timestamp,omitempty"`
	Line       int    `json:"line,omitempty"`
	Batch      int    `json:"batch,omitempty"`
	Command    string `json:"command,omitempty"`
	Kind       string `json:"kind,omitempty"`
	Outcome    string `json:"outcome,omitempty"`
	Value      *int64 `json:"value,omitempty"`
	Node       string `json:"node,omitempty"`
	Attempts   int    `json:"attempts,omitempty"`
	ResolvedUS int64  `json:"resolved_us,omitempty"`
	Message    string `json:"message,omitempty"`
	// Of a run, a set or an observation.
	TestSet  string           `json:"testset,omitempty"`
	Text     string           `json:"text,omitempty"`
	Live     []string         `json:"live,omitempty"`
	Quorum   []string         `json:"quorum,omitempty"` // clusters with a quorum at the end
	Topology *Topology        `json:"topology,omitempty"`
	Balances map[string]int64 `json:"balances,omitempty"`
}

// History writes history.jsonl: every call, marker, reset and observation, and
// the balances before and after each set, one JSON object a line, each set's in
// the order in which they began. It is enough to judge the run again.
func History(w io.Writer, run *runner.RunResult) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	head := Event{Type: "run", TestSet: run.TestSet, Text: run.Started.UTC().Format(time.RFC3339Nano)}
	if run.Topology != nil {
		t := topologyOf(run.Topology)
		head.Topology = &t
	}
	if err := e.Encode(&head); err != nil {
		return err
	}
	for i := range run.Sets {
		for _, ev := range events(&run.Sets[i]) {
			if err := e.Encode(&ev); err != nil {
				return err
			}
		}
	}
	return nil
}

func events(set *runner.SetResult) []Event {
	number := set.Set.Number
	begin := Event{Type: "set", Set: number, StartUS: set.Started.Microseconds(), EndUS: set.Ended.Microseconds(),
		Live: set.Live, Quorum: set.QuorumAtEnd, Balances: textKeys(set.StartBalances)}
	if set.Topology != nil {
		t := topologyOf(set.Topology)
		begin.Topology = &t
	}
	if set.Skipped {
		begin.Text = "skipped"
	}
	var out []Event
	for i := range set.Calls {
		c := &set.Calls[i]
		ev := Event{Type: "call", Set: number, StartUS: c.Start.Microseconds(), EndUS: c.End.Microseconds(),
			Client: fmt.Sprintf("%016x", c.ClientID), Timestamp: c.Timestamp, Line: c.Command.Line, Batch: c.Batch, Command: c.Command.Text,
			Kind: c.Kind, Outcome: string(c.Outcome), Node: c.Node, Attempts: c.Attempts, Message: c.Message}
		if c.Outcome == runner.Value {
			ev.Value = &c.Value
		}
		if c.Resolved {
			ev.ResolvedUS = c.ResolvedAt.Microseconds()
		}
		out = append(out, ev)
	}
	for _, o := range set.Observations {
		out = append(out, Event{Type: "observation", Set: number, StartUS: o.At.Microseconds(), Line: o.Line, Text: o.Text})
	}
	sort.SliceStable(out, func(i, j int) bool { return out[i].StartUS < out[j].StartUS })
	for _, problem := range set.Problems {
		out = append(out, Event{Type: "problem", Set: number, StartUS: set.Ended.Microseconds(), Text: problem})
	}
	for i := range set.Nodes {
		n := &set.Nodes[i]
		ev := Event{Type: "balances", Set: number, StartUS: set.Ended.Microseconds(), Node: n.ID, Balances: textKeys(n.Balances), Message: n.Err}
		if !n.Live {
			ev.Text = "down"
		}
		out = append(out, ev)
	}
	return append([]Event{begin}, out...)
}

func textKeys(balances map[int64]int64) map[string]int64 {
	if balances == nil {
		return nil
	}
	out := make(map[string]int64, len(balances))
	for item, b := range balances {
		out[fmt.Sprint(item)] = b
	}
	return out
}

// perfRow is a row of performance.csv: a set and a kind ("all", "intra",
// "cross", "read", "lock hold"). Latencies are microseconds.
type perfRow struct {
	Set           int     `csv:"set"`
	Kind          string  `csv:"kind"`
	Transactions  int     `csv:"transactions"`
	Committed     int     `csv:"committed"`
	WallMicros    int64   `csv:"wall_us"`
	ThroughputTPS string  `csv:"throughput_tps"`
	Mean          string  `csv:"mean_us"`
	P50           float64 `csv:"p50_us"`
	P95           float64 `csv:"p95_us"`
	P99           float64 `csv:"p99_us"`
	Max           float64 `csv:"max_us"`
}

// PerformanceCSV writes performance.csv.
func PerformanceCSV(w io.Writer, run *runner.RunResult) error {
	rows := []perfRow{}
	for i := range run.Sets {
		set := &run.Sets[i]
		p := performanceOf(set)
		row := func(kind string, n, committed int, wall int64, tps string, l Latency) {
			rows = append(rows, perfRow{set.Set.Number, kind, n, committed, wall, tps, fmt.Sprintf("%.1f", l.Mean), l.P50, l.P95, l.P99, l.Max})
		}
		row("all", p.Transactions, p.Committed, p.WallMicros, fmt.Sprintf("%.1f", p.ThroughputTPS), p.LatencyMicros)
		for _, kind := range kinds {
			if k, ok := p.ByKind[kind]; ok {
				row(kind, k.Transactions, k.Committed, p.WallMicros, "", k.LatencyMicros)
			}
		}
		if p.LockHold.Count > 0 {
			row("lock hold", p.LockHold.Count, 0, p.WallMicros, "", p.LockHold)
		}
	}
	return marshalCSV(rows, w)
}

// marshalCSV writes rows with gocsv, and a header also when there are none.
func marshalCSV(rows any, w io.Writer) error {
	out := gocsv.NewSafeCSVWriter(csv.NewWriter(w))
	if err := gocsv.MarshalCSV(rows, out); err != nil {
		return err
	}
	out.Flush()
	return out.Error()
}

// sideTransaction is a row of transactions.csv.
type sideTransaction struct {
	Set int `csv:"set"`
	Transaction
}

func sideTransactions(w io.Writer, run *runner.RunResult) error {
	rows := []sideTransaction{}
	for i := range run.Sets {
		if set := &run.Sets[i]; large(set) {
			for j := range set.Calls {
				rows = append(rows, sideTransaction{set.Set.Number, transactionOf(&set.Calls[j])})
			}
		}
	}
	return marshalCSV(rows, w)
}

// sideEntry is a row of log.csv.
type sideEntry struct {
	Set  int    `csv:"set"`
	Node string `csv:"node"`
	LogEntry
}

func sideLog(w io.Writer, run *runner.RunResult) error {
	rows := []sideEntry{}
	for i := range run.Sets {
		set := &run.Sets[i]
		if !large(set) {
			continue
		}
		for j := range set.Nodes {
			for _, e := range logOf(set.Nodes[j].Log) {
				rows = append(rows, sideEntry{set.Set.Number, set.Nodes[j].ID, e})
			}
		}
	}
	return marshalCSV(rows, w)
}
