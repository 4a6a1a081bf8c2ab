package check

import (
	"slices"
	"strings"
	"testing"

	"paxbank/client/runner"
)

// What nodes answered against the contract fails the set, comes before all that
// may follow from it, and says who, what, how often, where first, and the rule.
func TestContract(t *testing.T) {
	set := good(t)
	set.Violations = []runner.Violation{{Node: "n4", Call: "SubmitStream", Field: "result", Got: "RESULT_UNSPECIFIED",
		Rule: "RESULT_UNSPECIFIED is never sent", Count: 3, Client: 1, Timestamp: 2}, {Node: "n5", Call: "SubmitStream", Field: "result", Got: "RESULT_UNSPECIFIED",
		Rule: "RESULT_UNSPECIFIED is never sent", Count: 1}}
	node(set, "n5").Balances[11] = 10
	v := Judge(set, nil)
	if v.Verdict != Fail || v.Score != 0 {
		t.Errorf("%s, %g points", v.Verdict, v.Score)
	}
	c := v.Checks[0]
	want := "SubmitStream of n4,n5, field result: RESULT_UNSPECIFIED (4 times), first on line 2, (1, 11, 4); docs/protocol.md: RESULT_UNSPECIFIED is never sent"
	if c.Check != "contract" || c.Message != want || !slices.Equal(c.Nodes, []string{"n4", "n5"}) || !slices.Equal(c.Lines, []int{2}) {
		t.Errorf("got %s %v %v %q\nwant %q", c.Check, c.Nodes, c.Lines, c.Message, want)
	}
}

// What failed comes first, causes before consequences, then what is unknown.
func TestArrange(t *testing.T) {
	set := good(t)
	set.Problems = []string{"waited"}
	set.Crashed = map[string]string{"n9": "exit status 1"}
	node(set, "n1").Balances[1] = -3
	set.Calls[2].Value = 9
	var kinds []string
	for _, c := range Judge(set, nil).Checks {
		if kind := string(c.Verdict) + " " + c.Check; c.Verdict != Pass && !slices.Contains(kinds, kind) {
			kinds = append(kinds, kind)
		}
	}
	got := strings.Join(kinds, ", ")
	if want := "fail process, fail overdraft, fail agreement, fail balance, fail money, fail serialisable, fail value, unknown run"; !strings.HasPrefix(got, want) {
		t.Errorf("got %s, want %s …", got, want)
	}
}

// Money that is off in one way is told as what would explain all of it.
func TestSuspicions(t *testing.T) {
	all := []string{"n1", "n2", "n3", "n4", "n5", "n6", "n7", "n8", "n9"}
	add := func(set *runner.SetResult, item, amount int64) {
		cluster, _ := set.Topology.Items.Cluster(item)
		for _, id := range all {
			n := node(set, id)
			if n.Cluster == set.Topology.Clusters[cluster].ID {
				if _, ok := n.Balances[item]; !ok {
					n.Balances[item] = 10
				}
				n.Balances[item] += amount
			}
		}
	}
	csv := "1,\"(1, 11, 2)\"\n,\"(2, 12, 3)\"\n,\"(3, 13, 4)\"\n"
	for _, tc := range []struct {
		name     string
		outcomes []string
		spoil    func(*runner.SetResult)
		says     string
	}{
		{"twice", []string{"committed", "committed", "committed"}, func(s *runner.SetResult) {
			add(s, 1, -2)
			add(s, 11, 2)
			add(s, 3, -4)
			add(s, 13, 4)
		}, "; it is as if line 1 (1, 11, 2) and line 3 (3, 13, 4) had been applied twice"},
		{"never", []string{"committed", "committed", "committed"}, func(s *runner.SetResult) {
			add(s, 2, 3)
			add(s, 12, -3)
		}, "line 2 (2, 12, 3) had been acknowledged and never applied"},
		{"the other way", []string{"committed", "committed", "committed"}, func(s *runner.SetResult) {
			add(s, 2, 6)
			add(s, 12, -6)
		}, "line 2 (2, 12, 3) had gone from the receiver to the sender"},
		{"half an abort", []string{"committed", "aborted", "committed"}, func(s *runner.SetResult) { add(s, 2, -3) },
			"line 2 (2, 12, 3) had been debited and not undone, although answered aborted"},
		{"no credit", []string{"committed", "committed", "committed"}, func(s *runner.SetResult) { add(s, 12, -3) },
			"line 2 (2, 12, 3) had never been credited"},
		{"no reset", []string{"committed", "committed", "committed"}, func(s *runner.SetResult) { add(s, 29, 5) },
			"as if the reset before the set had not given every item its initial balance"},
		{"nothing that is known", []string{"committed", "committed", "committed"}, func(s *runner.SetResult) { add(s, 2, 1) }, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			set := scene(t, csv, tc.outcomes...)
			tc.spoil(set)
			got := strings.Join(bad(byInvariants(set)), "\n")
			if !strings.Contains(got, tc.says) || tc.says == "" && strings.Contains(got, "as if") {
				t.Errorf("nothing says %q in\n%s", tc.says, got)
			}
			if !strings.Contains(got, "fail balance") {
				t.Errorf("no balance failed:\n%s", got)
			}
		})
	}
}
