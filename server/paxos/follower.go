package paxos

import (
	"fmt"

	"paxbank/server/ids"
)

// follow makes the node a follower of nobody with full timers. What a leader
// proposed and did not frame yet was never seen by anybody and is dropped.
func (n *Node) follow(now ids.Time) {
	if n.role == roleLeader {
		n.log.truncate(max(n.framed, n.commit))
		n.wanted, n.tellAt = n.round, 0
	}
	n.role = roleFollower
	n.leader = 0
	n.fetch = fetch{}
	for _, p := range n.peers {
		p.tail = nil
	}
	n.patience(now)
}

// patience starts the follower's timer anew.
func (n *Node) patience(now ids.Time) {
	n.timeout = n.cfg.ElectionMin + n.random(n.cfg.ElectionMin/2)
	n.deadline = now + ids.Time(n.timeout)
}

// raise promises a higher ballot. Whoever depends on it waits for promiseWrite.
func (n *Node) raise(b ids.Ballot) {
	n.promised = b
	n.record(Record{Kind: RecordPromise, Ballot: b})
	n.promiseWrite = n.lastWrite()
	n.run = run{marks: n.run.marks[:0]}
	n.leaderCommit = 0
}

// hear takes note of a message that only the leader of b sends, and reports
// whether it is to be followed.
func (n *Node) hear(now ids.Time, from ids.Node, b ids.Ballot) bool {
	if b.Node != from || b.Less(n.promised) {
		return false
	}
	if n.role != roleFollower || n.promised.Less(b) {
		n.follow(now)
	}
	if n.promised.Less(b) {
		n.raise(b)
	}
	n.leader, n.heardAt = from, now
	n.leaderReset, n.late, n.first = false, false, false
	n.heardQuorum = true
	n.deadline = now + ids.Time(n.timeout)
	return true
}

func (n *Node) reject(to ids.Node, b ids.Ballot) {
	n.send(to, &Reject{Ballot: b, Promised: n.promised}, n.unlessDurable(n.promiseWrite))
}

// beginRun sets up the run of the promised ballot, whose view starts at first,
// from what the log holds already. It reports false when first is not what the
// same leader said before.
func (n *Node) beginRun(first uint64) bool {
	if n.run.known {
		return n.run.first == first
	}
	n.run = run{ballot: n.promised, known: true, first: first, end: first - 1, durable: first - 1, marks: n.run.marks[:0]}
	n.extendRun()
	return true
}

// extendRun moves the run's end over what the log holds at its ballot, and over
// what is known to be chosen: the leader can only have proposed the same there.
func (n *Node) extendRun() {
	if !n.run.known {
		return
	}
	end := n.run.end
	if n.commit+1 >= n.run.first {
		end = max(end, n.commit)
	}
	for {
		e := n.log.at(end + 1)
		if e == nil || e.Ballot != n.run.ballot {
			break
		}
		end++
	}
	n.runTo(end)
}

// runTo moves the run's end; the new part is durable with the latest write.
func (n *Node) runTo(end uint64) {
	r := &n.run
	if end <= r.end {
		return
	}
	r.end = end
	w := n.lastWrite()
	if k := len(r.marks) - 1; w <= n.durable {
		r.durable, r.marks = end, r.marks[:0]
	} else if k >= 0 && r.marks[k].write == w {
		r.marks[k].end = end
	} else {
		r.marks = append(r.marks, mark{w, end})
	}
}

// advance moves the commit index to what the leader told, over its run only.
func (n *Node) advance(now ids.Time) {
	if n.run.known && n.commit+1 >= n.run.first {
		n.chosen(now, min(n.leaderCommit, n.run.end))
	}
}

func (n *Node) onAccept(now ids.Time, p *peer, m *Accept) {
	if m.Ballot.Less(n.promised) {
		n.reject(p.id, m.Ballot)
		return
	}
	if m.ViewFirst == 0 || m.FirstIndex < m.ViewFirst {
		n.malformed++
		return
	}
	list, err := decodeEntries(n.scratch[:0], m.FirstIndex, m.Ballot, m.Entries)
	if err != nil || len(list) == 0 {
		n.malformed++
		return
	}
	defer func() { clear(list); n.scratch = list[:0] }()
	if !n.hear(now, p.id, m.Ballot) {
		return
	}
	if !n.beginRun(m.ViewFirst) {
		n.malformed++
		return
	}
	n.leaderCommit = max(n.leaderCommit, m.CommitIndex)
	last := m.FirstIndex + uint64(len(list)) - 1
	gap := m.FirstIndex > n.run.end+1 || last > n.log.end()+n.cfg.MaxHole
	if !gap {
		n.accept(list, last, m)
	}
	n.advance(now)
	n.acknowledge(p.id, m.Round, gap)
}

