package replica

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"paxbank/server/bank"
	"paxbank/server/ids"
	"paxbank/server/twopc"
)

// leadership is what only a leader has. It is volatile: a new leader rebuilds
// what matters from the replicated state.
type leadership struct {
	won    bool       // paxos leads, at ballot
	ballot ids.Ballot // of this leadership
	ready  bool       // the own VIEW is applied

	requests   map[ids.Request]*request
	reads      map[*readCall]struct{}
	readQueue  []*readCall // not served yet, in order of arrival
	locks      *twopc.Locks
	freed      []int64 // items whose waiters must be looked at, each once
	isFreed    map[int64]struct{}
	attempts   map[ids.Txn]*attempt
	parts      map[ids.Txn]*participation
	deliveries map[ids.Txn]*delivery
	tells      map[ids.Txn]*tell
	ends       []ids.Txn // acknowledged, END not proposed yet
	endTimer   timer
	ending     int // ENDs in flight
	timers     timers
	expiry     map[ids.Time][]*request // by deadline in units of deadlineGrain
	ages       uint64
	ageClock   ids.Time // highest clock in an age given or seen
	attemptNo  uint32
}

func (l *leadership) reset(lim Limits) {
	// Numbers go on, so that an age or an attempt is never named twice by one life.
	*l = leadership{
		requests:   map[ids.Request]*request{},
		reads:      map[*readCall]struct{}{},
		locks:      twopc.NewLocks(lim.UrgentAfter, lim.MaxWaiters),
		isFreed:    map[int64]struct{}{},
		attempts:   map[ids.Txn]*attempt{},
		parts:      map[ids.Txn]*participation{},
		deliveries: map[ids.Txn]*delivery{},
		tells:      map[ids.Txn]*tell{},
		expiry:     map[ids.Time][]*request{},
		ages:       l.ages,
		ageClock:   l.ageClock,
		attemptNo:  l.attemptNo,
	}
}

// newAge gives a request its age. The clock in it never runs behind one that was
// seen in another age, so that a cluster whose clock is behind is not older than
// everybody it deals with, and wins every conflict, for ever.
func (r *Replica) newAge() ids.Age {
	r.lead.ages++
	r.lead.ageClock = max(r.now, r.lead.ageClock+1)
	return ids.Age{Clock: r.lead.ageClock, Cluster: r.cluster, Number: r.lead.ages}
}

func (r *Replica) sawAge(a ids.Age) { r.lead.ageClock = max(r.lead.ageClock, a.Clock) }

// becomeReady takes over: the own VIEW is applied, so everything that any
// earlier leader got chosen is applied too and nothing of theirs can still take
// effect. Locks are rebuilt from prepared before anything is admitted.
func (r *Replica) becomeReady() {
	r.lead.ready = true
	for _, seq := range r.bank.PreparedSeqs() {
		p := r.bank.Prepared(seq)
		r.sawAge(p.Age)
		if p.Role == bank.RoleCoordinator {
			r.adoptAttempt(p)
		} else {
			r.adoptParticipation(p)
		}
	}
	for _, d := range r.bank.Decisions() {
		r.deliver(d, nil)
	}
	for c, nodes := range r.clusters {
		if ids.Cluster(c) == r.cluster {
			continue
		}
		for _, n := range nodes {
			r.send(n, &twopc.LeaderAnnouncement{Cluster: r.cluster, Ballot: r.lead.ballot})
		}
	}
}

