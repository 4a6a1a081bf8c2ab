package paxos

import (
	"fmt"

	"paxbank/server/ids"
)

// fetch is how a candidate gets what is chosen already and missing here.
type fetch struct {
	from   ids.Node // 0: not fetching
	target uint64   // commit index that from has
	at     ids.Time // last request
}

func (n *Node) tickFollower(now ids.Time) {
	if now < n.deadline {
		return
	}
	if now > n.deadline+ids.Time(n.cfg.ElectionMin/2) && !n.late {
		// This node, not the leader, was asleep: its messages may be on their way.
		n.late = true
		n.deadline = now + ids.Time(n.cfg.HeartbeatEvery)
		return
	}
	n.preVote(now)
}

func (n *Node) tickCandidate(now ids.Time) {
	if n.role == roleCandidate && now < n.deadline {
		if n.fetch.from != 0 && now >= n.fetch.at+ids.Time(catchUpRetry) {
			n.fetchMore(now)
		}
		return
	}
	if now < n.deadline {
		return
	}
	n.heardQuorum = n.count(func(p *peer) bool { return p.answered }) >= n.quorum
	if n.role == roleCandidate {
		n.follow(now)
		return
	}
	n.preVote(now)
}

// count counts this node and the others for which is holds.
func (n *Node) count(is func(*peer) bool) int {
	c := 1
	for _, p := range n.peers {
		if is(p) {
			c++
		}
	}
	return c
}

// preVote begins a round of asking who would promise, at a ballot above all
// that were heard of. Rounds repeat quickly: they change nothing anywhere.
func (n *Node) preVote(now ids.Time) {
	n.role = rolePreCandidate
	n.leader, n.leaderReset, n.late = 0, false, false
	n.ballot = ids.Ballot{Counter: max(n.promised.Counter, n.seen.Counter) + 1, Node: n.self}
	for _, p := range n.peers {
		p.answered, p.granted = false, false
		n.send(p.id, &PreVote{Ballot: n.ballot}, 0)
	}
	if n.first {
		n.deadline = now + ids.Time(n.cfg.FirstElection/3)*ids.Time(n.rank+1)
	} else {
		n.deadline = now + ids.Time(n.cfg.ElectionMin/2+n.random(n.cfg.ElectionMin/4))
	}
	if n.quorum == 1 {
		n.prepare(now)
	}
}

// loyal reports whether a live leader stands against a candidate.
func (n *Node) loyal(now ids.Time, candidate ids.Node) bool {
	return n.leader != 0 && n.leader != candidate && !n.leaderReset &&
		now-n.heardAt < ids.Time(n.cfg.ElectionMin)
}

func (n *Node) onPreVote(now ids.Time, p *peer, m *PreVote) {
	if m.Ballot.Node != p.id {
		n.malformed++
		return
	}
	r := &PreVoteReply{Ballot: m.Ballot, Promised: n.promised}
	switch {
	case n.role == roleLeader:
		// It is back, or lost sight of this leader: show it at once.
		r.Leader = n.self
		n.heartbeat(now, p)
	case n.loyal(now, p.id):
		r.Leader = n.leader
	case !n.promised.Less(m.Ballot):
	case n.first && n.self < p.id && !n.challenged && n.role != roleCandidate:
		// The lowest live node is to lead first, and this one is lower. Only once:
		// the other may be heard where this one is not.
		n.challenged = true
		n.preVote(now)
	default:
		r.Granted = true
		if n.first && p.id < n.self {
			n.deadline = max(n.deadline, now+ids.Time(n.cfg.FirstElection)*ids.Time(n.rank+1))
		}
	}
	n.send(p.id, r, 0)
}

func (n *Node) onPreVoteReply(now ids.Time, p *peer, m *PreVoteReply) {
	if n.role != rolePreCandidate || m.Ballot != n.ballot {
		return
	}
	if n.seen.Less(m.Promised) {
		n.seen = m.Promised
	}
	p.answered = true
	p.granted = p.granted || m.Granted
	if n.count(func(p *peer) bool { return p.answered }) >= n.quorum {
		n.heardQuorum = true
	}
	if n.count(func(p *peer) bool { return p.granted }) >= n.quorum {
		n.prepare(now)
	} else if !m.Granted && !m.Promised.Less(m.Ballot) {
		n.preVote(now) // above what stands against it
	}
}

// prepare begins phase 1. PREPARE leaves when the node's own promise is on disk,
// so that no ballot is ever used by two lives of a process.
func (n *Node) prepare(now ids.Time) {
	n.role = roleCandidate
	n.raise(n.ballot)
	n.fetch, n.assembly = fetch{}, assembly{}
	n.deadline = now + ids.Time(n.cfg.ElectionMin)
	for _, p := range n.peers {
		p.promised, p.tail = false, nil
		n.send(p.id, &Prepare{Ballot: n.ballot, FirstIndex: n.commit + 1}, n.promiseWrite)
	}
}

func (n *Node) onPrepare(now ids.Time, p *peer, m *Prepare) {
	if m.Ballot.Node != p.id {
		n.malformed++
		return
	}
	if m.Ballot.Less(n.promised) {
		n.reject(p.id, m.Ballot)
		return
	}
	if n.promised.Less(m.Ballot) {
		n.follow(now)
		n.raise(m.Ballot)
		n.first, n.leaderReset, n.late = false, false, false
	}
	accepted := n.log.held(max(m.FirstIndex, n.commit+1))
	n.send(p.id, &Promise{
		Ballot: m.Ballot, Accepted: AppendAccepted(nil, accepted), CommitIndex: n.commit,
	}, n.unlessDurable(n.lastWrite()))
}

