package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"paxbank/internal/topology"
	"paxbank/server/ids"
	"paxbank/server/replica"
)

// plan is everything that a seed decides before the run begins.
type plan struct {
	seed     uint64
	shape    string
	topology *topology.Topology
	limits   replica.Limits
	tight    bool // the bounds of the log are small enough to be reached
	calm     bool // no faults at all: everything has to succeed

	net        netPlan
	disk       diskPlan
	lazyCommit bool // a write of nothing but a commit index is not synced
	skewMax    ids.Duration
	driftMax   int64 // parts in a million
	clockJump  float64

	startJitter ids.Duration
	faults      []faultPlan
	downMean    ids.Duration // how long a crashed node stays down

	clients     int
	outstanding int // requests of one client at a time
	think       ids.Duration
	requests    int
	hot         float64 // share of the items that are one of a cluster's first two
	cross       float64
	reads       float64
	deadline    ids.Duration // at most
	patience    ids.Duration // an unanswered send is repeated after this
	twice       float64      // share of the sends that go to two nodes at once
	stray       float64      // share of the sends that go to any node, not to the known leader
	abandon     float64      // share of the requests whose client dies
	hasty       float64      // share of the sends that tell an earlier deadline than the client's

	safetyMax ids.Duration // the faults stop at the latest so late
	lingering ids.Duration // and at the earliest so long after the last request
}

type netPlan struct {
	fifo      bool // streams that break; otherwise datagrams that overtake
	min, mean ids.Duration
	loss, dup float64
	straggle  float64 // share of the messages that take up to two seconds
	// echo is the share of the votes and of the two-phase-commit messages that arrive
	// once more, seconds later: after their transaction has ended and leaders have
	// changed.
	echo float64
}

type diskPlan struct{ min, mean ids.Duration }

// faultPlan is one kind of fault and how often it strikes.
type faultPlan struct {
	kind  faultKind
	every ids.Duration
}

var shapes = []struct {
	shape  string
	weight int
}{
	{"2x3", 40}, {"3x3", 18}, {"2x1", 6}, {"1x3", 8}, {"3x1", 4},
	{"2x5", 6}, {"1+3", 6}, {"3+5", 4}, {"4x3", 4}, {"1x5", 2}, {"1x1", 2},
	// An even number of nodes: half of them are no majority.
	{"2x2", 3}, {"2x4", 3}, {"2+4", 2},
}

func newPlan(opt Options, rng *rand.Rand) (*plan, error) {
	p := &plan{seed: opt.Seed, shape: opt.Shape}
	total := 0
	for _, s := range shapes {
		total += s.weight
	}
	pick := rng.IntN(total)
	for _, s := range shapes {
		if pick -= s.weight; pick < 0 {
			if p.shape == "" {
				p.shape = s.shape
			}
			break
		}
	}
	if err := p.bank(rng); err != nil {
		return nil, err
	}
	p.calm = rng.Float64() < 0.08 && opt.Faults == nil
	p.machines(rng)
	p.limit(rng)
	p.load(opt, rng)
	if !p.calm {
		p.misfortunes(opt, rng)
	}
	return p, nil
}

// bank lays out clusters, items and balances.
func (p *plan) bank(rng *rand.Rand) error {
	sizes, err := parseShape(p.shape)
	if err != nil {
		return err
	}
	t := &topology.Topology{
		InitialBalance: oneOf(rng, int64(10), 10, 30, 100, 5),
		Items:          topology.ItemMap{Version: 1},
		Balances:       map[int64]int64{},
	}
	number, first := 0, int64(1)
	for c, size := range sizes {
		cluster := topology.Cluster{ID: fmt.Sprintf("c%d", c+1)}
		for range size {
			number++
			cluster.Nodes = append(cluster.Nodes, topology.Node{ID: fmt.Sprintf("n%d", number)})
		}
		t.Clusters = append(t.Clusters, cluster)
		items := oneOf(rng, int64(4), 2, 3, 4, 6, 12)
		t.Items.Ranges = append(t.Items.Ranges, topology.Range{First: first, Last: first + items - 1, Cluster: c})
		if rng.Float64() < 0.5 {
			t.Balances[first+rng.Int64N(items)] = oneOf(rng, int64(0), 1, 500)
		}
		first += items
	}
	p.topology = t
	return t.Validate()
}

// parseShape reads "2x3" (clusters × nodes) or "1+3+5" (nodes of each cluster).
func parseShape(shape string) ([]int, error) {
	bad := fmt.Errorf("shape %q: want CLUSTERSxNODES such as 3x3, or the nodes of each cluster such as 1+3+5", shape)
	var sizes []int
	if clusters, nodes, ok := strings.Cut(shape, "x"); ok {
		c, err1 := strconv.Atoi(clusters)
		n, err2 := strconv.Atoi(nodes)
		if err1 != nil || err2 != nil || c < 1 || n < 1 || c*n > 100 {
			return nil, bad
		}
		for range c {
			sizes = append(sizes, n)
		}
		return sizes, nil
	}
	sum := 0
	for s := range strings.SplitSeq(shape, "+") {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			return nil, bad
		}
		sum += n
		sizes = append(sizes, n)
	}
	if sum > 100 {
		return nil, bad
	}
	return sizes, nil
}

