package testset

import (
	"cmp"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"paxbank/internal/topology"
)

// resolver turns items, as a file writes them, into their numbers.
type resolver struct {
	file   *File
	t      *topology.Topology
	byName map[string]int64
	said   bool // that the topology names no items
}

func newResolver(f *File, t *topology.Topology) *resolver {
	return &resolver{file: f, t: t, byName: t.ItemsByName()}
}

// resolve checks an item, or gives it the number of its name when it has one. why
// says what is wrong. That a topology has no names at all is said once a set, and
// how to give it some once a file.
func (r *resolver) resolve(name string, number *int64) (known bool, why string) {
	if name == "" {
		if _, ok := r.t.Items.Cluster(*number); !ok {
			return false, fmt.Sprintf("unknown item %d (items are %s)", *number, itemList(r.t))
		}
		return true, ""
	}
	if item, ok := r.byName[name]; ok {
		*number = item
		return true, ""
	}
	switch {
	case len(r.byName) > 0:
		return false, fmt.Sprintf("unknown item %s (named items are %s)", name, nameList(r.t))
	case r.said:
		return false, ""
	}
	r.said = true
	why = fmt.Sprintf("unknown item %s: the topology names no items", name)
	if r.file.namesExplained {
		return false, why + " (see above)"
	}
	r.file.namesExplained = true
	stem := strings.TrimSuffix(filepath.Base(r.file.Name), filepath.Ext(r.file.Name))
	return false, fmt.Sprintf("%s (give it item_names; a %s.yaml beside the test set may read %s)", why, stem, suggestTopology(r.file))
}

// nameList lists the items' names in the order of the items, briefly.
func nameList(t *topology.Topology) string {
	byName := t.ItemsByName()
	names := make([]string, 0, len(byName))
	for name := range byName {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Compare(byName[a], byName[b]) })
	const most = 12
	if len(names) > most {
		return fmt.Sprintf("%s to %s", names[0], names[len(names)-1])
	}
	return strings.Join(names, ", ")
}

// suggestTopology writes a topology file, on one line, for a test set that names
// its items: one cluster of the nodes that the file speaks of, and its items.
func suggestTopology(f *File) string {
	nodes := 3 // where the file speaks of none: a cluster that survives a failure
	named := map[string]bool{}
	var highest int64 // item that has a number
	node := func(id string) { nodes = max(nodes, nodeNumber(id)) }
	for _, s := range f.Sets {
		for _, id := range s.Live {
			node(id)
		}
		for _, c := range s.Commands {
			node(c.Node)
			for _, p := range c.parts {
				if p.name != "" {
					named[p.name] = true
				}
			}
			highest = max(highest, c.From, c.To, c.Item)
		}
	}
	names := slices.Sorted(maps.Keys(named))
	if last := names[len(names)-1]; names[0] >= "A" && last <= "Z" && !slices.ContainsFunc(names, func(s string) bool { return len(s) > 1 }) {
		names = names[:0] // clients A to J have the first ten letters, used or not
		for letter := "A"[0]; letter <= last[0]; letter++ {
			names = append(names, string(letter))
		}
	}
	nodeIDs := make([]string, min(nodes, topology.MaxNodes))
	for i := range nodeIDs {
		nodeIDs[i] = "n" + strconv.Itoa(i+1)
	}
	pairs := make([]string, len(names))
	for i, name := range names {
		pairs[i] = fmt.Sprintf("%s: %d", name, highest+int64(i)+1)
	}
	return fmt.Sprintf("{clusters: [{id: c1, nodes: [%s], first_item: 1, last_item: %d}], initial_balance: %d, item_names: {%s}}",
		strings.Join(nodeIDs, ", "), highest+int64(len(names)), topology.DefaultBalance, strings.Join(pairs, ", "))
}
