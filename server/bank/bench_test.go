package bank

import "testing"

// BenchmarkApply is the cost of one intra-shard transfer on one replica once its
// entry is chosen: decode, apply, remember the outcome. It must not allocate for
// the entry; the session's map grows now and then.
func BenchmarkApply(b *testing.B) {
	s := New([]Range{{1, 3000}}, func(int64) int64 { return 1 << 40 })
	e := intra(1, 1, 2, 1)
	var buf []byte
	var d Entry
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		e.Txn.Timestamp = uint64(i + 1)
		e.DoneBelow = uint64(max(i-1000, 0))
		e.Transfer.From, e.Transfer.To = int64(i%1500+1), int64(i%1500+1501)
		buf = e.Append(buf[:0])
		if err := d.Decode(uint64(i+1), ballot1, buf); err != nil {
			b.Fatal(err)
		}
		if got := s.Apply(&d); got != EffectApplied {
			b.Fatalf("%s: %s", &d, got)
		}
	}
}

// BenchmarkCheckpoint is what a node does every Limits.CheckpointEvery entries,
// with a busy client's outcomes in its sessions.
func BenchmarkCheckpoint(b *testing.B) {
	s := New([]Range{{1, 3000}}, func(int64) int64 { return 1 << 40 })
	for i := range 20_000 {
		e := intra(uint64(i+1), int64(i%1500+1), int64(i%1500+1501), 1)
		e.Index, e.Origin = uint64(i+1), ballot1
		s.Apply(&e)
	}
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = s.AppendCheckpoint(buf[:0])
	}
	b.SetBytes(int64(len(buf)))
}
