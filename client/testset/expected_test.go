package testset

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
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
		"1,balance,n1,1,1\n" +
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
	f, err := Parse("f.csv", []byte("1,\"(1, 2, 3)\"\n2,(4)\n"))
	if err != nil {
		t.Fatal(err)
	}
	es, err := ParseExpected("e.csv", []byte("1,outcome,\"(1,2,3)\",committed\n1,outcome,(4),value\n2,value,line:2,10\n3,balance,1,10\n*,outcome,(4),value\n*,throughput,,>1\n"))
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprint(Errors(f.CheckExpected("e.csv", es)))
	want := "e.csv:2:3: no command of the set matches \"(4)\" (write it as in the test set, or line:N)\ne.csv:4:3: the test set has no set 3"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
