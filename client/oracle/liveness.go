package oracle

import (
	"fmt"
	"slices"

	"paxbank/client/testset"
	"paxbank/internal/topology"
)

// quorum of a cluster during a batch.
type quorum uint8

const (
	without quorum = iota + 1
	with
	either // it hangs on whom LF struck
)

// held is what a node holds of its cluster: the state after batch lo, after batch
// hi, or any prefix of the log between. State 0 is the start of the set.
type held struct {
	lo, hi int
	any    bool // or something that an earlier set left
}

// life is one way in which a cluster may have fared so far.
type life struct {
	live   []bool
	leader int // position of the leader; nobody or unsure
	held   []held
	since  []int // line at which a node failed; 0: not live from the start
	// quorums is the path of quorums so far, by batch, in liveness.paths.
	quorums int
	// used: some command needed the cluster, so it has, or had, a leader.
	used bool
	// lost: there were too many lives to follow.
	lost bool
}

// What is known of a cluster's leader beside its position.
const (
	nobody = -1 // no quorum
	unsure = -2 // any live node
)

// liveness follows one cluster through the markers of a set.
type liveness struct {
	opt     *Options
	most    int // lives
	cluster topology.Cluster
	at      int // position of the cluster
	lives   []*life
	// paths are the paths of quorums, each a step from an earlier one; path 0 is
	// the empty one.
	paths []path
	next  map[path]int
	// reach is, by path, what live nodes may hold in the path's last batch.
	reach [][]held
	// down is, by batch from 1, who does not live, as far as that is sure.
	down []downs
	// courses are the different courses, once all batches are known.
	courses []course
}

// course is one way in which the quorums of a cluster may have gone.
type course struct {
	quorums []quorum // by batch from 1
	reach   [][]held // by batch from 1: what its live nodes may hold in it
	lives   []*life
}

type path struct {
	before int
	quorum quorum
}

// downs are the nodes of a cluster that do not live during a batch. vague: their
// number is what is known.
type downs struct {
	nodes []int
	since []int
	vague bool
}

func newLiveness(set *testset.Set, t *topology.Topology, at int, opt *Options, most int) *liveness {
	l := &liveness{opt: opt, most: most, cluster: t.Clusters[at], at: at, paths: []path{{}}, next: map[path]int{}, reach: [][]held{nil}, down: []downs{{}}}
	n := len(l.cluster.Nodes)
	first := &life{live: make([]bool, n), held: make([]held, n), since: make([]int, n), leader: nobody}
	for i, node := range l.cluster.Nodes {
		first.live[i] = set.Live == nil || slices.Contains(set.Live, node.ID)
	}
	if first.quorum() == with {
		first.leader = unsure
		if !opt.Kept {
			first.leader = slices.Index(first.live, true)
		}
	}
	for i := range first.held {
		first.held[i].any = opt.Kept && !(first.live[i] && first.quorum() == with)
	}
	l.lives = []*life{first}
	return l
}

func (w *life) quorum() quorum {
	if w.lost {
		return either
	}
	n := 0
	for _, live := range w.live {
		if live {
			n++
		}
	}
	if n > len(w.live)/2 {
		return with
	}
	return without
}

// batch notes the quorums of the next batch, the k-th, and what live nodes hold
// in it. used: some command of it needs the cluster.
func (l *liveness) batch(k int, used bool) {
	l.down = append(l.down, l.whoIsDown())
	for _, w := range l.lives {
		w.used = w.used || used
		q := w.quorum()
		w.quorums = l.follow(w.quorums, q)
		for i := range w.held {
			switch {
			case w.lost:
				w.held[i].hi = k
			case !w.live[i]:
				continue
			case q == with:
				w.held[i] = held{lo: k, hi: k}
			}
			if reach := &l.reach[w.quorums]; !slices.Contains(*reach, w.held[i]) {
				*reach = append(*reach, w.held[i])
			}
		}
	}
}

// follow is the path that a quorum makes of another.
func (l *liveness) follow(before int, q quorum) int {
	step := path{before, q}
	at, known := l.next[step]
	if !known {
		at = len(l.paths)
		l.next[step] = at
		l.paths, l.reach = append(l.paths, step), append(l.reach, nil)
	}
	return at
}

func (l *liveness) whoIsDown() downs {
	w := l.lives[0]
	d := downs{vague: w.lost}
	for i, live := range w.live {
		if !live {
			d.nodes, d.since = append(d.nodes, i), append(d.since, w.since[i])
		}
	}
	for _, other := range l.lives[1:] {
		d.vague = d.vague || !slices.Equal(other.live, w.live)
	}
	return d
}

