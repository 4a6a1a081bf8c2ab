package report

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/gocarina/gocsv"

	"paxbank/client/check"
	"paxbank/client/runner"
)

// file is one that is made from a run and its verdicts.
type file struct {
	name  string
	write func(io.Writer) error
	// rendered from what other files hold: nothing is lost with it.
	rendered bool
}

// Names of the files that a Grade is rendered into, in a run directory.
const (
	GradescopeFile = "results.json"
	JUnitFile      = "junit.xml"
	MarkdownFile   = "report.md"
	HTMLFile       = "report.html"
)

// gradeFiles are the renderings of a grade.
func gradeFiles(g *Grade) []file {
	list := []file{}
	for _, f := range []struct {
		name  string
		write func(io.Writer, *Grade) error
	}{{GradescopeFile, Gradescope}, {JUnitFile, JUnit}, {MarkdownFile, Markdown}, {HTMLFile, HTML}} {
		list = append(list, file{f.name, func(w io.Writer) error { return f.write(w, g) }, true})
	}
	return list
}

// WriteGrade writes results.json, junit.xml, report.md and report.html of a grade
// into dir, which must exist, each in one step.
func WriteGrade(dir string, g *Grade) error { return writeFiles(dir, gradeFiles(g)) }

func writeFiles(dir string, list []file) error {
	for _, f := range list {
		if err := writeAtomically(filepath.Join(dir, f.name), f.write, nil); err != nil {
			return err
		}
	}
	return nil
}

// files lists all of a run directory but the history. The summary comes last:
// what it names is there by then.
func files(run *runner.RunResult, verdicts []check.SetVerdict, planned []Planned) []file {
	list := append(gradeFiles(FromRun(run, verdicts, planned...)),
		file{name: "performance.csv", write: func(w io.Writer) error { return PerformanceCSV(w, run) }},
		file{name: "summary.txt", write: func(w io.Writer) error { return text(w, run, verdicts) }},
	)
	if anyLarge(run) {
		list = append(list,
			file{name: TransactionsFile, write: func(w io.Writer) error { return sideTransactions(w, run) }},
			file{name: LogFile, write: func(w io.Writer) error { return sideLog(w, run) }},
		)
	}
	return append(list, file{name: SummaryFile, write: func(w io.Writer) error { return JSON(w, run, verdicts) }})
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
	if run.Containment != "" {
		p.printf("containment: %s\n", run.Containment)
	}
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
