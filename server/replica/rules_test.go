package replica

import (
	"math"
	"testing"

	"paxbank/internal/topology"
	"paxbank/server/bank"
	"paxbank/server/ids"
	"paxbank/server/paxos"
	"paxbank/server/twopc"
)

// Rules of ARCHITECTURE.md that random runs reach rarely or never, one by one.

func (w *world) transfer(n ids.Node, req ids.Request, doneBelow uint64, patience ids.Duration, from, to, amount int64) uint64 {
	return w.call(n, Event{Kind: EventSubmit, Request: req, DoneBelow: doneBelow,
		Transfer: ids.Transfer{From: from, To: to, Amount: amount}, Deadline: w.now + ids.Time(patience)})
}

func (w *world) resolve(n ids.Node, req ids.Request, item int64, patience ids.Duration) uint64 {
	return w.call(n, Event{Kind: EventResolve, Request: req, Item: item, Deadline: w.now + ids.Time(patience)})
}

func (w *world) message(to, from ids.Node, m any) {
	w.step(to, Event{Kind: EventMessage, From: from, Message: m})
}

// sent returns the messages of one kind that n sends while f runs; they are not
// delivered.
func sent[M any](w *world, n ids.Node, f func()) []M {
	var out []M
	before := w.drop
	w.drop = func(p packet) bool {
		if m, ok := p.m.(M); ok && p.from == n {
			out = append(out, m)
			return true
		}
		return before != nil && before(p)
	}
	f()
	w.settle()
	w.drop = before
	return out
}

func req(ts uint64) ids.Request { return ids.Request{Client: 7, Timestamp: ts} }

// A request that was in the log when its client's floor rose above it is void.
func TestFloorIsCheckedOnApply(t *testing.T) {
	w := threeByThree(t)
	// Held back at the followers' answers, both are in the log before either is
	// applied. The second says that nothing below 3 is needed any more.
	w.step(1,
		Event{Kind: EventSubmit, Call: 101, Request: req(3), DoneBelow: 3, Transfer: ids.Transfer{From: 1, To: 2, Amount: 1}, Deadline: w.now + ids.Time(Second)},
		Event{Kind: EventSubmit, Call: 102, Request: req(2), DoneBelow: 1, Transfer: ids.Transfer{From: 3, To: 4, Amount: 1}, Deadline: w.now + ids.Time(Second)},
		Event{Kind: EventSubmit, Call: 103, Request: req(1), DoneBelow: 1, Transfer: ids.Transfer{From: 5, To: 3001, Amount: 1}, Deadline: w.now + ids.Time(Second)},
		Event{Kind: EventResolve, Call: 104, Request: ids.Request{Client: 7}, Item: 1, Deadline: w.now + ids.Time(Second)})
	w.run(500 * Millisecond)
	w.expect(101, bank.OutcomeCommitted)
	for _, call := range []uint64{102, 103, 104} {
		if a := w.expect(call, bank.OutcomeUnknown); a.Final {
			t.Fatalf("call %d: unknown is never final", call)
		}
	}
	w.balance(3, 10)
	w.balance(5, 10)
	w.balance(3001, 50)
	w.clean()
	// Afterwards they are refused without an entry.
	last := w.nodes[1].r.Status().LastIndex
	w.expect(w.submit(1, 2, 3, 4, 1), bank.OutcomeUnknown)
	w.expect(w.resolve(1, req(2), 3, Second), bank.OutcomeUnknown)
	if now := w.nodes[1].r.Status().LastIndex; now != last {
		t.Fatalf("%d entries were logged for requests that are too old", now-last)
	}
	// The floor holds for its client only.
	w.expect2(w.transfer(1, ids.Request{Client: 8, Timestamp: 1}, 1, Second, 3, 4, 1))
}

