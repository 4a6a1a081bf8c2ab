package paxos

import (
	"fmt"
	"math/rand/v2"

	"paxbank/server/ids"
)

// Violation is the panic value of an invariant that does not hold. The node
// must stop: what it knows cannot be trusted.
type Violation struct {
	Invariant string
	Index     uint64
	Detail    string
}

func (v Violation) Error() string {
	return fmt.Sprintf("invariant %q violated at index %d: %s", v.Invariant, v.Index, v.Detail)
}

// Send is one message to another node of the cluster. It may leave when write
// number After is durable (0: at once).
type Send struct {
	To      ids.Node
	Message Message
	After   uint64
}

// Output is what the caller has to do. Records are one batch, named Write (0
// when there are none); the numbers of batches grow by one.
type Output struct {
	Write   uint64
	Records []Record
	Sends   []Send
}

type role uint8

const (
	roleFollower     role = iota
	rolePreCandidate      // asks whether it would be promised
	roleCandidate         // phase 1
	roleLeader
)

// Node is one node's view of its cluster's log. It is not safe for concurrent
// use; the package comment shows how to drive it.
type Node struct {
	cfg    Config
	self   ids.Node
	rank   int // of Self in Nodes
	quorum int
	peers  []*peer // the other nodes, ascending

	live      bool
	role      role
	elections uint64
	malformed uint64

	// What is on disk or in a record on its way there.
	promised     ids.Ballot
	promiseWrite uint64 // the write that holds it
	log          entryLog
	commit       uint64
	checkpoint   []byte // the state after index log.base-1
	views        []View
	viewEntries  int

	out     Output
	taken   bool   // out was handed to the caller
	ack     int    // the Accepted in out.Sends that a later one may replace, or -1
	write   uint64 // number of the last batch the caller has taken
	durable uint64 // number of the last batch on disk

	commitRecorded uint64   // commit index in the latest record
	commitDue      ids.Time // when it is recorded on its own; 0: nothing to record

	applied  uint64 // last index the caller has
	received bool   // a received checkpoint waits for TakeCheckpoint

	// Election, both as voter and as candidate.
	seen        ids.Ballot // highest heard of without promising it
	leader      ids.Node   // believed alive; 0: none
	heardAt     ids.Time   // last message of leader
	leaderReset bool       // the connection to leader broke since
	timeout     ids.Duration
	deadline    ids.Time // of the follower's patience or of the candidacy
	late        bool     // a deadline was overdue and was extended once
	first       bool     // the cluster's first election: by rank
	challenged  bool     // has overtaken a higher-ranked candidate once
	heardQuorum bool
	ballot      ids.Ballot // of the candidacy or the leadership
	fetch       fetch

	// The run of the promised ballot's leader, one's own included.
	run          run
	leaderCommit uint64 // highest commit index heard at the promised ballot
	assembly     assembly

	// Leader only.
	framed   uint64 // last index that is in a record and was offered to followers
	viewLast uint64 // index of one's own VIEW
	round    uint64 // last round started
	wanted   uint64 // highest round asked for, at most round+1
	agreed   uint64 // highest round confirmed
	graceEnd ids.Time
	tellAt   ids.Time // when followers hear of what was chosen at the latest; 0: they know

	scratch []Entry  // reused by the Accept path
	ranks   []uint64 // reused to find quorum values
}

// run is the contiguous entries held at one leader's ballot from the first
// index of its view on. Committed entries count as held at every ballot.
type run struct {
	ballot  ids.Ballot
	known   bool
	first   uint64
	end     uint64
	durable uint64 // end of the part on disk
	marks   []mark // the ends that wait for a write
}

type mark struct{ write, end uint64 }

