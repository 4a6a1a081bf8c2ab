package sim

import (
	"slices"

	"paxbank/server/ids"
	"paxbank/server/paxos"
	"paxbank/server/replica"
)

// What happens at the bounds of the log: frames that are split, followers that
// are sent all they may be, holes, checkpoints in chunks. It is recognised from
// what goes into a core and what comes out of it, so that a campaign can show
// that it met all of it. It only counts; nothing is checked here.

// The situations.
const (
	boundViewPart    = "a NEW-VIEW in parts"
	boundEntries     = "a frame with all the entries it may have"
	boundBytes       = "a frame with all the bytes it may have"
	boundCatchUp     = "a CATCH-UP in parts"
	boundInFlight    = "a follower that was sent all it may be"
	boundHole        = "entries stored above a hole"
	boundFilled      = "a hole that is filled"
	boundFar         = "entries too far above a hole"
	boundChunks      = "a checkpoint in chunks"
	boundAssembled   = "a checkpoint put together"
	boundInterrupted = "a checkpoint begun anew as another"
)

var bounds = []string{boundViewPart, boundEntries, boundBytes, boundCatchUp, boundInFlight, boundHole, boundFilled, boundFar,
	boundChunks, boundAssembled, boundInterrupted}

// edges is what one process has to remember to recognise them.
type edges struct {
	top     uint64                             // the highest index it has written
	answers map[ids.Node]reply                 // as a leader: the last answer of each follower
	chunk   map[ids.Node]paxos.CheckpointChunk // the last one of each node
}

// reply is an answer to a leader, and when it arrived.
type reply struct {
	ballot ids.Ballot
	upTo   uint64
	at     ids.Time
}

func newEdges(st *paxos.Stable) edges {
	e := edges{top: st.Commit, answers: map[ids.Node]reply{}, chunk: map[ids.Node]paxos.CheckpointChunk{}}
	if k := len(st.Entries); k > 0 {
		e.top = max(e.top, st.Entries[k-1].Index)
	}
	return e
}

// countEdges is told of every step: its input and its output.
func (n *node) countEdges(events []replica.Event, f *replica.Effects) {
	met := func(name string, is bool) {
		if is {
			n.w.cov.add("bound", name)
		}
	}
	chunks := false // a later part of a checkpoint has arrived
	var offered *paxos.Accept
	for i := range events {
		from := events[i].From
		switch m := events[i].Message.(type) {
		case *paxos.Accept:
			offered = m
		case *paxos.Accepted:
			n.edges.answered(from, m.Ballot, m.UpTo, n.w.now)
		case *paxos.HeartbeatReply:
			n.edges.answered(from, m.Ballot, m.UpTo, n.w.now)
		case *paxos.CheckpointChunk:
			before, ok := n.edges.chunk[from]
			chunks = chunks || m.Offset > 0
			met(boundInterrupted, ok && len(m.Data) > 0 && before.Index < m.Index &&
				before.Offset+uint64(len(before.Data)) < before.Total)
			n.edges.chunk[from] = *m
		}
	}
	for i := range f.Records {
		switch r := &f.Records[i]; r.Kind {
		case paxos.RecordCheckpoint:
			met(boundAssembled, chunks && r.Commit > n.lastSeen)
			n.edges.top = max(n.edges.top, r.Commit)
		case paxos.RecordFrame:
			n.countFrame(r, f, met)
			n.edges.top = max(n.edges.top, r.Last)
		}
	}
	for i := range f.Sends {
		switch m := f.Sends[i].Message.(type) {
		case *paxos.Accept:
			met(boundViewPart, m.NewView && !endsInOwnView(m))
		case *paxos.Accepted:
			met(boundFar, m.Gap && offered != nil && offered.Ballot == m.Ballot && offered.FirstIndex <= m.UpTo+1 &&
				lastOf(offered.FirstIndex, offered.Ballot, offered.Entries) > m.UpTo)
		case *paxos.CatchUp:
			want := m.CommitIndex // of a candidate that fetches
			if m.Ballot.Node == n.id {
				want = max(n.era.views[n.cluster][m.Ballot], 1) - 1
			}
			met(boundCatchUp, lastOf(m.FirstIndex, m.Ballot, m.Entries) < want)
		case *paxos.CheckpointChunk:
			met(boundChunks, m.Offset > 0 && len(m.Data) > 0)
		}
	}
}

func (n *node) countFrame(r *paxos.Record, f *replica.Effects, met func(string, bool)) {
	limits := &n.w.plan.limits
	own := r.ViewFirst != 0 && r.Ballot.Node == n.id
	if !own {
		met(boundHole, r.First > n.edges.top+1)
		met(boundFilled, r.ViewFirst == 0 && r.First <= n.edges.top && r.Last < n.edges.top)
		return
	}
	full := r.Last-r.First+1 == limits.MaxFrameEntries
	met(boundEntries, full)
	met(boundBytes, !full && slices.ContainsFunc(f.Records, func(next paxos.Record) bool {
		return next.Kind == paxos.RecordFrame && next.First == r.Last+1 && next.NewView == r.NewView
	}))
	for _, m := range n.w.clusters[n.cluster] {
		a := n.edges.answers[m.id]
		if m == n || a.ballot != r.Ballot || n.w.now-a.at > ids.Time(limits.ElectionMin/2) {
			continue // it may be too silent to be sent anything
		}
		met(boundInFlight, r.First > a.upTo+limits.MaxInFlight && !slices.ContainsFunc(f.Sends, func(s replica.Send) bool {
			accept, ok := s.Message.(*paxos.Accept)
			return ok && s.To == m.id && accept.FirstIndex <= r.First &&
				r.First <= lastOf(accept.FirstIndex, accept.Ballot, accept.Entries)
		}))
	}
}

// answered remembers what a follower has acknowledged, and that it answers.
func (e *edges) answered(from ids.Node, b ids.Ballot, upTo uint64, now ids.Time) {
	a := e.answers[from]
	if a.ballot != b {
		a = reply{ballot: b}
	}
	a.upTo, a.at = max(a.upTo, upTo), now
	e.answers[from] = a
}

// lastOf is the index of the last of a message's entries; what a core sends can
// be decoded.
func lastOf(first uint64, b ids.Ballot, data []byte) uint64 {
	entries, err := paxos.DecodeEntries(first, b, data)
	if err != nil {
		return 0
	}
	return first + uint64(len(entries)) - 1
}

// endsInOwnView reports whether a part of a NEW-VIEW is the last one.
func endsInOwnView(m *paxos.Accept) bool {
	entries, err := paxos.DecodeEntries(m.FirstIndex, m.Ballot, m.Entries)
	if err != nil || len(entries) == 0 {
		return false
	}
	last := &entries[len(entries)-1]
	return last.Kind == paxos.KindView && last.Origin == m.Ballot
}
