package bench

import (
	mathrand "math/rand/v2"
	"sync"
)

// client is one logical client: a source of operations.
type client struct {
	mu        sync.Mutex
	rng, warm *mathrand.Rand // of what is measured, and of the warm-up
	left      int64          // transactions to begin; -1: no limit
}

// next is the client's next operation, meant to start at start; false when it
// has no more.
func (c *client) next(e *engine, number int32, start int64) (o op, ok bool) {
	if start >= e.finish || e.stopping.Load() {
		return op{}, false
	}
	o = op{start: start, client: number, measured: start >= e.warmEnd}
	c.mu.Lock()
	defer c.mu.Unlock()
	rng := c.warm
	if o.measured {
		if c.left == 0 {
			return op{}, false
		}
		if c.left > 0 {
			c.left--
		}
		rng = c.rng
	}
	e.workload.draw(rng, &o)
	return o, true
}

// staging gathers operations by where they go, so that many are handed over at
// once. Each goroutine has its own.
type staging struct {
	engine       *engine
	lanes, reads [][]op // by cluster
}

func (e *engine) staging() *staging {
	return &staging{engine: e, lanes: make([][]op, len(e.lanes)), reads: make([][]op, len(e.lanes))}
}

// byCall reports whether an operation is a call of its own instead of going over
// a stream.
func (l *load) byCall(o *op) bool {
	return l.unary || o.kind == read && l.unaryReads
}

func (s *staging) add(o *op) {
	switch {
	case s.engine.load.byCall(o):
		s.engine.calls <- call{op: *o} // has room for all slots
	case o.kind == read:
		s.reads[o.cluster] = append(s.reads[o.cluster], *o)
	default:
		s.lanes[o.cluster] = append(s.lanes[o.cluster], *o)
	}
}

func (s *staging) flush() {
	for c, ops := range s.lanes {
		if len(ops) > 0 {
			s.engine.lanes[c].push(ops)
			s.lanes[c] = ops[:0]
		}
	}
	for c, ops := range s.reads {
		if len(ops) > 0 {
			s.engine.readLanes[c].push(ops)
			s.reads[c] = ops[:0]
		}
	}
}

// refill lets clients go on after operations of theirs have ended.
func (e *engine) refill(clients []int32, now int64, s *staging) {
	if e.load.rate > 0 {
		for range clients {
			e.free <- struct{}{} // has room for all slots
		}
		e.retire(int64(len(clients)))
		return
	}
	for _, number := range clients {
		e.refillOne(number, now, s)
	}
	s.flush()
}

func (e *engine) refillOne(number int32, now int64, s *staging) {
	if o, ok := e.clients[number].next(e, number, now); ok {
		s.add(&o)
	} else {
		e.retire(1)
	}
}

func (e *engine) retire(n int64) {
	if n > 0 && e.active.Add(-n) == 0 {
		close(e.drained)
	}
}
