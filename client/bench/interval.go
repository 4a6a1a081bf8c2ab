package bench

import (
	"math"
	"slices"
)

// leastRepetitions that have an interval.
const leastRepetitions = 6

// repetition is the median of values and, from six of them on, its 95 %
// confidence interval. The interval makes no assumption about how the values are
// distributed: the k-th smallest and k-th largest of n enclose the median with
// probability 1 - 2·P(X < k), X binomial with n and 1/2 (W. J. Conover, Practical
// Nonparametric Statistics, section 3.2). Fewer than six values never reach 95 %.
func repetition(values []float64) Repetition {
	v := slices.Sorted(slices.Values(values))
	n := len(v)
	r := Repetition{Runs: n, Median: (v[(n-1)/2] + v[n/2]) / 2}
	if k := intervalRank(n); k > 0 {
		r.Low, r.High = &v[k-1], &v[n-k]
	}
	return r
}

// intervalRank is the largest k whose interval has 95 %, or 0.
func intervalRank(n int) int {
	below := math.Pow(0.5, float64(n)) // P(X = 0)
	sum, k := 0.0, 0
	for i := range n/2 + 1 {
		if sum += below; 2*sum > 0.05 {
			return k
		}
		k = i + 1
		below *= float64(n-i) / float64(i+1)
	}
	return k
}
