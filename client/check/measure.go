package check

import (
	"math"
	"slices"

	"paxbank/client/runner"
)

// Latency sums up latencies, in microseconds.
type Latency struct {
	Count                    int
	Mean, P50, P95, P99, Max float64
}

// Latencies measures the calls with a known outcome of one kind ("intra",
// "cross" or "read"), or of all kinds ("").
func Latencies(set *runner.SetResult, kind string) Latency {
	var us []float64
	for i := range set.Calls {
		c := &set.Calls[i]
		if (kind == "" || c.Kind == kind) && c.Outcome.Definite() {
			us = append(us, float64(c.Latency().Microseconds()))
		}
	}
	if len(us) == 0 {
		return Latency{}
	}
	slices.Sort(us)
	sum := 0.0
	for _, v := range us {
		sum += v
	}
	return Latency{Count: len(us), Mean: sum / float64(len(us)), P50: nearestRank(us, 50), P95: nearestRank(us, 95), P99: nearestRank(us, 99), Max: us[len(us)-1]}
}

// nearestRank is the smallest value that at least p percent do not exceed.
func nearestRank(sorted []float64, p float64) float64 {
	i := int(math.Ceil(p/100*float64(len(sorted)))) - 1
	return sorted[min(max(i, 0), len(sorted)-1)]
}

// HistogramLatency reads the same statistics from a node's histogram;
// percentiles are the upper bounds of their buckets.
func HistogramLatency(h *runner.Histogram) Latency {
	if h.Count == 0 {
		return Latency{}
	}
	at := func(p float64) float64 {
		rank := uint64(math.Ceil(p / 100 * float64(h.Count)))
		seen := uint64(0)
		for i, n := range h.Counts {
			if seen += n; seen >= rank && i < len(h.Upper) {
				return float64(min(h.Upper[i], h.MaxMicros))
			}
		}
		return float64(h.MaxMicros)
	}
	return Latency{Count: int(h.Count), Mean: float64(h.SumMicros) / float64(h.Count), P50: at(50), P95: at(95), P99: at(99), Max: float64(h.MaxMicros)}
}

// Throughput is definite outcomes a second of the time with any command in
// flight; false when there was none.
func Throughput(set *runner.SetResult) (tps float64, ok bool) {
	if set.Busy <= 0 {
		return 0, false
	}
	n := 0
	for i := range set.Calls {
		if set.Calls[i].Outcome.Definite() {
			n++
		}
	}
	return float64(n) / set.Busy.Seconds(), true
}
