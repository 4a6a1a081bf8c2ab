package check

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"paxbank/client/oracle"
	"paxbank/client/runner"
	"paxbank/client/testset"
)

// fromOracle are a set's checks of the oracle, "verdict check target: message".
func fromOracle(v SetVerdict) []string {
	var out []string
	for _, c := range v.Checks {
		if c.Source == SourceOracle {
			out = append(out, fmt.Sprintf("%s %s %s: %s", c.Verdict, c.Check, c.Target, c.Message))
		}
	}
	return out
}

func TestOracleOnAGoodRun(t *testing.T) {
	want := []string{"pass outcome line:1: ", "pass outcome line:2: ", "pass value line:3: ", "pass outcome line:4: ", "pass balance c1: ", "pass balance c2: ", "pass balance c3: "}
	if diff := cmp.Diff(want, fromOracle(Judge(good(t), nil))); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestOracleMessages(t *testing.T) {
	for _, tc := range []struct {
		name  string
		spoil func(*runner.SetResult)
		want  []string // complaints, the beginnings of which these are
		first string   // FirstDifference of the first one
	}{
		{"committed without a quorum", func(s *runner.SetResult) {
			failing(s, 0, "n4")
			failing(s, 0, "n5")
			s.QuorumAtEnd = []string{"c1", "c3"}
		}, []string{
			"fail outcome line:2: line 2 (1, 11, 4): want aborted (c2 has no quorum: n4 and n5 failed at line 100, so two-phase commit undoes it), got committed: nothing is chosen without a majority of every cluster concerned",
			"fail value line:3: line 3 (1): want 7 (item 1 holds 7 when its turn comes), got 3: a read reflects every transfer that was acknowledged before it was sent, and no undecided one; it may follow from line 2, which touched item 1",
			"fail balance 1@n1,n2,n3: item 1 on n1: want 7 (n1 is live and c1 has a quorum, so it has applied everything), got 3;",
			"fail balance 11@n4,n5,n6: item 11 on n4: want 10 (n4 failed at line 100 and keeps what it held), got 14;",
		}, "want aborted, got committed"},
		{"refused although rich", func(s *runner.SetResult) { s.Calls[0].Outcome = runner.InsufficientFunds }, []string{
			"fail outcome line:1: line 1 (1, 2, 3): want committed (item 1 holds 10, and c1 has a quorum), got insufficient_funds: insufficient_funds is the verdict of an applied entry"}, "want committed, got insufficient_funds"},
		{"overdrawn", func(s *runner.SetResult) { s.Calls[3].Outcome = runner.Committed }, []string{
			"fail outcome line:4: line 4 (1, 21, 9): want insufficient_funds (item 1 holds 3 when its turn comes), got committed: a transfer is committed only if the sender has the money"}, "want insufficient_funds, got committed"},
		{"gave up", func(s *runner.SetResult) { s.Calls[1].Outcome, s.Calls[1].Message = runner.Aborted, "no vote" }, []string{
			"fail outcome line:2: line 2 (1, 11, 4): want committed (item 1 holds 7, and c1 and c2 have a quorum), got aborted (no vote): two-phase commit gives up only if"}, "want committed, got aborted"},
		{"gave up at its deadline", func(s *runner.SetResult) {
			s.Deadline = time.Millisecond
			s.Calls[1].Outcome = runner.Aborted
		}, []string{"unknown outcome line:2: line 2 (1, 11, 4): aborted, as it was given up at its deadline"}, ""},
		{"resolved to what it must be", func(s *runner.SetResult) { s.Calls[1].Resolved = true }, nil, ""},
		{"resolved otherwise", func(s *runner.SetResult) { s.Calls[1].Outcome, s.Calls[1].Resolved = runner.Aborted, true }, []string{
			"unknown outcome line:2:"}, ""},
		{"never known", func(s *runner.SetResult) {
			s.Calls[1].Outcome, s.Calls[1].Message = runner.Unknown, "no answer from n4 in time"
		}, []string{
			"unknown outcome line:2: line 2 (1, 11, 4): unknown, as it was given up at its deadline: what it came to, and what follows from it, says nothing (no answer from n4 in time)" + slowness}, ""},
		{"unavailable, but its nodes are dead", func(s *runner.SetResult) {
			s.Calls[0].Outcome = runner.Unavailable
			node(s, "n1").Reachable, node(s, "n2").Reachable = false, false
		}, []string{"unknown outcome line:1: line 1 (1, 2, 3): want committed (item 1 holds 10, and c1 has a quorum), got unavailable; nodes of c1 died against the test set's will"}, "want committed, got unavailable"},
		{"unavailable without a reason", func(s *runner.SetResult) { s.Calls[0].Outcome = runner.Unavailable }, []string{"fail outcome line:1: "}, "want committed, got unavailable"},
		{"refused as malformed", func(s *runner.SetResult) { s.Calls[0].Outcome = runner.Invalid }, []string{"fail outcome line:1: "}, "want committed, got invalid"},
		{"a failed node changed", func(s *runner.SetResult) {
			failing(s, 1, "n3")
			node(s, "n3").Balances[2] = 12
			node(s, "n3").Balances[1] = 7
		}, []string{"fail balance 2@n3: item 2 on n3: want 13 (n3 failed at line 101 and keeps what it held), got 12; touched by line 1"}, "n3: want 13, got 12"},
		{"an item that nobody touched", func(s *runner.SetResult) { node(s, "n8").Balances[25] = 11 }, []string{
			"fail balance 25@n8: item 25 on n8: want 10 (n8 is live and c3 has a quorum, so it has applied everything), got 11; no transfer of the set touches it"}, "n8: want 10, got 11"},
		{"not carried out as written", func(s *runner.SetResult) {
			s.Problems = []string{"waited 10s in vain for node n8 to be quiet"}
			node(s, "n8").Balances[25] = 11
		}, []string{"unknown balance 25@n8: item 25 on n8: want 10 (n8 is live and c3 has a quorum, so it has applied everything), got 11; no transfer of the set touches it; but the set was not carried out as written: waited 10s"}, ""},
		{"marker that did not act", func(s *runner.SetResult) { s.LiveAtEnd = s.LiveAtEnd[1:] }, []string{"unknown set : by the test set node n1 is live at the end: true; in the run it was: false"}, ""},
		{"broken off", func(s *runner.SetResult) { s.Calls = s.Calls[:2] }, []string{"unknown set : 2 commands of the set were not carried out, the first on line 3"}, ""},
		{"an order that does not exist", func(s *runner.SetResult) { s.Order = "random" }, []string{"unknown set : the oracle cannot play the set: order \"random\""}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			set := good(t)
			tc.spoil(set)
			v := Judge(set, nil)
			var got []string
			for _, c := range v.Checks {
				if c.Source != SourceOracle || c.Verdict == Pass {
					continue
				}
				if len(got) == 0 && tc.first != "" && c.FirstDifference != tc.first {
					t.Errorf("first difference %q, want %q", c.FirstDifference, tc.first)
				}
				got = append(got, fmt.Sprintf("%s %s %s: %s", c.Verdict, c.Check, c.Target, c.Message))
			}
			if len(got) < len(tc.want) || len(tc.want) == 0 && len(got) > 0 {
				t.Fatalf("got %q, want %q", got, tc.want)
			}
			for i, want := range tc.want {
				if !strings.HasPrefix(got[i], want) {
					t.Errorf("got  %s\nwant %s", got[i], want)
				}
			}
		})
	}
}

