package bench

import (
	"context"
	"sync"
	"time"

	pb "paxbank/proto/paxbank/v1"
)

// usage is what nodes and driver have used up to a moment.
type usage struct {
	at        time.Time
	completed int64 // committed operations of the engine
	// driver and nodes: CPU time; hasCPU is false where the system does not tell.
	driver, nodes time.Duration
	hasCPU        bool
	// syncs and lock holds of all nodes; hasCounters is false when a node does not
	// offer its counters.
	syncs       uint64
	locks       map[uint64]uint64 // count by upper end of the bucket
	longestLock uint64
	hasCounters bool
	// elections that nodes have won; hasElections is false when one did not tell.
	elections    uint64
	hasElections bool
}

// measureUsage asks the system for the CPU time of processes, and the nodes for
// their counters.
func (e *engine) measureUsage(ctx context.Context, pids []int) usage {
	u := usage{completed: e.completed.Load(), locks: map[uint64]uint64{}, hasCounters: true, hasElections: true}
	replies := make([]*pb.PerformanceReply, len(e.bank.nodes))
	states := make([]*pb.StatusReply, len(e.bank.nodes))
	var wg sync.WaitGroup
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	for i, p := range e.bank.nodes {
		wg.Go(func() {
			if r, err := pb.NewInspectClient(p.connection()).Performance(ctx, &pb.PerformanceRequest{}); err == nil {
				replies[i] = r
			}
			if r, err := pb.NewControlClient(p.connection()).Status(ctx, &pb.StatusRequest{}); err == nil {
				states[i] = r
			}
		})
	}
	u.at = time.Now()
	u.driver, u.hasCPU = processCPU(0)
	for _, pid := range pids {
		t, ok := processCPU(pid)
		u.nodes += t
		u.hasCPU = u.hasCPU && ok
	}
	wg.Wait()
	for _, r := range states {
		u.elections += r.GetElections()
		u.hasElections = u.hasElections && r != nil
	}
	for _, r := range replies {
		if r == nil {
			u.hasCounters = false
			continue
		}
		u.syncs += r.GetDiskSyncs()
		for _, b := range r.GetLockHold().GetBuckets() {
			u.locks[b.GetUpperUs()] += b.GetCount()
		}
		u.longestLock = max(u.longestLock, r.GetLockHold().GetMaxUs())
	}
	return u
}

// leastCPU is the CPU time below which it says nothing: the system counts in
// hundredths of a second.
const leastCPU = 500 * time.Millisecond

// enterUsage fills in what was used between two moments. whole: no process ended
// in between and took its counts with it.
func (r *Run) enterUsage(before, after *usage, whole bool) {
	commits := float64(after.completed - before.completed)
	driver, nodes := after.driver-before.driver, after.nodes-before.nodes
	if before.hasCPU && after.hasCPU && whole && commits > 0 && driver+nodes >= leastCPU {
		all := float64((driver + nodes).Microseconds()) / commits
		own := float64(driver.Microseconds()) / commits
		r.CPUMicrosPerCommit, r.DriverCPUMicrosPerCommit = &all, &own
	}
	// Nodes that serve have won some, so that 0 says that elections are not counted.
	if before.hasElections && after.hasElections && whole && before.elections > 0 {
		n := after.elections - min(before.elections, after.elections)
		r.Elections = &n
	}
	if !before.hasCounters || !after.hasCounters || !whole {
		return
	}
	// Every node has synced something before it serves, so that 0 says that syncs
	// are not counted.
	if seconds := after.at.Sub(before.at).Seconds(); after.syncs > 0 && after.syncs >= before.syncs && seconds > 0 {
		rate := float64(after.syncs-before.syncs) / seconds
		r.FsyncsPerS = &rate
	}
	r.LockHoldMicros = lockHold(before, after)
}

// lockHold is the percentiles of the locks that were released in between.
func lockHold(before, after *usage) *Percentiles {
	held := newRecorder(0).latency[0]
	for upper, n := range after.locks {
		if n -= min(n, before.locks[upper]); n > 0 {
			_ = held.RecordValues(min(max(int64(upper), 1), maxLatency), int64(n)) // in range
		}
	}
	p := percentiles(held)
	if p != nil {
		// Buckets are wide; no lock was held longer than the longest.
		p.Max = min(p.Max, float64(after.longestLock))
		for _, f := range p.fields() {
			if *f.value != nil {
				**f.value = min(**f.value, p.Max)
			}
		}
	}
	return p
}
