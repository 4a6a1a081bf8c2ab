package check

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"paxbank/client/runner"
	"paxbank/client/testset"
)

// counters: what nodes say that they answered (Inspect.Performance) is held against
// what the driver sent and heard. The call is not graded, so a lie costs nothing:
// it is a remark, for whoever wants to use the node's figures.
//
// The figures are compared only where they have to fit: nobody failed or returned
// (a node may begin to count afresh then), the bank was reset before the set, every
// node was asked and tells, and they count anything at all. Nodes may count more
// than the driver heard, for an answer can be lost and asked for again, but never
// more than it sent.
func (f *facts) counters() []Check {
	if f.set.StartBalances != nil || len(f.set.Crashed) > 0 || len(f.set.Problems) > 0 {
		return nil
	}
	if slices.ContainsFunc(f.set.Set.Commands, testset.Command.Marker) {
		return nil
	}
	var said runner.Counters
	counted := map[runner.Outcome]*uint64{runner.Committed: &said.Committed, runner.InsufficientFunds: &said.InsufficientFunds, runner.Aborted: &said.Aborted}
	for _, nodes := range f.nodes {
		for _, s := range nodes {
			if s.Counters == nil || !usable(s) {
				return nil
			}
			for o, sum := range counted {
				*sum += count(s, o)
			}
			said.Reads += s.Counters.Reads
			said.Slowest = max(said.Slowest, s.Counters.Slowest)
			said.LockHeld = max(said.LockHeld, s.Counters.LockHeld)
		}
	}
	if said == (runner.Counters{Slowest: said.Slowest, LockHeld: said.LockHeld}) {
		return nil // they tell no counts
	}
	var remarks []Check
	remark := func(what, want, got, format string, args ...any) {
		c := invariant("claims", what, Pass, want, got, format, args...)
		c.Remark = true
		remarks = append(remarks, c)
	}
	for _, o := range []runner.Outcome{runner.Committed, runner.InsufficientFunds, runner.Aborted} {
		heard, sent, sure := f.answered(o)
		said, name := *counted[o], "performance "+string(o)
		switch {
		case said < heard:
			remark(name, fmt.Sprintf(">=%d", heard), fmt.Sprint(said),
				"the nodes together count %d answers %s (Performance), but the driver was given %d: what they count is not true%s", said, o, heard, f.byNode(o))
		case sure && said > sent:
			remark(name, fmt.Sprintf("<=%d", sent), fmt.Sprint(said),
				"the nodes together count %d answers %s (Performance), but the driver sent no more than %d requests that may have come to that: what they count is not true%s", said, o, sent, f.byNode(o))
		}
	}
	took := f.set.Ended - f.set.Started
	for _, k := range []struct {
		what string
		said time.Duration
	}{{"latency", said.Slowest}, {"lock hold", said.LockHeld}} {
		if took > 0 && k.said > took+took/10+clockSlack {
			remark("performance "+k.what, "<="+took.Round(time.Millisecond).String(), k.said.String(),
				"a node says of its %s (Performance) that the longest was %s, but the whole set, reset included, took %s", k.what, k.said, took.Round(time.Millisecond))
		}
	}
	return remarks
}

// clockSlack is how much a node's clock and the driver's may differ over a set,
// beside a tenth of it.
const clockSlack = 100 * time.Millisecond

// answered counts the calls that were answered with an outcome, and what was sent
// for them; sure is false when more may have been sent than is known.
func (f *facts) answered(o runner.Outcome) (heard, sent uint64, sure bool) {
	sure = true
	for i := range f.set.Calls {
		c := &f.set.Calls[i]
		if c.Resolved || !c.Outcome.Definite() {
			sure = false // a late answer, or one to Resolve
			continue
		}
		if c.Outcome == o {
			heard++
		}
		// What is aborted may be sent again and come to something else.
		if c.Outcome == o || o == runner.Aborted && c.Kind != "read" {
			sent += uint64(max(c.Attempts, 1))
		}
	}
	return heard, sent, sure
}

// count is how many answers of an outcome a node counts.
func count(s *runner.NodeState, o runner.Outcome) uint64 {
	switch o {
	case runner.Committed:
		return s.Counters.Committed
	case runner.InsufficientFunds:
		return s.Counters.InsufficientFunds
	}
	return s.Counters.Aborted
}

// byNode says how many answers of an outcome each node counts: "; n1: 3, n4: 2".
func (f *facts) byNode(o runner.Outcome) string {
	var parts []string
	for _, nodes := range f.nodes {
		for _, s := range nodes {
			if n := count(s, o); n > 0 {
				parts = append(parts, fmt.Sprintf("%s: %d", s.ID, n))
			}
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return "; " + strings.Join(parts, ", ")
}