// Only a ready leader whose ballot is not below the attempt's may presume abort.
func TestInquiryIsAnsweredByWhoCanKnow(t *testing.T) {
	w := threeByThree(t)
	own := w.nodes[1].r.lead.ballot
	ask := func(to ids.Node, b ids.Ballot) twopc.Answer {
		t.Helper()
		txn := ids.Txn{Request: req(9), Ballot: b, Number: 1}
		replies := sent[*twopc.TwoPCInquiryReply](w, to, func() {
			w.message(to, 4, &twopc.TwoPCInquiryRequest{Txn: txn, Seq: 5})
		})
		if len(replies) != 1 || replies[0].Txn != txn || replies[0].Seq != 5 {
			t.Fatalf("replies: %+v", replies)
		}
		return replies[0].Answer
	}
	if a := ask(1, own); a != twopc.AnswerAbort {
		t.Fatalf("an attempt that is not run here: answer %d", a)
	}
	if a := ask(1, ids.Ballot{Counter: own.Counter, Node: 2}); a != twopc.AnswerNotLeader {
		t.Fatalf("an attempt of a later leader: answer %d", a)
	}
	if a := ask(2, own); a != twopc.AnswerNotLeader {
		t.Fatalf("a follower: answer %d", a)
	}
	// A leader whose VIEW is not applied yet does not know what it will find.
	w.live(1, false)
	w.drop = func(p packet) bool { return p.from == 3 && is[*paxos.Accepted](p) }
	w.run(700 * Millisecond)
	leader := ids.Node(2)
	if w.nodes[3].r.px.IsLeader() {
		t.Fatal("n3 leads; the test wants n2 to") // by the seed
	}
	if !w.nodes[leader].r.px.IsLeader() || w.nodes[leader].r.Status().Ready {
		t.Fatalf("n%d: %+v", leader, w.nodes[leader].r.Status())
	}
	if a := ask(leader, own); a != twopc.AnswerNotLeader {
		t.Fatalf("a leader that is not ready: answer %d", a)
	}
	// Nor does it admit, vote or acknowledge.
	w.expect(w.submit(leader, 1, 1, 2, 1), bank.OutcomeNotLeader)
	w.expect(w.read(leader, 1), bank.OutcomeNotLeader)
	votes := sent[*twopc.TwoPCPrepareReply](w, leader, func() {
		w.message(leader, 4, &twopc.TwoPCPrepareRequest{Txn: ids.Txn{Request: req(9)}, Cluster: 1,
			Transfer: ids.Transfer{From: 3001, To: 1, Amount: 1}, Remaining: Second})
	})
	if len(votes) != 1 || votes[0].Success || votes[0].Reason != twopc.ReasonNotLeader {
		t.Fatalf("votes: %+v", votes)
	}
	acks := sent[*twopc.TwoPCCommitReply](w, leader, func() {
		w.message(leader, 4, &twopc.TwoPCCommitRequest{Txn: ids.Txn{Request: req(9)}, Seq: 1})
	})
	if len(acks) != 1 || acks[0].Success {
		t.Fatalf("acknowledgements: %+v", acks)
	}
}

func TestOverflow(t *testing.T) {
	w := newWorld(t, 2, 3, 20, func(topo *topology.Topology, _ *Limits) {
		topo.Balances = map[int64]int64{2: math.MaxInt64 - 3, 12: math.MaxInt64 - 3}
	})
	for range 2 { // and again from the cache
		a := w.submit(1, 1, 1, 2, 4)
		w.settle()
		if a := w.expect(a, bank.OutcomeInvalid); !a.Final {
			t.Fatal("an outcome of an applied entry is final")
		}
	}
	b := w.submit(1, 2, 1, 12, 4)
	w.run(500 * Millisecond)
	if a := w.expect(b, bank.OutcomeAborted); a.Final {
		t.Fatal("aborted speaks of one send")
	}
	w.balance(1, 10)
	w.balance(12, math.MaxInt64-3)
	c := w.submit(1, 3, 1, 12, 3)
	w.run(500 * Millisecond)
	w.expect(c, bank.OutcomeCommitted)
	w.balance(12, math.MaxInt64)
	w.clean()
}

// A known client and timestamp with other contents: while it is under way, and
// when its outcome is cached. The first one is not harmed.
func TestOtherContents(t *testing.T) {
	w := threeByThree(t)
	release := hold[*twopc.TwoPCPrepareReply](w)
	first := w.submit(1, 1, 1001, 3001, 10)
	w.settle()
	w.expect(w.submit(1, 1, 1001, 3001, 11), bank.OutcomeInvalid)
	w.expect(w.submit(1, 1, 1001, 1002, 10), bank.OutcomeInvalid)
	same := w.submit(1, 1, 1001, 3001, 10)
	release()
	w.run(500 * Millisecond)
	w.expect(first, bank.OutcomeCommitted)
	w.expect(same, bank.OutcomeCommitted)
	w.expect(w.submit(1, 1, 1001, 3002, 10), bank.OutcomeInvalid)
	w.expect(w.submit(1, 1, 1001, 3001, 10), bank.OutcomeCommitted)
	w.balance(1001, 90)
	w.balance(3001, 60)
	w.clean()
}

