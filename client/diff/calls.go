package diff

import (
	"fmt"
	"slices"
	"strconv"

	"paxbank/client/check"
	"paxbank/client/runner"
	"paxbank/client/testset"
)

// calls compares what became of each command. Both sides ran the same set, so
// their calls are in the same order; a run that was cut short has fewer.
func (c *comparison) calls() {
	a, b := c.a.set.Calls, c.b.set.Calls
	n := min(len(a), len(b))
	for i := range n {
		target := fmt.Sprintf("line %d: %s", a[i].Command.Line, a[i].Command.Text)
		ja, jb := c.a.ofCall(&a[i]), c.b.ofCall(&b[i])
		if shown(&a[i]) != shown(&b[i]) || doubtful(c.a.lines, ja, &a[i]) || doubtful(c.b.lines, jb, &b[i]) {
			c.add(KindOutcome, target, shown(&a[i]), shown(&b[i]), ja, jb, placeOfCall(&a[i], ja, jb), "both are allowed: by the test set alone either may come of it")
		}
	}
	if len(a) != len(b) {
		unknown := judged{verdict: check.Unknown, message: "the set was not carried out to its end"}
		c.add(KindOutcome, "commands", fmt.Sprintf("%d sent", len(a)), fmt.Sprintf("%d sent", len(b)), unknown, unknown, place{}, "")
	}
}

func placeOfCall(call *runner.Call, ja, jb judged) place {
	p := place{line: call.Command.Line, named: append(slices.Clone(ja.lines), jb.lines...)}
	if call.Command.Kind == testset.Read {
		p.items = []int64{call.Command.Item}
	} else {
		p.items, p.spreads = []int64{call.Command.From, call.Command.To}, true
	}
	return p
}

// ofCall is what the judge said of a call. An outcome that is not known is never
// right.
func (v *view) ofCall(call *runner.Call) judged {
	said := v.ofLine(call.Command.Line)
	if said.verdict == check.Pass && !call.Outcome.Definite() {
		return judged{verdict: check.Unknown, message: "the outcome is not known"}
	}
	return said
}

// doubtful reports whether equal outcomes are worth a line all the same: the judge
// has something against this one in particular.
func doubtful(named map[int]judged, said judged, call *runner.Call) bool {
	_, known := named[call.Command.Line]
	return said.verdict == check.Fail || said.verdict == check.Unknown && (known || !call.Outcome.Definite())
}

func shown(call *runner.Call) string {
	switch call.Outcome {
	case runner.Value:
		return "value " + strconv.FormatInt(call.Value, 10)
	case "":
		return string(runner.Unknown)
	}
	return string(call.Outcome)
}
