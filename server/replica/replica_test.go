package replica

import (
	"testing"

	"paxbank/internal/topology"
	"paxbank/server/bank"
	"paxbank/server/ids"
	"paxbank/server/paxos"
	"paxbank/server/twopc"
)

func threeByThree(t *testing.T) *world {
	return newWorld(t, 3, 3, 9000, func(topo *topology.Topology, _ *Limits) {
		topo.Balances = map[int64]int64{1001: 100, 3001: 50}
	})
}

func TestLowestNodesLead(t *testing.T) {
	w := threeByThree(t)
	for _, n := range []ids.Node{1, 4, 7} {
		w.mustLead(n)
		if s := w.nodes[n].r.Status(); s.Elections != 1 {
			t.Fatalf("n%d won %d elections", n, s.Elections)
		}
	}
	w.clean()
}

// The one transfer of ARCHITECTURE.md, step by step.
func TestWalkthrough(t *testing.T) {
	w := threeByThree(t)
	release := hold[*twopc.TwoPCPrepareReply](w)
	c := w.submit(1, 1, 1001, 3001, 10)
	w.settle()
	// After step 1: prepared on both sides, on every replica.
	w.balance(1001, 90)
	w.balance(3001, 60)
	for _, n := range []ids.Node{1, 2, 3, 4, 5, 6} {
		if s := w.nodes[n].r.Status(); n != 2 && n != 3 && n != 5 && n != 6 && s.Locks != 1 || s.UndoRecords != 1 || s.Prepared != 1 {
			t.Fatalf("n%d after step 1: %+v", n, s)
		}
	}
	r := w.read(1, 1001)
	w.run(10 * Millisecond)
	if _, answered := w.answers[r]; answered {
		t.Fatal("a read returned an undecided balance")
	}
	release()
	w.run(1 * Second)
	w.expect(c, bank.OutcomeCommitted)
	if a := w.expect(r, bank.OutcomeCommitted); a.Balance != 90 {
		t.Fatalf("read %d", a.Balance)
	}
	w.clean()
	w.balance(1001, 90)
	w.balance(3001, 60)
	want := "2:(2, P) (1001, 3001, 10) E\n3:(2, C) (1001, 3001, 10) E\n"
	for _, n := range []ids.Node{1, 2, 3, 4, 5, 6} {
		if got := rows(t, w.nodes[n].r); got != want {
			t.Fatalf("log of n%d:\n%swant\n%s", n, got, want)
		}
	}
	tl := w.nodes[1].r.Timelines(ids.Request{Client: 7, Timestamp: 1})
	if len(tl) != 1 || tl[0].BalanceBefore != 100 || tl[0].BalancePrepared != 90 || tl[0].BalanceAfter != 90 ||
		tl[0].Released < tl[0].Acknowledged || tl[0].Acknowledged < tl[0].DecisionChosen || tl[0].Outcome != "committed" {
		t.Fatalf("timeline: %+v", tl)
	}
}

func TestInsufficientFunds(t *testing.T) {
	w := threeByThree(t)
	a := w.submit(1, 1, 1, 2, 11)
	b := w.submit(1, 2, 3, 3002, 11)
	w.run(1 * Second)
	w.expect(a, bank.OutcomeInsufficientFunds)
	w.expect(b, bank.OutcomeInsufficientFunds)
	w.balance(3, 10)
	w.balance(3002, 10)
	w.clean()
	again := w.submit(1, 2, 3, 3002, 11)
	w.expect(again, bank.OutcomeInsufficientFunds)
	other := w.submit(1, 2, 3, 3002, 1)
	w.expect(other, bank.OutcomeInvalid)
}

// The participant's quorum is lost before it prepares: abort, and the money
// comes back.
func TestParticipantWithoutQuorum(t *testing.T) {
	for name, wait := range map[string]ids.Duration{"noticed": 2 * Second, "not noticed yet": 0} {
		t.Run(name, func(t *testing.T) {
			w := threeByThree(t)
			w.live(5, false)
			w.live(6, false)
			w.run(wait)
			c := w.submit(1, 1, 1001, 3001, 10)
			w.run(6 * Second)
			if a := w.expect(c, bank.OutcomeAborted); a.Final {
				t.Fatal("aborted speaks of one send only")
			}
			w.balance(1001, 100)
			u := w.submit(4, 2, 3001, 3002, 1)
			w.run(1 * Second)
			w.expect(u, bank.OutcomeUnavailable)
			w.live(5, true)
			w.run(3 * Second)
			w.balance(3001, 50)
			w.clean()
			c = w.submit(1, 1, 1001, 3001, 10)
			w.run(2 * Second)
			w.expect(c, bank.OutcomeCommitted)
			w.balance(1001, 90)
			w.balance(3001, 60)
			w.clean()
		})
	}
}

