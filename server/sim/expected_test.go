package sim

import (
	"slices"
	"testing"

	"paxbank/server/twopc"
)

// TestEveryReasonIsExpected: a reason for a refusal is either something that a
// campaign must meet, or it is written down why none can.
func TestEveryReasonIsExpected(t *testing.T) {
	if len(reasons) != int(twopc.ReasonWaiting)+1 || len(inquiryAnswers) != int(twopc.AnswerNotLeader)+1 {
		t.Error("twopc has other reasons or answers than this package names")
	}
	expected := Expected()
	for i, name := range reasons {
		if i == int(twopc.ReasonNone) {
			continue
		}
		for _, group := range []string{"vote: ", "abort: "} {
			why, excused := notReached[group+name]
			if wanted := slices.Contains(expected, group+name); wanted == excused {
				t.Errorf("%q is expected %v, and excused %v (%s); want one of them", group+name, wanted, excused, why)
			}
		}
	}
}

func TestExpectedIsMissedWhenAbsent(t *testing.T) {
	c := Coverage{}
	if got, want := len(c.Missing()), len(Expected()); got != want {
		t.Errorf("nothing was met, and %d of %d are missing", got, want)
	}
	for _, name := range Expected() {
		c[name]++
	}
	if m := c.Missing(); len(m) > 0 {
		t.Errorf("everything was met, and %v are missing", m)
	}
	delete(c, "lost: "+rowMinority)
	if m := c.Missing(); len(m) != 1 || m[0] != "lost: "+rowMinority {
		t.Errorf("missing %v, want the row that was not met", m)
	}
}

func TestFaultsAreChosen(t *testing.T) {
	for _, f := range Faults() {
		if names, err := ParseFaults(f); err != nil || len(names) != 1 {
			t.Errorf("%s: %v, %v", f, names, err)
		}
	}
	if _, err := ParseFaults("crash,flood"); err == nil {
		t.Error("a fault that does not exist is accepted")
	}
	names := []string{"crash", "rift"}
	res := Run(Options{Seed: 1, Requests: 100, Faults: &names})
	if res.Failure != nil {
		t.Fatal(res.Failure)
	}
	for _, f := range Faults() {
		if struck := res.Coverage["fault: "+f] > 0; struck != slices.Contains(names, f) {
			t.Errorf("fault %s struck: %v", f, struck)
		}
	}
}
