package replica

import (
	"slices"
	"testing"

	"paxbank/internal/topology"
	"paxbank/server/bank"
	"paxbank/server/ids"
	"paxbank/server/twopc"
)

// A vote that arrives twice, or a deadline that passes, while the decision is
// being delivered starts no second delivery, which nobody would ever stop.
func TestDecisionIsDeliveredOnce(t *testing.T) {
	for name, meanwhile := range map[string]func(w *world, vote any){
		"a second vote":       func(w *world, vote any) { w.message(1, 4, vote) },
		"the deadline passes": func(w *world, _ any) { w.run(150 * Millisecond) },
	} {
		t.Run(name, func(t *testing.T) {
			w := threeByThree(t)
			var vote any
			w.drop = func(p packet) bool {
				if is[*twopc.TwoPCPrepareReply](p) {
					vote = p.m
				}
				return is[*twopc.TwoPCCommitReply](p)
			}
			c := w.transfer(1, req(1), 1, 50*Millisecond, 1001, 3001, 10)
			w.settle()
			meanwhile(w, vote)
			w.drop = nil
			w.run(2 * Second)
			w.expect(c, bank.OutcomeCommitted)
			w.clean()
			if again := sent[*twopc.TwoPCCommitRequest](w, 1, func() { w.run(5 * Second) }); len(again) != 0 {
				t.Fatalf("%d commits sent after the acknowledgement", len(again))
			}
		})
	}
}

// On release reads and intra-shard transfers go first although the next holder
// of the lock is waiting too.
func TestReadsAndIntraGoBeforeTheNextHolder(t *testing.T) {
	w := threeByThree(t)
	release := hold[*twopc.TwoPCPrepareReply](w)
	w.submit(1, 1, 1001, 3001, 10)
	w.settle()
	next := w.submit(1, 2, 1001, 3002, 5)
	rd := w.read(1, 1001)
	intra := w.submit(1, 3, 1001, 1002, 7)
	w.run(50 * Millisecond)
	release()
	w.run(2 * Second)
	if a := w.expect(rd, bank.OutcomeCommitted); a.Balance != 90 {
		t.Fatalf("the read saw %d, not what the first transfer left", a.Balance)
	}
	w.expect(intra, bank.OutcomeCommitted)
	w.expect(next, bank.OutcomeCommitted)
	log, _ := w.nodes[1].r.Log(0, false)
	if third := log[2].Entry; third.Txn.Request != req(3) {
		t.Fatalf("after the first transfer's C the log has %s, not the transfer that waited", &third)
	}
	w.balance(1001, 78)
	w.clean()
}

// A lock that is released in the same step in which a new prepare arrives goes to
// who waits for it. Were it taken by an older newcomer, the younger one that
// waits already would wait for an older holder, and wait-die would deadlock.
func TestReleasedLockGoesToWhoWaits(t *testing.T) {
	w := newWorld(t, 3, 1, 30, nil)
	r := w.nodes[2].r // item 11 is its
	write := r.Effects().Write
	step := func(events ...Event) {
		r.Step(w.now, events)
		if n := r.Effects().Write; n != 0 {
			write = n
		}
	}
	prepare := func(n uint64, from ids.Node, age ids.Time) Event {
		return Event{Kind: EventMessage, From: from, Message: &twopc.TwoPCPrepareRequest{
			Txn: ids.Txn{Request: req(n), Number: 1}, Transfer: ids.Transfer{From: int64(from-1)*10 + 1, To: 11, Amount: 1},
			Age: ids.Age{Clock: age}, Remaining: Second, Cluster: ids.Cluster(from - 1)}}
	}
	durable := func() Event { return Event{Kind: EventDurable, Write: write} }
	step(prepare(1, 1, 100))
	step(durable())
	step(prepare(2, 1, 50)) // older: waits
	step(Event{Kind: EventMessage, From: 1, Message: &twopc.TwoPCAbortRequest{Txn: ids.Txn{Request: req(1), Number: 1}}})
	step(durable(), prepare(3, 3, 10))
	locks := r.Locks()
	if len(locks) != 1 || locks[0].Txn.Request != req(2) || locks[0].Waiters != 1 {
		t.Fatalf("locks: %+v", locks)
	}
}

