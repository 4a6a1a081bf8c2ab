package oracle

import (
	"maps"
	"math"
	"slices"

	"paxbank/client/testset"
	"paxbank/internal/topology"
)

// Expected is what one command may come to. Outcomes is empty for a marker;
// Values are what a read may return when it is answered.
type Expected struct {
	Outcomes []Outcome
	Values   Values
}

// Must returns the outcome of a command that can have only one.
func (e *Expected) Must() (o Outcome, ok bool) {
	if len(e.Outcomes) != 1 {
		return "", false
	}
	return e.Outcomes[0], true
}

// Allows reports whether a command may come to o, for a read with value.
func (e *Expected) Allows(o Outcome, value int64) bool {
	return slices.Contains(e.Outcomes, o) && (o != Value || e.Values.Contains(value))
}

// Expectation is what may come of one set.
type Expectation struct {
	// Commands are in the order of the set's, markers included.
	Commands []Expected

	set      *testset.Set
	topology *topology.Topology
	opt      Options
	limits   limits
	found    []found
	clusters []*liveness
	runs     []run
	last     int // the last batch
	// blurred: the courses of the clusters were too many to combine.
	blurred bool
}

// run is the set played through with one course of every cluster.
type run struct {
	bank    *bank
	courses []course
}

// Expect plays a set. The set has been checked against the topology
// (testset.File.Check); an error says which option makes no sense.
func Expect(set *testset.Set, t *topology.Topology, opt Options) (*Expectation, error) {
	if err := opt.check(); err != nil {
		return nil, err
	}
	return expectWithin(set, t, opt, usual()), nil
}

func expectWithin(set *testset.Set, t *topology.Topology, opt Options, most limits) *Expectation {
	e := &Expectation{set: set, topology: t, opt: opt, limits: most, found: make([]found, len(set.Commands))}
	batches := split(set.Commands)
	e.last = len(batches)
	for c := range t.Clusters {
		l := newLiveness(set, t, c, &e.opt, most.lives)
		for k, batch := range batches {
			l.batch(k+1, e.uses(batch, c))
			if at := batch.end; at < len(set.Commands) {
				l.marker(at, &set.Commands[at])
			}
		}
		l.end()
		e.clusters = append(e.clusters, l)
	}
	for _, courses := range e.combinations() {
		e.play(batches, courses)
	}
	e.Commands = make([]Expected, len(set.Commands))
	for i := range e.found {
		f := &e.found[i]
		e.Commands[i].Values = f.values
		for _, o := range allOutcomes {
			if f.outcomes&bit(o) != 0 {
				e.Commands[i].Outcomes = append(e.Commands[i].Outcomes, o)
			}
		}
	}
	return e
}

// stretch is a batch: commands[begin:end], none of them a marker.
type stretch struct{ begin, end int }

// split cuts commands at the markers. There is a batch, empty perhaps, before
// each marker and after the last.
func split(commands []testset.Command) []stretch {
	var out []stretch
	begin := 0
	for i, c := range commands {
		if c.Marker() {
			out = append(out, stretch{begin, i})
			begin = i + 1
		}
	}
	return append(out, stretch{begin, len(commands)})
}

func (e *Expectation) uses(b stretch, cluster int) bool {
	return slices.ContainsFunc(e.set.Commands[b.begin:b.end], func(c testset.Command) bool {
		for _, item := range [...]int64{c.From, c.To, c.Item} {
			if at, ok := e.topology.Items.Cluster(item); ok && at == cluster {
				return true
			}
		}
		return false
	})
}

// combinations are the courses of all clusters together, each by cluster; where
// there are too many, every cluster with several gets one that blurs them.
func (e *Expectation) combinations() [][]course {
	total := 1
	for _, l := range e.clusters {
		total = min(total*len(l.courses), e.limits.runs+1)
	}
	e.blurred = total > e.limits.runs
	out := [][]course{nil}
	for _, l := range e.clusters {
		courses := l.courses
		if e.blurred && len(courses) > 1 {
			courses = []course{l.blurred()}
		}
		var next [][]course
		for _, before := range out {
			for _, c := range courses {
				next = append(next, append(slices.Clip(before), c))
			}
		}
		out = next
	}
	return out
}

// play plays the set with one course of every cluster, and adds what it finds.
func (e *Expectation) play(batches []stretch, courses []course) {
	b := newBank(e.start, slices.Sorted(maps.Keys(e.opt.May)), e.limits)
	budget := e.limits.searched
	for k, batch := range batches {
		rules, founds := e.rules(batch, k+1, courses, b)
		if e.opt.Order == Free {
			b.anyOrder(rules, founds, &budget)
		} else {
			for i := range rules {
				b.inOrder(rules[i], founds[i])
			}
		}
		b.endBatch(k + 1)
	}
	e.runs = append(e.runs, run{b, courses})
}

// start is what an item may hold when the set begins.
func (e *Expectation) start(item int64) Values {
	if v, ok := e.opt.May[item]; ok {
		return v
	}
	if v, ok := e.opt.Start[item]; ok {
		return one(v)
	}
	return one(e.topology.Balance(item))
}

