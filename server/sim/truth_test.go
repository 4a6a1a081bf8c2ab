package sim

import (
	"fmt"
	"strings"
	"testing"

	"paxbank/internal/topology"
	"paxbank/server/bank"
	"paxbank/server/ids"
)

// story feeds a truth with entries as replicas would apply them. Items 1–2
// belong to c1, 3–4 to c2; every item starts at 10.
type story struct {
	t     *testing.T
	truth *truth
	now   ids.Time
	next  [2]uint64
	buf   []byte
	fault *Failure
}

func newStory(t *testing.T) *story {
	top, err := topology.Uniform(2, 3, 4, 10)
	if err != nil {
		t.Fatal(err)
	}
	s := &story{t: t, now: epochStart, next: [2]uint64{1, 1}}
	s.truth = newTruth(top, func(invariant, format string, args ...any) {
		panic(&Failure{Invariant: invariant, Detail: fmt.Sprintf(format, args...)})
	})
	return s
}

// apply adds an entry at the next index of a cluster and returns that index.
func (s *story) apply(cluster int, e bank.Entry, effect bank.Effect) uint64 {
	return s.applyAs("n1", cluster, s.next[cluster], e, effect)
}

func (s *story) applyAs(who string, cluster int, index uint64, e bank.Entry, effect bank.Effect) uint64 {
	s.t.Helper()
	if s.fault != nil {
		return 0
	}
	defer func() {
		if p := recover(); p != nil {
			s.fault = p.(*Failure)
		}
	}()
	e.Index = index
	e.Kind = max(e.Kind, bank.KindTransfer)
	if e.Seq == 0 {
		e.Seq = index
	}
	if e.Origin.IsZero() {
		e.Origin = ids.Ballot{Counter: 1, Node: 1}
	}
	s.next[cluster] = max(s.next[cluster], index+1)
	s.now++
	digest := uint64(0)
	digest, s.buf = digestEntry(&e, effect, s.buf)
	s.truth.apply(s.now, ids.Cluster(cluster), who, &e, effect, digest)
	return index
}

func (s *story) wants(invariant string) {
	s.t.Helper()
	switch {
	case invariant == "" && s.fault != nil:
		s.t.Errorf("a proper story fails: %v", s.fault)
	case invariant != "" && s.fault == nil:
		s.t.Errorf("nothing noticed, want %q violated", invariant)
	case invariant != "" && s.fault.Invariant != invariant:
		s.t.Errorf("%q noticed, want %q: %s", s.fault.Invariant, invariant, s.fault.Detail)
	}
}

func req(n uint64) ids.Request { return ids.Request{Client: 7, Timestamp: n} }

func intra(n uint64, from, to, amount int64) bank.Entry {
	return bank.Entry{Txn: ids.Txn{Request: req(n)}, Transfer: ids.Transfer{From: from, To: to, Amount: amount}}
}

// cross is a phase of the transfer (1, 3, 4).
func cross(n uint64, attempt uint32, role bank.Role, phase bank.Phase) bank.Entry {
	return bank.Entry{Txn: ids.Txn{Request: req(n), Number: attempt}, Role: role, Phase: phase,
		Transfer: ids.Transfer{From: 1, To: 3, Amount: 4}}
}

const (
	co = bank.RoleCoordinator
	pa = bank.RoleParticipant
)

