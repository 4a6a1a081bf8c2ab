package diff

import (
	"slices"
	"strings"
	"testing"

	"paxbank/client/check"
	"paxbank/client/runner"
	"paxbank/client/testset"
	"paxbank/internal/topology"
)

func TestClassify(t *testing.T) {
	for _, c := range []struct {
		a, b  check.Verdict
		class Class
		bug   string
	}{
		{check.Pass, check.Pass, Freedom, ""},
		{check.Fail, check.Pass, Bug, "A"},
		{check.Pass, check.Fail, Bug, "B"},
		{check.Fail, check.Fail, Bug, "A and B"},
		// What is not known elsewhere makes a bug no smaller.
		{check.Fail, check.Unknown, Bug, "A"},
		{check.Unknown, check.Fail, Bug, "B"},
		{check.Unknown, check.Pass, Undecidable, ""},
		{check.Pass, check.Unknown, Undecidable, ""},
		{check.Unknown, check.Unknown, Undecidable, ""},
	} {
		if class, bug := classify(c.a, c.b); class != c.class || bug != c.bug {
			t.Errorf("%s, %s: %s of %q, want %s of %q", c.a, c.b, class, bug, c.class, c.bug)
		}
	}
}

func TestWorst(t *testing.T) {
	list := func(classes ...Class) (out []Difference) {
		for _, c := range classes {
			out = append(out, Difference{Class: c})
		}
		return out
	}
	for _, c := range []struct {
		list []Difference
		want Class
	}{
		{nil, ""},
		{list(Freedom, Freedom), Freedom},
		{list(Freedom, Undecidable, Freedom), Undecidable},
		{list(Undecidable, Freedom, Bug, Freedom), Bug},
	} {
		if got := Worst(c.list); got != c.want {
			t.Errorf("%v: %q, want %q", c.list, got, c.want)
		}
	}
}

// aSide is a run in which everything was as it should be: a transfer of 3 from
// item 1 to 2 (line 1), a read of item 2 (line 2).
func aSide() Side {
	var commands = []testset.Command{
		{Line: 1, Kind: testset.Transfer, From: 1, To: 2, Amount: 3, Text: "(1, 2, 3)"},
		{Line: 2, Kind: testset.Read, Item: 2, Text: "(2)"},
	}
	set := &runner.SetResult{Set: testset.Set{Number: 1, Commands: commands}, Topology: topology.Default()}
	set.Calls = []runner.Call{
		{Command: commands[0], Kind: "intra", Outcome: runner.Committed},
		{Command: commands[1], Kind: "read", Outcome: runner.Value, Value: 13},
	}
	for _, c := range set.Topology.Clusters {
		set.QuorumAtEnd = append(set.QuorumAtEnd, c.ID)
		set.Views = append(set.Views, runner.View{Cluster: c.ID, Ballot: "1." + c.Nodes[0].ID, Leader: c.Nodes[0].ID})
		for _, n := range c.Nodes {
			state := runner.NodeState{ID: n.ID, Cluster: c.ID, Live: true, Reachable: true, Balances: map[int64]int64{}}
			if c.ID == "c1" {
				state.Balances = map[int64]int64{1: 7, 2: 13}
			}
			set.Nodes = append(set.Nodes, state)
			set.LiveAtEnd = append(set.LiveAtEnd, n.ID)
		}
	}
	return Side{Result: set, Verdict: &check.SetVerdict{Verdict: check.Pass, Checks: []check.Check{
		{Source: check.SourceInvariant, Check: "money", Target: "c1", Verdict: check.Pass},
		{Source: check.SourceOracle, Check: "outcome", Target: "line:1", Verdict: check.Pass},
		{Source: check.SourceOracle, Check: "value", Target: "line:2", Verdict: check.Pass},
		{Source: check.SourceOracle, Check: "balance", Target: "c1", Verdict: check.Pass},
	}}}
}

// says is a check of the oracle's that did not pass.
func (s Side) says(v check.Verdict, source, name, target, message string) {
	s.Verdict.Checks = append(slices.DeleteFunc(s.Verdict.Checks, func(c check.Check) bool {
		return c.Source == source && c.Check == name && c.Target == target
	}), check.Check{Source: source, Check: name, Target: target, Verdict: v, Message: message})
}

func (s Side) hold(item, balance int64, nodes ...string) {
	for i := range s.Result.Nodes {
		if slices.Contains(nodes, s.Result.Nodes[i].ID) {
			s.Result.Nodes[i].Balances[item] = balance
		}
	}
}

