package bench

import (
	"context"
	"slices"
	"sync"

	"paxbank/internal/grpcopts"
	pb "paxbank/proto/paxbank/v1"
)

// readLane carries the reads of one cluster over one ReadStream to the node that
// is taken for the leader, with one goroutine that sends and one that receives.
// It does not look for the leader: a read that a stream does not answer with a
// balance goes to the callers, who do, and its next stream goes to whom they
// found.
type readLane struct {
	engine  *engine
	cluster int
	wake    chan struct{} // holds a token when there may be something to send

	mu     sync.Mutex
	slots  []readSlot
	free   []int32 // positions in slots
	outbox []op
	head   int // of outbox
	record *recorder

	stream   *stream
	streams  []*stream // that have not ended: the current one, and earlier ones
	opened   int32
	resumeAt int64 // no stream is opened before
	ticks    int
}

// slotBits of a read's number are the position of its slot; the others count how
// often the slot was used, so that a late answer is not taken for that of the
// next read.
const slotBits = 18

// A position fits into its bits.
const _ = uint(1<<slotBits - maxSlots)

// readSlot is one read that is under way.
type readSlot struct {
	op
	number uint64 // on its stream; of the last read while the slot is free
	first  int64  // when it was sent
	stream int32  // that it was sent on; 0: the slot is free
}

func newReadLane(e *engine, cluster int) *readLane {
	return &readLane{engine: e, cluster: cluster, wake: make(chan struct{}, 1), record: newRecorder(len(e.bank.clusters))}
}

// push hands reads over.
func (l *readLane) push(ops []op) {
	l.mu.Lock()
	l.outbox = append(l.outbox, ops...)
	l.mu.Unlock()
	l.signal()
}

func (l *readLane) signal() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// run sends until ctx ends. Receivers are counted in wg.
func (l *readLane) run(ctx context.Context, wg *sync.WaitGroup) {
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
func (l *readLane) ensureStream(ctx context.Context, wg *sync.WaitGroup) *stream {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.head == len(l.outbox) {
		return nil
	}
	if l.stream != nil {
		return l.stream
	}
	if l.engine.now() < l.resumeAt {
		return nil
	}
	at := l.engine.bank.leader(l.cluster)
	streamCtx, cancel := context.WithCancel(ctx)
	l.opened++
	s := &stream{number: l.opened, peer: at, cancel: cancel}
	conn := l.engine.bank.clusters[l.cluster][at].connection()
	l.mu.Unlock()
	client, err := newStream(streamCtx, conn, pb.Bank_ReadStream_FullMethodName)
	l.mu.Lock()
	if err != nil {
		cancel()
		l.leave(at, "")
		for ; l.head < len(l.outbox); l.head++ {
			l.engine.calls <- call{op: l.outbox[l.head]} // has room for all slots
		}
		l.outbox, l.head = l.outbox[:0], 0
		return nil
	}
	s.client = client
	l.stream = s
	l.streams = append(l.streams, s)
	wg.Go(func() { l.receive(ctx, s) })
	return s
}

// leave turns away from a node that does not serve; named is whom it named
// instead, or empty. REQUIRES: l.mu is held.
func (l *readLane) leave(peer int, named string) {
	l.stream = nil // what is under way on it may still be answered
	if !l.engine.bank.redirect(l.cluster, peer, named) {
		l.resumeAt = l.engine.now() + int64(pause)
	}
}

// fill writes what may be sent on s now as one message.
func (l *readLane) fill(s *stream, b []byte) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s != l.stream || l.head == len(l.outbox) {
		return b
	}
	e := l.engine
	now := e.now()
	n := min(len(l.outbox)-l.head, maxBatch)
	b = appendReadBatch(b, e.bank.epoch, e.bank.hash)
	for i := range l.outbox[l.head : l.head+n] {
		slot := l.take()
		slot.op, slot.first, slot.stream = l.outbox[l.head+i], now, s.number
		b = appendRead(b, slot.number, slot.from, uint32(e.load.deadline.Milliseconds()))
	}
	if l.head += n; l.head == len(l.outbox) {
		l.outbox, l.head = l.outbox[:0], 0
	}
	s.sent(n, now)
	return b
}

