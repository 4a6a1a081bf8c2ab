package sim

import (
	"strings"
	"testing"
)

// TestBoundsAreReachedWhereTheyAreSmall: what happens at the bounds of the log is
// counted in the runs that have small ones, and in no other: a run is far too
// short for those of a real node. Holes are everywhere.
func TestBoundsAreReachedWhereTheyAreSmall(t *testing.T) {
	split := []string{boundViewPart, boundEntries, boundBytes, boundCatchUp, boundInFlight, boundFar, boundChunks, boundAssembled}
	met, tightRuns := Coverage{}, 0
	for seed := range uint64(60) {
		r := Run(Options{Seed: seed, Requests: 60})
		if r.Failure != nil {
			t.Fatalf("seed %d: %v", seed, r.Failure)
		}
		tight := strings.Contains(r.Plan, "(frame ")
		if tight {
			tightRuns++
			met.Merge(r.Coverage)
			continue
		}
		for _, name := range split {
			if n := r.Coverage["bound: "+name]; n > 0 {
				t.Errorf("seed %d meets %q %d times with the bounds of a real node", seed, name, n)
			}
		}
	}
	if tightRuns == 0 || tightRuns == 60 {
		t.Fatalf("%d of 60 runs have small bounds", tightRuns)
	}
	for _, name := range []string{boundViewPart, boundEntries, boundCatchUp, boundInFlight, boundHole} {
		if met["bound: "+name] == 0 {
			t.Errorf("%d runs with small bounds do not meet %q", tightRuns, name)
		}
	}
}
