package twopc

import (
	"testing"

	"paxbank/server/ids"
)

func age(n int64) ids.Age { return ids.Age{Clock: ids.Time(n)} }

func tx(n uint64) ids.Txn { return ids.Txn{Request: ids.Request{Client: 1, Timestamp: n}} }

func prepare(item int64, n uint64, a int64) *Waiter {
	return &Waiter{Kind: WaitPrepare, Items: []int64{item}, Txn: tx(n), Age: age(a)}
}

func TestWaitDie(t *testing.T) {
	l := NewLocks(100, 10)
	if !l.TryLock(1, tx(1), age(5), 0) || l.TryLock(1, tx(2), age(1), 0) {
		t.Fatal("lock")
	}
	if v := l.Wait(prepare(1, 2, 6), 0); v != GiveWay {
		t.Fatalf("a younger prepare must give way, got %d", v)
	}
	old, older := prepare(1, 3, 4), prepare(1, 4, 3)
	for _, w := range []*Waiter{older, old} {
		if v := l.Wait(w, 0); v != Waiting {
			t.Fatalf("an older prepare may wait, got %d", v)
		}
	}
	own := &Waiter{Kind: WaitPrepare, Items: []int64{1}, Txn: ids.Txn{Request: tx(1).Request, Number: 2}, Age: age(5)}
	if v := l.Wait(own, 0); v != Waiting {
		t.Fatalf("another attempt of the holder's request may wait, got %d", v)
	}
	l.Cancel(own)
	start := &Waiter{Kind: WaitStart, Items: []int64{1, 99}, Age: age(1)}
	intra := &Waiter{Kind: WaitIntra, Items: []int64{1, 2}, Age: age(9)}
	read := &Waiter{Kind: WaitRead, Items: []int64{1}}
	for _, w := range []*Waiter{start, intra, read} {
		l.Wait(w, 0)
	}
	l.Release(1, tx(1))
	g := l.Grant(1, 0)
	if len(g.Proceed) != 2 || g.Proceed[0] != intra || g.Proceed[1] != read {
		t.Fatalf("reads and intra-shard transfers go first: %v", g.Proceed)
	}
	// Youngest first, so that whoever still waits is older than the holder.
	if g.Winner != old {
		t.Fatalf("the youngest prepare wins: %+v", g.Winner)
	}
	l.Release(1, tx(3))
	if g = l.Grant(1, 0); g.Winner != older {
		t.Fatalf("then the next: %+v", g.Winner)
	}
	l.Release(1, tx(4))
	if g = l.Grant(1, 0); g.Winner != start {
		t.Fatalf("step 0 last: %+v", g.Winner)
	}
	l.SetTxn(1, tx(9))
	l.Release(1, tx(9))
	l.EndTurn(99)
	if l.Held() != 0 || len(l.slots) != 0 {
		t.Fatalf("%d held, %d slots left", l.Held(), len(l.slots))
	}
}

// A two-item transfer that has waited too long is not starved: younger
// cross-shard requests stand back, also ones that were waiting already.
func TestStarvingIntraGoesFirst(t *testing.T) {
	l := NewLocks(100, 10)
	l.TryLock(1, tx(1), age(50), 0)
	l.TryLock(2, tx(2), age(51), 0)
	intra := &Waiter{Kind: WaitIntra, Items: []int64{1, 2}, Age: age(10)}
	l.Wait(intra, 0)
	young, old := prepare(1, 3, 40), prepare(1, 4, 5)
	l.Wait(young, 0)
	l.Wait(old, 0)
	if v := l.Wait(prepare(1, 5, 30), 100); v != GiveWay {
		t.Fatalf("a younger prepare stands back, got %d", v)
	}
	l.Release(1, tx(1))
	g := l.Grant(1, 100)
	if len(g.Proceed) != 0 || len(g.Refused) != 1 || g.Refused[0] != young || g.Winner != old {
		t.Fatalf("%+v", g)
	}
	l.Release(1, tx(4))
	if g = l.Grant(1, 100); g.Winner != nil {
		t.Fatalf("nobody else: %+v", g)
	}
	if l.TryLock(1, tx(6), age(60), 100) {
		t.Fatal("a younger request takes the item that the starving transfer needs")
	}
	start := &Waiter{Kind: WaitStart, Items: []int64{1, 99}, Age: age(60)}
	l.Wait(start, 100)
	l.Release(2, tx(2))
	if g = l.Grant(2, 100); len(g.Proceed) != 1 || g.Proceed[0] != intra {
		t.Fatalf("%+v", g)
	}
	if g = l.Grant(1, 100); g.Winner != start {
		t.Fatalf("who stood back goes on: %+v", g)
	}
}

