package paxos

import "paxbank/server/ids"

// needsCheckpoint reports whether a follower lacks entries that are no longer
// held here.
func (n *Node) needsCheckpoint(p *peer) bool {
	base := n.Checkpointed()
	return p.next <= base || p.known && p.commit < base && p.commit+1 < n.run.first
}

// repair sends a follower what it lacks below the run, if its last answer
// showed such a lack: chosen entries, or the checkpoint. It is called on every
// answer; the same thing is sent again only after a while.
func (n *Node) repair(now ids.Time, p *peer) {
	if !p.known {
		return
	}
	from := p.commit + 1
	switch {
	case n.needsCheckpoint(p):
		n.repairByCheckpoint(now, p)
	case from < n.run.first:
		if p.fixFrom == from && now < p.fixAt+ids.Time(catchUpRetry) {
			return
		}
		p.fixFrom, p.fixAt = from, now
		n.sendCatchUp(p.id, n.ballot, from, n.run.first-1)
	}
}

func (n *Node) sendCatchUp(to ids.Node, b ids.Ballot, from, last uint64) {
	m := &CatchUp{Ballot: b, FirstIndex: from, CommitIndex: n.commit}
	m.Entries, _ = n.encode(from, last)
	n.send(to, m, 0)
}

// repairByCheckpoint starts the transfer of the checkpoint, or starts it over
// when it stands still or another checkpoint was taken.
func (n *Node) repairByCheckpoint(now ids.Time, p *peer) {
	if p.chunkOf == n.Checkpointed() && now < p.chunkAt+ids.Time(chunkRetry) {
		return
	}
	if p.chunkOf != n.Checkpointed() {
		p.chunkOf, p.chunkAck = n.Checkpointed(), 0
	}
	p.chunkOff, p.chunkAt = p.chunkAck, now
	n.sendChunk(p.id, n.ballot, p.chunkOff)
}

func (n *Node) sendChunk(to ids.Node, b ids.Ballot, offset uint64) {
	total := uint64(len(n.checkpoint))
	if offset > total || offset == total && total > 0 {
		return
	}
	n.send(to, &CheckpointChunk{
		Ballot: b, Index: n.Checkpointed(), Offset: offset, Total: total,
		Data: n.checkpoint[offset:min(offset+n.cfg.ChunkBytes, total)],
	}, 0)
}

// onChunkRequest goes on with a transfer: as the leader, or for the candidate
// whose ballot is promised here.
func (n *Node) onChunkRequest(now ids.Time, p *peer, m *CheckpointChunk) {
	switch {
	case n.role == roleLeader && m.Ballot == n.ballot:
		p.heard = now
		if m.Index != n.Checkpointed() || p.chunkOf != m.Index {
			return // an older transfer; repair has begun or will begin a new one
		}
		p.chunkAck = m.Offset
		if m.Offset > p.chunkOff {
			p.chunkOff, p.chunkAt = m.Offset, now
			n.sendChunk(p.id, n.ballot, m.Offset)
		}
	case m.Ballot.Node == p.id && m.Ballot == n.promised && n.Checkpointed() > 0:
		if m.Index == n.Checkpointed() {
			n.sendChunk(p.id, m.Ballot, m.Offset)
		} else {
			n.sendChunk(p.id, m.Ballot, 0)
		}
	}
}

// onFetch answers a candidate that is promised here and lacks chosen entries.
func (n *Node) onFetch(p *peer, m *Fetch) {
	switch {
	case m.Ballot.Node != p.id || m.Ballot != n.promised || m.FromIndex == 0 || m.FromIndex > n.commit:
	case m.FromIndex <= n.Checkpointed():
		n.sendChunk(p.id, m.Ballot, 0)
	default:
		n.sendCatchUp(p.id, m.Ballot, m.FromIndex, n.commit)
	}
}