func TestSets(t *testing.T) {
	oracle, invariant := check.SourceOracle, check.SourceInvariant
	for _, c := range []struct {
		name string
		make func(a, b Side)
		want string // kind, target, A, B, class, whose bug; a line each
	}{
		{"the same", func(a, b Side) {}, ""},
		{"an outcome that B must not come to", func(a, b Side) {
			b.Result.Calls[0].Outcome = runner.Aborted
			b.says(check.Fail, oracle, "outcome", "line:1", "want committed")
		}, "outcome|line 1: (1, 2, 3)|committed|aborted|bug|B"},
		{"either outcome is allowed", func(a, b Side) {
			b.Result.Calls[0].Outcome = runner.InsufficientFunds
		}, "outcome|line 1: (1, 2, 3)|committed|insufficient_funds|permitted freedom|"},
		{"an outcome that is not known", func(a, b Side) {
			b.Result.Calls[0].Outcome = runner.Unknown
		}, "outcome|line 1: (1, 2, 3)|committed|unknown|undecidable|"},
		{"not known on both sides", func(a, b Side) {
			a.Result.Calls[0].Outcome, b.Result.Calls[0].Outcome = runner.Unknown, runner.Unknown
		}, "outcome|line 1: (1, 2, 3)|unknown|unknown|undecidable|"},
		{"a read of something else", func(a, b Side) {
			a.Result.Calls[1].Value = 10
			a.says(check.Fail, oracle, "value", "line:2", "want 13")
		}, "outcome|line 2: (2)|value 10|value 13|bug|A"},
		{"both wrong in the same way", func(a, b Side) {
			for _, s := range []Side{a, b} {
				s.Result.Calls[1].Value = 10
				s.says(check.Fail, oracle, "value", "line:2", "want 13")
			}
		}, "outcome|line 2: (2)|value 10|value 10|bug|A and B"},
		{"the oracle could not play the set", func(a, b Side) {
			b.Result.Calls[0].Outcome = runner.Aborted
			b.Verdict.Checks = b.Verdict.Checks[:1]
			b.says(check.Unknown, oracle, "set", "", "not comparable")
		}, "outcome|line 1: (1, 2, 3)|committed|aborted|undecidable|\ncheck|oracle set|pass|unknown|undecidable|"},
		{"too much is wrong for the judge to name it", func(a, b Side) {
			b.Result.Calls[0].Outcome = runner.Aborted
			b.says(check.Fail, oracle, "outcome", "more", "5 more")
			b.Verdict.Checks = slices.DeleteFunc(b.Verdict.Checks, func(c check.Check) bool { return strings.HasPrefix(c.Target, "line:") })
		}, "outcome|line 1: (1, 2, 3)|committed|aborted|undecidable|"},
		{"balances that B must not hold, on two nodes", func(a, b Side) {
			b.hold(2, 12, "n1", "n2")
			b.says(check.Fail, oracle, "balance", "2@n1,n2", "want 13")
		}, "balance|item 2 on n1 n2|13|12|bug|B"},
		{"balances that may differ, one of an item that A never touched", func(a, b Side) {
			b.hold(5, 9, "n1", "n2", "n3")
		}, "balance|item 5 on n1 n2 n3|10|9|permitted freedom|"},
		{"a node that could not be asked", func(a, b Side) {
			a.Result.Nodes[4].Reachable = false
		}, "node|n5|could not be asked|answers|undecidable|"},
		{"another leader", func(a, b Side) {
			b.Result.Views = append(b.Result.Views, runner.View{Cluster: "c2", Ballot: "2.n6", Leader: "n6"})
		}, "views|c2|n4|n4, then n6|permitted freedom|"},
		{"LF struck another node", func(a, b Side) {
			for _, s := range []Side{a, b} {
				s.Result.Set.Commands = append(slices.Clone(s.Result.Set.Commands), testset.Command{Line: 3, Kind: testset.LeaderFail, Text: "LF(c1)"})
			}
			a.Result.LiveAtEnd = a.Result.LiveAtEnd[1:]
			b.Result.LiveAtEnd = slices.Delete(b.Result.LiveAtEnd, 1, 2)
		}, "live|live at the end|n2 n3 n4 n5 n6 n7 n8 n9|n1 n3 n4 n5 n6 n7 n8 n9|permitted freedom|"},
		{"a node failed against the test set's will", func(a, b Side) {
			b.Result.LiveAtEnd = b.Result.LiveAtEnd[:8]
		}, "live|live at the end|n1 n2 n3 n4 n5 n6 n7 n8 n9|n1 n2 n3 n4 n5 n6 n7 n8|undecidable|"},
		{"an invariant that B violates", func(a, b Side) {
			b.says(check.Fail, invariant, "money", "c1", "3 are missing")
		}, "check|invariant money c1|pass|fail|bug|B"},
		{"an invariant that both violate", func(a, b Side) {
			a.says(check.Fail, invariant, "locks", "n1", "")
			b.says(check.Fail, invariant, "locks", "n1", "")
		}, "check|invariant locks n1|fail|fail|bug|A and B"},
		{"a run that was cut short", func(a, b Side) {
			b.Result.Calls = b.Result.Calls[:1]
		}, "outcome|commands|2 sent|1 sent|undecidable|"},
		{"a set that was not carried out", func(a, b Side) {
			b.Result.Unfinished = "the nodes are gone"
		}, "set|the set|carried out|not carried out to its end: the nodes are gone|undecidable|"},
		{"a set that was skipped", func(a, b Side) { a.Result.Skipped = true },
			"set|the set|not run|carried out|undecidable|"},
	} {
		a, b := aSide(), aSide()
		c.make(a, b)
		var got []string
		for _, d := range Sets(a, b) {
			got = append(got, strings.Join([]string{d.Kind, d.Target, d.A, d.B, string(d.Class), d.Bug}, "|"))
			if d.Why == "" {
				t.Errorf("%s: no reason for %+v", c.name, d)
			}
		}
		if s := strings.Join(got, "\n"); s != c.want {
			t.Errorf("%s: got\n%s\nwant\n%s", c.name, s, c.want)
		}
	}
}

