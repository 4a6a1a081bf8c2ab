package twopc

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"sort"

	"paxbank/server/ids"
)

// WaitKind says what a waiter is going to do with the item.
type WaitKind uint8

// The kinds of waiter.
const (
	// WaitRead and WaitIntra need their items free but take no lock.
	WaitRead WaitKind = iota + 1
	WaitIntra
	// WaitPrepare is a TwoPCPrepare at the participant: takes the lock.
	WaitPrepare
	// WaitStart is a cross-shard request at step 0, which holds nothing yet: takes
	// the lock on its sender and the turn at its receiver.
	WaitStart
)

// Waiter waits for its items, once. The caller owns it and must not change the
// fields while it waits.
type Waiter struct {
	Kind  WaitKind
	Items []int64 // one, or two for WaitIntra and WaitStart: sender, receiver
	Age   ids.Age
	Txn   ids.Txn // WaitPrepare: the attempt; WaitStart: set by the caller on grant
	// Since is when it began to wait.
	Since ids.Time
	// Owner is the caller's own.
	Owner any

	queued bool
	slots  [2]*slot // of Items, while it waits
}

// Lock is a held lock.
type Lock struct {
	Item  int64
	Txn   ids.Txn
	Age   ids.Age
	Since ids.Time
}

type slot struct {
	held bool
	lock Lock
	// released: the lock was given back and Grant has not said yet who goes next.
	released bool
	turns    int   // attempts under way that credit this item of another cluster
	shared   queue // WaitRead and WaitIntra, in order of arrival
	prepares queue // WaitPrepare, in order of arrival
	starts   queue // WaitStart, the oldest first: a hot item has thousands
	intras   int   // how many of those that wait are WaitIntra
}

// queue holds waiters, some of which wait no longer.
type queue struct {
	list []*Waiter
	gone int // how many are not queued any more
}

func (q *queue) waiting() int { return len(q.list) - q.gone }

// leave notes that one of the list is not queued any more. It costs little
// however many wait: they leave in thousands, at one deadline or when one lock is
// released.
func (q *queue) leave() {
	if q.gone++; 2*q.gone > len(q.list) {
		q.list = slices.DeleteFunc(q.list, func(w *Waiter) bool { return !w.queued })
		q.gone = 0
	}
	// Who goes next mostly stood first.
	for len(q.list) > 0 && !q.list[0].queued {
		q.list[0] = nil
		q.list = q.list[1:]
		q.gone--
	}
}

// of returns the queue in which a kind of waiter waits.
func (s *slot) of(kind WaitKind) *queue {
	switch kind {
	case WaitPrepare:
		return &s.prepares
	case WaitStart:
		return &s.starts
	}
	return &s.shared
}

// waiting is how many wait.
func (s *slot) waiting() int { return s.shared.waiting() + s.prepares.waiting() + s.starts.waiting() }

func (s *slot) add(w *Waiter) {
	q := s.of(w.Kind)
	if w.Kind == WaitIntra {
		s.intras++
	}
	at := len(q.list)
	if w.Kind == WaitStart {
		// Most are younger than all who wait; who has lost a conflict is not.
		at = sort.Search(len(q.list), func(i int) bool { return w.Age.Older(q.list[i].Age) })
	}
	q.list = slices.Insert(q.list, at, w)
}

// Locks is the lock table of one leader. Only items that are locked or waited
// for have a slot.
type Locks struct {
	slots       map[int64]*slot
	urgentAfter ids.Duration
	maxWaiters  int
	held        int
	scratch     []*Waiter // reused by Grant
}

// NewLocks returns an empty table. An intra-shard waiter older than urgentAfter
// makes younger cross-shard requests stand back; at most maxWaiters wait for an
// item.
func NewLocks(urgentAfter ids.Duration, maxWaiters int) *Locks {
	return &Locks{slots: map[int64]*slot{}, urgentAfter: urgentAfter, maxWaiters: maxWaiters}
}

// Held returns the number of held locks.
func (l *Locks) Held() int { return l.held }

// Holder returns the lock on item, if it is held.
func (l *Locks) Holder(item int64) (Lock, bool) {
	if s := l.slots[item]; s != nil && s.held {
		return s.lock, true
	}
	return Lock{}, false
}

// Free reports whether no lock on any of the items is held.
func (l *Locks) Free(items ...int64) bool {
	for _, item := range items {
		if s := l.slots[item]; s != nil && s.held {
			return false
		}
	}
	return true
}

