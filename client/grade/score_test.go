package grade

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"paxbank/client/check"
	"paxbank/client/plan"
	"paxbank/client/testset"
)

// twoSets is a section of two sets that are worth 3 and 1 in the test set.
func twoSets(passes string, thresholds ...Threshold) *Section {
	return &Section{
		Name: "A", Points: 8, Passes: passes, Performance: thresholds,
		plan: &plan.Plan{
			Sets:     []plan.Set{{Set: testset.Set{Number: 1}}, {Set: testset.Set{Number: 2}}},
			Expected: []testset.Expectation{{Set: 1, Points: 3}},
		},
	}
}

// ran is a run that got so many points of 3 and of 1.
func ran(one, two float64, measured Measured) SectionRun {
	verdict := func(got, max float64) check.Verdict {
		if got == max {
			return check.Pass
		}
		return check.Fail
	}
	return SectionRun{Measured: measured, Sets: []SetRun{
		{Set: 1, Verdict: verdict(one, 3), Score: one, Max: 3, Note: "one"}, {Set: 2, Verdict: verdict(two, 1), Score: two, Max: 1, Note: "two"},
	}}
}

func TestScore(t *testing.T) {
	speed := func(tps, p99 float64) Measured {
		return Measured{Throughput: tps, Latency: map[string]check.Latency{"": {Count: 1, P99: p99}}}
	}
	fast := []Threshold{{Measure: "throughput", Want: 100, Points: 2}, {Measure: "p99", Want: 5000, Points: 1}}
	for _, c := range []struct {
		name       string
		passes     string
		thresholds []Threshold
		factor     float64
		runs       []SectionRun
		want       float64
		verdict    check.Verdict
	}{
		{"everything", PassesAll, nil, 1, []SectionRun{ran(3, 1, Measured{})}, 8, check.Pass},
		{"in proportion", PassesAll, nil, 1, []SectionRun{ran(1.5, 1, Measured{})}, 5, check.Fail},
		{"a set that was not run", PassesAll, nil, 1, []SectionRun{{Sets: ran(3, 1, Measured{}).Sets[:1]}}, 6, check.Unknown},
		{"all: the worst of each set", PassesAll, nil, 1, []SectionRun{ran(3, 0, Measured{}), ran(0, 1, Measured{}), ran(3, 1, Measured{})}, 0, check.Fail},
		{"any: the best of each set", PassesAny, nil, 1, []SectionRun{ran(3, 0, Measured{}), ran(0, 1, Measured{}), ran(0, 0, Measured{})}, 8, check.Pass},
		{"majority: two of three", PassesMajority, nil, 1, []SectionRun{ran(3, 0, Measured{}), ran(0, 1, Measured{}), ran(3, 0, Measured{})}, 6, check.Fail},
		{"majority: half is none", PassesMajority, nil, 1, []SectionRun{ran(3, 1, Measured{}), ran(0, 1, Measured{})}, 2, check.Fail},
		{"fast", PassesAll, fast, 1, []SectionRun{ran(3, 1, speed(100, 5000))}, 11, check.Pass},
		{"too slow by both", PassesAll, fast, 1, []SectionRun{ran(3, 1, speed(99, 5001))}, 8, check.Pass},
		{"fast and wrong", PassesAll, fast, 1, []SectionRun{ran(0, 1, speed(1000, 1))}, 2, check.Fail},
		{"a slow machine", PassesAll, fast, 2, []SectionRun{ran(3, 1, speed(50, 10_000))}, 11, check.Pass},
		{"the median", PassesAll, fast, 1, []SectionRun{ran(3, 1, speed(10, 90_000)), ran(3, 1, speed(200, 100)), ran(3, 1, speed(150, 100))}, 11, check.Pass},
		{"nothing measured", PassesAll, fast, 1, []SectionRun{ran(3, 1, Measured{})}, 8, check.Pass},
	} {
		s := twoSets(c.passes, c.thresholds...)
		r := SectionResult{Name: "A", Status: Graded, Factor: c.factor, Runs: c.runs}
		s.score(&r)
		if r.Score != c.want || r.Verdict != c.verdict || r.Max != s.Max() {
			t.Errorf("%s: %v of %v, %s; want %v, %s", c.name, r.Score, r.Max, r.Verdict, c.want, c.verdict)
		}
		for _, status := range []Status{Failed, Open, Broken} {
			r.Status = status
			if s.score(&r); r.Score != 0 || r.Max != s.Max() || r.Verdict != "" {
				t.Errorf("%s, %s: %v of %v, %s", c.name, status, r.Score, r.Max, r.Verdict)
			}
		}
	}
}

