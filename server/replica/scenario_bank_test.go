package replica

import (
	"cmp"
	"fmt"
	"slices"
	"testing"

	"paxbank/internal/topology"
	"paxbank/server/bank"
	"paxbank/server/ids"
	"paxbank/server/paxos"
)

const (
	// sceneHop is what every message takes to arrive, in order.
	sceneHop = ids.Time(Millisecond)
	// sceneLimit bounds how long one command may wait for what it waits for.
	sceneLimit = 20 * Second
	// sceneStart is how long the bank is given to elect its first leaders.
	sceneStart = 1 * Second
)

// scene is a bank without a shell whose every step is written down. The network
// takes exactly sceneHop, the disk nothing, and what arrives at a node at the
// same time is one step of it, as in the real shell.
type scene struct {
	t     *testing.T
	topo  *topology.Topology
	lim   Limits
	epoch uint64
	now   ids.Time
	zero  ids.Time // when the bank was ready: the traces count from here
	nodes []*actor // by number, from 1

	flights []flight // sorted by time of arrival, then in order of sending
	rules   []rule
	held    []flight

	calls map[uint64]openCall
	last  uint64

	trace
}

// actor is one node of a scene.
type actor struct {
	r       *Replica
	up      bool // the process runs
	live    bool // and is connected
	epoch   uint64
	wake    ids.Time
	records []paxos.Record

	// What was last seen of it, to write down the difference.
	ready  bool
	locks  []LockRow
	booted bool
}

// flight is a message under way; a nil message is the news that the connection
// with its sender broke.
type flight struct {
	at       ids.Time
	from, to ids.Node
	m        any
	epoch    uint64
}

// rule says what becomes of messages. Empty fields match all.
type rule struct {
	name     string
	from, to ids.Node
	fate     string // "hold", "lose" or "copy"
}

type openCall struct {
	label string
	node  ids.Node
}

func newScene(t *testing.T, topo *topology.Topology, lim Limits) *scene {
	s := &scene{t: t, topo: topo, lim: lim, now: 1_000_000_000, calls: map[uint64]openCall{}}
	s.reset(1)
	s.zero = s.now
	return s
}

// reset gives every node a new life with an empty disk, in a new epoch. What is
// under way stays under way.
func (s *scene) reset(epoch uint64) {
	s.epoch = epoch
	s.nodes = []*actor{nil}
	clear(s.calls)
	for range s.topo.Nodes() {
		s.nodes = append(s.nodes, &actor{})
	}
	for n := range s.each() {
		s.boot(n)
	}
	for n := range s.each() {
		s.setLive(n, true)
	}
	s.advance(s.now+ids.Time(sceneStart), nil)
	s.clearTrace()
}

// each ranges over the nodes by number.
func (s *scene) each() func(yield func(ids.Node, *actor) bool) {
	return func(yield func(ids.Node, *actor) bool) {
		for n := 1; n < len(s.nodes); n++ {
			if !yield(ids.Node(n), s.nodes[n]) {
				return
			}
		}
	}
}

// boot starts a node from what it has on disk, disconnected.
func (s *scene) boot(n ids.Node) {
	st, err := paxos.Replay(s.nodes[n].records)
	if err != nil {
		s.t.Fatal(err)
	}
	a := &actor{up: true, epoch: s.epoch, records: s.nodes[n].records}
	s.nodes[n] = a
	a.r, err = New(Config{Topology: s.topo, Self: n, Epoch: s.epoch, Limits: s.lim, Seed: 1,
		Observe: func(e *bank.Entry, effect bank.Effect) {
			if a.booted { // else it replays its log, which was told before
				s.tellApplied(n, e, effect)
			}
		}}, st, s.now)
	if err != nil {
		s.t.Fatal(err)
	}
	a.booted = true
}

// crash is kill -9: what is on disk stays, callers hear nothing, and everybody
// sees the connection break.
func (s *scene) crash(n ids.Node) {
	a := s.nodes[n]
	a.up, a.live = false, false
	a.ready, a.locks = false, nil
	s.say(n, "killed")
	s.forgetCalls(n)
	for m := range s.each() {
		if m != n {
			s.fly(flight{at: s.now + sceneHop, from: n, to: m, epoch: s.epoch})
		}
	}
}

func (s *scene) forgetCalls(n ids.Node) {
	for id := uint64(1); id <= s.last; id++ {
		if c, open := s.calls[id]; open && c.node == n {
			s.say(n, fmt.Sprintf("never answers %s", c.label))
			delete(s.calls, id)
		}
	}
}

