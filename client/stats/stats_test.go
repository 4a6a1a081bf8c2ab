package stats

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"paxbank/client/check"
)

// The values are those of the textbook formula as other programs compute it
// (R's prop.test without continuity correction, statsmodels' proportion_confint
// with method "wilson").
func TestWilsonAgainstKnownValues(t *testing.T) {
	for _, c := range []struct {
		successes, trials int
		low, high         float64
	}{
		{0, 10, 0, 0.27753},
		{1, 10, 0.01788, 0.40415},
		{5, 10, 0.23659, 0.76341},
		{9, 10, 0.59585, 0.98212},
		{10, 10, 0.72247, 1},
		{1, 1, 0.20655, 1},
		{0, 1, 0, 0.79345},
		{81, 263, 0.25529, 0.36621},
		{5, 5, 0.56552, 1},
		{0, 0, 0, 1},
	} {
		i := Wilson(c.successes, c.trials)
		if math.Abs(i.Low-c.low) > 1e-5 || math.Abs(i.High-c.high) > 1e-5 {
			t.Errorf("Wilson(%d, %d) = %.5f to %.5f, want %.5f to %.5f", c.successes, c.trials, i.Low, i.High, c.low, c.high)
		}
	}
}

// Laws: the ends are in order and in [0, 1], they hold the proportion, the
// interval of the failures is the mirror image, and both ends solve Wilson's
// equation (p - p0)² = z² p0 (1 - p0) / n.
func TestWilsonLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 10_000).Draw(t, "trials")
		k := rapid.IntRange(0, n).Draw(t, "successes")
		p := float64(k) / float64(n)
		i, mirror := Wilson(k, n), Wilson(n-k, n)
		if !(0 <= i.Low && i.Low <= p && p <= i.High && i.High <= 1) {
			t.Fatalf("%d of %d: %v does not hold %v", k, n, i, p)
		}
		if math.Abs(i.Low-(1-mirror.High)) > 1e-12 || math.Abs(i.High-(1-mirror.Low)) > 1e-12 {
			t.Fatalf("%d of %d: %v, mirrored %v", k, n, i, mirror)
		}
		for _, p0 := range []float64{i.Low, i.High} {
			if math.Abs((p-p0)*(p-p0)-z95*z95*p0*(1-p0)/float64(n)) > 1e-9 {
				t.Fatalf("%d of %d: %v does not solve the equation", k, n, p0)
			}
		}
	})
}

func TestPercent(t *testing.T) {
	for p, want := range map[float64]string{0: "0 %", 1: "100 %", 0.5958: "59.6 %", 0.9996: "100 %", 0.25: "25 %"} {
		if got := Percent(p); got != want {
			t.Errorf("Percent(%v) = %q, want %q", p, got, want)
		}
	}
	if got := Wilson(9, 10).String(); got != "59.6 % to 98.2 %" {
		t.Errorf("interval %q", got)
	}
}

func TestBudget(t *testing.T) {
	for _, c := range []struct {
		text  string
		runs  int
		of    int
		shown string
	}{
		{"0", 10, 0, "0"}, {"2", 10, 2, "2"}, {" 3 ", 1, 3, "3"},
		{"10%", 10, 1, "10%"}, {"10%", 9, 0, "10%"}, {"29%", 100, 29, "29%"}, {"2.5 %", 80, 2, "2.5%"},
		{"100%", 7, 7, "100%"}, {"0%", 7, 0, "0%"},
	} {
		b, err := ParseBudget(c.text)
		if err != nil {
			t.Errorf("%q: %v", c.text, err)
			continue
		}
		if got := b.Of(c.runs); got != c.of || b.String() != c.shown {
			t.Errorf("%q of %d: %d, shown %q; want %d, %q", c.text, c.runs, got, b, c.of, c.shown)
		}
	}
	for _, bad := range []string{"", "-1", "1.5", "101%", "-1%", "NaN%", "%", "some"} {
		if b, err := ParseBudget(bad); err == nil {
			t.Errorf("%q was taken for %s", bad, b)
		} else if !strings.Contains(err.Error(), fmt.Sprintf("%q", bad)) {
			t.Errorf("%q: the error does not name it: %v", bad, err)
		}
	}
}

func TestTally(t *testing.T) {
	for _, c := range []struct {
		pass, fail, unknown int
		budget              string
		class               Class
		verdict             check.Verdict
	}{
		{10, 0, 0, "0", AlwaysPasses, check.Pass},
		{9, 1, 0, "0", Flaky, check.Fail},
		{9, 1, 0, "1", Flaky, check.Pass},
		{9, 1, 0, "10%", Flaky, check.Pass},
		{9, 1, 0, "9%", Flaky, check.Fail},
		{8, 2, 0, "1", Flaky, check.Fail},
		// What never passed is broken, whatever the budget.
		{0, 3, 0, "3", AlwaysFails, check.Fail},
		{0, 2, 1, "100%", AlwaysFails, check.Fail},
		// Unknown is neither; where it could decide, so is the verdict.
		{9, 0, 1, "0", AlwaysPasses, check.Unknown},
		{9, 0, 1, "1", AlwaysPasses, check.Pass},
		{8, 1, 1, "1", Flaky, check.Unknown},
		{8, 1, 1, "2", Flaky, check.Pass},
		{8, 1, 1, "0", Flaky, check.Fail},
		{0, 0, 5, "5", Undecided, check.Unknown},
		{0, 0, 0, "0", Undecided, check.Unknown},
	} {
		b, err := ParseBudget(c.budget)
		if err != nil {
			t.Fatal(err)
		}
		var tally Tally
		for v, n := range map[check.Verdict]int{check.Pass: c.pass, check.Fail: c.fail, check.Unknown: c.unknown} {
			for range n {
				tally.Add(v)
			}
		}
		if tally != (Tally{c.pass, c.fail, c.unknown}) || tally.Runs() != c.pass+c.fail+c.unknown {
			t.Errorf("%+v is not what was added: %+v", tally, c)
		}
		if got := tally.Class(); got != c.class {
			t.Errorf("%+v: %s, want %s", tally, got, c.class)
		}
		if got := tally.Verdict(b); got != c.verdict {
			t.Errorf("%+v, budget %s: %s, want %s", tally, b, got, c.verdict)
		}
	}
	// Unknown repetitions are in no rate.
	tally := Tally{Pass: 3, Fail: 1, Unknown: 6}
	if rate, ok := tally.Rate(); !ok || rate != 0.75 || tally.Interval() != Wilson(3, 4) {
		t.Errorf("rate %v, interval %v", rate, tally.Interval())
	}
	if _, ok := (Tally{Unknown: 2}).Rate(); ok {
		t.Error("a rate of nothing")
	}
}
