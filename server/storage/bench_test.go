package storage

import (
	"fmt"
	"testing"

	"paxbank/server/ids"
	"paxbank/server/paxos"
)

// BenchmarkWrite is one synced write of one frame, on the real file system. What
// does not grow with the frame is the fsync that its entries share.
func BenchmarkWrite(b *testing.B) {
	for _, entries := range []int{1, 64, 1024} {
		b.Run(fmt.Sprintf("entries=%d", entries), func(b *testing.B) {
			s, err := Open(b.TempDir(), Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			if err := s.Configure(identity); err != nil {
				b.Fatal(err)
			}
			data := make([]byte, entries*80)
			b.SetBytes(int64(len(data)))
			first := uint64(1)
			for b.Loop() {
				last := first + uint64(entries) - 1
				if err := s.Write([]paxos.Record{{Kind: paxos.RecordFrame, Ballot: ids.Ballot{Counter: 1, Node: 1},
					First: first, Last: last, ViewFirst: 1, Commit: first - 1, Data: data}}); err != nil {
					b.Fatal(err)
				}
				first = last + 1
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(entries), "ns/entry")
		})
	}
}
