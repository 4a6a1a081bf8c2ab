package testset

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"paxbank/internal/topology"
)

// largeExpected is a set of n transfers between n named items, and a row for the
// balance of each item, for the outcome of each transfer by its text and by its
// line.
func largeExpected(t testing.TB, n int) (*File, []Expectation, *topology.Topology) {
	t.Helper()
	top, err := topology.Uniform(3, 3, int64(n), 10)
	if err != nil {
		t.Fatal(err)
	}
	top.ItemNames = map[int64]string{}
	var set, rows bytes.Buffer
	set.WriteString("Set Number,Transactions,Live Nodes\n")
	for i := 1; i <= n; i++ {
		top.ItemNames[int64(i)] = fmt.Sprintf("a%d", i)
		number := ""
		if i == 1 {
			number = "1"
		}
		fmt.Fprintf(&set, "%s,\"(a%d, a%d, 1)\",\n", number, i, i%n+1)
		fmt.Fprintf(&rows, "1,balance,a%d,10,1\n1,outcome,\"(a%d, a%d, 1)\",committed,1\n1,outcome,line:%d,committed,1\n",
			i, i, i%n+1, i+1)
	}
	file, err := Parse("large.csv", set.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if errs := file.Check(&file.Sets[0], top); len(errs) > 0 {
		t.Fatal(errs[0])
	}
	expected, err := ParseExpected("large.expected.csv", rows.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return file, expected, top
}

// Of tens of thousands of rows, every one is held against the file, and the
// topology of a set is asked for once.
func TestCheckExpectedLarge(t *testing.T) {
	file, expected, top := largeExpected(t, 20_000)
	expected[len(expected)-1].TargetLine++
	expected[len(expected)-2].Target = "(a1, a1, 1)"
	asked := 0
	errs := file.CheckExpected("large.expected.csv", expected, func(int) *topology.Topology {
		asked++
		return top
	})
	if len(errs) != 2 || asked != 1 {
		t.Errorf("%d errors (%v), want 2; the topology was asked for %d times, want once", len(errs), errs, asked)
	}
	for i := range expected {
		if e := &expected[i]; e.Check == CheckBalance && e.Item != int64(i/3+1) {
			t.Fatalf("row %d speaks of item %d", i, e.Item)
		}
	}
}

// What a row matches is the same, looked up or command by command.
func TestIndexMatches(t *testing.T) {
	file, err := Parse("m.csv", []byte("1,\"(1, 2, 3)\",\n,(2),\n,\"(2, 1, 3); (4)\",\n,F(n1),\n2,(7),\n3,R(n1),\n"))
	if err != nil {
		t.Fatal(err)
	}
	var rows string
	for _, check := range []string{CheckOutcome, CheckValue} {
		for _, target := range []string{"*", "(2)", "(4)", "line:1", "line:2", "line:3", "line:4", "line:5", "line:9"} {
			rows += "*," + check + "," + target + "," + map[string]string{CheckOutcome: "committed", CheckValue: "1"}[check] + "\n"
		}
	}
	rows += "*,outcome,\"(1, 2, 3)\",committed\n*,outcome,\"(1, 2, 4)\",committed\n"
	expected, err := ParseExpected("m.expected.csv", []byte(rows))
	if err != nil {
		t.Fatal(err)
	}
	x := file.index(func(int) *topology.Topology { return nil })
	for i := range file.Sets {
		for k := range expected {
			e := &expected[k]
			if got, want := x.sets[i].matches(e), slices.ContainsFunc(file.Sets[i].Commands, e.Matches); got != want {
				t.Errorf("set %d, %s %s: %t, want %t", file.Sets[i].Number, e.Check, e.Target, got, want)
			}
		}
	}
}

func BenchmarkCheckExpected(b *testing.B) {
	for _, n := range []int{1_000, 20_000} {
		b.Run(fmt.Sprintf("rows=%d", 3*n), func(b *testing.B) {
			file, expected, top := largeExpected(b, n)
			for b.Loop() {
				if errs := file.CheckExpected("large.expected.csv", expected, func(int) *topology.Topology { return top }); len(errs) > 0 {
					b.Fatal(errs[0])
				}
			}
		})
	}
}
