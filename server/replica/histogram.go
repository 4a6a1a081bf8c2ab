package replica

import (
	"math/bits"

	"paxbank/server/ids"
)

// Histogram counts durations in buckets of at most 1/16 relative width, from
// 1 µs up. The zero value is ready to use.
type Histogram struct {
	Count, SumMicros, MaxMicros uint64
	Buckets                     [16 * 40]uint64
}

// Record adds one duration; negative ones count as zero.
func (h *Histogram) Record(d ids.Duration) {
	us := uint64(max(d, 0)) / 1000
	h.Count++
	h.SumMicros += us
	h.MaxMicros = max(h.MaxMicros, us)
	h.Buckets[bucketOf(us)]++
}

func bucketOf(us uint64) int {
	if us < 16 {
		return int(us)
	}
	shift := bits.Len64(us) - 5 // us>>shift is in [16, 32)
	return min(16*(shift+1)+int(us>>shift)-16, 16*40-1)
}

// Upper returns the largest value, in microseconds, that bucket i counts.
func (h *Histogram) Upper(i int) uint64 {
	if i < 16 {
		return uint64(i)
	}
	shift := i/16 - 1
	return (uint64(16+i%16)+1)<<shift - 1
}
