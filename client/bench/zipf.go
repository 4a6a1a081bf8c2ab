package bench

import (
	"math"
	"math/rand/v2"
)

// zipf draws ranks 0..n-1 with probabilities proportional to 1/(rank+1)^theta,
// for any theta above 0. math/rand's refuses theta ≤ 1, and 0.99 is the standard.
//
// The method is rejection-inversion (W. Hörmann, G. Derflinger: Rejection-
// inversion to generate variates from monotone discrete distributions, 1996):
// exact, without a table, and with less than 1.2 tries a draw.
type zipf struct {
	n           int64
	theta       float64
	first, last float64 // of the area that is drawn from
	sure        float64 // a draw this close below its rank needs no test
}

func newZipf(n int64, theta float64) zipf {
	z := zipf{n: n, theta: theta}
	z.first = z.integral(1.5) - 1
	z.last = z.integral(float64(n) + 0.5)
	z.sure = 2 - z.inverse(z.integral(2.5)-z.density(2))
	return z
}

func (z *zipf) draw(rng *rand.Rand) int64 {
	for {
		u := z.last + rng.Float64()*(z.first-z.last)
		x := z.inverse(u)
		k := min(max(int64(x+0.5), 1), z.n)
		if float64(k)-x <= z.sure || u >= z.integral(float64(k)+0.5)-z.density(float64(k)) {
			return k - 1
		}
	}
}

// density is x^-theta, the hat over the probabilities.
func (z *zipf) density(x float64) float64 { return math.Exp(-z.theta * math.Log(x)) }

// integral of density: (x^(1-theta) - 1) / (1-theta), or log x for theta 1.
func (z *zipf) integral(x float64) float64 {
	l := math.Log(x)
	return expm1Over((1-z.theta)*l) * l
}

// inverse of integral.
func (z *zipf) inverse(y float64) float64 {
	t := max(y*(1-z.theta), -1)
	return math.Exp(log1pOver(t) * y)
}

// expm1Over is (e^x - 1) / x, and 1 at 0.
func expm1Over(x float64) float64 {
	if math.Abs(x) > 1e-8 {
		return math.Expm1(x) / x
	}
	return 1 + x/2*(1+x/3)
}

// log1pOver is log(1+x) / x, and 1 at 0.
func log1pOver(x float64) float64 {
	if math.Abs(x) > 1e-8 {
		return math.Log1p(x) / x
	}
	return 1 - x*(0.5-x/3)
}
