package diff

import (
	"slices"
	"strconv"
	"strings"

	"paxbank/client/check"
	"paxbank/client/runner"
	"paxbank/client/testset"
)

// view is one side, with the judge's checks where they can be found.
type view struct {
	set *runner.SetResult
	// lines are the oracle's checks of commands, by line, the gravest of each.
	lines map[int]judged
	// items are the oracle's checks of balances that did not pass, by item and node.
	items map[itemAt]judged
	// rest are all other checks, by name, in order.
	rest  map[name]judged
	order []name
	// moreLines, moreItems: the judge names only some of those that did not pass.
	moreLines, moreItems bool
	// refused: why the oracle said nothing of the set, "" when it did.
	refused string
}

type itemAt struct {
	item int64
	node string
}

type name struct{ source, check, target string }

func (n name) String() string {
	return strings.TrimSpace(n.source + " " + n.check + " " + n.target)
}

func newView(s Side) *view {
	v := &view{set: s.Result, lines: map[int]judged{}, items: map[itemAt]judged{}, rest: map[name]judged{},
		refused: "nothing was checked against the oracle"}
	for i := range s.Verdict.Checks {
		c := &s.Verdict.Checks[i]
		if c.Source == check.SourceOracle && v.oracle(c) {
			continue
		}
		n := name{c.Source, c.Check, c.Target}
		if _, known := v.rest[n]; !known {
			v.order = append(v.order, n)
		}
		v.rest[n] = graver(v.rest[n], judged{c.Verdict, c.Message, c.Lines})
	}
	return v
}

// oracle files a check of the oracle's; false when it speaks neither of a command
// nor of a balance.
func (v *view) oracle(c *check.Check) bool {
	said := judged{c.Verdict, c.Message, c.Lines}
	switch {
	case c.Check == testset.CheckOutcome || c.Check == testset.CheckValue:
		v.refused = ""
		if line, ok := strings.CutPrefix(c.Target, "line:"); ok {
			if n, err := strconv.Atoi(line); err == nil {
				v.lines[n] = graver(v.lines[n], said)
			}
		}
		v.moreLines = v.moreLines || c.Target == "more"
		return true
	case c.Check == testset.CheckBalance:
		v.refused = ""
		if item, nodes, ok := strings.Cut(c.Target, "@"); ok {
			if n, err := strconv.ParseInt(item, 10, 64); err == nil {
				for node := range strings.SplitSeq(nodes, ",") {
					v.items[itemAt{n, node}] = said
				}
			}
		}
		v.moreItems = v.moreItems || c.Target == "more"
		return true
	}
	if c.Verdict != check.Pass {
		v.refused = c.Message
	}
	return false
}

// graver is the one of two judgements that says more against the side.
func graver(a, b judged) judged {
	rank := []check.Verdict{"", check.Pass, check.Unknown, check.Fail}
	if slices.Index(rank, a.verdict) >= slices.Index(rank, b.verdict) {
		return a
	}
	return b
}

// ofLine is what the judge said of the command on a line. What it does not name
// is right, unless it names only some.
func (v *view) ofLine(line int) judged {
	said, known := v.lines[line]
	switch {
	case known:
		return said
	case v.refused != "":
		return judged{verdict: check.Unknown, message: v.refused}
	case v.moreLines:
		return judged{verdict: check.Unknown, message: "too much is wrong with the set to say"}
	}
	return judged{verdict: check.Pass}
}

// ofItem is what the judge said of an item's balance on a node.
func (v *view) ofItem(item int64, node string) judged {
	said, known := v.items[itemAt{item, node}]
	switch {
	case known:
		return said
	case v.refused != "":
		return judged{verdict: check.Unknown, message: v.refused}
	case v.moreItems:
		return judged{verdict: check.Unknown, message: "too much is wrong with the set to say"}
	}
	return judged{verdict: check.Pass}
}

// node is the state of a node; nil when it could not be asked.
func (v *view) node(id string) *runner.NodeState {
	for i := range v.set.Nodes {
		if s := &v.set.Nodes[i]; s.ID == id && s.Reachable && s.Err == "" {
			return s
		}
	}
	return nil
}
