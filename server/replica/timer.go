package replica

import (
	"container/heap"
	"slices"

	"paxbank/server/ids"
)

// timer calls fire once, at or after at, unless it was stopped.
type timer struct {
	at      ids.Time
	number  uint64 // breaks ties in order of creation
	fire    func()
	stopped bool
}

func (t *timer) stop() {
	if t != nil {
		t.stopped = true
	}
}

type timers struct {
	heap   []*timer
	number uint64
	sweep  int // the stopped ones are thrown out when so many are held
}

// minSweep is the least number of timers that are worth a sweep.
const minSweep = 1024

func (t *timers) Len() int { return len(t.heap) }
func (t *timers) Less(i, j int) bool {
	a, b := t.heap[i], t.heap[j]
	return a.at < b.at || a.at == b.at && a.number < b.number
}
func (t *timers) Swap(i, j int) { t.heap[i], t.heap[j] = t.heap[j], t.heap[i] }
func (t *timers) Push(x any)    { t.heap = append(t.heap, x.(*timer)) }
func (t *timers) Pop() any {
	last := t.heap[len(t.heap)-1]
	t.heap[len(t.heap)-1] = nil
	t.heap = t.heap[:len(t.heap)-1]
	return last
}

// at arranges that f is called at the given time.
func (t *timers) at(when ids.Time, f func()) *timer {
	if len(t.heap) >= max(t.sweep, minSweep) {
		// Most timers are stopped long before they are due (a read's is its
		// deadline), and would otherwise be kept until then.
		t.heap = slices.DeleteFunc(t.heap, func(tm *timer) bool { return tm.stopped })
		heap.Init(t)
		t.sweep = 2 * len(t.heap)
	}
	t.number++
	tm := &timer{at: when, number: t.number, fire: f}
	heap.Push(t, tm)
	return tm
}

// run fires what is due.
func (t *timers) run(now ids.Time) {
	for len(t.heap) > 0 && (t.heap[0].stopped || t.heap[0].at <= now) {
		if tm := heap.Pop(t).(*timer); !tm.stopped {
			tm.stopped = true
			tm.fire()
		}
	}
}

// next returns when run wants to be called, 0 for never.
func (t *timers) next() ids.Time {
	for len(t.heap) > 0 && t.heap[0].stopped {
		heap.Pop(t)
	}
	if len(t.heap) == 0 {
		return 0
	}
	return t.heap[0].at
}
