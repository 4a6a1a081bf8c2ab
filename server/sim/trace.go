package sim

import (
	"fmt"
	"io"
	"math/bits"
	"strings"

	"paxbank/server/bank"
	"paxbank/server/ids"
	"paxbank/server/paxos"
	"paxbank/server/twopc"
)

// ringSize is how many of the last trace records a run remembers.
const ringSize = 8192

// record is one line of the trace before it is formatted. Formatting waits until
// somebody wants to read it: most runs succeed and nobody does.
type record struct {
	at      ids.Time
	verb    string
	node    ids.Node // who does it; 0: nobody in particular
	peer    ids.Node
	payload any
	text    string
}

// trace remembers what happened and folds it into a hash.
type trace struct {
	w    *world
	out  io.Writer
	hash uint64
	ring []record
	head int // the oldest record, once the ring is full
}

// add records one happening. payload is a message, an applied entry or nil;
// digest stands for it in the hash.
func (t *trace) add(verb string, node, peer ids.Node, payload any, digest uint64, text string) {
	h := mix(t.hash, uint64(t.w.now))
	h = mix(h, uint64(node)<<16|uint64(peer))
	h = mixString(h, verb)
	h = mixString(h, text)
	t.hash = mix(h, digest)
	r := record{at: t.w.now, verb: verb, node: node, peer: peer, payload: payload, text: text}
	if t.out != nil {
		_, _ = io.WriteString(t.out, t.format(&r)+"\n") // the trace is best effort
	}
	if len(t.ring) < ringSize {
		t.ring = append(t.ring, r)
		return
	}
	t.ring[t.head] = r
	t.head = (t.head + 1) % ringSize
}

// note records something that only has words.
func (t *trace) note(verb string, node ids.Node, format string, args ...any) {
	t.add(verb, node, 0, nil, 0, fmt.Sprintf(format, args...))
}

// lines formats the last n records.
func (t *trace) lines(n int) []string {
	total := len(t.ring)
	n = min(n, total)
	out := make([]string, 0, n)
	for i := total - n; i < total; i++ {
		out = append(out, t.format(&t.ring[(t.head+i)%total]))
	}
	return out
}

func (t *trace) format(r *record) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%12s ", seconds(ids.Duration(r.at-epochStart)))
	switch {
	case r.node != 0 && r.peer != 0:
		fmt.Fprintf(&b, "n%d→n%d ", r.node, r.peer)
	case r.node != 0:
		fmt.Fprintf(&b, "n%-4d ", r.node)
	default:
		b.WriteString("      ")
	}
	fmt.Fprintf(&b, "%-8s", r.verb)
	if r.text != "" {
		b.WriteString(" " + r.text)
	}
	if r.payload != nil {
		b.WriteString(" " + describe(r.payload))
	}
	return b.String()
}

// applied is the payload of an entry that took effect.
type applied struct {
	entry  bank.Entry
	effect bank.Effect
}

// describe says in one line what a payload is.
func describe(m any) string {
	switch m := m.(type) {
	case applied:
		return fmt.Sprintf("[%d] %s: %s (origin %s, peer_seq %d, done_below %d)",
			m.entry.Index, m.entry.String(), m.effect, m.entry.Origin, m.entry.PeerSeq, m.entry.DoneBelow)
	case *paxos.Accept:
		name := "Accept"
		if m.NewView {
			name = "NEW-VIEW"
		}
		return fmt.Sprintf("%s %s first=%d view_first=%d commit=%d round=%d %s",
			name, m.Ballot, m.FirstIndex, m.ViewFirst, m.CommitIndex, m.Round, describeEntries(m.FirstIndex, m.Ballot, m.Entries))
	case *paxos.Promise:
		return fmt.Sprintf("Promise %s commit=%d %d bytes", m.Ballot, m.CommitIndex, len(m.Accepted))
	case *paxos.CatchUp:
		return fmt.Sprintf("CatchUp %s first=%d commit=%d %s",
			m.Ballot, m.FirstIndex, m.CommitIndex, describeEntries(m.FirstIndex, m.Ballot, m.Entries))
	case *paxos.CheckpointChunk:
		return fmt.Sprintf("CheckpointChunk %s index=%d %d+%d of %d", m.Ballot, m.Index, m.Offset, len(m.Data), m.Total)
	}
	return strings.TrimPrefix(strings.TrimPrefix(fmt.Sprintf("%T%+v", m, deref(m)), "*paxos."), "*twopc.")
}

