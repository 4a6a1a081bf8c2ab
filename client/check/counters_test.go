package check

import (
	"strings"
	"testing"
	"time"

	"paxbank/client/runner"
	"paxbank/client/testset"
)

// What nodes count of their answers is held against what the driver heard and
// sent. It is a remark, and costs nothing.
func TestCounters(t *testing.T) {
	const plain = "1,\"(1, 2, 3)\"\n,\"(1, 11, 4)\"\n,\"(1, 2, 99)\"\n,(2)\n"
	for _, c := range []struct {
		name   string
		change func(set *runner.SetResult, n1 *runner.Counters)
		want   string // part of the remark; "" for none
	}{
		{"the truth", func(*runner.SetResult, *runner.Counters) {}, ""},
		{"nothing is counted", func(_ *runner.SetResult, n1 *runner.Counters) { *n1 = runner.Counters{LockHeld: time.Millisecond} }, ""},
		{"more than was sent", func(_ *runner.SetResult, n1 *runner.Counters) { n1.Committed = 2000 },
			"the nodes together count 2000 answers committed (Performance), but the driver sent no more than 2 requests that may have come to that: what they count is not true; n1: 2000"},
		{"less than was heard", func(_ *runner.SetResult, n1 *runner.Counters) { n1.Committed = 1 }, "count 1 answers committed (Performance), but the driver was given 2"},
		{"refusals that are hidden", func(_ *runner.SetResult, n1 *runner.Counters) { n1.InsufficientFunds = 0 }, "count 0 answers insufficient_funds"},
		{"more aborts than transfers", func(_ *runner.SetResult, n1 *runner.Counters) { n1.Aborted = 4 }, "count 4 answers aborted (Performance), but the driver sent no more than 3"},
		{"aborts of sends that were repeated", func(set *runner.SetResult, n1 *runner.Counters) { n1.Aborted, set.Calls[1].Attempts = 3, 2 }, ""},
		{"a resend was answered twice", func(set *runner.SetResult, n1 *runner.Counters) { n1.Committed, set.Calls[0].Attempts = 3, 2 }, ""},
		{"one outcome was settled later", func(set *runner.SetResult, n1 *runner.Counters) { n1.Committed, set.Calls[0].Resolved = 1, true }, ""},
		{"and counts nobody can bound then", func(set *runner.SetResult, n1 *runner.Counters) { n1.Committed, set.Calls[0].Resolved = 9, true }, ""},
		{"another node counts some of them", func(set *runner.SetResult, n1 *runner.Counters) { n1.Committed, set.Nodes[3].Counters.Committed = 1, 1 }, ""},
		{"a node that does not tell", func(set *runner.SetResult, n1 *runner.Counters) { n1.Committed, set.Nodes[5].Counters = 99, nil }, ""},
		{"a node that could not be asked", func(set *runner.SetResult, n1 *runner.Counters) { n1.Committed, set.Nodes[5].Reachable = 99, false }, ""},
		{"state that was kept", func(set *runner.SetResult, n1 *runner.Counters) {
			n1.Committed, set.StartBalances = 99, map[int64]int64{}
		}, ""},
		{"whoever fails and returns may count afresh", func(set *runner.SetResult, n1 *runner.Counters) {
			n1.Committed = 1
			set.Set.Commands = append(set.Set.Commands, testset.Command{Line: 5, Kind: testset.Fail, Node: "n9"}, testset.Command{Line: 6, Kind: testset.Recover, Node: "n9"})
		}, ""},
		{"a longest answer that is longer than the set", func(_ *runner.SetResult, n1 *runner.Counters) { n1.Slowest = time.Minute }, "the longest was 1m0s, but the whole set, reset included, took 2s"},
		{"a lock that was held for longer than the set", func(_ *runner.SetResult, n1 *runner.Counters) { n1.LockHeld = time.Hour }, "of its lock hold (Performance) that the longest was 1h0m0s"},
		{"a clock that is a little off", func(_ *runner.SetResult, n1 *runner.Counters) { n1.LockHeld = 2200 * time.Millisecond }, ""},
	} {
		set := scene(t, plain, "committed", "committed", "insufficient_funds", "value")
		set.Ended = 2 * time.Second
		for i := range set.Nodes {
			set.Nodes[i].Counters = &runner.Counters{}
		}
		n1 := set.Nodes[0].Counters
		*n1 = runner.Counters{Committed: 2, InsufficientFunds: 1, Reads: 1, Slowest: time.Millisecond}
		before := Judge(set, nil)
		c.change(set, n1)
		v := Judge(set, nil)
		said := ""
		for _, k := range v.Checks {
			if strings.HasPrefix(k.Target, "performance") {
				if k.Check != "claims" || !k.Remark || k.Verdict != Pass {
					t.Errorf("%s: %+v is no remark", c.name, k)
				}
				said += k.Message
			}
		}
		if !strings.Contains(said, c.want) || c.want == "" && said != "" {
			t.Errorf("%s: %q, want %q", c.name, said, c.want)
		}
		if c.want != "" && (v.Score != before.Score || v.Verdict != before.Verdict) {
			t.Errorf("%s: it costs: %s, %g points; %s, %g before", c.name, v.Verdict, v.Score, before.Verdict, before.Score)
		}
	}
}
