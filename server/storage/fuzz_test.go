package storage

import (
	"bytes"
	"hash/crc32"
	"testing"

	"paxbank/server/ids"
	"paxbank/server/paxos"
)

// record is a record as setRecord writes it.
func record(f *testing.F, at position, r paxos.Record) []byte {
	s, err := Open(f.TempDir(), Options{})
	if err != nil {
		f.Fatal(err)
	}
	defer s.Close()
	b := s.db.NewBatch()
	defer b.Close()
	if err := setRecord(b, at, &r); err != nil {
		f.Fatal(err)
	}
	reader := b.Reader()
	_, _, value, _, err := reader.Next()
	if err != nil {
		f.Fatal(err)
	}
	return bytes.Clone(value)
}

// FuzzDecodeRecord gives every input the checksum that it lacks, so that what
// lies behind the checksum is reached too. A record that is taken must say that
// it belongs under the key where it was found, and the search of a write-ahead
// log must find the write it belongs to.
func FuzzDecodeRecord(f *testing.F) {
	ballot := ids.Ballot{Counter: 3, Node: 2}
	for _, r := range []paxos.Record{
		{Kind: paxos.RecordPromise, Ballot: ballot},
		{Kind: paxos.RecordFrame, Ballot: ballot, First: 7, Last: 8, ViewFirst: 5, NewView: true, Commit: 6, Data: []byte("entries")},
		{Kind: paxos.RecordCommit, Ballot: ballot, Commit: 8},
		{Kind: paxos.RecordCheckpoint, Ballot: ballot, Commit: 8, Data: []byte("state")},
	} {
		f.Add(record(f, position{write: 4, seq: 9}, r))
	}
	f.Add(make([]byte, headerSize))
	f.Add([]byte("short"))
	keys := [][]byte{keyPromise, keyCommit, keyCheckpoint, frameKey(0), frameKey(9)}
	f.Fuzz(func(t *testing.T, data []byte) {
		_ = lastWriteIn(data) // raw bytes of a file: must not panic
		v := bytes.Clone(data)
		if len(v) >= headerSize {
			order.PutUint32(v[4:], magic)
			order.PutUint32(v[8:], uint32(len(v)-headerSize))
			order.PutUint32(v, crc32.Checksum(v[4:], castagnoli))
		}
		taken := 0
		for _, key := range keys {
			at, r, err := decodeRecord(key, v)
			if err != nil {
				continue
			}
			taken++
			if want, err := recordKey(at.seq, r.Kind); err != nil || !bytes.Equal(want, key) {
				t.Fatalf("record %d of kind %d was taken under %q", at.seq, r.Kind, key)
			}
			if found := lastWriteIn(v); found < at.write {
				t.Fatalf("the record of write %d is there; the last write found is %d", at.write, found)
			}
		}
		if taken > 1 {
			t.Fatalf("one record was taken under %d keys", taken)
		}
	})
}
