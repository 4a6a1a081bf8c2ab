package stats

import (
	"fmt"
	"math"
)

// z95 is the 0.975 quantile of the standard normal distribution: 95 % lie within
// so many standard deviations of the mean.
const z95 = 1.959963984540054

// Interval is a confidence interval of a proportion; both ends are in [0, 1].
type Interval struct {
	Low  float64 `json:"low"`
	High float64 `json:"high"`
}

// String is the interval in percent, such as "59.6 % to 98.2 %".
func (i Interval) String() string { return Percent(i.Low) + " to " + Percent(i.High) }

// Percent shows a proportion in percent, with one decimal where it has one.
func Percent(p float64) string {
	return fmt.Sprintf("%v %%", math.Round(p*1000)/10)
}

// Wilson is the 95 % score interval of a proportion (E. B. Wilson, Probable
// inference, 1927, equation 4, without continuity correction). Unlike the normal
// approximation it says something at 0 and at n successes too, which is where
// most test sets are. Of no trials nothing is known: 0 to 1.
func Wilson(successes, trials int) Interval {
	if trials <= 0 {
		return Interval{0, 1}
	}
	n := float64(trials)
	p := float64(successes) / n
	z2 := z95 * z95
	centre := p + z2/(2*n)
	half := z95 * math.Sqrt(p*(1-p)/n+z2/(4*n*n))
	i := Interval{(centre - half) / (1 + z2/n), (centre + half) / (1 + z2/n)}
	// Both ends are exact there; rounding would leave something like 1e-17.
	if successes <= 0 {
		i.Low = 0
	}
	if successes >= trials {
		i.High = 1
	}
	return i
}
