package testset

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"paxbank/internal/topology"
)

// CheckExpected holds an expected file against its test set and against the
// topologies that sets run on: rows for a set that the file does not have,
// targets that no command of the set matches, and items, nodes and clusters that
// do not exist. A target with a slip of the pen would otherwise cost points that
// nobody can earn. on returns the topology of a set, nil for one that does not
// run, whose items and nodes are then not looked at.
//
// CheckExpected also fills in what only the topology knows, as Check does for
// commands, so it runs before anything is judged.
func (f *File) CheckExpected(name string, expected []Expectation, on func(set int) *topology.Topology) []Error {
	diag := diagnostics{file: filepath.Base(name)}
	x := f.index(on)
	for i := range expected {
		e := &expected[i]
		sets := x.sets
		if !e.AllSets {
			sets = x.byNumber[e.Set]
		}
		matched := false
		var shapes []*topology.Topology // of the sets that e speaks of, each once
		unknown := false                // some set of e has none
		for _, s := range sets {
			matched = matched || s.matches(e)
			if s.shape == nil {
				unknown = true
			} else if !slices.Contains(shapes, s.shape) {
				shapes = append(shapes, s.shape)
			}
		}
		switch {
		case !e.AllSets && len(sets) == 0:
			diag.add(place{e.Line, e.Column}, "the test set has no set %d", e.Set)
		case (e.Check == CheckOutcome || e.Check == CheckValue) && !matched:
			diag.add(place{e.TargetRow, e.TargetColumn}, "%s", e.unmatched())
		default:
			// Of a set that does not run nobody knows whether it has the target.
			if why := e.fit(x, shapes); why != "" && !unknown {
				diag.add(place{e.TargetRow, e.TargetColumn}, "%s", why)
			}
		}
	}
	return diag.errors
}

// expectedIndex is what rows are looked up in, made once for all of them.
type expectedIndex struct {
	sets     []*indexedSet
	byNumber map[int][]*indexedSet
	// resolvers are fresh ones, by topology.
	resolvers map[*topology.Topology]resolver
}

// indexedSet is what commands a set has, by text and by line, and on which
// topology it runs; nil when it does not.
type indexedSet struct {
	shape  *topology.Topology
	all    kinds
	byText map[string]kinds
	byLine map[int]kinds
}

// kinds of commands, markers left out.
type kinds struct{ transfer, read bool }

func (k kinds) or(other kinds) kinds {
	return kinds{k.transfer || other.transfer, k.read || other.read}
}

func (f *File) index(on func(set int) *topology.Topology) *expectedIndex {
	x := &expectedIndex{byNumber: map[int][]*indexedSet{}, resolvers: map[*topology.Topology]resolver{}}
	for i := range f.Sets {
		s := &indexedSet{shape: on(f.Sets[i].Number), byText: map[string]kinds{}, byLine: map[int]kinds{}}
		for _, c := range f.Sets[i].Commands {
			k := kinds{c.Kind == Transfer, c.Kind == Read}
			if c.Marker() {
				continue
			}
			s.all, s.byText[c.Text], s.byLine[c.Line] = s.all.or(k), s.byText[c.Text].or(k), s.byLine[c.Line].or(k)
		}
		if _, known := x.resolvers[s.shape]; !known && s.shape != nil {
			x.resolvers[s.shape] = *newResolver(f, s.shape)
		}
		x.sets, x.byNumber[f.Sets[i].Number] = append(x.sets, s), append(x.byNumber[f.Sets[i].Number], s)
	}
	return x
}

// matches reports whether some command of the set is one that Matches.
func (s *indexedSet) matches(e *Expectation) bool {
	var k kinds
	switch {
	case e.TargetAll:
		k = s.all
		k.read = k.read && e.Check == CheckValue
	case e.TargetLine > 0:
		k = s.byLine[e.TargetLine]
	default:
		k = s.byText[e.Target]
	}
	return k.read || k.transfer && e.Check != CheckValue
}

// fit says what keeps the target from being in any of shapes, "" when one has
// it: a row for every set need not make sense for each of them.
func (e *Expectation) fit(x *expectedIndex, shapes []*topology.Topology) (why string) {
	item, fits := int64(0), false
	for _, t := range shapes {
		if miss := e.misses(x.resolvers[t]); miss != "" {
			why = cmp.Or(why, miss)
			continue
		}
		if fits && e.Item != item {
			return fmt.Sprintf("item %s is %d in one set and %d in another (write a row for each set)", e.itemName, item, e.Item)
		}
		item, fits = e.Item, true
	}
	if fits {
		e.Item = item
		return ""
	}
	return why
}

func (e *Expectation) unmatched() string {
	set := "the set has no"
	if e.AllSets {
		set = "no set has a"
	}
	switch {
	case e.TargetAll && e.Check == CheckValue:
		return set + " read"
	case e.TargetAll:
		return set + " transfer"
	case e.TargetLine > 0 && e.Check == CheckValue:
		return set + " read on that line"
	case e.TargetLine > 0:
		return set + " command on that line (markers have no outcome)"
	}
	return set + " command " + e.Target + " (write it as in the test set, or line:N)"
}

// misses says what of the target the resolver's topology does not have, "" when it
// has all.
func (e *Expectation) misses(items resolver) string {
	t := items.t
	switch e.Check {
	case CheckBalance:
		if known, why := items.resolve(e.itemName, &e.Item); !known {
			return why
		}
		owner, _ := t.Items.Cluster(e.Item)
		if e.Node == "" {
			return ""
		}
		id, ok := nodeName(e.Node, t)
		if !ok {
			return "unknown node " + e.Node + " (nodes are " + namesOfNodes(t) + ")"
		}
		if _, c, _ := t.Lookup(id); c != owner {
			holders := make([]string, 0, len(t.Clusters[owner].Nodes))
			for _, n := range t.Clusters[owner].Nodes {
				holders = append(holders, n.ID)
			}
			return "node " + id + " does not hold item " + e.itemText() + " (" + strings.Join(holders, ", ") + " do)"
		}
		if id != e.Node {
			e.Node, e.Target = id, e.itemText()+"@"+id
		}
	case CheckViews:
		if e.Target != "" && !slices.ContainsFunc(t.Clusters, func(c topology.Cluster) bool { return c.ID == e.Target }) {
			return "unknown cluster " + e.Target + " (clusters are " + clusterList(t) + ")"
		}
	}
	return ""
}

func (e *Expectation) itemText() string {
	item, _, _ := strings.Cut(e.Target, "@")
	return item
}

// Matches reports whether an outcome or value expectation speaks of c.
func (e *Expectation) Matches(c Command) bool {
	switch {
	case c.Marker() || e.Check == CheckValue && c.Kind != Read:
		return false
	case e.TargetAll:
		return e.Check == CheckValue || c.Kind == Transfer
	case e.TargetLine > 0:
		return c.Line == e.TargetLine
	}
	return c.Text == e.Target
}
