package check

import (
	"cmp"
	"slices"
)

// causes are the invariants whose failure explains others, the most telling
// first: a process that is gone or that does not speak the contract is why the
// rest looks as it does, and money that appears is why later outcomes differ.
var causes = []string{"process", "contract", "overdraft", "clean end", "agreement", "balance", "money", "claims"}

// arrange puts the checks in the order in which people want to read them: what
// failed, causes before consequences, then what is unknown, then the rest. Within
// a kind the order stays, which is that of the test set.
func arrange(checks []Check) {
	slices.SortStableFunc(checks, func(a, b Check) int {
		return cmp.Or(cmp.Compare(gravity(a.Verdict), gravity(b.Verdict)), cmp.Compare(rank(&a), rank(&b)))
	})
}

func gravity(v Verdict) int {
	switch v {
	case Fail:
		return 0
	case Unknown:
		return 1
	}
	return 2
}

// rank of a check that did not pass. Those that passed keep their order.
func rank(c *Check) int {
	at := slices.Index(causes, c.Check)
	switch {
	case c.Verdict == Pass:
		return 0
	case c.Source == SourceInvariant && at >= 0:
		return at
	case c.Source == SourceInvariant:
		return len(causes) + 1 // a history without order is a consequence of something
	case c.Source == SourceOracle:
		return len(causes) + 2
	}
	return len(causes) + 3
}
