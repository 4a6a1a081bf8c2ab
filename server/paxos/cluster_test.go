package paxos

import (
	"bytes"
	"container/heap"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	"paxbank/server/ids"
)

// cluster runs some Nodes in one thread over a simulated network, clock and
// disks. Everything comes from one seed. It checks agreement at every apply.
type cluster struct {
	t     testing.TB
	seed  uint64
	rng   *rand.Rand
	now   ids.Time
	queue eventQueue
	order uint64
	nodes []*simNode // nodes[i] is node i+1

	loss, dup  float64 // probabilities
	lazy       float64 // probability that an event shares its step with the next
	delay      [2]ids.Duration
	disk       [2]ids.Duration
	cut        map[[2]ids.Node]bool
	checkpoint uint64 // entries between checkpoints, 0: never
	bounds     Config // of frames, chunks and holes
	chosen     map[uint64]Entry
	hashes     map[uint64]uint64
	leaders    map[ids.Ballot]ids.Node
	proposed   int
	served     int            // reads
	count      map[string]int // messages delivered, by type
	drop       func(from, to ids.Node, m Message) bool
	trace      func(from, to ids.Node, m Message)
}

type simNode struct {
	id      ids.Node
	px      *Node
	life    int
	up      bool
	on      bool // the last SetLive
	disk    []Record
	batches []batch
	waiting []Send // for a write
	done    uint64 // durable write of this life
	applied uint64
	hash    uint64
	wake    ids.Time
	reads   []read
	queued  map[ids.Node]ids.Time // last arrival by sender, for FIFO
}

// read is a linearisable read that waits for its round.
type read struct {
	ballot ids.Ballot
	round  uint64
	commit uint64 // of the leader when it arrived
	known  uint64 // highest index applied anywhere then
}

type batch struct {
	write   uint64
	records []Record
}

type event struct {
	at    ids.Time
	order uint64
	run   func()
}

type eventQueue []event

func (q eventQueue) Len() int { return len(q) }
func (q eventQueue) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].order < q[j].order
}
func (q eventQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *eventQueue) Push(x any)   { *q = append(*q, x.(event)) }
func (q *eventQueue) Pop() any {
	old := *q
	e := old[len(old)-1]
	*q = old[:len(old)-1]
	return e
}

const ms = millisecond

// usual are the timeouts and bounds of most tests.
var usual = Config{
	HeartbeatEvery: 100 * ms, ElectionMin: 400 * ms, FirstElection: 150 * ms,
	MaxFrameEntries: 4096, MaxFrameBytes: 1 << 20, MaxInFlight: 32_768, ChunkBytes: 512 << 10, MaxHole: 1 << 18,
}

// newCluster makes n nodes, all up and disconnected.
func newCluster(t testing.TB, n int, seed uint64) *cluster {
	c := &cluster{
		t: t, seed: seed, rng: rand.New(rand.NewPCG(seed, 7)), now: 1_000_000_000,
		delay: [2]ids.Duration{ms / 5, ms / 2}, disk: [2]ids.Duration{ms / 2, ms},
		cut: map[[2]ids.Node]bool{}, chosen: map[uint64]Entry{}, hashes: map[uint64]uint64{},
		leaders: map[ids.Ballot]ids.Node{}, count: map[string]int{}, bounds: usual,
	}
	for i := range n {
		c.nodes = append(c.nodes, &simNode{id: ids.Node(i + 1)})
	}
	for _, s := range c.nodes {
		c.start(s.id)
	}
	return c
}

// resize changes the bounds and starts all nodes with them.
func (c *cluster) resize(change func(b *Config)) {
	change(&c.bounds)
	for _, s := range c.nodes {
		c.start(s.id)
	}
}

func (c *cluster) node(id ids.Node) *simNode { return c.nodes[id-1] }
func (c *cluster) px(id ids.Node) *Node      { return c.nodes[id-1].px }

