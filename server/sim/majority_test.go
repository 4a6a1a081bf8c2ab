package sim

import (
	"math/rand/v2"
	"testing"

	"paxbank/server/bank"
	"paxbank/server/ids"
	"paxbank/server/paxos"
	"paxbank/server/replica"
)

// at is a core of which only the ballot is known.
type at struct {
	core
	ballot ids.Ballot
}

func (a at) Status() replica.Status { return replica.Status{Ballot: a.ballot} }

// threeNodes is one cluster before anything has happened; every node has a core
// that says it is at ballot 2.n1.
func threeNodes(t *testing.T) *world {
	rng := rand.New(rand.NewPCG(1, 1))
	opt := Options{Seed: 1, Shape: "1x3"}
	p, err := newPlan(opt, rng)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(opt, p, rng, Coverage{})
	for _, n := range w.nodes {
		n.era, n.core = w.era, at{ballot: ballot(2, 1)}
	}
	return w
}

func ballot(counter uint64, node ids.Node) ids.Ballot {
	return ids.Ballot{Counter: counter, Node: node}
}

// violates returns the invariant that f finds violated, or nothing.
func violates(f func()) (invariant string) {
	defer func() {
		if failure, ok := recover().(*Failure); ok {
			invariant = failure.Invariant
		}
	}()
	f()
	return ""
}

// TestChosen: two of three that accepted an index at different ballots are no
// majority; two at one ballot are, also when one of them has moved on since.
func TestChosen(t *testing.T) {
	w := threeNodes(t)
	accept := func(n int, first, last uint64, b ids.Ballot) {
		w.nodes[n].disk.store([]paxos.Record{{Kind: paxos.RecordFrame, First: first, Last: last, Ballot: b}})
	}
	accept(0, 1, 3, ballot(1, 1))
	accept(1, 2, 2, ballot(2, 2))
	accept(0, 1, 3, ballot(1, 1)) // once more: it is still one node
	accept(2, 3, 4, ballot(1, 1))
	accept(0, 3, 3, ballot(3, 3))
	for index, want := range map[uint64]string{1: "durability", 2: "durability", 3: "", 4: "durability", 5: "durability"} {
		if got := violates(func() { w.nodes[1].chosen(index) }); got != want {
			t.Errorf("index %d is applied: %q violated, want %q", index, got, want)
		}
	}
	w.nodes[2].newDisk(w.era) // a reset does not unmake what was chosen before it
	if got := violates(func() { w.nodes[1].chosen(3) }); got != "" {
		t.Errorf("after a disk was emptied %q is violated", got)
	}
}

// TestLeadershipRound: a leader that two of three can no longer follow must not
// serve a read that arrived since.
func TestLeadershipRound(t *testing.T) {
	for _, tc := range []struct {
		name     string
		promised [3]ids.Ballot
		later    ids.Ballot // the node's ballot when it serves
		outcome  bank.Outcome
		want     string
	}{
		{"all follow", [3]ids.Ballot{ballot(2, 1), ballot(2, 1), ballot(2, 1)}, ballot(2, 1), bank.OutcomeCommitted, ""},
		{"two follow", [3]ids.Ballot{ballot(2, 1), ballot(2, 1), ballot(2, 2)}, ballot(2, 1), bank.OutcomeCommitted, ""},
		{"one has not heard of it yet", [3]ids.Ballot{ballot(2, 1), ballot(1, 3), ballot(2, 2)}, ballot(2, 1), bank.OutcomeCommitted, ""},
		{"two follow another", [3]ids.Ballot{ballot(2, 1), ballot(2, 2), ballot(2, 2)}, ballot(2, 1), bank.OutcomeCommitted, "leadership round"},
		{"and it says so", [3]ids.Ballot{ballot(2, 1), ballot(2, 2), ballot(2, 2)}, ballot(2, 1), bank.OutcomeUnavailable, ""},
		{"it leads again", [3]ids.Ballot{ballot(2, 1), ballot(2, 2), ballot(2, 2)}, ballot(3, 1), bank.OutcomeCommitted, ""},
	} {
		w := threeNodes(t)
		for i, b := range tc.promised {
			w.nodes[i].disk.store([]paxos.Record{{Kind: paxos.RecordPromise, Ballot: b}})
		}
		n := w.nodes[0]
		s := &send{request: &request{read: true}, overruled: n.overruled()}
		n.core = at{ballot: tc.later}
		if got := violates(func() { n.inForce(s, &replica.Answer{Outcome: tc.outcome}) }); got != tc.want {
			t.Errorf("%s: %q violated, want %q", tc.name, got, tc.want)
		}
	}
}
