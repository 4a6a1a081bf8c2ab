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
	for i := range expected {
		e := &expected[i]
		found, matched := e.AllSets, false
		var shapes []*topology.Topology // of the sets that e speaks of, each once
		unknown := false                // some set of e has none
		for j := range f.Sets {
			s := &f.Sets[j]
			if !e.Applies(s.Number) {
				continue
			}
			found = true
			matched = matched || slices.ContainsFunc(s.Commands, e.Matches)
			if t := on(s.Number); t == nil {
				unknown = true
			} else if !slices.Contains(shapes, t) {
				shapes = append(shapes, t)
			}
		}
		switch {
		case !found:
			diag.add(place{e.Line, e.Column}, "the test set has no set %d", e.Set)
		case (e.Check == CheckOutcome || e.Check == CheckValue) && !matched:
			diag.add(place{e.TargetRow, e.TargetColumn}, "%s", e.unmatched())
		default:
			// Of a set that does not run nobody knows whether it has the target.
			if why := e.fit(f, shapes); why != "" && !unknown {
				diag.add(place{e.TargetRow, e.TargetColumn}, "%s", why)
			}
		}
	}
	return diag.errors
}

// fit says what keeps the target from being in any of shapes, "" when one has
// it: a row for every set need not make sense for each of them.
func (e *Expectation) fit(f *File, shapes []*topology.Topology) (why string) {
	item, fits := int64(0), false
	for _, t := range shapes {
		if miss := e.misses(f, t); miss != "" {
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

// misses says what of the target t does not have, "" when it has all.
func (e *Expectation) misses(f *File, t *topology.Topology) string {
	switch e.Check {
	case CheckBalance:
		if known, why := newResolver(f, t).resolve(e.itemName, &e.Item); !known {
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