func (c *cluster) fatalf(format string, args ...any) {
	c.t.Helper()
	c.t.Fatalf("seed %d, at %v ms: %s\n%s", c.seed, (c.now-1_000_000_000)/ids.Time(ms), fmt.Sprintf(format, args...), c.state())
}

func (c *cluster) state() string {
	var b bytes.Buffer
	for _, s := range c.nodes {
		if !s.up {
			fmt.Fprintf(&b, "n%d down, %d records on disk\n", s.id, len(s.disk))
			continue
		}
		n := s.px
		fmt.Fprintf(&b, "n%d role %d live %v promised %s leader n%d last %d commit %d applied %d base %d run %+v settled %v malformed %d writes %d/%d\n",
			s.id, n.role, n.live, n.promised, n.Leader(), n.LastIndex(), n.commit, s.applied, n.log.base, n.run, n.Settled(), n.malformed, n.durable, n.write)
		if n.role == roleLeader {
			for _, p := range n.peers {
				fmt.Fprintf(&b, "   peer %+v\n", *p)
			}
		}
	}
	return b.String()
}

// start begins a new life of a node from its disk, disconnected.
func (c *cluster) start(id ids.Node) {
	s := c.node(id)
	st, err := Replay(s.disk)
	if err != nil {
		c.fatalf("n%d cannot replay its disk: %v", id, err)
	}
	s.life++
	s.up, s.on = true, false
	s.batches, s.waiting, s.done, s.wake = nil, nil, 0, 0
	s.queued = map[ids.Node]ids.Time{}
	s.applied, s.hash, s.reads = 0, 14695981039346656037, nil
	if st.Checkpoint != nil {
		s.restore(st.Checkpoint)
	}
	var nodes []ids.Node
	for i := range c.nodes {
		nodes = append(nodes, ids.Node(i+1))
	}
	cfg := c.bounds
	cfg.Self, cfg.Nodes, cfg.Rand = id, nodes, rand.New(rand.NewPCG(c.seed, uint64(id)+uint64(s.life)*1000))
	s.px = New(cfg, st, c.now)
	c.after(s)
}

func (s *simNode) restore(state []byte) {
	for i, b := range state[16:] {
		if b != byte(i>>10) {
			panic(fmt.Sprintf("n%d got a checkpoint that is damaged at %d of %d", s.id, i+16, len(state)))
		}
	}
	s.applied = binary.BigEndian.Uint64(state)
	s.hash = binary.BigEndian.Uint64(state[8:])
}

func (s *simNode) state(pad int) []byte {
	b := binary.BigEndian.AppendUint64(nil, s.applied)
	b = binary.BigEndian.AppendUint64(b, s.hash)
	for i := range pad {
		b = append(b, byte(i>>10))
	}
	return b
}

// crash is kill -9 with a machine's loss of what was not synced; of the records
// of commit indexes, which need no sync, more may be lost.
func (c *cluster) crash(id ids.Node) {
	s := c.node(id)
	s.up = false
	s.life++
	for k := len(s.disk) - 1; k >= 0 && c.rng.IntN(2) == 0; k-- {
		if s.disk[k].Kind == RecordCommit {
			s.disk = append(s.disk[:k:k], s.disk[k+1:]...)
		}
	}
	for _, o := range c.nodes {
		if o != s && o.up {
			c.later(c.between([2]ids.Duration{ms / 5, 2 * ms}), o, func() { o.px.PeerReset(c.now, id) })
		}
	}
}

func (c *cluster) live(on bool, list ...ids.Node) {
	for _, id := range list {
		s := c.node(id)
		if s.up {
			s.on = on
			s.px.SetLive(c.now, on)
			if !on {
				s.waiting = nil
			}
			c.after(s)
		}
	}
}

func (c *cluster) all() []ids.Node {
	var list []ids.Node
	for _, s := range c.nodes {
		list = append(list, s.id)
	}
	return list
}

