package replica

import (
	"fmt"
	"math"
	"slices"

	"paxbank/server/bank"
	"paxbank/server/ids"
	"paxbank/server/twopc"
)

// requestState is where a client's request is at its leader.
type requestState uint8

const (
	// stateWaiting: at step 0, for locked items. Nothing is proposed.
	stateWaiting requestState = iota + 1
	// stateBackoff: an attempt lost a conflict; the next one starts soon.
	stateBackoff
	// stateProposed: its intra-shard entry or tombstone is in the log, not applied.
	stateProposed
	// stateAttempt: a cross-shard attempt is under way.
	stateAttempt
	// stateOver: answered; only stale pointers see this.
	stateOver
)

type call struct {
	id       uint64
	start    ids.Time
	deadline ids.Time
}

// request is a client's request under way at its leader, however often it was
// sent.
type request struct {
	id        ids.Request
	transfer  ids.Transfer
	doneBelow uint64
	deadline  ids.Time
	age       ids.Age
	state     requestState
	tombstone bool // stateProposed: it is a tombstone
	cross     bool
	tries     int
	calls     []call // of Submit
	resolvers []call // of Resolve
	waiter    *twopc.Waiter
	attempt   *attempt
	backoff   timer
}

// readCall is a read that waits for a leadership round, for its index to be
// applied, or for a lock.
type readCall struct {
	call
	item     int64
	index    uint64
	round    uint64
	deadline timer
	waiter   *twopc.Waiter
}

func (r *Replica) answer(c call, a Answer) {
	a.Call = c.id
	r.out.Answers = append(r.out.Answers, a)
}

// answerSubmit ends one Submit call and counts it.
func (r *Replica) answerSubmit(c call, o bank.Outcome, final bool, message string) {
	r.counters.Outcomes[o]++
	r.counters.Latency.Record(ids.Duration(r.now - c.start))
	r.answer(c, Answer{Outcome: o, Final: final, Message: message})
}

func (r *Replica) deadline(d ids.Time) ids.Time {
	return min(max(d, r.now+ids.Time(Millisecond)), r.now+ids.Time(r.lim.MaxDeadline))
}

func (r *Replica) submit(e *Event) {
	c := call{e.Call, r.now, r.deadline(e.Deadline)}
	if why := r.invalid(e.Transfer); why != "" {
		r.answerSubmit(c, bank.OutcomeInvalid, true, why)
		return
	}
	if home, _ := r.clusterOf(e.Transfer.From); home != r.cluster {
		r.elsewhere(c, home)
		return
	}
	if !r.lead.ready {
		r.redirect(c)
		return
	}
	if r.answerKnown(e.Request, &e.Transfer, c, true) {
		return
	}
	if req := r.lead.requests[e.Request]; req != nil {
		if !req.tombstone && req.transfer != (ids.Transfer{}) && req.transfer != e.Transfer {
			r.answerSubmit(c, bank.OutcomeInvalid, true, "this client and timestamp belong to "+req.transfer.String())
			return
		}
		if r.crowded(req) {
			r.answerSubmit(c, bank.OutcomeUnknown, false, tooManyCalls)
			return
		}
		req.calls = append(req.calls, c)
		req.doneBelow = max(req.doneBelow, e.DoneBelow)
		r.extend(req, c)
		return
	}
	if e.Deadline <= r.now {
		// It waited too long to get here; whoever sent it has given it up.
		r.answerSubmit(c, bank.OutcomeAborted, false, "the deadline had passed before anything was proposed")
		return
	}
	if r.full() {
		r.answerSubmit(c, bank.OutcomeAborted, false, fmt.Sprintf("%d requests are under way already", r.lim.MaxRequests))
		return
	}
	to, _ := r.clusterOf(e.Transfer.To)
	req := &request{
		id: e.Request, transfer: e.Transfer, doneBelow: e.DoneBelow,
		age:   r.newAge(),
		cross: to != r.cluster,
		calls: []call{c},
	}
	r.lead.requests[e.Request] = req
	r.extend(req, c)
	r.start(req)
}

// full reports whether there is no room for another request or read.
func (r *Replica) full() bool { return len(r.lead.requests)+len(r.lead.reads) >= r.lim.MaxRequests }