// Queues are bounded, and who finds one full is told what is true: nothing was
// proposed, or (for one that asks about a request) nothing is known.
func TestFullQueues(t *testing.T) {
	w := newWorld(t, 2, 3, 20, func(_ *topology.Topology, l *Limits) { l.MaxRequests, l.MaxWaiters, l.MaxCalls = 4, 2, 2 })
	release := hold[*twopc.TwoPCPrepareReply](w)
	holder := w.submit(1, 1, 1, 11, 1)
	w.settle()
	waits := []uint64{w.submit(1, 2, 1, 2, 1), w.submit(1, 3, 1, 12, 1)}
	w.expect(w.submit(1, 4, 1, 3, 1), bank.OutcomeAborted) // the item's queue
	rd := w.read(1, 1)
	w.run(10 * Millisecond)
	w.expect(rd, bank.OutcomeUnavailable) // the same
	open := w.submit(1, 5, 4, 12, 1)
	w.expect(w.submit(1, 6, 5, 6, 1), bank.OutcomeAborted) // the leader's
	w.expect(w.read(1, 5), bank.OutcomeUnavailable)
	w.expect(w.resolve(1, req(6), 5, Second), bank.OutcomeUnknown)
	joined := w.resolve(1, req(2), 1, 5*Second) // joins what is under way
	w.expect(w.resolve(1, req(2), 1, 5*Second), bank.OutcomeUnknown)
	w.expect(w.submit(1, 2, 1, 2, 1), bank.OutcomeUnknown)
	release()
	w.run(2 * Second)
	for _, c := range append(waits, holder, open, joined) {
		w.expect(c, bank.OutcomeCommitted)
	}
	w.balance(1, 7)
	w.clean()
	// What was refused for want of room runs when there is room.
	c := w.submit(1, 6, 5, 6, 1)
	w.settle()
	w.expect(c, bank.OutcomeCommitted)
}

// At its deadline a request that nothing was proposed for is aborted, one whose
// entry may still be chosen is unknown, and neither is answered much later.
func TestDeadlines(t *testing.T) {
	w := threeByThree(t)
	// One that was over when it arrived is not even logged.
	last := w.nodes[1].r.Status().LastIndex
	w.expect(w.transfer(1, req(9), 1, 0, 1, 2, 1), bank.OutcomeAborted)
	if now := w.nodes[1].r.Status().LastIndex; now != last {
		t.Fatal("a request was logged after its deadline")
	}
	hold[*twopc.TwoPCPrepareReply](w)
	started := w.now
	holder := w.transfer(1, req(1), 1, 300*Millisecond, 1001, 3001, 10)
	w.settle()
	waiting := w.transfer(1, req(2), 1, 100*Millisecond, 1001, 1002, 1)
	start := w.transfer(1, req(3), 1, 100*Millisecond, 1001, 3002, 1)
	rd := w.call(1, Event{Kind: EventRead, Item: 1001, Deadline: w.now + ids.Time(100*Millisecond)})
	w.run(150 * Millisecond)
	w.expect(waiting, bank.OutcomeAborted)
	w.expect(start, bank.OutcomeAborted)
	w.expect(rd, bank.OutcomeUnavailable)
	// No vote until the deadline: A, and the money is back.
	w.run(ids.Duration(started + ids.Time(350*Millisecond) - w.now))
	w.expect(holder, bank.OutcomeAborted)
	w.balance(1001, 100)
	w.drop = nil
	w.run(2 * Second)
	w.balance(3001, 50)
	w.clean()
	// In the log, not chosen.
	w.drop = func(p packet) bool { return is[*paxos.Accepted](p) || is[*paxos.HeartbeatReply](p) }
	stuck := w.transfer(1, req(4), 1, 100*Millisecond, 1, 2, 1)
	w.run(150 * Millisecond)
	if a, answered := w.answers[stuck]; answered {
		t.Fatalf("answered %s though it may still be chosen", a.Outcome)
	}
	w.run(300 * Millisecond)
	w.expect(stuck, bank.OutcomeUnknown)
	w.drop = nil
	w.run(1 * Second)
	asked := w.resolve(1, req(4), 1, Second)
	w.settle()
	w.expect(asked, bank.OutcomeCommitted)
	w.clean()
}
