package testset

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"paxbank/internal/topology"
)

// sorted brings errors into file order.
func sorted(list Errors) Errors {
	slices.SortStableFunc(list, func(a, b Error) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return list
}

// Check holds one set against the topology it is going to run on: unknown
// nodes, clusters and items, amounts that are not positive, nodes listed twice.
// Errors whose Warning is set do not keep the set from running. Where the
// topology calls a node s1, S1 or 1, Check turns the n1 that Parse made of it
// into that name, so it runs before the set does.
func (f *File) Check(set *Set, t *topology.Topology) []Error {
	errs := errorList{file: filepath.Base(f.Name)}
	warn := func(line, column int, format string, args ...any) {
		errs.add(line, column, format, args...)
		errs.list[len(errs.list)-1].Warning = true
	}
	seen := map[string]bool{}
	for i, node := range set.Live {
		id, ok := nodeName(node, t)
		switch {
		case !ok:
			errs.add(set.LiveLine, set.LiveColumn, "set %d: unknown node %s in the live list (nodes are %s)", set.Number, node, nodeList(t))
		case seen[id]:
			errs.add(set.LiveLine, set.LiveColumn, "set %d: node %s is twice in the live list (name it once)", set.Number, node)
		}
		seen[id] = true
		set.Live[i] = id
	}
	for i := range set.Commands {
		c := &set.Commands[i]
		switch c.Kind {
		case Transfer:
			checkItem(&errs, c, c.From, t)
			if c.To == c.From {
				warn(c.Line, c.Column, "%s goes to the item it comes from; its outcome will be invalid", c.Text)
			} else {
				checkItem(&errs, c, c.To, t)
			}
			if c.Amount <= 0 {
				errs.add(c.Line, c.Column, "%s: amount %d is not positive (amounts start at 1)", c.Text, c.Amount)
			}
		case Read:
			checkItem(&errs, c, c.Item, t)
		case Fail, Recover:
			id, ok := nodeName(c.Node, t)
			if !ok {
				errs.add(c.Line, c.Column, "%s: unknown node %s (nodes are %s)", c.Text, c.Node, nodeList(t))
				continue
			}
			if id != c.Node {
				c.Text = strings.Replace(c.Text, c.Node, id, 1)
				c.Node = id
			}
		case LeaderFail:
			if c.Cluster != "" && !slices.ContainsFunc(t.Clusters, func(cl topology.Cluster) bool { return cl.ID == c.Cluster }) {
				errs.add(c.Line, c.Column, "%s: unknown cluster %s (clusters are %s)", c.Text, c.Cluster, clusterList(t))
			}
		}
	}
	return sorted(errs.list)
}

func checkItem(errs *errorList, c *Command, item int64, t *topology.Topology) {
	if _, ok := t.Items.Cluster(item); !ok {
		errs.add(c.Line, c.Column, "%s: unknown item %d (items are %s)", c.Text, item, itemList(t))
	}
}

// nodeName finds the topology's name for a node as Parse wrote it.
func nodeName(node string, t *topology.Topology) (string, bool) {
	if _, _, ok := t.Lookup(node); ok {
		return node, true
	}
	if m := numberedNode.FindStringSubmatch(node); m != nil {
		for _, prefix := range []string{"s", "S", "N", ""} {
			if _, _, ok := t.Lookup(prefix + m[1]); ok {
				return prefix + m[1], true
			}
		}
	}
	return node, false
}

// nodeList names the nodes, briefly.
func nodeList(t *topology.Topology) string {
	nodes := t.Nodes()
	if len(nodes) > 12 {
		return fmt.Sprintf("%s to %s", nodes[0].ID, nodes[len(nodes)-1].ID)
	}
	names := make([]string, len(nodes))
	for i, n := range nodes {
		names[i] = n.ID
	}
	return strings.Join(names, ", ")
}

func clusterList(t *topology.Topology) string {
	names := make([]string, len(t.Clusters))
	for i, c := range t.Clusters {
		names[i] = c.ID
	}
	return strings.Join(names, ", ")
}

// itemList names the item ranges, neighbours put together.
func itemList(t *topology.Topology) string {
	var parts []string
	ranges := t.Items.Ranges
	for i := 0; i < len(ranges); {
		j := i
		for j+1 < len(ranges) && ranges[j+1].First == ranges[j].Last+1 {
			j++
		}
		parts = append(parts, fmt.Sprintf("%d to %d", ranges[i].First, ranges[j].Last))
		i = j + 1
	}
	return strings.Join(parts, ", ")
}
