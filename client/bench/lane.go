package bench

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	"paxbank/internal/grpcopts"
	pb "paxbank/proto/paxbank/v1"
)

// The bounds of a lane.
const (
	// maxBatch is the number of transfers in one message. What is ready leaves at
	// once; larger messages would only delay the first of them.
	maxBatch = 1024
	// pause before the next node is asked when one said that it has no leader.
	pause = 10 * time.Millisecond
	// silentAfter: a node that has something to answer and says nothing for so long
	// is given up for the next one.
	silentAfter = 1500 * time.Millisecond
	// deadlineGrace is the time that a node's answer at the deadline may take.
	deadlineGrace = 500 * time.Millisecond
	// deadlinesEvery so many ticks the deadlines are looked at.
	deadlinesEvery = 10
)

// lane carries the transfers whose sender is in one cluster: one stream to the
// node that is taken for the leader, one goroutine that sends and one that
// receives.
//
// When the node that was taken for the leader turns out to be none, or is gone,
// the lane probes: it has one transfer under way at a time, and everything else
// waits until a node has taken that one.
type lane struct {
	engine  *engine
	cluster int
	peers   []*peer
	wake    chan struct{} // holds a token when there may be something to send
	// messages that came on the streams.
	messages atomic.Int64

	mu     sync.Mutex
	rings  []ring // by client
	first  uint64 // client_id of client 0
	outbox []op
	head   int   // of outbox
	held   []op  // whose client is too far ahead
	retry  []ref // to be sent again
	later  []ref // the same, after a pause
	faults []*fault
	record *recorder

	leader   int // position in peers
	stream   *stream
	streams  []*stream // that have not ended: the current one, and earlier ones
	opened   int32
	probing  bool
	probed   bool  // a probe is under way
	resumeAt int64 // nothing is sent before
	ticks    int
}

// ref names an entry.
type ref struct {
	client    int32
	timestamp uint64
}

// stream is one SubmitStream or ReadStream to one node. Its fields are guarded by
// its lane's mutex.
type stream struct {
	number int32
	peer   int
	open   int   // requests without an answer
	heard  int64 // when the node last said something, or first had something to answer
	client grpc.ClientStream
	cancel context.CancelFunc
}

func newLane(e *engine, cluster int, first uint64) *lane {
	l := &lane{
		engine: e, cluster: cluster, peers: e.bank.clusters[cluster], wake: make(chan struct{}, 1),
		rings: make([]ring, e.load.clients), first: first, record: newRecorder(len(e.bank.clusters)),
		leader: e.bank.leader(cluster),
	}
	for i := range l.rings {
		l.rings[i] = ring{client: first + uint64(i), next: 1, low: 1}
	}
	return l
}

// push hands operations over.
func (l *lane) push(ops []op) {
	l.mu.Lock()
	l.outbox = append(l.outbox, ops...)
	l.mu.Unlock()
	l.signal()
}

func (l *lane) signal() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// run sends until ctx ends. Receivers are counted in wg.
func (l *lane) run(ctx context.Context, wg *sync.WaitGroup) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.wake:
		}
		for ctx.Err() == nil {
			s := l.ensureStream(ctx, wg)
			if s == nil {
				break
			}
			buffer := sendPool.Get(maxBatch * maxRequestBytes)
			*buffer = l.fill(s, (*buffer)[:0])
			if len(*buffer) == 0 {
				sendPool.Put(buffer)
				break
			}
			if s.client.SendMsg(grpcopts.Out{Bytes: buffer, Pool: &sendPool}) != nil {
				break // the receiver learns why
			}
		}
	}
}

// ensureStream is the current stream, or a new one when there is something to
// send; nil when there is nothing to send or nobody to send it to now.
func (l *lane) ensureStream(ctx context.Context, wg *sync.WaitGroup) *stream {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.engine.now() < l.resumeAt || !l.sendable() {
		return nil
	}
	if l.stream != nil {
		return l.stream
	}
	streamCtx, cancel := context.WithCancel(ctx)
	l.opened++
	s := &stream{number: l.opened, peer: l.leader, heard: l.engine.now(), cancel: cancel}
	conn := l.peers[l.leader].connection()
	l.mu.Unlock()
	client, err := newStream(streamCtx, conn, pb.Bank_SubmitStream_FullMethodName)
	l.mu.Lock()
	if err != nil {
		cancel()
		l.rotate(s.peer, "")
		return nil
	}
	s.client, s.heard = client, l.engine.now()
	l.stream = s
	l.streams = append(l.streams, s)
	wg.Go(func() { l.receive(ctx, s) })
	return s
}

