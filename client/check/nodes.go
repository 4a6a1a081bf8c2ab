package check

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"paxbank/client/runner"
	"paxbank/client/testset"
)

// nodes holds what every node says that it holds, failed ones too, against what
// the oracle allows.
func (w *wanted) nodes() []Check {
	f := w.f
	var out []Check
	named := make([][]int64, len(f.nodes)) // by cluster
	for _, item := range w.e.Items() {
		c, _ := f.cluster(item)
		named[c] = append(named[c], item)
	}
	for c, nodes := range f.nodes {
		items := map[int64]bool{}
		for _, item := range named[c] {
			items[item] = true
		}
		for _, s := range nodes {
			for item := range s.Balances {
				items[item] = true
			}
		}
		var off []Check
		looked := 0
		for _, item := range slices.Sorted(maps.Keys(items)) {
			if owner, ok := f.cluster(item); !ok || owner != c {
				continue
			}
			n, check := w.item(c, item)
			looked += n
			if check != nil {
				off = append(off, *check)
			}
		}
		out = append(out, bounded(off, "items are not what they must be")...)
		if len(off) == 0 && looked > 0 {
			out = append(out, Check{Source: SourceOracle, Check: testset.CheckBalance, Target: f.top.Clusters[c].ID, Verdict: Pass,
				Expected: "what must be on every node", Actual: fmt.Sprintf("%d balances", looked)})
		}
	}
	return out
}

// item judges one item on all nodes of its cluster that could be asked: how many
// balances it looked at, and what is wrong, or nil.
func (w *wanted) item(cluster int, item int64) (looked int, off *Check) {
	f := w.f
	var wants, gots, whys, ids []string
	var node *runner.NodeState
	for _, s := range f.nodes[cluster] {
		if !usable(s) {
			continue
		}
		allowed, known := w.e.Balance(s.ID, item)
		if !known {
			continue
		}
		looked++
		got := f.balance(s, item)
		if allowed.Contains(got) {
			continue
		}
		if node == nil {
			node = s
		}
		ids = append(ids, s.ID)
		wants, gots = append(wants, allowed.String()), append(gots, strconv.FormatInt(got, 10))
		whys = append(whys, fmt.Sprintf("%s: want %s (%s), got %d", s.ID, allowed, w.e.WhyBalance(s.ID), got))
	}
	if node == nil {
		return looked, nil
	}
	lines := w.e.Lines(item)
	off = &Check{Source: SourceOracle, Check: testset.CheckBalance, Target: fmt.Sprintf("%d@%s", item, strings.Join(ids, ",")),
		Expected: strings.Join(slices.Compact(wants), ", "), Actual: strings.Join(slices.Compact(gots), ", "), Verdict: Fail,
		Nodes: ids, Lines: lines[:min(len(lines), maxListed)], FirstDifference: fmt.Sprintf("%s: want %s, got %s", ids[0], wants[0], gots[0]),
		Rule: "a live replica has applied everything that its cluster committed, and a failed node keeps what it had"}
	off.Message = fmt.Sprintf("item %d on %s", item, strings.Join(whys, "; ")) + touched(lines) + f.story(node, item)
	switch first, blamed := w.blame[item]; {
	case f.quorum[cluster] && !f.served[cluster]:
		off.Verdict = Unknown
		off.Message += fmt.Sprintf("; but nodes of %s died against the test set's will", f.top.Clusters[cluster].ID)
	case len(f.set.Problems) > 0:
		off.Verdict = Unknown
		off.Message += "; but the set was not carried out as written: " + f.set.Problems[0]
	case blamed:
		off.Message += fmt.Sprintf("; it may follow from the outcome of line %d", first)
	}
	return looked, off
}

// touched names the lines that move money of an item.
func touched(lines []int) string {
	switch n := len(lines); {
	case n == 0:
		return "; no transfer of the set touches it"
	case n == 1:
		return fmt.Sprintf("; touched by line %d", lines[0])
	case n > 6:
		return fmt.Sprintf("; touched by lines %s and %d more", numbers(lines[:6]), n-6)
	}
	return "; touched by lines " + numbers(lines)
}

func numbers(list []int) string {
	words := make([]string, len(list))
	for i, n := range list {
		words[i] = strconv.Itoa(n)
	}
	return strings.Join(words, ", ")
}