// overdue times urgentAfter is how long an intra-shard transfer waits until
// cross-shard requests of any age stand back for it. Their age is another
// cluster's clock, and one that is behind makes all of them look older for ever.
// Who stands back waits for nobody, so this adds no edge to any cycle.
const overdue = 5

// standBack reports whether a lock request of this age must let a starving
// intra-shard transfer go first.
func (l *Locks) standBack(s *slot, age ids.Age, now ids.Time) bool {
	if s.intras == 0 {
		return false
	}
	for _, w := range s.shared.list {
		if w.Kind != WaitIntra || !w.queued {
			continue
		}
		waited := ids.Duration(now - w.Since)
		if waited >= l.urgentAfter && w.Age.Older(age) || waited >= overdue*l.urgentAfter {
			return true
		}
	}
	return false
}

// mayStart reports whether a request at step 0 may have its sender's lock and the
// turn at its receiver; nil is the slot of an item that nobody holds or waits for.
func (l *Locks) mayStart(from, to *slot, age ids.Age, now ids.Time) bool {
	return (to == nil || to.turns == 0) &&
		(from == nil || !from.held && !from.released && !l.standBack(from, age, now))
}

// TryStart takes the sender's lock and the turn at the receiver for a cross-shard
// request, both or neither. Of the attempts of one leader that credit the same
// item one runs at a time: the others would meet its lock at the participant and
// be refused there, having held their senders meanwhile; at step 0 they wait and
// hold nothing. The caller names the attempt with SetTxn, and gives the turn back
// with EndTurn.
func (l *Locks) TryStart(from, to int64, age ids.Age, now ids.Time) bool {
	if !l.mayStart(l.slots[from], l.slots[to], age, now) {
		return false
	}
	l.lock(from, ids.Txn{}, age, now)
	l.TakeTurn(to)
	return true
}

// TakeTurn counts an attempt that credits to. A new leader finds attempts that
// are under way already, of which several may credit one item.
func (l *Locks) TakeTurn(to int64) { l.slot(to).turns++ }

// EndTurn ends what TryStart, Grant or TakeTurn began. The caller calls Grant
// next.
func (l *Locks) EndTurn(to int64) {
	s := l.slots[to]
	if s == nil || s.turns == 0 {
		panic(fmt.Sprintf("twopc: a turn at item %d ends that nobody has", to))
	}
	s.turns--
	l.tidy(to, s)
}

// TryLock takes the lock on item for an attempt if it is free and no starving
// older transfer must go first.
func (l *Locks) TryLock(item int64, txn ids.Txn, age ids.Age, now ids.Time) bool {
	if s := l.slots[item]; s != nil && (s.held || l.standBack(s, age, now)) {
		return false
	}
	l.lock(item, txn, age, now)
	return true
}

func (l *Locks) slot(item int64) *slot {
	s := l.slots[item]
	if s == nil {
		s = &slot{}
		l.slots[item] = s
	}
	return s
}

func (l *Locks) lock(item int64, txn ids.Txn, age ids.Age, now ids.Time) {
	s := l.slot(item)
	if s.held {
		panic(fmt.Sprintf("twopc: lock on item %d taken by %s while %s holds it", item, txn, s.lock.Txn))
	}
	s.held = true
	s.lock = Lock{Item: item, Txn: txn, Age: age, Since: now}
	l.held++
}

// Verdict is what becomes of a request that cannot have its items now.
type Verdict uint8

// The verdicts.
const (
	Waiting Verdict = iota + 1
	// GiveWay: wait-die says no (or a starving older transfer goes first).
	GiveWay
	// QueueFull: too many wait for the item.
	QueueFull
)

// MayWait says whether a TwoPCPrepare of this attempt and age may wait for item:
// only if it is older than the holder, or the holder is another attempt of its
// own request (which is over or about to be, so it waits for nobody).
func (l *Locks) MayWait(item int64, txn ids.Txn, age ids.Age, now ids.Time) bool {
	s := l.slots[item]
	if s == nil {
		return true
	}
	if l.standBack(s, age, now) {
		return false
	}
	return !s.held || age.Older(s.lock.Age) || s.lock.Txn.Request == txn.Request
}

