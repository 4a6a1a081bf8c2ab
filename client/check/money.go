package check

import (
	"fmt"
	"strconv"
	"strings"

	"paxbank/client/runner"
)

// money checks the balance of every item, and the sum of every cluster and of
// the whole bank, against what the committed transfers add up to.
//
// A call counts on the side of a cluster if its outcome is committed. What a
// replica holds prepared and cannot decide (the other cluster lost its quorum)
// is left out on both sides of the comparison. Unknown transfers may have
// happened or not, but on both sides alike: some one choice has to explain
// every item. Those of earlier sets may have happened on one side already when
// this one began.
func (f *facts) money() []Check {
	want := map[int64]int64{} // change by committed calls
	for i := range f.set.Calls {
		c := &f.set.Calls[i]
		if c.Kind == "read" || c.Outcome != runner.Committed {
			continue
		}
		f.addEffect(want, c)
	}
	// What each item still lacks: actual - want, on clusters that can be asked.
	got := map[int64]int64{}
	var off []int64
	for _, item := range f.items() {
		c, _ := f.cluster(item)
		if f.best[c] == nil {
			continue
		}
		got[item] = f.balance(f.best[c], item) - f.doubt[c].delta[item] - f.initial(item)
		if got[item] != want[item] {
			off = append(off, item)
		}
	}
	explained := f.explain(want, got, off)
	out := f.itemChecks(want, off, explained)
	if explained.verdict == Fail {
		out[0].Message += f.suspect(want, got, off)
	}
	return append(out, f.sums(want, got, explained)...)
}

// addEffect adds what a committed call does to its items. Where its P is still
// prepared nothing has been decided yet.
func (f *facts) addEffect(sum map[int64]int64, c *runner.Call) {
	if i, ok := f.cluster(c.Command.From); ok && !f.doubt[i].requests[requestOf(c)] {
		sum[c.Command.From] -= c.Command.Amount
	}
	if i, ok := f.cluster(c.Command.To); ok && !f.doubt[i].requests[requestOf(c)] {
		sum[c.Command.To] += c.Command.Amount
	}
}

// explanation is what the search for a choice of unknown transfers found.
type explanation struct {
	verdict Verdict // Pass: some choice explains every item; Fail: none does
	// happened are the unknown transfers that the choice counts.
	happened []possibility
	cause    string // of Unknown
	open     map[int64]bool
}

// possibility is a transfer that may have happened, and what it then did to the
// items that can be looked at.
type possibility struct {
	call   *runner.Call
	effect map[int64]int64
}

// explain looks for a choice of unknown transfers that accounts for the items
// that are off. Each unknown transfer touches two items, so the search is small.
func (f *facts) explain(want, got map[int64]int64, off []int64) explanation {
	e := explanation{verdict: Pass, open: map[int64]bool{}}
	incomplete := false
	for c := range f.doubt {
		if f.best[c] == nil || f.doubt[c].complete {
			continue
		}
		incomplete = true
		s := f.best[c]
		e.cause = fmt.Sprintf("%s holds %d prepared transfers, of which its log shows %d", s.ID, s.Prepared, len(f.doubt[c].rows))
		for _, item := range off {
			if i, _ := f.cluster(item); i == c {
				e.open[item] = true
			}
		}
	}
	var choices []possibility
	effects := make([]map[int64]int64, 0, len(f.unknowns))
	for _, x := range f.carried() {
		e.open[x.item] = true
		if _, asked := got[x.item]; asked {
			effect := map[int64]int64{x.item: x.change}
			choices, effects = append(choices, possibility{x.call, effect}), append(effects, effect)
		}
	}
	for _, c := range f.unknowns {
		effect := map[int64]int64{}
		f.addEffect(effect, c)
		for item := range effect {
			e.open[item] = true
			if _, asked := got[item]; !asked {
				delete(effect, item)
			}
		}
		if len(effect) > 0 {
			choices = append(choices, possibility{c, effect})
			effects = append(effects, effect)
		}
	}
	if len(off) == 0 && len(choices) == 0 {
		return e
	}
	lack := map[int64]int64{} // what the choice has to account for
	last := map[int64]int{}   // the last choice that touches an item
	for item := range got {
		if d := got[item] - want[item]; d != 0 {
			lack[item] = d
		}
	}
	for i := range effects {
		for item := range effects[i] {
			last[item] = i
		}
	}
	for item := range lack {
		if _, touched := last[item]; touched {
			continue
		}
		if !e.open[item] {
			e.verdict = Fail
			return e
		}
		e.verdict = Unknown // for all we know: the log is incomplete there
	}
	if e.verdict == Unknown {
		return e
	}
	const most = 1 << 20
	chosen, found, tired := choose(effects, lack, last, most)
	switch {
	case found:
		for i := range choices {
			if chosen[i] {
				e.happened = append(e.happened, choices[i])
			}
		}
	case tired:
		e.verdict, e.cause = Unknown, fmt.Sprintf("the outcomes of %d transfers are unknown, too many to try", len(choices))
	case incomplete:
		e.verdict = Unknown
	default:
		e.verdict = Fail
	}
	return e
}

