package testset

import (
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
// Where the topology calls a node s1, S1 or 1, CheckExpected turns the n1 that
// ParseExpected made of it into that name, so it runs before anything is judged.
func (f *File) CheckExpected(name string, expected []Expectation, on func(set int) *topology.Topology) []Error {
	errs := errorList{file: filepath.Base(name)}
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
			errs.add(e.Line, e.Column, "the test set has no set %d", e.Set)
		case (e.Check == CheckOutcome || e.Check == CheckValue) && !matched:
			errs.add(e.TargetRow, e.TargetColumn, "%s", e.unmatched())
		case unknown || len(shapes) == 0:
		default:
			// A row for every set need not make sense for each of them.
			why := ""
			for _, t := range shapes {
				if why = e.misses(t); why == "" {
					break
				}
			}
			if why != "" {
				errs.add(e.TargetRow, e.TargetColumn, "%s", why)
			}
		}
	}
	return errs.list
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
func (e *Expectation) misses(t *topology.Topology) string {
	switch e.Check {
	case CheckBalance:
		owner, ok := t.Items.Cluster(e.Item)
		if !ok {
			return "unknown item " + e.itemText() + " (items are " + itemList(t) + ")"
		}
		if e.Node == "" {
			return ""
		}
		id, ok := nodeName(e.Node, t)
		if !ok {
			return "unknown node " + e.Node + " (nodes are " + nodeList(t) + ")"
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
