package replica

import (
	"fmt"
	"math/rand/v2"

	"paxbank/internal/topology"
	"paxbank/server/bank"
	"paxbank/server/ids"
	"paxbank/server/paxos"
	"paxbank/server/twopc"
)

// Replica is one node: events in, effects out.
type Replica struct {
	cfg      Config
	lim      Limits
	topo     *topology.Topology
	self     ids.Node
	cluster  ids.Cluster
	clusters [][]ids.Node // nodes of every cluster
	home     []ids.Cluster
	rng      *rand.Rand

	px   *paxos.Node
	bank *bank.State

	now  ids.Time
	live bool
	out  Effects

	// What happened to the entries from effectsFrom on, for PrintLog.
	effects     []bank.Effect
	effectsFrom uint64
	entry       bank.Entry // reused by apply
	space       []byte     // room for the entries that are proposed next

	// What only a leader has; dropped when it steps down.
	lead leadership

	directory *twopc.Directory
	timelines []*Timeline
	counters  Counters
}

// New returns the replica that was stored in st, disconnected until it is told
// EventSetLive. What is known to be chosen is applied, so that it can be
// inspected.
func New(cfg Config, st paxos.Stable, now ids.Time) (*Replica, error) {
	r := &Replica{cfg: cfg, lim: cfg.Limits, topo: cfg.Topology, self: cfg.Self, now: now}
	r.rng = rand.New(rand.NewPCG(cfg.Seed, uint64(cfg.Self)))
	n := ids.Node(0)
	found := false
	r.home = append(r.home, 0) // nodes are numbered from 1
	for c := range r.topo.Clusters {
		var nodes []ids.Node
		for range r.topo.Clusters[c].Nodes {
			n++
			nodes = append(nodes, n)
			r.home = append(r.home, ids.Cluster(c))
			if n == cfg.Self {
				r.cluster, found = ids.Cluster(c), true
			}
		}
		r.clusters = append(r.clusters, nodes)
	}
	if !found {
		return nil, fmt.Errorf("node %d is not in the topology", cfg.Self)
	}
	var ranges []bank.Range
	for _, rg := range r.topo.Items.Ranges {
		if rg.Cluster == int(r.cluster) {
			ranges = append(ranges, bank.Range{First: rg.First, Last: rg.Last})
		}
	}
	r.bank = bank.New(ranges, r.topo.Balance)
	if st.Checkpoint != nil {
		if err := r.bank.Restore(st.Checkpoint); err != nil {
			return nil, fmt.Errorf("checkpoint at index %d: %w", st.CheckpointIndex, err)
		}
		if r.bank.Applied() != st.CheckpointIndex {
			return nil, fmt.Errorf("checkpoint of index %d says it is of index %d", st.CheckpointIndex, r.bank.Applied())
		}
	}
	r.effectsFrom = r.bank.Applied() + 1
	r.directory = twopc.NewDirectory(r.clusters)
	r.lead.reset(r.lim)
	log := paxos.Config{
		Self:            cfg.Self,
		Nodes:           r.clusters[r.cluster],
		HeartbeatEvery:  r.lim.HeartbeatEvery,
		TellAfter:       r.lim.TellAfter,
		SpareAfter:      r.lim.SpareAfter,
		ElectionMin:     r.lim.ElectionMin,
		FirstElection:   r.lim.FirstElection,
		MaxFrameEntries: r.lim.MaxFrameEntries,
		MaxFrameBytes:   r.lim.MaxFrameBytes,
		MaxInFlight:     r.lim.MaxInFlight,
		ChunkBytes:      r.lim.ChunkBytes,
		MaxHole:         r.lim.MaxHole,
		Rand:            r.rng,
	}
	if err := log.Validate(); err != nil {
		return nil, fmt.Errorf("limits: %w", err)
	}
	r.px = paxos.New(log, st, now)
	r.advance()
	return r, nil
}

