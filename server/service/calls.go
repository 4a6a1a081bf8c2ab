package service

import (
	"sync"

	pb "paxbank/proto/paxbank/v1"
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

// streamCalls gathers the answers of one SubmitStream.
type streamCalls struct {
	reply  func(request ids.Request, a *replica.Answer) *pb.TransactionReply
	signal chan struct{} // holds a token when take has something new to say
	room   chan struct{} // holds a token when calls were answered

	mu     sync.Mutex
	open   int // calls without an answer in take's hands
	ready  []*pb.TransactionReply
	ended  bool // the client sends no more
	failed error
}

func newStreamCalls(reply func(ids.Request, *replica.Answer) *pb.TransactionReply) *streamCalls {
	return &streamCalls{reply: reply, signal: make(chan struct{}, 1), room: make(chan struct{}, 1)}
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

// put adds an answer to a counted call.
func (c *streamCalls) put(r *pb.TransactionReply) (first bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ready = append(c.ready, r)
	return len(c.ready) == 1
}

func (c *streamCalls) answer(request ids.Request, a *replica.Answer) bool {
	return c.put(c.reply(request, a))
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

// take returns up to n answers. over: nothing will come after them.
func (c *streamCalls) take(n int) (replies []*pb.TransactionReply, more, over bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	replies = c.ready
	if len(replies) > n {
		replies, c.ready, more = c.ready[:n:n], c.ready[n:], true
	} else {
		c.ready = nil
	}
	c.open -= len(replies)
	if len(replies) > 0 {
		token(c.room)
	}
	return replies, more, c.ended && c.open == 0, c.failed
}

// full reports whether so many calls are open that no more should be read.
func (c *streamCalls) full(limit int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.open >= limit && c.failed == nil
}
