package oracle

import (
	"fmt"
	"maps"
	"slices"

	"paxbank/client/testset"
	"paxbank/internal/topology"
)

// This file plays small sets in every way that the protocol's text permits, one
// complete world at a time and as simply as possible, and holds the oracle
// against what came of all the worlds.

// world is one way in which a set may have gone so far.
type world struct {
	live    []bool          // by node of the bank
	leader  []int           // by cluster: a node, -1 nobody, -2 not settled
	money   []map[int64]int // by cluster: what is committed
	holds   []map[int64]int // by node
	used    []bool
	results []string // by command: outcome, or "value N"
	pending []int    // given-up transfers that may still take effect
}

func (w *world) clone() *world {
	c := &world{live: slices.Clone(w.live), leader: slices.Clone(w.leader), used: slices.Clone(w.used),
		results: slices.Clone(w.results), pending: slices.Clone(w.pending)}
	for _, m := range w.money {
		c.money = append(c.money, maps.Clone(m))
	}
	for _, h := range w.holds {
		c.holds = append(c.holds, maps.Clone(h))
	}
	return c
}

// key tells worlds apart whose future may differ, or whose results do.
func (w *world) key() string {
	return fmt.Sprint(w.live, w.leader, w.used, w.money, w.holds, w.results)
}

type brute struct {
	t      *topology.Topology
	set    *testset.Set
	opt    Options
	worlds []*world
	node   map[string]int
	of     []int // cluster of a node
}

func (b *brute) cluster(item int64) int {
	c, _ := b.t.Items.Cluster(item)
	return c
}

func (b *brute) quorum(w *world, c int) bool {
	live, all := 0, 0
	for n, of := range b.of {
		if of == c {
			all++
			if w.live[n] {
				live++
			}
		}
	}
	return 2*live > all
}

func playAll(set *testset.Set, top *topology.Topology, opt Options) *brute {
	b := &brute{t: top, set: set, opt: opt, node: map[string]int{}}
	first := &world{results: make([]string, len(set.Commands))}
	for c, cl := range top.Clusters {
		first.money = append(first.money, map[int64]int{})
		first.leader = append(first.leader, -1)
		first.used = append(first.used, false)
		for _, n := range cl.Nodes {
			b.node[n.ID] = len(b.of)
			b.of = append(b.of, c)
			first.live = append(first.live, set.Live == nil || slices.Contains(set.Live, n.ID))
			first.holds = append(first.holds, map[int64]int{})
		}
	}
	for _, r := range top.Items.Ranges {
		for item := r.First; item <= r.Last; item++ {
			first.money[r.Cluster][item] = int(top.Balance(item))
		}
	}
	for n, c := range b.of {
		first.holds[n] = maps.Clone(first.money[c])
		if b.quorum(first, c) && first.live[n] && first.leader[c] < 0 {
			first.leader[c] = n
		}
	}
	b.worlds = []*world{first}
	begin := 0
	for i := range set.Commands {
		if set.Commands[i].Marker() {
			b.each(func(w *world) []*world { return b.batch(w, begin, i) })
			b.each(func(w *world) []*world { return b.marker(w, &set.Commands[i]) })
			begin = i + 1
		}
	}
	b.each(func(w *world) []*world { return b.batch(w, begin, len(set.Commands)) })
	return b
}

func (b *brute) each(next func(*world) []*world) {
	seen := map[string]bool{}
	var out []*world
	for _, w := range b.worlds {
		for _, n := range next(w) {
			if k := n.key(); !seen[k] {
				seen[k] = true
				out = append(out, n)
			}
		}
	}
	b.worlds = out
}

// batch plays commands begin to end in every permitted order, and lets live
// nodes of clusters with a quorum apply what came of it.
func (b *brute) batch(w *world, begin, end int) []*world {
	var out []*world
	var rec func(w *world, left []int)
	rec = func(w *world, left []int) {
		for k, i := range w.pending {
			c := &b.set.Commands[i]
			if from := w.money[b.cluster(c.From)]; from[c.From] >= int(c.Amount) {
				late := w.clone()
				late.pending = slices.Delete(late.pending, k, k+1)
				late.money[b.cluster(c.From)][c.From] -= int(c.Amount)
				late.money[b.cluster(c.To)][c.To] += int(c.Amount)
				rec(late, left)
			}
		}
		if len(left) == 0 {
			done := w.clone()
			for n, c := range b.of {
				if done.live[n] && b.quorum(done, c) {
					done.holds[n] = maps.Clone(done.money[c])
				}
			}
			out = append(out, done)
			return
		}
		for k, i := range left {
			if !b.mayBeNext(left[:k], i) {
				continue
			}
			rest := slices.Delete(slices.Clone(left), k, k+1)
			for _, next := range b.command(w, i, begin, end) {
				rec(next, rest)
			}
		}
	}
	var left []int
	for i := begin; i < end; i++ {
		left = append(left, i)
	}
	w = w.clone()
	for _, i := range left {
		for _, item := range b.items(i) {
			w.used[b.cluster(item)] = true
		}
	}
	rec(w, left)
	return out
}

