package check

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"paxbank/client/oracle"
	"paxbank/client/runner"
	"paxbank/client/testset"
)

// maxSingle commands have a check each that they came to what they must; of more,
// only those that did not.
const maxSingle = 50

// slowness is what can be done about an outcome that took too long.
const slowness = "; try again with a longer --deadline if the machine was busy, and look into nodes/ID.log of the nodes asked if not"

// wanted is what the oracle wants of a set, and where the set's calls are.
type wanted struct {
	f *facts
	e *oracle.Expectation
	// call is, by command, its call; nil for markers.
	call []*runner.Call
	// command is, by call, the position of its command.
	command []int
	// blame is, by item, the first line whose outcome was wrong and that may have
	// changed it.
	blame map[int64]int
}

// oracle holds the set against what must come of it by the test set alone.
func (f *facts) oracle(semantics string) []Check {
	refuse := func(format string, args ...any) []Check {
		return []Check{{Source: SourceOracle, Check: "set", Expected: "carried out as written", Actual: "not comparable", Verdict: Unknown,
			Message: fmt.Sprintf(format, args...)}}
	}
	w := &wanted{f: f, call: make([]*runner.Call, len(f.set.Set.Commands)), blame: map[int64]int{}}
	next := 0
	for i := range f.set.Set.Commands {
		c := &f.set.Set.Commands[i]
		if c.Marker() {
			continue
		}
		if next == len(f.set.Calls) {
			return refuse("%d commands of the set were not carried out, the first on line %d", commandsFrom(f.set.Set.Commands[i:]), c.Line)
		}
		w.call[i] = &f.set.Calls[next]
		w.command = append(w.command, i)
		next++
	}
	opt := oracle.Options{
		Order: f.set.Order, Semantics: semantics, Start: f.set.StartBalances, May: f.mayStart(), Kept: f.set.StartBalances != nil,
		DiskLags: f.set.Fault == runner.FaultKill && !f.set.QuietOffered, Victims: victims(f.set), Open: map[int]bool{},
	}
	// A command that was given up and came to something that it must not is opened,
	// which changes what the others may come to: ask again until nothing changes.
	for {
		e, err := oracle.Expect(&f.set.Set, f.top, opt)
		if err != nil {
			return refuse("the oracle cannot play the set: %v", err)
		}
		if w.e = e; f.strict == nil {
			f.strict = e
		}
		before := len(opt.Open)
		for i, call := range w.call {
			if call != nil && f.givenUp(call) && (!call.Outcome.Definite() || !w.allows(i)) {
				opt.Open[i] = true
			}
		}
		if len(opt.Open) == before {
			break
		}
		if before > 0 { // it spreads: open all that may need it
			for i, call := range w.call {
				opt.Open[i] = opt.Open[i] || call != nil && f.givenUp(call)
			}
		}
	}
	for _, id := range f.top.Nodes() {
		if live, sure := w.e.Live(id.ID); sure && live != slices.Contains(f.set.LiveAtEnd, id.ID) {
			return refuse("by the test set node %s is live at the end: %t; in the run it was: %t", id.ID, live, !live)
		}
	}
	f.played, f.open = w, opt.Open
	return append(w.commands(opt.Open), w.nodes()...)
}

func commandsFrom(list []testset.Command) (n int) {
	for _, c := range list {
		if !c.Marker() {
			n++
		}
	}
	return n
}

// victims reads from the runner's observations whom each LF struck, by position
// of the LF; there is no entry for one that the runner did not observe.
func victims(set *runner.SetResult) map[int][]string {
	out := map[int][]string{}
	seen := 0
	for i := range set.Set.Commands {
		c := &set.Set.Commands[i]
		if c.Kind != testset.LeaderFail {
			continue
		}
		for k := seen; k < len(set.Observations); k++ {
			o := &set.Observations[k]
			what, ok := strings.CutPrefix(o.Text, c.Text+": ")
			if o.Line != c.Line || !ok {
				continue
			}
			seen = k + 1
			out[i] = nil
			for _, verb := range [...]string{" disconnected", " killed"} {
				if names, ok := strings.CutSuffix(what, verb); ok {
					out[i] = strings.Fields(names)
				}
			}
			break
		}
	}
	return out
}

// givenUp reports whether a call ended because its time did, or never: its
// outcome is then no decision of the bank's.
func (f *facts) givenUp(c *runner.Call) bool {
	switch {
	case !c.Outcome.Definite() || c.Resolved:
		return true
	case c.Outcome == runner.Aborted || c.Outcome == runner.Unavailable:
		// A node counts from when the request came in, and answers a little early.
		return f.set.Deadline > 0 && c.Latency() >= f.set.Deadline*9/10
	}
	return false
}

func (w *wanted) allows(i int) bool {
	return w.e.Commands[i].Allows(oracle.Outcome(w.call[i].Outcome), w.call[i].Value)
}

// commands judges every command. open are those that were given up.
func (w *wanted) commands(open map[int]bool) []Check {
	var passed, failed []Check
	good, total := 0, 0
	for i, call := range w.call {
		if call == nil {
			continue
		}
		total++
		ok := w.allows(i)
		if ok && !open[i] {
			good++
			w.spread(i)
			if good <= maxSingle {
				passed = append(passed, w.check(i))
			}
			continue
		}
		c := w.check(i)
		w.explain(&c, i, open[i])
		failed = append(failed, c)
	}
	if total > maxSingle {
		passed = nil
		if good > 0 {
			passed = []Check{{Source: SourceOracle, Check: testset.CheckOutcome, Target: "*", Verdict: Pass,
				Expected: "what must come of them", Actual: fmt.Sprintf("%d of %d commands", good, total)}}
		}
	}
	return append(bounded(failed, "commands did not come to what they must"), passed...)
}

