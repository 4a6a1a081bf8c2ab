package sim

import (
	"fmt"
	"sort"
	"strings"

	"paxbank/server/bank"
	"paxbank/server/ids"
)

const (
	// settleMax is how long after the end of the faults everything has ended.
	settleMax = 90 * second
	// calmAfter is how long after the end of the faults nodes may still find out
	// what they missed: twice the election timeout, and a second for slow clocks.
	calmAfter = 2 * second
	// settlePoll is how often the simulator looks.
	settlePoll = 50 * millisecond
)

// finish is the liveness phase: without faults every request ends and every
// replica becomes idle; then a few more requests have to succeed; then what was
// seen in the whole run must make sense.
func (w *world) finish() {
	// A leader that was stalled until now may find a moment later that it has heard
	// no quorum for too long, and step down (seed 713004).
	w.settle("the end of the faults", calmAfter)
	w.probe()
	w.checkQuiet()
	for _, e := range w.eras {
		w.checkOutcomes(e)
		if w.opt.sabotage != sabotageReads {
			w.checkReads(e)
		}
		w.checkHistory(e)
	}
}

// settle runs for a while, and then until everything has ended.
func (w *world) settle(after string, while ids.Duration) {
	limit := w.now + ids.Time(settleMax)
	due := w.now + ids.Time(while)
	if while > 0 {
		w.after(while, func() {}) // so that there is an event then
	}
	issued := w.issued
	for {
		w.next()
		if w.now < due {
			continue
		}
		if issued != w.issued { // clients that the faults held up catch up
			issued, limit = w.issued, w.now+ids.Time(settleMax)
		}
		due = w.now + ids.Time(settlePoll)
		missing := w.unfinished()
		if missing == "" {
			return
		}
		if w.now >= limit {
			w.fail("liveness", "%s after %s: %s", seconds(settleMax), after, missing)
		}
		w.after(settlePoll, func() {}) // so that there is a next event
	}
}

// unfinished says what has not come to rest, or nothing.
func (w *world) unfinished() string {
	if w.issued < w.plan.requests {
		return fmt.Sprintf("clients have sent %d of %d requests", w.issued, w.plan.requests)
	}
	for _, c := range w.clients {
		if len(c.open) > 0 {
			return fmt.Sprintf("%s has not ended (%d sends, resolving %v)", c.open[0], len(c.open[0].sends), c.open[0].resolving)
		}
		if c.active > 0 {
			return fmt.Sprintf("client %x still waits for a read", c.id)
		}
	}
	for c, members := range w.clusters {
		applied := ^uint64(0)
		for _, n := range members {
			if !n.up || !n.live {
				return n.name + " is not live"
			}
			s := n.core.Status()
			switch {
			case s.Leader == 0:
				return fmt.Sprintf("%s knows no leader: %+v", n.name, s)
			case s.Leader == n.id && !s.Ready:
				return fmt.Sprintf("%s leads but is not ready: %+v", n.name, s)
			case !s.Quiet:
				return fmt.Sprintf("%s is not quiet: %+v", n.name, s)
			case s.Requests+s.Locks+s.UndoRecords+s.Prepared+s.Decided > 0:
				return fmt.Sprintf("%s has something left: %+v", n.name, s)
			case applied != ^uint64(0) && applied != s.Applied:
				return fmt.Sprintf("the replicas of %s have applied %d and %d entries", w.era.truth.name(ids.Cluster(c)), applied, s.Applied)
			}
			applied = s.Applied
		}
	}
	return ""
}

// probe sends a few requests, one after the other, that nothing can disturb any
// more: they have to succeed.
func (w *world) probe() {
	for i, c := range w.clients {
		if i == 3 {
			break
		}
		r := c.invent()
		r.probe = true
		c.issue(r)
		w.settle("a request after the recovery", 0)
	}
}

// checkQuiet checks the idle bank: everybody equal, nothing left, all the money.
func (w *world) checkQuiet() {
	t := w.era.truth
	for c := range t.logs {
		l := &t.logs[c]
		if len(l.prepared)+len(l.held) > 0 {
			w.fail("clean end", "%d transactions of %s are prepared for ever", len(l.prepared), t.name(ids.Cluster(c)))
		}
		if len(l.decided) > 0 {
			w.fail("clean end", "%d decisions of %s were never ended", len(l.decided), t.name(ids.Cluster(c)))
		}
	}
	for _, c := range sortedCommits(t.commits) {
		if !c.acknowledged {
			w.fail("atomicity", "the participant %s never committed its P at %d", t.name(c.peer), c.peerSeq)
		}
	}
	var sum int64
	for c, members := range w.clusters {
		for i, n := range members {
			s := n.core.Status()
			if s.Applied < t.logs[c].high {
				w.fail("durability", "%s has applied %d entries; %d were applied once", n.name, s.Applied, t.logs[c].high)
			}
			n.checkState()
			if i > 0 {
				continue
			}
			for _, b := range n.core.Balances(true) {
				sum += b.Balance
			}
		}
	}
	if total := t.topology.Total(); sum != total {
		w.fail("money", "the bank holds %d; it began with %d", sum, total)
	}
	if w.plan.calm {
		w.checkCalm()
	}
}

