package check

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"paxbank/client/runner"
	"paxbank/client/testset"
	"paxbank/internal/topology"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// scene builds a result from a test set and what became of its commands, as a
// correct bank of 3×3 nodes with 30 items would leave it. Tests then spoil it.
func scene(t *testing.T, csv string, outcomes ...string) *runner.SetResult {
	t.Helper()
	top, err := topology.Uniform(3, 3, 30, 10)
	if err != nil {
		t.Fatal(err)
	}
	file, err := testset.Parse("t.csv", []byte(csv))
	if err != nil {
		t.Fatal(err)
	}
	set := &runner.SetResult{Set: file.Sets[0], Topology: top, QuorumAtEnd: []string{"c1", "c2", "c3"}, Busy: time.Second}
	balances := map[int64]int64{}
	at := func(item int64) int64 {
		if b, ok := balances[item]; ok {
			return b
		}
		return 10
	}
	for i, c := range set.Set.Commands {
		call := runner.Call{Command: c, Batch: 1, Kind: "read", ClientID: 1, Timestamp: uint64(i + 1),
			Start: time.Duration(i) * 10 * time.Millisecond, End: time.Duration(i)*10*time.Millisecond + time.Millisecond, Outcome: runner.Outcome(outcomes[i])}
		if c.Kind == testset.Transfer {
			from, _ := top.Items.Cluster(c.From)
			to, _ := top.Items.Cluster(c.To)
			call.Kind = "intra"
			if from != to {
				call.Kind = "cross"
			}
			if call.Outcome == runner.Committed {
				balances[c.From], balances[c.To] = at(c.From)-c.Amount, at(c.To)+c.Amount
			}
		} else {
			call.Value = at(c.Item)
		}
		set.Calls = append(set.Calls, call)
	}
	for ci, cl := range top.Clusters {
		for _, n := range cl.Nodes {
			set.Live = append(set.Live, n.ID)
			s := runner.NodeState{ID: n.ID, Cluster: cl.ID, Live: true, Reachable: true, AppliedIndex: 5, CommitIndex: 5, Checksum: 77, Balances: map[int64]int64{}}
			for item, b := range balances {
				if c, _ := top.Items.Cluster(item); c == ci {
					s.Balances[item] = b
				}
			}
			set.Nodes = append(set.Nodes, s)
		}
	}
	set.LiveAtEnd = set.Live
	set.Ended = time.Second
	return set
}

// bad lists what did not pass, "verdict check target: message".
func bad(v SetVerdict) []string {
	var out []string
	for _, c := range v.Checks {
		if c.Verdict != Pass {
			out = append(out, fmt.Sprintf("%s %s %s: %s", c.Verdict, c.Check, c.Target, c.Message))
		}
	}
	return out
}

// failing adds the failure of a node to the test set, at a place in its commands.
func failing(set *runner.SetResult, at int, id string) {
	marker := testset.Command{Line: 100 + at, Kind: testset.Fail, Node: id, Text: "F(" + id + ")"}
	set.Set.Commands = slices.Insert(slices.Clone(set.Set.Commands), at, marker)
	set.LiveAtEnd = slices.DeleteFunc(slices.Clone(set.LiveAtEnd), func(n string) bool { return n == id })
}

// losing takes the quorum of a cluster away: its last two nodes are not live.
func losing(set *runner.SetResult, cluster string) {
	var live, quorum []string
	n := 0
	for i := range set.Nodes {
		s := &set.Nodes[i]
		if s.Cluster == cluster {
			if n++; n > 1 {
				s.Live = false
				failing(set, len(set.Set.Commands), s.ID)
				continue
			}
		}
		live = append(live, s.ID)
	}
	for _, q := range set.QuorumAtEnd {
		if q != cluster {
			quorum = append(quorum, q)
		}
	}
	set.LiveAtEnd, set.QuorumAtEnd = live, quorum
}

// byInvariants judges a set by its invariants alone.
func byInvariants(set *runner.SetResult) SetVerdict {
	v := Judge(set, nil)
	v.Checks = slices.DeleteFunc(v.Checks, func(c Check) bool { return c.Source != SourceInvariant })
	v.Verdict = Pass
	for _, c := range v.Checks {
		v.Verdict = worse(v.Verdict, c.Verdict)
	}
	return v
}

