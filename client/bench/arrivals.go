package bench

import (
	"math/rand/v2"
	"time"
)

// arrivals is the schedule of an open loop: when operations are meant to start,
// whatever the bank does. Latency counts from these times, so that a bank that
// stalls is charged for everybody who would have come meanwhile.
type arrivals struct {
	gap     float64 // mean nanoseconds between two
	poisson bool    // exponential gaps instead of constant ones
	rng     *rand.Rand
	at      float64
}

func newArrivals(perSecond float64, poisson bool, seed uint64) *arrivals {
	return &arrivals{gap: float64(time.Second) / perSecond, poisson: poisson, rng: rand.New(rand.NewPCG(seed, arrivalStream))}
}

// next is the time of the next arrival, in nanoseconds from the start.
func (a *arrivals) next() int64 {
	if a.poisson {
		a.at += a.gap * a.rng.ExpFloat64()
	} else {
		a.at += a.gap
	}
	return int64(a.at)
}
