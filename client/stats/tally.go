package stats

import "paxbank/client/check"

// Class of something that was repeated.
type Class string

// The classes.
const (
	AlwaysPasses Class = "always passes"
	AlwaysFails  Class = "always fails"
	Flaky        Class = "flaky"     // passes and fails
	Undecided    Class = "undecided" // neither passed nor failed even once
)

// Tally counts how repetitions ended.
type Tally struct {
	Pass    int `json:"pass"`
	Fail    int `json:"fail"`
	Unknown int `json:"unknown"`
}

// Add counts one repetition.
func (t *Tally) Add(v check.Verdict) {
	switch v {
	case check.Pass:
		t.Pass++
	case check.Fail:
		t.Fail++
	default:
		t.Unknown++
	}
}

// Runs is the number of repetitions.
func (t Tally) Runs() int { return t.Pass + t.Fail + t.Unknown }

// Definite is the number of repetitions that passed or failed.
func (t Tally) Definite() int { return t.Pass + t.Fail }

// Rate is the share of the definite repetitions that passed; false when there
// are none.
func (t Tally) Rate() (float64, bool) {
	if t.Definite() == 0 {
		return 0, false
	}
	return float64(t.Pass) / float64(t.Definite()), true
}

// Interval is the 95 % Wilson interval of Rate.
func (t Tally) Interval() Interval { return Wilson(t.Pass, t.Definite()) }

// Class by what the definite repetitions came to.
func (t Tally) Class() Class {
	switch {
	case t.Definite() == 0:
		return Undecided
	case t.Fail == 0:
		return AlwaysPasses
	case t.Pass == 0:
		return AlwaysFails
	}
	return Flaky
}

// Verdict of the repetitions together. They fail when more of them failed than
// the budget tolerates, and when all that were definite failed: that is not
// flaky, it is broken. They pass when the budget would bear it if every unknown
// one had failed too; otherwise it hangs on those, and is unknown.
func (t Tally) Verdict(b Budget) check.Verdict {
	tolerated := b.Of(t.Runs())
	switch {
	case t.Fail > tolerated, t.Class() == AlwaysFails:
		return check.Fail
	case t.Class() == Undecided, t.Fail+t.Unknown > tolerated:
		return check.Unknown
	}
	return check.Pass
}