// machines chooses the network, the disks and the clocks.
func (p *plan) machines(rng *rand.Rand) {
	p.net = netPlan{
		fifo: rng.Float64() < 0.5,
		min:  oneOf(rng, 50*microsecond, 200*microsecond, millisecond),
		mean: oneOf(rng, 50*microsecond, 300*microsecond, 2*millisecond, 8*millisecond),
	}
	p.disk = diskPlan{
		min:  oneOf(rng, 20*microsecond, 200*microsecond, millisecond),
		mean: oneOf(rng, 50*microsecond, millisecond, 4*millisecond),
	}
	p.lazyCommit = rng.Float64() < 0.5
	p.skewMax = oneOf(rng, 0, millisecond, 500*millisecond, 3600*second)
	p.driftMax = oneOf(rng, int64(0), 0, 100, 5000)
	p.startJitter = 5 * millisecond
	if p.calm {
		p.net.min, p.net.mean = 100*microsecond, 300*microsecond
		return
	}
	p.startJitter = oneOf(rng, 0, 5*millisecond, 500*millisecond, 3*second)
	if rng.Float64() < 0.5 {
		p.net.loss = oneOf(rng, 0.001, 0.01, 0.05, 0.15)
		p.net.dup = oneOf(rng, 0, 0.01, 0.1)
		p.net.straggle = oneOf(rng, 0, 0, 0.002, 0.02)
	}
	if rng.Float64() < 0.3 {
		p.net.echo = oneOf(rng, 0.02, 0.1, 0.3)
	}
	if rng.Float64() < 0.4 {
		p.clockJump = 0.3
	}
}

// limit chooses the replicas' limits: the default ones, shorter logs, smaller
// queues, other timeouts.
func (p *plan) limit(rng *rand.Rand) {
	l := replica.DefaultLimits()
	l.CheckpointEvery = oneOf(rng, uint64(20), 20, 50, 50, 200, l.CheckpointEvery)
	if rng.Float64() < 0.3 {
		l.PrepareTimeout = oneOf(rng, 300*millisecond, second, 5*second)
		l.RetryEvery = oneOf(rng, 20*millisecond, 100*millisecond, 300*millisecond)
		l.AckBound = oneOf(rng, 50*millisecond, 400*millisecond, 2*second)
		l.InquireAfter = oneOf(rng, 20*millisecond, 100*millisecond, 500*millisecond, 2*second)
		l.EndAfter = oneOf(rng, millisecond, 20*millisecond, 500*millisecond)
		l.UrgentAfter = oneOf(rng, 20*millisecond, 200*millisecond)
	}
	if rng.Float64() < 0.2 {
		// A leader that was replaced after a broken connection does not notice for
		// long.
		l.ElectionMin = oneOf(rng, second, 2*second)
	}
	if !p.calm && rng.Float64() < 0.15 {
		l.MaxWaiters = oneOf(rng, 1, 3, 10)
		l.MaxRequests = oneOf(rng, 3, 10, 50)
		l.MaxCalls = oneOf(rng, 1, 3, 50)
	}
	l.TellAfter = oneOf(rng, 0, l.TellAfter, 50*millisecond)
	l.SpareAfter = oneOf(rng, 0, l.SpareAfter, 50*millisecond)
	if rng.Float64() < 0.35 {
		p.tighten(&l, rng)
	}
	l.MaxTimelines = 100
	p.limits = l
}

// tighten makes the bounds of the log so small that they are reached: NEW-VIEWs
// come in parts, frames are split, checkpoints need several chunks, followers
// wait for what they may be sent and are too far behind to store it.
func (p *plan) tighten(l *replica.Limits, rng *rand.Rand) {
	p.tight = true
	l.MaxFrameEntries = oneOf(rng, uint64(1), 2, 3, 8, l.MaxFrameEntries)
	l.MaxFrameBytes = oneOf(rng, 1, 300, 1000, l.MaxFrameBytes)
	l.MaxInFlight = oneOf(rng, uint64(1), 2, 5, 20, l.MaxInFlight)
	l.ChunkBytes = oneOf(rng, uint64(300), 1000, 4000, l.ChunkBytes)
	l.MaxHole = min(l.MaxFrameEntries+oneOf(rng, uint64(0), 1, 5, 20), l.MaxHole)
}