// describeEntries lists the first few entries of a frame.
func describeEntries(first uint64, ballot ids.Ballot, data []byte) string {
	entries, err := paxos.DecodeEntries(first, ballot, data)
	if err != nil {
		return fmt.Sprintf("undecodable: %v", err)
	}
	var b strings.Builder
	b.WriteByte('{')
	for i := range entries {
		if i == 6 {
			fmt.Fprintf(&b, " … %d more", len(entries)-i)
			break
		}
		if i > 0 {
			b.WriteString("; ")
		}
		e := &entries[i]
		switch e.Kind {
		case paxos.KindNoop:
			fmt.Fprintf(&b, "[%d] NO-OP", e.Index)
		case paxos.KindView:
			fmt.Fprintf(&b, "[%d] VIEW(%s)", e.Index, e.Origin)
		default:
			var d bank.Entry
			if err := d.Decode(e.Index, e.Origin, e.Data); err != nil {
				fmt.Fprintf(&b, "[%d] %v", e.Index, err)
				continue
			}
			fmt.Fprintf(&b, "[%d] %s", e.Index, d.String())
		}
	}
	b.WriteByte('}')
	return b.String()
}

// deref lets %+v print the fields of a message instead of its address.
func deref(m any) any {
	switch m := m.(type) {
	case *paxos.PreVote:
		return *m
	case *paxos.PreVoteReply:
		return *m
	case *paxos.Prepare:
		return *m
	case *paxos.Reject:
		return *m
	case *paxos.Accepted:
		return *m
	case *paxos.Commit:
		return *m
	case *paxos.Heartbeat:
		return *m
	case *paxos.HeartbeatReply:
		return *m
	case *paxos.Fetch:
		return *m
	case *twopc.TwoPCPrepareRequest:
		return *m
	case *twopc.TwoPCPrepareReply:
		return *m
	case *twopc.TwoPCCommitRequest:
		return *m
	case *twopc.TwoPCCommitReply:
		return *m
	case *twopc.TwoPCAbortRequest:
		return *m
	case *twopc.TwoPCAbortReply:
		return *m
	case *twopc.TwoPCInquiryRequest:
		return *m
	case *twopc.TwoPCInquiryReply:
		return *m
	case *twopc.LeaderAnnouncement:
		return *m
	}
	return m
}

// nameOf is a message's name in the coverage table.
func nameOf(m any) string {
	switch m := m.(type) {
	case *paxos.PreVote:
		return "PreVote"
	case *paxos.PreVoteReply:
		return "PreVoteReply"
	case *paxos.Prepare:
		return "Prepare"
	case *paxos.Promise:
		return "Promise"
	case *paxos.Reject:
		return "Reject"
	case *paxos.Accept:
		if m.NewView {
			return "NEW-VIEW"
		}
		return "Accept"
	case *paxos.Accepted:
		return "Accepted"
	case *paxos.Commit:
		return "Commit"
	case *paxos.Heartbeat:
		return "Heartbeat"
	case *paxos.HeartbeatReply:
		return "HeartbeatReply"
	case *paxos.Fetch:
		return "Fetch"
	case *paxos.CatchUp:
		return "CatchUp"
	case *paxos.CheckpointChunk:
		return "CheckpointChunk"
	}
	return strings.TrimPrefix(fmt.Sprintf("%T", m), "*twopc.")
}