func node(set *runner.SetResult, id string) *runner.NodeState {
	for i := range set.Nodes {
		if set.Nodes[i].ID == id {
			return &set.Nodes[i]
		}
	}
	panic("no node " + id)
}

const someSet = "1,\"(1, 2, 3)\"\n,\"(1, 11, 4)\"\n,(1)\n,\"(1, 21, 9)\"\n"

func good(t *testing.T) *runner.SetResult {
	return scene(t, someSet, "committed", "committed", "value", "insufficient_funds")
}

func TestCorrectRunPasses(t *testing.T) {
	v := Judge(good(t), nil)
	if v.Verdict != Pass || v.Score != 1 || v.MaxScore != 1 || len(bad(v)) > 0 {
		t.Errorf("got %s %g/%g %q", v.Verdict, v.Score, v.MaxScore, bad(v))
	}
}

func TestInvariants(t *testing.T) {
	for _, tc := range []struct {
		name  string
		spoil func(*runner.SetResult)
		want  Verdict
		says  []string // each a part of one complaint
	}{
		{"abort that does not undo", func(s *runner.SetResult) {
			s.Calls[3].Outcome = runner.Aborted
			for _, n := range []string{"n1", "n2", "n3"} {
				node(s, n).Balances[1] = 2
			}
		}, Fail, []string{
			"fail balance 1: item 1 on n1,n2,n3: 2, want 3 (10 at the start, -7 by committed transfers)",
			"fail money c1: the items of c1 add up to 95 on n1, want 96 (-1): invariant money",
			"fail money total: all balances add up to 299, want 300 (-1)"}},
		{"credited on one replica only", func(s *runner.SetResult) { node(s, "n5").Balances[11] = 10 }, Fail,
			[]string{"fail agreement n5: live replicas n4 (applied 5) and n5 (applied 5) differ: item 11 on n4,n6: 14; n5: 10"}},
		{"behind and not repaired", func(s *runner.SetResult) {
			node(s, "n5").AppliedIndex = 3
			node(s, "n4").Log = []runner.LogRow{{Index: 4, Kind: "transfer"}}
		}, Fail, []string{"fail agreement n5: live replica n5 has applied up to index 3, n4 up to 5"}},
		{"behind by housekeeping", func(s *runner.SetResult) {
			node(s, "n5").AppliedIndex = 4
			node(s, "n4").Log = []runner.LogRow{{Index: 5, Kind: "end"}}
		}, Pass, nil},
		{"other checksum", func(s *runner.SetResult) { node(s, "n8").Checksum = 1 }, Fail, []string{"fail agreement n8: n7 and n8 have applied the same index 5"}},
		{"failed node may be behind", func(s *runner.SetResult) {
			failing(s, 1, "n3") // after line 1
			node(s, "n3").Balances[1], node(s, "n3").AppliedIndex = 7, 1
		}, Pass, nil},
		{"negative on a failed node", func(s *runner.SetResult) {
			failing(s, 4, "n3")
			node(s, "n3").Balances[1] = -1
		}, Fail, []string{"fail overdraft 1@n3: item 1 on n3: -1, want 0 or more"}},
		{"undo record left", func(s *runner.SetResult) { node(s, "n2").UndoRecords = 1 }, Fail, []string{"fail clean end undo records@n2: undo records on n2: 1 left, want 0"}},
		{"lock left", func(s *runner.SetResult) {
			node(s, "n1").Locks, node(s, "n1").LockTable = 1, []runner.Lock{{Item: 1}}
		}, Fail, []string{"fail clean end locks@n1: locks on n1: 1 left, want 0", "(items 1)"}},
		{"decision left", func(s *runner.SetResult) { node(s, "n1").Decided = 1 }, Fail, []string{"fail clean end decided@n1"}},
		{"stale read", func(s *runner.SetResult) { s.Calls[2].Value = 7 }, Fail,
			[]string{"fail serialisable history: (1) = 7, but item 1 had 3 by everything that had ended before, and nothing else was under way (line 3): invariant strict serialisability"}},
		{"refused although rich", func(s *runner.SetResult) {
			s.Calls[3].Command.Amount = 2
		}, Fail, []string{"fail serialisable history: (1, 21, 2) insufficient_funds, but item 1 had 3"}},
		{"live node silent", func(s *runner.SetResult) { node(s, "n3").Reachable, node(s, "n3").Err = false, "connection refused" }, Unknown,
			[]string{"unknown reachable n3: live node n3 could not be asked at the end of the set: connection refused"}},
		{"problem of the runner", func(s *runner.SetResult) { s.Problems = []string{"n3 was not quiet after 5 s"} }, Unknown, []string{"unknown run : n3 was not quiet after 5 s"}},
		{"unresolved", func(s *runner.SetResult) { s.Calls[1].Outcome = runner.Unknown }, Unknown,
			[]string{"unknown resolved (1, 11, 4): line 2: the outcome of (1, 11, 4) is not known although c1 has a quorum"}},
		{"unknown on one side only", func(s *runner.SetResult) {
			s.Calls[1].Outcome = runner.Unknown
			for _, n := range []string{"n4", "n5", "n6"} {
				node(s, n).Balances[11] = 10
			}
		}, Fail, []string{
			"fail balance 1: item 1 on n1,n2,n3: 3, want 7 (10 at the start, -3 by committed transfers), or 3 to 7 by transfers of unknown outcome, which must have happened on both sides or on none",
			"fail money total"}},
		{"skipped", func(s *runner.SetResult) { s.Skipped = true }, Unknown, []string{"the set was skipped"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			set := good(t)
			tc.spoil(set)
			v := Judge(set, nil)
			if v.Verdict != tc.want {
				t.Errorf("verdict %s, want %s", v.Verdict, tc.want)
			}
			if (v.Score == 1) != (tc.want == Pass) {
				t.Errorf("score %g for a set that is %s", v.Score, v.Verdict)
			}
			all := strings.Join(bad(v), "\n")
			for _, says := range tc.says {
				if !strings.Contains(all, says) {
					t.Errorf("nothing says %q in\n%s", says, all)
				}
			}
			if tc.want == Pass && all != "" {
				t.Errorf("complaints: %s", all)
			}
		})
	}
}