// crowded reports whether as many calls wait for one request as may.
func (r *Replica) crowded(req *request) bool {
	return len(req.calls)+len(req.resolvers) >= r.lim.MaxCalls
}

const tooManyCalls = "too many calls wait for this request already; ask again"

// extend notes how long a caller of req is going to wait.
func (r *Replica) extend(req *request, c call) {
	req.deadline = max(req.deadline, c.deadline)
	r.watch(req, c.deadline)
}

// answerKnown answers from the session, if it can: the outcome is cached or the
// request is below its client's floor. transfer is nil for a resolve.
func (r *Replica) answerKnown(id ids.Request, transfer *ids.Transfer, c call, submit bool) bool {
	reply := func(o bank.Outcome, final bool, message string) {
		if submit {
			r.answerSubmit(c, o, final, message)
		} else {
			r.answer(c, Answer{Outcome: o, Final: final, Message: message})
		}
	}
	o, contents, known := r.bank.Outcome(id)
	switch {
	case known && transfer != nil && contents != (ids.Transfer{}) && contents != *transfer:
		reply(bank.OutcomeInvalid, true, "this client and timestamp belong to "+contents.String())
	case known:
		reply(o, true, outcomeMessage(o, contents))
	case id.Timestamp < r.bank.Floor(id.Client):
		reply(bank.OutcomeUnknown, false, "too old: the client said that it no longer needs this outcome")
	default:
		return false
	}
	return true
}

func outcomeMessage(o bank.Outcome, t ids.Transfer) string {
	switch o {
	case bank.OutcomeInsufficientFunds:
		return fmt.Sprintf("item %d holds less than %d", t.From, t.Amount)
	case bank.OutcomeInvalid:
		return fmt.Sprintf("the balance of item %d would overflow", t.To)
	case bank.OutcomeAborted:
		return "resolved: the request can no longer execute"
	}
	return ""
}

// start admits a request or tries it again: propose, lock, or wait.
func (r *Replica) start(req *request) {
	if o, contents, known := r.bank.Outcome(req.id); known {
		r.finish(req, o, true, outcomeMessage(o, contents))
		return
	}
	t := req.transfer
	switch {
	case req.cross && r.lead.locks.TryStart(t.From, t.To, req.age, r.now):
		r.newAttempt(req)
		return
	case !req.cross && r.lead.locks.Free(t.From, t.To):
		r.proposeIntra(req)
		return
	}
	w := &twopc.Waiter{Kind: twopc.WaitIntra, Items: []int64{t.From, t.To}, Age: req.age, Owner: req}
	if req.cross {
		w.Kind = twopc.WaitStart
	}
	if r.lead.locks.Wait(w, r.now) != twopc.Waiting {
		r.finish(req, bank.OutcomeAborted, false, fmt.Sprintf("%d requests wait for an item of %s already", r.lim.MaxWaiters, t))
		return
	}
	req.state, req.waiter = stateWaiting, w
}

func (r *Replica) proposeIntra(req *request) {
	req.state, req.waiter = stateProposed, nil
	r.propose(&bank.Entry{Kind: bank.KindTransfer, Txn: ids.Txn{Request: req.id}, DoneBelow: req.doneBelow,
		Transfer: req.transfer, Age: req.age})
}

// proceedIntra goes on with a transfer that waited: its items are free, though
// the next holder of one may have its lock already. The entry goes into the log
// before that holder's P.
func (r *Replica) proceedIntra(req *request) {
	if o, contents, known := r.bank.Outcome(req.id); known {
		r.finish(req, o, true, outcomeMessage(o, contents))
		return
	}
	r.proposeIntra(req)
}

// watch makes sure that req is looked at soon after a time, or earlier. Times are
// rounded up to deadlineGrain, so that thousands of requests share a timer.
func (r *Replica) watch(req *request, at ids.Time) {
	slot := min(at, r.now+watchMax)/deadlineGrain + 1
	if _, armed := r.lead.expiry[slot]; !armed {
		r.lead.timers.set(&timer{}, slot*deadlineGrain, fireFunc(func(r *Replica) {
			due := r.lead.expiry[slot]
			delete(r.lead.expiry, slot)
			for _, req := range due {
				r.expire(req)
			}
		}))
	}
	r.lead.expiry[slot] = append(r.lead.expiry[slot], req)
}

