package replica

import (
	"container/heap"
	"slices"

	"paxbank/server/ids"
)

// firer is told when its timer is due.
type firer interface {
	fire(r *Replica)
}

// fireFunc is a function that is a firer.
type fireFunc func(r *Replica)

func (f fireFunc) fire(r *Replica) { f(r) }

// timer fires once each time it is set, unless it is stopped or set anew before.
// It lives in what it belongs to: every cross-shard transfer needs half a dozen.
type timer struct {
	number uint64 // of the alarm that is in force; 0: none
}

func (t *timer) stop() { t.number = 0 }

func (t *timer) armed() bool { return t.number != 0 }

// alarm is one setting of a timer.
type alarm struct {
	at     ids.Time
	number uint64 // breaks ties in order of creation
	timer  *timer
	owner  firer
}

func (a *alarm) void() bool { return a.timer.number != a.number }

// timers holds the alarms in a heap, those that are void included.
type timers struct {
	heap   alarms
	number uint64
	sweep  int // the void ones are thrown out when so many are held
}

// minSweep is the least number of alarms that are worth a sweep.
const minSweep = 1024

type alarms []alarm

func (h alarms) Len() int { return len(h) }
func (h alarms) Less(i, j int) bool {
	a, b := &h[i], &h[j]
	return a.at < b.at || a.at == b.at && a.number < b.number
}
func (h alarms) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

// Push and Pop, which would box an alarm, are not used.
func (h alarms) Push(any) { panic("not used") }
func (h alarms) Pop() any { panic("not used") }

// set arranges that owner is told at the given time, instead of when t was set to
// before.
func (t *timers) set(tm *timer, when ids.Time, owner firer) {
	if len(t.heap) >= max(t.sweep, minSweep) {
		// Most timers are stopped long before they are due (a read's is its
		// deadline), and would otherwise be kept until then.
		t.heap = slices.DeleteFunc(t.heap, func(a alarm) bool { return a.void() })
		heap.Init(&t.heap)
		t.sweep = 2 * len(t.heap)
	}
	t.number++
	tm.number = t.number
	t.heap = append(t.heap, alarm{at: when, number: t.number, timer: tm, owner: owner})
	heap.Fix(&t.heap, len(t.heap)-1)
}

// drop removes the first alarm.
func (t *timers) drop() {
	last := len(t.heap) - 1
	t.heap[0], t.heap[last] = t.heap[last], alarm{}
	if t.heap = t.heap[:last]; last > 0 {
		heap.Fix(&t.heap, 0)
	}
}

// run fires what is due.
func (t *timers) run(r *Replica, now ids.Time) {
	for len(t.heap) > 0 {
		a := t.heap[0]
		void := a.void()
		if !void && a.at > now {
			return
		}
		t.drop()
		if !void {
			a.timer.stop()
			a.owner.fire(r)
		}
	}
}

// next returns when run wants to be called, 0 for never.
func (t *timers) next() ids.Time {
	for len(t.heap) > 0 {
		if a := &t.heap[0]; !a.void() {
			return a.at
		}
		t.drop()
	}
	return 0
}
