package report

import (
	"fmt"
	"io"
	"slices"
	"sort"
	"strconv"
	"strings"

	"paxbank/client/check"
	"paxbank/client/runner"
	"paxbank/client/testset"
)

// PrintSet prints everything about one set: transactions, PrintDB, PrintBalance
// of the items read, PrintView, performance, the checks that did not pass and
// the verdict; logs, statuses and locks when opts asks for them.
func PrintSet(w io.Writer, set *runner.SetResult, v *check.SetVerdict, opts Options) error {
	p := &printer{w: w}
	live := "all nodes live"
	if set.Set.Live != nil {
		live = "live " + strings.Join(set.Set.Live, " ")
	}
	p.printf("\n=== Set %d (line %d): %s ===\n", set.Set.Number, set.Set.Line, live)
	if set.Skipped {
		p.printf("skipped\n")
		return p.err
	}
	for _, problem := range set.Problems {
		p.printf("problem: %s\n", problem)
	}
	p.call(func() error { return PrintTransactions(w, set, opts) })
	p.call(func() error { return printDB(w, set, opts.maxRows()) })
	read := readItems(set)
	for i, item := range read {
		if len(read) > opts.maxRows() && i == excerptRows {
			p.printf("\n… %d more items were read\n", len(read)-i)
			break
		}
		p.title("PrintBalance(%s)", set.Topology.ItemName(item))
		p.call(func() error { return PrintBalance(w, set, item) })
	}
	p.call(func() error { return PrintViews(w, set) })
	if opts.Log {
		p.call(func() error { return PrintLog(w, set, "") })
	}
	if opts.Status {
		p.call(func() error { return PrintStatus(w, set, 0) })
	}
	if opts.Locks {
		p.call(func() error { return PrintLocks(w, set) })
	}
	p.call(func() error { return PrintPerformance(w, set) })
	p.call(func() error { return PrintChecks(w, set, v, opts) })
	return p.err
}

// call runs a printing function unless something has failed already.
func (p *printer) call(f func() error) {
	if p.err == nil {
		p.err = f()
	}
}

// readItems lists the items of the set's reads, each once, in file order.
func readItems(set *runner.SetResult) []int64 {
	var items []int64
	seen := map[int64]bool{}
	for _, c := range set.Set.Commands {
		if c.Kind == testset.Read && !seen[c.Item] {
			seen[c.Item] = true
			items = append(items, c.Item)
		}
	}
	return items
}

// PrintTransactions prints the set's calls with outcome and latency, and the
// markers between them. Above opts.MaxRows it prints a table by kind and
// outcome, the first and last calls, and every unusual one.
func PrintTransactions(w io.Writer, set *runner.SetResult, opts Options) error {
	p := &printer{w: w}
	p.title("Transactions")
	if len(set.Calls) == 0 && len(set.Set.Commands) == 0 {
		p.printf("none\n")
		return p.err
	}
	most := opts.maxRows()
	if len(set.Calls) <= most {
		p.table(callTable(set, func(int) bool { return true }, true))
		return p.err
	}
	p.table(outcomeTable(set))
	unusual, left := map[int]bool{}, 0
	for i := range set.Calls {
		c := &set.Calls[i]
		if c.Outcome == runner.Committed || c.Outcome == runner.Value {
			continue
		}
		if len(unusual) < most/4 {
			unusual[i] = true
		} else {
			left++
		}
	}
	const ends = 5
	p.printf("\nThe first and last %d calls, and those that were not committed:\n", ends)
	p.table(callTable(set, func(i int) bool {
		return i < ends || i >= len(set.Calls)-ends || unusual[i]
	}, markers(set) <= excerptRows))
	if left > 0 {
		p.printf("… %d more calls that were not committed\n", left)
	}
	p.printf("All %d calls are in the files of the run.\n", len(set.Calls))
	return p.err
}

// markers counts the set's F, R and LF.
func markers(set *runner.SetResult) int {
	n := 0
	for _, c := range set.Set.Commands {
		if c.Marker() {
			n++
		}
	}
	return n
}