func TestSetThatDidNotRun(t *testing.T) {
	d := Sets(Side{}, aSide())
	if len(d) != 1 || d[0].Class != Undecidable || d[0].A != "not run" || d[0].B != "carried out" {
		t.Errorf("got %+v", d)
	}
}

// Differences that come from one thing are one cause, and others are not.
func TestGroups(t *testing.T) {
	a, b := aSide(), aSide()
	for _, s := range []Side{a, b} {
		more := []testset.Command{
			{Line: 3, Kind: testset.Transfer, From: 2, To: 3001, Amount: 1, Text: "(2, 3001, 1)"},
			{Line: 4, Kind: testset.Transfer, From: 7, To: 8, Amount: 1, Text: "(7, 8, 1)"},
			{Line: 5, Kind: testset.Read, Item: 3001, Text: "(3001)"},
			{Line: 6, Kind: testset.Read, Item: 9, Text: "(9)"},
		}
		s.Result.Set.Commands = append(s.Result.Set.Commands, more...)
		s.Result.Calls = append(s.Result.Calls,
			runner.Call{Command: more[0], Kind: "cross", Outcome: runner.Committed}, runner.Call{Command: more[1], Kind: "intra", Outcome: runner.Committed},
			runner.Call{Command: more[2], Kind: "read", Outcome: runner.Value, Value: 11}, runner.Call{Command: more[3], Kind: "read", Outcome: runner.Value, Value: 10})
	}
	wrong := func(line string) { b.says(check.Fail, check.SourceOracle, "outcome", "line:"+line, "") }
	// Line 1 goes wrong, line 3 as a consequence, and so items 2 and 3001.
	b.Result.Calls[0].Outcome, b.Result.Calls[2].Outcome, b.Result.Calls[4].Value = runner.Aborted, runner.Aborted, 10
	wrong("1")
	wrong("3")
	wrong("5")
	b.hold(3001, 9, "n4")
	b.says(check.Fail, check.SourceOracle, "balance", "3001@n4", "")
	b.says(check.Fail, check.SourceInvariant, "money", "c2", "")
	b.says(check.Fail, check.SourceInvariant, "money", "total", "")
	// Line 4 goes wrong by itself; line 6 may, which is another matter.
	b.Result.Calls[3].Outcome, b.Result.Calls[5].Value = runner.Aborted, 3
	wrong("4")
	b.says(check.Fail, check.SourceInvariant, "overdraft", "8@n1", "")
	b.says(check.Fail, check.SourceInvariant, "locks", "n9", "")
	var got []string
	for _, cause := range Groups(Sets(a, b)) {
		var names []string
		for _, d := range cause {
			if d.Class != cause[0].Class {
				t.Errorf("a cause of classes %s and %s", d.Class, cause[0].Class)
			}
			names = append(names, d.Target)
		}
		got = append(got, string(cause[0].Class)+" "+strings.Join(names, ", "))
	}
	want := []string{
		"bug line 1: (1, 2, 3), line 3: (2, 3001, 1), line 5: (3001), item 3001 on n4, invariant money c2, invariant money total",
		"bug line 4: (7, 8, 1), invariant overdraft 8@n1",
		"permitted freedom line 6: (9)",
		"bug invariant locks n9",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
