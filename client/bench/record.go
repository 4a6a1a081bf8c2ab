package bench

import (
	"math"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// outcome of an operation, as its client was told. A read that got its balance
// is committed.
type outcome uint8

// The outcomes.
const (
	committed outcome = iota
	aborted
	insufficientFunds
	unavailable
	invalid
	unknown // until it is settled
	outcomes
)

// The range of the latency histograms, in microseconds; what is longer counts as
// the longest. Three digits keep every percentile within 0.1 %.
const (
	maxLatency    = int64(10 * time.Minute / time.Microsecond)
	latencyDigits = 3
)

// recorder counts what one worker saw. Workers have their own, so that nothing
// is shared on the way of an operation; merge joins them at the end.
type recorder struct {
	// latency of measured operations that committed, by kind, in microseconds.
	latency [kinds]*hdrhistogram.Histogram
	// counts of measured operations.
	counts [kinds][outcomes]int64
	// What ended inside the measured window, whenever it began: with a definite
	// outcome, and committed.
	definiteInWindow, committedInWindow int64
	// commits are all committed transfers that a cluster took part in, the
	// warm-up's included, and those settled later.
	commits []int64
	// byTime are the latencies, of all kinds, of what committed in each period of the
	// measured window, which begins at begin; a period of 0 is none.
	begin, period int64
	byTime        []*hdrhistogram.Histogram
}

// periodDigits keep percentiles of a period within 1 %, with little memory: every
// worker has a histogram for each.
const periodDigits = 2

// divide makes the recorder tell periods of the window that begins then. Nothing
// has been recorded yet.
func (r *recorder) divide(begin, period int64) { r.begin, r.period = begin, period }

// in returns the latencies of a period.
func (r *recorder) in(period int) *hdrhistogram.Histogram {
	for len(r.byTime) <= period {
		r.byTime = append(r.byTime, hdrhistogram.New(1, maxLatency, periodDigits))
	}
	return r.byTime[period]
}

func newRecorder(clusters int) *recorder {
	r := &recorder{commits: make([]int64, clusters)}
	for k := range r.latency {
		r.latency[k] = hdrhistogram.New(1, maxLatency, latencyDigits)
	}
	return r
}

// latencyOf an operation that ended now, in microseconds.
func latencyOf(start, now int64) int64 {
	return min(max((now-start)/int64(time.Microsecond), 1), maxLatency)
}

// end counts an operation. inWindow: it ended inside the measured window.
func (r *recorder) end(o *op, out outcome, now int64, inWindow bool) {
	if inWindow && out != unknown {
		r.definiteInWindow++
		if out == committed {
			r.committedInWindow++
			if r.period > 0 {
				_ = r.in(int((now - r.begin) / r.period)).RecordValue(latencyOf(o.start, now)) // in range
			}
		}
	}
	if o.measured {
		r.counts[o.kind][out]++
		if out == committed {
			// In range, so the error is always nil.
			_ = r.latency[o.kind].RecordValue(latencyOf(o.start, now))
		}
	}
	if out == committed {
		r.commit(o)
	}
}

// commit counts a committed transfer for the clusters that took part.
func (r *recorder) commit(o *op) {
	if o.kind == read {
		return
	}
	r.commits[o.cluster]++
	if o.peer != o.cluster {
		r.commits[o.peer]++
	}
}

func (r *recorder) merge(other *recorder) {
	for k := range r.latency {
		r.latency[k].Merge(other.latency[k])
		for o := range r.counts[k] {
			r.counts[k][o] += other.counts[k][o]
		}
	}
	for c := range r.commits {
		r.commits[c] += other.commits[c]
	}
	if other.period > 0 {
		r.divide(other.begin, other.period)
	}
	for i, h := range other.byTime {
		r.in(i).Merge(h)
	}
	r.definiteInWindow += other.definiteInWindow
	r.committedInWindow += other.committedInWindow
}

// beyond is how many samples must lie beyond a percentile before it is told: a
// p99.9 of 500 transactions would be the largest of them by another name.
const beyond = 10

// supported reports whether n samples say something about a percentile.
func supported(n int64, percentile float64) bool {
	// Percentiles are decimal fractions: 0.1 % of 10,000 is 10, not 9.99….
	return math.Round(float64(n)*(100-percentile)*1e6)/1e6 >= 100*beyond
}

// percentiles of a histogram of microseconds, without those that it has too few
// samples for; nil when it is empty.
func percentiles(h *hdrhistogram.Histogram) *Percentiles {
	n := h.TotalCount()
	if n == 0 {
		return nil
	}
	p := &Percentiles{Count: n, Max: float64(h.Max())}
	for _, f := range p.fields() {
		if supported(n, f.percentile) {
			v := float64(h.ValueAtPercentile(f.percentile))
			*f.value = &v
		}
	}
	return p
}