// peer is another node of the cluster.
type peer struct {
	id ids.Node

	// As a candidate.
	answered bool // to the pre-vote or the PREPARE
	granted  bool
	promised bool
	commit   uint64 // its commit index, as it last told
	tail     []Entry

	// As a leader.
	known     bool     // commit is of this leadership
	heard     ids.Time // last answer
	sentAt    ids.Time // last message that asks for an answer
	next      uint64   // next index to send
	match     uint64   // its run is on its disk up to here
	told      uint64   // commit index it was told
	round     uint64   // highest round it confirmed
	sentRound uint64   // highest round it was asked about
	spare     bool     // a quorum can do without its answer: it is asked later
	spareAt   ids.Time // when it is sent what it lacks; 0: it lacks nothing
	held      bool     // it could not be sent all that was framed
	asked     uint64   // last index of the ACCEPT whose answer is timed; 0: none is
	askedAt   ids.Time
	took      ids.Duration // how long its answers take, smoothed; 0: not known
	reset     bool         // its connection broke, or it was silent: rewind at its next answer
	gapEnd    uint64       // the gap last repaired, and when
	gapAt     ids.Time
	fixFrom   uint64 // the CATCH-UP last sent, and when
	fixAt     ids.Time
	chunkOf   uint64 // the checkpoint under way (its index), the offset last sent,
	chunkOff  uint64 // the offset last asked for and when
	chunkAck  uint64
	chunkAt   ids.Time
}

// New returns a node with what was found on disk, disconnected: SetLive(now,
// true) starts it. The caller has st.Checkpoint already; NextCommitted goes on
// above it. It panics with a Violation when cfg is not valid or st contradicts
// itself.
func New(cfg Config, st Stable, now ids.Time) *Node {
	if err := cfg.Validate(); err != nil {
		panic(Violation{"configuration", 0, err.Error()})
	}
	n := &Node{
		cfg: cfg, self: cfg.Self, quorum: len(cfg.Nodes)/2 + 1,
		promised: st.Promised,
		log:      entryLog{base: st.CheckpointIndex + 1},
		commit:   max(st.Commit, st.CheckpointIndex), checkpoint: st.Checkpoint,
		applied: st.CheckpointIndex,
		ack:     -1, first: true,
		heardAt: now,
	}
	if n.cfg.Rand == nil {
		n.cfg.Rand = rand.New(rand.NewPCG(uint64(cfg.Self), 0))
	}
	for i, id := range cfg.Nodes {
		if id == cfg.Self {
			n.rank = i
		} else {
			n.peers = append(n.peers, &peer{id: id})
		}
	}
	n.commitRecorded = n.commit
	for _, e := range st.Entries {
		if e.Index < n.log.base {
			continue
		}
		n.log.put(e)
	}
	for i := n.log.base; i <= n.commit; i++ {
		if n.log.at(i) == nil {
			panic(Violation{"committed entries are on disk", i, fmt.Sprintf("it is missing, commit index %d", n.commit)})
		}
	}
	for _, v := range st.Views {
		v.Sent = v.Ballot.Node == n.self
		n.views = append(n.views, v)
		n.viewEntries += len(v.Entries)
	}
	n.boundViews()
	return n
}

// SetLive connects or disconnects the node. Disconnected it drops leadership,
// candidacy and everything else that is volatile, and neither takes nor sends
// messages; live again it starts as a follower with full timers.
func (n *Node) SetLive(now ids.Time, live bool) {
	if live == n.live {
		return
	}
	n.live = live
	n.follow(now)
	n.leader, n.heardAt, n.leaderReset, n.late = 0, 0, false, false
	n.heardQuorum = false
	n.assembly = assembly{}
	n.seen = n.promised
	if !live {
		n.first = false // it has had its chance to be the first leader
		clear(n.out.Sends)
		n.out.Sends, n.ack = n.out.Sends[:0], -1
		n.recordCommit(true)
		return
	}
	n.first = n.first && n.empty()
	if n.first {
		n.deadline = now + ids.Time(n.cfg.FirstElection)*ids.Time(n.rank+1)
	}
	if n.quorum == 1 {
		n.deadline = now // nobody to wait for
	}
}

func (n *Node) empty() bool { return n.log.base == 1 && n.log.end() == 0 && n.commit == 0 }

