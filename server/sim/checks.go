package sim

import (
	"paxbank/server/bank"
	"paxbank/server/ids"
	"paxbank/server/paxos"
	"paxbank/server/replica"
	"paxbank/server/twopc"
)

// What is checked of one node in every step.

// observe is called by the core for every entry it applies.
func (n *node) observe(e *bank.Entry, effect bank.Effect) {
	if e.Index <= n.lastSeen {
		n.w.fail("apply order", "%s applies index %d after %d", n.name, e.Index, n.lastSeen)
	}
	n.lastSeen, n.observed = e.Index, true
	var digest uint64
	digest, n.buf = digestEntry(e, effect, n.buf)
	kept := applied{entry: *e, effect: effect}
	kept.entry.Ended = append([]ids.Txn(nil), e.Ended...)
	n.w.trace.add("apply", n.id, 0, kept, digest, "")
	if n.era.truth.apply(n.w.now, n.cluster, n.name, e, effect, digest) {
		n.w.cov.add("entry", entryName(e)+" "+effect.String())
		if n.era == n.w.era {
			n.w.entryApplied(n.cluster, e, effect)
		}
		n.chosen(e.Index)
	}
}

// keepsWord checks that what a message promises is on disk when it leaves.
func (n *node) keepsWord(m any) {
	w := n.w
	if w.opt.sabotage != sabotageNone {
		return // then other checks have to notice
	}
	var ballot ids.Ballot
	upTo := uint64(0)
	switch m := m.(type) {
	case *paxos.Prepare:
		ballot = m.Ballot
		n.era.wanted[n.cluster][m.Ballot] = m.FirstIndex
	case *paxos.Promise:
		ballot = m.Ballot
		n.promisesChosen(m)
	case *paxos.Accept:
		ballot = m.Ballot
		views := n.era.views[n.cluster]
		if first, ok := views[m.Ballot]; ok && first != m.ViewFirst {
			w.fail("persist before promise", "%s says that its view %s begins at %d, and before at %d", n.name, m.Ballot, m.ViewFirst, first)
		}
		views[m.Ballot] = m.ViewFirst
	case *paxos.Accepted:
		ballot = m.Ballot
		// One below the view's first index means nothing.
		if first, ok := n.era.views[n.cluster][m.Ballot]; ok && m.UpTo >= first {
			upTo = m.UpTo
		}
	default:
		return
	}
	if n.disk.promised.Less(ballot) || n.disk.last < upTo {
		w.fail("persist before promise", "%s sends %s, but on its disk are promise %s and entries up to %d",
			n.name, describe(m), n.disk.promised, n.disk.last)
	}
}

// asked is what a coordinator asked for a request, and the oldest call that waited
// for it then.
type asked struct {
	age  ids.Age
	call uint64
}

// keepsOrder checks what keeps two-phase commit from deadlock and starvation: a
// request keeps its age in every attempt that its leader makes of it, and no
// prepare waits for an older one.
func (n *node) keepsOrder(m any) {
	switch m := m.(type) {
	case *twopc.TwoPCPrepareRequest:
		// While one call stays open, the request stays what it was.
		before, known := n.ages[m.Txn.Request]
		if known && n.take(before.call, false) != nil {
			if before.age != m.Age {
				n.w.fail("wait-die", "%s gives %s the age %v, and before %v", n.name, m.Txn.Request, m.Age, before.age)
			}
			return
		}
		for _, s := range n.open {
			// What came in this very step may be another request than the one asked for.
			if s.request.id == m.Txn.Request && !s.resolve && s.arrived+1 < n.steps {
				n.ages[m.Txn.Request] = asked{m.Age, s.call}
				return
			}
		}
	case *twopc.TwoPCPrepareReply:
		log := &n.era.truth.logs[n.cluster]
		ask, ok := n.era.branches.asks[m.Txn]
		seq, held := log.held[ask.Transfer.To]
		// Who lags behind the log takes another for the holder, and so did who was
		// deposed in this very step.
		status := n.core.Status()
		if m.Reason != twopc.ReasonWaiting || !ok || !held || !status.Ready || status.Applied < log.high {
			return
		}
		if p := log.prepared[seq]; p.Age.Older(ask.Age) && p.Txn.Request != m.Txn.Request {
			n.w.fail("wait-die", "%s lets %s of age %v wait for item %d, which the older %s of age %v holds",
				n.name, m.Txn, ask.Age, ask.Transfer.To, p.Txn, p.Age)
		}
	}
}

// check compares the replica with the truth after a step.
func (n *node) check(f *replica.Effects) {
	w := n.w
	if len(f.Records) > 0 && f.Write == 0 || len(f.Records) == 0 && f.Write != 0 {
		w.fail("effects", "%d records in write %d", len(f.Records), f.Write)
	}
	if !n.observed && w.steps%16 != 0 {
		return
	}
	n.checkState()
}

func (n *node) checkState() {
	s := n.core.Status()
	t := &n.era.truth.logs[n.cluster]
	n.era.truth.checksum(n.cluster, n.name, s.Applied, s.Checksum)
	if s.Applied < t.high {
		return
	}
	for _, b := range n.core.Balances(true) {
		want, ok := t.balances[b.Item]
		switch {
		case b.Balance < 0:
			n.w.fail("no overdraft", "%s holds %d on item %d", n.name, b.Balance, b.Item)
		case !ok:
			n.w.fail("money", "%s of %s holds item %d of another cluster", n.name, n.w.plan.topology.Clusters[n.cluster].ID, b.Item)
		case want != b.Balance:
			n.w.fail("money", "%s holds %d on item %d after index %d; by the log it is %d", n.name, b.Balance, b.Item, s.Applied, want)
		}
	}
}
