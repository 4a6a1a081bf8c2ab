package service

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"paxbank/server/ids"
	"paxbank/server/paxos"
	"paxbank/server/replica"
)

// The limits of the owner's queue and patience.
const (
	// maxQueuedEvents bounds messages from other nodes that wait for the owner.
	// More are dropped, as a network would.
	maxQueuedEvents = 1 << 16
	// maxQueuedCalls bounds clients' requests that wait for the owner. More are
	// answered `unavailable` at once: nothing was proposed.
	maxQueuedCalls = 1 << 17
	// lateAfter: a timer that fires so much too late shows that the process got
	// no CPU. What others sent meanwhile is still in the sockets, so their readers
	// get grace to hand it over before the timer counts: otherwise a busy machine
	// starts elections.
	lateAfter = 20 * time.Millisecond
	grace     = 4 * time.Millisecond
	// callTimeout bounds how long a control or inspect call waits for the owner.
	callTimeout = 10 * time.Second
)

// core is what the shell needs of *replica.Replica.
type core interface {
	Step(now ids.Time, events []replica.Event)
	Effects() *replica.Effects
	Status() replica.Status
	Balance(item int64) (int64, bool)
	Balances(all bool) []replica.ItemBalance
	Log(from uint64, housekeeping bool) (rows []replica.LogRow, checkpoint uint64)
	Views() []replica.ViewRow
	Locks() []replica.LockRow
	Timelines(req ids.Request) []replica.Timeline
	Counters() *replica.Counters
}

// network is what the engine needs of the transport.
type network interface {
	Send(sends []replica.Send)
	SetLive(live bool)
}

// disk is what the writer needs of the store.
type disk interface {
	Write(records []paxos.Record) error
}

// submission is a batch of one client's calls.
type submission struct {
	sink   sink
	events []replica.Event
}

// waiting is a call without an answer yet.
type waiting struct {
	number  uint64 // 0: the place is free
	sink    sink
	request ids.Request
}

// callTable holds the calls that wait, in places that are used again. A call's
// number tells its place and grows from call to call.
type callTable struct {
	places []waiting
	free   []uint32
	next   uint64
	open   int
}

// placeBits of a call's number tell its place. The queue (maxQueuedCalls) and what
// the core admits by default (65,536 requests, each with up to 1,024 calls) stay
// below that many calls.
const placeBits = 27

func (t *callTable) add(s sink, request ids.Request) (number uint64) {
	var place uint32
	if n := len(t.free); n > 0 {
		place, t.free = t.free[n-1], t.free[:n-1]
	} else {
		place = uint32(len(t.places))
		t.places = append(t.places, waiting{})
	}
	t.next++
	t.open++
	number = t.next<<placeBits | uint64(place)
	t.places[place] = waiting{number: number, sink: s, request: request}
	return number
}

// take removes a call; false when it was answered or failed before.
func (t *callTable) take(number uint64) (w waiting, ok bool) {
	place := number & (1<<placeBits - 1)
	if number == 0 || place >= uint64(len(t.places)) || t.places[place].number != number {
		return waiting{}, false
	}
	w = t.places[place]
	t.places[place] = waiting{}
	t.free = append(t.free, uint32(place))
	t.open--
	return w, true
}

// takeAll removes all calls, in no particular order.
func (t *callTable) takeAll(f func(waiting)) {
	for i := range t.places {
		if w, ok := t.take(t.places[i].number); ok {
			f(w)
		}
	}
}

// engine owns a replica for one incarnation of a node.
type engine struct {
	name  string // of the node, for messages
	core  core
	net   network
	disk  *writer
	now   func() ids.Time
	fatal func(error)

	wake chan struct{} // holds a token when the queue has something
	stop chan struct{}
	done chan struct{} // the owner is gone

	mu     sync.Mutex
	queue  inbox
	closed bool

	// What follows belongs to the owner.
	spare   inbox // the queue's other buffer
	live    bool
	durable uint64
	delayed []replica.Send
	ready   []replica.Send
	calls   callTable
	touched []sink
	wakeAt  ids.Time
}

// eventSlices are used again from batch to batch.
var eventSlices sync.Pool

// keptEvents bounds the slices that are worth keeping, from both sides.
const (
	minKeptEvents = 16
	maxKeptEvents = 1 << 13
)

// newEvents returns an empty slice of events with room for about n, or for as
// many as are worth keeping: n comes from the size of a message, which anybody
// can make large.
func newEvents(n int) []replica.Event {
	n = min(n, maxKeptEvents)
	if p, ok := eventSlices.Get().(*[]replica.Event); ok && cap(*p) >= n {
		return *p
	}
	return make([]replica.Event, 0, max(n, minKeptEvents))
}