// Wait queues w for all its items.
func (l *Locks) Wait(w *Waiter, now ids.Time) Verdict {
	if w.Kind == WaitPrepare && !l.MayWait(w.Items[0], w.Txn, w.Age, now) {
		return GiveWay
	}
	for _, item := range w.Items {
		if s := l.slots[item]; s != nil && s.waiting() >= l.maxWaiters {
			return QueueFull
		}
	}
	w.Since = now
	w.queued = true
	for i, item := range w.Items {
		s := l.slot(item)
		w.slots[i] = s // it stays in the table as long as somebody waits
		s.add(w)
	}
	return Waiting
}

// Granted is what became possible when an item was released, in this order.
type Granted struct {
	// Proceed: reads and intra-shard transfers whose items are all free. They go
	// before Winner and must not look at the lock again, which Winner holds now.
	Proceed []*Waiter
	// Refused: prepares that must give way after all.
	Refused []*Waiter
	// Winner holds the lock on its first item now, or is nil. For WaitStart it has
	// the turn at its receiver too, and the caller must name the attempt with SetTxn.
	Winner *Waiter
}

// Cancel takes w out of its queues. The caller then calls Grant for its items,
// since others may have stood back for it.
func (l *Locks) Cancel(w *Waiter) {
	if !w.queued {
		return
	}
	w.queued = false
	for i, item := range w.Items {
		s := w.slots[i]
		w.slots[i] = nil
		if w.Kind == WaitIntra {
			s.intras--
		}
		s.of(w.Kind).leave()
		l.tidy(item, s)
	}
}

func (l *Locks) tidy(item int64, s *slot) {
	if !s.held && s.turns == 0 && s.waiting() == 0 {
		delete(l.slots, item)
	}
}

// Release gives the lock on item back. The caller calls Grant next. Releasing a
// lock that txn does not hold is a defect and panics.
func (l *Locks) Release(item int64, txn ids.Txn) Lock {
	s := l.slots[item]
	if s == nil || !s.held || s.lock.Txn != txn {
		panic(fmt.Sprintf("twopc: %s releases item %d that it does not hold", txn, item))
	}
	lock := s.lock
	s.held = false
	s.lock = Lock{}
	s.released = true
	l.held--
	l.tidy(item, s)
	return lock
}

// Grant says who goes next when an item was released or a turn at it has ended:
// first reads and intra-shard transfers whose
// items are all free (they reserve nothing while they wait), then the youngest
// waiting prepare (so whoever still waits is older than the holder; first come,
// first served would deadlock), then the oldest request at step 0 that finds both
// its items free.
func (l *Locks) Grant(item int64, now ids.Time) Granted {
	var g Granted
	s := l.slots[item]
	if s == nil || s.held {
		return g
	}
	s.released = false
	// Whoever is cancelled leaves its queue.
	l.scratch = append(append(l.scratch[:0], s.shared.list...), s.prepares.list...)
	var prepare, start *Waiter
	for _, w := range l.scratch {
		switch {
		case !w.queued:
		case w.Kind != WaitPrepare:
			if l.Free(w.Items...) {
				l.Cancel(w)
				g.Proceed = append(g.Proceed, w)
			}
		case l.standBack(s, w.Age, now):
			// It would wait for an older transfer: wait-die says no.
			l.Cancel(w)
			g.Refused = append(g.Refused, w)
		case prepare == nil || prepare.Age.Older(w.Age):
			prepare = w
		}
	}
	clear(l.scratch)
	if prepare == nil {
		for _, w := range s.starts.list {
			if w.queued && l.mayStart(w.slots[0], w.slots[1], w.Age, now) {
				start = w
				break
			}
		}
	}
	switch {
	case prepare != nil:
		l.Cancel(prepare)
		l.lock(item, prepare.Txn, prepare.Age, now)
		g.Winner = prepare
	case start != nil:
		l.Cancel(start)
		l.lock(start.Items[0], ids.Txn{}, start.Age, now)
		l.TakeTurn(start.Items[1])
		g.Winner = start
	}
	return g
}

// SetTxn names the attempt that holds item: a request at step 0 has none while
// it waits.
func (l *Locks) SetTxn(item int64, txn ids.Txn) {
	l.slots[item].lock.Txn = txn
}

// All returns the held locks by item, with the number of waiters of each.
func (l *Locks) All() (locks []Lock, waiters []int) {
	for _, item := range slices.SortedFunc(maps.Keys(l.slots), cmp.Compare[int64]) {
		if s := l.slots[item]; s.held {
			locks = append(locks, s.lock)
			waiters = append(waiters, s.waiting())
		}
	}
	return locks, waiters
}
