package paxos

import (
	"fmt"
	"math"
	"slices"

	"paxbank/server/ids"
)

// Propose appends an entry to the log and returns its index. Flush sends it,
// with everything else proposed since the last one. It takes ownership of data.
// REQUIRES: IsLeader.
func (n *Node) Propose(data []byte) uint64 {
	if n.role != roleLeader {
		panic(Violation{"only a leader proposes", n.LastIndex() + 1, fmt.Sprintf("n%d does not lead", n.self)})
	}
	index := n.log.end() + 1
	n.log.put(Entry{Index: index, Ballot: n.ballot, Origin: n.ballot, Kind: KindApp, Data: data})
	return index
}

// RequestRound returns the number of a leadership round that starts after this
// call, at the next Flush unless one is still under way. Numbers are meaningful
// within one leadership only. Whoever does not lead gets a number that is never
// confirmed.
func (n *Node) RequestRound() uint64 {
	if n.role != roleLeader {
		return math.MaxUint64
	}
	if n.quorum == 1 {
		n.round++
		n.agreed, n.wanted = n.round, n.round
		return n.round
	}
	n.wanted = n.round + 1
	return n.wanted
}

// ConfirmedRound is the highest round in which a quorum still followed.
func (n *Node) ConfirmedRound() uint64 { return n.agreed }

func (n *Node) flushLeader(now ids.Time) {
	if n.wanted > n.round && (n.agreed >= n.round || n.log.end() > n.framed) {
		n.round = n.wanted
	}
	n.replaceUnfit(now)
	n.frame(now)
	// What is chosen goes with the next frame if there is one soon: nobody waits for
	// it, and a message of its own wakes two processes.
	due, untold := n.cfg.TellAfter == 0 || n.tellAt != 0 && now >= n.tellAt, false
	for _, p := range n.peers {
		switch {
		case n.silent(now, p): // its heartbeats come by the timer
			p.spareAt = 0
		case p.spare && n.spares(now, p):
		case p.sentRound < n.round && n.agreed < n.round:
			n.heartbeat(now, p)
		case p.told < n.commit && due:
			p.told = n.commit
			n.send(p.id, &Commit{Ballot: n.ballot, CommitIndex: n.commit}, 0)
		case p.told < n.commit:
			untold = true
		}
	}
	switch {
	case !untold:
		n.tellAt = 0
	case n.tellAt == 0:
		n.tellAt = now + ids.Time(n.cfg.TellAfter)
	}
}

// frame records the proposals that are not framed yet and offers them to the
// followers, both at once: the leader's disk is one acceptor's among others.
func (n *Node) frame(now ids.Time) {
	for n.framed < n.log.end() {
		first := n.framed + 1
		m, last := n.acceptFrom(first, n.log.end())
		n.record(Record{
			Kind: RecordFrame, Ballot: n.ballot, First: first, Last: last,
			ViewFirst: n.run.first, NewView: m.NewView, Data: m.Entries,
		})
		if m.NewView {
			n.addView(n.ballot, n.run.first, n.log.slice(first, last))
		}
		n.framed = last
		n.runTo(last)
		for _, p := range n.peers {
			if p.next == first && n.maySend(now, p) && (!p.spare || m.NewView) {
				n.sendAccept(now, p, m, last)
			}
		}
	}
}

// acceptFrom makes one Accept of the entries from first on, up to last or to
// what fits. NEW-VIEW stays NEW-VIEW when it is sent again.
func (n *Node) acceptFrom(first, last uint64) (*Accept, uint64) {
	m := &Accept{
		Ballot: n.ballot, FirstIndex: first, ViewFirst: n.run.first,
		CommitIndex: n.commit, Round: n.round,
	}
	if m.NewView = first <= n.viewLast; m.NewView {
		last = min(last, n.viewLast)
	}
	m.Entries, last = n.encode(first, last)
	return m, last
}

