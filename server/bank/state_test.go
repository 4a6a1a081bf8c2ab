package bank

import (
	"bytes"
	"math"
	"testing"

	"pgregory.net/rapid"

	"paxbank/server/ids"
)

var ballot1, ballot2 = ids.Ballot{Counter: 1, Node: 1}, ids.Ballot{Counter: 2, Node: 2}

func txn(ts uint64, number uint32) ids.Txn {
	return ids.Txn{Request: ids.Request{Client: 7, Timestamp: ts}, Ballot: ballot1, Number: number}
}

func intra(ts uint64, from, to, amount int64) Entry {
	return Entry{Kind: KindTransfer, Txn: ids.Txn{Request: ids.Request{Client: 7, Timestamp: ts}},
		Transfer: ids.Transfer{From: from, To: to, Amount: amount}}
}

func cross(phase Phase, role Role, seq uint64, t ids.Txn, from, to, amount int64) Entry {
	return Entry{Kind: KindTransfer, Phase: phase, Role: role, Seq: seq, Txn: t, Peer: 1, PeerSeq: 200,
		Transfer: ids.Transfer{From: from, To: to, Amount: amount}}
}

// log applies entries through their encoding, as a replica does.
type log struct {
	t *testing.T
	s *State
}

func newLog(t *testing.T) *log {
	return &log{t, New([]Range{{1, 10}, {21, 30}}, func(item int64) int64 {
		if item == 9 {
			return math.MaxInt64 - 5
		}
		return 10
	})}
}

func (l *log) apply(e Entry, want Effect) {
	l.t.Helper()
	if e.Origin.IsZero() {
		e.Origin = ballot1
	}
	var d Entry
	if err := d.Decode(l.s.Applied()+1, e.Origin, e.Append(nil)); err != nil {
		l.t.Fatal(err)
	}
	if got := l.s.Apply(&d); got != want {
		l.t.Fatalf("%s: effect %s, want %s", &d, got, want)
	}
}

func (l *log) balance(item, want int64) {
	l.t.Helper()
	if got, ok := l.s.Balance(item); !ok || got != want {
		l.t.Fatalf("item %d: %d (held: %t), want %d", item, got, ok, want)
	}
}

func (l *log) outcome(ts uint64, want Outcome) {
	l.t.Helper()
	if got, _, _ := l.s.Outcome(ids.Request{Client: 7, Timestamp: ts}); got != want {
		l.t.Fatalf("request %d: %s, want %s", ts, got, want)
	}
}

func TestIntra(t *testing.T) {
	l := newLog(t)
	l.apply(intra(1, 1, 2, 4), EffectApplied)
	l.balance(1, 6)
	l.balance(2, 14)
	l.outcome(1, OutcomeCommitted)
	l.apply(intra(1, 1, 2, 4), EffectDuplicate)
	l.balance(1, 6)
	l.apply(intra(2, 1, 2, 7), EffectInsufficientFunds)
	l.outcome(2, OutcomeInsufficientFunds)
	l.apply(intra(3, 1, 9, 6), EffectInvalid)
	l.outcome(3, OutcomeInvalid)
	l.balance(1, 6)
	l.apply(intra(4, 1, 21, 6), EffectApplied)
	l.balance(1, 0)
	l.balance(21, 16)
}

