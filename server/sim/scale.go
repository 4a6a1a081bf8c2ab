package sim

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"slices"

	"paxbank/internal/topology"
	"paxbank/server/bank"
	"paxbank/server/ids"
	"paxbank/server/paxos"
	"paxbank/server/replica"
)

// What a transfer costs in a bank of any shape: the same world, without faults,
// with a network and disks whose times are constant, and a load that is counted.

// The times of the world that Measure makes. A one-way delay is longer than all
// syncs that a transfer waits for one after the other, and these are longer than
// the moments that nodes take to notice something, so that both can be told from a
// latency (Waits).
const (
	ScaleDelay = 2 * millisecond   // between any two, one way
	ScaleSync  = 500 * microsecond // one sync
)

const (
	// scaleRest is how long a bank without work is watched before the next load, so
	// that what is put off falls to whoever caused it: END entries (EndAfter) and
	// records of commit indices (5 ms).
	scaleRest = 50 * millisecond
	// scaleIdle is how long an idle bank is watched.
	scaleIdle = 2 * second
)

// ScaleOptions say which bank is measured under which load.
type ScaleOptions struct {
	Seed     uint64
	Clusters int
	Nodes    int // of each cluster
	// CrossPercent of the transfers go to another cluster, to each as often.
	CrossPercent int
	// Alone is how many transfers have the whole bank for themselves, one after the
	// other.
	Alone int
	// Together is how many transfers every cluster is sent at the same moment, and
	// Waves how often: once all of a wave has come to rest, the next begins. No two
	// transfers of a wave share an item.
	Together, Waves int
	// Size of a message between nodes in bytes.
	Size func(message any) int

	// newCore makes a replica; tests put broken ones here. nil: the real one.
	newCore func(cfg replica.Config, st paxos.Stable, now ids.Time) (core, error)
}

// Load is what came of one kind of load.
type Load struct {
	Transfers int
	Traffic
	// Intra and Cross are the medians of the time from a client's send to its
	// answer; 0 when there was no such transfer.
	Intra, Cross ids.Duration
}

// Scale is what Measure counted.
type Scale struct {
	// Start is everything until all clusters have a leader that serves and that the
	// others know.
	Start Traffic
	// Idle is a second of a bank without work.
	Idle            Traffic
	Alone, Together Load
}

func (o *ScaleOptions) validate() error {
	switch {
	case o.Clusters < 1 || o.Nodes < 1 || o.Clusters*o.Nodes > topology.MaxNodes:
		return fmt.Errorf("%d clusters of %d nodes: want at least one of each and at most %d nodes", o.Clusters, o.Nodes, topology.MaxNodes)
	case o.CrossPercent < 0 || o.CrossPercent > 100:
		return fmt.Errorf("%d %% of the transfers across clusters: want 0 to 100", o.CrossPercent)
	case o.CrossPercent > 0 && o.Clusters == 1:
		return errors.New("one cluster has no transfers across clusters")
	case o.Alone < 0 || o.Together < 1 || o.Waves < 0:
		return fmt.Errorf("%d transfers alone, %d waves of %d: want none negative, and waves of at least 1", o.Alone, o.Waves, o.Together)
	case o.Size == nil:
		return errors.New("nobody tells the size of a message")
	}
	return nil
}

// Measure counts what transfers cost. The error is about the options, or a
// *Failure: every check of a run without faults holds here too, and every transfer
// has to be committed at its first send.
func Measure(opt ScaleOptions) (res Scale, err error) {
	if err := opt.validate(); err != nil {
		return Scale{}, err
	}
	if opt.newCore == nil {
		opt.newCore = newReplica
	}
	items := 2 * int64(opt.Together) // of a cluster: one half pays, the other is paid
	t, err := topology.Uniform(opt.Clusters, opt.Nodes, items*int64(opt.Clusters), 1_000_000)
	if err != nil {
		return Scale{}, err
	}
	s := &scaleRun{opt: opt, items: items, traffic: newTraffic(), together: map[envelope]bool{}}
	limits := replica.DefaultLimits()
	p := &plan{seed: opt.Seed, topology: t, limits: limits, calm: true, clients: opt.Clusters,
		net: netPlan{fifo: true, min: ScaleDelay}, disk: diskPlan{min: ScaleSync}}
	rng := rand.New(rand.NewPCG(opt.Seed, 0x7363616c65)) // "scale"
	s.w = newWorld(Options{Seed: opt.Seed, newCore: s.newCore}, p, rng, Coverage{})
	s.w.faulty = false
	defer func() {
		if r := recover(); r != nil {
			f := s.w.failureOf(r, debug.Stack())
			res, err = Scale{}, fmt.Errorf("%w\n%s", f, f.Stack)
		}
	}()
	return s.run(), nil
}