// marker lets a marker act. at is its position in the set's commands.
func (l *liveness) marker(at int, c *testset.Command) {
	var after []*life
	seen := map[string]bool{}
	for _, w := range l.lives {
		for _, next := range l.outcomes(w, at, c) {
			key := fmt.Sprint(next.live, next.leader, next.held, next.since, next.quorums, next.used)
			if !seen[key] {
				seen[key] = true
				after = append(after, next)
			}
		}
	}
	if len(after) > l.most {
		lost := after[0]
		lost.lost = true
		for i := range lost.held {
			lost.held[i].lo = 0
			lost.held[i].any = l.opt.Kept
		}
		// What quorums there were is forgotten as well: either, from the start.
		lost.quorums = 0
		for k := 1; k < len(l.down); k++ {
			lost.quorums = l.follow(lost.quorums, either)
			l.reach[lost.quorums] = []held{{lo: 0, hi: k, any: l.opt.Kept}}
		}
		after = []*life{lost}
	}
	l.lives = after
}

// outcomes are the lives that may follow w when a marker acts.
func (l *liveness) outcomes(w *life, at int, c *testset.Command) []*life {
	if w.lost {
		return []*life{w}
	}
	node := slices.IndexFunc(l.cluster.Nodes, func(n topology.Node) bool { return n.ID == c.Node })
	switch {
	case c.Kind == testset.Fail && node >= 0 && w.live[node]:
		return []*life{l.fail(w, node, c.Line)}
	case c.Kind == testset.Recover && node >= 0 && !w.live[node]:
		return []*life{w.recover(node)}
	case c.Kind != testset.LeaderFail || c.Cluster != "" && c.Cluster != l.cluster.ID || w.quorum() != with:
		return []*life{w}
	}
	if struck, known := l.opt.Victims[at]; known {
		for i, n := range l.cluster.Nodes {
			if w.live[i] && slices.Contains(struck, n.ID) {
				return []*life{l.fail(w, i, c.Line)}
			}
		}
		return []*life{w}
	}
	var out []*life
	for i, live := range w.live {
		if live && (w.leader == i || w.leader == unsure) {
			out = append(out, l.fail(w, i, c.Line))
		}
	}
	if l.opt.Semantics == Course && !w.used {
		out = append(out, w)
	}
	return out
}

func (w *life) clone() *life {
	c := *w
	c.live, c.held, c.since = slices.Clone(w.live), slices.Clone(w.held), slices.Clone(w.since)
	return &c
}

func (l *liveness) fail(w *life, node, line int) *life {
	w = w.clone()
	w.live[node], w.since[node] = false, line
	if l.opt.DiskLags {
		w.held[node].lo, w.held[node].any = 0, w.held[node].any || l.opt.Kept
	}
	if w.leader == node {
		w.leader = unsure
	}
	if w.quorum() != with {
		w.leader = nobody
	}
	return w
}

// recover brings a node back. With a quorum it has everything by the end of the
// batch, which batch enters; without one it may learn from the others or not.
func (w *life) recover(node int) *life {
	w = w.clone()
	w.live[node] = true
	if w.quorum() == with {
		if w.leader == nobody {
			w.leader = unsure
		}
		return w
	}
	most := held{}
	for i, h := range w.held {
		if w.live[i] {
			most.hi, most.any = max(most.hi, h.hi), most.any || h.any
		}
	}
	for i := range w.held {
		if w.live[i] {
			w.held[i].hi, w.held[i].any = most.hi, most.any
		}
	}
	return w
}

// end sorts the lives by their courses.
func (l *liveness) end() {
	at := map[int]int{}
	for _, w := range l.lives {
		i, known := at[w.quorums]
		if !known {
			i = len(l.courses)
			at[w.quorums] = i
			batches := len(l.down)
			c := course{quorums: make([]quorum, batches), reach: make([][]held, batches)}
			for p, k := w.quorums, batches-1; k > 0; k-- {
				c.quorums[k], c.reach[k], p = l.paths[p].quorum, l.reach[p], l.paths[p].before
			}
			l.courses = append(l.courses, c)
		}
		l.courses[i].lives = append(l.courses[i].lives, w)
	}
}

// blurred makes one course of all: where they differ, there may be a quorum or
// not.
func (l *liveness) blurred() course {
	first := l.courses[0]
	out := course{quorums: slices.Clone(first.quorums), reach: slices.Clone(first.reach), lives: l.lives}
	for _, c := range l.courses[1:] {
		for k := range out.quorums {
			if c.quorums[k] != out.quorums[k] {
				out.quorums[k] = either
			}
			out.reach[k] = append(slices.Clip(out.reach[k]), c.reach[k]...)
		}
	}
	return out
}
