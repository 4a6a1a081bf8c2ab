package diff

import (
	"slices"
	"strconv"
	"strings"

	"paxbank/internal/topology"
)

// place is where a difference shows, for finding out which belong together.
type place struct {
	line  int     // of the command that it is about; 0 for none
	items []int64 // that it is about
	// lines that the judge names beside it, and the cluster whose money it is about.
	named   []int
	cluster string
	// whole: it is about the money of the whole bank.
	whole bool
	// spreads: it is about a transfer, which carries on what is wrong to its items.
	spreads bool
}

// cause is what several differences have in common, as far as it was found.
type cause struct {
	class    Class
	bug      string
	lines    map[int]bool
	items    map[int64]bool
	clusters map[string]bool
}

// group numbers the causes of the differences, from 1 in the order in which they
// show first. Differences have one cause if they are the same side's fault and
// speak of the same command or item: a transfer with a wrong outcome, what is read
// and held of its items then, and the money that is missing. Items are carried on
// by transfers that went wrong themselves, and by no others: amounts are fixed, so
// one that came to the same on both sides spreads nothing.
//
// Two mistakes that meet at one item count as one. That is the wrong side to err
// on for a count of mistakes, and the right one for a reader who wants to know
// where to look first.
func (c *comparison) group() {
	t := c.a.set.Topology
	var causes []*cause
	for i := range c.out {
		d, p := &c.out[i], &c.places[i]
		at := slices.IndexFunc(causes, func(k *cause) bool { return k.class == d.Class && k.bug == d.Bug && k.explains(p) })
		if at < 0 {
			at = len(causes)
			causes = append(causes, &cause{d.Class, d.Bug, map[int]bool{}, map[int64]bool{}, map[string]bool{}})
			causes[at].take(p, t)
		} else if p.spreads {
			causes[at].take(p, t)
		}
		if p.line > 0 {
			causes[at].lines[p.line] = true
		}
		d.Cause = at + 1
	}
}

// take makes a place's items the cause's.
func (k *cause) take(p *place, t *topology.Topology) {
	for _, item := range p.items {
		k.items[item] = true
		if at, ok := t.Items.Cluster(item); ok {
			k.clusters[t.Clusters[at].ID] = true
		}
	}
}

func (k *cause) explains(p *place) bool {
	return k.lines[p.line] || slices.ContainsFunc(p.named, func(line int) bool { return k.lines[line] }) ||
		slices.ContainsFunc(p.items, func(item int64) bool { return k.items[item] }) ||
		k.clusters[p.cluster] || p.whole && len(k.items) > 0
}

// Groups are the differences by cause: the first of each is where it shows first.
// The order is that of the causes.
func Groups(list []Difference) [][]*Difference {
	var out [][]*Difference
	for i := range list {
		d := &list[i]
		for len(out) < d.Cause {
			out = append(out, nil)
		}
		out[d.Cause-1] = append(out[d.Cause-1], d)
	}
	return out
}

// placeOf is what the target of one of the judge's checks says of its place.
func placeOf(n name, t *topology.Topology, named []int) place {
	p := place{named: named, whole: n.check == "money" && n.target == "total"}
	if slices.ContainsFunc(t.Clusters, func(c topology.Cluster) bool { return c.ID == n.target }) {
		p.cluster = n.target
	}
	text, _, _ := strings.Cut(n.target, "@")
	if line, ok := strings.CutPrefix(text, "line:"); ok {
		p.line, _ = strconv.Atoi(line) // 0, no line, for what is none
	}
	if item, err := strconv.ParseInt(text, 10, 64); err == nil {
		p.items = []int64{item}
	}
	return p
}
