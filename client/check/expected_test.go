package check

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"paxbank/client/runner"
	"paxbank/client/testset"
)

// Views that nobody tells cannot be counted, and are not missing either.
func TestNoViews(t *testing.T) {
	rows, err := testset.ParseExpected("e.csv", []byte("1,views,c1,1,2\n"))
	if err != nil {
		t.Fatal(err)
	}
	set := good(t)
	if v := Judge(set, rows); v.Verdict != Fail {
		t.Errorf("no view where one is wanted: %s", v.Verdict)
	}
	set.NoViews = true
	if v := Judge(set, rows); v.Verdict != Unknown || v.Score != 0 {
		t.Errorf("views that nobody tells: %s, %g points", v.Verdict, v.Score)
	}
}

// A row that is missed because a command was given up earns nothing and is no
// failure; one that is missed although it had nothing to do with it is.
func TestRowsMissedForBeingSlow(t *testing.T) {
	rows, err := testset.ParseExpected("e.csv", []byte("1,outcome,line:2,committed,1\n1,value,(11),14,1\n1,balance,11,14,1\n1,balance,2,14,1\n1,outcome,line:1,aborted,1\n"))
	if err != nil {
		t.Fatal(err)
	}
	set := scene(t, "1,\"(1, 2, 3)\"\n,\"(1, 11, 4)\"\n,(11)\n", "committed", "aborted", "value")
	set.Deadline, set.Calls[1].End = 5*time.Second, set.Calls[1].Start+5*time.Second
	set.Calls[2].Start, set.Calls[2].End, set.Ended = 6*time.Second, 7*time.Second, 8*time.Second
	var got []string
	v := Judge(set, rows)
	for _, c := range v.Checks {
		if c.Source == SourceExpected {
			got = append(got, fmt.Sprintf("%s %s %s", c.Verdict, c.Check, c.Target))
		}
	}
	want := []string{"fail balance 2", "fail outcome line:1", "unknown outcome line:2", "unknown value (11)", "unknown balance 11"}
	if diff := cmp.Diff(want, got); diff != "" || v.Score != 0 {
		t.Errorf("%g points, -want +got:\n%s", v.Score, diff)
	}
}

// Leaders are elected once more when the machine stands still; too few views have
// nothing to do with that, nor have too many when nothing was given up.
func TestViewsOfABusyMachine(t *testing.T) {
	for _, c := range []struct {
		row     string
		givenUp bool
		want    Verdict
	}{
		{"1,views,c1,1,1", true, Unknown},
		{"1,views,c1,1,1", false, Fail},
		{"1,views,c1,>=3,1", true, Fail},
		{"1,views,c1,2,1", true, Pass},
	} {
		rows, err := testset.ParseExpected("e.csv", []byte(c.row+"\n"))
		if err != nil {
			t.Fatal(err)
		}
		set := scene(t, "1,\"(1, 2, 3)\"\n,\"(1, 11, 4)\"\n", "committed", "aborted")
		set.Views = []runner.View{{Cluster: "c1"}, {Cluster: "c1"}, {Cluster: "c2"}}
		if c.givenUp {
			set.Deadline, set.Calls[1].End = 5*time.Second, set.Calls[1].Start+5*time.Second
			set.Ended = 8 * time.Second
		}
		for _, check := range Judge(set, rows).Checks {
			if check.Source == SourceExpected && check.Verdict != c.want {
				t.Errorf("%s, given up %t: %s (%s), want %s", c.row, c.givenUp, check.Verdict, check.Message, c.want)
			}
		}
	}
}
