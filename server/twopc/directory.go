package twopc

import "paxbank/server/ids"

// Directory knows, as far as one can, who leads the other clusters. Leaders are
// discovered, never configured: from announcements, from "not leader, try nX",
// and by trying the next node when one keeps silent.
type Directory struct {
	clusters []known
}

type known struct {
	nodes  []ids.Node
	leader ids.Node // 0: not known
	heard  ids.Time // when the leader last acted as one
	ballot ids.Ballot
	next   int // whom to try when no leader is known
	// suspect: the last attempt to reach the cluster failed.
	suspect bool
}

// NewDirectory returns a directory of clusters, each given by its nodes.
func NewDirectory(clusters [][]ids.Node) *Directory {
	d := &Directory{}
	for _, nodes := range clusters {
		d.clusters = append(d.clusters, known{nodes: nodes})
	}
	return d
}

// Target returns whom to ask in cluster c.
func (d *Directory) Target(c ids.Cluster) ids.Node {
	k := &d.clusters[c]
	if k.leader != 0 {
		return k.leader
	}
	return k.nodes[k.next%len(k.nodes)]
}

// Leader returns the leader of cluster c if one is known, else 0.
func (d *Directory) Leader(c ids.Cluster) ids.Node { return d.clusters[c].leader }

// Announced records an announcement; one older than what is known is ignored. A
// leader acts as one by announcing itself, so silence from before does not count.
// It reports whether another node than the one known leads now.
func (d *Directory) Announced(c ids.Cluster, b ids.Ballot, now ids.Time) bool {
	k := &d.clusters[c]
	if b.Less(k.ballot) {
		return false
	}
	changed := k.leader != b.Node
	k.ballot, k.leader, k.heard, k.suspect = b, b.Node, now, false
	return changed
}

// Heard records that node n of cluster c acted as its leader now.
func (d *Directory) Heard(c ids.Cluster, n ids.Node, now ids.Time) {
	k := &d.clusters[c]
	k.leader, k.heard, k.suspect = n, now, false
}

// NotLeader records that node n of cluster c said it does not lead, and that
// hint does (0: it does not know). It reports whether somebody else is worth
// asking at once.
func (d *Directory) NotLeader(c ids.Cluster, n, hint ids.Node, now ids.Time) bool {
	k := &d.clusters[c]
	if hint != 0 && hint != n {
		known := k.leader == hint
		k.leader = hint
		return !known
	}
	d.Silent(c, n, now+1)
	return false
}

// Silent records that node n of cluster c did not answer what was sent at since:
// somebody else is asked next, unless n has acted as leader meanwhile (then the
// answer takes time, or was lost).
func (d *Directory) Silent(c ids.Cluster, n ids.Node, since ids.Time) {
	k := &d.clusters[c]
	if k.leader == n && k.heard >= since {
		return
	}
	if k.leader == n {
		k.leader = 0
	}
	if k.nodes[k.next%len(k.nodes)] == n {
		k.next = (k.next + 1) % len(k.nodes)
	}
}

// Suspect records that cluster c could not be reached in time.
func (d *Directory) Suspect(c ids.Cluster) { d.clusters[c].suspect = true }

// Suspected reports whether the last attempt to reach cluster c failed.
func (d *Directory) Suspected(c ids.Cluster) bool { return d.clusters[c].suspect }