// encode encodes the entries from first to last, or to what fits in a frame.
// REQUIRES: all are held.
func (n *Node) encode(first, last uint64) ([]byte, uint64) {
	last = min(last, first+n.cfg.MaxFrameEntries-1)
	list := n.log.slice(first, last)
	size := 10
	for i := range list {
		size += entrySize(&list[i])
		if size > n.cfg.MaxFrameBytes && i > 0 {
			list, last = list[:i], first+uint64(i)-1
			break
		}
	}
	return AppendEntries(make([]byte, 0, size), list), last
}

func (n *Node) sendAccept(now ids.Time, p *peer, m *Accept, last uint64) {
	n.send(p.id, m, 0)
	if p.asked == 0 {
		p.asked, p.askedAt = last, now
	}
	p.next, p.sentAt = last+1, now
	p.told, p.sentRound = m.CommitIndex, m.Round
}

func (n *Node) heartbeat(now ids.Time, p *peer) {
	n.send(p.id, &Heartbeat{
		Ballot: n.ballot, CommitIndex: n.commit, Round: n.round, Sent: p.next - 1, ViewFirst: n.run.first,
	}, 0)
	p.sentAt, p.told, p.sentRound = now, n.commit, n.round
}

// silent reports whether a follower is not worth sending entries to.
func (n *Node) silent(now ids.Time, p *peer) bool {
	return now-p.heard >= ids.Time(n.cfg.ElectionMin)
}

// maySend reports whether a follower can take entries from p.next on: it
// answers, does not wait for a checkpoint and is not too far behind.
func (n *Node) maySend(now ids.Time, p *peer) bool {
	return !n.silent(now, p) && !n.needsCheckpoint(p) && p.next < p.match+1+n.cfg.MaxInFlight
}

// spares reports whether a spare follower is left alone for now. What it lacks it is
// sent when it has lacked it for SpareAfter: then the entries of that time travel
// in one frame, and a prompt follower that does not answer holds nothing up for long.
func (n *Node) spares(now ids.Time, p *peer) bool {
	lacks := p.next <= n.framed && n.maySend(now, p) || n.agreed < n.round && p.sentRound < n.round
	switch {
	case !lacks:
		p.spareAt = 0
		return false
	case p.spareAt == 0:
		p.spareAt = now + ids.Time(n.cfg.SpareAfter)
		return true
	case now < p.spareAt:
		return true
	}
	p.spareAt = 0
	n.pump(now, p)
	return false
}

// fit reports whether a follower can be expected to answer at once.
func (n *Node) fit(now ids.Time, p *peer) bool {
	return !n.silent(now, p) && !p.reset && !n.needsCheckpoint(p)
}

// replaceUnfit lets spare followers that are fit take the places of prompt ones that
// are not.
func (n *Node) replaceUnfit(now ids.Time) {
	for _, p := range n.peers {
		if p.spare || n.fit(now, p) {
			continue
		}
		for _, q := range n.peers {
			if q.spare && n.fit(now, q) {
				n.replace(now, p, q)
				break
			}
		}
	}
}

// timed notes how long a follower takes to answer an ACCEPT.
func (p *peer) timed(now ids.Time) {
	took := ids.Duration(now - p.askedAt)
	if p.took != 0 {
		took = (3*p.took + took) / 4
	}
	p.asked, p.took = 0, took
}

// overtake lets a spare follower take the place of a prompt one that has answered
// less, although it was asked earlier, or that takes clearly longer to answer.
func (n *Node) overtake(now ids.Time, p *peer) {
	if !p.spare {
		return
	}
	for _, q := range n.peers {
		if !q.spare && (q.match < p.match || q.match == p.match && q.round < p.round ||
			p.took != 0 && q.took > 2*p.took+answerNoise) {
			n.replace(now, q, p)
			return
		}
	}
}

// replace lets a spare follower take the place of a prompt one.
func (n *Node) replace(now ids.Time, prompt, spare *peer) {
	prompt.spare, spare.spare, spare.spareAt = true, false, 0
	n.pump(now, spare)
}

