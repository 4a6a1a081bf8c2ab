package sim

import (
	"paxbank/server/ids"
	"paxbank/server/paxos"
	"paxbank/server/replica"
	"paxbank/server/twopc"
)

// network carries messages between nodes, and calls between clients and nodes.
type network struct {
	w       *world
	blocked []int      // by link: how many faults cut it
	lastAt  []ids.Time // by link: when the last message arrives, for FIFO links
	era     []uint64   // by link: grows when the connection breaks
	lossy   ids.Time   // until then much more is lost
	deaf    []int      // by node: how many faults cut it off from clients
	// By link: the last PROMISE and ACCEPTED, which may come back later.
	promise, accepted []kept
}

// kept is a message that was sent, to be delivered again.
type kept struct {
	m      any
	digest uint64
	epoch  uint64
}

func newNetwork(w *world) network {
	links := len(w.nodes) * len(w.nodes)
	return network{w: w, blocked: make([]int, links), lastAt: make([]ids.Time, links),
		era: make([]uint64, links), deaf: make([]int, len(w.nodes)),
		promise: make([]kept, links), accepted: make([]kept, links)}
}

func (t *network) link(from, to ids.Node) int { return int(from-1)*len(t.w.nodes) + int(to-1) }

// send puts a message on its way.
func (t *network) send(from *node, to ids.Node, m any) {
	w := t.w
	dest := w.node(to)
	if dest == nil || dest == from {
		w.fail("addressing", "%s sends %s to node %d", from.name, describe(m), to)
	}
	digest := digestOf(m)
	w.trace.add("send", from.id, to, m, digest, "")
	w.cov.add("message", nameOf(m))
	w.twoPCSent(from, m)
	p := &w.plan.net
	link := t.link(from.id, to)
	loss, dup := p.loss, p.dup
	if w.now < t.lossy {
		loss = 0.3
	}
	if !w.faulty {
		loss, dup = 0, 0
	}
	if t.blocked[link] > 0 || w.chance(loss) {
		w.cov.add("network", "lost")
		return
	}
	t.deliver(from, dest, m, digest, link, 0)
	if w.chance(dup) {
		w.cov.add("network", "duplicated")
		t.deliver(from, dest, m, digest, link, 0)
	}
	if w.faulty && p.echo > 0 {
		t.haunt(from, dest, m, digest)
	}
	if w.faulty && p.echo > 0 && w.chance(p.echo*echoShare(m)) {
		w.cov.add("network", "echoed")
		t.deliver(from, dest, m, digest, link, w.between(100*millisecond, 5*second))
	}
}

// haunt lets a vote that was given to an earlier ballot arrive at the worst
// moment: a PROMISE while its receiver asks for another, an ACCEPTED while it
// offers a new view. They were under way all the time.
func (t *network) haunt(from, to *node, m any, digest uint64) {
	back := t.link(to.id, from.id)
	old := kept{}
	switch m := m.(type) {
	case *paxos.Promise:
		t.promise[t.link(from.id, to.id)] = kept{m, digest, from.era.epoch}
	case *paxos.Accepted:
		t.accepted[t.link(from.id, to.id)] = kept{m, digest, from.era.epoch}
	case *paxos.Prepare:
		old = t.promise[back]
	case *paxos.Accept:
		if m.NewView {
			old = t.accepted[back]
		}
	}
	if old.m != nil && old.epoch == to.era.epoch && t.w.chance(0.3) {
		t.w.cov.add("network", "haunted")
		t.deliver(to, from, old.m, old.digest, back, microsecond)
	}
}

// echoShare weighs how often a message arrives once more: those that have an
// effect if the receiver does not look at what they belong to, the frequent ones
// among them less often.
func echoShare(m any) float64 {
	switch m.(type) {
	case *twopc.TwoPCPrepareRequest, *twopc.TwoPCCommitRequest, *twopc.TwoPCAbortRequest,
		*twopc.TwoPCPrepareReply, *twopc.TwoPCInquiryReply, *paxos.Promise:
		return 1
	case *paxos.Accepted, *paxos.Accept:
		return 0.1
	}
	return 0
}

// deliver lets a message arrive, late by so much. What is late comes from
// wherever it was held up and keeps neither the order nor the connection.
func (t *network) deliver(from, to *node, m any, digest uint64, link int, late ids.Duration) {
	w := t.w
	p := &w.plan.net
	at := w.now + ids.Time(p.min+w.expo(p.mean))
	fifo := p.fifo && late == 0
	if late > 0 {
		at += ids.Time(late)
	} else if w.faulty && w.chance(p.straggle) {
		at += ids.Time(w.upTo(2 * second))
	} else if fifo {
		at = max(at, t.lastAt[link])
		t.lastAt[link] = at
	}
	epoch, connection := from.era.epoch, t.era[link]
	fromID := from.id
	w.at(at, func() {
		switch {
		case digestOf(m) != digest:
			w.fail("immutable messages", "n%d changed a message after sending it to %s: %s", fromID, to.name, describe(m))
		case t.blocked[link] > 0 || fifo && connection != t.era[link]:
			w.cov.add("network", "lost")
		case !to.up || !to.live:
			w.cov.add("network", "nobody there")
		case epoch != to.era.epoch && w.opt.sabotage != sabotageEpoch:
			w.cov.add("network", "other epoch")
		default:
			to.enqueue(replica.Event{Kind: replica.EventMessage, From: fromID, Message: m})
		}
	})
}

// reset breaks the connection between two nodes: what is on the way is lost
// (unless links are datagrams) and both ends hear of it.
func (t *network) reset(a, b *node) {
	t.era[t.link(a.id, b.id)]++
	t.era[t.link(b.id, a.id)]++
	for _, end := range [2][2]*node{{a, b}, {b, a}} {
		t.tellReset(end[0], end[1].id)
	}
}

// tellReset tells n, soon, that its connection with peer broke.
func (t *network) tellReset(n *node, peer ids.Node) {
	session := n.session
	t.w.after(t.w.between(100*microsecond, 5*millisecond), func() {
		if n.up && n.live && n.session == session {
			n.enqueue(replica.Event{Kind: replica.EventPeerReset, From: peer})
		}
	})
}

// cut blocks the way from a to b until the returned function is called.
func (t *network) cut(a, b *node) (heal func()) {
	link := t.link(a.id, b.id)
	t.blocked[link]++
	return func() { t.blocked[link]-- }
}

// clientDelay is how long a call or its answer travels; ok is false when it is
// lost on the way.
func (t *network) clientDelay(n *node) (d ids.Duration, ok bool) {
	w := t.w
	p := &w.plan.net
	d = p.min + w.expo(p.mean)
	if !w.faulty {
		return d, true
	}
	if w.chance(p.straggle) {
		d += w.upTo(2 * second)
	}
	return d, t.deaf[n.id-1] == 0 && !w.chance(p.loss)
}