// itemChecks reports every item that is off, or one pass for all.
func (f *facts) itemChecks(want map[int64]int64, off []int64, e explanation) []Check {
	total := len(f.items())
	if e.verdict == Pass {
		c := invariant("balance", "every item", Pass, "what committed transfers give", "the same", "")
		if len(e.happened) > 0 {
			c.Message = fmt.Sprintf("if these transfers of unknown outcome happened: %s", texts(e.happened))
		}
		return []Check{c}
	}
	var out []Check
	for n, item := range off {
		if n == maxListed {
			out = append(out, invariant("balance", "more items", e.verdict, "", strconv.Itoa(len(off)-n),
				"%d more of %d items do not hold what committed transfers give", len(off)-n, total))
			break
		}
		c, _ := f.cluster(item)
		start := f.initial(item)
		expected := strconv.FormatInt(start+want[item]+f.doubt[c].delta[item], 10)
		where := f.values(c, item)
		verdict, note := e.verdict, ""
		if verdict == Fail && e.open[item] {
			low, high := f.allowed(item, want[item])
			note = fmt.Sprintf(", or %d to %d by transfers of unknown outcome, which must have happened on both sides or on none", start+low, start+high)
		}
		if verdict == Unknown {
			note = "; " + e.cause
		}
		got := strconv.FormatInt(f.balance(f.best[c], item), 10)
		check := invariant("balance", strconv.FormatInt(item, 10), verdict, expected, got,
			"item %d on %s, want %s (%d at the start, %+d by committed transfers)%s: money must be what committed transfers make it",
			item, where, expected, start, want[item], note)
		check.Lines = f.linesOf(item)
		check.Message += touched(check.Lines) + f.story(f.best[c], item)
		check.Lines = check.Lines[:min(len(check.Lines), maxListed)]
		check.Rule = "balances are what committed transfers make them, each counted on both sides exactly once"
		check.FirstDifference = fmt.Sprintf("item %d on %s: want %s, got %s", item, f.best[c].ID, expected, got)
		out = append(out, check)
	}
	if e.verdict == Unknown && len(out) == 0 {
		out = append(out, invariant("balance", "every item", Unknown, "what committed transfers give", "", "%s", e.cause))
	}
	return out
}

// linesOf are the lines of the transfers that name an item.
func (f *facts) linesOf(item int64) []int {
	var out []int
	for i := range f.set.Calls {
		if c := &f.set.Calls[i]; c.Kind != "read" && (c.Command.From == item || c.Command.To == item) {
			out = append(out, c.Command.Line)
		}
	}
	return out
}