// accept stores the entries of a frame that joins the run, and records the
// frame as it came.
func (n *Node) accept(list []Entry, last uint64, m *Accept) {
	for i := range list {
		if e := &list[i]; e.Index > n.run.end {
			n.log.put(*e)
		} else {
			n.sameAsHeld(e)
		}
	}
	if last <= n.run.end {
		return // a duplicate
	}
	n.record(Record{
		Kind: RecordFrame, Ballot: m.Ballot, First: m.FirstIndex, Last: last,
		ViewFirst: m.ViewFirst, NewView: m.NewView, Data: m.Entries,
	})
	n.runTo(last)
	if m.NewView {
		n.addView(m.Ballot, m.ViewFirst, list)
		if endsView(m.Ballot, list) {
			// A quorum had accepted nothing above the VIEW at a lower ballot when it
			// promised, so what is here was not chosen and never will be.
			n.log.dropStale(last, m.Ballot)
		}
	}
	n.extendRun()
}

// sameAsHeld checks an entry that arrives for an index which is decided, or was
// filled at the same ballot.
func (n *Node) sameAsHeld(e *Entry) {
	held := n.log.at(e.Index)
	if held == nil || sameValue(held, e) {
		return
	}
	what := "a ballot has one value an index"
	if e.Index <= n.commit {
		what = "agreement"
	}
	panic(Violation{what, e.Index, fmt.Sprintf("holds kind %d of %s accepted at %s (%d bytes), %s sends kind %d of %s (%d bytes)",
		held.Kind, held.Origin, held.Ballot, len(held.Data), e.Ballot, e.Kind, e.Origin, len(e.Data))})
}

// acknowledge answers ACCEPT, CATCH-UP and a complete checkpoint. An answer of
// the same batch is replaced: the newer one says all of it.
func (n *Node) acknowledge(to ids.Node, round uint64, gap bool) {
	after := n.unlessDurable(max(n.promiseWrite, n.lastWrite()))
	if n.ack >= 0 {
		s := &n.out.Sends[n.ack]
		if a := s.Message.(*Accepted); s.To == to && a.Ballot == n.promised {
			a.UpTo, a.CommitIndex, a.Gap = n.run.end, n.commit, gap
			a.Round = max(a.Round, round)
			s.After = after
			return
		}
	}
	n.ack = len(n.out.Sends)
	n.send(to, &Accepted{Ballot: n.promised, UpTo: n.run.end, CommitIndex: n.commit, Round: round, Gap: gap}, after)
}

func (n *Node) onHeartbeat(now ids.Time, p *peer, m *Heartbeat) {
	if m.Ballot.Less(n.promised) {
		n.reject(p.id, m.Ballot)
		return
	}
	if m.ViewFirst == 0 || !n.hear(now, p.id, m.Ballot) || !n.beginRun(m.ViewFirst) {
		n.malformed++
		return
	}
	n.leaderCommit = max(n.leaderCommit, m.CommitIndex)
	n.advance(now)
	r := &HeartbeatReply{Ballot: m.Ballot, Round: m.Round, UpTo: n.run.durable, CommitIndex: n.commit}
	after := n.promiseWrite
	if m.Sent > n.run.end {
		// What is here but not on disk yet need not be sent again, so this answer
		// waits for the disk; the others must not, for reads wait for them.
		r.Gap, r.UpTo, after = true, n.run.end, max(after, n.lastWrite())
	}
	n.send(p.id, r, n.unlessDurable(after))
}

func (n *Node) onCommit(now ids.Time, p *peer, m *Commit) {
	if n.hear(now, p.id, m.Ballot) {
		n.leaderCommit = max(n.leaderCommit, m.CommitIndex)
		n.advance(now)
	}
}

