package paxos

import "paxbank/server/ids"

// IsLeader reports whether phase 1 is won; the VIEW may not be chosen yet.
func (n *Node) IsLeader() bool { return n.role == roleLeader }

// Ballot is the own one as leader, else the highest promised or heard of.
func (n *Node) Ballot() ids.Ballot {
	if n.role != roleLeader && n.promised.Less(n.seen) {
		return n.seen
	}
	return n.promised
}

// Leader is the node believed to lead: this one, or the one heard within the
// election timeout; 0 when there is none.
func (n *Node) Leader() ids.Node {
	if n.role == roleLeader {
		return n.self
	}
	return n.leader
}

// Quorum reports whether a majority was heard lately: a leader steps down when
// it was not, a follower has a live leader or had answers to its last pre-vote.
func (n *Node) Quorum() bool {
	return n.live && (n.role == roleLeader || n.heardQuorum || n.quorum == 1)
}

// LastIndex is the last index held; what a former leader left above the run of
// the current one is not counted.
func (n *Node) LastIndex() uint64 {
	if n.role != roleLeader && n.run.known && n.run.ballot == n.promised {
		return max(n.run.end, n.commit)
	}
	return max(n.log.end(), n.commit)
}

// CommitIndex is the index up to which entries are known here to be chosen.
func (n *Node) CommitIndex() uint64 { return n.commit }

// FirstIndex is the first index that the log can hold: checkpoint + 1.
func (n *Node) FirstIndex() uint64 { return n.log.base }

// Checkpointed is the index of the last checkpoint, 0 when there is none.
func (n *Node) Checkpointed() (index uint64) { return n.log.base - 1 }

// Entries returns copies of the entries held from an index on, ascending;
// indexes that hold nothing are left out.
func (n *Node) Entries(from uint64) []Entry { return n.log.held(from) }

// Views returns the NEW-VIEW messages sent or received, oldest first. They must
// not be changed.
func (n *Node) Views() []View { return n.views }

// Elections is how often this Node won phase 1 since New.
func (n *Node) Elections() uint64 { return n.elections }

// Malformed is how many messages were ignored because they made no sense.
func (n *Node) Malformed() uint64 { return n.malformed }

// Settled reports whether nothing is under way: all writes are on disk, every
// entry is chosen, and the disk knows it.
func (n *Node) Settled() bool {
	return len(n.out.Records) == 0 && n.durable == n.write &&
		n.commit == n.LastIndex() && n.commitRecorded == n.commit && len(n.assembly.data) == 0
}