// Step takes events in order and lets due timers fire. The same calls give the
// same effects, whatever the machine. It panics with a Violation (of this
// package, paxos or bank) when an invariant does not hold.
func (r *Replica) Step(now ids.Time, events []Event) {
	r.now = max(r.now, now)
	r.out.Write, r.out.Wake = 0, 0
	r.out.Records = r.out.Records[:0]
	r.out.Sends = r.out.Sends[:0]
	r.out.Answers = r.out.Answers[:0]
	r.px.ClearOutput()
	for i := range events {
		r.event(&events[i])
	}
	if r.live {
		r.px.Tick(r.now)
		r.advance()
		r.pump()
		r.lead.timers.run(r, r.now)
		r.pump()
		r.proposeEnds(false)
	}
	r.checkpoint()
	r.px.Flush(r.now)
	r.advance()
	r.serveReads()
	r.collect()
}

// checkpoint takes a checkpoint when enough entries were applied since the last.
func (r *Replica) checkpoint() {
	if r.bank.Applied()-r.px.Checkpointed() < r.lim.CheckpointEvery {
		return
	}
	index := r.bank.Applied()
	r.px.Compact(r.now, index, r.bank.AppendCheckpoint(nil))
	r.effects, r.effectsFrom = r.effects[:0], index+1
}

// collect moves what paxos wants to write and send into the effects.
func (r *Replica) collect() {
	out := r.px.Output()
	r.out.Write = out.Write
	r.out.Records = append(r.out.Records, out.Records...)
	for _, s := range out.Sends {
		r.out.Sends = append(r.out.Sends, Send{To: s.To, Message: s.Message, After: s.After})
	}
	if !r.live {
		r.out.Sends = r.out.Sends[:0]
		r.out.Answers = r.out.Answers[:0]
	}
	r.out.Wake = earliest(r.px.Wake(), r.lead.timers.next())
	if !r.live {
		r.out.Wake = 0
	}
}

