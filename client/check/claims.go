package check

import (
	"fmt"
	"strconv"
	"strings"

	"paxbank/client/runner"
)

// claims: what nodes say that they hold (PrintDB) is what the bank serves. The
// runner has read a sample of items back as any client would; the read, the
// nodes and the committed transfers all have to tell the same.
func (f *facts) claims() []Check {
	var off []Check
	agree, silent := 0, 0
	var first *runner.AuditRead
	want := map[int64]int64{}
	for i := range f.set.Calls {
		if c := &f.set.Calls[i]; c.Kind != "read" && c.Outcome == runner.Committed {
			f.addEffect(want, c)
		}
	}
	for i := range f.set.Audit {
		a := &f.set.Audit[i]
		c, ok := f.cluster(a.Item)
		if !ok || f.best[c] == nil {
			continue
		}
		if a.Outcome != runner.Value {
			// A read waits for an item that waits for another cluster.
			if f.best[c].Prepared == 0 && f.best[c].Locks == 0 {
				if silent++; first == nil {
					first = a
				}
			}
			continue
		}
		if check := f.claim(c, a, f.initial(a.Item)+want[a.Item]); check != nil {
			off = append(off, *check)
		} else {
			agree++
		}
	}
	if silent > 0 {
		off = append(off, invariant("claims", "reads", Unknown, "answered", "no answer",
			"%d reads at the end of the set were not answered although their clusters have a quorum, the first of item %d: %s", silent, first.Item, orNone(first.Message)))
	}
	off = bounded(off, "items are served otherwise than nodes say")
	if agree > 0 && len(off) == 0 {
		off = append(off, invariant("claims", "nodes", Pass, "what reads return", fmt.Sprintf("the same for %d items", agree), ""))
	}
	return off
}

// claim compares one read with what the live replicas of its cluster say, and
// with sum, what committed transfers give; nil when nothing is wrong.
func (f *facts) claim(c int, a *runner.AuditRead, sum int64) *Check {
	if !f.doubt[c].complete {
		return nil // what shows in the balances may be undecided
	}
	var liars, honest []string
	said := int64(0)
	for _, s := range f.asked(c) {
		if s.AppliedIndex != f.best[c].AppliedIndex {
			continue // agreement speaks of it
		}
		b := f.balance(s, a.Item) - f.doubt[c].delta[a.Item]
		if b == a.Value {
			honest = append(honest, s.ID)
			continue
		}
		liars, said = append(liars, s.ID), b
	}
	if len(liars) == 0 {
		return nil // and where both are off, balance says so
	}
	check := invariant("claims", strconv.FormatInt(a.Item, 10), Fail, strconv.FormatInt(a.Value, 10), strconv.FormatInt(said, 10),
		"item %d: a read answered by %s returns %d, but %s says %d", a.Item, a.Node, a.Value, strings.Join(liars, ","), said)
	check.Nodes = liars
	switch sum {
	case a.Value:
		check.Message += fmt.Sprintf(", and committed transfers give %d: what %s says that it holds is not true", sum, strings.Join(liars, ","))
	case said:
		check.Nodes = []string{a.Node}
		check.Message += fmt.Sprintf(", and committed transfers give %d: the read answered by %s is wrong", sum, a.Node)
	default:
		check.Message += fmt.Sprintf(", and committed transfers give %d: neither is true", sum)
	}
	if len(honest) > 0 {
		check.Message += fmt.Sprintf(" (%s says what the read says)", strings.Join(honest, ","))
	}
	check.Rule = "a replica serves what it has applied"
	check.FirstDifference = fmt.Sprintf("%s: want %d, got %d", liars[0], a.Value, said)
	if len(f.unknowns)+len(f.set.Carried) > 0 || len(f.set.Problems) > 0 {
		check.Verdict = Unknown
		check.Message += "; but not everything had ended when it was read"
	}
	return &check
}