// checkCalm: without faults nothing is refused, and the first nodes lead.
func (w *world) checkCalm() {
	for _, r := range w.era.requests {
		switch {
		case r.outcome == bank.OutcomeCommitted || r.outcome == bank.OutcomeInsufficientFunds ||
			r.malformed && r.outcome == bank.OutcomeInvalid:
		default:
			w.fail("calm", "without any fault the outcome of %s is %s", r, r.outcome)
		}
	}
	for _, members := range w.clusters {
		for _, n := range members {
			if s := n.core.Status(); s.Leader != members[0].id || n != members[0] && s.Elections > 0 || s.Elections > 1 {
				w.fail("calm", "without any fault %s is at ballot %s with leader n%d after %d elections of its own; want n%d and one view",
					n.name, s.Ballot, s.Leader, s.Elections, members[0].id)
			}
		}
	}
}

// checkOutcomes compares what clients were told with what happened.
func (w *world) checkOutcomes(e *era) {
	for _, r := range e.requests {
		if r.read {
			if r.probe && r.outcome != bank.OutcomeCommitted {
				w.fail("liveness", "after the recovery %s is %s", r, r.outcome)
			}
			continue
		}
		s, known := e.truth.outcomes[r.id]
		if known && s.at < r.start {
			w.fail("strict serialisability", "%s took effect before it was sent", r)
		}
		if !r.done {
			continue // its client died, or the bank was reset: it may have either end
		}
		switch r.outcome {
		case bank.OutcomeCommitted, bank.OutcomeInsufficientFunds:
			if !known || s.outcome != r.outcome {
				w.fail("durability", "the client heard %s of %s, the log says %s", r.outcome, r, s.outcome)
			}
		default:
			if known && s.outcome != bank.OutcomeAborted && s.outcome != bank.OutcomeInvalid {
				w.fail("outcome", "the client heard %s of %s, but at index %d of %s it is %s", r.outcome, r, s.index, e.truth.name(s.cluster), s.outcome)
			}
			if r.probe && !r.malformed {
				w.fail("liveness", "after the recovery %s is %s", r, r.outcome)
			}
		}
	}
}

// checkReads: strict serialisability. Every transfer has a point in time, that
// of its coordinator's C or of its only entry, which lies between its request
// and its answer (checkAnswer, checkOutcomes); in the order of these points
// every item has one value at a time. Isolation, checked on every entry, makes
// this order that of every log. So a read is right if the item had that value
// at some time between the question and the answer.
func (w *world) checkReads(e *era) {
	for _, r := range e.reads {
		h := e.truth.changes[r.item]
		// The values that the item had in [start, end] are those from the last
		// change before start to the last one before end. Changes at one and the
		// same time are not told apart.
		first := sort.Search(len(h), func(i int) bool { return h[i].at >= r.start })
		last := sort.Search(len(h), func(i int) bool { return h[i].at > r.end })
		ok := false
		var could []string
		for _, c := range h[max(first-1, 0):last] {
			ok = ok || c.value == r.value
			could = append(could, fmt.Sprint(c.value))
		}
		if !ok {
			w.fail("strict serialisability", "a read of item %d at %s from %s to %s returned %d; its values in that time were %s",
				r.item, r.node, seconds(ids.Duration(r.start-epochStart)), seconds(ids.Duration(r.end-epochStart)), r.value, strings.Join(could, ", "))
		}
	}
}

// sortedCommits lists the commits in an order that does not depend on the map.
func sortedCommits(m map[ids.Txn]*commit) []*commit {
	txns := make([]ids.Txn, 0, len(m))
	for t := range m {
		txns = append(txns, t)
	}
	sort.Slice(txns, func(i, j int) bool { return txns[i].Compare(txns[j]) < 0 })
	out := make([]*commit, len(txns))
	for i, t := range txns {
		out[i] = m[t]
	}
	return out
}
