package check

import (
	"math"

	"paxbank/client/runner"
	"paxbank/client/testset"
)

// Judge judges one set: invariants, what the oracle wants, the rows of the
// expected file that speak of it, and checks of the caller's. It never changes
// the result.
func Judge(set *runner.SetResult, expected []testset.Expectation, extra ...Check) SetVerdict {
	v := SetVerdict{Set: set.Set.Number, Skipped: set.Skipped, Verdict: Pass, MaxScore: 1}
	mine := make([]testset.Expectation, 0, len(expected))
	for i := range expected {
		if expected[i].Applies(set.Set.Number) {
			mine = append(mine, expected[i])
		}
	}
	if set.Skipped {
		v.add(Check{Source: SourceInvariant, Check: "run", Expected: "carried out", Actual: "skipped", Verdict: Unknown,
			Message: "the set was skipped, so nothing is known of it"})
	} else {
		f := gather(set)
		for _, c := range f.invariants() {
			v.add(c)
		}
		for _, c := range f.oracle(set.Semantics) {
			v.add(c)
		}
		for i := range mine {
			v.add(f.expectation(&mine[i]))
		}
		for _, c := range extra {
			v.add(c)
		}
	}
	arrange(v.Checks)
	v.score(mine)
	v.Score, v.MaxScore = tidy(v.Score), tidy(v.MaxScore)
	return v
}

// tidy takes off what adding up fractions such as 0.1 leaves behind.
func tidy(points float64) float64 { return math.Round(points*1e6) / 1e6 }

func (v *SetVerdict) add(c Check) {
	v.Checks = append(v.Checks, c)
	v.Verdict = worse(v.Verdict, c.Verdict)
}

// score counts the points: those of the expected file where it has any for the
// set, else one a set. A failed invariant makes the set 0, unknown earns 0.
func (v *SetVerdict) score(mine []testset.Expectation) {
	if len(mine) > 0 {
		v.MaxScore = 0
		for i := range mine {
			v.MaxScore += mine[i].Points
		}
	}
	for i := range v.Checks {
		if c := &v.Checks[i]; c.Source == SourceInvariant && c.Verdict == Fail {
			return
		}
	}
	if len(mine) == 0 {
		if v.Verdict == Pass {
			v.Score = 1
		}
		return
	}
	for i := range v.Checks {
		if c := &v.Checks[i]; c.Source == SourceExpected && c.Verdict == Pass {
			v.Score += c.Points
		}
	}
}

// Combine adds sets up to a run. A run without sets is unknown: it shows nothing.
func Combine(sets []SetVerdict) RunVerdict {
	rv := RunVerdict{Verdict: Pass, Sets: sets}
	if len(sets) == 0 {
		rv.Verdict = Unknown
	}
	for i := range sets {
		rv.Verdict = worse(rv.Verdict, sets[i].Verdict)
		rv.Score += sets[i].Score
		rv.MaxScore += sets[i].MaxScore
	}
	rv.Score, rv.MaxScore = tidy(rv.Score), tidy(rv.MaxScore)
	return rv
}

// Exit codes of the client, the gravest of those that apply.
const (
	ExitPass        = 0
	ExitFail        = 1
	ExitUnknown     = 2
	ExitUsage       = 64
	ExitNodes       = 69 // nodes could not be started or reached
	ExitInternal    = 70
	ExitInterrupted = 130
)

// ExitCode is what the process should exit with after run: 130 when the user
// interrupted it, 69 when nodes could not be started or reached, else by the
// verdict. Our own faults (70) are the caller's to report.
func ExitCode(run *runner.RunResult, rv RunVerdict) int {
	switch {
	case run.Interrupted:
		return ExitInterrupted
	case run.NodesFailed != "":
		return ExitNodes
	case rv.Verdict == Fail:
		return ExitFail
	case rv.Verdict == Unknown:
		return ExitUnknown
	}
	return ExitPass
}
