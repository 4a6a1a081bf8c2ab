package oracle

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"paxbank/client/testset"
	"paxbank/internal/topology"
)

// within holds what is allowed with one start against what is allowed with an
// open one: what a set may come to if it begins with one of the balances that are
// possible is allowed.
func within(t *rapid.T, set *testset.Set, top *topology.Topology, one, open *Expectation) {
	for i := range set.Commands {
		x, y := &one.Commands[i], &open.Commands[i]
		for _, o := range x.Outcomes {
			if !slices.Contains(y.Outcomes, o) || o == Value && !covers(y.Values, x.Values) {
				t.Fatalf("%s: %s %s is possible, %v %s is allowed\n%s", set.Commands[i].Text, o, x.Values, y.Outcomes, y.Values, listing(set))
			}
		}
	}
	for _, n := range top.Nodes() {
		_, c, _ := top.Lookup(n.ID)
		for _, r := range top.Items.Ranges {
			for item := r.First; r.Cluster == c && item <= r.Last; item++ {
				v, known := one.Balance(n.ID, item)
				w, also := open.Balance(n.ID, item)
				if known != also || known && !covers(w, v) {
					t.Fatalf("%d@%s: %s (%t) is possible, %s (%t) is allowed\n%s", item, n.ID, v, known, w, also, listing(set))
				}
			}
		}
	}
}

// covers reports whether all of v is in w.
func covers(w, v Values) bool {
	if v.List == nil {
		return w.List == nil && w.Lo <= v.Lo && v.Hi <= w.Hi
	}
	return !slices.ContainsFunc(v.List, func(b int64) bool { return !w.Contains(b) })
}

func TestOpenStart(t *testing.T) {
	for _, opt := range []Options{{Order: Conflict}, {Order: Free}, {Order: Conflict, Semantics: Course, Kept: true}} {
		t.Run(opt.Order+" "+opt.Semantics, func(t *testing.T) {
			sure := 0
			rapid.Check(t, func(t *rapid.T) {
				set, top := drawSet(t, opt)
				opt.May = map[int64]Values{1: listed([]int64{0, 2, 5}), 4: span(1, 4), 5: one(3)}
				open := expectWithin(set, top, opt, usual())
				for _, start := range []map[int64]int64{{1: 0, 4: 1, 5: 3}, {1: 2, 4: 3, 5: 3}, {1: 5, 4: 4, 5: 3}} {
					single := opt
					single.May, single.Start = nil, start
					within(t, set, top, expectWithin(set, top, single, usual()), open)
				}
				for i := range open.Commands {
					if _, ok := open.Commands[i].Must(); ok {
						sure++
					}
				}
			})
			if sure < 50 {
				t.Errorf("only %d commands have one outcome: it allows everything", sure)
			}
		})
	}
}

// Whatever a set leaves, by brute force, is among what the next one may begin
// with.
func TestAfter(t *testing.T) {
	for _, opt := range []Options{{Order: Conflict}, {Order: Free}, {Order: Conflict, Semantics: Course}} {
		t.Run(opt.Order+" "+opt.Semantics, func(t *testing.T) {
			open := 0
			rapid.Check(t, func(t *rapid.T) {
				first, top := drawSet(t, opt)
				second, _ := drawSet(t, opt)
				next := expectWithin(first, top, opt, usual()).After()
				if !next.Kept || next.Order != opt.Order || next.Semantics != opt.Semantics {
					t.Fatalf("options of the next set: %+v", next)
				}
				open += len(next.May)
				chained := expectWithin(second, top, next, usual())
				for k, w := range playAll(first, top, opt).worlds {
					left := opt
					left.Kept, left.Start = true, map[int64]int64{}
					for _, items := range w.money {
						for item, balance := range items {
							if left.Start[item] = int64(balance); !chained.start(item).Contains(int64(balance)) {
								t.Fatalf("item %d may be left with %d, the next set begins with %s\n%s", item, balance, chained.start(item), listing(first))
							}
						}
					}
					if k < 5 { // the others cost time and tell little
						within(t, second, top, expectWithin(second, top, left, usual()), chained)
					}
				}
			})
			if opt.Order == Free && open == 0 {
				t.Error("nothing was ever left open")
			}
		})
	}
}
