package sim

import (
	"fmt"

	"paxbank/server/bank"
	"paxbank/server/ids"
	"paxbank/server/paxos"
	"paxbank/server/replica"
)

// node is one process of the bank and the machine under it: what server/service
// and server/storage are to a real one.
type node struct {
	w       *world
	id      ids.Node
	cluster ids.Cluster
	name    string
	disk    *disk
	clock   clock

	up, live bool
	era      *era
	core     core
	// session grows whenever calls and timers of the past lose their meaning:
	// crash, restart, reset, going live or not.
	session uint64
	// process grows with every crash and every reset: writes of an earlier one
	// are nobody's business any more.
	process uint64

	events  []replica.Event
	queued  bool     // a step is scheduled
	wake    ids.Time // world time, 0: none
	wakeSet ids.Time // the earliest wake-up that is scheduled, 0: none
	stall   ids.Time // no step before: the machine is short of CPU
	durable uint64
	held    []replica.Send // waiting for their write
	open    []*send        // calls that the core has not answered yet
	ages    map[ids.Request]asked
	steps   uint64

	lastSeen uint64 // the last index that Observe told of, in this process
	observed bool   // Observe fired in this step
	armed    string // crash right after sending a message of this name,
	spared   int    // after so many others of them
	edges    edges  // for coverage
	buf      []byte
}

// clock is a node's own: it starts off by offset and runs drift parts in a
// million too fast.
type clock struct {
	offset ids.Duration
	drift  int64
}

func (c clock) local(t ids.Time) ids.Time {
	elapsed := int64(t - epochStart)
	return epochStart + ids.Time(c.offset) + ids.Time(elapsed+elapsed/1_000_000*c.drift)
}

// world returns the earliest virtual time at which the clock shows at least t.
func (c clock) world(t ids.Time) ids.Time {
	elapsed := int64(t - epochStart - ids.Time(c.offset))
	w := epochStart + ids.Time(elapsed-elapsed/1_000_000*c.drift*1_000_000/(1_000_000+c.drift))
	for c.local(w) < t {
		w += ids.Time(microsecond)
	}
	return w
}

func newNode(w *world, id ids.Node, cluster ids.Cluster) *node {
	n := &node{w: w, id: id, cluster: cluster, name: fmt.Sprintf("n%d", id)}
	n.newDisk(w.era)
	n.clock = w.plan.newClock(w.rng)
	return n
}

// boot starts the process from what its disk holds. It is not live yet.
func (n *node) boot(e *era) {
	w := n.w
	st, err := paxos.Replay(n.disk.synced)
	if err != nil {
		w.fail("replay", "%s cannot be started from its own disk: %v", n.name, err)
	}
	n.up, n.live, n.era = true, false, e
	n.edges = newEdges(&st)
	n.process++
	n.lastSeen = 0
	n.ages = map[ids.Request]asked{}
	n.forget()
	w.stepping = n.name
	c, err := w.opt.newCore(replica.Config{
		Topology: w.plan.topology, Self: n.id, Epoch: e.epoch, Limits: w.plan.limits,
		Seed: w.rng.Uint64(), Observe: n.observe,
	}, st, n.clock.local(w.now))
	w.stepping = ""
	if err != nil {
		w.fail("replay", "%s cannot be started from its own disk: %v", n.name, err)
	}
	n.core = c
	w.trace.note("boot", n.id, "epoch %d, commit %d, checkpoint %d, %d entries, promised %s",
		e.epoch, st.Commit, st.CheckpointIndex, len(st.Entries), st.Promised)
}

// forget drops what is queued, held and scheduled.
func (n *node) forget() {
	n.session++
	n.forgetWaits()
	n.events, n.held = nil, nil
	n.queued, n.wake, n.wakeSet, n.stall, n.armed = false, 0, 0, 0, ""
	n.durable = 0
}

// breakCalls tells the clients that wait for this node that their connection is
// gone; now and then nobody tells them.
func (n *node) breakCalls() {
	open := n.open
	n.open = nil
	for _, s := range open {
		if d, ok := n.w.net.clientDelay(n); ok && n.w.chance(0.8) {
			n.w.after(d, func() { s.client.broken(s) })
		}
	}
}

// crash is kill -9, or the loss of power: memory and unsynced writes are gone.
func (n *node) crash() {
	w := n.w
	if !n.up {
		return
	}
	w.trace.note("crash", n.id, "%d writes under way", len(n.disk.loose))
	n.up, n.live, n.core = false, false, nil
	n.process++
	n.forget()
	n.disk.crash()
	w.nodeLost(n, true)
	n.breakCalls()
	silent := w.chance(0.3) // the whole machine is gone: nobody resets its connections
	for _, m := range w.nodes {
		if m != n {
			w.net.era[w.net.link(n.id, m.id)]++
			w.net.era[w.net.link(m.id, n.id)]++
			if !silent {
				w.net.tellReset(m, n.id)
			}
		}
	}
}

// restart starts a crashed node. Its wall clock may have been set meanwhile.
func (n *node) restart() {
	if n.up {
		return
	}
	if n.w.faulty && n.w.chance(n.w.plan.clockJump) {
		n.clock.offset = n.w.plan.newClock(n.w.rng).offset
	}
	n.w.cov.add("fault", "restart")
	if n.era != n.w.era {
		n.reset(n.w.era)
		return
	}
	n.boot(n.w.era)
}

// reset replaces everything the node has by an empty bank of a new era.
func (n *node) reset(e *era) {
	n.w.trace.note("reset", n.id, "to epoch %d", e.epoch)
	n.newDisk(e)
	n.breakCalls()
	n.boot(e)
}