func (c *cluster) between(d [2]ids.Duration) ids.Time {
	return ids.Time(d[0]) + ids.Time(c.rng.Int64N(int64(d[1]-d[0])+1))
}

// later runs f as a step of a node, unless its life has ended by then.
func (c *cluster) later(d ids.Time, s *simNode, f func()) {
	life := s.life
	c.order++
	heap.Push(&c.queue, event{c.now + d, c.order, func() {
		if s.life == life && s.up {
			f()
			if c.rng.Float64() < c.lazy {
				c.order++
				heap.Push(&c.queue, event{c.now + c.between([2]ids.Duration{0, ms}), c.order, func() {
					if s.life == life && s.up {
						c.after(s)
					}
				}})
				return
			}
			c.after(s)
		}
	}})
}

// after ends a step of a node: everything the package comment asks of a caller.
func (c *cluster) after(s *simNode) {
	n := s.px
	n.Tick(c.now)
	n.Flush(c.now)
	c.apply(s)
	if n.IsLeader() {
		b := n.Ballot()
		if l, ok := c.leaders[b]; ok && l != s.id || b.Node != s.id {
			c.fatalf("n%d leads at ballot %s, which is n%d's", s.id, b, l)
		}
		c.leaders[b] = s.id
	}
	c.serve(s)
	out := n.Output()
	if out.Write != 0 {
		records := append([]Record(nil), out.Records...)
		s.batches = append(s.batches, batch{out.Write, records})
		if len(s.batches) == 1 {
			c.sync(s)
		}
	}
	for _, m := range out.Sends {
		if !s.on {
			c.fatalf("n%d is disconnected and sends %T", s.id, m.Message)
		}
		if m.After > s.done {
			s.waiting = append(s.waiting, m)
		} else {
			c.transmit(s.id, m.To, m.Message)
		}
	}
	n.ClearOutput()
	if w := n.Wake(); w != 0 && (s.wake <= c.now || w < s.wake) {
		s.wake = max(w, c.now)
		c.later(max(w-c.now, 0), s, func() {})
	}
}

// ask makes a ready leader wait for a leadership round, as for a read.
func (c *cluster) ask(s *simNode) {
	if n := s.px; n.IsLeader() && s.applied >= n.viewLast {
		s.reads = append(s.reads, read{n.Ballot(), n.RequestRound(), n.CommitIndex(), uint64(len(c.chosen))})
		c.after(s)
	}
}

// serve checks the reads whose round is confirmed: nothing that anybody had
// applied when they arrived may be missing.
func (c *cluster) serve(s *simNode) {
	n := s.px
	keep := s.reads[:0]
	for _, r := range s.reads {
		switch {
		case !n.IsLeader() || n.Ballot() != r.ballot:
		case n.ConfirmedRound() < r.round:
			keep = append(keep, r)
		case r.commit < r.known:
			c.fatalf("n%d serves a read at %d, %d were applied somewhere when it arrived", s.id, r.commit, r.known)
		default:
			c.served++
		}
	}
	s.reads = keep
}

func (c *cluster) sync(s *simNode) {
	b := s.batches[0]
	c.later(c.between(c.disk), s, func() {
		s.disk = append(s.disk, b.records...)
		s.batches = s.batches[1:]
		s.done = b.write
		keep := s.waiting[:0]
		for _, m := range s.waiting {
			if m.After <= s.done {
				c.transmit(s.id, m.To, m.Message)
			} else {
				keep = append(keep, m)
			}
		}
		s.waiting = keep
		if len(s.batches) > 0 {
			c.sync(s)
		}
		s.px.Durable(c.now, b.write)
	})
}

