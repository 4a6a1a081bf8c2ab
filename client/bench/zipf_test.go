package bench

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestZipfAgainstTheory: over many draws, every rank comes as often as
// 1/rank^theta says, by Pearson's chi-squared test.
func TestZipfAgainstTheory(t *testing.T) {
	for _, theta := range []float64{0.2, 0.5, 0.8, 0.99, 1} {
		for _, n := range []int64{2, 10, 200} {
			const draws = 200_000
			z, rng := newZipf(n, theta), rand.New(rand.NewPCG(7, uint64(n)))
			seen := make([]float64, n)
			for range draws {
				seen[z.draw(rng)]++
			}
			sum, chi := 0.0, 0.0
			for k := range n {
				sum += math.Pow(float64(k+1), -theta)
			}
			for k := range n {
				want := draws * math.Pow(float64(k+1), -theta) / sum
				chi += (seen[k] - want) * (seen[k] - want) / want
			}
			// Mean n-1, variance 2(n-1): five deviations are never chance.
			freedom := float64(n - 1)
			if limit := freedom + 5*math.Sqrt(2*freedom); chi > limit {
				t.Errorf("theta %g, %d ranks: chi-squared is %.1f, want below %.1f", theta, n, chi, limit)
			}
		}
	}
}

// TestZipfOfMany: the share of the first ranks among a million.
func TestZipfOfMany(t *testing.T) {
	const n, draws = 1_000_000, 100_000
	z, rng := newZipf(n, 0.99), rand.New(rand.NewPCG(1, 2))
	sum, head := 0.0, 0.0
	for k := 1; k <= n; k++ {
		if sum += math.Pow(float64(k), -0.99); k == 100 {
			head = sum
		}
	}
	got := 0
	for range draws {
		k := z.draw(rng)
		if k < 0 || k >= n {
			t.Fatalf("drew rank %d of %d", k, n)
		}
		if k < 100 {
			got++
		}
	}
	p := head / sum
	if off := math.Abs(float64(got) - draws*p); off > 5*math.Sqrt(draws*p*(1-p)) {
		t.Errorf("the first 100 ranks came %d times, want about %.0f", got, draws*p)
	}
}
