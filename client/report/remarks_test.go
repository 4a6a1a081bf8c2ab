package report

import (
	"bytes"
	"strings"
	"testing"

	"paxbank/client/check"
	"paxbank/client/runner"
)

// What is worth reading of a check that passed is printed, and not among those
// that did not pass.
func TestRemarks(t *testing.T) {
	v := &check.SetVerdict{Set: 4, Verdict: check.Pass, Score: 1, MaxScore: 1, Checks: []check.Check{
		{Source: check.SourceInvariant, Check: "claims", Target: "performance committed", Expected: "<=2", Actual: "2000", Verdict: check.Pass,
			Message: "the nodes together count 2000\x1b[31m", Remark: true},
		{Source: check.SourceInvariant, Check: "money", Target: "c1", Verdict: check.Pass, Message: "not worth it"},
	}}
	var b bytes.Buffer
	if err := PrintChecks(&b, &runner.SetResult{}, v, Options{}); err != nil {
		t.Fatal(err)
	}
	got := b.String()
	for _, want := range []string{"Remarks\n", "invariant claims performance committed: want <=2, got 2000; it counts for nothing\n", `count 2000\x1b[31m`, "1 of 1 points, 2 of 2 checks passed"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q does not say %q", got, want)
		}
	}
	if strings.Contains(got, "not worth it") || strings.Contains(got, "did not pass") {
		t.Errorf("too much is said: %q", got)
	}
}