const (
	// deadlineGrain: deadlines are kept to this precision.
	deadlineGrain = ids.Time(20 * Millisecond)
	// deadlineSlack: what is in the log at its deadline has so much longer to be
	// chosen before its callers hear "unknown".
	deadlineSlack = ids.Time(300 * Millisecond)
	// watchMax: a request is looked at this often, so that one that is over long
	// before its deadline is not kept in memory until then.
	watchMax = ids.Time(2 * Second)
)

// expire gives a request up that can still be given up when the last of its
// callers has run out of time. What may still take effect goes on without those
// whose time is over; they hear "unknown".
func (r *Replica) expire(req *request) {
	if r.now >= req.deadline {
		switch req.state {
		case stateWaiting:
			r.cancelWait(req.waiter)
			r.finish(req, bank.OutcomeAborted, false, fmt.Sprintf("items of %s stayed locked until the deadline", req.transfer))
		case stateBackoff:
			req.backoff.stop()
			r.finish(req, bank.OutcomeAborted, false, "the receiver's item stayed locked until the deadline")
		case stateAttempt:
			req.attempt.Abort(twopc.ReasonTimeout)
			r.drive(req.attempt)
		}
	}
	if req.state == stateOver {
		return
	}
	const message = "no decision before the deadline"
	next := ids.Time(math.MaxInt64)
	lookAt := func(at ids.Time) {
		if at > r.now {
			next = min(next, at)
		}
	}
	lookAt(req.deadline)
	expired := func(c call) bool {
		lookAt(c.deadline)
		lookAt(c.deadline + deadlineSlack)
		return r.now >= c.deadline+deadlineSlack
	}
	req.calls = slices.DeleteFunc(req.calls, func(c call) bool {
		if expired(c) {
			r.answerSubmit(c, bank.OutcomeUnknown, false, message)
			return true
		}
		return false
	})
	req.resolvers = slices.DeleteFunc(req.resolvers, func(c call) bool {
		if expired(c) {
			r.answer(c, Answer{Outcome: bank.OutcomeUnknown, Message: message})
			return true
		}
		return false
	})
	if next != math.MaxInt64 {
		r.watch(req, next)
	}
}

// cancelWait takes a waiter out and lets those go on that stood back for it.
func (r *Replica) cancelWait(w *twopc.Waiter) {
	r.lead.locks.Cancel(w)
	r.lead.free(w.Items...)
}

// settle ends a request whose entry was applied.
func (r *Replica) settle(req *request, effect bank.Effect) {
	if o, contents, known := r.bank.Outcome(req.id); known {
		r.finish(req, o, true, outcomeMessage(o, contents))
		return
	}
	// Below the floor: the outcome was forgotten, or the entry was void.
	r.finish(req, bank.OutcomeUnknown, false, "no outcome: "+effect.String())
}

// finish answers everybody who waits for req. Who resolves an outcome that is
// not final gets a tombstone instead.
func (r *Replica) finish(req *request, o bank.Outcome, final bool, message string) {
	for _, c := range req.calls {
		r.answerSubmit(c, o, final, message)
	}
	req.calls = nil
	if len(req.resolvers) > 0 && !final && o != bank.OutcomeUnknown {
		r.proposeTombstone(req)
		return
	}
	for _, c := range req.resolvers {
		r.answer(c, Answer{Outcome: o, Final: final, Message: message})
	}
	req.state = stateOver
	delete(r.lead.requests, req.id)
}