func (s *scene) setLive(n ids.Node, live bool) {
	s.nodes[n].live = live
	if !live {
		s.forgetCalls(n)
	}
	s.step(n, Event{Kind: EventSetLive, Live: live})
}

// step feeds a node and carries out what it wants, writing down what changed.
func (s *scene) step(n ids.Node, events ...Event) {
	a := s.nodes[n]
	chunk := slices.ContainsFunc(events, func(e Event) bool { _, is := e.Message.(*paxos.CheckpointChunk); return is })
	for {
		a.r.Step(s.now, events)
		e := a.r.Effects()
		for _, rec := range e.Records {
			rec.Data = slices.Clone(rec.Data)
			a.records = append(a.records, rec)
			if rec.Kind == paxos.RecordCheckpoint {
				s.tellCheckpoint(n, rec.Commit, chunk)
			}
		}
		for _, o := range e.Sends {
			s.fly(flight{at: s.now + sceneHop, from: n, to: o.To, m: o.Message, epoch: a.epoch})
		}
		s.tellLeadership(n, a)
		for _, answer := range e.Answers {
			c, open := s.calls[answer.Call]
			if !open {
				s.t.Fatalf("n%d answers call %d, which is not open", n, answer.Call)
			}
			delete(s.calls, answer.Call)
			s.tellAnswer(n, c.label, answer)
		}
		a.wake = e.Wake
		if e.Write == 0 {
			return
		}
		events = []Event{{Kind: EventDurable, Write: e.Write}}
	}
}

// fly puts a message on its way, behind those that arrive at the same time.
func (s *scene) fly(f flight) {
	i, _ := slices.BinarySearchFunc(s.flights, f.at+1, func(g flight, at ids.Time) int { return cmp.Compare(g.at, at) })
	s.flights = slices.Insert(s.flights, i, f)
}

// arrive says whether a message reaches its receiver, and writes it down.
func (s *scene) arrive(f flight) bool {
	if f.m == nil {
		return s.nodes[f.to].live
	}
	for _, r := range s.rules {
		if (r.name == "" || r.name == messageName(f.m)) && (r.from == 0 || r.from == f.from) && (r.to == 0 || r.to == f.to) {
			switch r.fate {
			case "copy":
				s.held = append(s.held, f)
				continue
			case "hold":
				s.held = append(s.held, f)
				s.tellMessage(f, " (held)")
			default:
				s.tellMessage(f, " (lost)")
			}
			return false
		}
	}
	switch a := s.nodes[f.to]; {
	case !a.live:
		s.tellMessage(f, " (lost)")
		return false
	case f.epoch != a.epoch:
		// The transport drops it before the core can see it.
		s.tellMessage(f, fmt.Sprintf(" (dropped: epoch %d)", f.epoch))
		return false
	}
	s.tellMessage(f, "")
	return true
}

// advance lets time pass until end, or until what was due at one instant, lost or
// not, satisfies stop. It reports whether that was so.
func (s *scene) advance(end ids.Time, stop func(due []flight) bool) bool {
	for {
		next := end + 1
		if len(s.flights) > 0 {
			next = min(next, s.flights[0].at)
		}
		for _, a := range s.each() {
			if a.live && a.wake != 0 {
				next = min(next, a.wake)
			}
		}
		if next > end {
			s.now = end
			return false
		}
		s.now = max(s.now, next)
		var due, delivered []flight
		for len(s.flights) > 0 && s.flights[0].at <= s.now {
			f := s.flights[0]
			s.flights = s.flights[1:]
			due = append(due, f)
			if s.arrive(f) {
				delivered = append(delivered, f)
			}
		}
		for n, a := range s.each() {
			var events []Event
			for _, f := range delivered {
				switch {
				case f.to != n:
				case f.m == nil:
					events = append(events, Event{Kind: EventPeerReset, From: f.from})
				default:
					events = append(events, Event{Kind: EventMessage, From: f.from, Message: f.m})
				}
			}
			if a.live && (len(events) > 0 || a.wake != 0 && a.wake <= s.now) {
				s.step(n, events...)
			}
		}
		if stop != nil && stop(due) {
			return true
		}
	}
}

// call opens a client's call.
func (s *scene) call(n ids.Node, label string, e Event) Event {
	s.last++
	s.calls[s.last] = openCall{label, n}
	e.Call = s.last
	return e
}