// stepDown drops all volatile state. What was applied was answered before;
// requests of which nothing can surface any more are unavailable, the others
// unknown.
func (r *Replica) stepDown() {
	for _, id := range slices.SortedFunc(maps.Keys(r.lead.requests), ids.Request.Compare) {
		req := r.lead.requests[id]
		o, final, message := bank.OutcomeUnavailable, false, "the leader stepped down before anything was proposed"
		if cached, contents, known := r.bank.Outcome(id); known {
			o, final, message = cached, true, outcomeMessage(cached, contents)
		} else if req.state == stateProposed || req.state == stateAttempt && req.attempt.Stage != twopc.PrepareNone {
			o, message = bank.OutcomeUnknown, "the leader stepped down while the request was under way"
		}
		for _, c := range req.calls {
			r.answerSubmit(c, o, final, message)
		}
		for _, c := range req.resolvers {
			if final {
				r.answer(c, Answer{Outcome: o, Final: true, Message: message})
			} else {
				r.redirect(c)
			}
		}
	}
	reads := slices.SortedFunc(maps.Keys(r.lead.reads), func(a, b *readCall) int {
		return cmp.Compare(a.id, b.id)
	})
	for _, rd := range reads {
		r.redirect(rd.call)
	}
	r.lead.reset(r.lim)
}

// free notes items whose waiters must be looked at. Thousands that give up at one
// deadline name the same item.
func (l *leadership) free(items ...int64) {
	for _, item := range items {
		if _, noted := l.isFreed[item]; !noted {
			l.isFreed[item] = struct{}{}
			l.freed = append(l.freed, item)
		}
	}
}

// pump lets waiters go on whose items were freed.
func (r *Replica) pump() {
	for len(r.lead.freed) > 0 {
		item := r.lead.freed[0]
		r.lead.freed = r.lead.freed[1:]
		delete(r.lead.isFreed, item)
		g := r.lead.locks.Grant(item, r.now)
		for _, w := range g.Proceed {
			switch o := w.Owner.(type) {
			case *readCall:
				o.waiter = nil
				r.endReadWith(o)
			case *request:
				// Others may have stood back for it on its other item.
				r.lead.free(w.Items...)
				r.proceedIntra(o)
			}
		}
		for _, w := range g.Refused {
			r.refuse(w.Owner.(*participation), twopc.ReasonConflict)
		}
		switch w := g.Winner; {
		case w == nil:
		case w.Kind == twopc.WaitStart:
			req := w.Owner.(*request)
			req.waiter = nil
			if o, contents, known := r.bank.Outcome(req.id); known {
				r.unlock(req.transfer.From, ids.Txn{}, nil)
				r.endTurn(req.transfer.To)
				r.finish(req, o, true, outcomeMessage(o, contents))
			} else {
				r.newAttempt(req)
			}
		default:
			r.participantLocked(w.Owner.(*participation))
		}
	}
}

// unlock releases an item, measures how long it was held and lets waiters look.
func (r *Replica) unlock(item int64, txn ids.Txn, tl *Timeline) {
	lock := r.lead.locks.Release(item, txn)
	r.counters.LockHold.Record(ids.Duration(r.now - lock.Since))
	if tl != nil {
		tl.Released = r.now
		tl.BalanceAfter, _ = r.bank.Balance(item)
	}
	r.lead.free(item)
}

// newTimeline starts to measure the life of a lock.
func (r *Replica) newTimeline(txn ids.Txn, role bank.Role, item int64, t ids.Transfer) *Timeline {
	b, _ := r.bank.Balance(item)
	tl := &Timeline{Txn: txn, Role: role, Item: item, Transfer: t, Locked: r.now, BalanceBefore: b}
	if len(r.timelines) >= r.lim.MaxTimelines {
		// Copy rather than reslice, so that the dropped half can be collected.
		r.timelines = append([]*Timeline(nil), r.timelines[len(r.timelines)/2:]...)
	}
	r.timelines = append(r.timelines, tl)
	return tl
}

// delivery is a decision to commit on its way to the participant.
type delivery struct {
	bank.Decision
	attempt *attempt // waits for the acknowledgement; nil after a change of leader
	post    post
}

// tell is an abort on its way to the participant.
type tell struct {
	txn    ids.Txn
	peer   ids.Cluster
	reason twopc.Reason
	post   post
}