// Resolve waits for what is under way and does not prolong it: asking must not
// execute a request after its own deadline.
func TestResolveDoesNotExecuteLate(t *testing.T) {
	w := threeByThree(t)
	release := hold[*twopc.TwoPCPrepareReply](w)
	w.submit(1, 1, 1001, 3001, 10)
	w.settle()
	late := w.transfer(1, req(2), 1, 200*Millisecond, 1001, 1002, 1)
	asked := w.resolve(1, req(2), 1001, 5*Second)
	w.run(600 * Millisecond)
	w.expect(late, bank.OutcomeAborted)
	if a := w.expect(asked, bank.OutcomeAborted); !a.Final {
		t.Fatal("what a tombstone says is final")
	}
	release()
	w.run(2 * Second)
	w.balance(1002, 10)
	w.clean()
}

// A node that saw no quorum is overruled by the leader that its cluster has.
func TestNoQuorumIsForgotten(t *testing.T) {
	w := threeByThree(t)
	var c uint64
	asked := sent[*twopc.TwoPCPrepareRequest](w, 1, func() { c = w.submit(1, 1, 1001, 3001, 10) })
	say := func(from ids.Node, m twopc.TwoPCPrepareReply) {
		m.Txn = asked[0].Txn
		w.message(1, from, &m)
	}
	w.drop = func(p packet) bool { return is[*twopc.TwoPCPrepareRequest](p) }
	say(5, twopc.TwoPCPrepareReply{Reason: twopc.ReasonNoQuorum})
	say(4, twopc.TwoPCPrepareReply{Reason: twopc.ReasonWaiting})
	w.run(600 * Millisecond)
	if a, over := w.answers[c]; over {
		t.Fatalf("gave up: %s (%s)", a.Outcome, a.Message)
	}
	w.drop = nil
	w.run(1 * Second)
	w.expect(c, bank.OutcomeCommitted)
	w.clean()
}

// Aborts that nobody answers do not pile up at the coordinator.
func TestTellsAreBounded(t *testing.T) {
	w := newWorld(t, 2, 3, 40, func(_ *topology.Topology, l *Limits) { l.MaxTells = 3 })
	for n := ids.Node(4); n <= 6; n++ {
		w.live(n, false)
	}
	var calls []uint64
	for ts := uint64(1); ts <= 10; ts++ {
		calls = append(calls, w.submit(1, ts, int64(ts), 21, 1))
	}
	w.run(6 * Second)
	for _, c := range calls {
		w.expect(c, bank.OutcomeAborted)
	}
	if n := len(w.nodes[1].r.lead.tells); n != 3 {
		t.Fatalf("%d aborts are repeated", n)
	}
	for n := ids.Node(4); n <= 6; n++ {
		w.live(n, true)
	}
	w.run(3 * Second)
	if n := len(w.nodes[1].r.lead.tells); n != 0 {
		t.Fatalf("%d aborts are repeated to a cluster that answers", n)
	}
	w.clean()
}

// A cluster whose clock is behind is not older than those it deals with: its ages
// are never below one that it has seen.
func TestAgesNeverRunBehindWhatWasSeen(t *testing.T) {
	w := threeByThree(t)
	ahead := w.now + ids.Time(3600*Second)
	w.message(1, 4, &twopc.TwoPCPrepareRequest{Txn: ids.Txn{Request: req(1), Number: 1}, Cluster: 1,
		Transfer: ids.Transfer{From: 3001, To: 1, Amount: 1}, Age: ids.Age{Clock: ahead, Cluster: 1, Number: 1}, Remaining: Second})
	w.settle()
	asked := sent[*twopc.TwoPCPrepareRequest](w, 1, func() {
		w.submit(1, 2, 1001, 3001, 1)
		w.submit(1, 3, 1002, 3002, 1)
	})
	if len(asked) != 2 || asked[0].Age.Clock <= ahead || !asked[0].Age.Older(asked[1].Age) {
		t.Fatalf("asked with ages %+v", asked)
	}
	w.run(2 * Second)
	w.clean()
}

// Timers that were stopped are not kept until they would have been due.
func TestStoppedTimersAreSwept(t *testing.T) {
	var ts timers
	fired := 0
	for n := range 100_000 {
		tm := &timer{}
		ts.set(tm, ids.Time(1_000_000+n), fireFunc(func(*Replica) { fired++ }))
		if n%1000 != 0 {
			tm.stop()
		}
	}
	if len(ts.heap) > 2*minSweep {
		t.Fatalf("%d timers are held, 100 count", len(ts.heap))
	}
	if ts.run(nil, 2_000_000); fired != 100 {
		t.Fatalf("%d timers fired", fired)
	}
}

