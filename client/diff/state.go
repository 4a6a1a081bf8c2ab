package diff

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"paxbank/client/check"
	"paxbank/client/runner"
	"paxbank/client/testset"
)

// nodes compares what the nodes hold that live at the end on both sides.
func (c *comparison) nodes() {
	t := c.a.set.Topology
	for at, cluster := range t.Clusters {
		var ids []string
		items := map[int64]bool{}
		for _, n := range cluster.Nodes {
			if !slices.Contains(c.a.set.LiveAtEnd, n.ID) || !slices.Contains(c.b.set.LiveAtEnd, n.ID) {
				continue
			}
			a, b := c.a.node(n.ID), c.b.node(n.ID)
			if a == nil || b == nil {
				c.add(KindNode, n.ID, asked(a), asked(b), unlessAsked(a), unlessAsked(b), place{}, "")
				continue
			}
			ids = append(ids, n.ID)
			for item := range a.Balances {
				items[item] = true
			}
			for item := range b.Balances {
				items[item] = true
			}
		}
		for _, item := range slices.Sorted(maps.Keys(items)) {
			if owner, ok := t.Items.Cluster(item); ok && owner == at {
				c.item(item, ids)
			}
		}
	}
}

func asked(s *runner.NodeState) string {
	if s == nil {
		return "could not be asked"
	}
	return "answers"
}

func unlessAsked(s *runner.NodeState) judged {
	if s == nil {
		return judged{verdict: check.Unknown, message: "what it holds is not known"}
	}
	return judged{verdict: check.Pass}
}

// item compares one item on some nodes; those on which everything is the same
// share a line.
func (c *comparison) item(item int64, ids []string) {
	type row struct {
		a, b       int64
		ja, jb     check.Verdict
		whyA, whyB string
	}
	var rows []row
	nodes, lines := map[row][]string{}, []int(nil)
	for _, id := range ids {
		ja, jb := c.a.ofItem(item, id), c.b.ofItem(item, id)
		r := row{c.a.balance(id, item), c.b.balance(id, item), ja.verdict, jb.verdict, ja.message, jb.message}
		lines = slices.Concat(lines, ja.lines, jb.lines)
		_, namedA := c.a.items[itemAt{item, id}]
		_, namedB := c.b.items[itemAt{item, id}]
		if r.a == r.b && !namedA && !namedB {
			continue
		}
		if nodes[r] == nil {
			rows = append(rows, r)
		}
		nodes[r] = append(nodes[r], id)
	}
	for _, r := range rows {
		target := fmt.Sprintf("item %d on %s", item, strings.Join(nodes[r], " "))
		c.add(KindBalance, target, strconv.FormatInt(r.a, 10), strconv.FormatInt(r.b, 10), judged{verdict: r.ja, message: r.whyA}, judged{verdict: r.jb, message: r.whyB}, place{items: []int64{item}, named: lines},
			"both are allowed: it follows from outcomes that may differ")
	}
}

// balance of an item on a node that was asked. What nobody modified is not listed.
func (v *view) balance(id string, item int64) int64 {
	if b, ok := v.node(id).Balances[item]; ok {
		return b
	}
	return v.set.Topology.Balance(item)
}

// live compares who lives at the end: only LF may strike one node or another.
func (c *comparison) live() {
	a, b := c.a.set.LiveAtEnd, c.b.set.LiveAtEnd
	if slices.Equal(a, b) {
		return
	}
	said := judged{verdict: check.Unknown, message: "the test set says who fails, and the run did otherwise"}
	if slices.ContainsFunc(c.a.set.Set.Commands, func(cmd testset.Command) bool { return cmd.Kind == testset.LeaderFail }) {
		said = judged{verdict: check.Pass}
	}
	c.add(KindLive, "live at the end", strings.Join(a, " "), strings.Join(b, " "), said, said, place{}, "LF strikes whoever leads")
}

// views compares, by cluster, how many leaders there were and who was the last.
// Whether there were too many is for the expected file to say, and a check of it.
func (c *comparison) views() {
	for _, cluster := range c.a.set.Topology.Clusters {
		a, b := leaders(c.a.set, cluster.ID), leaders(c.b.set, cluster.ID)
		if a != b {
			c.add(KindViews, cluster.ID, a, b, judged{verdict: check.Pass}, judged{verdict: check.Pass}, place{},
				"leaders are elected when they are needed; the test set does not say whom or how often")
		}
	}
}

func leaders(set *runner.SetResult, cluster string) string {
	var ids []string
	for i := range set.Views {
		if set.Views[i].Cluster == cluster {
			ids = append(ids, set.Views[i].Leader)
		}
	}
	if len(ids) == 0 {
		return "none seen"
	}
	return strings.Join(ids, ", then ")
}