// callTable lists the calls that show selects, in file order, and between them
// the markers.
func callTable(set *runner.SetResult, show func(int) bool, markers bool) *table {
	t := newTable(">Line", ">Batch", "Command", "Kind", "Outcome", ">Value", ">Latency", ">Sends", "Note")
	type line struct {
		line, column, order int
		cells               []string
	}
	var lines []line
	for i := range set.Calls {
		if !show(i) {
			continue
		}
		c := &set.Calls[i]
		value := ""
		if c.Outcome == runner.Value {
			value = strconv.FormatInt(c.Value, 10)
		}
		note := ""
		switch c.Outcome {
		case runner.Committed, runner.Value:
		default:
			note = shorten(oneLine(c.Message, maxCell), 60)
		}
		if c.Resolved {
			note = strings.TrimSpace("resolved after " + span(c.ResolvedAt-c.Start) + " " + note)
		}
		lines = append(lines, line{c.Command.Line, c.Command.Column, i, []string{strconv.Itoa(c.Command.Line), strconv.Itoa(c.Batch),
			c.Command.Text, c.Kind, string(c.Outcome), value, span(c.Latency()), strconv.Itoa(c.Attempts), note}})
	}
	if markers {
		for _, m := range set.Set.Commands {
			if m.Marker() {
				lines = append(lines, line{m.Line, m.Column, 0, []string{strconv.Itoa(m.Line), "", m.Text, "", "", "", "", "", ""}})
			}
		}
	}
	sort.SliceStable(lines, func(i, j int) bool {
		a, b := &lines[i], &lines[j]
		return a.line < b.line || a.line == b.line && (a.column < b.column || a.column == b.column && a.order < b.order)
	})
	for _, l := range lines {
		t.add(l.cells...)
	}
	return t
}

// outcomeTable counts calls by kind and outcome.
func outcomeTable(set *runner.SetResult) *table {
	count := map[string]map[runner.Outcome]int{}
	seen := map[runner.Outcome]bool{}
	for i := range set.Calls {
		c := &set.Calls[i]
		if count[c.Kind] == nil {
			count[c.Kind] = map[runner.Outcome]int{}
		}
		count[c.Kind][c.Outcome]++
		seen[c.Outcome] = true
	}
	header := []string{"Kind", ">Calls"}
	for _, o := range outcomes {
		if seen[o] {
			header = append(header, ">"+string(o))
		}
	}
	t := newTable(header...)
	for _, kind := range kinds {
		if count[kind] == nil {
			continue
		}
		total := 0
		row := []string{kind, ""}
		for _, o := range outcomes {
			if seen[o] {
				row = append(row, strconv.Itoa(count[kind][o]))
				total += count[kind][o]
			}
		}
		row[1] = strconv.Itoa(total)
		t.add(row...)
	}
	return t
}

// PrintPerformance prints throughput, latencies by kind, and how long locks
// were held.
func PrintPerformance(w io.Writer, set *runner.SetResult) error {
	p := &printer{w: w}
	perf := performanceOf(set)
	p.title("Performance")
	if perf.Transactions == 0 {
		p.printf("no transactions\n")
		return p.err
	}
	definite := 0
	for o, n := range perf.Outcomes {
		if runner.Outcome(o).Definite() {
			definite += n
		}
	}
	p.printf("throughput %.0f transactions/s: %d definite outcomes in %s with any command in flight\n",
		perf.ThroughputTPS, definite, span(set.Busy))
	t := newTable("Latency", ">Count", ">Committed", ">Mean", ">p50", ">p95", ">p99", ">Max")
	row := func(name, count, committed string, l Latency) {
		if l.Count == 0 {
			t.add(name, count, committed, "-", "-", "-", "-", "-")
			return
		}
		t.add(name, count, committed, micros(l.Mean), micros(l.P50), micros(l.P95), micros(l.P99), micros(l.Max))
	}
	row("all", strconv.Itoa(perf.Transactions), strconv.Itoa(perf.Committed), perf.LatencyMicros)
	for _, kind := range kinds {
		if k, ok := perf.ByKind[kind]; ok {
			committed := strconv.Itoa(k.Committed)
			if kind == "read" {
				committed = ""
			}
			row(kind, strconv.Itoa(k.Transactions), committed, k.LatencyMicros)
		}
	}
	if perf.LockHold.Count > 0 {
		row("lock hold", strconv.Itoa(perf.LockHold.Count), "", perf.LockHold)
	}
	p.table(t)
	return p.err
}

// PrintChecks prints what did not pass, and the verdict line of the set.
func PrintChecks(w io.Writer, set *runner.SetResult, v *check.SetVerdict, opts Options) error {
	return printChecks(w, set.Set.Number, v, opts)
}

