package sim

import (
	"paxbank/server/bank"
	"paxbank/server/ids"
	"paxbank/server/replica"
)

// client is a well-behaved client of the bank: it repeats what is not answered
// under the same (client, timestamp), calls a request aborted or unavailable
// only when every send was answered so, and resolves everything else.
type client struct {
	w       *world
	id      uint64
	next    uint64       // the next timestamp
	leaders []ids.Node   // by cluster; 0: not known
	open    []*request   // transfers without a final outcome, by timestamp
	active  int          // requests under way, reads too
	life    int          // requests of an earlier one are abandoned
	think   ids.Duration // mean pause between two requests
}

func newClient(w *world) *client {
	c := &client{w: w, leaders: make([]ids.Node, len(w.clusters)), think: w.plan.think}
	c.rename()
	return c
}

// rename makes the client a new process, with a new random id.
func (c *client) rename() {
	c.id = c.w.rng.Uint64() | 1
	c.next = 1 + c.w.rng.Uint64N(1000)
	c.open = nil
}

// newEra makes the client forget what it wanted from the bank before a reset.
func (c *client) newEra() {
	c.life++
	c.active = 0
	c.open = nil
	if c.w.chance(0.5) {
		c.rename()
	}
}

// work issues a request when the client may have one more under way, and comes
// back for the next.
func (c *client) work() {
	w := c.w
	if w.issued >= w.plan.requests {
		return
	}
	if c.active < w.plan.outstanding {
		w.issued++
		c.issue(c.invent())
		if w.faulty && w.chance(w.plan.abandon) {
			c.die()
		}
	}
	w.after(w.expo(c.think), c.work)
}

// die leaves everything as it is; another process takes the client's place.
func (c *client) die() {
	c.w.cov.add("client", "died")
	c.newEra()
	c.rename()
}

// item picks an item of a cluster.
func (c *client) item(cluster int) int64 {
	w := c.w
	r := w.plan.topology.Items.Ranges[cluster]
	if w.chance(w.plan.hot) {
		return r.First + w.rng.Int64N(2)
	}
	return r.First + w.rng.Int64N(r.Last-r.First+1)
}

// invent makes up a request.
func (c *client) invent() *request {
	w := c.w
	clusters := len(w.clusters)
	from := w.rng.IntN(clusters)
	r := &request{cluster: ids.Cluster(from)}
	if w.chance(w.plan.reads) {
		r.read, r.item = true, c.item(from)
		return r
	}
	to := from
	if clusters > 1 && w.chance(w.plan.cross) {
		to = (from + 1 + w.rng.IntN(clusters-1)) % clusters
	}
	t := ids.Transfer{From: c.item(from), To: c.item(to), Amount: 1 + w.rng.Int64N(4)}
	for t.To == t.From {
		t.To = c.item(to)
		if w.chance(0.1) && w.plan.topology.Items.Ranges[to].Last > w.plan.topology.Items.Ranges[to].First {
			t.To = w.plan.topology.Items.Ranges[to].First + w.rng.Int64N(2)
		}
	}
	if w.chance(0.05) {
		t.Amount = 1 + w.rng.Int64N(50)
	}
	if w.chance(0.01) {
		r.malformed = true
		switch w.rng.IntN(3) {
		case 0:
			t.Amount = -w.rng.Int64N(3)
		case 1:
			t.To = t.From
		case 2:
			t.To = 1_000_000
		}
	}
	r.transfer, r.item = t, t.From
	return r
}

// issue starts a request.
func (c *client) issue(r *request) {
	w := c.w
	r.client, r.era, r.start, r.life = c, w.era, w.now, c.life
	limit := w.plan.deadline
	if !w.faulty {
		limit = 30 * second
	}
	r.deadline = w.now + ids.Time(w.between(limit/2, limit))
	if !r.read {
		r.id = ids.Request{Client: c.id, Timestamp: c.next}
		c.next += 1 + w.rng.Uint64N(2)
		c.open = append(c.open, r)
	}
	c.active++
	r.era.requests = append(r.era.requests, r)
	w.trace.note("WANTS", 0, "%s", r)
	c.try(r)
	w.at(r.deadline+ids.Time(w.upTo(300*millisecond)), func() {
		if !r.over() && !r.resolving {
			c.conclude(r)
		}
	})
}

// doneBelow is the lowest timestamp that still lacks a final outcome.
func (c *client) doneBelow() uint64 {
	if len(c.open) > 0 {
		return c.open[0].id.Timestamp
	}
	return c.next
}

// try sends the request once more, now and then to two nodes at once.
func (c *client) try(r *request) {
	if r.over() {
		return
	}
	c.send(r, c.target(r), false)
	if c.w.chance(c.w.plan.twice) {
		c.w.cov.add("client", "sent twice")
		c.send(r, c.target(r), false)
	}
}

// target is the node to ask: the leader if one is known, else any of the cluster,
// and now and then one of the wrong cluster, which has to say so.
func (c *client) target(r *request) *node {
	members := c.w.clusters[r.cluster]
	if c.w.chance(0.01) {
		return c.w.nodes[c.w.rng.IntN(len(c.w.nodes))]
	}
	if n := c.w.node(c.leaders[r.cluster]); n != nil && !c.w.chance(c.w.plan.stray) {
		return n
	}
	return members[c.w.rng.IntN(len(members))]
}

