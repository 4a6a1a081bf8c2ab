package replica

import (
	"fmt"

	"paxbank/server/bank"
	"paxbank/server/ids"
	"paxbank/server/twopc"
)

// attempt is the coordinator's side of one attempt, with what the shell-free
// state machine in twopc does not know: timers, the request, the measured life.
type attempt struct {
	twopc.Attempt
	request  *request
	started  ids.Time
	deadline ids.Time // for the vote
	post     post
	noQuorum bool  // the participant said so, and nothing else since
	ack      timer // the bound of the wait for the acknowledgement
	timeline *Timeline
}

// newAttempt begins an attempt of req, which holds the lock on its sender and has
// the turn at its receiver.
func (r *Replica) newAttempt(req *request) {
	r.lead.attemptNo++
	peer, _ := r.clusterOf(req.transfer.To)
	a := &attempt{request: req, started: r.now}
	a.Attempt = twopc.Attempt{
		Txn:      ids.Txn{Request: req.id, Ballot: r.lead.ballot, Number: r.lead.attemptNo},
		Transfer: req.transfer, Age: req.age, Peer: peer,
	}
	r.lead.locks.SetTxn(req.transfer.From, a.Txn)
	switch b, _ := r.bank.Balance(req.transfer.From); {
	case b < req.transfer.Amount:
		a.Start = twopc.StartPrepareFirst
	case r.directory.Suspected(peer), req.tries > 0:
		// What lost a conflict may lose again: then its lock is given back after one
		// question, and nothing was logged for it.
		a.Start = twopc.StartPeerFirst
	}
	a.timeline = r.newTimeline(a.Txn, bank.RoleCoordinator, req.transfer.From, req.transfer)
	a.deadline = min(r.now+ids.Time(r.lim.PrepareTimeout), max(req.deadline, r.now+ids.Time(Millisecond)))
	req.waiter = nil
	r.enlist(a)
	r.drive(a)
}

// adoptAttempt goes on with an attempt that an earlier leader prepared: relock,
// ask the participant again, which answers from its own prepared.
func (r *Replica) adoptAttempt(p *bank.Entry) {
	req := &request{id: p.Txn.Request, transfer: p.Transfer, doneBelow: p.DoneBelow, age: p.Age, cross: true,
		deadline: r.now + ids.Time(r.lim.PrepareTimeout)}
	r.lead.requests[req.id] = req
	r.watch(req, req.deadline)
	a := &attempt{request: req, started: r.now, deadline: req.deadline}
	a.Attempt = twopc.Attempt{Txn: p.Txn, Transfer: p.Transfer, Age: p.Age, Peer: p.Peer,
		Stage: twopc.PrepareApplied, Seq: p.Seq}
	r.relock(p.Transfer.From, p)
	r.lead.locks.TakeTurn(p.Transfer.To)
	a.timeline = r.newTimeline(a.Txn, bank.RoleCoordinator, p.Transfer.From, p.Transfer)
	a.timeline.Seq, a.timeline.PrepareChosen = p.Seq, r.now
	if u, ok := r.bank.Undo(p.Seq); ok {
		a.timeline.BalanceBefore, a.timeline.BalancePrepared = u.Before, u.After
	}
	r.enlist(a)
	r.drive(a)
}

// relock takes the lock of a prepared transaction again. The table is empty when
// leadership begins and prepared transactions share no item, so it is free.
func (r *Replica) relock(item int64, p *bank.Entry) {
	if !r.lead.locks.TryLock(item, p.Txn, p.Age, r.now) {
		panic(Violation{"isolation", p.Seq, fmt.Sprintf("item %d is prepared twice, by %s too", item, p.Txn)})
	}
}

func (r *Replica) enlist(a *attempt) {
	a.post.peer = a.Peer
	a.request.state, a.request.attempt = stateAttempt, a
	r.lead.attempts[a.Txn] = a
}