// scaleRun is one Measure.
type scaleRun struct {
	w       *world
	opt     ScaleOptions
	items   int64   // of every cluster
	traffic Traffic // since the start, entries excepted
	// together are the envelopes of the step that is counted.
	together map[envelope]bool
}

func (s *scaleRun) run() Scale {
	w := s.w
	var res Scale
	res.Start = s.during(func() {
		for _, n := range w.nodes {
			n.boot(w.era)
			n.setLive(true)
		}
		s.rest("the start")
	})
	res.Idle = s.during(func() { s.pass(scaleIdle) }).over(scaleIdle / second)
	res.Alone = s.load(s.opt.Alone, func(k int) []*request {
		return []*request{s.send(k%s.opt.Clusters, k, 0)}
	})
	res.Together = s.load(s.opt.Waves, func(wave int) []*request {
		var sent []*request
		for j := range s.opt.Together {
			for c := range s.opt.Clusters {
				sent = append(sent, s.send(c, j, wave))
			}
		}
		return sent
	})
	w.checkQuiet()
	w.checkOutcomes(w.era)
	return res
}

// load gives the bank something to do so many times, each when it has come to rest.
func (s *scaleRun) load(times int, send func(i int) []*request) (l Load) {
	var intra, cross []ids.Duration
	l.Traffic = s.during(func() {
		for i := range times {
			sent := send(i)
			s.rest("the load")
			for _, r := range sent {
				if r.outcome != bank.OutcomeCommitted || len(r.sends) != 1 {
					s.w.fail("calm", "without any fault the outcome of %s is %s after %d sends", r, r.outcome, len(r.sends))
				}
				l.Transfers++
				took := ids.Duration(r.end - r.start)
				if r.kind(false) == "cross" {
					cross = append(cross, took)
				} else {
					intra = append(intra, took)
				}
			}
		}
	})
	l.Intra, l.Cross = median(intra), median(cross)
	return l
}

// send makes a client of a cluster ask its leader for a transfer. slot tells the
// items and the kind; of those across clusters, one after the other goes to one
// cluster after the other, beginning with turn. For one slot and turn all clusters do
// the same, each with the cluster that is so many places further on, so no item is
// named twice.
func (s *scaleRun) send(cluster, slot, turn int) *request {
	w, clusters := s.w, s.opt.Clusters
	to := cluster
	if before := slot * s.opt.CrossPercent / 100; (slot+1)*s.opt.CrossPercent/100 > before {
		to = (cluster + 1 + (before+turn)%(clusters-1)) % clusters
	}
	at := int64(slot % s.opt.Together)
	ranges := w.plan.topology.Items.Ranges
	c, leader := w.clients[cluster], w.clusters[cluster][0] // checkCalm makes sure of that
	r := &request{client: c, era: w.era, cluster: ids.Cluster(cluster), start: w.now, deadline: w.now + ids.Time(30*second), life: c.life,
		id:       ids.Request{Client: c.id, Timestamp: c.next},
		transfer: ids.Transfer{From: ranges[cluster].First + at, To: ranges[to].First + s.items/2 + at, Amount: 1}}
	r.item = r.transfer.From
	c.next++
	c.active++
	c.open = append(c.open, r)
	w.era.requests = append(w.era.requests, r)
	w.nextCall++
	call := &send{client: c, request: r, call: w.nextCall, node: leader, start: w.now}
	r.sends = append(r.sends, call)
	e := replica.Event{Kind: replica.EventSubmit, Call: call.call, Request: r.id, Transfer: r.transfer, Item: r.item, DoneBelow: c.doneBelow()}
	w.after(ScaleDelay, func() { leader.call(call, e, ids.Duration(r.deadline-w.now)) })
	return r
}

// rest lets the bank come to rest.
func (s *scaleRun) rest(after string) {
	s.w.settle(after, 0)
	s.pass(scaleRest)
}

// pass lets time pass.
func (s *scaleRun) pass(d ids.Duration) {
	w := s.w
	until := w.now + ids.Time(d)
	w.at(until, func() {})
	for w.now < until {
		w.next()
	}
}

// Waits splits the latency of a transfer that was alone into the one-way delays and
// the syncs that it waited for one after the other.
func Waits(latency ids.Duration) (delays, syncs int) {
	rest := latency % ScaleDelay
	return int(latency / ScaleDelay), int((rest + ScaleSync/2) / ScaleSync)
}

func median(d []ids.Duration) ids.Duration {
	if len(d) == 0 {
		return 0
	}
	slices.Sort(d)
	return d[len(d)/2]
}
