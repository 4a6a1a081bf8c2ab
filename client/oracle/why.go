package oracle

import (
	"fmt"
	"slices"
	"strings"

	"paxbank/client/testset"
)

// Why says, for people, why command i may come to what Commands[i] says.
func (e *Expectation) Why(i int) string {
	f := &e.found[i]
	var parts []string
	for _, o := range e.Commands[i].Outcomes {
		if o == Unknown {
			continue
		}
		if why := e.because(i, o, f); why != "" && !slices.Contains(parts, why) {
			parts = append(parts, why)
		}
	}
	_, single := e.Commands[i].Values.Single()
	if len(e.Commands[i].Outcomes) > 1 || slices.Contains(e.Commands[i].Outcomes, Value) && !single {
		return "open: " + e.openBecause(i, f) + "; " + strings.Join(parts, "; ")
	}
	return strings.Join(parts, "; ")
}

// because is why command i may come to o.
func (e *Expectation) because(i int, o Outcome, f *found) string {
	c := &e.set.Commands[i]
	switch o {
	case Invalid:
		switch {
		case f.cluster < 0 || f.other < 0 && c.From != c.To && c.Kind == testset.Transfer:
			return "it names an item that no cluster owns"
		case c.From == c.To:
			return "it goes to the item it comes from"
		}
		return "its amount is not positive"
	case Unavailable:
		return e.lacks(f.cluster, f.batch)
	case InsufficientFunds:
		if f.looked {
			return fmt.Sprintf("item %d holds %s when its turn comes", c.From, f.held)
		}
	case Aborted:
		if f.other >= 0 && f.other != f.cluster && !e.surely(f.other, f.batch) {
			return e.lacks(f.other, f.batch) + ", so two-phase commit undoes it"
		}
		return "it may have met a locked item"
	case Committed:
		if f.looked && f.other == f.cluster {
			return fmt.Sprintf("item %d holds %s, and %s has a quorum", c.From, f.held, e.id(f.cluster))
		}
		if f.looked {
			return fmt.Sprintf("item %d holds %s, and %s and %s have a quorum", c.From, f.held, e.id(f.cluster), e.id(f.other))
		}
	case Value:
		return fmt.Sprintf("item %d holds %s when its turn comes", c.Item, f.values)
	}
	return ""
}

// openBecause is why command i may come to more than one thing.
func (e *Expectation) openBecause(i int, f *found) string {
	switch {
	case e.opt.Open[i]:
		return "it was given up at its deadline"
	case e.Commands[i].Outcomes[len(e.Commands[i].Outcomes)-1] == Invalid:
		return "a malformed transfer may be refused by anybody"
	case f.cluster >= 0 && e.unsure(f.cluster, f.batch) || f.other >= 0 && e.unsure(f.other, f.batch):
		return "whom LF struck is not known"
	case e.opt.Semantics == Course:
		return "course semantics leaves it to the implementation"
	case e.opt.Order == Free:
		return "commands of the batch that share its items may come before it or after"
	}
	return "what comes before it is open"
}

// surely reports whether a cluster has a quorum in a batch, whatever LF struck;
// unsure whether that hangs on it.
func (e *Expectation) surely(cluster, batch int) bool {
	return !slices.ContainsFunc(e.clusters[cluster].courses, func(c course) bool { return c.quorums[batch] != with })
}

func (e *Expectation) unsure(cluster, batch int) bool {
	courses := e.clusters[cluster].courses
	return slices.ContainsFunc(courses, func(c course) bool {
		return c.quorums[batch] != courses[0].quorums[batch] || c.quorums[batch] == either
	})
}

func (e *Expectation) id(cluster int) string { return e.topology.Clusters[cluster].ID }

// lacks says that a cluster has no quorum in a batch, and who is down.
func (e *Expectation) lacks(cluster, batch int) string {
	d := e.clusters[cluster].down[batch]
	text := e.id(cluster) + " has no quorum: "
	if d.vague {
		return text + fmt.Sprintf("%d of its %d nodes are not live", len(d.nodes), len(e.topology.Clusters[cluster].Nodes))
	}
	return text + e.downs(cluster, d)
}

// downs names nodes and since when they are down: "n4 was not live from the
// start, n5 and n6 failed at lines 5 and 6".
func (e *Expectation) downs(cluster int, d downs) string {
	var never, failed []int
	var lines []int
	for i, n := range d.nodes {
		if d.since[i] == 0 {
			never = append(never, n)
			continue
		}
		failed = append(failed, n)
		lines = append(lines, d.since[i])
	}
	var parts []string
	if len(never) > 0 {
		was := "was"
		if len(never) > 1 {
			was = "were"
		}
		parts = append(parts, e.names(cluster, never)+" "+was+" not live from the start")
	}
	if len(failed) > 0 {
		at := "at line "
		if len(slices.Compact(slices.Clone(lines))) > 1 {
			at = "at lines "
		} else {
			lines = lines[:1]
		}
		parts = append(parts, e.names(cluster, failed)+" failed "+at+and(lines))
	}
	return strings.Join(parts, ", ")
}

// WhyBalance says why a node may hold what Balance says.
func (e *Expectation) WhyBalance(node string) string {
	at, cluster, ok := e.node(node)
	if !ok {
		return ""
	}
	lives := e.clusters[cluster].lives
	w := lives[0]
	same := !slices.ContainsFunc(lives, func(o *life) bool {
		return o.lost || o.live[at] != w.live[at] || o.since[at] != w.since[at] || o.quorum() != w.quorum()
	})
	switch {
	case !same || w.lost:
		return "whom LF struck is not known, so it may have failed before or not at all"
	case w.live[at] && w.quorum() == with:
		return fmt.Sprintf("%s is live and %s has a quorum, so it has applied everything", node, e.id(cluster))
	case w.live[at]:
		return fmt.Sprintf("%s, so %s holds what it held before", e.lacks(cluster, e.last), node)
	case w.since[at] > 0:
		return fmt.Sprintf("%s failed at line %d and keeps what it held", node, w.since[at])
	}
	return fmt.Sprintf("%s was never live and holds what it held at the start", node)
}

// Live reports whether a node lives at the end of the set; sure is false when it
// hangs on whom LF struck.
func (e *Expectation) Live(node string) (live, sure bool) {
	at, cluster, ok := e.node(node)
	if !ok {
		return false, false
	}
	lives := e.clusters[cluster].lives
	for _, w := range lives {
		if w.lost || w.live[at] != lives[0].live[at] {
			return false, false
		}
	}
	return lives[0].live[at], true
}

// Lines are the lines of the transfers that name an item, in file order.
func (e *Expectation) Lines(item int64) []int {
	var out []int
	for i := range e.set.Commands {
		if c := &e.set.Commands[i]; c.Kind == testset.Transfer && (c.From == item || c.To == item) {
			out = append(out, c.Line)
		}
	}
	return out
}

// names names nodes of a cluster by position.
func (e *Expectation) names(cluster int, at []int) string {
	names := make([]string, len(at))
	for i, n := range at {
		names[i] = e.topology.Clusters[cluster].Nodes[n].ID
	}
	return and(names)
}

// and lists things: "a", "a and b", "a, b and c".
func and[T any](list []T) string {
	var out strings.Builder
	for i, v := range list {
		switch {
		case i == 0:
		case i == len(list)-1:
			out.WriteString(" and ")
		default:
			out.WriteString(", ")
		}
		fmt.Fprint(&out, v)
	}
	return out.String()
}
