package chaos

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"paxbank/client/session"
	"paxbank/internal/topology"
)

// The batch, how many of its transfers are under way at any time, and where in
// it TestKillInBatch kills.
const (
	batch    = 30_000
	underWay = 3_000
	killAt   = batch / 3
	// batchDeadline of one of them on a slow machine.
	batchDeadline = 30 * time.Second
)

// carryOut makes the batch's transfers and returns what became of each; nil for
// those not begun when stop came. acknowledged is told how many are committed.
func (b *bank) carryOut(s *session.Session, stop context.Context, acknowledged func(n int64)) []*session.Result {
	topo := b.topo // b's own changes when a node moves
	results := make([]*session.Result, batch)
	var next, committed atomic.Int64
	var wg sync.WaitGroup
	for range underWay {
		wg.Go(func() {
			for stop.Err() == nil {
				i := next.Add(1) - 1
				if i >= batch {
					return
				}
				from, to := pair(topo, i)
				r := s.Transfer(b.ctx, from, to, 1, batchDeadline)
				results[i] = &r
				if r.Outcome == session.Committed {
					acknowledged(committed.Add(1))
				}
			}
		})
	}
	wg.Wait()
	return results
}

// pair is the i-th transfer's items: neighbours in one cluster, so that the
// lower of them gives. Every item holds enough for it.
func pair(topo *topology.Topology, i int64) (from, to int64) {
	ranges := topo.Items.Ranges
	r := ranges[i%int64(len(ranges))]
	i /= int64(len(ranges))
	pairs := (r.Last - r.First + 1) / 2
	from = r.First + 2*(i%pairs)
	return from, from + 1
}

// batchHolds checks every balance against what became of the transfers.
func (b *bank) batchHolds(results []*session.Result) {
	b.t.Helper()
	balance := map[int64]int64{}
	for i, r := range results {
		if r != nil && r.Outcome == session.Committed {
			from, to := pair(b.topo, int64(i))
			balance[from]--
			balance[to]++
		}
	}
	if len(balance) == 0 {
		b.t.Error("nothing was committed: this test shows nothing")
	}
	b.settled()
	b.holds("after kill -9 of all nodes", func(item int64) int64 { return b.topo.Balance(item) + balance[item] })
}

// TestKillAfterBatch: the moment after the last of many transfers was
// acknowledged, every process is killed. Every one of them must be there again.
func TestKillAfterBatch(t *testing.T) {
	b := start(t, topology.Default(), nil)
	s := b.session(b.connect())
	began := time.Now()
	var last atomic.Int64 // when the latest acknowledgement came
	results := b.carryOut(s, b.ctx, func(int64) { last.Store(int64(time.Since(began))) })
	b.kill(b.all()...)
	killed := time.Since(began)
	for i, r := range results {
		if r == nil || r.Outcome != session.Committed {
			t.Fatalf("transfer %d: %+v", i, r)
		}
	}
	took := time.Duration(last.Load())
	t.Logf("%d transfers acknowledged in %v; all nodes gone %v later", batch, took.Round(time.Millisecond), (killed - took).Round(time.Millisecond))
	b.restart(b.all()...)
	b.batchHolds(results)
}

// TestKillInBatch kills every process while thousands of transfers are under
// way: some acknowledged that very moment, some on one disk only, some sent
// again after the restart. What was acknowledged is there, and what was not is
// settled one way or the other, once.
func TestKillInBatch(t *testing.T) {
	b := start(t, topology.Default(), nil)
	s := b.session(b.connect())
	stop, enough := context.WithCancel(b.ctx)
	defer enough()
	reached := make(chan struct{})
	done := make(chan []*session.Result, 1)
	go func() {
		done <- b.carryOut(s, stop, func(n int64) {
			if n == killAt {
				close(reached)
			}
		})
	}()
	select {
	case <-reached:
	case <-time.After(settleBound):
		t.Errorf("%d transfers are not acknowledged after %v", killAt, settleBound)
	}
	b.kill(b.all()...)
	enough()
	b.restart(b.all()...)
	results := <-done
	count := map[session.Outcome]int{}
	again, resolved := 0, 0
	for i, r := range results {
		if r == nil {
			continue
		}
		if r.Attempts > 1 {
			again++
		}
		if r.Outcome == session.Unknown {
			resolved++
			from, _ := pair(b.topo, int64(i))
			*r = s.Resolve(b.ctx, session.Request{Client: r.Client, Timestamp: r.Timestamp, Epoch: r.Epoch, From: from}, batchDeadline)
		}
		count[r.Outcome]++
		switch r.Outcome {
		case session.Committed, session.Aborted, session.Unavailable:
		default:
			t.Errorf("transfer %d: %+v", i, r)
		}
	}
	t.Logf("outcomes %v, %d sent more than once, %d resolved", count, again, resolved)
	if again == 0 {
		t.Error("nothing was under way when the nodes were killed: this test shows nothing")
	}
	b.batchHolds(results)
}
