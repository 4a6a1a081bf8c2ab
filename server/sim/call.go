package sim

import (
	"paxbank/server/bank"
	"paxbank/server/ids"
	"paxbank/server/replica"
)

// The node's side of a client's call: from its arrival to the core's answer.

// call is a client's call that arrives at a node.
func (n *node) call(s *send, e replica.Event, left ids.Duration) {
	w := n.w
	if !n.up || !n.live || n.era != s.request.era {
		w.cov.add("client", "refused")
		if d, ok := w.net.clientDelay(n); ok {
			w.after(d, func() { s.client.refused(s) })
		}
		return
	}
	left = max(left, millisecond)
	e.Deadline = n.clock.local(w.now) + ids.Time(left)
	n.open = append(n.open, s)
	s.arrived, s.overruled = n.steps, n.overruled()
	n.enqueue(e)
	n.expectAnswer(s, n.session, w.now+ids.Time(left+w.plan.answerSlack()))
}

// answerSlack is how long after its deadline a call may still be open. Aborting
// takes a round of the log; an attempt that a new leader found prepared may first
// wait for its own prepare deadline.
func (p *plan) answerSlack() ids.Duration {
	return p.limits.PrepareTimeout + 2*p.limits.ElectionMin + 2*second
}

// expectAnswer fails when a call is still open long after its deadline at a node
// that could have answered.
func (n *node) expectAnswer(s *send, session uint64, by ids.Time) {
	n.w.at(by, func() {
		if n.session != session || n.take(s.call, false) == nil {
			return
		}
		if n.w.now < n.stall+ids.Time(second) {
			n.expectAnswer(s, session, n.stall+ids.Time(second))
			return
		}
		n.w.fail("deadline", "%s has not answered call %d, %s after its deadline: %s", n.name, s.call, seconds(n.w.plan.answerSlack()), s.request)
	})
}

// take finds an open call, and removes it when remove is set.
func (n *node) take(call uint64, remove bool) *send {
	for i, s := range n.open {
		if s.call == call {
			if remove {
				n.open = append(n.open[:i], n.open[i+1:]...)
			}
			return s
		}
	}
	return nil
}

// answer carries the core's answer to the client, after checking it against the
// truth: what the core says is binding even when the answer is lost.
func (n *node) answer(a replica.Answer) {
	w := n.w
	if !n.live {
		return // calls of a disconnected node were broken already
	}
	s := n.take(a.Call, true)
	if s == nil {
		w.fail("answers", "%s answers call %d, which is not open: %s", n.name, a.Call, a.Outcome)
	}
	r := s.request
	w.trace.note("answer", n.id, "%d %s final=%v balance=%d leader=%d %q: %s", a.Call, a.Outcome, a.Final, a.Balance, a.Leader, a.Message, r)
	w.cov.add("answer", r.kind(s.resolve)+" "+a.Outcome.String())
	w.refused(&a)
	n.checkAnswer(s, a)
	if r.read && a.Outcome == bank.OutcomeCommitted {
		r.era.reads = append(r.era.reads, readSeen{r.item, a.Balance, s.start, w.now, n.name})
	}
	if d, ok := w.net.clientDelay(n); ok {
		w.after(d, func() { s.client.answered(s, a) })
	}
}

func (n *node) checkAnswer(s *send, a replica.Answer) {
	w, r := n.w, s.request
	if r.read {
		n.inForce(s, &a)
		switch a.Outcome {
		case bank.OutcomeCommitted, bank.OutcomeUnavailable, bank.OutcomeNotLeader:
		default:
			w.fail("answers", "%s answers a read with %s (%s): %s", n.name, a.Outcome, a.Message, r)
		}
		return
	}
	truth, known := r.era.truth.outcomes[r.id]
	definite := a.Final || a.Outcome == bank.OutcomeCommitted || a.Outcome == bank.OutcomeInsufficientFunds ||
		s.resolve && a.Outcome == bank.OutcomeAborted
	switch {
	case a.Outcome == bank.OutcomeNone || a.Outcome > bank.OutcomeNotLeader:
		w.fail("answers", "%s answers with outcome %d: %s", n.name, a.Outcome, r)
	case a.Outcome == bank.OutcomeInvalid:
		if !r.malformed && truth.outcome != bank.OutcomeInvalid {
			w.fail("answers", "%s calls a proper request invalid (%s): %s", n.name, a.Message, r)
		}
	case r.malformed && (a.Outcome == bank.OutcomeCommitted || a.Outcome == bank.OutcomeInsufficientFunds):
		w.fail("answers", "%s answers a malformed request with %s: %s", n.name, a.Outcome, r)
	case definite && !known:
		w.fail("durability", "%s says %s (final %v), but no applied entry says so: %s", n.name, a.Outcome, a.Final, r)
	case definite && truth.outcome != a.Outcome:
		w.fail("durability", "%s says %s (final %v), but by index %d of c%d it is %s: %s",
			n.name, a.Outcome, a.Final, truth.index, truth.cluster+1, truth.outcome, r)
	}
}
