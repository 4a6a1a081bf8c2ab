package sim

import (
	"testing"
	"time"

	"paxbank/server/bank"
	"paxbank/server/ids"
	"paxbank/server/paxos"
	"paxbank/server/replica"
	"paxbank/server/twopc"
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

// liar is a replica whose effects are tampered with on their way to the shell.
type liar struct {
	core
	tamper func(f *replica.Effects)
}

func (l liar) Effects() *replica.Effects {
	f := l.core.Effects()
	l.tamper(f)
	return f
}

func lying(tamper func(f *replica.Effects)) func(replica.Config, paxos.Stable, ids.Time) (core, error) {
	return func(cfg replica.Config, st paxos.Stable, now ids.Time) (core, error) {
		c, err := newReplica(cfg, st, now)
		return liar{c, tamper}, err
	}
}

// TestSabotageIsSeen: a shell or a core that lies breaks an invariant, and the
// simulator notices within a few seeds.
func TestSabotageIsSeen(t *testing.T) {
	for _, tc := range []struct {
		name, invariant string // empty: any
		opt             Options
	}{
		{"disks that lie about fsync", "", Options{sabotage: sabotageNoSync}},
		{"messages of another epoch", "", Options{sabotage: sabotageEpoch, Faults: &[]string{"reset", "stall"}}},
		{"promises before they are on disk", "persist before promise", Options{newCore: lying(func(f *replica.Effects) {
			for i := range f.Sends {
				f.Sends[i].After = 0
			}
		})}},
		{"guesses told as facts", "durability", Options{newCore: lying(func(f *replica.Effects) {
			for i := range f.Answers {
				if f.Answers[i].Outcome == bank.OutcomeUnknown {
					f.Answers[i].Outcome = bank.OutcomeCommitted
				}
			}
		})}},
		{"promises that keep a secret", "promise", Options{newCore: lying(func(f *replica.Effects) {
			for i := range f.Sends {
				if m, ok := f.Sends[i].Message.(*paxos.Promise); ok {
					m.Accepted = paxos.AppendAccepted(nil, nil)
				}
			}
		})}},
		{"ages that change", "wait-die", Options{newCore: lying(func(f *replica.Effects) {
			for i := range f.Sends {
				if m, ok := f.Sends[i].Message.(*twopc.TwoPCPrepareRequest); ok {
					m.Age.Number += uint64(m.Remaining) // less each time
				}
			}
		})}},
		{"prepares that wait for older ones", "wait-die", Options{newCore: lying(func(f *replica.Effects) {
			for i := range f.Sends {
				if m, ok := f.Sends[i].Message.(*twopc.TwoPCPrepareReply); ok && m.Reason == twopc.ReasonConflict {
					m.Reason = twopc.ReasonWaiting
				}
			}
		})}},
		{"answers that are never given", "deadline", Options{newCore: lying(func(f *replica.Effects) { f.Answers = nil })}},
		{"a core that never wakes up", "liveness", Options{newCore: lying(func(f *replica.Effects) { f.Wake = 0 })}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			const seeds = 400
			for seed := range uint64(seeds) {
				tc.opt.Seed, tc.opt.Requests = seed, 150
				res := Run(tc.opt)
				if res.Failure == nil {
					continue
				}
				if tc.invariant != "" && res.Failure.Invariant != tc.invariant {
					t.Errorf("seed %d: %q noticed, want %q: %v", seed, res.Failure.Invariant, tc.invariant, res.Failure)
				}
				t.Logf("seed %d: %v", seed, res.Failure)
				return
			}
			t.Errorf("%d seeds see nothing", seeds)
		})
	}
}
