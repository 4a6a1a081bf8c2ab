package bench

import (
	"slices"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "paxbank/proto/paxbank/v1"
)

// take handles one message and adds the clients to freed that may go on.
func (l *lane) take(s *stream, batch []byte, freed []int32) ([]int32, int64, error) {
	var r reply
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.engine.now()
	s.heard = now
	l.messages.Add(1)
	completed := int64(0)
	for {
		rest, ok, err := nextReply(batch, &r)
		if err != nil || !ok {
			l.engine.completed.Add(completed)
			if s == l.stream && s.open == 0 {
				l.probed = false // also when its answer came too late for anything
				l.signal()
			}
			return freed, now, err
		}
		batch = rest
		s.open--
		client := r.client - l.first
		if client >= uint64(len(l.rings)) || !l.rings[client].holds(r.timestamp) {
			continue // settled already
		}
		ring := &l.rings[client]
		e := ring.at(r.timestamp)
		if e.state != entrySent && e.state != entryWaiting {
			continue
		}
		out, final := l.judge(s, ref{int32(client), r.timestamp}, e, &r)
		if !final {
			continue
		}
		if out == committed {
			completed++
			l.engine.took(&e.op)
			l.sawCommit(e.sent, now)
		}
		l.record.end(&e.op, out, now, l.engine.inWindow(&e.op, now))
		freed = append(freed, e.client)
		l.close(ring, e)
	}
}

// close ends an entry; clients that waited for it go on. REQUIRES: l.mu is held.
func (l *lane) close(ring *ring, e *entry) {
	ring.close(e)
	if len(l.held) > 0 {
		l.outbox = append(l.outbox, l.held...)
		l.held = l.held[:0]
		l.signal()
	}
}

// judge says what a reply means for its transfer; final is false when it has to
// be sent again. REQUIRES: l.mu is held.
func (l *lane) judge(s *stream, at ref, e *entry, r *reply) (out outcome, final bool) {
	current := s == l.stream
	leads := func() {
		if current && l.probing {
			l.probing, l.probed = false, false
			l.signal()
		}
	}
	switch r.result {
	case pb.Result_RESULT_COMMITTED:
		leads()
		return committed, true
	case pb.Result_RESULT_INSUFFICIENT_FUNDS:
		leads()
		return insufficientFunds, true
	case pb.Result_RESULT_INVALID:
		leads()
		return invalid, true
	case pb.Result_RESULT_ABORTED:
		leads()
		// It speaks of this send; another one may still be under way.
		if r.final || !e.unclear && e.stream == s.number {
			return aborted, true
		}
	case pb.Result_RESULT_UNAVAILABLE:
		if r.final {
			leads()
			return unavailable, true
		}
	}
	if e.state != entrySent || e.stream != s.number {
		return 0, false // a later send of it is under way, or is going to be
	}
	e.state = entryWaiting
	switch r.result {
	case pb.Result_RESULT_NOT_LEADER:
		l.retry = append(l.retry, at)
		if current {
			l.rotate(s.peer, string(r.leader))
		}
		l.signal()
	case pb.Result_RESULT_UNAVAILABLE:
		l.later = append(l.later, at)
		if current {
			l.rotate(s.peer, "")
		}
	default: // unknown; aborted after an unclear send; another epoch
		e.unclear = e.unclear || r.result != pb.Result_RESULT_WRONG_EPOCH
		l.later = append(l.later, at)
		if current && l.probing {
			l.rotate(s.peer, "")
		}
	}
	return 0, false
}

// broken ends a stream: what was under way on it goes to the next node.
func (l *lane) broken(s *stream, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.streams = slices.DeleteFunc(l.streams, func(other *stream) bool { return other == s })
	refused := status.Code(err) == codes.Unavailable && isRefusal(status.Convert(err).Message())
	for c := range l.rings {
		ring := &l.rings[c]
		for t := ring.low; t < ring.next; t++ {
			if e := ring.at(t); e.state == entrySent && e.stream == s.number {
				e.state, e.unclear = entryWaiting, e.unclear || !refused
				l.retry = append(l.retry, ref{int32(c), t})
			}
		}
	}
	if l.stream == s {
		l.rotate(s.peer, "")
	}
	l.signal()
}