// digestOf folds a message into a number, for the hash and to notice a message
// that changed after it was sent. The frequent ones are spelled out for speed.
func digestOf(m any) uint64 {
	switch m := m.(type) {
	case *paxos.Accept:
		h := mixBallot(1, m.Ballot)
		h = mix(mix(mix(h, m.FirstIndex), m.ViewFirst), m.CommitIndex)
		if m.NewView {
			h++
		}
		return mixBytes(mix(h, m.Round), m.Entries)
	case *paxos.Accepted:
		h := mix(mix(mix(mixBallot(2, m.Ballot), m.UpTo), m.CommitIndex), m.Round)
		if m.Gap {
			h++
		}
		return h
	case *paxos.Commit:
		return mix(mixBallot(3, m.Ballot), m.CommitIndex)
	case *paxos.Heartbeat:
		return mix(mix(mix(mix(mixBallot(4, m.Ballot), m.CommitIndex), m.Round), m.Sent), m.ViewFirst)
	case *paxos.HeartbeatReply:
		h := mix(mix(mix(mixBallot(5, m.Ballot), m.UpTo), m.CommitIndex), m.Round)
		if m.Gap {
			h++
		}
		return h
	case *paxos.CatchUp:
		return mixBytes(mix(mix(mixBallot(6, m.Ballot), m.FirstIndex), m.CommitIndex), m.Entries)
	case *paxos.Promise:
		return mixBytes(mix(mixBallot(7, m.Ballot), m.CommitIndex), m.Accepted)
	case *paxos.CheckpointChunk:
		return mixBytes(mix(mix(mix(mixBallot(8, m.Ballot), m.Index), m.Offset), m.Total), m.Data)
	}
	return mixString(9, fmt.Sprintf("%T%+v", m, deref(m)))
}

// digestEntry folds everything of an applied entry that replicas must agree on.
func digestEntry(e *bank.Entry, effect bank.Effect, buf []byte) (uint64, []byte) {
	buf = e.Append(buf[:0])
	h := mix(mix(mixBallot(11, e.Origin), e.Index), uint64(effect))
	return mixBytes(h, buf), buf
}

func mixBallot(h uint64, b ids.Ballot) uint64 { return mix(mix(h, b.Counter), uint64(b.Node)) }

// mix is one round of a multiply-and-fold hash (wyhash's mixing step).
func mix(h, v uint64) uint64 {
	hi, lo := bits.Mul64(h^0x9E3779B97F4A7C15, v^0xD1B54A32D192ED03)
	return hi ^ lo ^ bits.RotateLeft64(h, 23)
}

func mixBytes(h uint64, b []byte) uint64 {
	h = mix(h, uint64(len(b)))
	for len(b) >= 8 {
		h = mix(h, uint64(b[0])|uint64(b[1])<<8|uint64(b[2])<<16|uint64(b[3])<<24|
			uint64(b[4])<<32|uint64(b[5])<<40|uint64(b[6])<<48|uint64(b[7])<<56)
		b = b[8:]
	}
	for _, c := range b {
		h = mix(h, uint64(c))
	}
	return h
}

func mixString(h uint64, s string) uint64 {
	h = mix(h, uint64(len(s)))
	for i := range len(s) {
		h = mix(h, uint64(s[i]))
	}
	return h
}

func describeRecords(records []paxos.Record) string {
	s := ""
	for _, r := range records {
		switch r.Kind {
		case paxos.RecordPromise:
			s += fmt.Sprintf(" promise(%s)", r.Ballot)
		case paxos.RecordFrame:
			s += fmt.Sprintf(" frame(%s %d-%d)", r.Ballot, r.First, r.Last)
		case paxos.RecordCommit:
			s += fmt.Sprintf(" commit(%d)", r.Commit)
		case paxos.RecordCheckpoint:
			s += fmt.Sprintf(" checkpoint(%d)", r.Commit)
		}
	}
	return s
}
