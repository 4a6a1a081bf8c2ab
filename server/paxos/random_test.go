package paxos

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"

	"paxbank/server/ids"
)

var (
	runs = flag.Int("paxos.runs", 50, "random runs of TestRandomFaults")
	seed = flag.Uint64("paxos.seed", 0, "the only seed to run; 0: many")
)

// TestRandomFaults breaks things at random, with all checks of the cluster on,
// then stops and wants everything to end.
func TestRandomFaults(t *testing.T) {
	if *seed != 0 {
		randomRun(t, *seed)
		return
	}
	for s := uint64(1); s <= uint64(*runs); s++ {
		randomRun(t, s)
		if t.Failed() {
			return
		}
	}
}

func randomRun(t *testing.T, seed uint64) {
	defer func() {
		if v := recover(); v != nil {
			panic(fmt.Sprintf("seed %d: %v\nrepeat: go test ./server/paxos -run TestRandomFaults -paxos.seed=%d", seed, v, seed))
		}
		if t.Failed() {
			t.Logf("repeat: go test ./server/paxos -run TestRandomFaults -paxos.seed=%d", seed)
		}
	}()
	size := []int{3, 3, 3, 5, 1, 2, 4}[seed%7]
	c := newCluster(t, size, seed)
	r := c.rng
	if r.IntN(2) == 0 {
		c.checkpoint = 20 + r.Uint64N(100)
	}
	tight := r.IntN(2) == 0
	c.resize(func(b *Config) {
		b.SpareAfter = []ids.Duration{0, 10 * ms, 100 * ms}[r.IntN(3)]
		if tight {
			tighten(b, r)
		}
	})
	healthy := c.delay
	faults := func() {
		c.loss, c.dup = 0, 0
		if r.IntN(3) > 0 {
			c.loss = r.Float64() * 0.3
		}
		if r.IntN(3) > 0 {
			c.dup = r.Float64() * 0.3
		}
		c.lazy = 0
		if r.IntN(3) == 0 {
			c.lazy = r.Float64() * 0.8
		}
		c.delay = healthy
		if r.IntN(2) == 0 {
			c.delay = [2]ids.Duration{0, ids.Duration(r.Int64N(int64(120 * ms)))}
		}
		slowest := 10 * ms
		if r.IntN(3) == 0 {
			slowest = 300 * ms
		}
		c.disk = [2]ids.Duration{0, ids.Duration(r.Int64N(int64(slowest)) + 1)}
	}
	faults()
	c.live(true, c.all()...)
	for range 60 + r.IntN(100) {
		id := ids.Node(r.IntN(size) + 1)
		s := c.node(id)
		switch r.IntN(12) {
		case 0:
			if s.up {
				c.crash(id)
			}
		case 1, 2:
			if !s.up {
				c.start(id)
				c.live(true, id)
			}
		case 3:
			c.live(r.IntN(3) > 0, id)
		case 4:
			c.isolate(id, r.IntN(2) == 0)
		case 5:
			o := ids.Node(r.IntN(size) + 1)
			c.cut[[2]ids.Node{id, o}] = r.IntN(2) == 0
		case 6:
			faults()
		case 7:
			if s.up {
				c.later(0, s, func() { s.px.PeerReset(c.now, ids.Node(r.IntN(size)+1)) })
			}
		case 8:
			clear(c.cut)
		default:
			for _, s := range c.nodes {
				if s.up && s.px.IsLeader() {
					if c.ask(s); s.px.IsLeader() {
						c.propose(s.id, 1+r.IntN(30))
					}
				}
			}
		}
		pause := 300 * ms
		if r.IntN(2) == 0 {
			pause = 20 * ms
		}
		c.run(ids.Duration(r.Int64N(int64(pause))))
	}
	clear(c.cut)
	for _, s := range c.nodes {
		if s.up && s.px.IsLeader() {
			c.ask(s)
		}
	}
	c.loss, c.dup, c.lazy, c.delay, c.disk = 0, 0, 0, healthy, [2]ids.Duration{ms / 2, ms}
	for _, s := range c.nodes {
		if !s.up {
			c.start(s.id)
		}
	}
	c.live(true, c.all()...)
	c.until("a leader once the faults stopped", 5000*ms, func() bool { return c.leader() != 0 })
	c.run(1000 * ms)
	c.until("a leader", 5000*ms, func() bool { return c.leader() != 0 })
	c.propose(c.leader(), 10)
	c.ask(c.node(c.leader()))
	c.settle(c.all()...)
	if c.served == 0 && c.px(c.leader()).viewLast <= c.node(c.leader()).applied {
		c.ask(c.node(c.leader()))
		c.until("a read at the idle leader", 100*ms, func() bool { return c.served > 0 })
	}
	for _, s := range c.nodes {
		if s.px.malformed > 0 {
			c.fatalf("n%d saw %d malformed messages", s.id, s.px.malformed)
		}
	}
}

// tighten makes the bounds so small that they are reached all the time.
func tighten(b *Config, r *rand.Rand) {
	b.MaxFrameEntries = 1 + r.Uint64N(8)
	b.MaxFrameBytes = 20 + r.IntN(200)
	b.MaxInFlight = 1 + r.Uint64N(30)
	b.ChunkBytes = 100 + r.Uint64N(2000)
	b.MaxHole = b.MaxFrameEntries + r.Uint64N(30)
}