// Step takes one message. Those of strangers, or of nodes that speak for
// another's ballot, are ignored.
func (n *Node) Step(now ids.Time, from ids.Node, m Message) {
	p := n.peer(from)
	if !n.live || p == nil {
		return
	}
	switch m := m.(type) {
	case *PreVote:
		n.onPreVote(now, p, m)
	case *PreVoteReply:
		n.onPreVoteReply(now, p, m)
	case *Prepare:
		n.onPrepare(now, p, m)
	case *Promise:
		n.onPromise(now, p, m)
	case *Reject:
		n.onReject(now, p, m)
	case *Accept:
		n.onAccept(now, p, m)
	case *Accepted:
		n.onReply(now, p, reply{m.Ballot, m.UpTo, m.CommitIndex, m.Round, m.Gap})
	case *Commit:
		n.onCommit(now, p, m)
	case *Heartbeat:
		n.onHeartbeat(now, p, m)
	case *HeartbeatReply:
		n.onReply(now, p, reply{m.Ballot, m.UpTo, m.CommitIndex, m.Round, m.Gap})
	case *Fetch:
		n.onFetch(p, m)
	case *CatchUp:
		n.onCatchUp(now, p, m)
	case *CheckpointChunk:
		n.onChunk(now, p, m)
	}
}

func (n *Node) peer(id ids.Node) *peer {
	for _, p := range n.peers {
		if p.id == id {
			return p
		}
	}
	return nil
}

// PeerReset tells that the connection with a node broke: what was under way is
// lost, and if that node led, it may have crashed.
func (n *Node) PeerReset(now ids.Time, from ids.Node) {
	p := n.peer(from)
	if !n.live || p == nil {
		return
	}
	p.reset = true
	p.fixFrom, p.chunkOf = 0, 0
	if n.role == roleFollower && n.leader == from && !n.leaderReset {
		n.leaderReset = true
		n.deadline = min(n.deadline, now+ids.Time(resetDelayMin+n.random(resetDelaySpread)))
	}
}

// Durable tells that every batch up to a number is on disk.
func (n *Node) Durable(now ids.Time, write uint64) {
	if write < n.durable || write > n.write {
		panic(Violation{"writes become durable in order", 0,
			fmt.Sprintf("write %d reported, %d is durable and %d the last", write, n.durable, n.write)})
	}
	n.durable = write
	r, done := &n.run, 0
	for done < len(r.marks) && r.marks[done].write <= write {
		r.durable = max(r.durable, r.marks[done].end)
		done++
	}
	if done > 0 {
		r.marks = append(r.marks[:0], r.marks[done:]...)
	}
	switch n.role {
	case roleLeader:
		n.chooseMore(now)
	case roleCandidate:
		n.tryToLead(now)
	}
}

// Tick lets due timers fire.
func (n *Node) Tick(now ids.Time) {
	if n.commitDue != 0 && now >= n.commitDue {
		n.recordCommit(true)
	}
	if !n.live {
		return
	}
	switch n.role {
	case roleFollower:
		n.tickFollower(now)
	case rolePreCandidate, roleCandidate:
		n.tickCandidate(now)
	case roleLeader:
		n.tickLeader(now)
	}
}

// Wake is when Tick has something to do at the latest; 0: not without an event.
func (n *Node) Wake() ids.Time {
	w := n.commitDue
	if !n.live {
		return w
	}
	sooner := func(t ids.Time) {
		if w == 0 || t < w {
			w = t
		}
	}
	switch n.role {
	case roleLeader:
		if n.tellAt != 0 {
			sooner(n.tellAt)
		}
		for _, p := range n.peers {
			sooner(p.sentAt + ids.Time(n.cfg.HeartbeatEvery))
			if p.spareAt != 0 {
				sooner(p.spareAt)
			}
		}
		if len(n.peers) > 0 {
			sooner(max(n.quorumHeard()+ids.Time(n.cfg.ElectionMin), n.graceEnd))
		}
	case roleCandidate:
		sooner(n.deadline)
		if n.fetch.from != 0 {
			sooner(n.fetch.at + ids.Time(catchUpRetry))
		}
	default:
		sooner(n.deadline)
	}
	return w
}

// Flush ends a step: it frames what was proposed, starts a wanted round, sends
// spare followers what they lack if it is time, tells how far entries are chosen
// and records the commit index.
func (n *Node) Flush(now ids.Time) {
	if n.role == roleLeader {
		n.flushLeader(now)
	}
	n.recordCommit(false)
}