func (b *brute) items(i int) []int64 {
	c := &b.set.Commands[i]
	if c.Kind == testset.Read {
		return []int64{c.Item}
	}
	return []int64{c.From, c.To}
}

func (b *brute) share(i, j int) bool {
	return slices.ContainsFunc(b.items(i), func(item int64) bool { return slices.Contains(b.items(j), item) })
}

// mayBeNext: in conflict order, a command waits for those before it that share an
// item; in serial order for all.
func (b *brute) mayBeNext(before []int, i int) bool {
	switch b.opt.Order {
	case Serial:
		return len(before) == 0
	case Free:
		return true
	}
	return !slices.ContainsFunc(before, func(j int) bool { return b.share(i, j) })
}

// mayBeLocked: course semantics, see Course.
func (b *brute) mayBeLocked(i, begin, end int) bool {
	if b.opt.Semantics != Course {
		return false
	}
	for j := begin; j < end; j++ {
		c := &b.set.Commands[j]
		if j == i || c.Kind != testset.Transfer || c.From == c.To || !b.share(i, j) {
			continue
		}
		if b.opt.Order == Free || j < i && b.cluster(c.From) != b.cluster(c.To) {
			return true
		}
	}
	return false
}

// command plays one command in every way.
func (b *brute) command(w *world, i, begin, end int) []*world {
	c := &b.set.Commands[i]
	var out []*world
	result := func(text string) *world {
		n := w.clone()
		n.results[i] = text
		out = append(out, n)
		return n
	}
	if b.opt.Open[i] {
		n := result("given up")
		if c.Kind == testset.Transfer && c.From != c.To {
			n.pending = append(n.pending, i)
		}
		return out
	}
	if c.Kind == testset.Read {
		own := b.cluster(c.Item)
		if b.quorum(w, own) {
			result(fmt.Sprintf("value %d", w.money[own][c.Item]))
			return out
		}
		result("unavailable")
		if b.opt.Semantics == Course {
			for n, of := range b.of {
				if of == own && w.live[n] {
					result(fmt.Sprintf("value %d", w.holds[n][c.Item]))
				}
			}
		}
		return out
	}
	from, to := b.cluster(c.From), b.cluster(c.To)
	if c.From == c.To {
		result("invalid")
		if !b.quorum(w, from) {
			result("unavailable")
		}
		return out
	}
	if !b.quorum(w, from) {
		result("unavailable")
		return out
	}
	if b.mayBeLocked(i, begin, end) {
		result("aborted")
	}
	switch poor := w.money[from][c.From] < int(c.Amount); {
	case poor:
		result("insufficient_funds")
		if !b.quorum(w, to) && b.opt.Semantics == Course {
			result("aborted")
		}
	case !b.quorum(w, to):
		result("aborted")
	default:
		n := result("committed")
		n.money[from][c.From] -= int(c.Amount)
		n.money[to][c.To] += int(c.Amount)
	}
	return out
}

func (b *brute) marker(w *world, c *testset.Command) []*world {
	w = w.clone()
	switch c.Kind {
	case testset.Fail:
		b.fail(w, b.node[c.Node])
		return []*world{w}
	case testset.Recover:
		b.recover(w, b.node[c.Node])
		return []*world{w}
	}
	// LF: every cluster it speaks of that has a leader loses it.
	out := []*world{w}
	for at, cl := range b.t.Clusters {
		if c.Cluster != "" && c.Cluster != cl.ID || !b.quorum(w, at) {
			continue
		}
		var next []*world
		for _, w := range out {
			if b.opt.Semantics == Course && !w.used[at] {
				next = append(next, w)
			}
			for n, of := range b.of {
				if of == at && w.live[n] && (w.leader[at] == n || w.leader[at] == -2) {
					struck := w.clone()
					b.fail(struck, n)
					next = append(next, struck)
				}
			}
		}
		out = next
	}
	return out
}

func (b *brute) fail(w *world, n int) {
	c := b.of[n]
	w.live[n] = false
	if w.leader[c] == n {
		w.leader[c] = -2
	}
	if !b.quorum(w, c) {
		w.leader[c] = -1
	}
}

func (b *brute) recover(w *world, n int) {
	c := b.of[n]
	w.live[n] = true
	if !b.quorum(w, c) {
		return
	}
	if w.leader[c] == -1 {
		w.leader[c] = -2
	}
	for m, of := range b.of {
		if of == c && w.live[m] {
			w.holds[m] = maps.Clone(w.money[c])
		}
	}
}
