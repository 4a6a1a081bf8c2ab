package grade

import (
	"cmp"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"paxbank/client/check"
	"paxbank/client/runner"
	"paxbank/client/testset"
)

// measures in the order in which they are named to the user.
var measures = []string{testset.CheckThroughput, testset.CheckMean, testset.CheckP50, testset.CheckP95, testset.CheckP99, testset.CheckMax}

var kinds = []string{"intra", "cross", "read"}

var wantPattern = regexp.MustCompile(`^(>=|<=)\s*([0-9]+(?:\.[0-9]+)?)\s*(us|µs|ms|s|/s)?$`)

// threshold reads one row of performance.
func (r *suiteReader) threshold(n *yaml.Node) Threshold {
	f := r.mapping(n, "a row of performance", "measure", "kind", "want", "points")
	t := Threshold{Points: 1}
	var want string
	r.choice(f, "measure", &t.Measure, measures...)
	r.choice(f, "kind", &t.Kind, kinds...)
	r.text(f, "want", &want)
	r.points(f, "points", &t.Points)
	if f["measure"] == nil || f["want"] == nil {
		r.bad(n.Line, "a row of performance needs measure and want")
		return t
	}
	m := wantPattern.FindStringSubmatch(want)
	rate := t.Measure == testset.CheckThroughput
	switch {
	case rate && t.Kind != "":
		r.bad(n.Line, "throughput is that of all commands: leave kind out")
	case rate && (m == nil || m[1] != ">=" || m[3] != "" && m[3] != "/s"):
		r.bad(f["want"].Line, "want: a throughput is wanted as >=500, in outcomes a second, got %q", want)
	case !rate && (m == nil || m[1] != "<=" || m[3] == "" || m[3] == "/s"):
		r.bad(f["want"].Line, "want: a latency is wanted as <=20ms, with us, ms or s, got %q", want)
	default:
		t.Want, _ = strconv.ParseFloat(m[2], 64) // the pattern lets only numbers through
		if !rate {
			unit := map[string]time.Duration{"us": time.Microsecond, "µs": time.Microsecond, "ms": time.Millisecond, "s": time.Second}[m[3]]
			t.Want *= float64(unit / time.Microsecond)
		}
	}
	return t
}

func (r *suiteReader) leaderboard(f fields, s *Suite) {
	n := f["leaderboard"]
	if n == nil {
		return
	}
	l := r.mapping(n, "leaderboard", "section", "measure", "kind")
	b := &Leaderboard{Measure: testset.CheckThroughput}
	r.text(l, "section", &b.Section)
	r.choice(l, "measure", &b.Measure, measures...)
	r.choice(l, "kind", &b.Kind, kinds...)
	if b.Kind != "" && b.Measure == testset.CheckThroughput {
		r.bad(n.Line, "leaderboard: throughput is that of all commands: leave kind out")
	}
	for i := range s.Sections {
		if sec := &s.Sections[i]; sec.Name == b.Section {
			if sec.Repeats < leastRepeats {
				r.bad(n.Line, "leaderboard: section %s is run %d times; an interval needs at least %d repeats", sec.Name, sec.Repeats, leastRepeats)
			}
			s.Leaderboard = b
			return
		}
	}
	r.bad(n.Line, "leaderboard: no section is named %q", b.Section)
}

// column heads the leaderboard of Gradescope, whose values shown gives.
func (b *Leaderboard) column() string {
	if higher(b.Measure) {
		return b.Measure + " (transactions/s)"
	}
	return measureName(b.Measure, b.Kind) + " (ms)"
}

func (b *Leaderboard) shown(v float64) float64 {
	if higher(b.Measure) {
		return tenth(v)
	}
	return tidy(v / 1000)
}

// tenth rounds to what a measurement is worth.
func tenth(v float64) float64 { return math.Round(v*10) / 10 }

// higher reports whether more of a measure is better.
func higher(measure string) bool { return measure == testset.CheckThroughput }

// eased is what the threshold wants on a machine that is slower than the
// reference by factor.
func (t *Threshold) eased(factor float64) float64 {
	if higher(t.Measure) {
		return t.Want / factor
	}
	return t.Want * factor
}

// String is the threshold in words, such as "p99 cross <= 20ms".
func (t *Threshold) String() string {
	op := " <= "
	if higher(t.Measure) {
		op = " >= "
	}
	return measureName(t.Measure, t.Kind) + op + quantity(t.Measure, t.Want)
}

func measureName(measure, kind string) string { return strings.TrimSpace(measure + " " + kind) }

// quantity shows a value of a measure with its unit.
func quantity(measure string, v float64) string {
	if higher(measure) {
		return strconv.FormatFloat(v, 'f', -1, 64) + "/s"
	}
	return (time.Duration(v*1000) * time.Nanosecond).Round(time.Microsecond).String()
}

// Measured is what one run of a section took.
type Measured struct {
	// Throughput is definite outcomes a second of the time with any command in
	// flight; Latency by kind ("" for all), in microseconds.
	Throughput float64                  `json:"throughput_tps"`
	Latency    map[string]check.Latency `json:"latency_us"`
}

// measure takes the figures of all sets of a run together.
func measure(sets []runner.SetResult) Measured {
	var all runner.SetResult
	for i := range sets {
		all.Calls = append(all.Calls, sets[i].Calls...)
		all.Busy += sets[i].Busy
	}
	m := Measured{Latency: map[string]check.Latency{}}
	m.Throughput, _ = check.Throughput(&all)
	for _, kind := range append([]string{""}, kinds...) {
		if l := check.Latencies(&all, kind); l.Count > 0 {
			m.Latency[kind] = l
		}
	}
	return m
}

// of is a measure's value; false when nothing was measured.
func (m *Measured) of(measure, kind string) (float64, bool) {
	if higher(measure) {
		return m.Throughput, m.Throughput > 0
	}
	l, ok := m.Latency[kind]
	v := map[string]float64{
		testset.CheckMean: l.Mean, testset.CheckP50: l.P50, testset.CheckP95: l.P95, testset.CheckP99: l.P99, testset.CheckMax: l.Max,
	}[measure]
	return v, ok && v > 0
}

// compareMeasure orders values, the better first.
func compareMeasure(measure string, a, b float64) int {
	if higher(measure) {
		return cmp.Compare(b, a)
	}
	return cmp.Compare(a, b)
}

// missed says what a threshold wanted and what was there.
func (t *Threshold) missed(value float64, known bool, factor float64) string {
	got := "nothing was measured"
	if known {
		got = "got " + quantity(t.Measure, value)
	}
	wanted := t.String()
	if factor > 1 {
		wanted += fmt.Sprintf(" (here %s)", quantity(t.Measure, t.eased(factor)))
	}
	return wanted + ": " + got
}
