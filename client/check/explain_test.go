package check

import (
	"strings"
	"testing"

	"paxbank/client/runner"
)

// row is a row of a log; the request is client 1's with this timestamp.
func row(index, seq uint64, phase, role, effect string, timestamp uint64, from, to, amount int64) runner.LogRow {
	return runner.LogRow{Index: index, Seq: seq, Phase: phase, Role: role, Kind: "transfer", Status: "E", Effect: effect,
		ClientID: 1, Timestamp: timestamp, From: from, To: to, Amount: amount}
}

// logged gives the nodes of someSet's good run their logs.
func logged(t *testing.T) *runner.SetResult {
	set := good(t)
	view := runner.LogRow{Index: 1, Kind: "view", Status: "E", Effect: "applied"}
	c1 := []runner.LogRow{view, row(2, 2, "", "", "applied", 1, 1, 2, 3), row(3, 3, "P", "coordinator", "prepared", 2, 1, 11, 4),
		row(4, 3, "C", "coordinator", "applied", 2, 1, 11, 4), row(5, 5, "P", "coordinator", "insufficient_funds", 4, 1, 21, 9)}
	c2 := []runner.LogRow{view, row(2, 2, "P", "participant", "prepared", 2, 1, 11, 4), row(3, 2, "C", "participant", "applied", 2, 1, 11, 4)}
	for i := range set.Nodes {
		switch s := &set.Nodes[i]; s.Cluster {
		case "c1":
			s.Log = append([]runner.LogRow(nil), c1...)
		case "c2":
			s.Log = append([]runner.LogRow(nil), c2...)
		}
	}
	return set
}

func onAll(set *runner.SetResult, do func(*runner.NodeState), ids ...string) {
	for _, id := range ids {
		do(node(set, id))
	}
}