func TestWaitingForAClusterWithoutQuorum(t *testing.T) {
	// (1, 11, 4) was prepared in c2; then c1 lost its quorum before it decided.
	set := scene(t, "1,\"(1, 11, 4)\"\n", "unknown")
	losing(set, "c1")
	for _, id := range []string{"n4", "n5", "n6"} {
		n := node(set, id)
		n.Balances[11], n.Prepared, n.UndoRecords = 14, 1, 1
		n.Log = []runner.LogRow{{Index: 2, Seq: 2, Phase: "P", Role: "participant", Kind: "transfer", Status: "E", Effect: "prepared", ClientID: 1, Timestamp: 1, From: 1, To: 11, Amount: 4}}
	}
	node(set, "n4").Locks = 1
	// A duplicate P that had no effect, and a C that was void, change nothing.
	n4 := node(set, "n4")
	void := n4.Log[0]
	void.Index, void.Seq, void.Effect = 3, 3, "duplicate"
	unmatched := n4.Log[0]
	unmatched.Index, unmatched.Phase, unmatched.Effect = 4, "C", "unmatched"
	n4.Log = append(n4.Log, void, unmatched)
	if v := byInvariants(set); v.Verdict != Pass {
		t.Errorf("waiting for c1 is in order, got %q", bad(v))
	}
	// The same for a call that was aborted: the abort cannot be delivered.
	set.Calls[0].Outcome = runner.Aborted
	if v := byInvariants(set); v.Verdict != Pass {
		t.Errorf("an abort that cannot be delivered is in order, got %q", bad(v))
	}
	// And when c1 should have a quorum but two of its nodes died by themselves,
	// what waits for it shows nothing about c2.
	set.QuorumAtEnd, set.LiveAtEnd = []string{"c1", "c2", "c3"}, set.Live
	node(set, "n1").Reachable, node(set, "n2").Reachable = false, false
	if v := byInvariants(set); v.Verdict != Unknown {
		t.Errorf("got %s %q, want unknown", v.Verdict, bad(v))
	}
	node(set, "n1").Reachable, node(set, "n2").Reachable = true, true
	// But once c1 has a quorum again nothing may be left.
	set.QuorumAtEnd, set.LiveAtEnd = []string{"c1", "c2", "c3"}, set.Live
	v := byInvariants(set)
	if got := strings.Join(bad(v), "\n"); v.Verdict != Fail || !strings.Contains(got, "prepared on n4: 1 left, want 0") {
		t.Errorf("got %s %s", v.Verdict, got)
	}

	// c1 committed (1, 11, 4) and c2 lost its quorum before it heard.
	set = scene(t, "1,\"(1, 11, 4)\"\n", "committed")
	losing(set, "c2")
	node(set, "n4").Balances[11] = 10
	node(set, "n1").Decided = 1
	if v := byInvariants(set); v.Verdict != Pass {
		t.Errorf("nobody has to show a log for an undelivered decision, got %q", bad(v))
	}
	node(set, "n1").Decided = 2
	if v := byInvariants(set); v.Verdict != Fail {
		t.Errorf("two decisions of one transfer are %s, want fail", v.Verdict)
	}
	node(set, "n1").Decided = 1
	node(set, "n1").Log = []runner.LogRow{{Index: 3, Seq: 2, Phase: "C", Role: "coordinator", Status: "E", From: 1, To: 11, Amount: 4}}
	if v := byInvariants(set); v.Verdict != Pass {
		t.Errorf("an undelivered decision is in order, got %q", bad(v))
	}
}

