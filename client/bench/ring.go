package bench

// The states of an entry.
const (
	entryDone    uint8 = iota // has its final outcome, or is not in use
	entryWaiting              // is to be sent (again)
	entrySent                 // is with a node
	entryUnknown              // was given up without an outcome, and is to be settled
)

// entry is one transfer that a client began in one cluster.
type entry struct {
	op
	first, sent int64 // when it was first and last sent
	stream      int32 // number of the stream that it was last sent on
	state       uint8
	// unclear: some send of it may have been taken without an answer, so nothing
	// but an outcome of the log is believed any more.
	unclear bool
}

// ringSize is how many transfers of one client in one cluster may lie between
// the oldest that lacks an outcome and the newest. A client that gets that far
// ahead waits for the oldest. A power of two.
const ringSize = 4096

// ring is what one logical client has under way in one cluster, under an
// identity of its own. Its timestamps are consecutive, so that an answer is found
// by index, done_below moves with the oldest open one, and nodes forget outcomes
// one by one.
type ring struct {
	client    uint64 // client_id
	next, low uint64 // next timestamp; lowest without an outcome
	entries   []entry
}

// at is the entry of a timestamp. REQUIRES: it lies in [low, next).
func (r *ring) at(timestamp uint64) *entry { return &r.entries[timestamp&uint64(len(r.entries)-1)] }

// holds reports whether a timestamp is between the oldest open one and the next.
func (r *ring) holds(timestamp uint64) bool { return r.low <= timestamp && timestamp < r.next }

func (r *ring) full() bool { return r.next-r.low == ringSize }

// open begins a transfer. REQUIRES: the ring is not full.
func (r *ring) open(o *op) (timestamp uint64, e *entry) {
	// Rings grow with what their client has under way: there are many of them.
	if n := uint64(len(r.entries)); r.next-r.low == n {
		grown := make([]entry, max(2*n, 16))
		for t := r.low; t < r.next; t++ {
			grown[t&uint64(len(grown)-1)] = *r.at(t)
		}
		r.entries = grown
	}
	timestamp = r.next
	r.next++
	e = r.at(timestamp)
	*e = entry{op: *o, state: entryWaiting}
	return timestamp, e
}

// close ends a transfer and moves the floor.
func (r *ring) close(e *entry) {
	e.state = entryDone
	for r.low < r.next && r.at(r.low).state == entryDone {
		r.low++
	}
}