// newStream opens a stream whose messages are written and read as bytes.
func newStream(ctx context.Context, to *grpc.ClientConn, method string) (grpc.ClientStream, error) {
	return to.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method, grpc.ForceCodecV2(grpcopts.Codec{}))
}

// sent counts n more requests that the node has to answer.
func (s *stream) sent(n int, now int64) {
	if s.open == 0 {
		s.heard = now
	}
	s.open += n
}

// silent reports whether the node should have said something by now.
func (s *stream) silent(now int64) bool { return s.open > 0 && now-s.heard > int64(silentAfter) }

// sendable REQUIRES: l.mu is held.
func (l *lane) sendable() bool {
	return len(l.retry) > 0 || l.head < len(l.outbox)
}

// fill writes what may be sent on s now as one message.
func (l *lane) fill(s *stream, b []byte) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.engine.now()
	limit := maxBatch
	if l.probing {
		limit = 1
	}
	if s != l.stream || l.probing && l.probed || now < l.resumeAt {
		return b
	}
	n, done := 0, 0
	for _, r := range l.retry {
		if n == limit {
			break
		}
		done++
		ring := &l.rings[r.client]
		if !ring.holds(r.timestamp) {
			continue
		}
		if e := ring.at(r.timestamp); e.state == entryWaiting {
			b = l.put(b, s, ring, r.timestamp, e, now)
			n++
		}
	}
	l.retry = append(l.retry[:0], l.retry[done:]...)
	for ; l.head < len(l.outbox) && n < limit; l.head++ {
		o := &l.outbox[l.head]
		ring := &l.rings[o.client]
		if ring.full() {
			l.held = append(l.held, *o)
			continue
		}
		timestamp, e := ring.open(o)
		b = l.put(b, s, ring, timestamp, e, now)
		n++
	}
	if l.head == len(l.outbox) {
		l.outbox, l.head = l.outbox[:0], 0
	}
	l.probed = l.probing && n > 0
	return b
}

// put appends one request and notes that it is under way.
func (l *lane) put(b []byte, s *stream, ring *ring, timestamp uint64, e *entry, now int64) []byte {
	if e.first == 0 {
		e.first = now
	}
	e.sent, e.stream, e.state = now, s.number, entrySent
	s.sent(1, now)
	left := e.first + int64(l.engine.load.deadline) - now
	return appendRequest(b, &request{
		epoch: l.engine.bank.epoch, topology: l.engine.bank.hash,
		client: ring.client, timestamp: timestamp, doneBelow: ring.low,
		from: e.from, to: e.to, amount: e.amount,
		deadlineMillis: uint32(max(left/int64(time.Millisecond), 1)),
	})
}

// rotate turns to the node that was named, or to the one after asked, and probes
// it. REQUIRES: l.mu is held.
func (l *lane) rotate(asked int, named string) {
	l.probing, l.probed = true, false
	if l.stream != nil && l.stream.peer == asked {
		l.stream = nil // what is under way on it may still be answered
	}
	next := slices.IndexFunc(l.peers, func(p *peer) bool { return p.id == named })
	if next < 0 || next == asked {
		next = (asked + 1) % len(l.peers)
		l.resumeAt = l.engine.now() + int64(pause)
	}
	l.leader = next
	l.signal()
}

// receive takes the answers on s until it ends, or the load does with ctx.
func (l *lane) receive(ctx context.Context, s *stream) {
	defer s.cancel()
	var in grpcopts.In
	var freed []int32
	staging := l.engine.staging()
	for {
		err := s.client.RecvMsg(&in)
		if err == nil {
			var now int64
			if freed, now, err = l.take(s, in.Bytes, freed[:0]); len(freed) > 0 {
				l.engine.refill(freed, now, staging)
			}
		}
		if err != nil {
			if ctx.Err() == nil { // the load goes on
				l.broken(s, err)
			}
			return
		}
	}
}
