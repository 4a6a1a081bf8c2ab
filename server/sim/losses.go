package sim

import (
	"paxbank/server/bank"
	"paxbank/server/ids"
	"paxbank/server/twopc"
)

// losses recognises in what happens the rows of the protocol's table "Losing
// nodes in the middle", so that a campaign can show that it met all of them. It
// only counts; nothing is checked here.
type losses struct {
	asked    map[ids.Txn]bool // attempts of which a coordinator's P was applied
	prepared map[place]prepared
	commits  map[ids.Txn]committed
	// noQuorum is, by cluster, when a majority was last not there.
	noQuorum []ids.Time
}

// place is a sequence number of a cluster.
type place struct {
	cluster ids.Cluster
	seq     uint64
}

type prepared struct {
	origin ids.Ballot
	at     ids.Time
}

type committed struct {
	origin ids.Ballot
	at     ids.Time
}

// The rows, in the protocol's words.
const (
	rowCoordinatorBeforeP    = "coordinator's leader, before its P is chosen"
	rowCoordinatorUndecided  = "coordinator's leader, P chosen, no decision"
	rowCoordinatorAfterC     = "coordinator's leader, after C"
	rowParticipantPrepared   = "participant's leader, prepared"
	rowParticipantQuorum     = "participant's whole quorum, before prepared"
	rowParticipantQuorumLate = "participant's whole quorum, after the decision"
	rowCoordinatorQuorum     = "coordinator's whole quorum, undecided"
	rowMinority              = "a minority, kill -9"
	rowEverybody             = "all nodes, kill -9, restart"
)

var rows = []string{rowCoordinatorBeforeP, rowCoordinatorUndecided, rowCoordinatorAfterC, rowParticipantPrepared,
	rowParticipantQuorum, rowParticipantQuorumLate, rowCoordinatorQuorum, rowMinority, rowEverybody}

func newLosses(clusters int) *losses {
	return &losses{asked: map[ids.Txn]bool{}, prepared: map[place]prepared{}, commits: map[ids.Txn]committed{},
		noQuorum: make([]ids.Time, clusters)}
}

// present counts the nodes of a cluster that run and are connected.
func (w *world) present(c ids.Cluster) int {
	n := 0
	for _, m := range w.clusters[c] {
		if m.up && m.live {
			n++
		}
	}
	return n
}

func (w *world) hasQuorum(c ids.Cluster) bool { return 2*w.present(c) > len(w.clusters[c]) }

// nodeLost is called when a node has crashed or was disconnected.
func (w *world) nodeLost(n *node, killed bool) {
	switch {
	case !w.hasQuorum(n.cluster):
		w.era.losses.noQuorum[n.cluster] = w.now
	case killed:
		w.cov.add("lost", rowMinority)
	}
	if !killed {
		return
	}
	for _, m := range w.nodes {
		if m.up {
			return
		}
	}
	w.cov.add("lost", rowEverybody)
}

// lacked reports whether a cluster was without a majority at some time since.
func (w *world) lacked(c ids.Cluster, since ids.Time) bool {
	return !w.hasQuorum(c) || w.era.losses.noQuorum[c] > since
}

// leads reports whether a node leads at a ballot, as far as it knows itself.
func (w *world) leads(b ids.Ballot) bool {
	n := w.node(b.Node)
	if n == nil || !n.up || !n.live {
		return false
	}
	s := n.core.Status()
	return s.Leader == n.id && s.Ballot == b
}

// entryApplied is told of every entry that takes effect for the first time.
func (w *world) entryApplied(cluster ids.Cluster, e *bank.Entry, effect bank.Effect) {
	l := w.era.losses
	if e.Phase == bank.PhaseNone || effect.Void() {
		return
	}
	here := place{cluster, e.Seq}
	coordinator := e.Role == bank.RoleCoordinator
	if e.Phase == bank.PhasePrepare {
		if coordinator {
			l.asked[e.Txn] = true
		}
		if effect == bank.EffectPrepared {
			l.prepared[here] = prepared{e.Origin, w.now}
		}
		return
	}
	p := l.prepared[here]
	delete(l.prepared, here)
	succeeded := p.origin != e.Origin // another leader decides than prepared
	if !coordinator {
		c, decided := l.commits[e.Txn]
		switch {
		case e.Phase == bank.PhaseAbort && !l.asked[e.Txn] && !w.leads(e.Txn.Ballot):
			w.cov.add("lost", rowCoordinatorBeforeP)
		case e.Phase == bank.PhaseCommit && decided && w.lacked(cluster, c.at):
			w.cov.add("lost", rowParticipantQuorumLate)
		}
		if succeeded {
			w.cov.add("lost", rowParticipantPrepared)
		}
		return
	}
	if succeeded {
		w.cov.add("lost", rowCoordinatorUndecided)
	}
	theirs := w.era.truth.logs[e.Peer].participates(e.Txn)
	if w.lacked(cluster, p.at) && theirs {
		w.cov.add("lost", rowCoordinatorQuorum)
	}
	switch {
	case e.Phase == bank.PhaseCommit:
		l.commits[e.Txn] = committed{e.Origin, w.now}
	case !theirs && w.lacked(e.Peer, p.at):
		w.cov.add("lost", rowParticipantQuorum)
	}
}

// commitSent is told of every TwoPCCommit.
func (w *world) commitSent(from *node, m *twopc.TwoPCCommitRequest) {
	if c, ok := from.era.losses.commits[m.Txn]; ok && c.origin != from.core.Status().Ballot {
		w.cov.add("lost", rowCoordinatorAfterC)
	}
}
