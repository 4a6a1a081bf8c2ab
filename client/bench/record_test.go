package bench

import (
	"math"
	"slices"
	"testing"
)

func TestSupportedPercentiles(t *testing.T) {
	for _, c := range []struct {
		percentile float64
		least      int64 // samples that support it
	}{{50, 20}, {90, 100}, {95, 200}, {99, 1000}, {99.9, 10_000}} {
		if supported(c.least-1, c.percentile) || !supported(c.least, c.percentile) {
			t.Errorf("p%g is told with %d samples: %t, with %d: %t; want only the latter", c.percentile,
				c.least-1, supported(c.least-1, c.percentile), c.least, supported(c.least, c.percentile))
		}
	}
}

func TestPercentilesAreLeftOut(t *testing.T) {
	r := newRecorder(1)
	if percentiles(r.latency[intra]) != nil {
		t.Error("percentiles of nothing")
	}
	for i := range int64(200) {
		o := op{kind: intra, measured: true}
		r.end(&o, committed, (i+1)*1000, true)
	}
	p := percentiles(r.latency[intra])
	if p.P50 == nil || p.P90 == nil || p.P95 == nil || p.P99 != nil || p.P99_9 != nil {
		t.Fatalf("200 samples: %+v, want p50, p90 and p95 only", p)
	}
	for _, c := range []struct{ got, want float64 }{{*p.P50, 100}, {*p.P90, 180}, {*p.P95, 190}, {p.Max, 200}} {
		if math.Abs(c.got-c.want) > 1 {
			t.Errorf("got %g µs, want %g", c.got, c.want)
		}
	}
}

func TestRecorderKeepsOutcomesApart(t *testing.T) {
	a, b := newRecorder(2), newRecorder(2)
	measured := op{kind: cross, cluster: 0, peer: 1, measured: true}
	warm := op{kind: cross, cluster: 0, peer: 1}
	a.end(&warm, committed, 1000, false)
	a.end(&measured, committed, 1000, true)
	b.end(&measured, unknown, 1000, true)
	b.end(&measured, aborted, 1000, false)
	b.end(&op{kind: read, measured: true}, committed, 1000, true)
	a.merge(b)
	if got, want := countsOf(&a.counts[cross]), (Counts{Committed: 1, Aborted: 1, Unknown: 1}); got != want {
		t.Errorf("counts %+v, want %+v", got, want)
	}
	if a.committedInWindow != 2 || a.definiteInWindow != 2 {
		t.Errorf("%d committed and %d definite in the window, want 2 and 2", a.committedInWindow, a.definiteInWindow)
	}
	if a.commits[0] != 2 || a.commits[1] != 2 {
		t.Errorf("commits by cluster %v, want [2 2]: the warm-up's count too, reads do not", a.commits)
	}
	if n := a.latency[cross].TotalCount(); n != 1 {
		t.Errorf("%d latencies, want 1: neither the warm-up's nor those of failures", n)
	}
}

func TestRepetition(t *testing.T) {
	// The largest k for 95 %, as tables of the sign test have it.
	for n, k := range map[int]int{1: 0, 5: 0, 6: 1, 8: 1, 9: 2, 10: 2, 12: 3, 15: 4, 20: 6, 25: 8, 50: 18} {
		if got := intervalRank(n); got != k {
			t.Errorf("rank for %d values is %d, want %d", n, got, k)
		}
	}
	r := repetition([]float64{5, 1, 4, 2, 3})
	if r.Median != 3 || r.Low != nil || r.High != nil {
		t.Errorf("%+v, want the median 3 and no interval", r)
	}
	r = repetition([]float64{9, 1, 8, 2, 7, 3, 6, 4, 5, 10})
	if r.Median != 5.5 || r.Low == nil || *r.Low != 2 || *r.High != 9 {
		t.Errorf("%+v, want the median 5.5 between 2 and 9", r)
	}
}

func TestRecorderTellsPeriods(t *testing.T) {
	const period = 1000_000
	a, b := newRecorder(1), newRecorder(1)
	for _, r := range []*recorder{a, b} {
		r.divide(500_000, period)
	}
	end := func(r *recorder, start, now int64, inWindow bool, out outcome) {
		r.end(&op{kind: intra, start: start, measured: true}, out, now, inWindow)
	}
	end(a, 0, 400_000, false, committed)
	end(a, 400_000, 500_000, true, committed)
	end(b, 1_400_000, 1_499_999, true, committed)
	end(b, 1_400_000, 1_500_000, true, aborted)
	end(b, 2_500_000, 2_900_000, true, committed)
	all := newRecorder(1)
	all.merge(a)
	all.merge(b)
	var counts, longest []int64
	for _, h := range all.byTime {
		counts, longest = append(counts, h.TotalCount()), append(longest, h.Max())
	}
	if !slices.Equal(counts, []int64{2, 0, 1}) {
		t.Errorf("committed by period: %v, want [2 0 1]: neither the warm-up nor what was not committed", counts)
	}
	if len(longest) == 3 && (longest[0] != 100 || longest[2] < 396 || longest[2] > 404) {
		t.Errorf("longest latencies %v µs, want 100 and, within 1 %%, 400", longest)
	}
	if len(newRecorder(1).byTime) != 0 {
		t.Error("a recorder that was not told to has periods")
	}
}
