package bench

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"math"
	mathrand "math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// load says how a workload is put on a bank.
type load struct {
	mix               mix
	clients, inflight int
	// rate of an open loop, operations a second; 0: closed loop, in which a client
	// sends its next when one of its inflight has ended.
	rate     float64
	constant bool // open loop: equal gaps instead of a Poisson process
	unary    bool // Submit and Read instead of their streams
	// unaryReads: Read instead of ReadStream.
	unaryReads bool
	// transactions to measure; 0: as many as fit into duration.
	transactions     int64
	duration, warmup time.Duration
	deadline         time.Duration // of one operation, from its first send
	seed             uint64
}

// slots is how many operations may be under way at once.
func (l *load) slots() int { return l.clients * l.inflight }

// The streams of random numbers that are drawn from one seed. Clients draw from
// theirs in the order of their own operations, so that a seed gives every client
// the same ones whatever the bank does.
const (
	clientStream  = 1 << 32
	warmupStream  = 2 << 32
	arrivalStream = 3 << 32
)

// The bounds of an engine.
const (
	// tickEvery: deadlines, silence and pauses are looked after so often.
	tickEvery = 10 * time.Millisecond
	// maxReaders is how many reads are under way at once as calls of their own
	// beside a stream of transfers.
	maxReaders = 512
	// recorders of the callers, who share them.
	callRecorders = 8
	// drainBound: what is under way at the end has ended so long after its
	// deadline.
	drainBound = 5 * time.Second
	// minRest: the schedule of an open loop is slept towards in steps of no less;
	// what falls due meanwhile leaves together.
	minRest = 200 * time.Microsecond
	// lateGrace: an operation of an open loop that had to begin in the window still
	// begins so long after its end.
	lateGrace = 100 * time.Millisecond
)

// engine puts a load on a bank.
type engine struct {
	load     load
	bank     *bank
	layout   *layout
	workload *workload
	clients  []client
	lanes    []*lane // by cluster
	// readLanes by cluster; none when reads are calls of their own.
	readLanes []*readLane
	calls     chan call // for the callers
	callers   []*caller
	settler   *settler
	reads     *readCheck

	base            time.Time // of the clock
	warmEnd, finish int64     // the measured window; finish is far away with transactions
	ended           int64     // when nothing was under way any more
	stopping        atomic.Bool
	completed       atomic.Int64 // committed since the start, for progress
	active          atomic.Int64 // operations under way, and the open loop's schedule
	drained         chan struct{}
	free            chan struct{}  // open loop: slots to be had
	delta           []atomic.Int64 // by ordinal: what commits did to the items
	notStarted      int64          // of an open loop that the bank fell behind
}

// newEngine prepares a load. REQUIRES: l.mix.check is nil.
func newEngine(l load, b *bank) (*engine, error) {
	e := &engine{load: l, bank: b, layout: newLayout(b.topology), drained: make(chan struct{})}
	e.workload = newWorkload(l.mix, e.layout)
	e.delta = make([]atomic.Int64, e.layout.total)
	e.clients = make([]client, l.clients)
	for i := range e.clients {
		c := &e.clients[i]
		c.rng = mathrand.New(mathrand.NewPCG(l.seed, clientStream+uint64(i)))
		c.warm = mathrand.New(mathrand.NewPCG(l.seed, warmupStream+uint64(i)))
		c.left = -1
		if l.transactions > 0 {
			c.left = l.transactions / int64(l.clients)
			if int64(i) < l.transactions%int64(l.clients) {
				c.left++
			}
		}
	}
	first, err := randomID()
	if err != nil {
		return nil, err
	}
	for c := range b.clusters {
		// Client i of cluster c is called first + c*clients + i.
		e.lanes = append(e.lanes, newLane(e, c, first+uint64(c*l.clients)))
	}
	e.reads = &readCheck{topology: b.topology, active: l.mix.Reads == 1}
	if l.mix.reads() && !l.unary && !l.unaryReads {
		for c := range b.clusters {
			e.readLanes = append(e.readLanes, newReadLane(e, c))
		}
	}
	callers := 0
	switch {
	case l.unary:
		callers = l.slots()
	case l.mix.reads():
		callers = min(l.slots(), maxReaders)
	}
	e.calls = make(chan call, l.slots()) // never blocks
	var records []*sharedRecorder
	for range min(callers, callRecorders) {
		records = append(records, &sharedRecorder{recorder: newRecorder(len(b.clusters))})
	}
	for i := range callers {
		// Identities beyond the lanes'.
		e.callers = append(e.callers, &caller{engine: e, number: i, id: first + uint64(len(b.clusters)*l.clients+i), record: records[i%len(records)]})
	}
	e.settler = newSettler(e)
	return e, nil
}