func earliest(a, b ids.Time) ids.Time {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// Effects returns what the last Step wants done. The slices are reused by the
// next Step; messages are not changed once they are out.
func (r *Replica) Effects() *Effects { return &r.out }

func (r *Replica) event(e *Event) {
	switch e.Kind {
	case EventDurable:
		r.px.Durable(r.now, e.Write)
		r.advance()
		r.pump()
		return
	case EventSetLive:
		r.setLive(e.Live)
		return
	}
	if !r.live {
		return
	}
	switch e.Kind {
	case EventMessage:
		r.message(e.From, e.Message)
	case EventPeerReset:
		if r.validNode(e.From) && r.home[e.From] == r.cluster {
			r.px.PeerReset(r.now, e.From)
			r.advance()
		}
	case EventSubmit:
		r.submit(e)
	case EventRead:
		r.read(e)
	case EventResolve:
		r.resolve(e)
	}
	r.pump()
}

func (r *Replica) validNode(n ids.Node) bool { return n > 0 && int(n) < len(r.home) && n != r.self }

func (r *Replica) setLive(live bool) {
	if live == r.live {
		return
	}
	if !live {
		// Nobody hears an answer of a node that is disconnected.
		r.lead.reset(r.lim)
		r.out.Answers = r.out.Answers[:0]
		r.out.Sends = r.out.Sends[:0]
		r.directory = twopc.NewDirectory(r.clusters)
	}
	r.live = live
	r.px.SetLive(r.now, live)
	r.advance()
}

func (r *Replica) message(from ids.Node, m any) {
	if !r.validNode(from) {
		return
	}
	switch m := m.(type) {
	case paxos.Message:
		if r.home[from] == r.cluster {
			r.px.Step(r.now, from, m)
			r.advance()
		}
	case *twopc.TwoPCPrepareRequest:
		r.onPrepare(from, m)
	case *twopc.TwoPCPrepareReply:
		r.onPrepareReply(from, m)
	case *twopc.TwoPCCommitRequest:
		r.onCommit(from, m)
	case *twopc.TwoPCCommitReply:
		r.onCommitReply(from, m)
	case *twopc.TwoPCAbortRequest:
		r.onAbort(from, m)
	case *twopc.TwoPCAbortReply:
		r.onAbortReply(from, m)
	case *twopc.TwoPCInquiryRequest:
		r.onInquiry(from, m)
	case *twopc.TwoPCInquiryReply:
		r.onInquiryReply(from, m)
	case *twopc.LeaderAnnouncement:
		if int(m.Cluster) < len(r.clusters) && r.home[from] == m.Cluster && m.Ballot.Node == from {
			r.directory.Announced(m.Cluster, m.Ballot, r.now)
			r.resend(m.Cluster)
		}
	}
}

func (r *Replica) send(to ids.Node, m twopc.Message) {
	if to != r.self {
		r.out.Sends = append(r.out.Sends, Send{To: to, Message: m})
	}
}

// propose appends one entry to the log. It is framed together with everything
// else of this step. When leadership was lost in this very step, what is applied
// on the way out may still want to propose: that is for the next leader to do.
func (r *Replica) propose(e *bank.Entry) {
	if !r.px.IsLeader() || r.px.Ballot() != r.lead.ballot {
		return
	}
	if cap(r.space)-len(r.space) < bank.Size {
		r.space = make([]byte, 0, 64*bank.Size) // one allocation for many entries
	}
	begin := len(r.space)
	r.space = e.Append(r.space)
	r.px.Propose(r.space[begin:len(r.space):len(r.space)])
}

// advance brings the replica up to date with paxos: leadership lost, entries
// chosen, checkpoints received, in this order.
func (r *Replica) advance() {
	if r.lead.won && (!r.px.IsLeader() || r.px.Ballot() != r.lead.ballot) {
		// What is chosen already is applied first, so that its outcome is told.
		r.applyCommitted()
		r.stepDown()
	}
	if !r.lead.won && r.px.IsLeader() {
		r.lead.won, r.lead.ballot = true, r.px.Ballot()
	}
	r.applyCommitted()
}

func (r *Replica) applyCommitted() {
	if index, data, ok := r.px.TakeCheckpoint(); ok {
		if err := r.bank.Restore(data); err != nil {
			panic(Violation{"checkpoint", index, err.Error()})
		}
		if r.bank.Applied() != index {
			panic(Violation{"checkpoint", index, fmt.Sprintf("it holds the state after %d", r.bank.Applied())})
		}
		r.effects, r.effectsFrom = r.effects[:0], index+1
	}
	for {
		e, ok := r.px.NextCommitted()
		if !ok {
			break
		}
		r.apply(&e)
	}
}

func (r *Replica) apply(pe *paxos.Entry) {
	effect := bank.EffectNone
	switch pe.Kind {
	case paxos.KindNoop:
		r.bank.Skip(pe.Index)
	case paxos.KindView:
		r.bank.ApplyView(pe.Index, pe.Origin)
	default:
		e := &r.entry
		if err := e.Decode(pe.Index, pe.Origin, pe.Data); err != nil {
			panic(Violation{"log entry", pe.Index, err.Error()})
		}
		effect = r.bank.Apply(e)
		if r.cfg.Observe != nil {
			r.cfg.Observe(e, effect)
		}
	}
	r.effects = append(r.effects, effect)
	switch {
	case pe.Kind == paxos.KindView && r.lead.won && pe.Origin == r.lead.ballot:
		r.becomeReady()
	case pe.Kind == paxos.KindApp && r.lead.ready:
		r.applied(&r.entry, effect)
	}
}

// applied lets whatever waits for an entry at this leader go on.
func (r *Replica) applied(e *bank.Entry, effect bank.Effect) {
	switch {
	case effect == bank.EffectFenced:
		// Proposed by a leader that is gone; nothing here waits for it.
	case e.Kind == bank.KindEnd:
		r.endsApplied(e.Ended)
	case e.Phase == bank.PhaseNone:
		if req := r.lead.requests[e.Txn.Request]; req != nil && req.state == stateProposed {
			r.settle(req, effect)
		}
	case e.Role == bank.RoleCoordinator:
		r.coordinatorApplied(e, effect)
	default:
		r.participantApplied(e, effect)
	}
}
