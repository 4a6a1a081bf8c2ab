package sim

import (
	"testing"
	"time"
)

// budget is how long TestSeeds goes on; `make sim` plays more.
const budget = 12 * time.Second

// TestSeeds plays as many seeds as fit into the budget.
func TestSeeds(t *testing.T) {
	started := time.Now()
	seeds := uint64(0)
	for time.Since(started) < budget && seeds < 60 {
		seeds++
		res := Run(Options{Seed: seeds})
		if res.Failure != nil {
			for _, l := range res.Trace[max(0, len(res.Trace)-60):] {
				t.Log(l)
			}
			t.Fatalf("seed %d: %v\n%s\nplan: %s\nrepeat: go run ./server/sim/cmd/sim -seed %d -v",
				res.Seed, res.Failure, res.Failure.Stack, res.Plan, res.Seed)
		}
	}
	t.Logf("%d seeds", seeds)
}

// TestSeedRepeats: one seed is one run, and another seed is another.
func TestSeedRepeats(t *testing.T) {
	hashes := map[uint64]uint64{}
	for seed := range uint64(4) {
		a := Run(Options{Seed: seed, Requests: 120})
		b := Run(Options{Seed: seed, Requests: 120})
		if a.Hash != b.Hash || a.Steps != b.Steps || a.Virtual != b.Virtual {
			t.Errorf("seed %d: hash %x after %d steps, then %x after %d", seed, a.Hash, a.Steps, b.Hash, b.Steps)
		}
		if other, ok := hashes[a.Hash]; ok {
			t.Errorf("seeds %d and %d have the same trace", seed, other)
		}
		hashes[a.Hash] = seed
	}
}

// TestSabotageIsSeen: a shell that lies to the core breaks an invariant, and the
// simulator notices within a few seeds.
func TestSabotageIsSeen(t *testing.T) {
	for name, s := range map[string]sabotage{"no sync": sabotageNoSync, "other epochs": sabotageEpoch} {
		t.Run(name, func(t *testing.T) {
			const seeds = 120
			for seed := range uint64(seeds) {
				if res := Run(Options{Seed: seed, Requests: 150, sabotage: s}); res.Failure != nil {
					t.Logf("seed %d: %v", seed, res.Failure)
					return
				}
			}
			t.Errorf("%d seeds see nothing", seeds)
		})
	}
}
