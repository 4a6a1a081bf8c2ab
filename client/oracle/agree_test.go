package oracle

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"paxbank/client/testset"
	"paxbank/internal/topology"
)

// drawSet makes a small random set on three clusters: of one node, of three and
// of three, with three items each.
func drawSet(t *rapid.T, opt Options) (*testset.Set, *topology.Topology) {
	top := &topology.Topology{InitialBalance: 3, Items: topology.ItemMap{Ranges: []topology.Range{{First: 1, Last: 3, Cluster: 0}, {First: 4, Last: 6, Cluster: 1}, {First: 7, Last: 9, Cluster: 2}}},
		Clusters: []topology.Cluster{
			{ID: "c1", Nodes: []topology.Node{{ID: "n1"}}},
			{ID: "c2", Nodes: []topology.Node{{ID: "n2"}, {ID: "n3"}, {ID: "n4"}}},
			{ID: "c3", Nodes: []topology.Node{{ID: "n5"}, {ID: "n6"}, {ID: "n7"}}}}}
	set := &testset.Set{Number: 1}
	nodes := top.Nodes()
	if rapid.IntRange(0, 3).Draw(t, "some live") == 0 {
		set.Live = []string{}
		for _, n := range nodes {
			if rapid.IntRange(0, 3).Draw(t, "live") > 0 {
				set.Live = append(set.Live, n.ID)
			}
		}
	}
	batches, most := rapid.IntRange(1, 4).Draw(t, "batches"), 5
	// More would take the enumerator long.
	switch {
	case opt.Order == Free && opt.Semantics == Course:
		batches, most = min(batches, 3), 3
	case opt.Order == Free:
		batches, most = min(batches, 3), 4
	}
	for k := range batches {
		if k > 0 {
			set.Commands = append(set.Commands, drawMarker(t, nodes))
		}
		for range rapid.IntRange(0, most).Draw(t, "commands") {
			set.Commands = append(set.Commands, drawCommand(t))
		}
	}
	for i := range set.Commands {
		set.Commands[i].Line = i + 1
	}
	return set, top
}

func drawMarker(t *rapid.T, nodes []topology.Node) testset.Command {
	id := nodes[rapid.IntRange(0, len(nodes)-1).Draw(t, "node")].ID
	switch rapid.IntRange(0, 5).Draw(t, "marker") {
	case 0, 1:
		return testset.Command{Kind: testset.Fail, Node: id, Text: "F(" + id + ")"}
	case 2, 3:
		return testset.Command{Kind: testset.Recover, Node: id, Text: "R(" + id + ")"}
	case 4:
		return testset.Command{Kind: testset.LeaderFail, Cluster: "c2", Text: "LF(c2)"}
	}
	return testset.Command{Kind: testset.LeaderFail, Text: "LF"}
}

func drawCommand(t *rapid.T) testset.Command {
	// Few items, so that commands conflict.
	item := func(name string) int64 {
		return rapid.SampledFrom([]int64{1, 2, 4, 5, 7}).Draw(t, name)
	}
	if rapid.IntRange(0, 3).Draw(t, "read") == 0 {
		c := testset.Command{Kind: testset.Read, Item: item("item")}
		c.Text = fmt.Sprintf("(%d)", c.Item)
		return c
	}
	c := testset.Command{Kind: testset.Transfer, From: item("from"), To: item("to"), Amount: rapid.Int64Range(1, 4).Draw(t, "amount")}
	c.Text = fmt.Sprintf("(%d, %d, %d)", c.From, c.To, c.Amount)
	return c
}

func listing(set *testset.Set) string {
	var out strings.Builder
	fmt.Fprintf(&out, "live %v\n", set.Live)
	for _, c := range set.Commands {
		out.WriteString(c.Text + "\n")
	}
	return out.String()
}

