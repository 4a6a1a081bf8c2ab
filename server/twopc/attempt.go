package twopc

import "paxbank/server/ids"

// PrepareStage is how far a P entry has come.
type PrepareStage uint8

// The stages of P.
const (
	PrepareNone PrepareStage = iota
	PrepareProposed
	// PrepareApplied: applied with effect; undo record and prepared are written.
	PrepareApplied
	// PrepareNoEffect: applied, but it changed nothing (too little money, or void).
	PrepareNoEffect
)

// Decision is what became of a transaction.
type Decision uint8

// The decisions.
const (
	Undecided Decision = iota
	Commit
	Abort
)

// Start is how an attempt begins.
type Start uint8

// The ways to begin.
const (
	// StartParallel: P and TwoPCPrepare at the same time.
	StartParallel Start = iota
	// StartPrepareFirst: the balance looks too low, so the refusal must come from
	// the log before the participant is asked.
	StartPrepareFirst
	// StartPeerFirst: the participant could not be reached last time, or said no, so
	// nothing is logged before it answers.
	StartPeerFirst
)

// Attempt is the coordinator's side of one attempt: a state machine without
// timers. Events set its fields through the methods; Next says what to do.
type Attempt struct {
	Txn      ids.Txn
	Transfer ids.Transfer
	Age      ids.Age
	Peer     ids.Cluster
	Start    Start

	Stage    PrepareStage
	Seq      uint64 // of P, once applied
	Asked    bool   // TwoPCPrepare was sent
	Voted    bool   // the participant is prepared, at PeerSeq
	PeerSeq  uint64
	Decision Decision
	Reason   Reason // of an abort
	logged   bool   // C or A proposed
	Decided  bool   // C or A applied
	deliver  bool   // ActDeliver was given; it is given once, however late a vote comes
}

// Action is what an attempt needs next.
type Action uint8

// The actions.
const (
	// ActNothing: wait for an event.
	ActNothing Action = iota
	ActAskPeer
	ActProposePrepare
	ActProposeCommit
	ActProposeAbort
	// ActEndAborted: over without effect; release the lock, tell the participant if
	// it was asked, answer.
	ActEndAborted
	// ActDeliver: C is applied; deliver the decision, then release and answer.
	ActDeliver
)

// Next returns the next action and assumes that the caller takes it. Call until
// ActNothing.
func (a *Attempt) Next() Action {
	if a.Stage == PrepareNoEffect {
		return ActEndAborted
	}
	switch a.Decision {
	case Undecided:
		if !a.Asked && (a.Start != StartPrepareFirst || a.Stage == PrepareApplied) {
			a.Asked = true
			return ActAskPeer
		}
		if a.Stage == PrepareNone && (a.Start != StartPeerFirst || a.Voted) {
			a.Stage = PrepareProposed
			return ActProposePrepare
		}
		// Both: the own P applied with effect, and the participant prepared.
		if a.Stage == PrepareApplied && a.Voted {
			a.Decision = Commit
			a.logged = true
			return ActProposeCommit
		}
	case Commit:
		if a.Decided && !a.deliver {
			a.deliver = true
			return ActDeliver
		}
	case Abort:
		// Once P was proposed, an abort is told only after A is applied (or P turned
		// out to have no effect): until then the P may still take effect.
		switch {
		case a.Stage == PrepareNone, a.Decided:
			return ActEndAborted
		case a.Stage == PrepareApplied && !a.logged:
			a.logged = true
			return ActProposeAbort
		}
	}
	return ActNothing
}

// Vote records the participant's answer. Only the first decision counts.
func (a *Attempt) Vote(success bool, seq uint64, reason Reason) {
	if a.Decision != Undecided || a.Voted {
		return
	}
	if success {
		a.Voted, a.PeerSeq = true, seq
		return
	}
	a.Abort(reason)
}

// Abort decides to abort, unless it is decided already.
func (a *Attempt) Abort(reason Reason) {
	if a.Decision == Undecided {
		a.Decision, a.Reason = Abort, reason
	}
}

// Open reports whether an inquiry must be answered "pending": the attempt is
// undecided, or its decision is not applied yet.
func (a *Attempt) Open() bool { return !a.Decided && a.Stage != PrepareNoEffect }

// Participation is the participant's side of one attempt.
type Participation struct {
	Txn         ids.Txn
	Transfer    ids.Transfer
	Age         ids.Age
	Coordinator ids.Cluster

	Stage    PrepareStage
	Seq      uint64
	Decision Decision // as told by the coordinator
	logged   bool
}

// Next returns ActProposePrepare never (the caller proposes P when it has the
// lock), ActProposeCommit or ActProposeAbort once the decision is known and P
// is applied, and ActEndAborted when P had no effect.
func (p *Participation) Next() Action {
	switch {
	case p.Stage == PrepareNoEffect:
		return ActEndAborted
	case p.Stage != PrepareApplied || p.logged || p.Decision == Undecided:
		return ActNothing
	}
	p.logged = true
	if p.Decision == Commit {
		return ActProposeCommit
	}
	return ActProposeAbort
}

// Told records the coordinator's decision; the first one counts.
func (p *Participation) Told(d Decision) {
	if p.Decision == Undecided {
		p.Decision = d
	}
}
