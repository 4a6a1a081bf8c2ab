package oracle

import (
	"testing"

	"paxbank/client/testset"
	"paxbank/internal/topology"
)

// largeSet is one of those that must not take long, also where everything
// conflicts with everything.
type largeSet struct {
	name string
	set  *testset.Set
	opt  Options
}

func largeSets(t testing.TB) []largeSet {
	file := load(t, "bulk-30000.csv")
	hot := &testset.Set{Number: 1}
	wide := &testset.Set{Number: 1}
	for i := range 5000 {
		from, to := int64(i%7+1), int64(i*3001%9000+1)
		if from != to {
			hot.Commands = append(hot.Commands, testset.Command{Line: i + 1, Kind: testset.Transfer, From: from, To: to, Amount: int64(i%9 + 1)})
		}
		hot.Commands = append(hot.Commands, testset.Command{Line: i + 1, Kind: testset.Read, Item: to})
		a := int64(i%3000 + 1)
		wide.Commands = append(wide.Commands, testset.Command{Line: i + 1, Kind: testset.Transfer, From: a, To: a%3000 + 1, Amount: 7})
	}
	return []largeSet{
		{"bulk in order", &file.Sets[0], Options{}},
		{"bulk in any order", &file.Sets[0], Options{Order: Free}},
		{"hot items in order", hot, Options{}},
		{"hot items in any order", hot, Options{Order: Free}},
		{"a ring, course", wide, Options{Semantics: Course}},
		{"hot items in any order, course", hot, Options{Order: Free, Semantics: Course}},
		{"a ring in any order", wide, Options{Order: Free}},
		{"one given up", hot, Options{Open: map[int]bool{0: true}}},
	}
}

// Every command of a large set has its outcomes, and all money of the certain
// ones is where it must be.
func TestLargeSets(t *testing.T) {
	for _, tc := range largeSets(t) {
		t.Run(tc.name, func(t *testing.T) {
			e := expect(t, tc.set, topology.Default(), tc.opt)
			for i := range e.Commands {
				if len(e.Commands[i].Outcomes) == 0 {
					t.Fatalf("command %d has no outcome", i)
				}
			}
			total, certain := int64(0), true
			for _, item := range e.Items() {
				v, known := e.Balance(map[bool]string{true: "n1", false: "n4"}[item <= 3000], item)
				if item > 6000 {
					v, known = e.Balance("n7", item)
				}
				single, ok := v.Single()
				total, certain = total+single, certain && ok && known
			}
			if want := int64(len(e.Items())) * 10; certain && total != want {
				t.Errorf("the items hold %d together, want %d", total, want)
			}
			if !certain && tc.opt.Order != Free && tc.opt.Semantics != Course && tc.opt.Open == nil {
				t.Error("something is open")
			}
		})
	}
}

func BenchmarkExpect(b *testing.B) {
	for _, tc := range largeSets(b) {
		b.Run(tc.name, func(b *testing.B) {
			for b.Loop() {
				expect(b, tc.set, topology.Default(), tc.opt)
			}
		})
	}
}