// load chooses what the clients do.
func (p *plan) load(opt Options, rng *rand.Rand) {
	p.clients = 2 + rng.IntN(5)
	p.outstanding = oneOf(rng, 1, 2, 4, 8)
	p.requests = opt.Requests
	if p.requests == 0 {
		p.requests = 340 + rng.IntN(60)
	}
	p.think = ids.Duration(p.clients) * oneOf(rng, 5*millisecond, 20*millisecond, 40*millisecond)
	p.hot = oneOf(rng, 0, 0.5, 0.9)
	p.cross = oneOf(rng, 0.2, 0.5, 0.8)
	p.reads = oneOf(rng, 0.05, 0.15, 0.3)
	p.deadline = oneOf(rng, 500*millisecond, 2*second, 5*second, 10*second)
	p.patience = oneOf(rng, 100*millisecond, 500*millisecond, 2*second)
	p.twice = oneOf(rng, 0, 0.05, 0.3)
	p.stray = oneOf(rng, 0.05, 0.05, 0.3)
	p.safetyMax = 60 * second
	p.lingering = oneOf(rng, 100*millisecond, 3*second)
	crowded := 0.08
	if p.calm {
		crowded = 0.4 // where a deadlock shows: nothing else may keep it from committing
	}
	if rng.Float64() < crowded {
		p.crowd(rng)
	}
	if p.calm {
		p.deadline, p.patience = 30*second, 10*second
		if p.hot < 1 {
			p.think *= 4
		}
		return
	}
	if rng.Float64() < 0.3 {
		p.abandon = 0.03
	}
	p.hasty = oneOf(rng, 0, 0.1, 0.4)
}

// crowd makes everybody want the same few items of different clusters at once,
// so that attempts cross in both directions. What they want they can afford: in
// a calm run all of it has to commit.
func (p *plan) crowd(rng *rand.Rand) {
	p.clients = 4 + rng.IntN(3)
	p.outstanding = 8
	p.think = ids.Duration(p.clients) * oneOf(rng, millisecond, 5*millisecond)
	p.hot, p.cross = 1, 0.9
	p.reads = 0.05
	p.topology.InitialBalance = 1000
}

// misfortunes chooses which faults are on, and how often each strikes.
func (p *plan) misfortunes(opt Options, rng *rand.Rand) {
	intensity := oneOf(rng, 0.5, 1.0, 2.0, 4.0)
	p.downMean = oneOf(rng, 50*millisecond, 500*millisecond, 3*second)
	for kind := range faultKinds {
		strikes := rng.Float64() < faults[kind].likely
		if opt.Faults != nil {
			strikes = slices.Contains(*opt.Faults, faults[kind].name)
		}
		if strikes {
			every := ids.Duration(float64(faults[kind].every) / intensity * (0.5 + rng.Float64()))
			p.faults = append(p.faults, faultPlan{faultKind(kind), every})
		}
	}
}

// downTime is how long a node that crashes now stays down.
func (p *plan) downTime(w *world) ids.Duration { return 10*millisecond + w.expo(p.downMean) }

func (p *plan) newClock(rng *rand.Rand) clock {
	c := clock{}
	if p.skewMax > 0 {
		c.offset = ids.Duration(rng.Int64N(int64(2*p.skewMax))) - p.skewMax
	}
	if p.driftMax > 0 {
		c.drift = rng.Int64N(2*p.driftMax) - p.driftMax
	}
	return c
}

func (p *plan) String() string {
	var f []string
	for _, x := range p.faults {
		f = append(f, fmt.Sprintf("%s/%dms", faults[x.kind].name, x.every/millisecond))
	}
	if p.calm {
		f = []string{"none"}
	}
	links := "datagrams"
	if p.net.fifo {
		links = "streams"
	}
	items := p.topology.Items.Ranges[len(p.topology.Items.Ranges)-1].Last
	tight := ""
	if l := &p.limits; p.tight {
		tight = fmt.Sprintf(" (frame %d or %d B, in flight %d, chunk %d B, hole %d)",
			l.MaxFrameEntries, l.MaxFrameBytes, l.MaxInFlight, l.ChunkBytes, l.MaxHole)
	}
	return fmt.Sprintf("%s, %d items of %d; %s %d+%dµs loss %g dup %g echo %g; disk %d+%dµs; clock ±%dms ±%dppm; checkpoint every %d%s; "+
		"%d requests of %d clients × %d, cross %g hot %g; faults: %s",
		p.shape, items, p.topology.InitialBalance, links, p.net.min/microsecond, p.net.mean/microsecond, p.net.loss, p.net.dup, p.net.echo,
		p.disk.min/microsecond, p.disk.mean/microsecond, p.skewMax/millisecond, p.driftMax, p.limits.CheckpointEvery, tight,
		p.requests, p.clients, p.outstanding, p.cross, p.hot, strings.Join(f, " "))
}

// oneOf returns one of its arguments.
func oneOf[T any](rng *rand.Rand, choices ...T) T { return choices[rng.IntN(len(choices))] }
