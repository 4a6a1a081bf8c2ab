package bench

import (
	"fmt"
	"io"
	"strconv"
	"strings"
)

// print writes the result as tables.
func (r *Result) print(w io.Writer) error {
	p := &printer{w: w}
	p.table("", []string{"Setting", "Value"}, r.Settings.rows())
	var runs [][]string
	for i, run := range r.Runs {
		runs = append(runs, run.row(i+1))
	}
	p.table("Runs", []string{">Run", "Verdict", ">Committed/s", ">Throughput/s", ">Aborted/s", ">Committed", ">Aborted", ">No money", ">Unavailable", ">Invalid", ">Unknown",
		">Fsyncs/s", ">CPU µs/commit", ">of it driver"}, runs)
	if len(r.Repeated) > 0 {
		var rows [][]string
		for _, q := range repeated {
			if v, ok := r.Repeated[q.name]; ok {
				rows = append(rows, v.row(q.name))
			}
		}
		p.table("Over all runs", []string{"Quantity", ">Median", ">95 % from", ">to"}, rows)
		if len(r.Runs) < leastRepetitions {
			p.line("A median of fewer than %d runs has no 95 %% interval.", leastRepetitions)
		}
	}
	title := "Latency of what was committed"
	if len(r.Runs) > 1 {
		title += fmt.Sprintf(", run %d", r.shown()+1)
	}
	if r.Settings.TargetPerS > 0 {
		title += ", from the intended start"
	}
	var rows [][]string
	row := func(kind string, l *Percentiles) {
		if l != nil {
			rows = append(rows, l.row(kind))
		}
	}
	row("all", r.LatencyMicros)
	for _, kind := range kindNames {
		row(kind, r.LatencyMicrosByKind[kind])
	}
	row("lock hold", r.LockHoldMicros)
	p.table(title, []string{"Kind", ">Count", ">p50", ">p90", ">p95", ">p99", ">p99.9", ">Max"}, rows)
	rows = nil
	for _, t := range r.OverTime {
		if l := t.LatencyMicros; l != nil {
			rows = append(rows, []string{fmt.Sprintf("%g s", t.FromSeconds), rate(t.CommittedPerS), optional(l.P50, duration), optional(l.P99, duration), optional(l.P99_9, duration), duration(l.Max)})
		} else {
			rows = append(rows, []string{fmt.Sprintf("%g s", t.FromSeconds), rate(0), "", "", "", ""})
		}
	}
	p.table("Over time", []string{">From", ">Committed/s", ">p50", ">p99", ">p99.9", ">Max"}, rows)
	if len(r.Faults) > 0 {
		rows = nil
		for _, f := range r.Faults {
			first := "none"
			if f.FirstCommitMillis != nil {
				first = duration(*f.FirstCommitMillis * 1000)
			}
			rows = append(rows, []string{f.What, f.Node, fmt.Sprintf("%.2f s", f.AtSeconds), first})
		}
		p.table("Faults", []string{"Fault", "Node", ">At", ">First commit after"}, rows)
	}
	if f := r.Floor; f != nil {
		p.table("Floor: this machine at best, in the same minute", []string{"Part", ">Rate", ">Share reached"}, f.rows(r.Settings.Submission))
		p.line("One fsync of 4 KiB takes %s at the median.", optional(f.FsyncMicros.P50, duration))
	}
	p.line("")
	p.line("Checks: money %s, replicas %s, balances %s, commits applied %s", check(r.MoneyOK), check(r.ReplicasEqual), check(r.BalancesOK), check(r.CommitsOK))
	var won []string
	for _, run := range r.Runs {
		if run.Elections != nil {
			won = append(won, fmt.Sprint(*run.Elections))
		}
	}
	if len(won) > 0 {
		p.line("Elections while it was measured: %s", strings.Join(won, ", "))
	}
	if n := r.SettledCommitted + r.SettledAborted + r.Unsettled; n > 0 {
		p.line("Unknown outcomes were settled afterwards: %d committed, %d did not, %d stayed unknown", r.SettledCommitted, r.SettledAborted, r.Unsettled)
	}
	if r.NotStarted > 0 {
		p.line("%s operations had not begun when the window ended, and are missing above: the bank could not keep up with the schedule", count(r.NotStarted))
	}
	for i, run := range r.Runs {
		for _, text := range run.Problems {
			p.line("run %d: %s", i+1, text)
		}
	}
	return p.err
}

// shown is the position of the run at the top level.
func (r *Result) shown() int {
	for i, run := range r.Runs {
		if run == r.Run {
			return i
		}
	}
	return 0
}

// printer writes to w and keeps the first error.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
	}
}

func (p *printer) table(title string, header []string, rows [][]string) {
	if len(rows) == 0 {
		return
	}
	if title != "" {
		p.line("\n%s", title)
	}
	if p.err == nil {
		p.err = table(p.w, header, rows)
	}
}

