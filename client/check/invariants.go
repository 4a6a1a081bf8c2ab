package check

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"paxbank/client/runner"
)

// HistoryBudget bounds the search of the serialisability check a set.
const HistoryBudget = 10 * time.Second

// maxListed bounds how many items of one kind of failure are reported one by one.
const maxListed = 20

func invariant(name, target string, verdict Verdict, expected, actual, format string, args ...any) Check {
	return Check{Source: SourceInvariant, Check: name, Target: target, Expected: expected, Actual: actual,
		Verdict: verdict, Message: fmt.Sprintf(format, args...)}
}

// invariants runs all always-on checks, in the order a reader wants them.
func (f *facts) invariants() []Check {
	var out []Check
	for _, p := range f.set.Problems {
		out = append(out, invariant("run", "", Unknown, "carried out as written", "problem", "%s", p))
	}
	out = append(out, f.stayedUp()...)
	out = append(out, f.contract()...)
	out = append(out, f.reachable()...)
	out = append(out, f.resolved()...)
	out = append(out, f.money()...)
	out = append(out, f.agreement()...)
	out = append(out, f.overdraft()...)
	out = append(out, f.cleanEnd()...)
	out = append(out, f.claims()...)
	out = append(out, f.counters()...)
	return append(out, f.serialisable())
}

// stayedUp: a node runs until it is told to stop. What it can no longer say is
// unknown, but that it is gone is its own fault.
func (f *facts) stayedUp() []Check {
	var out []Check
	for _, id := range slices.Sorted(maps.Keys(f.set.Crashed)) {
		c := invariant("process", id, Fail, "runs", f.set.Crashed[id],
			"the process of node %s ended by itself (%s): a node runs until it is told to stop; its last words are in nodes/%s.log", id, f.set.Crashed[id], id)
		c.Nodes = []string{id}
		out = append(out, c)
	}
	return out
}

// reachable: a live node that cannot be asked makes what it holds unknown.
func (f *facts) reachable() []Check {
	var out []Check
	for c := range f.nodes {
		listed := map[string]bool{}
		for _, s := range f.nodes[c] {
			listed[s.ID] = true
			if f.isLive(s) && !usable(s) {
				out = append(out, invariant("reachable", s.ID, Unknown, "answers", "no answer",
					"live node %s could not be asked at the end of the set: %s", s.ID, orNone(s.Err)))
			}
		}
		for _, n := range f.top.Clusters[c].Nodes {
			if slices.Contains(f.set.LiveAtEnd, n.ID) && !listed[n.ID] {
				out = append(out, invariant("reachable", n.ID, Unknown, "answers", "not asked",
					"nothing is known of live node %s at the end of the set", n.ID))
			}
		}
	}
	return out
}

func orNone(s string) string {
	if s == "" {
		return "no reason given"
	}
	return s
}

// resolved: nothing stays unknown once the sender's cluster has a quorum.
func (f *facts) resolved() []Check {
	var out []Check
	for _, c := range f.unknowns {
		if i, ok := f.cluster(c.Command.From); ok && f.quorum[i] {
			out = append(out, invariant("resolved", c.Command.Text, Unknown, "a known outcome", string(runner.Unknown),
				"line %d: the outcome of %s is not known although %s has a quorum: %s", c.Command.Line, c.Command.Text, f.top.Clusters[i].ID, orNone(c.Message)))
		}
	}
	return out
}
