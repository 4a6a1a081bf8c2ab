package bank

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"

	"paxbank/server/ids"
)

// Violation is the panic value of a state invariant that does not hold.
type Violation struct {
	Invariant string
	Index     uint64
	Detail    string
}

func (v Violation) Error() string {
	return fmt.Sprintf("invariant %q violated at index %d: %s", v.Invariant, v.Index, v.Detail)
}

// Undo is the undo record of a transaction in this cluster: the before-image of
// the item it changed, and the after-image that an abort must still find.
type Undo struct {
	Item, Before, After int64
}

// Decision is a transaction committed here as coordinator and not yet
// acknowledged by its participant.
type Decision struct {
	Txn     ids.Txn
	Peer    ids.Cluster
	PeerSeq uint64
}

// Outcome that a session remembers, with the contents it belongs to. Transfer
// is zero for a tombstone.
type cached struct {
	outcome  Outcome
	transfer ids.Transfer
}

type session struct {
	floor    uint64
	outcomes map[uint64]cached
}

// span holds the balances of a contiguous range of items.
type span struct {
	first     int64
	balances  []int64
	modified  []bool
	undecided []uint64 // seq of the prepared transaction that has touched the item, 0 for none
}

func newSpan(first int64, size int) span {
	return span{first: first, balances: make([]int64, size), modified: make([]bool, size), undecided: make([]uint64, size)}
}

// State is what the log of one cluster replicates.
type State struct {
	applied  uint64
	view     ids.Ballot        // highest VIEW applied: the fence
	spans    []span            // ascending
	wal      map[uint64]Undo   // by seq, which is one transaction's here
	prepared map[uint64]*Entry // by seq
	byReq    map[ids.Request]uint64
	byTxn    map[ids.Txn]uint64 // participant P: txn → seq
	decided  map[ids.Txn]Decision
	sessions map[uint64]*session
	chain    uint64 // checksum over all effects
}

// Range is a range of items, both ends included.
type Range struct{ First, Last int64 }

// New returns the state before the first entry. ranges ascend without overlap;
// initial gives every item's balance.
func New(ranges []Range, initial func(item int64) int64) *State {
	s := &State{
		wal:      map[uint64]Undo{},
		prepared: map[uint64]*Entry{},
		byReq:    map[ids.Request]uint64{},
		byTxn:    map[ids.Txn]uint64{},
		decided:  map[ids.Txn]Decision{},
		sessions: map[uint64]*session{},
	}
	for _, r := range ranges {
		sp := newSpan(r.First, int(r.Last-r.First+1))
		for i := range sp.balances {
			sp.balances[i] = initial(r.First + int64(i))
		}
		s.spans = append(s.spans, sp)
	}
	return s
}

// slot returns where item's balance lives, or nil.
func (s *State) slot(item int64) (sp *span, i int64) {
	n, found := slices.BinarySearchFunc(s.spans, item, func(sp span, item int64) int {
		return cmp.Compare(sp.first, item)
	})
	if !found {
		if n == 0 {
			return nil, 0
		}
		n--
	}
	sp = &s.spans[n]
	if i = item - sp.first; i >= int64(len(sp.balances)) {
		return nil, 0
	}
	return sp, i
}

// Balance returns what item holds now, undecided changes included.
func (s *State) Balance(item int64) (balance int64, ok bool) {
	sp, i := s.slot(item)
	if sp == nil {
		return 0, false
	}
	return sp.balances[i], true
}

// Each calls f for every item in order, with whether it was ever modified.
func (s *State) Each(f func(item, balance int64, modified bool)) {
	for n := range s.spans {
		sp := &s.spans[n]
		for i, b := range sp.balances {
			f(sp.first+int64(i), b, sp.modified[i])
		}
	}
}

func (s *State) set(index uint64, item, balance int64) {
	sp, i := s.slot(item)
	if sp == nil {
		panic(Violation{"items", index, fmt.Sprintf("item %d is not held here", item)})
	}
	if balance < 0 {
		panic(Violation{"no overdraft", index, fmt.Sprintf("item %d would become %d", item, balance)})
	}
	sp.balances[i] = balance
	sp.modified[i] = true
	s.mix(uint64(item), uint64(balance))
}

func (s *State) mustBalance(index uint64, item int64) int64 {
	b, ok := s.Balance(item)
	if !ok {
		panic(Violation{"items", index, fmt.Sprintf("item %d is not held here", item)})
	}
	return b
}

// mix folds two words into the running checksum (FNV-1a on words, with an
// extra multiply so that high bits come down).
func (s *State) mix(a, b uint64) {
	const prime = 0x9E3779B97F4A7C15
	h := (s.chain ^ a) * prime
	h ^= h >> 29
	h = (h ^ b) * prime
	s.chain = h ^ h>>32
}