func TestUnknownOutcomesWithoutQuorum(t *testing.T) {
	// c1 lost its quorum; whether (1, 11, 4) happened shows in c2 only.
	for _, happened := range []bool{false, true} {
		set := scene(t, "1,\"(1, 11, 4)\"\n", "unknown")
		losing(set, "c1")
		if happened {
			for _, id := range []string{"n4", "n5", "n6"} {
				node(set, id).Balances[11] = 14
			}
		}
		if v := byInvariants(set); v.Verdict != Pass {
			t.Errorf("happened %v: %q", happened, bad(v))
		}
		node(set, "n4").Balances[11], node(set, "n5").Balances[11], node(set, "n6").Balances[11] = 12, 12, 12
		if v := byInvariants(set); v.Verdict != Fail {
			t.Errorf("half of an unknown transfer passed: %s", v.Verdict)
		}
	}
}

func TestKeptState(t *testing.T) {
	set := scene(t, "1,(1)\n", "value")
	set.StartBalances = map[int64]int64{1: 3, 2: 17}
	set.Calls[0].Value = 3
	for _, id := range []string{"n1", "n2", "n3"} {
		node(set, id).Balances[1], node(set, id).Balances[2] = 3, 17
	}
	if v := Judge(set, nil); v.Verdict != Pass {
		t.Errorf("%q", bad(v))
	}
}