// freeEvents gives a slice back that nobody looks at any more.
func freeEvents(events []replica.Event) {
	if n := cap(events); n < minKeptEvents || n > maxKeptEvents {
		return
	}
	clear(events)
	events = events[:0]
	eventSlices.Put(&events)
}

// inbox is what waits for the owner.
type inbox struct {
	events  []replica.Event
	subs    []submission
	calls   int // in subs
	durable uint64
	funcs   []func()
}

func (b *inbox) reset() {
	clear(b.events)
	clear(b.subs)
	clear(b.funcs)
	*b = inbox{events: b.events[:0], subs: b.subs[:0], funcs: b.funcs[:0]}
}

func newEngine(name string, c core, net network, d disk, now func() ids.Time, fatal func(error)) *engine {
	e := &engine{
		name: name, core: c, net: net, now: now, fatal: fatal,
		wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
	}
	e.disk = newWriter(d, e.written, fatal)
	go e.run()
	return e
}

// close stops the owner and the writer, fails the calls that wait, and returns
// when a write under way has ended.
func (e *engine) close() {
	e.mu.Lock()
	if !e.closed {
		e.closed = true
		close(e.stop)
	}
	e.mu.Unlock()
	<-e.done
	e.disk.close()
}

func (e *engine) signal() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// deliver takes events from other nodes.
func (e *engine) deliver(events []replica.Event) {
	e.mu.Lock()
	if e.closed || len(e.queue.events)+len(events) > maxQueuedEvents {
		e.mu.Unlock()
		return
	}
	e.queue.events = append(e.queue.events, events...)
	e.mu.Unlock()
	e.signal()
}

// written is told that everything up to a write is on disk.
func (e *engine) written(write uint64) {
	e.mu.Lock()
	e.queue.durable = write
	e.mu.Unlock()
	e.signal()
}

// submit queues a client's calls. Their Call numbers are given by the owner.
// False: the queue is full, and nothing was queued.
func (e *engine) submit(s submission) (ok bool) {
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		s.sink.fail(e.disconnected())
		return true
	}
	if e.queue.calls+len(s.events) > maxQueuedCalls {
		e.mu.Unlock()
		return false
	}
	e.queue.subs = append(e.queue.subs, s)
	e.queue.calls += len(s.events)
	e.mu.Unlock()
	e.signal()
	return true
}

// do runs f on the owner, between two steps, and waits for it.
func (e *engine) do(ctx context.Context, what string, f func()) error {
	ran := make(chan struct{})
	e.mu.Lock()
	if !e.closed {
		e.queue.funcs = append(e.queue.funcs, func() { f(); close(ran) })
	}
	e.mu.Unlock()
	e.signal()
	timer := time.NewTimer(callTimeout)
	defer timer.Stop()
	select {
	case <-ran:
		return nil
	case <-e.done:
		select {
		case <-ran:
			return nil
		default:
			return e.stopped(what)
		}
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return fmt.Errorf("%s is too busy: no time for %s within %v", e.name, what, callTimeout)
	}
}

func (e *engine) stopped(what string) error {
	return fmt.Errorf("%s was stopped or reset before it got to %s", e.name, what)
}

func (e *engine) disconnected() error {
	return fmt.Errorf("%s was disconnected while the request was under way", e.name)
}

// setLive connects or disconnects the replica; it is in force on return.
func (e *engine) setLive(ctx context.Context, live bool) error {
	return e.do(ctx, "connecting or disconnecting", func() {
		if live == e.live {
			return // what is under way stays so
		}
		if !live {
			e.net.SetLive(false)
		}
		e.discard()
		e.live = live
		if live {
			e.net.SetLive(true)
		}
		e.step([]replica.Event{{Kind: replica.EventSetLive, Live: live}})
	})
}

// discard drops everything that is on its way in or out, disk writes excepted.
func (e *engine) discard() {
	e.mu.Lock()
	subs := append([]submission(nil), e.queue.subs...)
	clear(e.queue.events)
	clear(e.queue.subs)
	e.queue.events, e.queue.subs, e.queue.calls = e.queue.events[:0], e.queue.subs[:0], 0
	e.mu.Unlock()
	for _, s := range subs {
		s.sink.fail(e.disconnected())
	}
	e.failCalls()
	clear(e.delayed)
	e.delayed = e.delayed[:0]
}

func (e *engine) failCalls() {
	e.calls.takeAll(func(w waiting) { w.sink.fail(e.disconnected()) })
}