func TestCommitAndAbort(t *testing.T) {
	l := newLog(t)
	a, b := txn(1, 1), txn(2, 2)
	l.apply(cross(PhasePrepare, RoleCoordinator, 0, a, 1, 99, 4), EffectPrepared)
	l.balance(1, 6)
	if u, ok := l.s.Undo(1); !ok || u != (Undo{Item: 1, Before: 10, After: 6}) {
		t.Fatalf("undo record: %+v, %t", u, ok)
	}
	l.outcome(1, OutcomeNone)
	l.apply(cross(PhaseCommit, RoleCoordinator, 1, b, 1, 99, 4), EffectUnmatched)
	l.apply(cross(PhaseCommit, RoleCoordinator, 1, a, 1, 99, 4), EffectApplied)
	l.outcome(1, OutcomeCommitted)
	if d, ok := l.s.Decision(a); !ok || d.PeerSeq != 200 || d.Peer != 1 {
		t.Fatalf("decision: %+v, %t", d, ok)
	}
	l.apply(cross(PhaseAbort, RoleCoordinator, 1, a, 1, 99, 4), EffectUnmatched)
	l.balance(1, 6)
	l.apply(Entry{Kind: KindEnd, Ended: []ids.Txn{a}}, EffectApplied)

	l.apply(cross(PhasePrepare, RoleCoordinator, 0, b, 2, 99, 10), EffectPrepared)
	seq := l.s.Applied()
	l.balance(2, 0)
	l.apply(cross(PhaseAbort, RoleCoordinator, seq, b, 2, 99, 10), EffectApplied)
	l.balance(2, 10)
	l.outcome(2, OutcomeNone)
	if undo, prepared, decided := l.s.Counts(); undo+prepared+decided != 0 {
		t.Fatalf("left: %d undo records, %d prepared, %d decided", undo, prepared, decided)
	}

	l.apply(cross(PhasePrepare, RoleParticipant, 0, b, 99, 3, 5), EffectPrepared)
	seq = l.s.Applied()
	l.balance(3, 15)
	l.apply(cross(PhasePrepare, RoleParticipant, 0, b, 99, 3, 5), EffectDuplicate)
	l.apply(cross(PhaseAbort, RoleParticipant, seq, b, 99, 3, 5), EffectApplied)
	l.balance(3, 10)
	l.apply(cross(PhasePrepare, RoleParticipant, 0, b, 99, 9, 6), EffectOverflow)
	l.apply(cross(PhasePrepare, RoleCoordinator, 0, txn(5, 1), 4, 99, 11), EffectInsufficientFunds)
	if undo, prepared, _ := l.s.Counts(); undo+prepared != 0 {
		t.Fatalf("left: %d undo records, %d prepared", undo, prepared)
	}
}

// A second coordinator's P of a request that is prepared, a tombstone for it,
// and everything after an outcome are void.
func TestDuplicates(t *testing.T) {
	l := newLog(t)
	l.apply(cross(PhasePrepare, RoleCoordinator, 0, txn(1, 1), 1, 99, 4), EffectPrepared)
	l.apply(cross(PhasePrepare, RoleCoordinator, 0, txn(1, 2), 2, 99, 4), EffectDuplicate)
	tomb := Entry{Kind: KindTombstone, Txn: ids.Txn{Request: ids.Request{Client: 7, Timestamp: 1}}}
	l.apply(tomb, EffectDuplicate)
	l.apply(cross(PhaseAbort, RoleCoordinator, 1, txn(1, 1), 1, 99, 4), EffectApplied)
	l.apply(tomb, EffectApplied)
	l.outcome(1, OutcomeAborted)
	l.apply(cross(PhasePrepare, RoleCoordinator, 0, txn(1, 3), 1, 99, 4), EffectDuplicate)
	l.balance(1, 10)
}

func TestFence(t *testing.T) {
	l := newLog(t)
	l.apply(intra(1, 1, 2, 1), EffectApplied)
	l.s.ApplyView(2, ballot2)
	l.apply(intra(2, 1, 2, 1), EffectFenced)
	l.outcome(2, OutcomeNone)
	l.balance(1, 9)
	e := intra(2, 1, 2, 1)
	e.Origin = ballot2
	l.apply(e, EffectApplied)
}

func TestFloor(t *testing.T) {
	l := newLog(t)
	for ts := uint64(1); ts <= 5; ts++ {
		l.apply(intra(ts, 1, 2, 1), EffectApplied)
	}
	e := intra(6, 1, 2, 1)
	e.DoneBelow = 4
	l.apply(e, EffectApplied)
	for ts, want := range []Outcome{OutcomeNone, OutcomeNone, OutcomeNone, OutcomeNone, OutcomeCommitted, OutcomeCommitted, OutcomeCommitted} {
		l.outcome(uint64(ts), want)
	}
	l.apply(intra(2, 1, 2, 1), EffectTooOld)
	l.balance(1, 4)
}

func TestOutOfOrderStops(t *testing.T) {
	l := newLog(t)
	defer func() {
		if v, ok := recover().(Violation); !ok || v.Invariant != "in-order apply" {
			t.Fatalf("recovered %v", v)
		}
	}()
	e := intra(1, 1, 2, 1)
	e.Index = 2
	l.s.Apply(&e)
}