// Output is what has to be written and sent. It is valid until the next call
// that changes the node; the caller calls ClearOutput when it has taken it.
func (n *Node) Output() *Output {
	n.taken = true
	n.out.Write = 0
	if len(n.out.Records) > 0 {
		n.out.Write = n.write + 1
	}
	return &n.out
}

// ClearOutput forgets what the last Output showed. Without one it does nothing,
// so that no record is lost.
func (n *Node) ClearOutput() {
	if !n.taken {
		return
	}
	n.taken = false
	if len(n.out.Records) > 0 {
		n.write++
	}
	clear(n.out.Records)
	clear(n.out.Sends)
	n.out = Output{Records: n.out.Records[:0], Sends: n.out.Sends[:0]}
	n.ack = -1
}

// NextCommitted returns the next chosen entry, in order of index, each once.
func (n *Node) NextCommitted() (Entry, bool) {
	if n.received || n.applied >= n.commit {
		return Entry{}, false
	}
	e := n.log.at(n.applied + 1)
	if e == nil {
		panic(Violation{"entries are applied without a gap", n.applied + 1,
			fmt.Sprintf("it is missing, commit index %d", n.commit)})
	}
	n.applied++
	return *e, true
}

// TakeCheckpoint returns a checkpoint that was received and has to be installed
// before the next NextCommitted. data must not be changed.
func (n *Node) TakeCheckpoint() (index uint64, data []byte, ok bool) {
	if !n.received {
		return 0, nil, false
	}
	n.received = false
	return n.Checkpointed(), n.checkpoint, true
}

// Compact records the caller's state after index as a checkpoint and drops the
// log up to there. It takes ownership of state, which is kept for nodes that
// are further behind. REQUIRES: index was returned by NextCommitted.
func (n *Node) Compact(now ids.Time, index uint64, state []byte) {
	if index > n.applied {
		panic(Violation{"a checkpoint holds applied entries only", index, fmt.Sprintf("applied index %d", n.applied)})
	}
	if index <= n.Checkpointed() {
		return
	}
	if n.role == roleLeader {
		n.pumpSpare(now, index)
	}
	n.record(Record{Kind: RecordCheckpoint, Commit: index, Data: state})
	n.commitRecorded = max(n.commitRecorded, index)
	n.log.compact(index)
	n.checkpoint = state
}

// record adds to the batch under construction.
func (n *Node) record(r Record) { n.out.Records = append(n.out.Records, r) }

// lastWrite is the number of the write that holds the latest record.
func (n *Node) lastWrite() uint64 {
	if len(n.out.Records) > 0 {
		return n.write + 1
	}
	return n.write
}

// unlessDurable is what a message waits for that depends on a write.
func (n *Node) unlessDurable(write uint64) uint64 {
	if write <= n.durable {
		return 0
	}
	return write
}

func (n *Node) send(to ids.Node, m Message, after uint64) {
	n.out.Sends = append(n.out.Sends, Send{To: to, Message: m, After: after})
}

// recordCommit records the commit index in a batch that is written anyway, or,
// when alone is set, on its own.
func (n *Node) recordCommit(alone bool) {
	if n.commitRecorded >= n.commit {
		n.commitDue = 0
		return
	}
	if !alone && len(n.out.Records) == 0 {
		return
	}
	n.record(Record{Kind: RecordCommit, Commit: n.commit})
	n.commitRecorded, n.commitDue = n.commit, 0
}

// chosen moves the commit index up. REQUIRES: everything up to it is held.
func (n *Node) chosen(now ids.Time, index uint64) {
	if index <= n.commit {
		return
	}
	n.commit = index
	if n.assembly.index <= index {
		n.assembly = assembly{} // overtaken
	}
	if n.commitDue == 0 {
		n.commitDue = now + ids.Time(commitRecordDelay)
	}
}

func (n *Node) random(below ids.Duration) ids.Duration {
	if below <= 0 {
		return 0
	}
	return ids.Duration(n.cfg.Rand.Int64N(int64(below)))
}