func TestQueueIsBounded(t *testing.T) {
	l := NewLocks(100, 2)
	l.TryLock(1, tx(1), age(1), 0)
	for range 2 {
		l.Wait(&Waiter{Kind: WaitStart, Items: []int64{1, 99}, Age: age(2)}, 0)
	}
	if v := l.Wait(&Waiter{Kind: WaitRead, Items: []int64{1}}, 0); v != QueueFull {
		t.Fatalf("got %d", v)
	}
}

func TestAttempt(t *testing.T) {
	expect := func(a *Attempt, want ...Action) {
		t.Helper()
		for _, w := range append(want, ActNothing) {
			if got := a.Next(); got != w {
				t.Fatalf("action %d, want %d (%+v)", got, w, a)
			}
		}
	}
	// Parallel, committed.
	a := &Attempt{}
	expect(a, ActAskPeer, ActProposePrepare)
	a.Vote(true, 200, ReasonNone)
	expect(a)
	a.Stage, a.Seq = PrepareApplied, 100
	expect(a, ActProposeCommit)
	a.Vote(false, 0, ReasonConflict)
	a.Abort(ReasonTimeout)
	expect(a)
	a.Decided = true
	if got := a.Next(); got != ActDeliver || a.Open() {
		t.Fatalf("action %d", got)
	}
	// An abort waits for P in flight and is told only after A is applied.
	a = &Attempt{}
	expect(a, ActAskPeer, ActProposePrepare)
	a.Vote(false, 0, ReasonConflict)
	expect(a)
	a.Vote(true, 200, ReasonNone)
	a.Stage = PrepareApplied
	expect(a, ActProposeAbort)
	if !a.Open() {
		t.Fatal("A is not applied: an inquiry must hear pending")
	}
	a.Decided = true
	if got := a.Next(); got != ActEndAborted {
		t.Fatalf("action %d", got)
	}
	// The refusal comes from the log before the participant is asked.
	a = &Attempt{Start: StartPrepareFirst}
	expect(a, ActProposePrepare)
	a.Stage = PrepareNoEffect
	if got := a.Next(); got != ActEndAborted || a.Asked {
		t.Fatalf("action %d, asked %t", got, a.Asked)
	}
	// Early abort: nothing was logged.
	a = &Attempt{Start: StartPeerFirst}
	expect(a, ActAskPeer)
	a.Abort(ReasonTimeout)
	if got := a.Next(); got != ActEndAborted {
		t.Fatalf("action %d", got)
	}
	a = &Attempt{Start: StartPeerFirst}
	expect(a, ActAskPeer)
	a.Vote(true, 7, ReasonNone)
	expect(a, ActProposePrepare)
}