// bounded lists the first maxListed checks of a kind, the gravest first, and the
// number of the rest.
func bounded(list []Check, what string) []Check {
	slices.SortStableFunc(list, func(a, b Check) int {
		if a.Verdict == b.Verdict {
			return 0
		} else if a.Verdict == Fail {
			return -1
		}
		return 1
	})
	if len(list) <= maxListed {
		return list
	}
	rest := list[maxListed:]
	return append(slices.Clip(list[:maxListed]), Check{Source: rest[0].Source, Check: rest[0].Check, Target: "more", Actual: strconv.Itoa(len(rest)),
		Verdict: rest[0].Verdict, Message: fmt.Sprintf("%d more %s", len(rest), what)})
}

// check fills in what was wanted of a command and what came of it.
func (w *wanted) check(i int) Check {
	call, x := w.call[i], &w.e.Commands[i]
	c := Check{Source: SourceOracle, Check: testset.CheckOutcome, Target: fmt.Sprintf("line:%d", call.Command.Line), Verdict: Pass, Lines: []int{call.Command.Line}}
	var wants []string
	for _, o := range x.Outcomes {
		switch {
		case o == oracle.Unknown:
		case o == oracle.Value:
			c.Check = testset.CheckValue
			wants = append(wants, x.Values.String())
		default:
			wants = append(wants, string(o))
		}
	}
	c.Expected, c.Actual = strings.Join(wants, " or "), string(call.Outcome)
	if call.Outcome == runner.Value {
		c.Check, c.Actual = testset.CheckValue, strconv.FormatInt(call.Value, 10)
	}
	return c
}

// explain says why what came of a command is wrong, or why that is not known.
func (w *wanted) explain(c *Check, i int, open bool) {
	call := w.call[i]
	line := call.Command.Line
	c.FirstDifference = fmt.Sprintf("want %s, got %s", c.Expected, c.Actual)
	c.Message = fmt.Sprintf("line %d %s: want %s (%s), got %s", line, call.Command.Text, c.Expected, w.e.Why(i), c.Actual)
	if call.Node != "" {
		c.Nodes = []string{call.Node}
		c.Message += " from " + call.Node
	}
	if call.Message != "" {
		c.Message += " (" + call.Message + ")"
	}
	if open || !call.Outcome.Definite() {
		c.Verdict = Unknown
		c.Message = fmt.Sprintf("line %d %s: %s, as it was given up at its deadline: what it came to, and what follows from it, says nothing", line, call.Command.Text, c.Actual)
		if call.Message != "" {
			c.Message += " (" + call.Message + ")"
		}
		c.Message += slowness
		return
	}
	c.Verdict = Fail
	if dead := w.deserted(call); dead != "" && (call.Outcome == runner.Aborted || call.Outcome == runner.Unavailable) {
		c.Verdict = Unknown
		c.Message += "; nodes of " + dead + " died against the test set's will"
		return
	}
	c.Rule = rule(w.e.Commands[i], call)
	if c.Rule != "" {
		c.Message += ": " + c.Rule
	}
	for _, item := range itemsOf(call) {
		if first, known := w.blame[item]; known && first != line {
			c.Lines = append(c.Lines, first)
			c.Message += fmt.Sprintf("; it may follow from line %d, which touched item %d", first, item)
			break
		}
	}
	for _, item := range itemsOf(call) {
		if _, known := w.blame[item]; !known && call.Kind != "read" {
			w.blame[item] = line
		}
	}
}

// spread: what touches an item that is off carries it on.
func (w *wanted) spread(i int) {
	call := w.call[i]
	if call.Kind == "read" || call.Outcome != runner.Committed {
		return
	}
	from, fromKnown := w.blame[call.Command.From]
	to, toKnown := w.blame[call.Command.To]
	if fromKnown && !toKnown {
		w.blame[call.Command.To] = from
	} else if toKnown && !fromKnown {
		w.blame[call.Command.From] = to
	}
}

func itemsOf(c *runner.Call) []int64 {
	if c.Kind == "read" {
		return []int64{c.Command.Item}
	}
	return []int64{c.Command.From, c.Command.To}
}

// deserted names a cluster of a call that should have a quorum at the end and
// whose nodes do not answer.
func (w *wanted) deserted(c *runner.Call) string {
	for _, item := range itemsOf(c) {
		if at, ok := w.f.cluster(item); ok && w.f.quorum[at] && !w.f.served[at] {
			return w.f.top.Clusters[at].ID
		}
	}
	return ""
}

// rule is the rule of the protocol that an outcome breaks.
func rule(x oracle.Expected, c *runner.Call) string {
	may := func(o oracle.Outcome) bool { return slices.Contains(x.Outcomes, o) }
	switch c.Outcome {
	case runner.Committed:
		switch {
		case may(oracle.InsufficientFunds):
			return "a transfer is committed only if the sender has the money at its place in the log"
		case may(oracle.Invalid):
			return "what makes no sense is never carried out"
		}
		return "nothing is chosen without a majority of every cluster concerned"
	case runner.Value:
		if may(oracle.Value) {
			return "a read reflects every transfer that was acknowledged before it was sent, and no undecided one"
		}
		return "a read is served only by a leader that hears from a quorum"
	case runner.InsufficientFunds:
		return "insufficient_funds is the verdict of an applied entry on the balance at its place in the log"
	case runner.Aborted:
		if may(oracle.Committed) {
			return "two-phase commit gives up only if the receiver's cluster is out of reach or a lock is not to be had in time"
		}
	case runner.Unavailable:
		return "unavailable is for a cluster without a leader that has a majority"
	case runner.Invalid:
		return "invalid is for what makes no sense"
	}
	return ""
}