// post repeats a message to another cluster until it is stopped, to the leader
// if one is known, else to one node after the other.
type post struct {
	peer  ids.Cluster
	to    ids.Node // asked last
	sent  ids.Time // when
	every ids.Duration
	hops  int // redirects followed since the last timer
	timer timer
}

// post returns whom the message is to be sent to now, and tells owner when there was
// no answer for a while: it calls unanswered and sends again.
func (r *Replica) post(p *post, owner firer) (to ids.Node) {
	p.to, p.sent = r.directory.Target(p.peer), r.now
	if p.every == 0 {
		p.every = r.lim.RetryEvery
	}
	r.lead.timers.set(&p.timer, r.now+ids.Time(p.every), owner)
	return p.to
}

// unanswered notes the silence of who was asked last. The interval doubles up to
// limit.
func (r *Replica) unanswered(p *post, limit ids.Duration) {
	p.every = min(2*p.every, limit)
	p.hops = 0
	r.directory.Silent(p.peer, p.to, p.sent)
}

// redirected follows a "not leader, try nX" at once, a few times.
func (r *Replica) redirected(p *post, from, hint ids.Node, again func()) {
	if hint != 0 && (!r.validNode(hint) || r.home[hint] != p.peer) {
		hint = 0
	}
	elsewhere := r.directory.NotLeader(p.peer, from, hint, r.now)
	if p.hops < 3 && (elsewhere || r.directory.Target(p.peer) != p.to) {
		p.hops++
		again()
	}
}

// resend sends at once whatever waits for an answer from a cluster whose new leader
// has announced itself: what went to the old one is lost, and the timers may have
// backed off far.
func (r *Replica) resend(c ids.Cluster) {
	stale := func(p *post) bool {
		if p.peer != c || !p.timer.armed() {
			return false
		}
		p.every, p.hops = 0, 0
		return true
	}
	for _, txn := range slices.SortedFunc(maps.Keys(r.lead.attempts), ids.Txn.Compare) {
		if a := r.lead.attempts[txn]; stale(&a.post) {
			r.askPeer(a)
		}
	}
	for _, txn := range slices.SortedFunc(maps.Keys(r.lead.deliveries), ids.Txn.Compare) {
		if dl := r.lead.deliveries[txn]; stale(&dl.post) {
			r.sendCommit(dl)
		}
	}
	for _, txn := range slices.SortedFunc(maps.Keys(r.lead.tells), ids.Txn.Compare) {
		if t := r.lead.tells[txn]; stale(&t.post) {
			r.sendAbort(t)
		}
	}
	for _, txn := range slices.SortedFunc(maps.Keys(r.lead.parts), ids.Txn.Compare) {
		if p := r.lead.parts[txn]; stale(&p.post) {
			r.inquire(p)
		}
	}
}

func (r *Replica) deliver(d bank.Decision, a *attempt) {
	dl := &delivery{Decision: d, attempt: a, post: post{peer: d.Peer}}
	r.lead.deliveries[d.Txn] = dl
	r.sendCommit(dl)
}

func (r *Replica) sendCommit(dl *delivery) {
	r.send(r.post(&dl.post, dl), &twopc.TwoPCCommitRequest{Txn: dl.Txn, Seq: dl.PeerSeq})
}

// fire: the participant has not acknowledged.
func (dl *delivery) fire(r *Replica) {
	r.unanswered(&dl.post, r.lim.RetryMax)
	r.sendCommit(dl)
}

func (r *Replica) onCommitReply(from ids.Node, m *twopc.TwoPCCommitReply) {
	dl := r.lead.deliveries[m.Txn]
	switch {
	case dl == nil || r.home[from] != dl.Peer:
	case !m.Success:
		r.redirected(&dl.post, from, m.Leader, func() { r.sendCommit(dl) })
	case m.Seq == dl.PeerSeq:
		r.directory.Heard(dl.Peer, from, r.now)
		dl.post.timer.stop()
		delete(r.lead.deliveries, m.Txn)
		r.lead.ends = append(r.lead.ends, m.Txn)
		if !r.lead.endTimer.armed() {
			r.lead.timers.set(&r.lead.endTimer, r.now+ids.Time(r.lim.EndAfter), fireFunc(func(r *Replica) { r.proposeEnds(true) }))
		}
		if a := dl.attempt; a != nil {
			a.timeline.Acknowledged = r.now
			r.committed(a)
		}
	}
}

