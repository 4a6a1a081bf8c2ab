package diff

import (
	"slices"

	"paxbank/client/check"
)

// checks adds what the judge said besides: invariants, rows of the expected file
// and what the oracle could not say. A check that only one side has passes on the
// other: the judge names single things only when they are wrong.
func (c *comparison) checks() {
	for _, n := range append(slices.Clone(c.a.order), c.b.order...) {
		a, inA := c.a.rest[n]
		b, inB := c.b.rest[n]
		if !inA {
			a.verdict = check.Pass
		}
		if !inB {
			b.verdict = check.Pass
		}
		if a.verdict == check.Pass && b.verdict == check.Pass {
			continue
		}
		c.add(KindCheck, n.String(), string(a.verdict), string(b.verdict), a, b, placeOf(n, c.a.set.Topology, slices.Concat(a.lines, b.lines)), "")
		delete(c.a.rest, n)
		delete(c.b.rest, n)
	}
}