func TestExplanations(t *testing.T) {
	for _, tc := range []struct {
		name  string
		spoil func(*runner.SetResult)
		check string // of the complaint that is looked at
		says  string
		rule  string
		nodes string
		lines int // how many
		first string
	}{
		{"applied twice", func(s *runner.SetResult) {
			onAll(s, func(n *runner.NodeState) {
				n.Log = append(n.Log, row(6, 6, "", "", "applied", 1, 1, 2, 3))
				n.Balances[1], n.Balances[2], n.AppliedIndex = 0, 16, 6
			}, "n1", "n2", "n3")
		}, "balance", "; touched by lines 1, 2, 4; line 1 (1, 2, 3) was applied 2 times on n1, at log indexes 2 and 6", "exactly once", "", 3, "item 1 on n1: want 3, got 0"},
		{"not applied at all", func(s *runner.SetResult) {
			onAll(s, func(n *runner.NodeState) { n.Log, n.Balances[11] = n.Log[:1], 10 }, "n4", "n5", "n6")
		}, "balance", "line 2 (1, 11, 4) was committed and is not in the log of n4", "", "", 1, "item 11 on n4: want 14, got 10"},
		{"committed on one side only", func(s *runner.SetResult) {
			s.Calls[1].Outcome = runner.Aborted
			onAll(s, func(n *runner.NodeState) { n.Log[3].Phase, n.Balances[1] = "A", 7 }, "n1", "n2", "n3")
		}, "balance", "line 2 (1, 11, 4) came to aborted, but its P at log index 2 of n4 was committed there, while n1 has no effect of it", "", "", 1, "item 11 on n4: want 10, got 14"},
		{"undone on one side only", func(s *runner.SetResult) {
			s.Calls[1].Outcome = runner.Aborted
			onAll(s, func(n *runner.NodeState) { n.Log[3].Phase, n.Balances[1] = "A", 7 }, "n1", "n2", "n3")
			onAll(s, func(n *runner.NodeState) { n.Log, n.Prepared, n.UndoRecords = n.Log[:2], 1, 1 }, "n4", "n5", "n6")
		}, "clean end", "; line 2 (1, 11, 4) came to aborted, but its P at log index 2 of n4 was never undone there, while n1 has no effect of it", "", "n4", 0, ""},
		{"aborted and committed", func(s *runner.SetResult) { s.Calls[1].Outcome = runner.Aborted }, "balance",
			"line 2 (1, 11, 4) came to aborted, but its P at log index 3 of n1 was committed there, and neither on n4", "", "", 3, ""},
		{"refused and applied", func(s *runner.SetResult) { s.Calls[0].Outcome = runner.InsufficientFunds }, "balance",
			"line 1 (1, 2, 3) came to insufficient_funds, but was applied on n1 at log index 2", "", "", 3, ""},
		{"out of nowhere", func(s *runner.SetResult) {
			onAll(s, func(n *runner.NodeState) {
				n.Log = append(n.Log, row(6, 6, "", "", "applied", 77, 2, 3, 1))
				n.Balances[2], n.Balances[3], n.AppliedIndex = 12, 11, 6
			}, "n1", "n2", "n3")
		}, "balance", "; touched by line 1; the log of n1 has (2, 3, 1) at index 6, which nobody sent", "", "", 1, ""},
		{"a log that begins with a checkpoint explains nothing", func(s *runner.SetResult) {
			onAll(s, func(n *runner.NodeState) { n.CheckpointIndex, n.Balances[11] = 2, 10 }, "n4", "n5", "n6")
		}, "balance", "; touched by line 2", "", "", 1, ""},
		{"divergent replica", func(s *runner.SetResult) {
			n := node(s, "n5")
			n.Log[2].Phase, n.Balances[11] = "A", 10
		}, "agreement", "; the first divergent replica is n5, at log index 3: want C of (1, 11, 4) (seq 2, request 1/2, applied), got A of (1, 11, 4)", "commit different entries", "n5", 0,
			"n5, log index 3: want C of (1, 11, 4) (seq 2, request 1/2, applied), got A of (1, 11, 4) (seq 2, request 1/2, applied)"},
		{"divergent is the one with most", func(s *runner.SetResult) {
			n := node(s, "n4")
			n.Log[1].Amount, n.Balances[11] = 3, 13
		}, "agreement", "the first divergent replica is n4, at log index 2", "", "n4", 0, ""},
		{"an entry is missing", func(s *runner.SetResult) {
			n := node(s, "n6")
			n.Log, n.Balances[11] = n.Log[:1], 10
		}, "agreement", "the first divergent replica is n6, at log index 2: want P of (1, 11, 4) (seq 2, request 1/2, prepared), got nothing", "", "n6", 0, ""},
		{"the same log to different ends", func(s *runner.SetResult) { node(s, "n6").Balances[11] = 9 }, "agreement",
			"; their logs agree up to index 5, so they applied the same entries to different ends", "have the same state", "n4 n6", 0, "n6, item 11: want 14 as on n4, got 9"},
		{"the same log to different checksums", func(s *runner.SetResult) { node(s, "n6").Checksum = 1 }, "agreement", "so they applied the same entries to different ends", "", "n4 n6", 0, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			set := logged(t)
			tc.spoil(set)
			for _, c := range Judge(set, nil).Checks {
				if c.Source != SourceInvariant || c.Check != tc.check || c.Verdict != Fail {
					continue
				}
				if !strings.Contains(c.Message, tc.says) || !strings.Contains(c.Rule, tc.rule) || tc.nodes != "" && strings.Join(c.Nodes, " ") != tc.nodes ||
					len(c.Lines) != tc.lines || tc.first != "" && c.FirstDifference != tc.first {
					t.Errorf("got %+v", c)
				}
				return
			}
			t.Errorf("no complaint of %s", tc.check)
		})
	}
}