// send makes one call.
func (c *client) send(r *request, n *node, resolve bool) {
	w := c.w
	w.nextCall++
	s := &send{client: c, request: r, call: w.nextCall, node: n, resolve: resolve, start: w.now}
	r.sends = append(r.sends, s)
	left := ids.Duration(r.deadline - w.now)
	kind := replica.EventSubmit
	switch {
	case resolve:
		kind, left = replica.EventResolve, w.between(300*millisecond, 3*second)
	case r.read:
		kind = replica.EventRead
	}
	if !resolve && w.faulty && w.chance(w.plan.hasty) {
		// It says that it waits less long than it does, and hears what the node has to
		// say at that deadline.
		w.cov.add("client", "hasty")
		left = w.between(left/16, left)
	}
	w.trace.note("call", 0, "%d to %s: %s", s.call, n.name, r)
	e := replica.Event{Kind: kind, Call: s.call, Request: r.id, Transfer: r.transfer, Item: r.item}
	if !r.read {
		e.DoneBelow = c.doneBelow()
	}
	if resolve {
		e.Transfer = ids.Transfer{}
	}
	if d, ok := w.net.clientDelay(n); ok {
		w.after(d, func() { n.call(s, e, left-d) })
	}
	w.after(w.between(w.plan.patience/2, w.plan.patience*3/2), func() { c.silence(s) })
}

// The client's side of a call: answered, refused, broken, or silence.

func (c *client) answered(s *send, a replica.Answer) {
	r := s.request
	s.answered, s.outcome = true, a.Outcome
	if a.Outcome == bank.OutcomeNotLeader || a.Outcome == bank.OutcomeUnavailable {
		c.leaders[r.cluster] = a.Leader
	} else {
		c.leaders[r.cluster] = s.node.id
	}
	if r.over() {
		return
	}
	switch {
	case r.read && a.Outcome == bank.OutcomeCommitted:
		r.value = a.Balance
		c.end(r, a.Outcome)
	case a.Final, a.Outcome == bank.OutcomeCommitted, a.Outcome == bank.OutcomeInsufficientFunds,
		a.Outcome == bank.OutcomeInvalid, s.resolve && a.Outcome == bank.OutcomeAborted:
		c.end(r, a.Outcome)
	case s.resolve:
		c.ask(r)
	case a.Outcome == bank.OutcomeNotLeader:
		c.retry(r, c.w.between(millisecond, 30*millisecond))
	case a.Outcome == bank.OutcomeUnknown:
		if c.w.chance(0.5) {
			c.conclude(r)
		} else {
			c.retry(r, c.w.between(millisecond, 100*millisecond))
		}
	default: // aborted or unavailable, of this send
		if c.w.chance(0.3) {
			c.conclude(r)
		} else {
			c.retry(r, c.w.between(10*millisecond, 200*millisecond))
		}
	}
}

// refused: the node was not there; it has seen nothing of this call.
func (c *client) refused(s *send) {
	s.answered, s.outcome = true, bank.OutcomeUnavailable
	c.lost(s)
}

// broken: the connection broke while the call was under way. Whatever the node
// has done of it stays unknown.
func (c *client) broken(s *send) { c.lost(s) }

// silence: nothing was heard of the call for a while.
func (c *client) silence(s *send) {
	if !s.answered {
		c.lost(s)
	}
}

// lost goes on at another node.
func (c *client) lost(s *send) {
	r := s.request
	if c.leaders[r.cluster] == s.node.id {
		c.leaders[r.cluster] = 0
	}
	switch {
	case r.over() || s != r.sends[len(r.sends)-1]:
	case r.resolving:
		c.ask(r)
	default:
		c.retry(r, c.w.between(millisecond, 100*millisecond))
	}
}

// retry sends the request again after a pause, if there is time left and no
// later send has been made meanwhile.
func (c *client) retry(r *request, pause ids.Duration) {
	w := c.w
	if w.now+ids.Time(pause) >= r.deadline {
		return // the timer of the deadline concludes
	}
	sends := len(r.sends)
	w.after(pause, func() {
		if !r.over() && !r.resolving && len(r.sends) == sends {
			c.try(r)
		}
	})
}

// conclude ends a request without a final outcome if that may be said of it, and
// begins to resolve it otherwise.
func (c *client) conclude(r *request) {
	if r.read {
		c.end(r, bank.OutcomeUnavailable)
		return
	}
	outcome := bank.OutcomeUnavailable
	for _, s := range r.sends {
		switch {
		case !s.answered || s.outcome == bank.OutcomeUnknown:
			r.resolving = true
			c.ask(r)
			return
		case s.outcome == bank.OutcomeAborted:
			outcome = bank.OutcomeAborted
		}
	}
	c.end(r, outcome)
}

// ask asks what became of the request, after a pause that grows.
func (c *client) ask(r *request) {
	w := c.w
	sends := len(r.sends)
	w.after(r.pause+w.upTo(10*millisecond), func() {
		if !r.over() && len(r.sends) == sends {
			c.send(r, c.target(r), true)
		}
	})
	r.pause = min(2*r.pause+5*millisecond, second)
}

// end is what the client's user hears.
func (c *client) end(r *request, o bank.Outcome) {
	r.done, r.outcome, r.end = true, o, c.w.now
	c.active--
	c.w.trace.note("TOLD", 0, "%s: %s %d", r, o, r.value)
	c.w.cov.add("told", r.kind(false)+" "+o.String())
	for i := range c.open {
		if c.open[i] == r {
			c.open = append(c.open[:i], c.open[i+1:]...)
			break
		}
	}
}
