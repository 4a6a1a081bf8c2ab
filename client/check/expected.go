package check

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"paxbank/client/oracle"
	"paxbank/client/runner"
	"paxbank/client/testset"
)

// expectation judges one row of the expected file.
func (f *facts) expectation(e *testset.Expectation) Check {
	c := Check{Source: SourceExpected, Check: e.Check, Target: e.Target, Expected: e.Expected, Points: e.Points}
	switch e.Check {
	case testset.CheckBalance:
		f.expectBalance(e, &c)
	case testset.CheckOutcome, testset.CheckValue:
		f.expectCalls(e, &c)
	case testset.CheckViews:
		if f.set.NoViews {
			c.unknown("no node tells its new-view messages (Inspect.Views), so there is nothing to count")
			break
		}
		n := f.views(e.Target)
		c.number(e, float64(n), strconv.Itoa(n), "new-view messages seen in %s: %s, want %s", orAll(e.Target))
	case testset.CheckThroughput:
		tps, ok := Throughput(f.set)
		if !ok {
			c.unknown("no command was in flight, so there is no throughput")
			break
		}
		c.number(e, tps, strconv.FormatFloat(tps, 'f', 0, 64), "throughput of the set (%s): %s definite outcomes a second, want %s", "all kinds")
	default:
		f.expectLatency(e, &c)
	}
	if c.Verdict == Fail && f.excused(e) {
		c.Verdict = Unknown
		c.Message += tookTooLong
	}
	return c
}

// tookTooLong ends the message of a row that is missed for being slow.
const tookTooLong = "; but something took too long (a command that was given up at its deadline, or a wait that ran out), which proves nothing"

// excused reports whether a row of outcomes, values, balances or views may be missed
// only because something was given up: it is missed by what a correct bank could not
// come to in time, and could come to if it is slow. It still earns nothing.
func (f *facts) excused(e *testset.Expectation) bool {
	if f.played == nil {
		return false
	}
	switch e.Check {
	case testset.CheckOutcome, testset.CheckValue:
		for _, at := range f.callsOf(e) {
			if at >= len(f.played.command) {
				return false // a call of no command
			}
			i, call := f.played.command[at], &f.set.Calls[at]
			slow := f.open[i] || f.played.allows(i) && !f.strict.Commands[i].Allows(oracle.Outcome(call.Outcome), call.Value)
			if verdict, _, _ := judgeCall(e, call); verdict == Fail && !slow {
				return false
			}
		}
		return true
	case testset.CheckViews:
		// What keeps a command waiting until its deadline, such as a machine that
		// stands still, makes nodes elect leaders too: more views, never fewer.
		for n := range f.views(e.Target) {
			if e.Holds(float64(n)) {
				return len(f.open) > 0
			}
		}
		return false
	case testset.CheckBalance:
		cluster, _ := f.cluster(e.Item)
		for _, s := range f.nodes[cluster] {
			got := f.balance(s, e.Item)
			if e.Node != "" && s.ID != e.Node || !usable(s) || e.Holds(float64(got)) {
				continue
			}
			timely, known := f.strict.Balance(s.ID, e.Item)
			allowed, _ := f.played.e.Balance(s.ID, e.Item)
			if !known || timely.Contains(got) || len(f.set.Problems) == 0 && !allowed.Contains(got) {
				return false
			}
		}
		return true
	}
	return false
}

// views counts the new-view messages of a cluster, or of all when it is "".
func (f *facts) views(cluster string) (n int) {
	for i := range f.set.Views {
		if cluster == "" || f.set.Views[i].Cluster == cluster {
			n++
		}
	}
	return n
}

func orAll(cluster string) string {
	if cluster == "" {
		return "all clusters"
	}
	return cluster
}

func (c *Check) unknown(format string, args ...any) {
	c.Verdict, c.Message = Unknown, fmt.Sprintf(format, args...)
}

// number fills in verdict and message for a numeric value. format takes the
// target, the value and what was wanted.
func (c *Check) number(e *testset.Expectation, value float64, shown, format, target string) {
	c.Actual, c.Verdict = shown, Pass
	if !e.Holds(value) {
		c.Verdict, c.Message = Fail, fmt.Sprintf(format, target, shown, e.Expected)
	}
}

