package paxos

import (
	"testing"

	"paxbank/server/ids"
)

// fuzzRecords makes records of bytes: six numbers, then as many bytes of data as
// the next number says. Small numbers suffice; what is wanted is their disorder.
func fuzzRecords(b []byte) (records []Record) {
	for len(b) >= 7 {
		n := min(int(b[6]), len(b)-7)
		records = append(records, Record{
			Kind: RecordKind(b[0] & 0x7f), NewView: b[0]&0x80 != 0, Ballot: ids.Ballot{Counter: uint64(b[1] >> 3), Node: ids.Node(b[1] & 7)},
			First: uint64(b[2]), Last: uint64(b[3]), ViewFirst: uint64(b[4]), Commit: uint64(b[5]), Data: b[7 : 7+n],
		})
		b = b[7+n:]
	}
	return records
}

func fuzzBytes(records ...Record) (b []byte) {
	for _, r := range records {
		kind := byte(r.Kind)
		if r.NewView {
			kind |= 0x80
		}
		b = append(b, kind, byte(r.Ballot.Counter)<<3|byte(r.Ballot.Node), byte(r.First), byte(r.Last), byte(r.ViewFirst), byte(r.Commit), byte(len(r.Data)))
		b = append(b, r.Data...)
	}
	return b
}

// Whatever stands on a disk, a node that starts from it either says what is
// damaged or holds an unbroken run of entries from its checkpoint to its commit
// index, and its promise is below nothing that it accepted.
func FuzzReplay(f *testing.F) {
	app := func(s string) Entry { return Entry{Kind: KindApp, Origin: b1, Data: []byte(s)} }
	view := AppendEntries(nil, []Entry{app("a"), {Kind: KindView, Origin: b2}})
	f.Add(fuzzBytes(
		Record{Kind: RecordPromise, Ballot: b1},
		Record{Kind: RecordFrame, Ballot: b1, First: 1, Last: 2, ViewFirst: 1, Data: AppendEntries(nil, []Entry{app("a"), app("b")})},
		Record{Kind: RecordCommit, Ballot: b1, Commit: 2},
		Record{Kind: RecordFrame, Ballot: b2, First: 2, Last: 3, ViewFirst: 2, NewView: true, Data: view}))
	f.Add(fuzzBytes(
		Record{Kind: RecordCheckpoint, Ballot: b1, Commit: 5, Data: []byte("state")},
		Record{Kind: RecordFrame, Ballot: b1, First: 6, Last: 6, ViewFirst: 6, Data: AppendEntries(nil, []Entry{app("c")})},
		Record{Kind: RecordCommit, Ballot: b1, Commit: 6}))
	f.Add(fuzzBytes(
		Record{Kind: RecordFrame, Ballot: b1, First: 9, Last: 9, ViewFirst: 9, Data: AppendEntries(nil, []Entry{app("gap")})},
		Record{Kind: RecordCommit, Commit: 9}))
	f.Add(fuzzBytes(Record{Kind: 99}))
	f.Fuzz(func(t *testing.T, b []byte) {
		records := fuzzRecords(b)
		st, err := Replay(records)
		if err != nil {
			return
		}
		if st.Commit < st.CheckpointIndex {
			t.Fatalf("commit index %d below the checkpoint %d", st.Commit, st.CheckpointIndex)
		}
		next := st.CheckpointIndex + 1
		for i := range st.Entries {
			e := &st.Entries[i]
			if e.Index < next || e.Index <= st.Commit && e.Index != next {
				t.Fatalf("entry %d stands where %d is due (commit index %d)", e.Index, next, st.Commit)
			}
			if st.Promised.Less(e.Ballot) {
				t.Fatalf("entry %d was accepted at %s, above the promise %s", e.Index, e.Ballot, st.Promised)
			}
			next = e.Index + 1
		}
		if st.Commit >= next {
			t.Fatalf("entries end before %d; everything up to %d is committed", next, st.Commit)
		}
	})
}
