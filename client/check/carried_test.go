package check

import (
	"math"
	"testing"
	"time"

	"paxbank/client/runner"
	"paxbank/client/testset"
)

// A transfer of unknown outcome from an earlier set may take effect in this one,
// on one side after the other; nothing else may.
func TestCarried(t *testing.T) {
	for _, c := range []struct {
		name   string
		change map[int64]int64
		want   Verdict
	}{
		{"it never happens", nil, Pass},
		{"it happens", map[int64]int64{1: -3, 11: 3}, Pass},
		{"it had been debited before", map[int64]int64{11: 3}, Pass},
		{"it had been credited before", map[int64]int64{1: -3}, Pass},
		{"it had been prepared before, and is undone", map[int64]int64{1: 3}, Pass},
		{"another amount", map[int64]int64{1: -4, 11: 4}, Fail},
		{"another item", map[int64]int64{2: -3}, Fail},
	} {
		set := scene(t, "1,\"(1, 2, 1)\"\n,(2)\n", "committed", "value")
		set.StartBalances = map[int64]int64{1: 10, 11: 10}
		command := testset.Command{Line: 9, Kind: testset.Transfer, From: 1, To: 11, Amount: 3, Text: "(1, 11, 3)"}
		set.Carried = []runner.Call{{Command: command, Kind: "cross", ClientID: 1, Timestamp: 99, Outcome: runner.Unknown}}
		for i := range set.Nodes {
			s := &set.Nodes[i]
			for item, d := range c.change {
				if owner, _ := set.Topology.Items.Cluster(item); set.Topology.Clusters[owner].ID != s.Cluster {
					continue
				}
				if _, ok := s.Balances[item]; !ok {
					s.Balances[item] = 10
				}
				s.Balances[item] += d
			}
		}
		if v := Judge(set, nil); v.Verdict != c.want {
			t.Errorf("%s: %s, want %s: %+v", c.name, v.Verdict, c.want, v.Checks[0])
		}
	}
}

// An amount beyond all money is no balance.
func TestCarriedAmountBeyondAllMoney(t *testing.T) {
	set := scene(t, "1,\"(1, 2, 1)\"\n", "committed")
	set.StartBalances = map[int64]int64{1: 10}
	command := testset.Command{Line: 9, Kind: testset.Transfer, From: 1, To: 11, Amount: math.MaxInt64, Text: "(1, 11, 9223372036854775807)"}
	set.Carried = []runner.Call{{Command: command, Kind: "cross", ClientID: 1, Timestamp: 99, Outcome: runner.Unknown}}
	if v := Judge(set, nil); v.Verdict != Pass {
		t.Errorf("%s: %+v", v.Verdict, v.Checks[0])
	}
}

// What was read while a carried transfer may take effect is explained by it.
func TestCarriedIsSeenByReads(t *testing.T) {
	for value, want := range map[int64]Verdict{10: Pass, 13: Pass, 12: Fail} {
		set := scene(t, "1,(11)\n", "value")
		set.StartBalances = map[int64]int64{1: 10, 11: 10}
		command := testset.Command{Line: 9, Kind: testset.Transfer, From: 1, To: 11, Amount: 3, Text: "(1, 11, 3)"}
		set.Carried = []runner.Call{{Command: command, Kind: "cross", ClientID: 1, Timestamp: 99, Outcome: runner.Committed, Resolved: true}}
		set.Calls[0].Value, set.Ended = value, time.Second
		for i := range set.Nodes {
			if s := &set.Nodes[i]; s.Cluster == "c2" {
				s.Balances[11] = value
			}
		}
		if v := Judge(set, nil); v.Verdict != want {
			t.Errorf("a read of %d: %s, want %s: %+v", value, v.Verdict, want, v.Checks[0])
		}
	}
}