// onCatchUp takes chosen entries, from the leader or, as a candidate, from the
// node that was asked.
func (n *Node) onCatchUp(now ids.Time, p *peer, m *CatchUp) {
	own := n.fetching(m.Ballot)
	if !own && (m.Ballot.Node != p.id || m.Ballot.Less(n.promised)) {
		return
	}
	list, err := DecodeEntries(m.FirstIndex, m.Ballot, m.Entries)
	if err != nil || len(list) > 0 && list[len(list)-1].Index > m.CommitIndex {
		n.malformed++
		return
	}
	if !own && !n.hear(now, p.id, m.Ballot) {
		return
	}
	moved := n.takeChosen(now, list, m)
	if own {
		n.fetched(now, moved)
		return
	}
	n.leaderCommit = max(n.leaderCommit, m.CommitIndex)
	n.advance(now)
	n.acknowledge(p.id, 0, false)
}

func (n *Node) takeChosen(now ids.Time, list []Entry, m *CatchUp) bool {
	if len(list) == 0 || m.FirstIndex > n.commit+1 {
		return false
	}
	last := list[len(list)-1].Index
	if last <= n.commit {
		return false
	}
	for i := range list {
		e := &list[i]
		held := n.log.at(e.Index)
		if e.Index <= n.commit || held != nil && held.Ballot == e.Ballot {
			n.sameAsHeld(e)
		}
		if e.Index > n.commit {
			n.log.put(*e)
		}
	}
	n.record(Record{Kind: RecordFrame, Ballot: m.Ballot, First: m.FirstIndex, Last: last, Data: m.Entries})
	n.chosen(now, last)
	n.extendRun()
	return true
}

// assembly is a checkpoint on its way here.
type assembly struct {
	from  ids.Node
	index uint64
	total uint64
	data  []byte
}

// onChunk takes a part of a checkpoint. A chunk without data is a request: the
// receiver of chunks says with it how much it has.
func (n *Node) onChunk(now ids.Time, p *peer, m *CheckpointChunk) {
	if len(m.Data) == 0 && m.Total > 0 {
		n.onChunkRequest(now, p, m)
		return
	}
	own := n.fetching(m.Ballot)
	if !own && !n.hear(now, p.id, m.Ballot) {
		return
	}
	if m.Total > maxCheckpointBytes || m.Offset > m.Total || uint64(len(m.Data)) > m.Total-m.Offset {
		n.malformed++
		return
	}
	if m.Index <= n.commit { // nothing to learn; say so
		if own {
			n.fetched(now, false)
		} else {
			n.acknowledge(p.id, 0, false)
		}
		return
	}
	a := &n.assembly
	if a.from != p.id || a.index != m.Index || a.total != m.Total {
		*a = assembly{from: p.id, index: m.Index, total: m.Total}
	}
	moved := m.Offset == uint64(len(a.data))
	if moved {
		a.data = append(a.data, m.Data...)
	}
	if uint64(len(a.data)) < m.Total {
		// A candidate drives its transfer itself and asks only for what follows; a
		// leader drives the other kind and is told in any case.
		if moved && own {
			n.fetch.at, n.deadline = now, now+ids.Time(n.cfg.ElectionMin)
		}
		if moved || !own {
			n.requestChunk(p.id, m.Ballot)
		}
		return
	}
	n.install(now)
	if own {
		n.fetched(now, true)
		return
	}
	n.advance(now)
	n.acknowledge(p.id, 0, false)
}

func (n *Node) requestChunk(to ids.Node, b ids.Ballot) {
	a := &n.assembly
	n.send(to, &CheckpointChunk{Ballot: b, Index: a.index, Offset: uint64(len(a.data)), Total: a.total}, 0)
}

// install makes the assembled checkpoint the node's own.
func (n *Node) install(now ids.Time) {
	a := n.assembly
	n.assembly = assembly{}
	n.record(Record{Kind: RecordCheckpoint, Commit: a.index, Data: a.data})
	n.commitRecorded = max(n.commitRecorded, a.index)
	n.log.compact(a.index)
	n.checkpoint = a.data
	n.chosen(now, a.index)
	n.applied, n.received = a.index, true
	n.extendRun()
}