// Anything may be in the log; the state stays sound, equal on two replicas, and
// survives a checkpoint at any place.
func TestRandomLog(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		ranges := []Range{{1, 3}}
		initial := func(int64) int64 { return 10 }
		a, b := New(ranges, initial), New(ranges, initial)
		var view uint64 = 1
		for range rapid.IntRange(1, 60).Draw(rt, "entries") {
			item := rapid.Int64Range(1, 3)
			e := Entry{Kind: KindTransfer, Origin: ids.Ballot{Counter: rapid.Uint64Range(1, view).Draw(rt, "origin"), Node: 1}}
			e.Txn = txn(rapid.Uint64Range(1, 6).Draw(rt, "timestamp"), rapid.Uint32Range(1, 2).Draw(rt, "attempt"))
			e.Transfer = ids.Transfer{From: item.Draw(rt, "from"), To: item.Draw(rt, "to"), Amount: rapid.Int64Range(1, 12).Draw(rt, "amount")}
			held := func(i int64) bool { return a.undecided(i) != 0 }
			switch rapid.IntRange(0, 5).Draw(rt, "kind") {
			case 0:
				if e.Transfer.From == e.Transfer.To || held(e.Transfer.From) || held(e.Transfer.To) {
					continue // the lock table's promise
				}
			case 1:
				e.Phase, e.Role = PhasePrepare, Role(rapid.IntRange(1, 2).Draw(rt, "role"))
				if e.Role == RoleParticipant {
					e.Txn.Client = 8 // of a coordinator elsewhere
				}
				if held(e.Transfer.From) || held(e.Transfer.To) {
					continue
				}
			case 2, 3:
				e.Phase, e.Role = Phase(rapid.IntRange(2, 3).Draw(rt, "phase")), Role(rapid.IntRange(1, 2).Draw(rt, "role"))
				if seqs := a.PreparedSeqs(); len(seqs) > 0 {
					p := a.Prepared(rapid.SampledFrom(seqs).Draw(rt, "seq"))
					e.Seq, e.Txn, e.Role, e.Transfer = p.Seq, p.Txn, p.Role, p.Transfer
				}
			case 4:
				e = Entry{Kind: KindTombstone, Origin: e.Origin, Txn: e.Txn}
			case 5:
				view++
				v := ids.Ballot{Counter: view, Node: 1}
				a.ApplyView(a.Applied()+1, v)
				b.ApplyView(a.Applied(), v)
				continue
			}
			e.DoneBelow = rapid.Uint64Range(0, 3).Draw(rt, "done below")
			e.Index = a.Applied() + 1
			if e.Seq == 0 {
				e.Seq = e.Index
			}
			fa, fb := a.Apply(&e), b.Apply(&e)
			if fa != fb || a.Checksum() != b.Checksum() {
				rt.Fatalf("%s: %s and %s, %x and %x", &e, fa, fb, a.Checksum(), b.Checksum())
			}
			if rapid.IntRange(0, 9).Draw(rt, "checkpoint") == 0 {
				cp := a.AppendCheckpoint(nil)
				c := New(ranges, initial)
				if err := c.Restore(cp); err != nil {
					rt.Fatal(err)
				}
				if again := c.AppendCheckpoint(nil); !bytes.Equal(cp, again) {
					rt.Fatalf("restored state differs")
				}
				b = c
			}
		}
	})
}

func FuzzDecode(f *testing.F) {
	e := cross(PhasePrepare, RoleCoordinator, 0, txn(1, 1), 1, 99, 4)
	f.Add(e.Append(nil))
	end := Entry{Kind: KindEnd, Ended: []ids.Txn{txn(1, 1), txn(2, 1)}}
	f.Add(end.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		var e, again Entry
		if e.Decode(5, ballot1, b) != nil {
			return
		}
		if err := again.Decode(5, ballot1, e.Append(nil)); err != nil {
			t.Fatalf("%v does not survive its own encoding: %v", e, err)
		}
		if e.String() != again.String() {
			t.Fatalf("%s became %s", &e, &again)
		}
	})
}

func FuzzRestore(f *testing.F) {
	s := New([]Range{{1, 3}}, func(int64) int64 { return 10 })
	e := intra(1, 1, 2, 1)
	e.Index, e.Origin = 1, ballot1
	s.Apply(&e)
	f.Add(s.AppendCheckpoint(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		s := New([]Range{{1, 3}}, func(int64) int64 { return 10 })
		_ = s.Restore(b) // garbage is an error, never a panic
		_ = s.AppendCheckpoint(nil)
	})
}