// randomID is a client_id such that some million after it are unused too.
func randomID() (uint64, error) {
	var b [8]byte
	if _, err := rand.Read(b[:]); err != nil {
		return 0, fmt.Errorf("random client id: %w", err)
	}
	return binary.BigEndian.Uint64(b[:])>>1 + 1, nil
}

// now is the engine's clock: nanoseconds since the load began.
func (e *engine) now() int64 { return int64(time.Since(e.base)) }

// inWindow reports whether an operation that ended now did so inside the
// measured window.
func (e *engine) inWindow(o *op, now int64) bool {
	if e.load.transactions > 0 {
		return o.measured
	}
	return now >= e.warmEnd && now < e.finish
}

// took notes what a committed transfer did to its items.
func (e *engine) took(o *op) {
	if o.kind != read {
		e.delta[e.layout.clusters[o.cluster].ordinal(o.from)].Add(-o.amount)
		e.delta[e.layout.clusters[o.peer].ordinal(o.to)].Add(o.amount)
	}
}

// hooks are called when the load has started and at the edges of the measured
// window. started may be nil.
type hooks struct{ started, begin, end func() }

// run puts the load on the bank and returns when everything has ended, or has
// been settled as far as possible. The error says what did not end in time.
func (e *engine) run(ctx context.Context, h hooks) error {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	e.finish = math.MaxInt64 / 2
	e.warmEnd = int64(e.load.warmup)
	if e.load.transactions == 0 {
		e.finish = e.warmEnd + int64(e.load.duration)
	}
	if e.load.transactions == 0 && e.load.duration >= leastDivided {
		for _, r := range e.recorders() {
			r.divide(e.warmEnd, int64(e.load.period()))
		}
	}
	if e.warmEnd == 0 {
		h.begin()
	}
	e.base = time.Now()
	if h.started != nil {
		h.started()
	}
	for _, l := range e.lanes {
		wg.Go(func() { l.run(ctx, &wg) })
	}
	for _, l := range e.readLanes {
		wg.Go(func() { l.run(ctx, &wg) })
	}
	for _, c := range e.callers {
		wg.Go(func() { c.run(ctx) })
	}
	wg.Go(func() { e.settler.run(ctx) })
	wg.Go(func() { e.tick(ctx) })
	e.begin(ctx, &wg)
	if e.warmEnd > 0 {
		if e.sleepUntil(ctx, e.warmEnd, e.drained) {
			h.begin()
		}
	}
	if e.load.transactions == 0 {
		e.sleepUntil(ctx, e.finish, e.drained)
		h.end()
	}
	err := e.drain(ctx)
	if e.load.transactions > 0 {
		h.end()
	}
	if err == nil {
		e.settler.finish(ctx)
	}
	return err
}

// begin starts the loop: all slots at once, or the schedule.
func (e *engine) begin(ctx context.Context, wg *sync.WaitGroup) {
	if e.load.rate > 0 {
		e.free = make(chan struct{}, e.load.slots())
		for range e.load.slots() {
			e.free <- struct{}{}
		}
		e.active.Store(1)
		wg.Go(func() { e.schedule(ctx) })
		return
	}
	e.active.Store(int64(e.load.slots()))
	s := e.staging()
	now := e.now()
	for range e.load.inflight {
		for number := range e.clients {
			e.refillOne(int32(number), now, s)
		}
	}
	s.flush()
}

