package paxos

import "testing"

func benchEntries() []Entry {
	list := make([]Entry, 512)
	for i := range list {
		list[i] = Entry{Index: uint64(i + 1), Ballot: b1, Origin: b1, Kind: KindApp, Data: make([]byte, 80)}
	}
	return list
}

// BenchmarkAppendEntries is what the leader does once for a frame of 512 entries,
// whoever it goes to; divide by 512 for the cost of an entry.
func BenchmarkAppendEntries(b *testing.B) {
	list := benchEntries()
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = AppendEntries(buf[:0], list)
	}
	b.SetBytes(int64(len(buf)))
}

// BenchmarkDecodeEntries is what each follower does with that frame.
func BenchmarkDecodeEntries(b *testing.B) {
	frame := AppendEntries(nil, benchEntries())
	b.SetBytes(int64(len(frame)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DecodeEntries(1, b1, frame); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkLog is what the log costs between two checkpoints, at the end of which
// a few entries are still in flight: 50,000 entries put one by one.
func BenchmarkLog(b *testing.B) {
	l := entryLog{base: 1}
	b.ReportAllocs()
	for b.Loop() {
		for range 50_000 {
			l.put(Entry{Index: l.end() + 1, Ballot: b1, Origin: b1, Kind: KindApp})
		}
		l.compact(l.end() - 500)
	}
}