// A timer fires once for each time that it was set, at the last of its times, and is
// not armed when it does.
func TestTimers(t *testing.T) {
	var ts timers
	var tm timer
	var fired []ids.Time
	var now ids.Time
	again := false
	f := fireFunc(func(*Replica) {
		fired = append(fired, now)
		if tm.armed() {
			t.Errorf("armed while it fires at %d", now)
		}
		if again {
			again = false
			ts.set(&tm, now+5, fireFunc(func(*Replica) { fired = append(fired, now) }))
		}
	})
	play := func(until ids.Time) {
		for ; now < until; now++ {
			ts.run(nil, now)
		}
	}
	ts.set(&tm, 20, f)
	ts.set(&tm, 10, f) // instead of 20
	if !tm.armed() || ts.next() != 10 {
		t.Errorf("armed %v, next at %d", tm.armed(), ts.next())
	}
	play(30)
	ts.set(&tm, 40, f)
	tm.stop()
	if tm.armed() || ts.next() != 0 {
		t.Errorf("stopped, but armed %v, next at %d", tm.armed(), ts.next())
	}
	play(50)
	again = true
	ts.set(&tm, 60, f) // and once more, from within
	play(80)
	if want := []ids.Time{10, 60, 65}; !slices.Equal(fired, want) {
		t.Errorf("fired at %v, want %v", fired, want)
	}
}

// A cluster that could not be reached is asked before anything is logged: the
// early abort leaves no entry, no lock and no undo record, and the first answer
// ends the suspicion.
func TestEarlyAbortLogsNothing(t *testing.T) {
	w := newWorld(t, 2, 3, 40, nil)
	w.drop = func(p packet) bool { return p.from > 3 && p.to <= 3 || p.from <= 3 && p.to > 3 }
	first := w.submit(1, 1, 1, 21, 1)
	w.run(3 * Second)
	w.expect(first, bank.OutcomeAborted)
	last := w.nodes[1].r.Status().LastIndex
	second := w.submit(1, 2, 1, 21, 1)
	w.settle()
	if s := w.nodes[1].r.Status(); s.Locks != 1 || s.UndoRecords != 0 {
		t.Fatalf("while it asks: %+v", s)
	}
	w.run(3 * Second)
	w.expect(second, bank.OutcomeAborted)
	if s := w.nodes[1].r.Status(); s.LastIndex != last || s.Locks != 0 {
		t.Fatalf("index %d before, then %+v", last, s)
	}
	w.drop = nil
	third := w.submit(1, 3, 1, 21, 1)
	w.run(2 * Second)
	w.expect(third, bank.OutcomeCommitted)
	if w.nodes[1].r.directory.Suspected(1) {
		t.Fatal("a cluster that answers is still suspected")
	}
	w.balance(1, 9)
	w.balance(21, 11)
	w.clean()
}

// Acknowledgements that do not come: the client hears committed after AckBound
// and the sender's lock is free, while the receiver stays locked until the
// decision gets there; a read of it waits and sees the credit.
func TestAckBound(t *testing.T) {
	w := threeByThree(t)
	release := hold[*twopc.TwoPCCommitRequest](w)
	started := w.now
	c := w.submit(1, 1, 1001, 3001, 10)
	w.run(w.lim.AckBound - 1*Millisecond)
	if _, early := w.answers[c]; early {
		t.Fatal("answered before the bound without an acknowledgement")
	}
	w.run(2 * Millisecond)
	w.expect(c, bank.OutcomeCommitted)
	if waited := w.now - started; waited > ids.Time(w.lim.AckBound+2*Millisecond) {
		t.Fatalf("answered after %d ns", waited)
	}
	again := w.submit(1, 2, 1001, 1002, 1)
	w.settle()
	w.expect(again, bank.OutcomeCommitted)
	rd := w.read(4, 3001)
	w.run(10 * Millisecond)
	if a, early := w.answers[rd]; early {
		t.Fatalf("the receiver was read while undecided: %+v", a)
	}
	release()
	w.run(2 * Second)
	if a := w.expect(rd, bank.OutcomeCommitted); a.Balance != 60 {
		t.Fatalf("read %d", a.Balance)
	}
	w.clean()
}
