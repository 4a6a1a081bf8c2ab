package report

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"paxbank/client/check"
	"paxbank/client/runner"
)

// Grade is the model of what is handed to others: one run of a test set, or one
// submission that was graded by a suite. Gradescope, JUnit, Annotations,
// StepSummary, Classroom, Markdown and HTML only render it.
type Grade struct {
	Submission string // who is graded; "" for a run that grades nobody
	Suite      string // the suite, or the test set of a single run
	Started    time.Time
	Duration   time.Duration
	Verdict    check.Verdict
	Score, Max float64 // of all sections; Total adds them up
	Sections   []Section
	// Leaderboard is empty unless everything passed: a fast wrong answer is none.
	Leaderboard []Metric
	// Containment says what the submission was held in, or that nothing held it; ""
	// is not known.
	Containment string
	// MachineFactor is how much slower than the reference the machine was, which
	// deadlines were scaled by; 0 when it was not measured.
	MachineFactor float64
	// Note says what kept the grading from being whole (interrupted, budget spent).
	Note string
}

// Visibility says who sees a section when, in the words of Gradescope.
type Visibility string

// The visibilities. "" means Visible.
const (
	Visible        Visibility = "visible"
	Hidden         Visibility = "hidden"
	AfterDueDate   Visibility = "after_due_date"
	AfterPublished Visibility = "after_published"
)

// Section is what points are given for: a set of a single run, a section of a
// suite.
type Section struct {
	Name string
	// Number is its place, such as "2" or "2.1"; "" means its position from 1.
	Number     string
	TestSet    string // file, as given
	Line       int    // of the test set where it begins; 0 for none
	Visibility Visibility
	Verdict    check.Verdict
	Score, Max float64 // points
	// Output is for the student and comes before what the checks say.
	Output string
	// Note is why there is no more to say, such as NotRun.
	Note     string
	Tags     []string
	Duration time.Duration
	Sets     []GradedSet
}

// GradedSet is one set that was run for a section.
type GradedSet struct {
	check.SetVerdict
	Line   int               // of the test set
	Repeat int               // which run of several, from 1; 0 for the only one
	Result *runner.SetResult // nil when its tables are not to be shown
}

// Metric is one column of a leaderboard.
type Metric struct {
	Name  string
	Value float64
	// Ascending: the smallest value is the best.
	Ascending bool
}

// NotRun is the note of a section that was not begun: its points are 0 until it
// is.
const NotRun = "not run yet"

// Planned is a set that is going to be run, and its points.
type Planned struct {
	Set, Line int
	Max       float64
}

// Passed reports whether the section earns a green tick. Unknown does not.
func (s *Section) Passed() bool { return s.Verdict == check.Pass }

// counts is a check's verdict as far as it counts in the section. Where some runs
// of several may fail, a section passes in spite of failed checks; these count
// for nothing, and never for more than the section's own verdict.
func (s *Section) counts(c *check.Check) (v check.Verdict, ok bool) {
	switch {
	case s.Passed() && c.Verdict != check.Pass:
		return "", false
	case s.Verdict == check.Unknown && c.Verdict == check.Fail:
		return check.Unknown, true
	}
	return c.Verdict, true
}

// Total adds up points and verdicts of the sections. A grade without sections is
// unknown: it shows nothing.
func (g *Grade) Total() {
	sets := make([]check.SetVerdict, len(g.Sections))
	for i := range g.Sections {
		s := &g.Sections[i]
		sets[i] = check.SetVerdict{Verdict: s.Verdict, Score: s.Score, MaxScore: s.Max}
	}
	all := check.Combine(sets)
	g.Verdict, g.Score, g.Max = all.Verdict, all.Score, all.MaxScore
}