// What depends on a command that was given up is not held against anybody.
func TestGivenUpOpensWhatFollows(t *testing.T) {
	set := scene(t, "1,\"(1, 2, 10)\"\n,\"(2, 11, 20)\"\n,(11)\n", "aborted", "insufficient_funds", "value")
	set.Calls[0].Resolved = true
	v := Judge(set, nil)
	if got := fromOracle(v); len(got) == 0 || !strings.HasPrefix(got[0], "unknown outcome line:1") || strings.Contains(strings.Join(got, " "), "fail") || v.Verdict != Unknown || v.Score != 0 {
		t.Errorf("got %s %g %q", v.Verdict, v.Score, got)
	}
}

// The oracle learns from the run whom LF struck.
func TestVictims(t *testing.T) {
	set := scene(t, "1,\"(1, 2, 3)\"\n", "committed")
	lf := testset.Command{Line: 2, Kind: testset.LeaderFail, Text: "LF"}
	nobody := testset.Command{Line: 2, Kind: testset.LeaderFail, Text: "LF(c1)", Cluster: "c1"}
	unseen := testset.Command{Line: 3, Kind: testset.LeaderFail, Text: "LF(c2)", Cluster: "c2"}
	set.Set.Commands = append(set.Set.Commands, lf, nobody, unseen)
	set.Observations = []runner.Observation{
		{Line: 1, Text: "live: n1 n2"}, {Line: 2, Text: "LF: n2 n5 n9 killed"}, {Line: 2, Text: "LF(c1): no cluster has a leader"},
	}
	if diff := cmp.Diff(map[int][]string{1: {"n2", "n5", "n9"}, 2: nil}, victims(set)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	// A balance that only the node that did fail may hold.
	set.Set.Commands = []testset.Command{lf, set.Set.Commands[0]}
	set.Observations = []runner.Observation{{Line: 2, Text: "LF: n2 n5 n9 disconnected"}}
	set.LiveAtEnd = []string{"n1", "n3", "n4", "n6", "n7", "n8"}
	node(set, "n2").Balances = nil
	if v := Judge(set, nil); v.Verdict != Pass {
		t.Errorf("got %q", bad(v))
	}
	node(set, "n1").Balances = map[int64]int64{1: 10, 2: 10}
	if got := strings.Join(fromOracle(Judge(set, nil)), "\n"); !strings.Contains(got, "fail balance 1@n1: item 1 on n1: want 7") {
		t.Errorf("got %s", got)
	}
}

func TestSemantics(t *testing.T) {
	set := scene(t, "1,\"(1, 11, 4)\"\n,\"(11, 12, 14)\"\n", "committed", "aborted")
	if v := Judge(set, nil); v.Verdict != Fail {
		t.Errorf("strict: %s", v.Verdict)
	}
	if v := Judge(withSemantics(set, oracle.Course), nil); v.Verdict != Pass {
		t.Errorf("course: %q", bad(v))
	}
}

// With an expected file the points are those of its rows; a failed check of the
// oracle makes the verdict fail.
func TestOracleAndPoints(t *testing.T) {
	rows, err := testset.ParseExpected("e.csv", []byte("1,outcome,line:1,insufficient_funds,2\n1,outcome,line:2,committed,3\n"))
	if err != nil {
		t.Fatal(err)
	}
	set := scene(t, "1,\"(1, 2, 3)\"\n,\"(3, 11, 4)\"\n", "invalid", "committed")
	if v := Judge(set, rows[1:]); v.Verdict != Fail || v.Score != 3 || v.MaxScore != 3 {
		t.Errorf("got %s, %g of %g", v.Verdict, v.Score, v.MaxScore)
	}
	if v := Judge(set, nil); v.Verdict != Fail || v.Score != 0 || v.MaxScore != 1 {
		t.Errorf("without rows: got %s, %g of %g", v.Verdict, v.Score, v.MaxScore)
	}
}

// A large set has a handful of checks, whatever went wrong in it.
func TestLargeSetIsSummedUp(t *testing.T) {
	var csv strings.Builder
	outcomes := make([]string, 2000)
	for i := range outcomes {
		set := ""
		if i == 0 {
			set = "1"
		}
		fmt.Fprintf(&csv, "%s,\"(%d, %d, 1)\"\n", set, i%10+1, (i+1)%10+1)
		outcomes[i] = "committed"
	}
	set := scene(t, csv.String(), outcomes...)
	got := fromOracle(Judge(set, nil))
	if diff := cmp.Diff([]string{"pass outcome *: ", "pass balance c1: "}, got[:2]); diff != "" || len(got) > 4 {
		t.Errorf("-want +got of %d:\n%s", len(got), diff)
	}
	for i := range set.Calls {
		if i%2 == 0 {
			set.Calls[i].Outcome = runner.Unavailable
		}
	}
	got = fromOracle(Judge(set, nil))
	if len(got) > 40 || !strings.HasPrefix(got[maxListed], "fail outcome more: 980 more commands did not come to what they must") {
		t.Errorf("%d checks: %q", len(got), got[min(maxListed, len(got)-1)])
	}
}

// withSemantics is the set judged by other rules.
func withSemantics(set *runner.SetResult, semantics string) *runner.SetResult {
	other := *set
	other.Semantics = semantics
	return &other
}