// Applied returns the index of the last entry applied.
func (s *State) Applied() uint64 { return s.applied }

// View returns the highest VIEW applied.
func (s *State) View() ids.Ballot { return s.view }

// Checksum covers every effect so far: equal on replicas that have applied the
// same entries.
func (s *State) Checksum() uint64 { return s.chain }

// Counts returns the numbers of undo records, prepared transactions and
// undelivered decisions.
func (s *State) Counts() (undo, prepared, decided int) {
	return len(s.wal), len(s.prepared), len(s.decided)
}

// Undo returns the undo record of the transaction that is prepared at seq.
func (s *State) Undo(seq uint64) (Undo, bool) {
	u, ok := s.wal[seq]
	return u, ok
}

// Prepared returns the P entry at seq that has no C or A yet, or nil. It must
// not be changed.
func (s *State) Prepared(seq uint64) *Entry { return s.prepared[seq] }

// PreparedSeqs returns the sequence numbers of all prepared transactions,
// ascending.
func (s *State) PreparedSeqs() []uint64 { return slices.Sorted(maps.Keys(s.prepared)) }

// CoordinatorPrepared returns the P that this cluster prepared as coordinator of
// req, or nil.
func (s *State) CoordinatorPrepared(req ids.Request) *Entry {
	if seq, ok := s.byReq[req]; ok {
		return s.prepared[seq]
	}
	return nil
}

// ParticipantPrepared returns the P that this cluster prepared as participant of
// txn, or nil.
func (s *State) ParticipantPrepared(txn ids.Txn) *Entry {
	if seq, ok := s.byTxn[txn]; ok {
		return s.prepared[seq]
	}
	return nil
}

// Decision returns the undelivered decision of txn.
func (s *State) Decision(txn ids.Txn) (Decision, bool) {
	d, ok := s.decided[txn]
	return d, ok
}

// Decisions returns all undelivered decisions in a fixed order.
func (s *State) Decisions() []Decision {
	return slices.SortedFunc(maps.Values(s.decided), func(a, b Decision) int { return a.Txn.Compare(b.Txn) })
}

// Outcome returns the remembered outcome of req and the contents it belongs to
// (zero for a tombstone).
func (s *State) Outcome(req ids.Request) (Outcome, ids.Transfer, bool) {
	if ses := s.sessions[req.Client]; ses != nil {
		if c, ok := ses.outcomes[req.Timestamp]; ok {
			return c.outcome, c.transfer, true
		}
	}
	return OutcomeNone, ids.Transfer{}, false
}

// Floor returns the timestamp below which client's outcomes are forgotten.
func (s *State) Floor(client uint64) uint64 {
	if ses := s.sessions[client]; ses != nil {
		return ses.floor
	}
	return 0
}

func (s *State) session(client uint64) *session {
	ses := s.sessions[client]
	if ses == nil {
		ses = &session{outcomes: map[uint64]cached{}}
		s.sessions[client] = ses
	}
	return ses
}

func (s *State) raiseFloor(client, floor uint64) {
	ses := s.session(client)
	if floor <= ses.floor {
		return
	}
	if floor-ses.floor <= uint64(len(ses.outcomes)) {
		for ts := ses.floor; ts < floor; ts++ {
			delete(ses.outcomes, ts)
		}
	} else {
		maps.DeleteFunc(ses.outcomes, func(ts uint64, _ cached) bool { return ts < floor })
	}
	ses.floor = floor
	s.mix(client, floor)
}

// remember caches the outcome of e's request, unless the client has said that it
// no longer needs it.
func (s *State) remember(e *Entry, o Outcome) {
	if e.Txn.Timestamp < s.Floor(e.Txn.Client) {
		return
	}
	c := cached{outcome: o}
	if e.Kind == KindTransfer {
		c.transfer = e.Transfer
	}
	s.session(e.Txn.Client).outcomes[e.Txn.Timestamp] = c
}

// advance checks that entries come in order.
func (s *State) advance(index uint64) {
	if index != s.applied+1 {
		panic(Violation{"in-order apply", index, fmt.Sprintf("applied up to %d", s.applied)})
	}
	s.applied = index
}

// Skip passes over a NO-OP.
func (s *State) Skip(index uint64) {
	s.advance(index)
	s.mix(index, 0)
}

// ApplyView raises the fence: entries that a lower ballot proposed first are
// void from here on.
func (s *State) ApplyView(index uint64, ballot ids.Ballot) {
	s.advance(index)
	if s.view.Less(ballot) {
		s.view = ballot
	}
	s.mix(index, ballot.Counter<<16|uint64(ballot.Node))
}

// Apply carries out one entry. The entry may be reused by the caller.
func (s *State) Apply(e *Entry) Effect {
	s.advance(e.Index)
	effect := s.apply(e)
	s.mix(e.Index, uint64(effect))
	return effect
}