// resolve settles a request: its cached outcome, or what is under way, or a
// tombstone.
func (r *Replica) resolve(e *Event) {
	c := call{e.Call, r.now, r.deadline(e.Deadline)}
	home, ok := r.clusterOf(e.Item)
	switch {
	case !ok:
		r.answer(c, Answer{Outcome: bank.OutcomeInvalid, Message: fmt.Sprintf("no item %d", e.Item)})
		return
	case home != r.cluster:
		r.elsewhere(c, home)
		return
	case !r.lead.ready:
		r.redirect(c)
		return
	case r.answerKnown(e.Request, nil, c, false):
		return
	}
	req := r.lead.requests[e.Request]
	switch {
	case req == nil && r.full():
		r.answer(c, Answer{Outcome: bank.OutcomeUnknown,
			Message: fmt.Sprintf("%d requests are under way already; ask again", r.lim.MaxRequests)})
		return
	case req == nil:
		req = &request{id: e.Request}
		r.lead.requests[e.Request] = req
		req.resolvers = append(req.resolvers, c)
		req.doneBelow = e.DoneBelow
		r.watch(req, c.deadline)
		r.proposeTombstone(req)
		return
	case r.crowded(req):
		r.answer(c, Answer{Outcome: bank.OutcomeUnknown, Message: tooManyCalls})
		return
	}
	// The request keeps its own deadline: asking does not execute it late.
	r.watch(req, c.deadline)
	req.doneBelow = max(req.doneBelow, e.DoneBelow)
	req.resolvers = append(req.resolvers, c)
}

func (r *Replica) proposeTombstone(req *request) {
	req.state, req.tombstone, req.attempt, req.waiter = stateProposed, true, nil, nil
	r.propose(&bank.Entry{Kind: bank.KindTombstone, Txn: ids.Txn{Request: req.id}, DoneBelow: req.doneBelow})
}

func (r *Replica) read(e *Event) {
	c := call{e.Call, r.now, r.deadline(e.Deadline)}
	home, ok := r.clusterOf(e.Item)
	switch {
	case !ok:
		r.answer(c, Answer{Outcome: bank.OutcomeInvalid, Final: true, Message: fmt.Sprintf("no item %d", e.Item)})
		return
	case home != r.cluster:
		r.elsewhere(c, home)
		return
	case !r.lead.ready:
		r.redirect(c)
		return
	case r.full():
		r.answer(c, Answer{Outcome: bank.OutcomeUnavailable,
			Message: fmt.Sprintf("%d requests are under way already", r.lim.MaxRequests)})
		return
	}
	rd := &readCall{call: c, item: e.Item, index: r.px.CommitIndex(), round: r.px.RequestRound()}
	r.lead.timers.set(&rd.deadline, c.deadline, rd)
	r.lead.reads[rd] = struct{}{}
	r.lead.readQueue = append(r.lead.readQueue, rd)
}

// fire: the read's deadline has come.
func (rd *readCall) fire(r *Replica) {
	if rd.waiter != nil {
		r.cancelWait(rd.waiter)
	}
	r.endRead(rd, Answer{Outcome: bank.OutcomeUnavailable, Message: "the read could not be served before its deadline"})
}

func (r *Replica) endRead(rd *readCall, a Answer) {
	rd.deadline.stop()
	delete(r.lead.reads, rd)
	r.counters.Reads++
	r.answer(rd.call, a)
}

// endReadWith answers a read with what its item holds, which is decided.
func (r *Replica) endReadWith(rd *readCall) {
	b, _ := r.bank.Balance(rd.item)
	r.endRead(rd, Answer{Outcome: bank.OutcomeCommitted, Final: true, Balance: b})
}

// serveReads answers the reads whose leadership round has ended and whose index
// is applied. A read of a locked item waits for the lock: it never returns an
// undecided balance.
func (r *Replica) serveReads() {
	if !r.lead.ready || len(r.lead.readQueue) == 0 {
		return
	}
	confirmed := r.px.ConfirmedRound()
	kept := r.lead.readQueue[:0]
	for _, rd := range r.lead.readQueue {
		if _, open := r.lead.reads[rd]; !open {
			continue
		}
		if rd.round > confirmed || rd.index > r.bank.Applied() {
			kept = append(kept, rd)
			continue
		}
		r.serveRead(rd)
	}
	clear(r.lead.readQueue[len(kept):])
	r.lead.readQueue = kept
}

func (r *Replica) serveRead(rd *readCall) {
	if r.lead.locks.Free(rd.item) {
		r.endReadWith(rd)
		return
	}
	rd.waiter = &twopc.Waiter{Kind: twopc.WaitRead, Items: []int64{rd.item}, Owner: rd}
	if r.lead.locks.Wait(rd.waiter, r.now) != twopc.Waiting {
		rd.waiter = nil
		r.endRead(rd, Answer{Outcome: bank.OutcomeUnavailable, Message: fmt.Sprintf("too many requests wait for item %d", rd.item)})
	}
}