// drive takes the actions that an attempt needs.
func (r *Replica) drive(a *attempt) {
	for {
		switch a.Next() {
		case twopc.ActNothing:
			return
		case twopc.ActAskPeer:
			a.timeline.PrepareSent = r.now
			r.askPeer(a)
		case twopc.ActProposePrepare:
			r.propose(&bank.Entry{Kind: bank.KindTransfer, Phase: bank.PhasePrepare, Role: bank.RoleCoordinator,
				Txn: a.Txn, Peer: a.Peer, DoneBelow: a.request.doneBelow, Transfer: a.Transfer, Age: a.Age})
		case twopc.ActProposeCommit:
			a.post.timer.stop()
			r.propose(&bank.Entry{Kind: bank.KindTransfer, Phase: bank.PhaseCommit, Role: bank.RoleCoordinator,
				Seq: a.Seq, PeerSeq: a.PeerSeq, Txn: a.Txn, Peer: a.Peer, Transfer: a.Transfer, Age: a.Age})
		case twopc.ActProposeAbort:
			r.propose(&bank.Entry{Kind: bank.KindTransfer, Phase: bank.PhaseAbort, Role: bank.RoleCoordinator,
				Seq: a.Seq, Txn: a.Txn, Peer: a.Peer, Transfer: a.Transfer, Age: a.Age})
		case twopc.ActEndAborted:
			r.endAttempt(a)
			return
		case twopc.ActDeliver:
			d, _ := r.bank.Decision(a.Txn)
			r.deliver(d, a)
			r.lead.timers.set(&a.ack, r.now+ids.Time(r.lim.AckBound), (*unacknowledged)(a))
			return
		}
	}
}

// askPeer sends TwoPCPrepare, and again until the vote is there or the prepare
// deadline has passed.
func (r *Replica) askPeer(a *attempt) {
	if a.Decision != twopc.Undecided || a.Voted {
		return
	}
	if r.now >= a.deadline || a.noQuorum && r.now-a.started >= ids.Time(r.lim.NoQuorumAfter) {
		reason := twopc.ReasonTimeout
		if a.noQuorum {
			reason = twopc.ReasonNoQuorum
		}
		r.directory.Suspect(a.Peer)
		a.Abort(reason)
		r.drive(a)
		return
	}
	r.send(r.post(&a.post, a), &twopc.TwoPCPrepareRequest{Txn: a.Txn, Transfer: a.Transfer, Age: a.Age, Cluster: r.cluster,
		Remaining: ids.Duration(a.deadline - r.now)})
}

// fire: the participant has not answered.
func (a *attempt) fire(r *Replica) {
	r.unanswered(&a.post, r.lim.RetryEvery)
	r.askPeer(a)
}

func (r *Replica) onPrepareReply(from ids.Node, m *twopc.TwoPCPrepareReply) {
	a := r.lead.attempts[m.Txn]
	if a == nil || a.Voted && m.Success && m.Seq != a.PeerSeq {
		// A vote for an attempt that is not run here, or a second prepare of one that
		// is: the participant must not stay prepared, so it gets its answer at once.
		if m.Success {
			r.answerInquiry(from, m.Txn, m.Seq)
		}
		return
	}
	if r.home[from] != a.Peer {
		return
	}
	switch {
	case m.Success:
		r.directory.Heard(a.Peer, from, r.now)
		if !a.Voted && a.Decision == twopc.Undecided {
			a.timeline.ParticipantPrepared, a.timeline.PeerSeq = r.now, m.Seq
		}
		a.Vote(true, m.Seq, twopc.ReasonNone)
		a.post.timer.stop()
	case m.Reason == twopc.ReasonWaiting:
		// The participant lives and queues us: patience up to the client's deadline.
		r.directory.Heard(a.Peer, from, r.now)
		a.noQuorum = false
		a.deadline = max(a.deadline, min(a.request.deadline, r.now+ids.Time(r.lim.PrepareTimeout)))
		return
	case m.Reason == twopc.ReasonNotLeader:
		a.noQuorum = false
		r.redirected(&a.post, from, m.Leader, func() { r.askPeer(a) })
		return
	case m.Reason == twopc.ReasonNoQuorum:
		a.noQuorum = true
		r.directory.Silent(a.Peer, from, r.now)
		if r.now-a.started >= ids.Time(r.lim.NoQuorumAfter) {
			r.askPeer(a) // gives up
		}
		return
	default:
		r.directory.Heard(a.Peer, from, r.now)
		a.Vote(false, 0, m.Reason)
	}
	r.drive(a)
}

func (r *Replica) coordinatorApplied(e *bank.Entry, effect bank.Effect) {
	a := r.lead.attempts[e.Txn]
	if a == nil || effect == bank.EffectUnmatched {
		return
	}
	switch e.Phase {
	case bank.PhasePrepare:
		a.Seq, a.timeline.Seq = e.Seq, e.Seq
		a.timeline.PrepareChosen = r.now
		a.timeline.BalancePrepared, _ = r.bank.Balance(e.Transfer.From)
		a.Stage = twopc.PrepareApplied
		if effect != bank.EffectPrepared {
			a.Stage = twopc.PrepareNoEffect
			a.Reason = twopc.ReasonVoid
			if effect == bank.EffectInsufficientFunds {
				a.Reason = twopc.ReasonInsufficientFunds
			}
		}
	case bank.PhaseCommit, bank.PhaseAbort:
		a.timeline.DecisionChosen = r.now
		a.Decided = true
	}
	r.drive(a)
}