// FromRun makes a grade of a single run, with a section for each set. verdicts
// belong to run.Sets by position. Sets of planned that the run does not have
// (yet) are sections without points.
func FromRun(run *runner.RunResult, verdicts []check.SetVerdict, planned ...Planned) *Grade {
	g := &Grade{Suite: run.TestSet, Started: run.Started, Containment: run.Containment}
	section := func(set, line int) Section {
		return Section{Name: fmt.Sprintf("Set %d", set), Number: fmt.Sprint(set), TestSet: run.TestSet, Line: line, Verdict: check.Unknown}
	}
	done := map[int]bool{}
	for i := range run.Sets {
		r := &run.Sets[i]
		v := check.SetVerdict{Set: r.Set.Number, Skipped: r.Skipped, Verdict: check.Unknown}
		if i < len(verdicts) {
			v = verdicts[i]
		}
		s := section(r.Set.Number, r.Set.Line)
		s.Verdict, s.Score, s.Max, s.Duration = v.Verdict, v.Score, v.MaxScore, r.Ended-r.Started
		s.Sets = []GradedSet{{SetVerdict: v, Line: r.Set.Line, Result: r}}
		if r.Skipped {
			s.Note = "skipped"
		}
		g.Sections = append(g.Sections, s)
		g.Duration = max(g.Duration, r.Ended)
		done[r.Set.Number] = true
	}
	missing := NotRun
	switch {
	case run.NodesFailed != "":
		g.Note, missing = "nodes failed: "+run.NodesFailed, "not run: nodes failed"
	case run.Interrupted:
		g.Note, missing = "interrupted", "not run: interrupted"
	}
	for _, p := range planned {
		if !done[p.Set] {
			s := section(p.Set, p.Line)
			s.Max, s.Note = p.Max, missing
			g.Sections = append(g.Sections, s)
		}
	}
	g.Total()
	if g.Verdict == check.Pass {
		g.Leaderboard = metrics(run)
	}
	return g
}

// Join is one grade of several runs of one command, for places that take one:
// their sections, named after their test sets. A single grade stays as it is.
func Join(grades []*Grade) *Grade {
	if len(grades) == 1 {
		return grades[0]
	}
	all := &Grade{Suite: count(len(grades), "test set", "test sets")}
	var notes []string
	for i, g := range grades {
		if i == 0 {
			all.Submission, all.Started, all.Containment, all.MachineFactor = g.Submission, g.Started, g.Containment, g.MachineFactor
		}
		all.Duration += g.Duration
		for j, s := range g.Sections {
			s.Name, s.Number = g.Suite+": "+s.Name, fmt.Sprintf("%d.%s", i+1, g.number(j))
			all.Sections = append(all.Sections, s)
		}
		if g.Note != "" {
			notes = append(notes, g.Suite+": "+g.Note)
		}
	}
	all.Note = strings.Join(notes, "\n")
	all.Total()
	return all
}

// metrics of a run that passed: throughput and latency over all its sets.
func metrics(run *runner.RunResult) []Metric {
	all := runner.SetResult{}
	for i := range run.Sets {
		all.Calls = append(all.Calls, run.Sets[i].Calls...)
		all.Busy += run.Sets[i].Busy
	}
	tps, ok := check.Throughput(&all)
	if !ok {
		return nil
	}
	l := check.Latencies(&all, "")
	return []Metric{{Name: "throughput (transactions/s)", Value: tps}, {Name: "p50 (ms)", Value: l.P50 / 1000, Ascending: true}, {Name: "p99 (ms)", Value: l.P99 / 1000, Ascending: true}}
}

// public reports whether everybody may see the section.
func (s *Section) public() bool { return s.Visibility == Visible || s.Visibility == "" }