// The leader that is lost in the middle of a cross-shard transfer, in every
// place: the transfer ends the same way everywhere and nothing is left.
func TestLosingLeadersInTheMiddle(t *testing.T) {
	places := map[string]func(w *world){
		"coordinator's P":    func(w *world) { w.drop = dropFrom[*paxos.Accepted](1, 2, 3) },
		"the vote":           func(w *world) { hold[*twopc.TwoPCPrepareReply](w) },
		"TwoPCPrepare":       func(w *world) { hold[*twopc.TwoPCPrepareRequest](w) },
		"TwoPCCommit":        func(w *world) { hold[*twopc.TwoPCCommitRequest](w) },
		"TwoPCCommitReply":   func(w *world) { hold[*twopc.TwoPCCommitReply](w) },
		"participant's P":    func(w *world) { w.drop = dropFrom[*paxos.Accepted](4, 5, 6) },
		"nothing, it's done": func(*world) {},
	}
	for name, lose := range places {
		for _, victim := range []ids.Node{1, 4} {
			for _, kill := range []bool{false, true} {
				t.Run(name, func(t *testing.T) {
					w := threeByThree(t)
					lose(w)
					c := w.submit(1, 1, 1001, 3001, 10)
					w.settle()
					w.drop = nil
					if kill {
						w.crash(victim)
					} else {
						w.live(victim, false)
					}
					w.run(3 * Second)
					if victim == 1 {
						w.mustLead(w.leader(0))
						c = w.submit(w.leader(0), 1, 1001, 3001, 10)
					}
					w.run(3 * Second)
					w.expect(c, bank.OutcomeCommitted)
					w.balance(1001, 90)
					w.balance(3001, 60)
					w.clean()
					w.live(victim, true)
					w.run(1 * Second)
					w.balance(1001, 90)
					w.balance(3001, 60)
					w.clean()
					if s := w.nodes[victim].r.Status(); s.Ready {
						t.Fatalf("n%d deposed the new leader when it came back", victim)
					}
				})
			}
		}
	}
}

func dropFrom[M any](nodes ...ids.Node) func(p packet) bool {
	return func(p packet) bool {
		for _, n := range nodes {
			if p.from == n && is[M](p) {
				return true
			}
		}
		return false
	}
}

// Everybody is killed at every stage and comes back.
func TestKillAll(t *testing.T) {
	w := threeByThree(t)
	hold[*twopc.TwoPCCommitRequest](w)
	w.submit(1, 1, 1001, 3001, 10)
	a := w.submit(1, 2, 1, 2, 3)
	w.settle()
	w.expect(a, bank.OutcomeCommitted)
	w.drop = nil
	for n := 1; n < len(w.nodes); n++ {
		w.boot(ids.Node(n))
	}
	for n := 1; n < len(w.nodes); n++ {
		w.live(ids.Node(n), true)
	}
	w.queue = nil
	w.run(4 * Second)
	w.balance(1001, 90)
	w.balance(3001, 60)
	w.balance(1, 7)
	w.clean()
	again := w.submit(w.leader(0), 2, 1, 2, 3)
	w.expect(again, bank.OutcomeCommitted)
	w.balance(1, 7)
}

func TestResolve(t *testing.T) {
	w := threeByThree(t)
	req := ids.Request{Client: 7, Timestamp: 1}
	c := w.call(1, Event{Kind: EventResolve, Request: req, Item: 1001})
	w.settle()
	if a := w.expect(c, bank.OutcomeAborted); !a.Final {
		t.Fatal("a tombstone is final")
	}
	late := w.submit(1, 1, 1001, 3001, 10)
	w.settle()
	w.expect(late, bank.OutcomeAborted)
	w.balance(1001, 100)

	// What is under way is waited for.
	release := hold[*twopc.TwoPCPrepareReply](w)
	w.submit(1, 2, 1001, 3001, 10)
	w.settle()
	c = w.call(1, Event{Kind: EventResolve, Request: ids.Request{Client: 7, Timestamp: 2}, Item: 1001})
	w.settle()
	if _, early := w.answers[c]; early {
		t.Fatal("resolve did not wait")
	}
	release()
	w.run(1 * Second)
	w.expect(c, bank.OutcomeCommitted)
	w.clean()
}

