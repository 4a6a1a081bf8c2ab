package sim

import (
	"slices"

	"paxbank/server/bank"
	"paxbank/server/ids"
	"paxbank/server/paxos"
	"paxbank/server/replica"
)

// What takes a majority: to choose an entry, and to serve a read.

// acceptance is who has an index on disk as accepted at a ballot.
type acceptance struct {
	ballot ids.Ballot
	nodes  []ids.Node
}

// acceptances are those of one cluster's log in one era, by index. They are
// history: what is overwritten later was accepted all the same.
type acceptances map[uint64][]acceptance

func (a acceptances) add(index uint64, b ids.Ballot, n ids.Node) {
	for i := range a[index] {
		if x := &a[index][i]; x.ballot == b {
			if !slices.Contains(x.nodes, n) {
				x.nodes = append(x.nodes, n)
			}
			return
		}
	}
	a[index] = append(a[index], acceptance{b, []ids.Node{n}})
}

// newDisk gives the node an empty disk, whose frames count as accepted in an era.
func (n *node) newDisk(e *era) {
	accepted := e.accepted[n.cluster]
	n.disk = &disk{w: n.w, frame: func(r *paxos.Record) {
		for i := r.First; i <= r.Last; i++ {
			accepted.add(i, r.Ballot, n.id)
		}
	}}
}

// chosen checks that what is applied for the first time anywhere was accepted by
// a majority at one ballot, on the disks of all of them.
func (n *node) chosen(index uint64) {
	members, most := len(n.w.clusters[n.cluster]), 0
	for _, a := range n.era.accepted[n.cluster][index] {
		most = max(most, len(a.nodes))
	}
	if 2*most <= members && n.w.opt.sabotage == sabotageNone {
		n.w.fail("durability", "%s applies index %d, which at most %d of %d disks have accepted at one ballot", n.name, index, most, members)
	}
}

// promisesChosen checks that a PROMISE names what its sender has accepted and a
// majority with it, as far as the candidate wants to know: nothing but its
// promises tells the next leader what is chosen.
func (n *node) promisesChosen(m *paxos.Promise) {
	if n.w.opt.sabotage != sabotageNone {
		return // then a disk does not have what it said
	}
	told := map[uint64]ids.Ballot{}
	list, err := paxos.DecodeAccepted(m.Accepted)
	if err != nil {
		n.w.fail("promise", "%s promises %s with entries that cannot be read: %v", n.name, m.Ballot, err)
	}
	for i := range list {
		told[list[i].Index] = list[i].Ballot
	}
	members, accepted := len(n.w.clusters[n.cluster]), n.era.accepted[n.cluster]
	for index := max(m.CommitIndex+1, n.era.wanted[n.cluster][m.Ballot]); index <= n.disk.last; index++ {
		for _, a := range accepted[index] {
			if 2*len(a.nodes) > members && slices.Contains(a.nodes, n.id) && a.ballot.Less(m.Ballot) && told[index].Less(a.ballot) {
				n.w.fail("promise", "%s promises %s without index %d, which it and %d others of %d have accepted at %s",
					n.name, m.Ballot, index, len(a.nodes)-1, members, a.ballot)
			}
		}
	}
}

// overruled returns the ballot of a node of which it is certain that no
// leadership round of it can be confirmed from now on, because too many have
// promised a higher one; zero when there may still be one.
func (n *node) overruled() ids.Ballot {
	ballot := n.core.Status().Ballot
	members, left := n.w.clusters[n.cluster], 0
	for _, m := range members {
		if m.era != n.era {
			return ids.Ballot{} // a reset has begun: the disks are being emptied
		}
		if !ballot.Less(m.disk.promised) {
			left++
		}
	}
	if 2*left > len(members) {
		return ids.Ballot{}
	}
	return ballot
}

// inForce checks that a read was served by a leader that was one when the read
// arrived.
func (n *node) inForce(s *send, a *replica.Answer) {
	if a.Outcome == bank.OutcomeCommitted && !s.overruled.IsZero() && s.overruled == n.core.Status().Ballot {
		n.w.fail("leadership round", "%s serves at ballot %s what it was asked when no majority could follow it any more: %s",
			n.name, s.overruled, s.request)
	}
}