func (s *Settings) rows() [][]string {
	rows := [][]string{}
	add := func(name, format string, args ...any) {
		rows = append(rows, []string{name, fmt.Sprintf(format, args...)})
	}
	if s.Preset != "" {
		add("preset", "%s", s.Preset)
	}
	add("mix", "%s", s.Mix)
	for _, line := range s.Mapping {
		add("", "%s", line)
	}
	add("cross-shard", "%g %% of the transfers", s.CrossPercent)
	switch {
	case s.Hot != "":
		add("hot items", "%s", s.Hot)
	default:
		add("skew", "%s", skew(s.Skew))
	}
	add("seed", "%d", s.Seed)
	add("clients", "%d, %d operations each under way", s.Clients, s.Inflight)
	add("loop", "%s", s.Loop)
	if s.TargetPerS > 0 {
		add("target", "%s/s", count(int64(s.TargetPerS)))
	}
	add("submission", "%s", s.Submission)
	if s.Reads != "" {
		add("reads", "%s", s.Reads)
	}
	if s.Transactions > 0 {
		add("transactions", "%s", count(s.Transactions))
	} else {
		add("duration", "%g s", s.DurationSeconds)
	}
	add("warm-up", "%g s", s.WarmupSeconds)
	add("deadline", "%g s", s.DeadlineSeconds)
	add("bank", "%d clusters, %d nodes, %s items of %s", s.Clusters, s.Nodes, count(s.Items), count(s.InitialBalance))
	if s.NodeCommand != "" {
		add("nodes", "%s", s.NodeCommand)
	}
	if s.FaultsBy != "" {
		add("faults by", "%s", s.FaultsBy)
	}
	if s.Profiled {
		add("profiled", "yes, which costs nodes and driver time")
	}
	add("commit", "%s", orUnknown(s.Commit))
	add("host", "%s", orUnknown(s.Host))
	add("fsync", "%s", s.Fsync)
	return rows
}

func skew(theta float64) string {
	if theta == 0 {
		return "uniform"
	}
	return fmt.Sprintf("zipf %g", theta)
}

func orUnknown(s string) string {
	if s == "" {
		return "not known"
	}
	return s
}

func (r *Run) row(number int) []string {
	c := &r.Counts
	return []string{
		strconv.Itoa(number), r.Verdict, optional(r.CommittedPerS, rate), optional(r.ThroughputPerS, rate), optional(r.AbortedPerS, rate),
		count(c.Committed), count(c.Aborted), count(c.InsufficientFunds), count(c.Unavailable), count(c.Invalid), count(c.Unknown),
		optional(r.FsyncsPerS, rate), optional(r.CPUMicrosPerCommit, tenths), optional(r.DriverCPUMicrosPerCommit, tenths),
	}
}

func (r *Repetition) row(name string) []string {
	show := rate
	if strings.HasSuffix(name, "_us") {
		show = duration
	} else if strings.HasPrefix(name, "cpu_us") {
		show = tenths
	}
	return []string{name, show(r.Median), optional(r.Low, show), optional(r.High, show)}
}

func (p *Percentiles) row(name string) []string {
	cells := []string{name, count(p.Count)}
	for _, f := range p.fields() {
		cells = append(cells, optional(*f.value, duration))
	}
	return append(cells, duration(p.Max))
}

func (f *Floor) rows(submission string) [][]string {
	share := func(of string) string {
		if of != "" && strings.HasPrefix(submission, of) {
			return optional(f.Share, percent)
		}
		return ""
	}
	return [][]string{
		{"fsync, one file", rate(f.FsyncsPerS) + "/s", ""},
		{fmt.Sprintf("fsync, %d files", f.Files), rate(f.FilesFsyncsPerS) + "/s", optional(f.FsyncShare, percent)},
		{"unary calls", rate(f.UnaryPerS) + "/s", share("unary")},
		{"stream messages", rate(f.StreamMessagesPerS) + "/s", ""},
		{"streamed transfers", rate(f.StreamTransfersPerS) + "/s", share("stream")},
	}
}

// optional shows a value that may have been left out.
func optional(v *float64, show func(float64) string) string {
	if v == nil {
		return ""
	}
	return show(*v)
}

func check(v *bool) string {
	switch {
	case v == nil:
		return "unknown"
	case *v:
		return "ok"
	}
	return "WRONG"
}

func tenths(v float64) string  { return strconv.FormatFloat(v, 'f', 1, 64) }
func percent(v float64) string { return fmt.Sprintf("%.1f %%", 100*v) }

// rate is a whole number from ten on.
func rate(v float64) string {
	if v < 10 {
		return tenths(v)
	}
	return count(int64(v + 0.5))
}

// count groups thousands.
func count(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// duration shows microseconds with a unit that suits them.
func duration(us float64) string {
	switch {
	case us < 1000:
		return fmt.Sprintf("%.0f µs", us)
	case us < 1_000_000:
		return fmt.Sprintf("%.2f ms", us/1000)
	}
	return fmt.Sprintf("%.2f s", us/1_000_000)
}
