package replica

import (
	"paxbank/server/bank"
	"paxbank/server/ids"
	"paxbank/server/twopc"
)

// participation is the participant's side of one attempt, with its timers.
type participation struct {
	twopc.Participation
	asker    ids.Node // who asked last, to be answered
	waiter   *twopc.Waiter
	until    ids.Time // while waiting: when the coordinator gives up
	deadline timer    // of until
	post     post     // inquiries
	inquire  timer
	timeline *Timeline
}

func (r *Replica) onPrepare(from ids.Node, m *twopc.TwoPCPrepareRequest) {
	no := func(reason twopc.Reason, leader ids.Node) {
		r.send(from, &twopc.TwoPCPrepareReply{Txn: m.Txn, Reason: reason, Leader: leader})
	}
	if !r.lead.ready {
		no(r.refusal())
		return
	}
	home, ok := r.clusterOf(m.Transfer.To)
	if !ok || home != r.cluster || m.Transfer.Amount <= 0 || int(m.Cluster) >= len(r.clusters) ||
		m.Cluster == r.cluster || r.home[from] != m.Cluster {
		no(twopc.ReasonInvalid, 0)
		return
	}
	r.directory.Heard(m.Cluster, from, r.now)
	r.sawAge(m.Age)
	if p := r.lead.parts[m.Txn]; p != nil {
		p.asker = from
		switch {
		case p.Stage == twopc.PrepareApplied && p.Decision != twopc.Abort:
			r.vote(p)
		case p.waiter != nil:
			p.until = r.patience(m)
			no(twopc.ReasonWaiting, 0)
		}
		return
	}
	item := m.Transfer.To
	if lock, held := r.lead.locks.Holder(item); held && lock.Txn.Request == m.Txn.Request {
		// Another attempt of the same request: find out at once what became of it.
		if other := r.lead.parts[lock.Txn]; other != nil && other.Stage == twopc.PrepareApplied {
			r.inquire(other)
		}
	}
	p := &participation{asker: from}
	p.Participation = twopc.Participation{Txn: m.Txn, Transfer: m.Transfer, Age: m.Age, Coordinator: m.Cluster}
	p.post.peer = m.Cluster
	if r.lead.locks.TryLock(item, m.Txn, m.Age, r.now) {
		r.lead.parts[m.Txn] = p
		r.participantLocked(p)
		return
	}
	p.waiter = &twopc.Waiter{Kind: twopc.WaitPrepare, Items: []int64{item}, Age: m.Age, Txn: m.Txn, Owner: p}
	switch r.lead.locks.Wait(p.waiter, r.now) {
	case twopc.GiveWay:
		no(twopc.ReasonConflict, 0)
	case twopc.QueueFull:
		no(twopc.ReasonQueueFull, 0)
	case twopc.Waiting:
		r.lead.parts[m.Txn] = p
		p.until = r.patience(m)
		r.watchWait(p)
		no(twopc.ReasonWaiting, 0)
	}
}

// patience returns until when a TwoPCPrepare may wait here.
func (r *Replica) patience(m *twopc.TwoPCPrepareRequest) ids.Time {
	return r.now + ids.Time(min(max(m.Remaining, 0), r.lim.MaxDeadline))
}

// watchWait ends the wait of a prepare whose coordinator has given up or is gone.
func (r *Replica) watchWait(p *participation) {
	r.lead.timers.set(&p.deadline, p.until, (*overlong)(p))
}

// overlong is a participation that has waited for its lock until its deadline.
type overlong participation

func (o *overlong) fire(r *Replica) {
	p := (*participation)(o)
	if p.until > r.now { // a repeated TwoPCPrepare extended it
		r.watchWait(p)
		return
	}
	r.cancelWait(p.waiter)
	r.refuse(p, twopc.ReasonConflict)
}

// refuse votes no for an attempt that holds no lock here, and forgets it.
func (r *Replica) refuse(p *participation, reason twopc.Reason) {
	p.deadline.stop()
	p.waiter = nil
	delete(r.lead.parts, p.Txn)
	r.send(p.asker, &twopc.TwoPCPrepareReply{Txn: p.Txn, Reason: reason})
}

// participantLocked logs P: the lock on the receiver is held.
func (r *Replica) participantLocked(p *participation) {
	p.deadline.stop()
	p.waiter = nil
	p.Stage = twopc.PrepareProposed
	p.timeline = r.newTimeline(p.Txn, bank.RoleParticipant, p.Transfer.To, p.Transfer)
	r.propose(&bank.Entry{Kind: bank.KindTransfer, Phase: bank.PhasePrepare, Role: bank.RoleParticipant,
		Txn: p.Txn, Peer: p.Coordinator, Transfer: p.Transfer, Age: p.Age})
}

// adoptParticipation goes on with what an earlier leader prepared: relock, and
// ask for the decision if it does not come.
func (r *Replica) adoptParticipation(e *bank.Entry) {
	p := &participation{}
	p.Participation = twopc.Participation{Txn: e.Txn, Transfer: e.Transfer, Age: e.Age, Coordinator: e.Peer,
		Stage: twopc.PrepareApplied, Seq: e.Seq}
	p.post.peer = e.Peer
	r.lead.parts[e.Txn] = p
	r.relock(e.Transfer.To, e)
	p.timeline = r.newTimeline(e.Txn, bank.RoleParticipant, e.Transfer.To, e.Transfer)
	p.timeline.Seq, p.timeline.PrepareChosen = e.Seq, r.now
	if u, ok := r.bank.Undo(e.Seq); ok {
		p.timeline.BalanceBefore, p.timeline.BalancePrepared = u.Before, u.After
	}
	r.watchDecision(p)
}