func TestTruth(t *testing.T) {
	for _, tc := range []struct {
		name, violates string
		play           func(s *story)
	}{
		{"a whole life", "", func(s *story) {
			s.apply(0, intra(1, 1, 2, 3), bank.EffectApplied)
			p := s.apply(0, cross(2, 1, co, bank.PhasePrepare), bank.EffectPrepared)
			q := s.apply(1, cross(2, 1, pa, bank.PhasePrepare), bank.EffectPrepared)
			s.commit(2, 1, p, q)
			s.apply(0, bank.Entry{Kind: bank.KindEnd, Ended: []ids.Txn{{Request: req(2), Number: 1}}}, bank.EffectApplied)
			s.apply(0, intra(3, 1, 2, 100), bank.EffectInsufficientFunds)
			s.apply(0, bank.Entry{Kind: bank.KindTombstone, Txn: ids.Txn{Request: req(4)}}, bank.EffectApplied)
			s.apply(0, intra(4, 1, 2, 1), bank.EffectDuplicate)
		}},
		{"an aborted attempt", "", func(s *story) {
			p := s.apply(0, cross(1, 1, co, bank.PhasePrepare), bank.EffectPrepared)
			q := s.apply(1, cross(1, 1, pa, bank.PhasePrepare), bank.EffectPrepared)
			s.decide(0, 1, 1, co, bank.PhaseAbort, p, 0)
			s.decide(1, 1, 1, pa, bank.PhaseAbort, q, 0)
			s.apply(0, intra(2, 1, 2, 10), bank.EffectApplied)
		}},
		{"two replicas agree", "", func(s *story) {
			s.apply(0, intra(1, 1, 2, 3), bank.EffectApplied)
			s.applyAs("n2", 0, 1, intra(1, 1, 2, 3), bank.EffectApplied)
		}},
		{"other entry at an index", "agreement", func(s *story) {
			s.apply(0, intra(1, 1, 2, 3), bank.EffectApplied)
			s.applyAs("n2", 0, 1, intra(2, 1, 2, 3), bank.EffectApplied)
		}},
		{"other effect at an index", "agreement", func(s *story) {
			s.apply(0, intra(1, 1, 2, 3), bank.EffectApplied)
			s.applyAs("n2", 0, 1, intra(1, 1, 2, 3), bank.EffectDuplicate)
		}},
		{"an entry where others had none", "agreement", func(s *story) {
			s.applyAs("n1", 0, 2, intra(1, 1, 2, 3), bank.EffectApplied)
			s.applyAs("n2", 0, 1, intra(2, 1, 2, 3), bank.EffectApplied)
		}},
		{"executed twice", "exactly once", func(s *story) {
			s.apply(0, intra(1, 1, 2, 3), bank.EffectApplied)
			s.apply(0, intra(1, 1, 2, 3), bank.EffectApplied)
		}},
		{"executed after its tombstone", "exactly once", func(s *story) {
			s.apply(0, bank.Entry{Kind: bank.KindTombstone, Txn: ids.Txn{Request: req(1)}}, bank.EffectApplied)
			s.apply(0, intra(1, 1, 2, 3), bank.EffectApplied)
		}},
		{"prepared twice", "exactly once", func(s *story) {
			s.apply(0, cross(1, 1, co, bank.PhasePrepare), bank.EffectPrepared)
			e := cross(1, 2, co, bank.PhasePrepare)
			e.Transfer.From = 2
			s.apply(0, e, bank.EffectPrepared)
		}},
		{"too little money", "no overdraft", func(s *story) {
			s.apply(0, intra(1, 1, 2, 11), bank.EffectApplied)
		}},
		{"refused with enough money", "effects", func(s *story) {
			s.apply(0, intra(1, 1, 2, 10), bank.EffectInsufficientFunds)
		}},
		{"between P and C", "isolation", func(s *story) {
			s.apply(0, cross(1, 1, co, bank.PhasePrepare), bank.EffectPrepared)
			s.apply(0, intra(2, 2, 1, 1), bank.EffectApplied)
		}},
		{"refused between P and A", "isolation", func(s *story) {
			s.apply(0, cross(1, 1, co, bank.PhasePrepare), bank.EffectPrepared)
			s.apply(0, intra(2, 1, 2, 8), bank.EffectInsufficientFunds)
		}},
		{"C without the other side", "atomicity", func(s *story) {
			p := s.apply(0, cross(1, 1, co, bank.PhasePrepare), bank.EffectPrepared)
			s.decide(0, 1, 1, co, bank.PhaseCommit, p, 1)
		}},
		{"C after the other side's A", "atomicity", func(s *story) {
			p := s.apply(0, cross(1, 1, co, bank.PhasePrepare), bank.EffectPrepared)
			q := s.apply(1, cross(1, 1, pa, bank.PhasePrepare), bank.EffectPrepared)
			s.decide(1, 1, 1, pa, bank.PhaseAbort, q, 0)
			s.decide(0, 1, 1, co, bank.PhaseCommit, p, q)
		}},
		{"A after the coordinator's C", "atomicity", func(s *story) {
			p := s.apply(0, cross(1, 1, co, bank.PhasePrepare), bank.EffectPrepared)
			q := s.apply(1, cross(1, 1, pa, bank.PhasePrepare), bank.EffectPrepared)
			s.decide(0, 1, 1, co, bank.PhaseCommit, p, q)
			s.decide(1, 1, 1, pa, bank.PhaseAbort, q, 0)
		}},
		{"participant's C before the coordinator's", "atomicity", func(s *story) {
			s.apply(0, cross(1, 1, co, bank.PhasePrepare), bank.EffectPrepared)
			q := s.apply(1, cross(1, 1, pa, bank.PhasePrepare), bank.EffectPrepared)
			s.decide(1, 1, 1, pa, bank.PhaseCommit, q, 0)
		}},
		{"END before the other side's C", "atomicity", func(s *story) {
			p := s.apply(0, cross(1, 1, co, bank.PhasePrepare), bank.EffectPrepared)
			q := s.apply(1, cross(1, 1, pa, bank.PhasePrepare), bank.EffectPrepared)
			s.decide(0, 1, 1, co, bank.PhaseCommit, p, q)
			s.apply(0, bank.Entry{Kind: bank.KindEnd, Ended: []ids.Txn{{Request: req(1), Number: 1}}}, bank.EffectApplied)
		}},
		{"C of nothing", "effects", func(s *story) {
			s.decide(0, 1, 1, co, bank.PhaseCommit, 5, 5)
		}},
		{"an old origin that takes effect", "fence", func(s *story) {
			e := intra(1, 1, 2, 3)
			e.Origin = ids.Ballot{Counter: 2, Node: 2}
			s.apply(0, e, bank.EffectApplied)
			s.apply(0, intra(2, 1, 2, 3), bank.EffectApplied)
		}},
		{"void without a reason", "void", func(s *story) {
			s.apply(0, intra(1, 1, 2, 3), bank.EffectDuplicate)
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newStory(t)
			tc.play(s)
			s.wants(tc.violates)
		})
	}
}