// After are the options for a set that goes on from this one on the same bank:
// what may be left in the items, with the order and the semantics of this one. What
// hangs together between two items is forgotten, so more may be allowed than can
// be.
func (e *Expectation) After() Options {
	next := Options{Order: e.opt.Order, Semantics: e.opt.Semantics, DiskLags: e.opt.DiskLags, Kept: true, Start: map[int64]int64{}, May: map[int64]Values{}}
	items := slices.Concat(e.Items(), slices.Collect(maps.Keys(e.opt.Start)), slices.Collect(maps.Keys(e.opt.May)))
	for _, item := range items {
		v := e.runs[0].bank.values(item)
		for _, r := range e.runs[1:] {
			v = v.union(r.bank.values(item))
		}
		if balance, sure := v.Single(); sure {
			next.Start[item] = balance
		} else {
			next.May[item] = v
		}
	}
	return next
}

// rules makes the rules of the k-th batch.
func (e *Expectation) rules(batch stretch, k int, courses []course, b *bank) (rules []*rule, founds []*found) {
	locked := e.locks(batch)
	for i := batch.begin; i < batch.end; i++ {
		c, f := &e.set.Commands[i], &e.found[i]
		f.batch, f.cluster, f.other = k, -1, -1
		r := &rule{command: c, read: c.Kind == testset.Read, open: e.opt.Open[i]}
		rules, founds = append(rules, r), append(founds, f)
		item := c.From
		if r.read {
			item = c.Item
		}
		own, known := e.topology.Items.Cluster(item)
		if !known {
			r.always = invalid
			continue
		}
		f.cluster = own
		quorumOf := courses[own].quorums[k]
		if quorumOf != with {
			r.always |= unavailable
		}
		r.turn = quorumOf != without
		if r.read {
			if e.opt.Semantics == Course && quorumOf != with {
				stale(f, c.Item, courses[own].reach[k], b)
			}
			continue
		}
		to, known := e.topology.Items.Cluster(c.To)
		if !known || c.To == c.From || c.Amount <= 0 {
			r.always, r.turn = r.always|invalid, false
			continue
		}
		f.other = to
		r.rich, r.poor = committed, insufficient
		if other := courses[to].quorums[k]; to != own && other != with {
			r.rich = aborted
			if other == either {
				r.rich |= committed
			}
			if e.opt.Semantics == Course {
				r.poor |= aborted
			}
		}
		if locked(i) {
			r.rich, r.poor = r.rich|aborted, r.poor|aborted
		}
	}
	return rules, founds
}

// stale adds what the live nodes of a cluster without a quorum may answer from
// what they hold.
func stale(f *found, item int64, reach []held, b *bank) {
	for _, h := range reach {
		if h.any {
			f.reads(span(0, math.MaxInt64))
		}
		f.reads(b.at(item, h))
	}
}

// locks tells which transfers of a batch may meet a lock under Course semantics:
// under Free order those that share an item with any other, else those that share
// one with an earlier cross-shard transfer, whose locks may outlive its answer.
func (e *Expectation) locks(batch stretch) func(i int) bool {
	if e.opt.Semantics != Course {
		return func(int) bool { return false }
	}
	by := map[int64][]int{} // item → transfers that may lock it
	for i := batch.begin; i < batch.end; i++ {
		c := &e.set.Commands[i]
		if c.Kind != testset.Transfer || c.From == c.To {
			continue
		}
		own, _ := e.topology.Items.Cluster(c.From)
		to, _ := e.topology.Items.Cluster(c.To)
		if e.opt.Order == Free || own != to {
			by[c.From], by[c.To] = append(by[c.From], i), append(by[c.To], i)
		}
	}
	return func(i int) bool {
		for _, item := range [...]int64{e.set.Commands[i].From, e.set.Commands[i].To} {
			for _, j := range [...]int{0, len(by[item]) - 1} {
				if j < 0 || j >= len(by[item]) {
					continue
				}
				if at := by[item][j]; at < i || at > i && e.opt.Order == Free {
					return true
				}
			}
		}
		return false
	}
}

// Items are the items that the set names and some cluster owns, ascending.
func (e *Expectation) Items() []int64 {
	var out []int64
	for i := range e.set.Commands {
		c := &e.set.Commands[i]
		switch c.Kind {
		case testset.Transfer:
			out = append(out, c.From, c.To)
		case testset.Read:
			out = append(out, c.Item)
		}
	}
	slices.Sort(out)
	return slices.DeleteFunc(slices.Compact(out), func(item int64) bool {
		_, ok := e.topology.Items.Cluster(item)
		return !ok
	})
}

// Balance is what a node may hold of an item of its cluster after the set;
// false when nothing is known of it, as of a node that was not live and holds
// what an earlier set left there.
func (e *Expectation) Balance(node string, item int64) (v Values, known bool) {
	at, cluster, ok := e.node(node)
	if !ok {
		return v, false
	}
	for _, r := range e.runs {
		seen := map[held]bool{}
		for _, life := range r.courses[cluster].lives {
			h := life.held[at]
			if h.any {
				return v, false
			}
			if seen[h] {
				continue
			}
			seen[h] = true
			if b := r.bank.at(item, h); known {
				v = v.union(b)
			} else {
				v, known = b, true
			}
		}
	}
	return v, known
}

// node finds a node: its position in its cluster, and the cluster's.
func (e *Expectation) node(id string) (at, cluster int, ok bool) {
	for c, cl := range e.topology.Clusters {
		for i, n := range cl.Nodes {
			if n.ID == id {
				return i, c, true
			}
		}
	}
	return 0, 0, false
}
