package paxos

import (
	"bytes"

	"paxbank/server/ids"
)

// entryLog is the part of the log above the last checkpoint, by index. A slot
// whose Kind is 0 is a hole; the last slot never is one.
type entryLog struct {
	base uint64 // index of slots[0]
	slot []Entry
}

// end is the highest index held, base-1 when nothing is.
func (l *entryLog) end() uint64 { return l.base + uint64(len(l.slot)) - 1 }

// at returns the entry at an index, nil where none is held. The pointer is
// valid until the log changes.
func (l *entryLog) at(index uint64) *Entry {
	if index < l.base || index > l.end() {
		return nil
	}
	if e := &l.slot[index-l.base]; e.Kind != 0 {
		return e
	}
	return nil
}

// put stores an entry, replacing what was there. REQUIRES: e.Index >= base and
// not further above the end than a hole may reach.
func (l *entryLog) put(e Entry) {
	for e.Index > l.end()+1 {
		l.slot = append(l.slot, Entry{})
	}
	if e.Index == l.end()+1 {
		l.slot = append(l.slot, e)
		return
	}
	l.slot[e.Index-l.base] = e
}

// slice returns the slots first..last, holes included, aliasing the log.
// REQUIRES: base <= first and last <= end.
func (l *entryLog) slice(first, last uint64) []Entry {
	if last < first {
		return nil
	}
	return l.slot[first-l.base : last-l.base+1]
}

// held returns copies of the entries from an index on, without the holes.
func (l *entryLog) held(from uint64) []Entry {
	from = max(from, l.base)
	if from > l.end() {
		return nil
	}
	part := l.slot[from-l.base:]
	list := make([]Entry, 0, len(part))
	for i := range part {
		if part[i].Kind != 0 {
			list = append(list, part[i])
		}
	}
	return list
}

// truncate drops everything above an index.
func (l *entryLog) truncate(last uint64) {
	if last >= l.end() {
		return
	}
	keep := 0
	if last >= l.base {
		keep = int(last - l.base + 1)
	}
	for keep > 0 && l.slot[keep-1].Kind == 0 {
		keep--
	}
	clear(l.slot[keep:])
	l.slot = l.slot[:keep]
}

// dropStale drops the entries above an index that were accepted below a ballot.
func (l *entryLog) dropStale(above uint64, b ids.Ballot) {
	if above >= l.end() {
		return
	}
	for i := max(above+1, l.base); i <= l.end(); i++ {
		if e := &l.slot[i-l.base]; e.Kind != 0 && e.Ballot.Less(b) {
			*e = Entry{}
		}
	}
	keep := len(l.slot)
	for keep > 0 && l.slot[keep-1].Kind == 0 {
		keep--
	}
	l.slot = l.slot[:keep]
}

// compact drops everything up to an index. What is left moves to the front of
// the same memory: until the next checkpoint the log grows to the same size again,
// and growing a fresh slice by doubling costs a loaded leader a sixth of its time.
// Only room beyond keptSlots is given back.
func (l *entryLog) compact(index uint64) {
	if index < l.base {
		return
	}
	var rest []Entry
	if index < l.end() {
		rest = l.slot[index-l.base+1:]
	}
	l.base = index + 1
	if cap(l.slot) > max(keptSlots, 2*len(rest)) {
		l.slot = append(make([]Entry, 0, len(rest)), rest...)
		return
	}
	kept := copy(l.slot, rest)
	clear(l.slot[kept:]) // lets go of their data
	l.slot = l.slot[:kept]
}

// sameValue reports whether two entries are the same choice for an index; the
// ballots at which they were accepted do not matter.
func sameValue(a, b *Entry) bool {
	return a.Kind == b.Kind && a.Origin == b.Origin && bytes.Equal(a.Data, b.Data)
}