// pumpSpare sends spare followers what they lack up to an index, before the log
// that holds it is dropped: they would need the checkpoint instead.
func (n *Node) pumpSpare(now ids.Time, index uint64) {
	for _, p := range n.peers {
		if p.spare && p.next <= index {
			n.pump(now, p)
		}
	}
}

// pump sends a follower what it was not sent yet, or as much as it may be sent.
func (n *Node) pump(now ids.Time, p *peer) {
	for p.next <= n.framed && n.maySend(now, p) {
		m, last := n.acceptFrom(p.next, n.framed)
		n.sendAccept(now, p, m, last)
	}
	p.held = p.next <= n.framed
}

// reply is what Accepted and HeartbeatReply have in common.
type reply struct {
	ballot ids.Ballot
	upTo   uint64
	commit uint64
	round  uint64
	gap    bool
}

func (n *Node) onReply(now ids.Time, p *peer, r reply) {
	if n.role != roleLeader || r.ballot != n.ballot {
		return
	}
	if r.upTo > n.framed || r.round > n.round {
		n.malformed++
		return
	}
	// Below the view there is no run to speak of.
	upTo := max(r.upTo, n.run.first-1)
	p.heard = now
	// The commit index may go back: its record is lost in a crash of the machine.
	p.known, p.commit = true, r.commit
	if r.round > p.round {
		p.round = r.round
		n.agreed = max(n.agreed, n.quorumOf(n.round, func(p *peer) uint64 { return p.round }))
	}
	if upTo > p.match {
		p.match = upTo
		n.chooseMore(now)
	}
	p.next = max(p.next, upTo+1)
	fresh := p.gapAt == 0 || p.gapEnd != upTo || now >= p.gapAt+ids.Time(gapRetry)
	rewound := p.reset || r.gap && fresh
	if p.asked != 0 && upTo >= p.asked {
		p.timed(now)
	}
	if rewound {
		p.next, p.reset, p.asked = upTo+1, false, 0
		p.gapEnd, p.gapAt = upTo, now
	}
	n.repair(now, p)
	n.overtake(now, p)
	// A spare one that only lacks what is new gets it when it is due.
	if !p.spare || rewound || p.held || p.next <= n.viewLast {
		n.pump(now, p)
	}
}

// quorumOf returns the highest value that a quorum has reached.
func (n *Node) quorumOf(own uint64, of func(*peer) uint64) uint64 {
	n.ranks = append(n.ranks[:0], own)
	for _, p := range n.peers {
		n.ranks = append(n.ranks, of(p))
	}
	slices.Sort(n.ranks)
	return n.ranks[len(n.ranks)-n.quorum]
}

// chooseMore moves the commit index to what a quorum has on disk.
func (n *Node) chooseMore(now ids.Time) {
	n.chosen(now, n.quorumOf(n.run.durable, func(p *peer) uint64 { return p.match }))
}

// quorumHeard is the last time at which a quorum had been heard.
func (n *Node) quorumHeard() ids.Time {
	return ids.Time(n.quorumOf(math.MaxInt64, func(p *peer) uint64 { return uint64(p.heard) }))
}

func (n *Node) tickLeader(now ids.Time) {
	if len(n.peers) == 0 {
		return
	}
	limit := n.quorumHeard() + ids.Time(n.cfg.ElectionMin)
	switch {
	case now < limit:
		n.graceEnd = 0
	case n.graceEnd == 0 && now > limit+ids.Time(n.cfg.ElectionMin/2):
		// This node was asleep; the answers may be on their way.
		n.graceEnd = now + ids.Time(n.cfg.HeartbeatEvery)
	case now >= n.graceEnd:
		n.follow(now)
		n.heardQuorum = false
		return
	}
	for _, p := range n.peers {
		if now >= p.sentAt+ids.Time(n.cfg.HeartbeatEvery) {
			n.heartbeat(now, p)
		}
	}
}