// setLive connects or disconnects the node. What is queued either way is lost.
func (n *node) setLive(live bool) {
	if !n.up || n.live == live {
		return
	}
	n.w.trace.note("live", n.id, "%v", live)
	n.events, n.held, n.armed = nil, nil, ""
	n.session++
	n.queued, n.wake, n.wakeSet = false, 0, 0
	n.live = live
	if !live {
		n.breakCalls()
		n.forgetWaits()
		n.w.nodeLost(n, false)
	}
	// That a write is on disk is no input from outside: it is told again.
	if n.durable > 0 {
		n.events = append(n.events, replica.Event{Kind: replica.EventDurable, Write: n.durable})
	}
	n.events = append(n.events, replica.Event{Kind: replica.EventSetLive, Live: live})
	n.stall = 0
	n.step()
}

// enqueue gives the core something to think about, soon.
func (n *node) enqueue(e replica.Event) {
	n.events = append(n.events, e)
	n.schedule()
}

func (n *node) schedule() {
	if n.queued {
		return
	}
	n.queued = true
	at := max(n.w.now+ids.Time(n.w.upTo(20*microsecond)), n.stall)
	session := n.session
	n.w.at(at, func() {
		if n.session == session {
			n.step()
		}
	})
}

// step gives the core everything that is queued and carries out its effects.
func (n *node) step() {
	w := n.w
	if w.now < n.stall && n.queued {
		n.queued = false
		n.schedule()
		return
	}
	w.steps++
	if w.steps > maxSteps {
		w.fail("liveness", "%d steps: the cores do not come to rest", w.steps)
	}
	n.steps++
	n.queued, n.observed = false, false
	events := n.events
	n.events = nil
	now := n.clock.local(w.now)
	w.stepping = n.name
	n.core.Step(now, events)
	effects := n.core.Effects()
	n.check(effects)
	n.countEdges(events, effects)
	n.carryOut(effects)
	w.stepping = ""
}

// carryOut does what the core asked for.
func (n *node) carryOut(f *replica.Effects) {
	w := n.w
	if len(f.Records) > 0 {
		process := n.process
		for i := range f.Records {
			if r := &f.Records[i]; r.Kind == paxos.RecordCheckpoint {
				n.era.truth.checkpoint(n.cluster, n.name, r.Commit, r.Data)
			}
		}
		w.trace.add("write", n.id, 0, nil, f.Write, fmt.Sprintf("%d: %s", f.Write, describeRecords(f.Records)))
		n.disk.write(f.Write, f.Records, func(number uint64) {
			if n.process == process {
				n.written(number)
			}
		})
	}
	for _, a := range f.Answers {
		n.answer(a)
	}
	n.setWake(f.Wake)
	if !n.live {
		return // a disconnected node sends nothing
	}
	for _, s := range f.Sends {
		if s.After > n.durable {
			n.held = append(n.held, s)
			continue
		}
		if n.transmit(s) {
			return
		}
	}
}

// transmit sends a message. It reports true when that was the moment at which
// the node had to crash.
func (n *node) transmit(s replica.Send) bool {
	n.keepsWord(s.Message)
	n.keepsOrder(s.Message)
	n.w.net.send(n, s.To, s.Message)
	if n.armed == "" || n.armed != nameOf(s.Message) {
		return false
	}
	if n.spared > 0 {
		n.spared--
		return false
	}
	n.w.cov.add("fault", "crash after "+n.armed)
	n.crash()
	down := n.w.plan.downTime(n.w)
	if n.w.chance(0.5) {
		down = millisecond // before anybody has noticed
	}
	n.w.after(down, n.comeBack)
	return true
}

// written is called when a write is on disk.
func (n *node) written(number uint64) {
	n.durable = max(n.durable, number)
	n.w.trace.add("durable", n.id, 0, nil, number, "")
	n.enqueue(replica.Event{Kind: replica.EventDurable, Write: number})
	held := n.held
	n.held = nil
	for i, s := range held {
		if s.After > n.durable {
			n.held = append(n.held, held[i])
			continue
		}
		if n.transmit(s) {
			return
		}
	}
}

// setWake schedules the next step that no event causes.
func (n *node) setWake(local ids.Time) {
	n.wake = 0
	if local == 0 {
		return
	}
	// A wake-up in the past is one for now; a little later, so that time passes.
	local = min(local, n.clock.local(n.w.now)+ids.Time(3600*second))
	n.wake = max(n.clock.world(local), n.w.now+ids.Time(microsecond))
	n.armWake()
}

func (n *node) armWake() {
	if n.wakeSet != 0 && n.wakeSet <= n.wake {
		return
	}
	n.wakeSet = n.wake
	at, session := n.wake, n.session
	n.w.at(at, func() {
		if n.session != session || n.wakeSet != at {
			return
		}
		n.wakeSet = 0
		switch {
		case n.wake == 0:
		case n.wake > n.w.now:
			n.armWake()
		case n.w.now < n.stall:
			n.schedule()
		default:
			n.step()
		}
	})
}

// comeBack restarts the node and connects it a little later.
func (n *node) comeBack() {
	if n.up {
		return
	}
	n.restart()
	session := n.session
	wait := ids.Duration(0)
	if n.w.chance(0.5) {
		wait = n.w.upTo(300 * millisecond)
	}
	n.w.after(wait, func() {
		if n.session == session {
			n.setLive(true)
		}
	})
}

func entryName(e *bank.Entry) string {
	switch {
	case e.Kind == bank.KindTombstone:
		return "tombstone"
	case e.Kind == bank.KindEnd:
		return "END"
	case e.Kind != bank.KindTransfer:
		return "housekeeping"
	case e.Phase == bank.PhaseNone:
		return "intra"
	}
	return e.Role.String() + " " + e.Phase.String()
}