// maxEnds bounds one END entry.
const maxEnds = 1024

// proposeEnds proposes an END for what was acknowledged. Nobody waits for it, so
// it waits a little for company; forced, it goes out now.
func (r *Replica) proposeEnds(forced bool) {
	if len(r.lead.ends) == 0 || !forced && len(r.lead.ends) < maxEnds {
		return
	}
	for len(r.lead.ends) > 0 {
		n := min(len(r.lead.ends), maxEnds)
		r.propose(&bank.Entry{Kind: bank.KindEnd, Ended: r.lead.ends[:n]})
		r.lead.ends = r.lead.ends[n:]
		r.lead.ending++
	}
	r.lead.ends = nil
	r.lead.endTimer.stop()
}

func (r *Replica) endsApplied([]ids.Txn) { r.lead.ending-- }

// tellAbort tells a participant, again and again until it answers. When too many
// are told already it is told once: a waiter ends at its own deadline, and who is
// prepared inquires and hears abort.
func (r *Replica) tellAbort(txn ids.Txn, peer ids.Cluster, reason twopc.Reason) {
	t := &tell{txn: txn, peer: peer, reason: reason, post: post{peer: peer}}
	if len(r.lead.tells) >= r.lim.MaxTells {
		r.send(r.directory.Target(peer), &twopc.TwoPCAbortRequest{Txn: txn, Reason: reason})
		return
	}
	r.lead.tells[txn] = t
	r.sendAbort(t)
}

func (r *Replica) sendAbort(t *tell) {
	r.send(r.post(&t.post, t), &twopc.TwoPCAbortRequest{Txn: t.txn, Reason: t.reason})
}

// fire: the participant has not answered.
func (t *tell) fire(r *Replica) {
	r.unanswered(&t.post, r.lim.RetryMax)
	r.sendAbort(t)
}

func (r *Replica) onAbortReply(from ids.Node, m *twopc.TwoPCAbortReply) {
	t := r.lead.tells[m.Txn]
	switch {
	case t == nil || r.home[from] != t.peer:
	case m.Success:
		r.directory.Heard(t.peer, from, r.now)
		t.post.timer.stop()
		delete(r.lead.tells, m.Txn)
	default:
		r.redirected(&t.post, from, m.Leader, func() { r.sendAbort(t) })
	}
}

// refusal is what a node that cannot answer says: who leads, and whether there
// is a majority.
func (r *Replica) refusal() (twopc.Reason, ids.Node) {
	leader := r.px.Leader()
	if leader == r.self {
		leader = 0
	}
	if leader == 0 && !r.px.IsLeader() && !r.px.Quorum() {
		return twopc.ReasonNoQuorum, 0
	}
	return twopc.ReasonNotLeader, leader
}

func reasonText(reason twopc.Reason) string {
	switch reason {
	case twopc.ReasonConflict:
		return "the receiver's item is locked by an older transaction"
	case twopc.ReasonInvalid:
		return "the participant found the transfer invalid"
	case twopc.ReasonNoQuorum:
		return "the participant's cluster has no majority"
	case twopc.ReasonTimeout:
		return "the participant did not answer in time"
	case twopc.ReasonInsufficientFunds:
		return "the sender's balance is too low"
	case twopc.ReasonOverflow:
		return "the receiver's balance would overflow"
	case twopc.ReasonQueueFull:
		return "too many requests wait for the receiver's item"
	case twopc.ReasonVoid:
		return "the participant's prepare had no effect"
	}
	return fmt.Sprintf("reason %d", reason)
}
