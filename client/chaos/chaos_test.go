package chaos

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"paxbank/internal/topology"
	pb "paxbank/proto/paxbank/v1"
)

// shortTime is how long faults go on unless CHAOS_TIME says otherwise. Each
// kind of fault happens once in any case.
const shortTime = 8 * time.Second

// fewEntries between two checkpoints: within seconds of load, nodes come back
// behind a checkpoint, from one, and in the middle of taking one.
var fewEntries = &pb.Limits{CheckpointEvery: 150}

func runTime(t *testing.T) time.Duration {
	text := os.Getenv("CHAOS_TIME")
	if text == "" {
		return shortTime
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("CHAOS_TIME: %v", err)
	}
	return d
}

func seedOf(t *testing.T) uint64 {
	text := os.Getenv("CHAOS_SEED")
	if text == "" {
		return rand.Uint64()
	}
	seed, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("CHAOS_SEED: %v", err)
	}
	return seed
}

// TestChaos is the whole promise at once: whatever happens to the processes, no
// acknowledged transfer is lost, none happens twice, everything ends.
func TestChaos(t *testing.T) {
	bound, seed := runTime(t), seedOf(t)
	t.Logf("faults for %v; the same ones again: CHAOS_SEED=%d (how they meet the load is up to the machine)", bound, seed)
	b := start(t, topology.Default(), fewEntries)
	l := newLoad(b, seed)
	n := &nemesis{b, rand.New(rand.NewPCG(seed, 0))}
	began := time.Now()
	rounds := 0
	for ; rounds < len(faults) || time.Since(began) < bound; rounds++ {
		f := faults[rounds%len(faults)]
		if rounds >= len(faults) {
			f = faults[n.r.IntN(len(faults))]
		}
		// A round ends with all calls answered and resolved: where nothing is under
		// way, the history can be cut.
		stop := make(chan struct{})
		calls := l.run(stop)
		what := n.strike(f)
		n.leaders()
		n.pass(calmMax)
		close(stop)
		calls.Wait()
		t.Logf("%6.2f s  %s; %d calls so far", time.Since(began).Seconds(), what, len(l.ops))
		b.nobodyEnded()
	}
	t.Logf("%d rounds of faults: %s", rounds, l.summary())
	l.judge(t)
}