// allowed is the range of an item's change when unknown transfers may count.
func (f *facts) allowed(item, want int64) (low, high int64) {
	low, high = want, want
	for _, c := range f.unknowns {
		effect := map[int64]int64{}
		f.addEffect(effect, c)
		low += min(effect[item], 0)
		high += max(effect[item], 0)
	}
	for _, x := range f.carried() {
		if x.item == item {
			low, high = low+min(x.change, 0), high+max(x.change, 0)
		}
	}
	return low, high
}

// values says what the live replicas hold of an item: "n1,n2,n3: 9".
func (f *facts) values(c int, item int64) string {
	var parts []string
	byValue := map[int64][]string{}
	var order []int64
	for _, s := range f.asked(c) {
		b := f.balance(s, item)
		if byValue[b] == nil {
			order = append(order, b)
		}
		byValue[b] = append(byValue[b], s.ID)
	}
	for _, b := range order {
		parts = append(parts, fmt.Sprintf("%s: %d", strings.Join(byValue[b], ","), b))
	}
	return strings.Join(parts, "; ")
}

func texts(list []possibility) string {
	var parts []string
	for i, p := range list {
		if i == maxListed {
			parts = append(parts, fmt.Sprintf("and %d more", len(list)-i))
			break
		}
		parts = append(parts, p.call.Command.Text)
	}
	return strings.Join(parts, "; ")
}

// sums compares the change of money of every cluster, and of all together, with
// what was committed.
func (f *facts) sums(want, got map[int64]int64, e explanation) []Check {
	for _, p := range e.happened {
		for item, d := range p.effect {
			want[item] += d
		}
	}
	wantSum, gotSum := make([]int64, len(f.nodes)), make([]int64, len(f.nodes))
	for item, d := range want {
		if c, ok := f.cluster(item); ok {
			wantSum[c] += d
		}
	}
	for item, d := range got {
		c, _ := f.cluster(item)
		gotSum[c] += d
	}
	var out []Check
	all, wantAll, gotAll := true, int64(0), int64(0)
	start := f.startTotals()
	for c := range f.nodes {
		if f.best[c] == nil {
			all = false
			continue
		}
		id := f.top.Clusters[c].ID
		wantAll += start[c] + wantSum[c]
		gotAll += start[c] + gotSum[c]
		out = append(out, f.sumCheck(id, start[c]+wantSum[c], start[c]+gotSum[c], e,
			"the items of "+id+" add up to %d on "+f.best[c].ID+", want %d (%+d)"))
	}
	if all && len(f.nodes) > 1 {
		out = append(out, f.sumCheck("total", wantAll, gotAll, e, "all balances add up to %d, want %d (%+d)"))
	}
	return out
}

func (f *facts) sumCheck(target string, want, got int64, e explanation, format string) Check {
	verdict, message := Pass, ""
	if want != got {
		verdict = Fail
		message = fmt.Sprintf(format, got, want, got-want) + ": invariant money, balances with every committed transfer counted on both sides add up to the initial total"
		if e.verdict == Unknown {
			verdict, message = Unknown, message+"; "+e.cause
		}
	} else if e.verdict == Unknown {
		verdict, message = Unknown, e.cause
	}
	return invariant("money", target, verdict, strconv.FormatInt(want, 10), strconv.FormatInt(got, 10), "%s", message)
}

// startTotals is the money of every cluster when the set began.
func (f *facts) startTotals() []int64 {
	sums := make([]int64, len(f.nodes))
	for _, r := range f.top.Items.Ranges {
		sums[r.Cluster] += f.top.InitialBalance * (r.Last - r.First + 1)
	}
	for item, b := range f.top.Balances {
		if c, ok := f.cluster(item); ok {
			sums[c] += b - f.top.InitialBalance
		}
	}
	for item, b := range f.set.StartBalances {
		if c, ok := f.cluster(item); ok {
			sums[c] += b - f.top.Balance(item)
		}
	}
	return sums
}