// take finds a free slot and gives its read a number. REQUIRES: l.mu is held.
func (l *readLane) take() *readSlot {
	if len(l.free) == 0 {
		l.free = append(l.free, int32(len(l.slots)))
		l.slots = append(l.slots, readSlot{number: uint64(len(l.slots))})
	}
	last := len(l.free) - 1
	slot := &l.slots[l.free[last]]
	l.free = l.free[:last]
	slot.number += 1 << slotBits
	return slot
}

// release frees a slot. REQUIRES: l.mu is held.
func (l *readLane) release(slot *readSlot) {
	slot.stream = 0
	l.free = append(l.free, int32(slot.number&(1<<slotBits-1)))
}

// handOver lets a caller go on with a read. REQUIRES: l.mu is held.
func (l *readLane) handOver(slot *readSlot) {
	l.engine.calls <- call{op: slot.op, first: slot.first} // has room for all slots
	l.release(slot)
}

// receive takes the answers on s until it ends, or the load does with ctx.
func (l *readLane) receive(ctx context.Context, s *stream) {
	defer s.cancel()
	var in grpcopts.In
	var freed []int32
	staging := l.engine.staging()
	for {
		err := s.client.RecvMsg(&in)
		if err == nil {
			var now int64
			if freed, now, err = l.answers(s, in.Bytes, freed[:0]); len(freed) > 0 {
				l.engine.refill(freed, now, staging)
			}
		}
		if err != nil {
			if ctx.Err() == nil { // the load goes on
				l.broken(s)
			}
			return
		}
	}
}

// answers handles one message and adds the clients to freed that may go on.
func (l *readLane) answers(s *stream, batch []byte, freed []int32) ([]int32, int64, error) {
	var r readReply
	e := l.engine
	l.mu.Lock()
	defer l.mu.Unlock()
	now := e.now()
	s.heard = now
	completed := int64(0)
	for {
		rest, ok, err := nextReadReply(batch, &r)
		if err != nil || !ok {
			e.completed.Add(completed)
			return freed, now, err
		}
		batch = rest
		s.open--
		at := r.number & (1<<slotBits - 1)
		if at >= uint64(len(l.slots)) {
			continue
		}
		slot := &l.slots[at]
		if slot.number != r.number || slot.stream != s.number {
			continue // given up already
		}
		switch r.result {
		case pb.Result_RESULT_COMMITTED:
			e.reads.check(slot.from, r.balance)
			completed++
			l.record.end(&slot.op, committed, now, e.inWindow(&slot.op, now))
			freed = append(freed, slot.client)
			l.release(slot)
			continue
		case pb.Result_RESULT_NOT_LEADER, pb.Result_RESULT_UNAVAILABLE, pb.Result_RESULT_WRONG_EPOCH:
			if s == l.stream {
				l.leave(s.peer, string(r.leader))
			}
		}
		l.handOver(slot)
	}
}

// broken ends a stream: callers go on with what was under way on it.
func (l *readLane) broken(s *stream) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.streams = slices.DeleteFunc(l.streams, func(other *stream) bool { return other == s })
	for i := range l.slots {
		if slot := &l.slots[i]; slot.stream == s.number {
			l.handOver(slot)
		}
	}
	if l.stream == s {
		l.leave(s.peer, "")
	}
	l.signal()
}

// tend is called at every tick: it ends pauses, gives up silent nodes, and ends
// what is past its deadline. It returns the clients that may go on.
func (l *readLane) tend() (freed []int32, now int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now = l.engine.now()
	if l.head < len(l.outbox) {
		l.signal()
	}
	for _, s := range l.streams {
		if s.silent(now) || s.open == 0 && s != l.stream {
			s.cancel() // its receiver sees to what is under way on it
		}
	}
	if l.ticks++; l.ticks%deadlinesEvery != 0 {
		return nil, now
	}
	for i := range l.slots {
		slot := &l.slots[i]
		if slot.stream != 0 && now-slot.first > int64(l.engine.load.deadline+deadlineGrace) {
			l.record.end(&slot.op, unavailable, now, l.engine.inWindow(&slot.op, now))
			freed = append(freed, slot.client)
			l.release(slot)
		}
	}
	return freed, now
}