func TestExpectations(t *testing.T) {
	expected := func(rows string) []testset.Expectation {
		es, err := testset.ParseExpected("e.csv", []byte(rows))
		if err != nil {
			t.Fatal(err)
		}
		return es
	}
	for _, tc := range []struct {
		row    string
		spoil  func(*runner.SetResult)
		want   Verdict
		actual string
		says   string
	}{
		{"1,balance,1,3", nil, Pass, "3", ""},
		{"1,balance,1,4|5", nil, Fail, "3", "item 1 on n1: 3, n2: 3, n3: 3, want 4|5"},
		{"1,balance,1@n2,3", nil, Pass, "3", ""},
		{"1,balance,1@n4,3", nil, Unknown, "", "n4 is no node of c1"},
		{"1,balance,99,3", nil, Unknown, "", "no cluster owns item 99"},
		{"1,balance,1@n2,3", func(s *runner.SetResult) { node(s, "n2").Err = "Database: EOF" }, Unknown, "", "n2 could not be asked"},
		{"1,balance,1,3", func(s *runner.SetResult) {
			losing(s, "c1")
			node(s, "n3").Balances[1], node(s, "n3").AppliedIndex = 8, 1
		}, Pass, "3", ""},
		{"1,outcome,\"(1, 2, 3)\",committed", nil, Pass, "committed", ""},
		{"1,outcome,line:4,committed|aborted", nil, Fail, "insufficient_funds", "line 4: (1, 21, 9): insufficient_funds, want committed|aborted"},
		{"1,outcome,line:1,aborted", func(s *runner.SetResult) { s.Calls[0].Outcome = runner.Unknown }, Unknown, "unknown", "line 1: (1, 2, 3): unknown, want aborted"},
		{"1,outcome,line:1,unknown|committed", func(s *runner.SetResult) { s.Calls[0].Outcome = runner.Unknown }, Pass, "unknown", ""},
		{"1,outcome,line:9,committed", nil, Unknown, "", "no call of the set matches"},
		{"1,value,(1),3", nil, Pass, "3", ""},
		{"1,value,(1),>3", nil, Fail, "3", "line 3: (1) read 3, want >3"},
		{"1,value,(1),3", func(s *runner.SetResult) { s.Calls[2].Outcome = runner.Unavailable }, Fail, "unavailable", "want 3"},
		{"1,views,c1,>=1", nil, Fail, "0", "new-view messages seen in c1: 0, want >=1"},
		{"*,views,,1", func(s *runner.SetResult) { s.Views = []runner.View{{Cluster: "c2"}} }, Pass, "1", ""},
		{"*,throughput,,>=4", nil, Pass, "4", ""},
		{"*,throughput,,>4", nil, Fail, "4", "want >4"},
		{"*,throughput,,>4", func(s *runner.SetResult) { s.Busy = 0 }, Unknown, "", "no command was in flight"},
		{"*,p99,,<=1ms", nil, Pass, "1ms", ""},
		{"*,mean,cross,<1", nil, Fail, "1ms", "mean latency (cross): 1ms, want <1"},
		{"2,balance,1,99", nil, "", "", ""},
	} {
		t.Run(tc.row, func(t *testing.T) {
			set := good(t)
			if tc.spoil != nil {
				tc.spoil(set)
			}
			v := Judge(set, expected(tc.row+"\n"))
			var got []Check
			for _, c := range v.Checks {
				if c.Source == SourceExpected {
					got = append(got, c)
				}
			}
			if tc.want == "" {
				if len(got) > 0 {
					t.Errorf("a row of another set was judged: %+v", got)
				}
				return
			}
			if len(got) != 1 || got[0].Verdict != tc.want || got[0].Actual != tc.actual || !strings.Contains(got[0].Message, tc.says) {
				t.Errorf("got %+v", got)
			}
			if worse(v.Verdict, tc.want) != v.Verdict {
				t.Errorf("set is %s although a check is %s", v.Verdict, tc.want)
			}
		})
	}
}