// Public is the grade as far as everybody may see it: without the sections that
// are not visible, and their points. Whoever renders for a place that students
// read and that does not know about visibility renders this.
func (g *Grade) Public() *Grade {
	p := *g
	p.Sections = nil
	for i := range g.Sections {
		s := g.Sections[i]
		if !s.public() {
			continue
		}
		if s.Number == "" {
			s.Number = fmt.Sprint(i + 1)
		}
		p.Sections = append(p.Sections, s)
	}
	hidden := len(g.Sections) - len(p.Sections)
	if hidden == 0 {
		return g
	}
	p.Total()
	// Ranks would tell what the hidden sections came to.
	p.Leaderboard = nil
	p.Note = strings.TrimSpace(fmt.Sprintf("%s\n%s not shown here", g.Note, count(hidden, "section is", "sections are")))
	return &p
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// title names the grade on one line.
func (g *Grade) title() string {
	if g.Submission == "" {
		return oneLine(g.Suite, maxName)
	}
	return oneLine(g.Submission, maxName)
}

// facts are what stands at the head of a report, as names and values.
func (g *Grade) facts() [][2]string {
	var out [][2]string
	add := func(name, value string) {
		if value != "" {
			out = append(out, [2]string{name, oneLine(value, maxMessage)})
		}
	}
	if g.Submission != "" {
		add("Suite", g.Suite)
	}
	add("Verdict", string(g.Verdict))
	add("Points", points(g.Score)+" of "+points(g.Max))
	if !g.Started.IsZero() {
		add("Started", g.Started.UTC().Format(time.RFC3339))
	}
	if g.Duration > 0 {
		add("Took", span(g.Duration))
	}
	add("Containment", g.Containment)
	if g.MachineFactor > 0 {
		add("Machine", fmt.Sprintf("%.2f times the time of the reference", g.MachineFactor))
	}
	add("Note", firstLine(g.Note))
	return out
}

// note is what the first line of the note leaves out.
func (g *Grade) note() string {
	if text := strings.TrimSpace(g.Note); strings.Contains(text, "\n") {
		return lines(text, maxOutput)
	}
	return ""
}

// number is the section's place on one line.
func (g *Grade) number(i int) string {
	if n := g.Sections[i].Number; n != "" {
		return oneLine(n, maxName)
	}
	return fmt.Sprint(i + 1)
}

// brief is what a table of sections notes: who may not see it (yet), and why there
// is no more to say.
func (s *Section) brief() string {
	var parts []string
	if !s.public() {
		parts = append(parts, strings.ReplaceAll(string(s.Visibility), "_", " "))
	}
	if note := firstLine(s.Note); note != "" {
		parts = append(parts, note)
	}
	return oneLine(strings.Join(parts, "; "), maxCell)
}

// measured are the metrics that have a value.
func (g *Grade) measured() []Metric {
	return slices.DeleteFunc(slices.Clone(g.Leaderboard), func(m Metric) bool { return math.IsNaN(m.Value) || math.IsInf(m.Value, 0) })
}

// text is all that is said of a section, bounded: its output, what did not pass,
// its note.
func (s *Section) text() string {
	var parts []string
	if s.Verdict == check.Unknown && s.Note == "" {
		parts = append(parts, "It could not be determined whether this is right; that earns no points and is no mistake by itself.")
	}
	if s.Output != "" {
		parts = append(parts, s.Output)
	}
	for i := range s.Sets {
		set := &s.Sets[i]
		text := set.failures()
		if set.Repeat > 0 {
			text = fmt.Sprintf("Run %d\n%s", set.Repeat, text)
		}
		parts = append(parts, text)
	}
	if s.Note != "" {
		parts = append(parts, s.Note)
	}
	return lines(strings.Join(parts, "\n\n"), maxOutput)
}

// headline of a set within its section.
func (s *GradedSet) headline() string {
	text := fmt.Sprintf("Set %d", s.Set)
	if s.Line > 0 {
		text += fmt.Sprintf(" (line %d)", s.Line)
	}
	if s.Repeat > 0 {
		text += fmt.Sprintf(", run %d", s.Repeat)
	}
	if s.Result != nil {
		switch live := s.Result.Set.Live; {
		case s.Result.Skipped:
			text += ": skipped"
		case live == nil:
			text += ": all nodes live"
		default:
			text += ": live " + oneLine(strings.Join(live, " "), maxMessage)
		}
	}
	return text
}