func printChecks(w io.Writer, set int, v *check.SetVerdict, opts Options) error {
	p := &printer{w: w}
	bad := 0
	for i := range v.Checks {
		if v.Checks[i].Verdict != check.Pass {
			bad++
		}
	}
	if bad > 0 {
		p.title("Checks that did not pass")
	}
	for i := range v.Checks {
		c := &v.Checks[i]
		if c.Verdict == check.Pass {
			continue
		}
		p.printf("%-7s  %s %s", opts.paint(c.Verdict), c.Source, c.Check)
		if c.Target != "" {
			p.printf(" %s", c.Target)
		}
		p.printf(": want %s, got %s", orDash(c.Expected), orDash(c.Actual))
		if c.Source == check.SourceExpected && c.Points != 1 {
			p.printf(" (%s points)", points(c.Points))
		}
		p.printf("\n")
		if c.Message != "" {
			p.printf("         %s\n", safe(strings.ReplaceAll(lines(c.Message, maxMessage), "\n", "\n         ")))
		}
	}
	printRemarks(p, v)
	p.printf("\nSet %d: %s, %s of %s points, %d of %d checks passed\n", set, opts.paint(v.Verdict),
		points(v.Score), points(v.MaxScore), len(v.Checks)-bad, len(v.Checks))
	return p.err
}

// printRemarks prints what is worth reading of checks that passed.
func printRemarks(p *printer, v *check.SetVerdict) {
	first := true
	for i := range v.Checks {
		c := &v.Checks[i]
		if !c.Remark || c.Verdict != check.Pass {
			continue
		}
		if first {
			p.title("Remarks")
			first = false
		}
		p.printf("%s %s %s: want %s, got %s; it counts for nothing\n         %s\n", c.Source, c.Check, c.Target, orDash(c.Expected), orDash(c.Actual),
			safe(strings.ReplaceAll(lines(c.Message, maxMessage), "\n", "\n         ")))
	}
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func points(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

// PrintRun prints one row a set and the verdict line of the run.
func PrintRun(w io.Writer, run *runner.RunResult, rv *check.RunVerdict, opts Options) error {
	p := &printer{w: w}
	p.printf("\n=== %s ===\n", run.TestSet)
	t := newTable(">Set", ">Commands", ">Committed", ">Reads", "Other outcomes", ">Throughput", ">p50", ">p99", "Verdict", ">Points")
	for i := range run.Sets {
		set := &run.Sets[i]
		v := check.SetVerdict{Verdict: check.Unknown}
		if i < len(rv.Sets) {
			v = rv.Sets[i]
		}
		verdict := string(v.Verdict)
		if set.Skipped {
			verdict += " (skipped)"
		}
		perf := performanceOf(set)
		var other []string
		for _, o := range outcomes[2:] {
			if n := perf.Outcomes[string(o)]; n > 0 {
				other = append(other, fmt.Sprintf("%s %d", o, n))
			}
		}
		throughput, p50, p99 := "-", "-", "-"
		if perf.ThroughputTPS > 0 {
			throughput = fmt.Sprintf("%.0f/s", perf.ThroughputTPS)
		}
		if l := perf.LatencyMicros; l.Count > 0 {
			p50, p99 = micros(l.P50), micros(l.P99)
		}
		t.add(strconv.Itoa(set.Set.Number), strconv.Itoa(len(set.Set.Commands)), strconv.Itoa(perf.Committed), strconv.Itoa(perf.Outcomes[string(runner.Value)]),
			strings.Join(other, ", "), throughput, p50, p99, verdict, points(v.Score)+"/"+points(v.MaxScore))
	}
	if len(run.Sets) > 0 {
		p.table(t)
	}
	if run.NodesFailed != "" {
		// What they printed stands in the error and in summary.json.
		first, _, _ := strings.Cut(run.NodesFailed, "\n")
		p.printf("nodes failed: %s\n", strings.TrimSuffix(first, "; the end of its log:"))
	}
	if run.Interrupted {
		p.printf("interrupted\n")
	}
	if len(run.Sets) == 0 {
		p.printf("\n%s: %s, no set was run\n", run.TestSet, opts.paint(rv.Verdict))
		return p.err
	}
	p.printf("\n%s: %s, %s of %s points\n", run.TestSet, opts.paint(rv.Verdict), points(rv.Score), points(rv.MaxScore))
	return p.err
}

// nodesOf returns the states of a set's nodes by cluster, in topology order.
func nodesOf(set *runner.SetResult) [][]*runner.NodeState {
	out := make([][]*runner.NodeState, len(set.Topology.Clusters))
	for i := range set.Nodes {
		n := &set.Nodes[i]
		if _, c, ok := set.Topology.Lookup(n.ID); ok {
			out[c] = append(out[c], n)
		}
	}
	return out
}

// label is a node's id, with a mark when it does not live at the end.
func label(set *runner.SetResult, n *runner.NodeState) string {
	if slices.Contains(set.LiveAtEnd, n.ID) {
		return n.ID
	}
	return n.ID + " (down)"
}
