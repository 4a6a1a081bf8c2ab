package grade

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"paxbank/client/oracle"
	"paxbank/client/plan"
	"paxbank/client/runner"
	"paxbank/client/testset"
	"paxbank/internal/topology"
)

// drawPlan draws a plan of two sets on a small bank.
func drawPlan(t *rapid.T) *plan.Plan {
	top, err := topology.Uniform(3, 3, 12, 10)
	if err != nil {
		t.Fatal(err)
	}
	top.Balances = map[int64]int64{2: 3, 7: 50}
	if rapid.Bool().Draw(t, "named") {
		top.ItemNames = map[int64]string{1: "A", 6: "B"}
	}
	item := rapid.Int64Range(1, 12)
	p := &plan.Plan{}
	line := 0
	for number := 1; number <= 2; number++ {
		set := plan.Set{Topology: top, Set: testset.Set{Number: number}}
		for range rapid.IntRange(1, 8).Draw(t, "commands") {
			line++
			c := testset.Command{Line: line, Column: 2}
			switch rapid.IntRange(0, 5).Draw(t, "kind") {
			case 0:
				c.Kind, c.Item = testset.Read, item.Draw(t, "item")
				c.Text = fmt.Sprintf("(%s)", top.ItemName(c.Item))
			case 1:
				c.Kind, c.Node = testset.Fail, rapid.SampledFrom([]string{"n1", "n2", "n5", "n9"}).Draw(t, "node")
				c.Text = "F(" + c.Node + ")"
			default:
				c.Kind, c.From, c.To, c.Amount = testset.Transfer, item.Draw(t, "from"), item.Draw(t, "to"), rapid.Int64Range(1, 15).Draw(t, "amount")
				c.Text = transferText(top, c.From, c.To, c.Amount)
			}
			set.Commands = append(set.Commands, c)
		}
		p.Sets = append(p.Sets, set)
	}
	return p
}

// What must come of a disguised set is what must come of the set itself, with
// items renamed; and what came of it is told in the items of the file again.
func TestDisguise(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawPlan(t)
		d := newDisguise(p, true, rapid.Uint64().Draw(t, "seed"))
		order := []int{}
		for i := range d.plan.Sets {
			run := &d.plan.Sets[i]
			order = append(order, run.Number)
			set := &p.Sets[run.Number-1]
			perm := d.renamed[run.Number]
			want, err := oracle.Expect(&set.Set, set.Topology, oracle.Options{})
			if err != nil {
				t.Fatal(err)
			}
			got, err := oracle.Expect(&run.Set, run.Topology, oracle.Options{})
			if err != nil {
				t.Fatal(err)
			}
			for k := range want.Commands {
				if diff := cmp.Diff(fmt.Sprint(want.Commands[k].Outcomes), fmt.Sprint(got.Commands[k].Outcomes)); diff != "" {
					t.Fatalf("set %d, %s sent as %s: %s", set.Number, set.Commands[k].Text, run.Commands[k].Text, diff)
				}
			}
			for _, cluster := range set.Topology.Clusters {
				for item := int64(1); item <= 12; item++ {
					w, held := want.Balance(cluster.Nodes[0].ID, item)
					g, heldToo := got.Balance(cluster.Nodes[0].ID, perm.there[item])
					if held != heldToo || w.String() != g.String() {
						t.Fatalf("set %d: item %d may be %s, %v; sent as %d, %s, %v", set.Number, item, w, held, perm.there[item], g, heldToo)
					}
				}
			}
			if want, got := pretend(set), d.reveal(pretend(run)); !reflect.DeepEqual(*want, got) {
				t.Fatalf("set %d is not told as it was:\nwant %+v\ngot  %+v", set.Number, *want, got)
			}
		}
		slices.Sort(order)
		if !slices.Equal(order, []int{1, 2}) {
			t.Fatalf("the sets that run are %v", order)
		}
	})
}

// pretend makes up what a set came to, so that every place in which items stand
// has some.
func pretend(set *plan.Set) *runner.SetResult {
	r := &runner.SetResult{Set: set.Set, Topology: set.Topology, StartBalances: map[int64]int64{}}
	node := runner.NodeState{ID: "n1", Balances: map[int64]int64{}}
	for _, c := range set.Commands {
		if c.Marker() {
			continue
		}
		r.Calls = append(r.Calls, runner.Call{Command: c, Outcome: runner.Committed})
		if c.Kind == testset.Read {
			node.Balances[c.Item] = int64(c.Line)
			r.StartBalances[c.Item] = 10
			node.LockTable = append(node.LockTable, runner.Lock{Item: c.Item})
			r.Audit = append(r.Audit, runner.AuditRead{Item: c.Item})
			continue
		}
		row := runner.LogRow{Kind: "transfer", From: c.From, To: c.To, Amount: c.Amount, Text: c.Text}
		node.Log = append(node.Log, row, runner.LogRow{Kind: "no-op", Text: "no-op"})
		node.Statuses = append(node.Statuses, runner.StatusRow{Text: c.Text})
		r.Views = append(r.Views, runner.View{Entries: []runner.LogRow{row}})
	}
	slices.SortFunc(r.Audit, func(a, b runner.AuditRead) int { return int(a.Item - b.Item) })
	r.Nodes = []runner.NodeState{node}
	return r
}

// Without being asked to, nothing is changed; and a seed decides everything.
func TestDisguiseBySeed(t *testing.T) {
	top := topology.Default()
	p := &plan.Plan{}
	for n := 1; n <= 5; n++ {
		p.Sets = append(p.Sets, plan.Set{Topology: top, Set: testset.Set{Number: n, Commands: []testset.Command{{Kind: testset.Read, Item: 7, Text: "(7)"}}}})
	}
	show := func(d *disguise) string {
		text := ""
		for _, s := range d.plan.Sets {
			text += fmt.Sprint(s.Number, s.Commands[0].Text, " ")
		}
		return text
	}
	plain, one, again, two := newDisguise(p, false, 1), newDisguise(p, true, 1), newDisguise(p, true, 1), newDisguise(p, true, 2)
	if got, want := show(plain), "1(7) 2(7) 3(7) 4(7) 5(7) "; got != want {
		t.Errorf("without randomise: %s, want %s", got, want)
	}
	if show(one) != show(again) {
		t.Errorf("the same seed gives %s and %s", show(one), show(again))
	}
	if show(one) == show(two) || show(one) == show(plain) {
		t.Errorf("seeds make no difference: %s, %s, %s", show(plain), show(one), show(two))
	}
	if perm := one.renamed[1]; perm != one.renamed[2] || perm.there[7] > 3000 || perm.back[perm.there[7]] != 7 {
		t.Errorf("item 7 became %d", perm.there[7])
	}
}
