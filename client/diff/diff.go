package diff

import (
	"strings"

	"paxbank/client/check"
	"paxbank/client/runner"
)

// Class of a difference.
type Class string

// The classes.
const (
	Bug         Class = "bug"
	Freedom     Class = "permitted freedom"
	Undecidable Class = "undecidable"
)

// Kinds of differences.
const (
	KindSet     = "set"     // it was not carried out on some side
	KindOutcome = "outcome" // of a command; of a read, its value too
	KindNode    = "node"    // it could not be asked on some side
	KindBalance = "balance" // of an item, on nodes that live on both sides
	KindLive    = "live"    // who lives at the end
	KindViews   = "views"   // how often a cluster's leader changed, and who leads
	KindCheck   = "check"   // a further check of the judge's
)

// Side is what one implementation made of a set.
type Side struct {
	Result  *runner.SetResult // nil: the set was not run
	Verdict *check.SetVerdict // of Result
}

// Difference is one thing on which the sides differ, or that is wrong on both.
type Difference struct {
	Kind   string `json:"kind"`
	Target string `json:"target"`
	A      string `json:"a"`
	B      string `json:"b"`
	Class  Class  `json:"class"`
	// Bug is whose bug it is: "A", "B" or "A and B"; empty for the other classes.
	Bug string `json:"bug,omitempty"`
	Why string `json:"why"`
	// Cause is the number of what it comes from, from 1 within the set; see Groups.
	Cause int `json:"cause"`
}

// Sets compares one set. The differences come in the order of the kinds above.
func Sets(a, b Side) []Difference {
	if !a.carriedOut() || !b.carriedOut() {
		return []Difference{{Kind: KindSet, Target: "the set", A: a.state(), B: b.state(), Class: Undecidable, Cause: 1,
			Why: "only what was carried out on both sides can be compared"}}
	}
	c := &comparison{a: newView(a), b: newView(b)}
	c.calls()
	c.nodes()
	c.live()
	c.views()
	c.checks()
	c.group()
	return c.out
}

func (s Side) carriedOut() bool {
	return s.Result != nil && !s.Result.Skipped && s.Result.Unfinished == ""
}

func (s Side) state() string {
	switch {
	case s.Result == nil || s.Result.Skipped:
		return "not run"
	case s.Result.Unfinished != "":
		return "not carried out to its end: " + s.Result.Unfinished
	}
	return "carried out"
}

// Worst is the gravest class: a bug, then what is undecidable; "" when there is no
// difference.
func Worst(list []Difference) Class {
	var worst Class
	for i := range list {
		switch c := list[i].Class; {
		case c == Bug:
			return Bug
		case c == Undecidable, worst == "":
			worst = c
		}
	}
	return worst
}

// classify says what a difference is from what the judge said of the thing on
// each side: Pass that it is allowed there, Fail that it is not.
func classify(a, b check.Verdict) (class Class, bug string) {
	switch {
	case a == check.Fail && b == check.Fail:
		return Bug, "A and B"
	case a == check.Fail:
		return Bug, "A"
	case b == check.Fail:
		return Bug, "B"
	case a == check.Pass && b == check.Pass:
		return Freedom, ""
	}
	return Undecidable, ""
}

// comparison is one under way.
type comparison struct {
	a, b   *view
	out    []Difference
	places []place // by difference
}

// judged is what the judge said of one thing on one side, its words, and the lines
// that it names.
type judged struct {
	verdict check.Verdict
	message string
	lines   []int
}

// add notes a difference. freedom says why it is one that the protocol leaves.
func (c *comparison) add(kind, target, a, b string, ja, jb judged, at place, freedom string) {
	d := Difference{Kind: kind, Target: target, A: a, B: b}
	d.Class, d.Bug = classify(ja.verdict, jb.verdict)
	var why []string
	for _, side := range []struct {
		name string
		judged
	}{{"A", ja}, {"B", jb}} {
		// Beside a bug, what is not known elsewhere says nothing.
		if side.verdict == check.Fail || side.verdict == check.Unknown && d.Class == Undecidable {
			why = append(why, side.name+": "+orUnknown(side.message))
		}
	}
	d.Why = strings.Join(why, "; ")
	if d.Class == Freedom {
		d.Why = freedom
	}
	c.out, c.places = append(c.out, d), append(c.places, at)
}

func orUnknown(message string) string {
	if message == "" {
		return "the judge does not know"
	}
	return message
}
