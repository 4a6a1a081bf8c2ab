package bench

import (
	"math"
	"testing"
	"time"
)

func TestConstantArrivals(t *testing.T) {
	a := newArrivals(1000, false, 1)
	for i := 1; i <= 5; i++ {
		if got, want := a.next(), int64(i)*int64(time.Millisecond); got != want {
			t.Errorf("arrival %d at %d ns, want %d", i, got, want)
		}
	}
}

// TestPoissonArrivals: gaps have the mean and the deviation of an exponential
// distribution, and follow from the seed.
func TestPoissonArrivals(t *testing.T) {
	const n, gap = 50_000, 1e6
	a, b := newArrivals(1000, true, 5), newArrivals(1000, true, 5)
	last, sum, squares := int64(0), 0.0, 0.0
	for range n {
		at := a.next()
		if again := b.next(); again != at {
			t.Fatalf("one seed gave arrivals at %d and %d", at, again)
		}
		g := float64(at - last)
		sum, squares, last = sum+g, squares+g*g, at
	}
	mean := sum / n
	deviation := math.Sqrt(squares/n - mean*mean)
	for what, v := range map[string]float64{"mean": mean, "deviation": deviation} {
		if math.Abs(v-gap) > gap*5/math.Sqrt(n/2) {
			t.Errorf("the gaps' %s is %.0f ns, want about %.0f", what, v, float64(gap))
		}
	}
}