// unacknowledged is an attempt whose participant has not acknowledged the commit
// within the bound.
type unacknowledged attempt

func (u *unacknowledged) fire(r *Replica) { r.committed((*attempt)(u)) }

// committed releases the lock and answers, once: when the participant has
// acknowledged or after a short bound, for the decision is durable.
func (r *Replica) committed(a *attempt) {
	if r.lead.attempts[a.Txn] != a {
		return
	}
	a.timeline.Outcome = bank.OutcomeCommitted.String()
	r.dropAttempt(a)
	r.settle(a.request, bank.EffectApplied)
}

func (r *Replica) dropAttempt(a *attempt) {
	a.post.timer.stop()
	a.ack.stop()
	delete(r.lead.attempts, a.Txn)
	r.unlock(a.Transfer.From, a.Txn, a.timeline)
	r.endTurn(a.Transfer.To)
}

// endTurn lets the next request of this cluster credit an item of another one.
func (r *Replica) endTurn(item int64) {
	r.lead.locks.EndTurn(item)
	r.lead.free(item)
}

// endAttempt ends an attempt without effect: A is applied, or P had no effect,
// or nothing was ever proposed.
func (r *Replica) endAttempt(a *attempt) {
	a.timeline.Reason = reasonText(a.Reason)
	a.timeline.Outcome = bank.OutcomeAborted.String()
	if a.Reason == twopc.ReasonInsufficientFunds {
		a.timeline.Outcome = bank.OutcomeInsufficientFunds.String()
	}
	r.dropAttempt(a)
	if a.Asked {
		r.tellAbort(a.Txn, a.Peer, a.Reason)
	}
	req := a.request
	req.attempt = nil
	switch {
	case a.Stage == twopc.PrepareNoEffect:
		r.settle(req, bank.EffectDuplicate)
	case (a.Reason == twopc.ReasonConflict || a.Reason == twopc.ReasonVoid) && r.now < req.deadline && len(req.calls) > 0:
		r.backOff(req)
	default:
		r.finish(req, bank.OutcomeAborted, false, reasonText(a.Reason))
	}
}

// backOff tries a request again after a jittered pause, with the same age.
func (r *Replica) backOff(req *request) {
	pause := min(r.lim.BackoffMin<<min(req.tries, 20), r.lim.BackoffMax)
	pause = pause/2 + ids.Duration(r.rng.Int64N(int64(pause)))
	req.tries++
	req.state = stateBackoff
	r.lead.timers.set(&req.backoff, r.now+ids.Time(pause), req)
}

// fire: the pause after a lost conflict is over.
func (req *request) fire(r *Replica) {
	// What another timer has just released belongs to those who wait for it.
	r.pump()
	if req.state == stateBackoff {
		r.start(req)
	}
}

// onInquiry answers a participant that asks for the decision.
func (r *Replica) onInquiry(from ids.Node, m *twopc.TwoPCInquiryRequest) {
	// Only a leader inquires.
	r.directory.Heard(r.home[from], from, r.now)
	r.answerInquiry(from, m.Txn, m.Seq)
}

func (r *Replica) answerInquiry(to ids.Node, txn ids.Txn, seq uint64) {
	reply := &twopc.TwoPCInquiryReply{Txn: txn, Seq: seq}
	d, decided := r.bank.Decision(txn)
	a := r.lead.attempts[txn]
	p := r.bank.CoordinatorPrepared(txn.Request)
	switch {
	case !r.lead.ready || r.lead.ballot.Less(txn.Ballot):
		reply.Answer = twopc.AnswerNotLeader
		_, reply.Leader = r.refusal()
	case decided && d.PeerSeq == seq:
		reply.Answer = twopc.AnswerCommit
	case decided:
		reply.Answer = twopc.AnswerAbort
	case a != nil && a.Open() || p != nil && p.Txn == txn:
		reply.Answer = twopc.AnswerPending
	default:
		// Presumed abort: nothing of it is in the log that a ready leader has
		// applied, and what an earlier leader may still have in flight is fenced.
		reply.Answer = twopc.AnswerAbort
	}
	r.send(to, reply)
}
