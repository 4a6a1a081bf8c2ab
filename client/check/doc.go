// Package check judges what package runner brought home. It calls nobody: the
// same results always give the same verdict.
//
//	v := check.Judge(&set, expectations)      // one set, right after it ran
//	rv := check.Combine([]check.SetVerdict{v}) // the run
//	os.Exit(check.ExitCode(run, rv))
//
// There are three verdicts. Unknown means that something kept the judge from
// knowing (a wait that timed out, a node that could not be asked, a history
// checker that ran out of budget); it names its cause and never counts as pass.
//
// Three kinds of check meet in a set's verdict: the always-on invariants of
// ARCHITECTURE.md (money, agreement, no overdraft, clean end, strict
// serialisability, and the balance of every item), the rows of the expected
// file, and whatever checks the caller adds (source "oracle").
package check

// Verdict of a check, a set or a run.
type Verdict string

// The verdicts.
const (
	Pass    Verdict = "pass"
	Fail    Verdict = "fail"
	Unknown Verdict = "unknown"
)

// Where a check comes from.
const (
	SourceOracle    = "oracle"
	SourceExpected  = "expected"
	SourceInvariant = "invariant"
)

// Check is one thing that was judged. The JSON names are those of summary.json.
type Check struct {
	Source   string  `json:"source"`
	Check    string  `json:"check"`
	Target   string  `json:"target"`
	Expected string  `json:"expected"`
	Actual   string  `json:"actual"`
	Verdict  Verdict `json:"verdict"`
	Points   float64 `json:"points"`
	Message  string  `json:"message"`
}

// SetVerdict is the judgement of one set.
type SetVerdict struct {
	Set             int
	Skipped         bool
	Verdict         Verdict
	Score, MaxScore float64
	Checks          []Check
}

// RunVerdict is the judgement of a run: fail when any set failed, else unknown
// when any is unknown, else pass.
type RunVerdict struct {
	Verdict         Verdict
	Score, MaxScore float64
	Sets            []SetVerdict
}

// worse returns the graver of two verdicts: fail > unknown > pass.
func worse(a, b Verdict) Verdict {
	if a == Fail || b == Fail {
		return Fail
	}
	if a == Unknown || b == Unknown {
		return Unknown
	}
	return Pass
}