// A * in place of the command speaks of every transfer, or of every read.
func TestExpectationsOfAll(t *testing.T) {
	rows, err := testset.ParseExpected("e.csv", []byte("1,outcome,*,committed|insufficient_funds,5\n1,outcome,*,aborted,1\n1,value,*,3,1\n1,value,*,4,1\n"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range Judge(good(t), rows).Checks {
		if c.Source == SourceExpected {
			got = append(got, fmt.Sprintf("%s %s %s: %s (%s)", c.Verdict, c.Check, c.Target, c.Actual, c.Message))
		}
	}
	want := []string{
		"fail outcome *: committed, insufficient_funds (line 1: (1, 2, 3): committed, want aborted; and 2 more)",
		"fail value *: 3 (line 3: (1) read 3, want 4)",
		"pass outcome *: committed, insufficient_funds ()",
		"pass value *: 3 ()",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestScore(t *testing.T) {
	es, err := testset.ParseExpected("e.csv", []byte("1,balance,1,3,2\n1,balance,2,99,3\n*,throughput,,>=1,5\n2,balance,1,1,50\n"))
	if err != nil {
		t.Fatal(err)
	}
	if v := Judge(good(t), es); v.Score != 7 || v.MaxScore != 10 || v.Verdict != Fail {
		t.Errorf("got %s %g/%g, want fail 7/10", v.Verdict, v.Score, v.MaxScore)
	}
	broken := good(t)
	node(broken, "n2").UndoRecords = 1
	if v := Judge(broken, es); v.Score != 0 || v.MaxScore != 10 {
		t.Errorf("a failed invariant left %g/%g points", v.Score, v.MaxScore)
	}
	tenths, err := testset.ParseExpected("e.csv", []byte(strings.Repeat("1,balance,1,3,0.1\n", 10)))
	if err != nil {
		t.Fatal(err)
	}
	if v := Judge(good(t), tenths); v.Score != 1 || v.MaxScore != 1 {
		t.Errorf("ten tenths are %v/%v", v.Score, v.MaxScore)
	}
	oracle := Check{Source: SourceOracle, Check: "outcome", Verdict: Fail}
	if v := Judge(good(t), nil, oracle); v.Verdict != Fail || v.Score != 0 {
		t.Errorf("a check of the oracle was ignored: %s %g", v.Verdict, v.Score)
	}
}

func TestCombineAndExitCode(t *testing.T) {
	pass, fail, unknown := SetVerdict{Verdict: Pass, Score: 1, MaxScore: 1}, SetVerdict{Verdict: Fail, MaxScore: 2}, SetVerdict{Verdict: Unknown, MaxScore: 1}
	for _, tc := range []struct {
		sets []SetVerdict
		run  runner.RunResult
		want RunVerdict
		exit int
	}{
		{nil, runner.RunResult{}, RunVerdict{Verdict: Unknown}, ExitUnknown},
		{[]SetVerdict{pass, pass}, runner.RunResult{}, RunVerdict{Verdict: Pass, Score: 2, MaxScore: 2}, ExitPass},
		{[]SetVerdict{pass, unknown}, runner.RunResult{}, RunVerdict{Verdict: Unknown, Score: 1, MaxScore: 2}, ExitUnknown},
		{[]SetVerdict{unknown, fail, pass}, runner.RunResult{}, RunVerdict{Verdict: Fail, Score: 1, MaxScore: 4}, ExitFail},
		{[]SetVerdict{fail}, runner.RunResult{NodesFailed: "n3 did not start"}, RunVerdict{Verdict: Fail, MaxScore: 2}, ExitNodes},
		{[]SetVerdict{fail}, runner.RunResult{Interrupted: true}, RunVerdict{Verdict: Fail, MaxScore: 2}, ExitInterrupted},
	} {
		rv := Combine(tc.sets)
		tc.want.Sets = tc.sets
		if diff := cmp.Diff(tc.want, rv); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		if got := ExitCode(&tc.run, rv); got != tc.exit {
			t.Errorf("exit %d, want %d", got, tc.exit)
		}
	}
}

func TestLatencyAndHistogram(t *testing.T) {
	set := &runner.SetResult{}
	for i := 1; i <= 100; i++ {
		set.Calls = append(set.Calls, runner.Call{Kind: "intra", Outcome: runner.Committed, End: time.Duration(i) * time.Microsecond})
	}
	set.Calls = append(set.Calls, runner.Call{Kind: "intra", Outcome: runner.Unknown, End: time.Hour})
	want := Latency{Count: 100, Mean: 50.5, P50: 50, P95: 95, P99: 99, Max: 100}
	if got := Latencies(set, "intra"); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := Latencies(set, "read"); got != (Latency{}) {
		t.Errorf("got %+v for no calls", got)
	}
	h := runner.Histogram{Count: 4, SumMicros: 100, MaxMicros: 70, Upper: []uint64{9, 19, 99}, Counts: []uint64{2, 1, 1}}
	if got, want := HistogramLatency(&h), (Latency{Count: 4, Mean: 25, P50: 9, P95: 70, P99: 70, Max: 70}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