func (n *Node) onPromise(now ids.Time, p *peer, m *Promise) {
	if n.role != roleCandidate || m.Ballot != n.ballot {
		return
	}
	list, err := DecodeAccepted(m.Accepted)
	if err != nil || len(list) > 0 && list[len(list)-1].Index > max(n.commit, m.CommitIndex)+maxTail {
		n.malformed++
		return
	}
	p.promised, p.answered = true, true
	p.commit, p.tail = m.CommitIndex, list
	n.tryToLead(now)
}

// onReject gives way to a higher promise. A leader asks again at once: either
// the higher ballot has a live leader, then the others say no, or nobody stands
// behind it, then they say yes, for the candidate is the leader they know.
func (n *Node) onReject(now ids.Time, p *peer, m *Reject) {
	if n.role != roleCandidate && n.role != roleLeader || m.Ballot != n.ballot || !n.ballot.Less(m.Promised) {
		return
	}
	if n.seen.Less(m.Promised) {
		n.seen = m.Promised
	}
	led := n.role == roleLeader
	n.follow(now)
	if led {
		n.preVote(now)
	} else {
		n.deadline = now + ids.Time(resetDelayMin+n.random(resetDelaySpread))
	}
}

// tryToLead ends phase 1 when a quorum, this node's disk included, has promised
// and everything that one of them knows to be chosen is here.
func (n *Node) tryToLead(now ids.Time) {
	if n.promiseWrite > n.durable || n.count(func(p *peer) bool { return p.promised }) < n.quorum {
		return
	}
	var ahead *peer
	for _, p := range n.peers {
		if p.promised && p.commit > n.commit && (ahead == nil || p.commit > ahead.commit) {
			ahead = p
		}
	}
	switch {
	case ahead == nil:
		n.lead(now)
	case n.fetch.from == 0:
		n.fetch = fetch{from: ahead.id, target: ahead.commit}
		n.assembly = assembly{}
		n.fetchMore(now)
	}
}

func (n *Node) fetching(b ids.Ballot) bool {
	return n.role == roleCandidate && b == n.ballot && n.fetch.from != 0
}

func (n *Node) fetchMore(now ids.Time) {
	n.fetch.at = now
	if n.assembly.from == n.fetch.from && len(n.assembly.data) > 0 {
		n.requestChunk(n.fetch.from, n.ballot)
		return
	}
	n.send(n.fetch.from, &Fetch{Ballot: n.ballot, FromIndex: n.commit + 1}, 0)
}

// fetched goes on after an answer to a Fetch; moved: it brought something.
func (n *Node) fetched(now ids.Time, moved bool) {
	if moved {
		n.deadline = now + ids.Time(n.cfg.ElectionMin)
	}
	switch {
	case n.commit >= n.fetch.target:
		n.fetch = fetch{}
		n.tryToLead(now)
	case moved:
		n.fetchMore(now)
	}
}

// lead begins a leadership: it merges what the quorum accepted and proposes it
// again, ended by its own VIEW.
func (n *Node) lead(now ids.Time) {
	first := n.commit + 1
	tail := n.mergeTail(first)
	n.role = roleLeader
	n.elections++
	n.leader, n.first, n.late, n.graceEnd = 0, false, false, 0
	n.heardQuorum = true
	n.run = run{ballot: n.ballot, known: true, first: first, end: first - 1, durable: first - 1, marks: n.run.marks[:0]}
	for i := range tail {
		n.log.put(tail[i])
	}
	n.framed, n.viewLast = first-1, n.log.end()
	n.agreed, n.wanted = n.round, n.round
	// Who has promised answers. Only these are enough, so the others are spare.
	prompt := n.quorum - 1
	for _, p := range n.peers {
		*p = peer{
			id: p.id, known: p.promised, commit: p.commit, heard: now, sentAt: now,
			next: first, match: first - 1, round: n.round, sentRound: n.round,
			spare: n.cfg.SpareAfter > 0 && (!p.promised || prompt == 0),
		}
		if !p.spare {
			prompt--
		}
	}
	n.frame(now)
	for _, p := range n.peers {
		n.repair(now, p)
	}
}

// mergeTail is what the NEW-VIEW proposes from index first on: at each index
// the value accepted at the highest ballot, NO-OP where nobody had one, and
// then VIEW. Origins are kept.
func (n *Node) mergeTail(first uint64) []Entry {
	last := max(n.log.end(), first-1)
	for _, p := range n.peers {
		if p.promised && len(p.tail) > 0 {
			last = max(last, p.tail[len(p.tail)-1].Index)
		}
	}
	tail := make([]Entry, last-first+2)
	for i := first; i <= n.log.end(); i++ {
		if e := n.log.at(i); e != nil {
			tail[i-first] = *e
		}
	}
	for _, p := range n.peers {
		if !p.promised {
			continue
		}
		for i := range p.tail {
			e := &p.tail[i]
			if e.Index < first {
				continue // chosen, and fetched since
			}
			t := &tail[e.Index-first]
			if t.Kind != 0 && t.Ballot == e.Ballot && !sameValue(t, e) {
				panic(Violation{"a ballot has one value an index", e.Index,
					fmt.Sprintf("n%d promises another value accepted at %s", p.id, e.Ballot)})
			}
			if t.Kind == 0 || t.Ballot.Less(e.Ballot) {
				*t = *e
			}
		}
	}
	for i := range tail {
		t := &tail[i]
		if t.Kind == 0 {
			*t = Entry{Kind: KindNoop, Origin: n.ballot}
		}
		t.Index, t.Ballot = first+uint64(i), n.ballot
	}
	view := &tail[len(tail)-1]
	view.Kind = KindView
	return tail
}