// run is the owner.
func (e *engine) run() {
	defer close(e.done)
	defer func() {
		if p := recover(); p != nil {
			e.fatal(violation(p))
		}
		e.mu.Lock()
		e.closed = true
		e.mu.Unlock()
		e.discard()
	}()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	armed := ids.Time(0) // when the timer fires; 0: nobody waits for it
	for {
		// Most turns only move the wake-up further off. The timer then fires early
		// and is set anew, which is cheaper than setting it every time: the runtime
		// would wake the process for each of the times it was ever set to.
		if e.wakeAt != 0 && (armed == 0 || e.wakeAt < armed) {
			armed = e.wakeAt
			timer.Reset(max(0, time.Duration(armed-e.now())))
		}
		select {
		case <-e.stop:
			return
		case <-e.wake:
			// Whoever can run now has something to say too: of a burst of calls each
			// has a goroutine, and the first of them to signal would be served alone,
			// because the runtime runs next whom it has just woken.
			runtime.Gosched()
		case <-timer.C:
			armed = 0
			if e.wakeAt == 0 || e.now() < e.wakeAt {
				continue
			}
		}
		if e.wakeAt != 0 && e.now() > e.wakeAt+ids.Time(lateAfter) {
			timer.Reset(grace)
			select {
			case <-e.stop:
				return
			case <-timer.C:
				armed = 0
			}
		}
		e.turn()
	}
}

// turn handles everything that waits.
func (e *engine) turn() {
	e.mu.Lock()
	in := e.queue
	e.queue, e.spare = e.spare, inbox{}
	e.mu.Unlock()

	events := in.events
	if !e.live {
		clear(events)
		events = events[:0]
	}
	for _, s := range in.subs {
		if !e.live {
			s.sink.fail(fmt.Errorf("refused: %s is disconnected", e.name))
			continue
		}
		for i := range s.events {
			s.events[i].Call = e.calls.add(s.sink, s.events[i].Request)
		}
		events = append(events, s.events...)
		freeEvents(s.events)
	}
	if in.durable > e.durable {
		e.durable = in.durable
		e.release()
		events = append(events, replica.Event{Kind: replica.EventDurable, Write: in.durable})
	}
	if len(events) > 0 || e.wakeAt != 0 && e.now() >= e.wakeAt {
		e.step(events)
	}
	for _, f := range in.funcs {
		f()
	}
	in.events = events
	in.reset()
	e.spare = in
}

// step lets the replica take events and carries out what it wants.
func (e *engine) step(events []replica.Event) {
	e.core.Step(e.now(), events)
	out := e.core.Effects()
	e.wakeAt = out.Wake
	if out.Write != 0 {
		e.disk.add(out.Write, out.Records)
	}
	if len(out.Sends) > 0 {
		e.ready = e.ready[:0]
		for _, s := range out.Sends {
			if s.After <= e.durable {
				e.ready = append(e.ready, s)
			} else {
				e.delayed = append(e.delayed, s)
			}
		}
		e.net.Send(e.ready)
		clear(e.ready)
	}
	if len(out.Answers) > 0 {
		e.answer(out.Answers)
	}
}

// release sends the messages whose writes are on disk now.
func (e *engine) release() {
	e.ready = e.ready[:0]
	keep := e.delayed[:0]
	for _, s := range e.delayed {
		if s.After <= e.durable {
			e.ready = append(e.ready, s)
		} else {
			keep = append(keep, s)
		}
	}
	clear(e.delayed[len(keep):])
	e.delayed = keep
	if len(e.ready) > 0 {
		e.net.Send(e.ready)
		clear(e.ready)
	}
}

func (e *engine) answer(answers []replica.Answer) {
	for i := range answers {
		a := &answers[i]
		w, ok := e.calls.take(a.Call)
		if !ok {
			continue // answered, or failed when the node was disconnected
		}
		if w.sink.answer(w.request, a) {
			e.touched = append(e.touched, w.sink)
		}
	}
	for _, s := range e.touched {
		s.flush()
	}
	clear(e.touched)
	e.touched = e.touched[:0]
}

// quiet reports whether nothing is on its way in this shell. Runs on the owner.
func (e *engine) quiet() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.queue.events) == 0 && len(e.queue.subs) == 0 && e.queue.durable <= e.durable &&
		len(e.delayed) == 0 && e.calls.open == 0 && e.disk.idle()
}

// violation turns the value of a panic into what the node says before it stops:
// one line for an invariant, the stack for a mistake of ours.
func violation(p any) error {
	err, isError := p.(error)
	_, ours := p.(runtime.Error)
	if isError && !ours {
		return fmt.Errorf("stopped, because what it knows cannot be trusted: %s", strings.ReplaceAll(err.Error(), "\n", " "))
	}
	return fmt.Errorf("panic: %v\n%s", p, debug.Stack())
}