// expectBalance looks at the named node, or at every live replica of the item's
// cluster. Where the cluster has no quorum, the replicas that have applied most
// speak for it.
func (f *facts) expectBalance(e *testset.Expectation, c *Check) {
	cluster, ok := f.cluster(e.Item)
	if !ok {
		c.unknown("no cluster owns item %d (correct the expected file)", e.Item)
		return
	}
	var from []*runner.NodeState
	if e.Node != "" {
		for _, s := range f.nodes[cluster] {
			if s.ID == e.Node {
				from = append(from, s)
			}
		}
		if len(from) == 0 {
			c.unknown("%s is no node of %s, which owns item %d (correct the expected file)", e.Node, f.top.Clusters[cluster].ID, e.Item)
			return
		}
		if !usable(from[0]) {
			c.unknown("node %s could not be asked: %s", e.Node, orNone(from[0].Err))
			return
		}
	} else {
		from = f.asked(cluster)
		if !f.quorum[cluster] || len(from) == 0 {
			from = mostAdvanced(f.nodes[cluster])
		}
		if len(from) == 0 {
			c.unknown("no replica of %s could be asked", f.top.Clusters[cluster].ID)
			return
		}
	}
	var values []string
	c.Verdict = Pass
	for _, s := range from {
		b := f.balance(s, e.Item)
		if v := strconv.FormatInt(b, 10); !slices.Contains(values, v) {
			values = append(values, v)
		}
		if !e.Holds(float64(b)) {
			c.Verdict = Fail
		}
	}
	c.Actual = strings.Join(values, ", ")
	if c.Verdict == Fail {
		var where []string
		for _, s := range from {
			where = append(where, fmt.Sprintf("%s: %d", s.ID, f.balance(s, e.Item)))
		}
		c.Message = fmt.Sprintf("item %d on %s, want %s", e.Item, strings.Join(where, ", "), e.Expected)
	}
}

// mostAdvanced returns the reachable replicas that have applied the most.
func mostAdvanced(nodes []*runner.NodeState) []*runner.NodeState {
	var out []*runner.NodeState
	for _, s := range nodes {
		switch {
		case !usable(s):
		case len(out) == 0 || s.AppliedIndex > out[0].AppliedIndex:
			out = []*runner.NodeState{s}
		case s.AppliedIndex == out[0].AppliedIndex:
			out = append(out, s)
		}
	}
	return out
}

// expectCalls judges the outcome or value of every call that the target names.
func (f *facts) expectCalls(e *testset.Expectation, c *Check) {
	var seen []string
	c.Verdict = Pass
	found, bad := false, 0
	for _, i := range f.callsOf(e) {
		call := &f.set.Calls[i]
		found = true
		verdict, actual, message := judgeCall(e, call)
		if !slices.Contains(seen, actual) && len(seen) <= maxListed {
			seen = append(seen, actual)
		}
		if verdict != Pass {
			bad++
		}
		if worse(c.Verdict, verdict) != c.Verdict {
			c.Message = message
		}
		c.Verdict = worse(c.Verdict, verdict)
	}
	if len(seen) > maxListed {
		seen[maxListed] = "…"
	}
	c.Actual = strings.Join(seen, ", ")
	if bad > 1 {
		c.Message += fmt.Sprintf("; and %d more", bad-1)
	}
	if !found {
		c.unknown("no call of the set matches %q", e.Target)
	}
}

func judgeCall(e *testset.Expectation, call *runner.Call) (v Verdict, actual, message string) {
	actual = string(call.Outcome)
	where := fmt.Sprintf("line %d: %s", call.Command.Line, call.Command.Text)
	if e.Check == testset.CheckValue && call.Outcome == runner.Value {
		actual = strconv.FormatInt(call.Value, 10)
		if e.Holds(float64(call.Value)) {
			return Pass, actual, ""
		}
		return Fail, actual, fmt.Sprintf("%s read %s, want %s", where, actual, e.Expected)
	}
	if e.Check == testset.CheckOutcome && e.HoldsWord(actual) {
		return Pass, actual, ""
	}
	message = fmt.Sprintf("%s: %s, want %s", where, actual, e.Expected)
	if call.Message != "" {
		message += " (" + call.Message + ")"
	}
	if !call.Outcome.Definite() {
		return Unknown, actual, message
	}
	return Fail, actual, message
}

// expectLatency judges a latency statistic, in microseconds.
func (f *facts) expectLatency(e *testset.Expectation, c *Check) {
	l := Latencies(f.set, e.Target)
	if l.Count == 0 {
		c.unknown("no call with a known outcome, so there is no latency")
		return
	}
	us := map[string]float64{
		testset.CheckMean: l.Mean, testset.CheckP50: l.P50, testset.CheckP95: l.P95,
		testset.CheckP99: l.P99, testset.CheckMax: l.Max,
	}[e.Check]
	kind := e.Target
	if kind == "" {
		kind = "all kinds"
	}
	shown := (time.Duration(us) * time.Microsecond).String()
	c.number(e, us, shown, e.Check+" latency (%s): %s, want %s", kind)
}
