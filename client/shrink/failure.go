package shrink

import (
	"fmt"
	"strings"

	"paxbank/client/check"
	"paxbank/client/testset"
)

// Failure is what has to persist in a smaller set, so that a search does not slip
// from one bug to another.
type Failure struct {
	// Source and Check are those of the failed check. Its target may change.
	Source, Check string
	// Target and Actual count only where an expected file's row is what failed:
	// with fewer commands, its expectation fails trivially, so the row has to fail
	// in the very same way.
	Target, Actual string
	// Text, when set, is looked for in the check instead of all these.
	Text string
}

// FailureOf is the failure of the first failed check, or of the first that
// contains text, and that check; false when there is none.
func FailureOf(v *check.SetVerdict, text string) (Failure, check.Check, bool) {
	for i := range v.Checks {
		c := &v.Checks[i]
		if c.Verdict != check.Fail || text != "" && !strings.Contains(wording(c), text) {
			continue
		}
		f := Failure{Source: c.Source, Check: c.Check, Text: text}
		if c.Source == check.SourceExpected {
			switch c.Check {
			case testset.CheckBalance, testset.CheckOutcome, testset.CheckValue:
				f.Target, f.Actual = c.Target, c.Actual
			}
		}
		return f, *c, true
	}
	return Failure{}, check.Check{}, false
}

// In returns the first check of a verdict that fails in this way; false when
// there is none.
func (f Failure) In(v *check.SetVerdict) (check.Check, bool) {
	for i := range v.Checks {
		if c := &v.Checks[i]; c.Verdict == check.Fail && f.is(c) {
			return *c, true
		}
	}
	return check.Check{}, false
}

func (f Failure) is(c *check.Check) bool {
	if f.Text != "" {
		return strings.Contains(wording(c), f.Text)
	}
	if f.Source != c.Source || f.Check != c.Check || f.Actual != "" && f.Actual != c.Actual {
		return false
	}
	// A command has another line in a smaller file.
	return f.Target == "" || f.Target == c.Target || strings.HasPrefix(f.Target, "line:") && strings.HasPrefix(c.Target, "line:")
}

// Expected reports whether an expected file's row is what failed.
func (f Failure) Expected() bool { return f.Source == check.SourceExpected }

// wording is a check as one line, for Text.
func wording(c *check.Check) string {
	return fmt.Sprintf("%s %s %s: want %s, got %s: %s", c.Source, c.Check, c.Target, c.Expected, c.Actual, c.Message)
}