func TestAgreesWithBruteForce(t *testing.T) {
	tight := limits{worlds: 1, states: 1, searched: 1, lives: 1, runs: 1}
	for _, tc := range []struct {
		opt  Options
		most limits
	}{
		{Options{Order: Conflict}, usual()}, {Options{Order: Serial}, usual()}, {Options{Order: Free}, usual()},
		{Options{Order: Conflict, Semantics: Course}, usual()}, {Options{Order: Free, Semantics: Course}, usual()},
		// With nothing kept exactly, what is possible is still allowed.
		{Options{Order: Conflict, Semantics: Course}, tight}, {Options{Order: Free}, tight}, {Options{Order: Free, Semantics: Course}, tight},
	} {
		opt, sharp := tc.opt, tc.most == usual()
		t.Run(fmt.Sprintf("%s %s %d", opt.Order, opt.Semantics, tc.most.worlds), func(t *testing.T) {
			certain, open := 0, 0
			rapid.Check(t, func(t *rapid.T) {
				set, top := drawSet(t, opt)
				opt.Open = nil
				if rapid.IntRange(0, 4).Draw(t, "given up") == 0 {
					opt.Open = map[int]bool{rapid.IntRange(0, max(len(set.Commands)-1, 0)).Draw(t, "which"): true}
				}
				e := expectWithin(set, top, opt, tc.most)
				b := playAll(set, top, opt)
				for i := range set.Commands {
					if set.Commands[i].Marker() || opt.Open[i] {
						continue
					}
					possible := map[string]bool{}
					for _, w := range b.worlds {
						possible[w.results[i]] = true
					}
					compare(t, "line "+fmt.Sprint(i+1)+" "+set.Commands[i].Text, set, sortedWords(possible), allowed(e.Commands[i]), sharp && opt.Open == nil && !e.blurred)
					if len(possible) == 1 {
						certain++
					} else {
						open++
					}
				}
				b.compareNodes(t, e, sharp)
			})
			if certain < 100 || opt.Order == Free && open < 20 {
				t.Errorf("one-sided: %d certain, %d open", certain, open)
			}
		})
	}
}

func (b *brute) compareNodes(t *rapid.T, e *Expectation, sharp bool) {
	for id, n := range b.node {
		for item := range b.worlds[0].money[b.of[n]] {
			possible := map[string]bool{}
			for _, w := range b.worlds {
				possible[fmt.Sprint(w.holds[n][item])] = true
			}
			v, known := e.Balance(id, item)
			if !known {
				t.Fatalf("nothing is known of %d@%s", item, id)
			}
			// A range may be more than what is possible.
			compare(t, fmt.Sprintf("%d@%s", item, id), b.set, sortedWords(possible), allowedValues(v), sharp && v.List != nil && !e.blurred)
		}
	}
}

// compare holds what is possible against what the oracle allows: the same, or
// where it says only a range, at least that.
func compare(t *rapid.T, what string, set *testset.Set, possible, allowed []string, exact bool) {
	for _, p := range possible {
		if !slices.Contains(allowed, p) {
			t.Fatalf("%s: %q is possible, the oracle allows only %q\n%s", what, p, allowed, listing(set))
		}
	}
	if exact && len(allowed) > len(possible) {
		t.Fatalf("%s: the oracle allows %q, only %q is possible\n%s", what, allowed, possible, listing(set))
	}
}

func sortedWords(m map[string]bool) []string { return slices.Sorted(maps.Keys(m)) }

func allowed(x Expected) []string {
	var out []string
	for _, o := range x.Outcomes {
		if o != Value {
			out = append(out, string(o))
			continue
		}
		for _, v := range allowedValues(x.Values) {
			out = append(out, "value "+v)
		}
	}
	return out
}

func allowedValues(v Values) []string {
	var out []string
	for b := v.Lo; b <= v.Hi; b++ {
		if v.Contains(b) {
			out = append(out, fmt.Sprint(b))
		}
	}
	return out
}
