package oracle

import (
	"encoding/csv"
	"slices"
	"strconv"
	"strings"

	"paxbank/client/testset"
)

// manyCommands: a set with more transfers than this that all must come to the
// same gets one row for all.
const manyCommands = 200

// CSV is the expectation as rows of an expected file, which testset.ParseExpected
// reads; header says whether a header row comes first. What is open gets
// alternatives; what may be anything gets no row. Every row is worth one point.
//
// A balance without a node speaks of all live nodes of a cluster with a quorum;
// all other nodes have rows of their own.
func (e *Expectation) CSV(header bool) string {
	var out strings.Builder
	w := csv.NewWriter(&out) // into memory: it cannot fail
	row := func(check, target, expected string) {
		_ = w.Write([]string{strconv.Itoa(e.set.Number), check, target, expected, "1"})
	}
	if header {
		_ = w.Write([]string{"Set Number", "Check", "Target", "Expected", "Points"})
	}
	same, all := e.allTheSame()
	if all {
		row(testset.CheckOutcome, "*", string(same))
	}
	texts := map[string]int{}
	for i := range e.set.Commands {
		texts[e.set.Commands[i].Text]++
	}
	for i := range e.set.Commands {
		c, x := &e.set.Commands[i], &e.Commands[i]
		if c.Marker() || all && c.Kind == testset.Transfer || slices.Contains(x.Outcomes, Unknown) {
			continue
		}
		target := c.Text
		if texts[target] > 1 {
			target = "line:" + strconv.Itoa(c.Line)
		}
		if must, ok := x.Must(); ok && must == Value {
			row(testset.CheckValue, target, x.Values.condition())
			continue
		}
		words := make([]string, len(x.Outcomes))
		for k, o := range x.Outcomes {
			words[k] = string(o)
		}
		row(testset.CheckOutcome, target, strings.Join(words, "|"))
	}
	for _, item := range e.Items() {
		e.balances(item, row)
	}
	w.Flush()
	return out.String()
}

// allTheSame reports whether so many transfers must come to the same that one
// row is enough.
func (e *Expectation) allTheSame() (Outcome, bool) {
	n := 0
	var same Outcome
	for i := range e.set.Commands {
		if e.set.Commands[i].Kind != testset.Transfer {
			continue
		}
		must, ok := e.Commands[i].Must()
		if !ok || n > 0 && must != same {
			return "", false
		}
		same = must
		n++
	}
	return same, n > manyCommands
}

// balances writes the rows of one item.
func (e *Expectation) balances(item int64, row func(check, target, expected string)) {
	name := strconv.FormatInt(item, 10)
	cluster, _ := e.topology.Items.Cluster(item)
	together := false
	if e.surely(cluster, e.last) {
		for _, n := range e.topology.Clusters[cluster].Nodes {
			live, sure := e.Live(n.ID)
			if v, known := e.Balance(n.ID, item); live && sure && known {
				row(testset.CheckBalance, name, v.condition())
				together = true
				break
			}
		}
	}
	for _, n := range e.topology.Clusters[cluster].Nodes {
		live, sure := e.Live(n.ID)
		if v, known := e.Balance(n.ID, item); known && !(together && live && sure) {
			row(testset.CheckBalance, name+"@"+n.ID, v.condition())
		}
	}
}
