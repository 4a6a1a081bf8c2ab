package sim

import (
	"fmt"
	"math/rand/v2"

	"paxbank/server/ids"
	"paxbank/server/replica"
)

const (
	millisecond = replica.Millisecond
	second      = replica.Second
	microsecond = millisecond / 1000

	// epochStart is the virtual time at which every run begins.
	epochStart ids.Time = 1_700_000_000_000_000_000
	// maxSteps bounds a run: a core that asks to be woken at once for ever would
	// otherwise never let virtual time pass.
	maxSteps = 3_000_000
)

// event is something that happens at a virtual time. Events at the same time
// happen in the order in which they were scheduled.
type event struct {
	at  ids.Time
	seq uint64
	do  func()
}

// world is one run: everything that exists and the clock that drives it.
type world struct {
	opt   Options
	plan  *plan
	rng   *rand.Rand
	cov   Coverage
	trace trace

	now      ids.Time
	queue    []event // binary heap by (at, seq)
	seq      uint64
	steps    uint64
	stepping string // the node whose core is running, for failures

	nodes    []*node   // by number - 1
	clusters [][]*node // by cluster
	net      network
	era      *era   // the present one
	eras     []*era // one an epoch
	clients  []*client
	nextCall uint64
	issued   int // requests so far
	faulty   bool
}

// era is the life of the bank between two resets.
type era struct {
	epoch    uint64
	truth    *truth
	reads    []readSeen
	requests []*request
	views    []map[ids.Ballot]uint64 // by cluster: where each leader's view begins
	wanted   []map[ids.Ballot]uint64 // by cluster: the first index that each candidate asked for
	accepted []acceptances           // by cluster
	losses   *losses                 // for coverage
	branches *branches               // for coverage
}

func newWorld(opt Options, p *plan, rng *rand.Rand, cov Coverage) *world {
	w := &world{opt: opt, plan: p, rng: rng, cov: cov, now: epochStart, faulty: true}
	w.trace = trace{w: w, out: opt.Trace}
	w.beginEra(1)
	number := ids.Node(0)
	for c := range p.topology.Clusters {
		var members []*node
		for range p.topology.Clusters[c].Nodes {
			number++
			n := newNode(w, number, ids.Cluster(c))
			members = append(members, n)
			w.nodes = append(w.nodes, n)
		}
		w.clusters = append(w.clusters, members)
	}
	w.net = newNetwork(w)
	for range p.clients {
		w.clients = append(w.clients, newClient(w))
	}
	return w
}

func (w *world) beginEra(epoch uint64) {
	w.era = &era{epoch: epoch, truth: newTruth(w.plan.topology, w.fail),
		losses: newLosses(len(w.plan.topology.Clusters)), branches: newBranches()}
	for range w.plan.topology.Clusters {
		w.era.views = append(w.era.views, map[ids.Ballot]uint64{})
		w.era.wanted = append(w.era.wanted, map[ids.Ballot]uint64{})
		w.era.accepted = append(w.era.accepted, acceptances{})
	}
	w.eras = append(w.eras, w.era)
}

// run plays the safety phase and then the liveness phase. It panics with a
// *Failure, or with whatever a core panics with.
func (w *world) run() {
	for _, n := range w.nodes {
		n.boot(w.era)
		w.after(w.upTo(w.plan.startJitter), func() { n.setLive(true) })
	}
	begin := ids.Duration(0)
	if w.plan.calm {
		begin = second // nothing is refused once everybody has a leader
	}
	for _, c := range w.clients {
		w.after(begin+w.upTo(500*millisecond), c.work)
	}
	w.startNemesis()
	quotaAt := ids.Time(0)
	limit := w.now + ids.Time(w.plan.safetyMax)
	for w.now < limit {
		w.next()
		if w.issued < w.plan.requests {
			continue
		}
		if quotaAt == 0 {
			quotaAt = w.now
			limit = min(limit, w.now+ids.Time(w.plan.lingering))
		}
	}
	w.recoverAll()
	w.finish()
}

// at schedules do for a virtual time, which must not lie in the past.
func (w *world) at(t ids.Time, do func()) {
	w.seq++
	e := event{at: max(t, w.now), seq: w.seq, do: do}
	q := append(w.queue, e)
	i := len(q) - 1
	for i > 0 {
		parent := (i - 1) / 2
		if !e.before(&q[parent]) {
			break
		}
		q[i] = q[parent]
		i = parent
	}
	q[i] = e
	w.queue = q
}

// after schedules do for d from now.
func (w *world) after(d ids.Duration, do func()) { w.at(w.now+ids.Time(d), do) }

func (e *event) before(f *event) bool {
	return e.at < f.at || e.at == f.at && e.seq < f.seq
}

// next makes the earliest event happen.
func (w *world) next() {
	q := w.queue
	if len(q) == 0 {
		w.fail("liveness", "nothing is left that could happen")
	}
	first := q[0]
	last := q[len(q)-1]
	q[len(q)-1] = event{}
	q = q[:len(q)-1]
	i := 0
	for {
		child := 2*i + 1
		if child >= len(q) {
			break
		}
		if child+1 < len(q) && q[child+1].before(&q[child]) {
			child++
		}
		if !q[child].before(&last) {
			break
		}
		q[i] = q[child]
		i = child
	}
	if len(q) > 0 {
		q[i] = last
	}
	w.queue = q
	w.now = first.at
	first.do()
}

// fail ends the run.
func (w *world) fail(invariant, format string, args ...any) {
	panic(&Failure{Invariant: invariant, Detail: fmt.Sprintf(format, args...)})
}

// Random choices. Every one comes from the run's only source, in the order of
// the events, so that a seed repeats.

func (w *world) chance(p float64) bool { return p > 0 && w.rng.Float64() < p }

// upTo returns a duration in [0, d].
func (w *world) upTo(d ids.Duration) ids.Duration {
	return ids.Duration(w.rng.Int64N(int64(d) + 1))
}

// between returns a duration in [low, high].
func (w *world) between(low, high ids.Duration) ids.Duration { return low + w.upTo(high-low) }

// expo returns an exponentially distributed duration, at most 8 times mean.
func (w *world) expo(mean ids.Duration) ids.Duration {
	return ids.Duration(min(w.rng.ExpFloat64(), 8) * float64(mean))
}

func (w *world) node(id ids.Node) *node {
	if id == 0 || int(id) > len(w.nodes) {
		return nil
	}
	return w.nodes[id-1]
}