func TestGoodLogsSayNothing(t *testing.T) {
	set := logged(t)
	if v := Judge(set, nil); v.Verdict != Pass {
		t.Errorf("%q", bad(v))
	}
	f := gather(set)
	for _, item := range []int64{1, 2, 11, 21} {
		c, _ := f.cluster(item)
		if story := f.story(f.best[c], item); story != "" {
			t.Errorf("item %d: %s", item, story)
		}
	}
	if d, found := f.diverge(1); found {
		t.Errorf("divergence in c2: %+v", d)
	}
}

func TestClaims(t *testing.T) {
	for _, tc := range []struct {
		name  string
		audit runner.AuditRead
		spoil func(*runner.SetResult)
		want  Verdict
		says  string
		nodes string
	}{
		{"true", runner.AuditRead{Item: 1, Outcome: runner.Value, Value: 3, Node: "n1"}, nil, Pass, "", ""},
		{"a node says otherwise", runner.AuditRead{Item: 11, Outcome: runner.Value, Value: 14, Node: "n4"}, func(s *runner.SetResult) { node(s, "n5").Balances[11] = 15 }, Fail,
			"item 11: a read answered by n4 returns 14, but n5 says 15, and committed transfers give 14: what n5 says that it holds is not true (n4,n6 says what the read says)", "n5"},
		{"all say what is expected and serve another", runner.AuditRead{Item: 11, Outcome: runner.Value, Value: 10, Node: "n4"}, nil, Fail,
			"item 11: a read answered by n4 returns 10, but n4,n5,n6 says 14, and committed transfers give 14: the read answered by n4 is wrong", "n4"},
		{"neither", runner.AuditRead{Item: 11, Outcome: runner.Value, Value: 10, Node: "n4"}, func(s *runner.SetResult) {
			onAll(s, func(n *runner.NodeState) { n.Balances[11] = 12 }, "n4", "n5", "n6")
		}, Fail, "and committed transfers give 14: neither is true", "n4 n5 n6"},
		{"both are off alike", runner.AuditRead{Item: 11, Outcome: runner.Value, Value: 12, Node: "n4"}, func(s *runner.SetResult) {
			onAll(s, func(n *runner.NodeState) { n.Balances[11] = 12 }, "n4", "n5", "n6")
		}, Pass, "", ""}, // balance says so
		{"not everything had ended", runner.AuditRead{Item: 11, Outcome: runner.Value, Value: 10, Node: "n4"}, func(s *runner.SetResult) { s.Calls[1].Outcome = runner.Unknown }, Unknown, "but not everything had ended when it was read", "n4 n5 n6"},
		{"no answer", runner.AuditRead{Item: 11, Outcome: runner.Unavailable, Message: "c2 has no quorum"}, nil, Unknown, "1 reads at the end of the set were not answered although their clusters have a quorum, the first of item 11: c2 has no quorum", ""},
		{"no answer for a locked item", runner.AuditRead{Item: 11, Outcome: runner.Unavailable}, func(s *runner.SetResult) { node(s, "n4").Locks = 1 }, Pass, "", ""},
		{"a replica that is behind", runner.AuditRead{Item: 11, Outcome: runner.Value, Value: 14, Node: "n4"}, func(s *runner.SetResult) {
			node(s, "n5").AppliedIndex, node(s, "n5").Balances[11] = 4, 10
		}, Pass, "", ""}, // agreement says so
	} {
		t.Run(tc.name, func(t *testing.T) {
			set := good(t)
			set.Audit = []runner.AuditRead{tc.audit}
			if tc.spoil != nil {
				tc.spoil(set)
			}
			got := Pass
			for _, c := range Judge(set, nil).Checks {
				if c.Check != "claims" {
					continue
				}
				got = worse(got, c.Verdict)
				if c.Verdict != Pass && (!strings.Contains(c.Message, tc.says) || strings.Join(c.Nodes, " ") != tc.nodes) {
					t.Errorf("got %+v", c)
				}
			}
			if got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}
