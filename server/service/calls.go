package service

import (
	"slices"
	"sync"

	"paxbank/internal/grpcopts"
	"paxbank/server/ids"
	"paxbank/server/replica"
)

// sink is where the answers to a client's calls go. The owner calls it, so
// nothing here blocks.
type sink interface {
	// answer takes the answer to one call; true asks for a flush at the end of
	// the turn.
	answer(request ids.Request, a *replica.Answer) (flush bool)
	flush()
	// fail says that a call gets no answer: its outcome is not known.
	fail(err error)
}

// result is how a unary call ended.
type result struct {
	answer replica.Answer
	err    error
}

// oneCall waits for the answer to a unary call. Whoever gave up leaves nothing
// behind but this until the answer comes, which the core gives by the call's
// deadline.
type oneCall chan result

func newOneCall() oneCall { return make(oneCall, 1) }

func (c oneCall) answer(_ ids.Request, a *replica.Answer) bool {
	c.put(result{answer: *a})
	return false
}

func (c oneCall) flush() {}

func (c oneCall) fail(err error) { c.put(result{err: err}) }

func (c oneCall) put(r result) {
	select {
	case c <- r:
	default: // it has one already
	}
}

// replies is a TransactionReplyBatch, or the like, in the making.
type replies struct {
	bytes *[]byte
	count int
}

// streamCalls gathers the answers of one stream.
type streamCalls struct {
	// encode appends the answer to one call to a message.
	encode func(b []byte, request ids.Request, a *replica.Answer) []byte
	signal chan struct{} // holds a token when take has something new to say
	room   chan struct{} // holds a token when calls were answered

	mu     sync.Mutex
	open   int       // calls without an answer in take's hands
	ready  []replies // all but the last are full
	ended  bool      // the client sends no more
	failed error
}

func newStreamCalls(encode func([]byte, ids.Request, *replica.Answer) []byte) *streamCalls {
	return &streamCalls{encode: encode, signal: make(chan struct{}, 1), room: make(chan struct{}, 1)}
}

func token(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// add counts calls that are going to be answered.
func (c *streamCalls) add(n int) {
	c.mu.Lock()
	c.open += n
	c.mu.Unlock()
}

// put adds an answer that the core was not asked for to a counted call.
func (c *streamCalls) put(encode func(b []byte) []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r, _ := c.last()
	*r.bytes = encode(*r.bytes)
	r.count++
}

// last returns the message that has room for another answer; first says that take
// has seen all before it. REQUIRES: c.mu is held.
func (c *streamCalls) last() (r *replies, first bool) {
	n := len(c.ready)
	if n == 0 || c.ready[n-1].count >= grpcopts.MaxReplies {
		c.ready = append(c.ready, replies{bytes: buffers.empty()})
	}
	return &c.ready[len(c.ready)-1], n == 0
}

func (c *streamCalls) answer(request ids.Request, a *replica.Answer) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	r, first := c.last()
	*r.bytes = c.encode(*r.bytes, request, a)
	r.count++
	return first
}

func (c *streamCalls) flush() { token(c.signal) }

func (c *streamCalls) fail(err error) {
	c.mu.Lock()
	if c.failed == nil {
		c.failed = err
	}
	c.mu.Unlock()
	token(c.signal)
}

// end says that no more calls are going to be added.
func (c *streamCalls) end() {
	c.mu.Lock()
	c.ended = true
	c.mu.Unlock()
	token(c.signal)
}

// take returns one message of answers, nil when there is none. over: nothing
// will come after them.
func (c *streamCalls) take() (bytes *[]byte, more, over bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.ready) > 0 {
		r := c.ready[0]
		c.ready = slices.Delete(c.ready, 0, 1)
		bytes, more = r.bytes, len(c.ready) > 0
		c.open -= r.count
		token(c.room)
	}
	return bytes, more, c.ended && c.open == 0, c.failed
}

// full reports whether so many calls are open that no more should be read.
func (c *streamCalls) full(limit int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.open >= limit && c.failed == nil
}
