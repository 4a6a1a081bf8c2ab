package bench

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	pb "paxbank/proto/paxbank/v1"
)

// The bounds of settling.
const (
	// resolveTimeout of one Resolve.
	resolveTimeout = 2 * time.Second
	// settleEvery so often what is unsettled is asked for again.
	settleEvery = 100 * time.Millisecond
	// settleBound: so long after the load has ended. What is unsettled then stays
	// unknown, and the run's balances cannot be judged.
	settleBound = 15 * time.Second
	// maxResolves at once.
	maxResolves = 16
)

// unsettled is a transfer that was given up without an outcome.
type unsettled struct {
	op
	client, timestamp, doneBelow uint64
	done                         func() // called once it is settled
}

// settler resolves what ended unknown, so that the balances can be judged and
// its client's floor can move on.
type settler struct {
	engine *engine
	ids    atomic.Uint64

	mu        sync.Mutex
	queue     []unsettled
	committed []op
	ended     int // settled as not committed
}

func newSettler(e *engine) *settler {
	s := &settler{engine: e}
	// Above all identities that were given out when the engine was made.
	s.ids.Store(e.lanes[0].first + uint64(len(e.lanes)*e.load.clients+e.load.slots()))
	return s
}

// newID is a client_id that nobody has used.
func (s *settler) newID() uint64 { return s.ids.Add(1) }

func (s *settler) add(u unsettled) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue = append(s.queue, u)
}

// left is how many are not settled.
func (s *settler) left() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.queue)
}

func (s *settler) run(ctx context.Context) {
	ticker := time.NewTicker(settleEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			s.round(ctx)
		}
	}
}

// round asks for everything in the queue once.
func (s *settler) round(ctx context.Context) {
	s.mu.Lock()
	batch := append([]unsettled(nil), s.queue...)
	s.mu.Unlock()
	results := make([]pb.Result, len(batch))
	var wg sync.WaitGroup
	next := make(chan int)
	for range min(maxResolves, len(batch)) {
		wg.Go(func() {
			for i := range next {
				results[i] = s.resolve(ctx, &batch[i])
			}
		})
	}
	for i := range batch {
		next <- i
	}
	close(next)
	wg.Wait()
	var still []unsettled
	for i := range batch {
		switch results[i] {
		case pb.Result_RESULT_COMMITTED:
			s.engine.took(&batch[i].op)
			batch[i].done()
		case pb.Result_RESULT_ABORTED, pb.Result_RESULT_INSUFFICIENT_FUNDS, pb.Result_RESULT_INVALID:
			batch[i].done()
		default:
			still = append(still, batch[i])
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue = append(still, s.queue[len(batch):]...) // what came meanwhile stands behind
	for i := range batch {
		switch results[i] {
		case pb.Result_RESULT_COMMITTED:
			s.committed = append(s.committed, batch[i].op)
		case pb.Result_RESULT_ABORTED, pb.Result_RESULT_INSUFFICIENT_FUNDS, pb.Result_RESULT_INVALID:
			s.ended++
		}
	}
}

// resolve asks the nodes of the sender's cluster, the leader first.
func (s *settler) resolve(ctx context.Context, u *unsettled) pb.Result {
	b := s.engine.bank
	cluster := int(u.cluster)
	for range 2 * len(b.clusters[cluster]) {
		at := b.leader(cluster)
		callCtx, cancel := context.WithTimeout(ctx, resolveTimeout)
		r, err := pb.NewBankClient(b.clusters[cluster][at].connection()).Resolve(callCtx, &pb.ResolveRequest{
			Epoch: b.epoch, Topology: b.hash, ClientId: u.client, Timestamp: u.timestamp, DoneBelow: u.doneBelow,
			From: u.from, DeadlineMs: uint32(resolveTimeout / time.Millisecond),
		})
		cancel()
		if err == nil && r.GetResult() != pb.Result_RESULT_NOT_LEADER {
			return r.GetResult()
		}
		if ctx.Err() != nil {
			break
		}
		b.redirect(cluster, at, r.GetLeader())
	}
	return pb.Result_RESULT_UNKNOWN
}

// finish waits until everything is settled, as far as that is possible.
func (s *settler) finish(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, settleBound)
	defer cancel()
	ticker := time.NewTicker(settleEvery)
	defer ticker.Stop()
	for s.left() > 0 {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