func TestDirectory(t *testing.T) {
	d := NewDirectory([][]ids.Node{{1, 2, 3}, {4, 5, 6}})
	if d.Target(1) != 4 {
		t.Fatal("unknown: the first node is tried first")
	}
	d.Silent(1, 4, 1)
	if d.Target(1) != 5 {
		t.Fatal("silence: the next node is tried")
	}
	if !d.NotLeader(1, 5, 6, 2) || d.Target(1) != 6 {
		t.Fatal("a hint is followed at once")
	}
	if d.NotLeader(1, 5, 6, 3) {
		t.Fatal("the same hint again brings nothing new")
	}
	d.Announced(1, ids.Ballot{Counter: 3, Node: 5}, 4)
	d.Announced(1, ids.Ballot{Counter: 2, Node: 4}, 5)
	if d.Leader(1) != 5 {
		t.Fatal("an older announcement is ignored")
	}
	d.Heard(1, 5, 10)
	if d.Silent(1, 5, 9); d.Leader(1) != 5 {
		t.Fatal("who has acted as leader since is not silent")
	}
	if d.Silent(1, 5, 11); d.Leader(1) != 0 {
		t.Fatal("a silent leader is forgotten")
	}
}

// Thousands that wait for one item come and go in any order, and the queue stays
// what it would be if each left at once.
func TestManyLeaveTheQueue(t *testing.T) {
	const many = 20_000
	l := NewLocks(100, many)
	l.TryLock(1, tx(1), age(1), 0)
	waiters := make([]*Waiter, many)
	for i := range waiters {
		waiters[i] = &Waiter{Kind: WaitIntra, Items: []int64{1, int64(2 + i%50)}, Age: age(int64(i))}
		if v := l.Wait(waiters[i], 0); v != Waiting {
			t.Fatalf("waiter %d: %d", i, v)
		}
	}
	if v := l.Wait(&Waiter{Kind: WaitRead, Items: []int64{1}}, 0); v != QueueFull {
		t.Fatalf("got %d", v)
	}
	for i := 0; i < many; i += 3 {
		l.Cancel(waiters[i])
		l.Cancel(waiters[i]) // is not there any more
	}
	left := many - (many+2)/3
	if _, n := l.All(); len(n) != 1 || n[0] != left {
		t.Fatalf("%v wait, want %d", n, left)
	}
	if v := l.Wait(&Waiter{Kind: WaitStart, Items: []int64{1, 99}}, 0); v != Waiting {
		t.Fatalf("there is room again, got %d", v)
	}
	l.Release(1, tx(1))
	g := l.Grant(1, 0)
	if len(g.Proceed) != left || g.Proceed[0] != waiters[1] || g.Proceed[left-1] != waiters[many-1] {
		t.Fatalf("%d proceed, want %d in order of arrival", len(g.Proceed), left)
	}
	if g.Winner == nil || g.Winner.Kind != WaitStart || len(l.slots) != 2 || l.slots[1].waiting() != 0 {
		t.Fatalf("winner %+v, %d slots", g.Winner, len(l.slots))
	}
}

// One that has waited far too long goes before requests of any age: theirs is
// another cluster's clock, which may be behind for ever.
func TestOverdueIntraGoesBeforeOlderRequests(t *testing.T) {
	l := NewLocks(100, 10)
	l.TryLock(1, tx(1), age(5), 0)
	l.TryLock(2, tx(2), age(6), 0)
	intra := &Waiter{Kind: WaitIntra, Items: []int64{1, 2}, Age: age(1000)}
	l.Wait(intra, 0)
	waiting := prepare(1, 3, 4)
	l.Wait(waiting, 0)
	if v := l.Wait(prepare(1, 4, 3), 499); v != Waiting {
		t.Fatalf("an older prepare goes before an urgent transfer, got %d", v)
	}
	if v := l.Wait(prepare(1, 5, 2), 500); v != GiveWay {
		t.Fatalf("and stands back for an overdue one, got %d", v)
	}
	l.Release(1, tx(1))
	if g := l.Grant(1, 500); g.Winner != nil || len(g.Refused) != 2 || g.Refused[0] != waiting {
		t.Fatalf("%+v", g)
	}
	if l.TryLock(1, tx(6), age(1), 500) {
		t.Fatal("an older request takes the item that the overdue transfer needs")
	}
	l.Release(2, tx(2))
	if g := l.Grant(2, 500); len(g.Proceed) != 1 || g.Proceed[0] != intra {
		t.Fatalf("%+v", g)
	}
	if !l.TryLock(1, tx(6), age(1), 500) {
		t.Fatal("nobody is waiting any more")
	}
}