// Transfers back and forth between a few items, all at once: all that have the
// money commit, whatever the conflicts.
func TestConflictsAllCommit(t *testing.T) {
	w := newWorld(t, 2, 3, 20, func(topo *topology.Topology, _ *Limits) { topo.InitialBalance = 100 })
	var calls []uint64
	ts := uint64(0)
	for range 10 {
		for _, p := range [][2]int64{{1, 11}, {11, 1}, {1, 2}, {2, 12}, {12, 1}, {11, 12}, {2, 1}, {12, 11}, {11, 2}, {1, 12}} {
			ts++
			n := ids.Node(1)
			if p[0] > 10 {
				n = 4
			}
			calls = append(calls, w.submit(n, ts, p[0], p[1], 1))
		}
	}
	w.run(5 * Second)
	for _, c := range calls {
		w.expect(c, bank.OutcomeCommitted)
	}
	w.clean()
}

// A hot item is pipelined: a thousand transfers from it need a handful of
// accepts, not a thousand.
func TestHotItemIsPipelined(t *testing.T) {
	w := newWorld(t, 1, 3, 10, func(topo *topology.Topology, _ *Limits) { topo.Balances = map[int64]int64{1: 1000} })
	var events []Event
	for ts := uint64(1); ts <= 1000; ts++ {
		events = append(events, Event{Kind: EventSubmit, Call: ts, Request: ids.Request{Client: 7, Timestamp: ts},
			Transfer: ids.Transfer{From: 1, To: 2, Amount: 1}, Deadline: w.now + ids.Time(Second)})
	}
	w.step(1, events...)
	if len(w.queue) != 2 {
		t.Fatalf("%d messages for one batch, want one accept a follower", len(w.queue))
	}
	w.settle()
	for ts := uint64(1); ts <= 1000; ts++ {
		w.expect(ts, bank.OutcomeCommitted)
	}
	w.balance(1, 0)
	w.balance(2, 1010)
}

func TestOneNodeClusters(t *testing.T) {
	w := newWorld(t, 2, 1, 20, nil)
	a, b := w.submit(1, 1, 1, 2, 3), w.submit(1, 2, 1, 11, 3)
	rd := w.read(2, 12)
	w.run(1 * Second)
	w.expect(a, bank.OutcomeCommitted)
	w.expect(b, bank.OutcomeCommitted)
	if got := w.expect(rd, bank.OutcomeCommitted); got.Balance != 10 {
		t.Fatalf("read %d", got.Balance)
	}
	w.balance(1, 4)
	w.balance(11, 13)
	w.clean()
	w.crash(1)
	w.live(1, true)
	w.run(1 * Second)
	w.balance(1, 4)
}

// A node that was away while checkpoints were taken gets one, at once and
// without an election.
func TestCatchUpByCheckpoint(t *testing.T) {
	w := newWorld(t, 1, 3, 10, func(_ *topology.Topology, l *Limits) { l.CheckpointEvery = 20 })
	w.live(3, false)
	for ts := uint64(1); ts <= 90; ts++ {
		w.expect2(w.submit(1, ts, int64(ts%5)+1, int64(ts%5)+6, 1))
	}
	w.live(3, true)
	w.run(500 * Millisecond)
	w.clean()
	a, b := w.nodes[1].r.Status(), w.nodes[3].r.Status()
	if a.Applied != b.Applied || a.Checksum != b.Checksum || a.Elections != 1 || b.Elections != 0 {
		t.Fatalf("n1 %+v\nn3 %+v", a, b)
	}
	// It also survives its own restart.
	w.crash(3)
	w.live(3, true)
	w.run(500 * Millisecond)
	if b = w.nodes[3].r.Status(); a.Checksum != b.Checksum {
		t.Fatalf("after a restart: %+v", b)
	}
}

func (w *world) expect2(c uint64) {
	w.t.Helper()
	w.settle()
	if o := w.answers[c].Outcome; o != bank.OutcomeCommitted && o != bank.OutcomeInsufficientFunds {
		w.t.Fatalf("call %d: %s", c, o)
	}
}

// A leader that is cut off serves no stale read.
func TestDeposedLeaderServesNoRead(t *testing.T) {
	w := newWorld(t, 1, 3, 10, nil)
	w.drop = func(p packet) bool { return p.from == 1 || p.to == 1 }
	rd := w.read(1, 1)
	w.run(300 * Millisecond)
	if a, answered := w.answers[rd]; answered && a.Outcome == bank.OutcomeCommitted {
		t.Fatal("read served without a quorum")
	}
	w.run(2 * Second)
	if l := w.leader(0); l == 1 || l == 0 {
		t.Fatalf("n%d leads", l)
	}
	c := w.submit(1, 1, 1, 2, 1)
	w.settle()
	w.expect(c, bank.OutcomeUnavailable)
}
