package testset

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"paxbank/internal/topology"
)

// Check holds one set against the topology it is going to run on: unknown
// nodes, clusters and items, amounts that are not positive, nodes listed twice.
// Errors whose Warning is set do not keep the set from running.
//
// Check also fills in what only the topology knows, so it runs before the set
// does: the numbers of items that the file names, and the topology's name for a
// node where that is s1, S1 or 1 and not the n1 that Parse made of it.
func (f *File) Check(set *Set, t *topology.Topology) []Error {
	diag := diagnostics{file: filepath.Base(f.Name)}
	set.Live = checkNodes(&diag, set, liveList, set.Live, set.liveAt, t)
	set.Contacts = checkNodes(&diag, set, contactList, set.Contacts, set.contactsAt, t)
	checker := commandChecker{&diag, newResolver(f, t), t}
	for i := range set.Commands {
		checker.check(&set.Commands[i])
	}
	return sorted(append(diag.errors, diag.warnings...))
}

// commandChecker holds commands against a topology.
type commandChecker struct {
	diag  *diagnostics
	items *resolver
	t     *topology.Topology
}

// bad reports what is wrong with a part of a command.
func (k *commandChecker) bad(c *Command, i int, why string) {
	at := c.parts[i].place
	if at.line == 0 { // not from a file
		at = place{c.Line, c.Column}
	}
	k.diag.add(at, "%s", c.Text+": "+why)
}

// item checks the item that part i is, and gives it its number.
func (k *commandChecker) item(c *Command, i int, number *int64) bool {
	known, why := k.items.resolve(c.parts[i].name, number)
	if why != "" {
		k.bad(c, i, why)
	}
	return known
}

func (k *commandChecker) check(c *Command) {
	switch c.Kind {
	case Transfer:
		known := k.item(c, 0, &c.From)
		same := c.parts[0].name == c.parts[1].name && (c.parts[0].name != "" || c.To == c.From)
		if same { // one error is enough when it is unknown
			c.To = c.From
		} else {
			known = k.item(c, 1, &c.To) && known
		}
		if same || known && c.To == c.From {
			k.diag.warn(place{c.Line, c.Column}, "%s goes to the item it comes from; its outcome will be invalid", c.Text)
		}
		if c.Amount <= 0 {
			k.bad(c, 2, fmt.Sprintf("amount %d is not positive (amounts start at 1)", c.Amount))
		}
	case Read:
		k.item(c, 0, &c.Item)
	case Fail, Recover:
		id, ok := nodeName(c.Node, k.t)
		switch {
		case !ok:
			k.bad(c, 0, fmt.Sprintf("unknown node %s (nodes are %s)", c.Node, namesOfNodes(k.t)))
		case id != c.Node:
			c.Text = strings.Replace(c.Text, "("+c.Node+")", "("+id+")", 1)
			c.Node = id
		}
	case LeaderFail:
		if c.Cluster != "" && !slices.ContainsFunc(k.t.Clusters, func(cl topology.Cluster) bool { return cl.ID == c.Cluster }) {
			k.bad(c, 0, fmt.Sprintf("unknown cluster %s (clusters are %s)", c.Cluster, clusterList(k.t)))
		}
	}
}

// checkNodes holds a list of nodes against the topology and returns it with the
// topology's names.
func checkNodes(diag *diagnostics, set *Set, what string, nodes []string, at []place, t *topology.Topology) []string {
	if nodes == nil {
		return nil
	}
	seen := map[string]bool{}
	ids := make([]string, len(nodes))
	for i, node := range nodes {
		where := place{set.LiveLine, set.LiveColumn}
		if i < len(at) {
			where = at[i]
		}
		id, ok := nodeName(node, t)
		switch {
		case !ok:
			diag.add(where, "set %d: unknown node %s in the %s (nodes are %s)", set.Number, node, what, namesOfNodes(t))
		case seen[id]:
			diag.add(where, "set %d: node %s is twice in the %s (name it once)", set.Number, id, what)
		}
		seen[id], ids[i] = true, id
	}
	return ids
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
