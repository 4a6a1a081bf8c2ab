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
// Three kinds of check meet in a set's verdict:
//
//   - the invariants of ARCHITECTURE.md (money, agreement, no overdraft, clean
//     end, strict serialisability, the balance of every item), whether what nodes
//     say of themselves is what the bank serves (claims), and whether they run on
//     (process) and keep to docs/protocol.md (contract);
//   - what package oracle says must, may and must not come of the test set;
//   - the rows of the expected file, if there is one.
//
// What they are worth: without an expected file a set is worth one point, for
// which every check has to pass. With one, the points are those of its rows, and
// a row that passes earns its points whatever the oracle says. A failed invariant
// makes the set 0. Any failed check, the oracle's too, makes the verdict fail.
//
// What was given up at a deadline is unknown and no failure: the oracle is asked
// again with that command open, so that what depends on it is not held against
// anybody either, a row of the expected file included: it is unknown and earns
// nothing. So is what differs because nodes died against the test set's
// will.
//
// The files: facts.go a result sorted for judging; invariants.go, money.go,
// replicas.go, serial.go, claims.go, counters.go, contract.go the invariants; suspect.go what
// may have gone wrong with money; oracle.go and nodes.go what the oracle wants of
// commands and of nodes; logs.go what logs tell about either; expected.go the
// expected file; measure.go times; arrange.go the order in which people read it;
// judge.go the verdict.
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
	// For programs, parts of what Message says; absent where they do not apply.
	// Rule is the rule of the protocol that was broken, in the words of
	// ARCHITECTURE.md.
	Rule string `json:"rule,omitempty"`
	// Lines of the test set that the check is about, the first to blame first.
	Lines []int `json:"lines,omitempty"`
	// Nodes that differ from what was wanted, or from each other.
	Nodes []string `json:"nodes,omitempty"`
	// FirstDifference is "want X, got Y" where the two part: an outcome, the first
	// divergent replica and log index, or the first item.
	FirstDifference string `json:"first_difference,omitempty"`
	// Remark: it passed, and Message is worth reading all the same.
	Remark bool `json:"remark,omitempty"`
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