func (r *Replica) vote(p *participation) {
	r.send(p.asker, &twopc.TwoPCPrepareReply{Txn: p.Txn, Success: true, Seq: p.Seq})
}

func (r *Replica) watchDecision(p *participation) {
	r.lead.timers.set(&p.inquire, r.now+ids.Time(r.lim.InquireAfter), (*undecided)(p))
}

// undecided is a participation that is prepared for long.
type undecided participation

func (u *undecided) fire(r *Replica) { r.inquire((*participation)(u)) }

// inquire asks the coordinator's cluster for the decision, with backoff, for
// ever: a prepared participant must not guess.
func (r *Replica) inquire(p *participation) {
	if p.Decision != twopc.Undecided {
		return
	}
	p.inquire.stop()
	r.send(r.post(&p.post, p), &twopc.TwoPCInquiryRequest{Txn: p.Txn, Seq: p.Seq})
}

// fire: the coordinator has not answered.
func (p *participation) fire(r *Replica) {
	r.unanswered(&p.post, r.lim.RetryMax)
	r.inquire(p)
}

func (r *Replica) onInquiryReply(from ids.Node, m *twopc.TwoPCInquiryReply) {
	p := r.lead.parts[m.Txn]
	if p == nil || p.Stage != twopc.PrepareApplied || p.Seq != m.Seq || r.home[from] != p.Coordinator {
		return
	}
	switch m.Answer {
	case twopc.AnswerCommit:
		// Acknowledged like a TwoPCCommit, so that the coordinator need not send one.
		p.asker = from
		p.Told(twopc.Commit)
	case twopc.AnswerAbort:
		p.Told(twopc.Abort)
	case twopc.AnswerNotLeader:
		r.redirected(&p.post, from, m.Leader, func() { r.inquire(p) })
		return
	}
	r.directory.Heard(p.Coordinator, from, r.now)
	r.driveParticipation(p)
}

func (r *Replica) onCommit(from ids.Node, m *twopc.TwoPCCommitRequest) {
	if !r.lead.ready {
		_, leader := r.refusal()
		r.send(from, &twopc.TwoPCCommitReply{Txn: m.Txn, Seq: m.Seq, Leader: leader})
		return
	}
	switch e := r.bank.Prepared(m.Seq); {
	case e != nil && e.Txn == m.Txn && e.Role == bank.RoleParticipant:
		p := r.lead.parts[m.Txn]
		if r.home[from] != p.Coordinator {
			return
		}
		r.directory.Heard(p.Coordinator, from, r.now)
		p.asker = from
		p.Told(twopc.Commit)
		r.driveParticipation(p)
	case r.bank.Applied() >= m.Seq:
		// Not prepared at that seq and applied beyond it: committed already.
		r.send(from, &twopc.TwoPCCommitReply{Txn: m.Txn, Success: true, Seq: m.Seq})
	}
}

func (r *Replica) onAbort(from ids.Node, m *twopc.TwoPCAbortRequest) {
	if !r.lead.ready {
		_, leader := r.refusal()
		r.send(from, &twopc.TwoPCAbortReply{Txn: m.Txn, Leader: leader})
		return
	}
	if p := r.lead.parts[m.Txn]; p != nil && r.home[from] == p.Coordinator {
		if p.waiter != nil {
			r.cancelWait(p.waiter)
			p.deadline.stop()
			delete(r.lead.parts, p.Txn)
		} else {
			p.Told(twopc.Abort)
			r.driveParticipation(p)
		}
	}
	r.send(from, &twopc.TwoPCAbortReply{Txn: m.Txn, Success: true})
}

func (r *Replica) driveParticipation(p *participation) {
	phase := bank.PhaseCommit
	switch p.Next() {
	case twopc.ActProposeCommit:
	case twopc.ActProposeAbort:
		phase = bank.PhaseAbort
	default:
		return
	}
	p.inquire.stop()
	p.post.timer.stop()
	r.propose(&bank.Entry{Kind: bank.KindTransfer, Phase: phase, Role: bank.RoleParticipant, Seq: p.Seq,
		Txn: p.Txn, Peer: p.Coordinator, Transfer: p.Transfer, Age: p.Age})
}

func (r *Replica) participantApplied(e *bank.Entry, effect bank.Effect) {
	p := r.lead.parts[e.Txn]
	if p == nil || effect == bank.EffectUnmatched {
		return
	}
	if e.Phase == bank.PhasePrepare {
		p.Seq, p.timeline.Seq = e.Seq, e.Seq
		p.timeline.PrepareChosen = r.now
		p.timeline.BalancePrepared, _ = r.bank.Balance(e.Transfer.To)
		if effect == bank.EffectPrepared {
			p.Stage = twopc.PrepareApplied
			if p.Decision != twopc.Abort {
				r.vote(p)
			}
			r.watchDecision(p)
			r.driveParticipation(p)
			return
		}
		p.Stage = twopc.PrepareNoEffect
		p.timeline.Outcome = bank.OutcomeAborted.String()
		reason := twopc.ReasonVoid
		if effect == bank.EffectOverflow {
			reason = twopc.ReasonOverflow
		}
		p.timeline.Reason = reasonText(reason)
		r.unlock(e.Transfer.To, p.Txn, p.timeline)
		r.refuse(p, reason)
		return
	}
	p.timeline.DecisionChosen = r.now
	p.timeline.Outcome = bank.OutcomeAborted.String()
	if e.Phase == bank.PhaseCommit {
		p.timeline.Outcome = bank.OutcomeCommitted.String()
		if p.asker != 0 {
			r.send(p.asker, &twopc.TwoPCCommitReply{Txn: p.Txn, Success: true, Seq: p.Seq})
		}
	}
	r.unlock(e.Transfer.To, p.Txn, p.timeline)
	delete(r.lead.parts, p.Txn)
}