func (s *story) commit(n uint64, attempt uint32, p, q uint64) {
	s.decide(0, n, attempt, co, bank.PhaseCommit, p, q)
	s.decide(1, n, attempt, pa, bank.PhaseCommit, q, 0)
}

func (s *story) decide(cluster int, n uint64, attempt uint32, role bank.Role, phase bank.Phase, seq, peerSeq uint64) {
	e := cross(n, attempt, role, phase)
	e.Seq, e.PeerSeq = seq, peerSeq
	s.apply(cluster, e, bank.EffectApplied)
}

func TestChecksumsAreCompared(t *testing.T) {
	s := newStory(t)
	s.truth.checksum(0, "n1", 5, 17)
	s.truth.checksum(1, "n4", 5, 18)
	s.truth.checksum(0, "n2", 5, 17)
	defer func() {
		f, _ := recover().(*Failure)
		if f == nil || f.Invariant != "determinism" || !strings.Contains(f.Detail, "n3") {
			t.Errorf("failure %v, want determinism, naming n3", f)
		}
	}()
	s.truth.checksum(0, "n3", 5, 18)
}

// TestReads checks the reads' part of strict serialisability: item 1 goes from
// 10 to 7 at time 11 and to 4 at time 12 (relative to the start).
func TestReads(t *testing.T) {
	s := newStory(t)
	s.now = epochStart + 10
	s.apply(0, intra(1, 1, 2, 3), bank.EffectApplied)
	s.apply(0, intra(2, 1, 2, 3), bank.EffectApplied)
	s.wants("")
	for _, tc := range []struct {
		from, to ids.Time
		value    int64
		ok       bool
	}{
		{1, 5, 10, true}, {1, 5, 7, false}, {1, 11, 7, true}, {5, 20, 10, true}, {5, 20, 7, true}, {5, 20, 4, true},
		{12, 20, 7, true}, // changed at the very time at which the read began
		{13, 20, 7, false}, {13, 20, 10, false}, {13, 20, 4, true}, {5, 20, 5, false},
	} {
		w := &world{}
		e := &era{truth: s.truth, reads: []readSeen{{item: 1, value: tc.value, start: epochStart + tc.from, end: epochStart + tc.to, node: "n1"}}}
		ok := func() (ok bool) {
			defer func() { ok = recover() == nil }()
			w.checkReads(e)
			return
		}()
		if ok != tc.ok {
			t.Errorf("read of %d in [%d, %d]: right %v, want %v", tc.value, tc.from, tc.to, ok, tc.ok)
		}
	}
}