func (s *State) apply(e *Entry) Effect {
	if e.Origin.Less(s.view) {
		return EffectFenced
	}
	switch {
	case e.Kind == KindEnd:
		for _, t := range e.Ended {
			delete(s.decided, t)
		}
		return EffectApplied
	case e.Phase == PhaseCommit || e.Phase == PhaseAbort:
		return s.applyDecision(e)
	case e.Phase == PhasePrepare && e.Role == RoleParticipant:
		return s.applyParticipantPrepare(e)
	}
	// A first entry of a request: intra-shard, coordinator's P or tombstone.
	s.raiseFloor(e.Txn.Client, e.DoneBelow)
	if e.Txn.Timestamp < s.Floor(e.Txn.Client) {
		return EffectTooOld
	}
	if _, _, known := s.Outcome(e.Txn.Request); known {
		return EffectDuplicate
	}
	if _, other := s.byReq[e.Txn.Request]; other {
		return EffectDuplicate
	}
	if e.Kind == KindTombstone {
		s.remember(e, OutcomeAborted)
		return EffectApplied
	}
	t := e.Transfer
	from := s.mustBalance(e.Index, t.From)
	if from < t.Amount {
		s.remember(e, OutcomeInsufficientFunds)
		return EffectInsufficientFunds
	}
	if e.Phase == PhasePrepare {
		s.prepare(e, t.From, from, from-t.Amount)
		s.byReq[e.Txn.Request] = e.Seq
		return EffectPrepared
	}
	to := s.mustBalance(e.Index, t.To)
	if to > math.MaxInt64-t.Amount {
		s.remember(e, OutcomeInvalid)
		return EffectInvalid
	}
	s.checkIsolation(e, t.From)
	s.checkIsolation(e, t.To)
	s.set(e.Index, t.From, from-t.Amount)
	s.set(e.Index, t.To, to+t.Amount)
	s.remember(e, OutcomeCommitted)
	return EffectApplied
}

func (s *State) applyParticipantPrepare(e *Entry) Effect {
	if _, again := s.byTxn[e.Txn]; again {
		return EffectDuplicate
	}
	to := s.mustBalance(e.Index, e.Transfer.To)
	if to > math.MaxInt64-e.Transfer.Amount {
		return EffectOverflow
	}
	s.prepare(e, e.Transfer.To, to, to+e.Transfer.Amount)
	s.byTxn[e.Txn] = e.Seq
	return EffectPrepared
}

// checkIsolation asserts that no undecided transaction has touched item.
func (s *State) checkIsolation(e *Entry, item int64) {
	if seq := s.undecided(item); seq != 0 {
		panic(Violation{"isolation", e.Index, fmt.Sprintf("item %d is undecided (%s) when %s is applied", item, s.prepared[seq].Txn, e)})
	}
}

// undecided returns the seq of the prepared transaction that has touched item, or 0.
func (s *State) undecided(item int64) uint64 {
	if sp, i := s.slot(item); sp != nil {
		return sp.undecided[i]
	}
	return 0
}

// mark notes that a prepared transaction has touched item, or 0, that none has.
func (s *State) mark(item int64, seq uint64) {
	sp, i := s.slot(item)
	sp.undecided[i] = seq
}

func (s *State) prepare(e *Entry, item, before, after int64) {
	s.checkIsolation(e, item)
	s.wal[e.Seq] = Undo{Item: item, Before: before, After: after}
	s.mark(item, e.Seq)
	p := *e
	p.Ended = nil
	s.prepared[e.Seq] = &p
	s.set(e.Index, item, after)
}

func (s *State) applyDecision(e *Entry) Effect {
	p := s.prepared[e.Seq]
	if p == nil || p.Txn != e.Txn || p.Role != e.Role {
		return EffectUnmatched
	}
	u, ok := s.wal[e.Seq]
	if !ok {
		panic(Violation{"clean end", e.Index, fmt.Sprintf("no undo record of prepared %s", p)})
	}
	if e.Phase == PhaseAbort {
		if b := s.mustBalance(e.Index, u.Item); b != u.After {
			panic(Violation{"isolation", e.Index, fmt.Sprintf("item %d is %d, not the after-image %d of %s", u.Item, b, u.After, p)})
		}
		s.set(e.Index, u.Item, u.Before)
	}
	delete(s.wal, e.Seq)
	s.mark(u.Item, 0)
	delete(s.prepared, e.Seq)
	if p.Role == RoleParticipant {
		delete(s.byTxn, p.Txn)
		return EffectApplied
	}
	delete(s.byReq, p.Txn.Request)
	if e.Phase == PhaseCommit {
		s.decided[p.Txn] = Decision{Txn: p.Txn, Peer: p.Peer, PeerSeq: e.PeerSeq}
		s.remember(p, OutcomeCommitted)
	}
	return EffectApplied
}