// The note of a set that fails now and then says how often.
func TestScoreNote(t *testing.T) {
	r := SectionResult{Status: Graded, Factor: 1, Runs: []SectionRun{ran(3, 1, Measured{}), ran(0, 1, Measured{}), ran(3, 1, Measured{})}}
	for passes, want := range map[string]string{PassesAll: "passed in 2 of 3 runs; one", PassesAny: "passed in 2 of 3 runs; one"} {
		twoSets(passes).score(&r)
		if got := r.Sets[0].Note; got != want {
			t.Errorf("%s: %q, want %q", passes, got, want)
		}
	}
}

func TestThresholdWords(t *testing.T) {
	slow := Threshold{Measure: "p99", Kind: "cross", Want: 20_000}
	if got, want := slow.missed(31_500, true, 1.5), "p99 cross <= 20ms (here 30ms): got 31.5ms"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	few := Threshold{Measure: "throughput", Want: 500}
	if got, want := few.missed(499.5, true, 1), "throughput >= 500/s: got 499.5/s"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestFactor(t *testing.T) {
	r := Reference
	for _, c := range []struct {
		speed Speed
		want  float64
	}{
		{r, 1},
		{Speed{r.CPU / 2, r.Sync / 2, r.Call / 2}, 1}, // faster is not held against anybody
		{Speed{2 * r.CPU, 2 * r.Sync, 2 * r.Call}, 2},
		{Speed{3 * r.CPU, r.Sync, r.Call}, 2},
		{Speed{r.CPU, 21 * r.Sync, r.Call}, 6},
	} {
		if got := c.speed.Factor(); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("%s: factor %v, want %v", c.speed, got, c.want)
		}
	}
	start := time.Now()
	s, err := MeasureSpeed(t.Context(), t.TempDir())
	if err != nil || s.CPU <= 0 || s.Sync <= 0 || s.Call <= 0 {
		t.Errorf("%s, %v", s, err)
	}
	// Of the bound itself only a little more, since a step that began is finished.
	if took := time.Since(start); took > 2*measureBound {
		t.Errorf("measuring took %s, want about %s at most", took, measureBound)
	}
}

// grades are submissions that all passed, with the throughput of their runs.
func grades(throughputs ...[]float64) []*Grade {
	var all []*Grade
	for i, values := range throughputs {
		r := SectionResult{Name: "A", Status: Graded, Verdict: check.Pass}
		for _, v := range values {
			r.Runs = append(r.Runs, SectionRun{Measured: Measured{Throughput: v, Latency: map[string]check.Latency{"": {Count: 1, P50: v}}}})
		}
		all = append(all, &Grade{Pseudonym: string(rune('a' + i)), Sections: []SectionResult{r}})
	}
	return all
}

func TestBoard(t *testing.T) {
	s := &Suite{Leaderboard: &Leaderboard{Section: "A", Measure: "throughput"}}
	all := grades([]float64{100, 102, 98}, []float64{500, 505, 495}, []float64{101, 99, 103}, []float64{900, 910, 905}, []float64{1, 2})
	all[3].Sections[0].Verdict = check.Fail // the fastest is wrong
	b := s.board(all)
	show := func(b *Board) string {
		var list []string
		for _, r := range b.Rows {
			list = append(list, string(rune('0'+r.Rank))+r.Pseudonym)
		}
		return strings.Join(list, " ")
	}
	// c is a little ahead of a, by less than one can tell; e ran too rarely.
	if got, want := show(b), "1b 2c 2a"; got != want || b.Incorrect != 2 {
		t.Errorf("the board is %s, %d are not on it; want %s, 2", got, b.Incorrect, want)
	}
	for _, r := range b.Rows {
		if !(r.Low < r.Mean && r.Mean < r.High) {
			t.Errorf("%s: %v is not between %v and %v", r.Pseudonym, r.Mean, r.Low, r.High)
		}
	}
	s.Leaderboard.Measure = "p50"
	if got, want := show(s.board(all[:3])), "1a 1c 3b"; got != want {
		t.Errorf("by latency the board is %s, want %s", got, want)
	}
	if (&Suite{}).board(all) != nil {
		t.Error("a board that nobody asked for")
	}
}

func TestMeanInterval(t *testing.T) {
	// By hand: the logarithms to base 2 are 1, 2, 3, with mean 2 and standard
	// deviation 1; t(2) = 4.303, so they are 2 ± 4.303/√3.
	m, low, high := meanInterval([]float64{2, 4, 8})
	if math.Abs(m-4) > 1e-9 || math.Abs(math.Log2(low)-(2-2.4843)) > 1e-3 || math.Abs(math.Log2(high)-(2+2.4843)) > 1e-3 {
		t.Errorf("%v, %v to %v", m, low, high)
	}
	// With many values the quantile is that of the normal distribution.
	many := slices.Repeat([]float64{1, math.Exp(2)}, 50)
	if _, low, high = meanInterval(many); math.Abs(math.Log(high/low)-2*1.960*math.Sqrt(100.0/99/100)) > 1e-9 {
		t.Errorf("%v to %v", low, high)
	}
}