// schedule starts the operations of an open loop when their time has come, or as
// soon as a slot is free after that.
func (e *engine) schedule(ctx context.Context) {
	defer e.retire(1)
	s := e.staging()
	defer s.flush()
	a := newArrivals(e.load.rate, !e.load.constant, e.load.seed)
	for n := 0; ; n++ {
		at := a.next()
		if rest := at - e.now(); rest > 0 {
			s.flush()
			if !e.sleepUntil(ctx, e.now()+max(rest, int64(minRest)), nil) {
				return
			}
		}
		select {
		case <-e.free:
		default:
			s.flush()
			select {
			case <-e.free:
			case <-ctx.Done():
				return
			}
		}
		if e.now() >= e.finish+int64(lateGrace) {
			// The bank is behind the schedule. Who has not begun by the end of the
			// window never will, and is counted.
			for ; at < e.finish; at = a.next() {
				e.notStarted++
			}
			return
		}
		number := int32(n % len(e.clients))
		o, ok := e.clients[number].next(e, number, at)
		if !ok {
			return // the window is over, or all transactions have begun
		}
		e.active.Add(1)
		s.add(&o)
	}
}

// sleepUntil returns at a time of the engine's clock, or false when ctx or early
// ended before.
func (e *engine) sleepUntil(ctx context.Context, at int64, early <-chan struct{}) bool {
	timer := time.NewTimer(time.Duration(at - e.now()))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-early:
	case <-ctx.Done():
	}
	return false
}

// drain waits until nothing is under way. With a number of transactions that
// takes as long as it takes, as long as some of them end.
func (e *engine) drain(ctx context.Context) error {
	bound := e.load.deadline + drainBound
	timer := time.NewTimer(bound)
	defer timer.Stop()
	last := int64(-1)
	for {
		select {
		case <-e.drained:
			e.ended = e.now()
			return nil
		case <-ctx.Done():
			e.stopping.Store(true)
			return ctx.Err()
		case <-timer.C:
		}
		if n := e.completed.Load(); n != last && e.load.transactions > 0 {
			last = n
			timer.Reset(bound)
			continue
		}
		return fmt.Errorf("waited %s in vain for %d operations under way to end", bound, e.active.Load())
	}
}

// tick looks after what no answer comes for.
func (e *engine) tick(ctx context.Context) {
	ticker := time.NewTicker(tickEvery)
	defer ticker.Stop()
	s := e.staging()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		for _, l := range e.lanes {
			if freed, now := l.tend(); len(freed) > 0 {
				e.refill(freed, now, s)
			}
		}
		for _, l := range e.readLanes {
			if freed, now := l.tend(); len(freed) > 0 {
				e.refill(freed, now, s)
			}
		}
	}
}

// A window of at least leastDivided is also told by periods, so that one sees whether
// the bank slows down: by whole minutes, as few as make at most maxPeriods.
const (
	leastDivided = 2 * time.Minute
	maxPeriods   = 120
)

func (l *load) period() time.Duration {
	return time.Duration(math.Ceil(l.duration.Minutes()/maxPeriods)) * time.Minute
}

// recorders are those of all workers.
func (e *engine) recorders() (all []*recorder) {
	for _, l := range e.lanes {
		all = append(all, l.record)
	}
	for _, l := range e.readLanes {
		all = append(all, l.record)
	}
	for i, c := range e.callers {
		if i < callRecorders {
			all = append(all, c.record.recorder)
		}
	}
	return all
}

// result joins what all workers recorded. REQUIRES: run has returned.
func (e *engine) result() *recorder {
	all := newRecorder(len(e.lanes))
	for _, r := range e.recorders() {
		all.merge(r)
	}
	for _, o := range e.settler.committed {
		all.commit(&o)
	}
	return all
}