func start(from, to int64, a int64) *Waiter {
	return &Waiter{Kind: WaitStart, Items: []int64{from, to}, Age: age(a)}
}

// A request at step 0 needs its sender's lock and the turn at its receiver, and
// holds neither while it waits.
func TestTurns(t *testing.T) {
	l := NewLocks(100, 10)
	if !l.TryStart(1, 50, age(1), 0) || l.TryStart(2, 50, age(2), 0) || l.TryStart(1, 51, age(2), 0) {
		t.Fatal("one attempt a sender and a receiver")
	}
	l.SetTxn(1, tx(1))
	second, third, other := start(2, 50, 3), start(3, 50, 2), start(1, 51, 4)
	for _, w := range []*Waiter{second, third, other} {
		if v := l.Wait(w, 0); v != Waiting {
			t.Fatalf("%+v: %d", w, v)
		}
	}
	if !l.Free(2, 3) {
		t.Fatal("who waits holds nothing")
	}
	if g := l.Grant(50, 0); g.Winner != nil {
		t.Fatalf("the turn is taken: %+v", g.Winner)
	}
	l.Release(1, tx(1))
	if g := l.Grant(1, 0); g.Winner != other {
		t.Fatalf("its receiver has nobody: %+v", g.Winner)
	}
	l.EndTurn(50)
	if g := l.Grant(50, 0); g.Winner != third {
		t.Fatalf("the oldest whose sender is free: %+v", g.Winner)
	}
	if lock, held := l.Holder(3); !held || lock.Age != age(2) {
		t.Fatalf("%+v", lock)
	}
	l.EndTurn(50)
	l.TryLock(2, tx(7), age(9), 0)
	if g := l.Grant(50, 0); g.Winner != nil {
		t.Fatalf("its sender is locked: %+v", g.Winner)
	}
	l.Release(2, tx(7))
	if g := l.Grant(2, 0); g.Winner != second {
		t.Fatalf("%+v", g.Winner)
	}
}

// Who wins the turn at its receiver does not pass those who wait for its sender,
// which was released in the same moment: a prepare would wait for an older holder.
func TestTurnDoesNotPassThoseWhoWait(t *testing.T) {
	l := NewLocks(100, 10)
	l.TryStart(1, 50, age(5), 0)
	l.SetTxn(1, tx(1))
	waits, turn := prepare(1, 2, 4), start(1, 50, 3)
	l.Wait(waits, 0)
	l.Wait(turn, 0)
	l.EndTurn(50)
	l.Release(1, tx(1))
	if g := l.Grant(50, 0); g.Winner != nil || l.TryStart(1, 51, age(2), 0) {
		t.Fatalf("nobody asked yet who waits for the sender: %+v", g.Winner)
	}
	if g := l.Grant(1, 0); g.Winner != waits {
		t.Fatalf("%+v", g.Winner)
	}
	l.Release(1, tx(2))
	if g := l.Grant(1, 0); g.Winner != turn {
		t.Fatalf("%+v", g.Winner)
	}
}

// A new leader finds several attempts that credit one item: the turn is free when
// all of them are over.
func TestTurnsOfANewLeader(t *testing.T) {
	l := NewLocks(100, 10)
	l.TakeTurn(50)
	l.TakeTurn(50)
	l.EndTurn(50)
	if l.TryStart(1, 50, age(1), 0) {
		t.Fatal("one is still under way")
	}
	l.EndTurn(50)
	if !l.TryStart(1, 50, age(1), 0) {
		t.Fatal("all are over")
	}
}
