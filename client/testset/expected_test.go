package testset

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"paxbank/internal/topology"
)

func TestParseExpected(t *testing.T) {
	in := `Set Number,Check,Target,Expected,Points
4,balance,3001,9,1
,balance,1002@S3,10,
2,outcome,"(1005,1006, 1)",unavailable|aborted,2
2,outcome,line:12,!=unknown
1,value,(7800),10|11,0.5
3,views,c3,>=2,1
*,throughput,,>=3000,5
*,p99,,<=20ms,5
*,mean,cross,<500us,5
*,max,,1.5,5
`
	es, err := ParseExpected("e.csv", []byte(in))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range es {
		got = append(got, fmt.Sprintf("%d %v %d %s %q %v %g", e.Line, e.AllSets, e.Set, e.Check, e.Target, e.Conditions, e.Points))
	}
	want := []string{
		`2 false 4 balance "3001" [{=  9}] 1`,
		`3 false 4 balance "1002@n3" [{=  10}] 1`,
		`4 false 2 outcome "(1005, 1006, 1)" [{= unavailable 0} {= aborted 0}] 2`,
		`5 false 2 outcome "line:12" [{!= unknown 0}] 1`,
		`6 false 1 value "(7800)" [{=  10} {=  11}] 0.5`,
		`7 false 3 views "c3" [{>=  2}] 1`,
		`8 true 0 throughput "" [{>=  3000}] 5`,
		`9 true 0 p99 "" [{<=  20000}] 5`,
		`10 true 0 mean "cross" [{<  500}] 5`,
		`11 true 0 max "" [{=  1500}] 5`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestParseExpectedErrors(t *testing.T) {
	in := "Set,Check,Target,Expected,Points\n" +
		"x,balance,1,1,1\n" +
		"1,ballance,1,1,1\n" +
		"1,balance,1-2,1,1\n" +
		"1,balance,1,ten,1\n" +
		"1,balance,1,,1\n" +
		"1,outcome,(1),done,1\n" +
		"1,outcome,F(n1),committed,1\n" +
		"1,value,\"(1, 2, 3)\",1,1\n" +
		"1,p99,,<=20,x\n" +
		"1,p99,all,<=20/s,1\n" +
		"1,balance,1,1,1,why\n"
	_, err := ParseExpected("e.csv", []byte(in))
	want := []string{"e.csv:2:1:", "e.csv:3:3:", "e.csv:4:11:", "e.csv:5:13:", "e.csv:6:13:", "e.csv:7:15:", "e.csv:8:11:", "e.csv:9:10:", "e.csv:10:13:", "e.csv:11:7:", "e.csv:11:11:", "e.csv:12:17:"}
	lines := strings.Split(fmt.Sprint(err), "\n")
	if len(lines) != len(want) {
		t.Fatalf("got %d errors, want %d:\n%v", len(lines), len(want), err)
	}
	for i, l := range lines {
		if !strings.HasPrefix(l, want[i]) {
			t.Errorf("error %d is %q, want it at %s", i, l, want[i])
		}
	}
}

func TestConditions(t *testing.T) {
	for _, tc := range []struct {
		check, expected string
		number          float64
		want            bool
	}{
		{"balance", "9", 9, true}, {"balance", "9", 10, false}, {"balance", "9|10", 10, true},
		{"balance", "!=9", 9, false}, {"balance", ">=9", 9, true}, {"balance", ">9", 9, false},
		{"balance", "<=-1|5", 5, true}, {"p95", "<=2s", 1_999_999, true}, {"p95", "<20", 20_000, false},
	} {
		e := Expectation{Check: tc.check}
		if why := e.parseConditions(tc.expected); why != "" {
			t.Errorf("%s: %s", tc.expected, why)
		} else if got := e.Holds(tc.number); got != tc.want {
			t.Errorf("%g %s: got %v, want %v", tc.number, tc.expected, got, tc.want)
		}
	}
	e := Expectation{Check: CheckOutcome}
	e.parseConditions("aborted|unavailable")
	if !e.HoldsWord("aborted") || e.HoldsWord("committed") {
		t.Error("outcome alternatives are not honoured")
	}
}

func TestCheckExpected(t *testing.T) {
	f, err := Parse("f.csv", []byte("1,\"(1, 2, 3)\"\n,F(n1)\n2,(4)\n3,(4)\n"))
	if err != nil {
		t.Fatal(err)
	}
	es, err := ParseExpected("e.csv", []byte(`1,outcome,"(1,2,3)",committed
1,outcome,(4),value
2,value,line:3,10
2,outcome,line:3,value
1,outcome,*,committed
1,value,*,10
2,outcome,*,committed
2,value,*,10
1,outcome,line:2,committed
1,value,line:1,3
9,balance,1,10
*,outcome,(4),value
*,outcome,(5),value
*,throughput,,>1
1,balance,10,10
1,balance,11,10
1,balance,1@n2,10
1,balance,1@n3,10
1,balance,1@n9,10
1,views,c2,1
1,views,c3,1
3,balance,9999@n99,10
*,balance,11,1
`))
	if err != nil {
		t.Fatal(err)
	}
	top, err := topology.Uniform(2, 2, 10, 10)
	if err != nil {
		t.Fatal(err)
	}
	// Set 3 does not run, so nothing is known of its items and nodes.
	got := fmt.Sprint(Errors(f.CheckExpected("e.csv", es, func(set int) *topology.Topology {
		if set == 3 {
			return nil
		}
		return top
	})))
	want := `e.csv:2:11: the set has no command (4) (write it as in the test set, or line:N)
e.csv:6:9: the set has no read
e.csv:7:11: the set has no transfer
e.csv:9:11: the set has no command on that line (markers have no outcome)
e.csv:10:9: the set has no read on that line
e.csv:11:3: the test set has no set 9
e.csv:13:11: no set has a command (5) (write it as in the test set, or line:N)
e.csv:16:11: unknown item 11 (items are 1 to 10)
e.csv:18:11: node n3 does not hold item 1 (n1, n2 do)
e.csv:19:11: unknown node n9 (nodes are n1, n2, n3, n4)
e.csv:21:9: unknown cluster c3 (clusters are c1, c2)`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// A topology may call its nodes S1 and so on; what the expected file calls n1 or
// 1 is the same node.
func TestExpectedNodesTakeTheTopologysNames(t *testing.T) {
	f, err := Parse("f.csv", []byte("1,(1)\n"))
	if err != nil {
		t.Fatal(err)
	}
	top, err := topology.ParseYAML("t.yaml", []byte("clusters: [{id: c1, nodes: [{id: S1}], first_item: 1, last_item: 2}]\ninitial_balance: 1\n"))
	if err != nil {
		t.Fatal(err)
	}
	es, err := ParseExpected("e.csv", []byte("1,balance,1@S1,1\n"))
	if err != nil {
		t.Fatal(err)
	}
	if errs := f.CheckExpected("e.csv", es, func(int) *topology.Topology { return top }); len(errs) > 0 || es[0].Node != "S1" || es[0].Target != "1@S1" {
		t.Errorf("node %q, target %q, errors %v", es[0].Node, es[0].Target, errs)
	}
}

func TestMatchesAll(t *testing.T) {
	transfer, read, marker := Command{Kind: Transfer}, Command{Kind: Read}, Command{Kind: LeaderFail}
	outcome, value := Expectation{Check: CheckOutcome, TargetAll: true}, Expectation{Check: CheckValue, TargetAll: true}
	if !outcome.Matches(transfer) || outcome.Matches(read) || outcome.Matches(marker) {
		t.Error("outcome,* is about every transfer and nothing else")
	}
	if value.Matches(transfer) || !value.Matches(read) || value.Matches(marker) {
		t.Error("value,* is about every read and nothing else")
	}
}