func (c *cluster) transmit(from, to ids.Node, m Message) {
	if c.cut[[2]ids.Node{from, to}] || c.rng.Float64() < c.loss || c.drop != nil && c.drop(from, to, m) {
		return
	}
	copies := 1
	if c.rng.Float64() < c.dup {
		copies = 2
	}
	for range copies {
		d := c.between(c.delay)
		dst := c.node(to)
		if c.loss == 0 && c.dup == 0 && dst.queued != nil { // a healthy stream is FIFO
			d = max(d, dst.queued[from]-c.now)
			dst.queued[from] = c.now + d
		}
		c.later(d, dst, func() {
			if dst.on {
				c.count[reflect.TypeOf(m).Elem().Name()]++
				if c.trace != nil {
					c.trace(from, to, m)
				}
			}
			dst.px.Step(c.now, from, m)
		})
	}
}

func (c *cluster) apply(s *simNode) {
	n := s.px
	if index, state, ok := n.TakeCheckpoint(); ok {
		s.restore(state)
		if s.applied != index {
			c.fatalf("n%d got the checkpoint of %d as that of %d", s.id, s.applied, index)
		}
	}
	for {
		e, ok := n.NextCommitted()
		if !ok {
			break
		}
		if e.Index != s.applied+1 {
			c.fatalf("n%d applies %d after %d", s.id, e.Index, s.applied)
		}
		if first, ok := c.chosen[e.Index]; ok && !sameValue(&first, &e) {
			c.fatalf("n%d: index %d is %v, was chosen as %v", s.id, e.Index, e, first)
		}
		c.chosen[e.Index] = e
		s.applied = e.Index
		for _, b := range append([]byte{byte(e.Kind)}, e.Data...) { // FNV-1a
			s.hash = (s.hash ^ uint64(b)) * 1099511628211
		}
	}
	if h, ok := c.hashes[s.applied]; ok && h != s.hash {
		c.fatalf("n%d has another state than others after %d", s.id, s.applied)
	}
	c.hashes[s.applied] = s.hash
	if c.checkpoint > 0 && s.applied-n.Checkpointed() >= c.checkpoint {
		pad := c.rng.IntN(2000)
		if c.rng.IntN(3) == 0 {
			pad = c.rng.IntN(3 * int(c.bounds.ChunkBytes))
		}
		n.Compact(c.now, s.applied, s.state(pad))
	}
}

// run lets simulated time pass.
func (c *cluster) run(d ids.Duration) {
	end := c.now + ids.Time(d)
	for steps := 0; len(c.queue) > 0 && c.queue[0].at <= end; steps++ {
		e := heap.Pop(&c.queue).(event)
		if e.at > c.now {
			steps = 0
		}
		if steps > 100_000 {
			c.fatalf("the nodes do not come to rest")
		}
		c.now = e.at
		e.run()
	}
	c.now = end
}

// until lets time pass until a condition holds, and returns how long it took.
func (c *cluster) until(what string, limit ids.Duration, ok func() bool) ids.Duration {
	c.t.Helper()
	begin := c.now
	for !ok() {
		if len(c.queue) == 0 || c.queue[0].at > begin+ids.Time(limit) {
			c.fatalf("waited %d ms for: %s", limit/ms, what)
		}
		e := heap.Pop(&c.queue).(event)
		c.now = e.at
		e.run()
	}
	return ids.Duration(c.now - begin)
}

// leader is the node that leads at the highest ballot, 0 when none does.
func (c *cluster) leader() ids.Node {
	var best ids.Node
	for _, s := range c.nodes {
		if s.up && s.px.IsLeader() && (best == 0 || c.px(best).Ballot().Less(s.px.Ballot())) {
			best = s.id
		}
	}
	return best
}

// propose proposes k new values at a leader.
func (c *cluster) propose(id ids.Node, k int) {
	s := c.node(id)
	for range k {
		c.proposed++
		s.px.Propose(fmt.Appendf(nil, "v%d", c.proposed))
	}
	c.after(s)
}

