package bench

import "testing"

// TestRing: timestamps are consecutive, the floor moves with the oldest open
// one, and entries survive the ring's growth.
func TestRing(t *testing.T) {
	r := ring{client: 1, next: 1, low: 1}
	for i := range int64(100) {
		timestamp, e := r.open(&op{from: i})
		if timestamp != uint64(i+1) || e.from != i || e.state != entryWaiting {
			t.Fatalf("opened %d as %d: %+v", i, timestamp, *e)
		}
	}
	for _, step := range []struct{ close, low uint64 }{{2, 1}, {3, 1}, {1, 4}, {5, 4}, {4, 6}} {
		if r.close(r.at(step.close)); r.low != step.low {
			t.Errorf("after closing %d: low is %d, want %d", step.close, r.low, step.low)
		}
	}
	for timestamp := r.low; timestamp < r.next; timestamp++ {
		if e := r.at(timestamp); e.from != int64(timestamp-1) {
			t.Errorf("timestamp %d holds transfer %d", timestamp, e.from)
		}
	}
	if r.holds(5) || !r.holds(6) || !r.holds(100) || r.holds(101) {
		t.Error("holds timestamps outside of [6, 101), or not those inside")
	}
	for !r.full() {
		r.open(&op{})
	}
	if n := r.next - r.low; n != ringSize || len(r.entries) != ringSize {
		t.Errorf("full with %d open in %d entries, want %d", n, len(r.entries), ringSize)
	}
	for r.low < r.next {
		r.close(r.at(r.low))
	}
	if r.full() {
		t.Error("full with nothing open")
	}
}
