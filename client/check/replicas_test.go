package check

import (
	"strings"
	"testing"
)

// What a cluster has aborted for the sake of one that is lost is over there: no
// log is needed to know that it holds no lock any more.
func TestAbortedHoldsNothing(t *testing.T) {
	set := scene(t, "1,\"(1, 11, 4)\"\n", "aborted")
	losing(set, "c2")
	for _, id := range []string{"n1", "n2", "n3"} {
		node(set, id).Locks = 1
	}
	v := byInvariants(set)
	if got := strings.Join(bad(v), "\n"); v.Verdict != Fail || !strings.Contains(got, "it may be of line 1 (1, 11, 4), answered aborted") {
		t.Errorf("got %s %s", v.Verdict, got)
	}
	// Of what an earlier set left behind nothing is known.
	set.StartBalances = map[int64]int64{}
	if v := byInvariants(set); v.Verdict != Unknown {
		t.Errorf("in a kept bank: %s, want unknown", v.Verdict)
	}
	// The side that c1 does not coordinate waits for whoever does.
	set = scene(t, "1,\"(11, 1, 4)\"\n", "aborted")
	losing(set, "c2")
	node(set, "n1").Locks = 1
	if v := byInvariants(set); v.Verdict != Pass {
		t.Errorf("a participant without word of its coordinator: %q", bad(v))
	}
}
