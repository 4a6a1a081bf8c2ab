package paxos

import (
	"fmt"
	"testing"
)

func numbered(index uint64) Entry {
	return Entry{Index: index, Ballot: b1, Origin: b1, Kind: KindApp, Data: fmt.Append(nil, index)}
}

// TestCompactKeepsTheRest: whatever is dropped, the rest stays where it was, holes
// included, and what is put behind it is not mixed up with what stood there.
func TestCompactKeepsTheRest(t *testing.T) {
	for _, index := range []uint64{0, 1, 5, 6, 9, 10, 11, 30} {
		l := entryLog{base: 1}
		for i := uint64(1); i <= 10; i++ {
			if i != 6 {
				l.put(numbered(i))
			}
		}
		l.compact(index)
		if want := max(index, 10); l.base != index+1 || l.end() != want {
			t.Errorf("compacted at %d: the log is %d to %d, want it to end at %d", index, l.base, l.end(), want)
		}
		for range 3 { // each with a hole before it
			l.put(numbered(l.end() + 2))
		}
		for i := uint64(0); i <= l.end(); i++ {
			held := i > index && i != 6 && (i <= 10 || (i-max(index, 10))%2 == 0)
			if e := l.at(i); (e != nil) != held || held && (e.Index != i || string(e.Data) != fmt.Sprint(i)) {
				t.Errorf("compacted at %d: holds %v at %d, want an entry: %v", index, e, i, held)
			}
		}
	}
}

// TestCompactKeepsItsMemory: as long as that is not too much.
func TestCompactKeepsItsMemory(t *testing.T) {
	l := entryLog{base: 1}
	fill := func(n uint64) {
		for range n {
			l.put(numbered(l.end() + 1))
		}
	}
	fill(1000)
	room := cap(l.slot)
	l.compact(l.end() - 10)
	if cap(l.slot) != room {
		t.Errorf("room for %d entries became room for %d", room, cap(l.slot))
	}
	for i, e := range l.slot[len(l.slot):room] {
		if e.Data != nil {
			t.Fatalf("the data of a dropped entry is still held, %d above the end", i)
		}
	}
	fill(2 * keptSlots)
	l.compact(l.end() - 10)
	if cap(l.slot) > keptSlots {
		t.Errorf("a log of %d entries keeps room for %d, want at most %d", len(l.slot), cap(l.slot), keptSlots)
	}
	if l.slot[9].Index != l.end() || l.slot[0].Index != l.base {
		t.Errorf("%d to %d stand where %d to %d belong", l.slot[0].Index, l.slot[9].Index, l.base, l.end())
	}
}