// settle waits until some nodes have everything and the same of it.
func (c *cluster) settle(list ...ids.Node) ids.Duration {
	c.t.Helper()
	return c.until("all nodes settled at the same index", 20_000*ms, func() bool {
		l := c.leader()
		if l == 0 {
			return false
		}
		for _, id := range list {
			s := c.node(id)
			if !s.px.Settled() || s.applied != c.node(l).applied || len(s.batches) > 0 {
				return false
			}
		}
		return c.node(l).applied == c.px(l).LastIndex()
	})
}

func (c *cluster) isolate(id ids.Node, on bool) {
	for _, s := range c.nodes {
		if s.id != id {
			c.cut[[2]ids.Node{id, s.id}] = on
			c.cut[[2]ids.Node{s.id, id}] = on
		}
	}
}

func describe(m Message) string {
	switch m := m.(type) {
	case *PreVote:
		return fmt.Sprintf("PRE-VOTE %s", m.Ballot)
	case *PreVoteReply:
		return fmt.Sprintf("PRE-VOTE-REPLY %s granted=%v promised=%s leader=n%d", m.Ballot, m.Granted, m.Promised, m.Leader)
	case *Prepare:
		return fmt.Sprintf("PREPARE %s from %d", m.Ballot, m.FirstIndex)
	case *Promise:
		list, _ := DecodeAccepted(m.Accepted)
		return fmt.Sprintf("PROMISE %s accepted=%s commit=%d", m.Ballot, describeEntries(list, true), m.CommitIndex)
	case *Reject:
		return fmt.Sprintf("REJECT %s promised=%s", m.Ballot, m.Promised)
	case *Accept:
		list, _ := DecodeEntries(m.FirstIndex, m.Ballot, m.Entries)
		name := "ACCEPT"
		if m.NewView {
			name = "NEW-VIEW"
		}
		return fmt.Sprintf("%s %s %s commit=%d", name, m.Ballot, describeEntries(list, false), m.CommitIndex)
	case *Accepted:
		return fmt.Sprintf("ACCEPTED %s up to %d commit=%d gap=%v", m.Ballot, m.UpTo, m.CommitIndex, m.Gap)
	case *Commit:
		return fmt.Sprintf("COMMIT %s %d", m.Ballot, m.CommitIndex)
	case *Heartbeat:
		return fmt.Sprintf("HEARTBEAT %s commit=%d round=%d sent=%d", m.Ballot, m.CommitIndex, m.Round, m.Sent)
	case *HeartbeatReply:
		return fmt.Sprintf("HEARTBEAT-REPLY %s round=%d up to %d commit=%d gap=%v", m.Ballot, m.Round, m.UpTo, m.CommitIndex, m.Gap)
	case *Fetch:
		return fmt.Sprintf("FETCH %s from %d", m.Ballot, m.FromIndex)
	case *CatchUp:
		list, _ := DecodeEntries(m.FirstIndex, m.Ballot, m.Entries)
		return fmt.Sprintf("CATCH-UP %s %s commit=%d", m.Ballot, describeEntries(list, false), m.CommitIndex)
	case *CheckpointChunk:
		return fmt.Sprintf("CHECKPOINT %s of %d: %d bytes at %d of %d", m.Ballot, m.Index, len(m.Data), m.Offset, m.Total)
	}
	return fmt.Sprintf("%T", m)
}

func describeEntries(list []Entry, ballots bool) string {
	var b bytes.Buffer
	b.WriteByte('[')
	for i, e := range list {
		if i > 0 {
			b.WriteByte(' ')
		}
		fmt.Fprintf(&b, "%d:", e.Index)
		switch e.Kind {
		case KindApp:
			b.Write(e.Data)
		case KindNoop:
			b.WriteString("NO-OP")
		case KindView:
			fmt.Fprintf(&b, "VIEW(%s)", e.Origin)
		}
		if ballots {
			fmt.Fprintf(&b, "@%s", e.Ballot)
			if e.Origin != e.Ballot && e.Kind != KindView {
				fmt.Fprintf(&b, "(of %s)", e.Origin)
			}
		}
	}
	b.WriteByte(']')
	return b.String()
}
