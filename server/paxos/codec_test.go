package paxos

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"paxbank/server/ids"
)

func containsFold(s, part string) bool {
	return strings.Contains(strings.ToLower(s), strings.ToLower(part))
}

func drawBallot(t *rapid.T, name string) ids.Ballot {
	return ids.Ballot{Counter: rapid.Uint64Max(3).Draw(t, name), Node: ids.Node(rapid.Uint16Max(2).Draw(t, name))}
}

func TestEntriesSurviveTheirEncoding(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		first := rapid.Uint64Range(1, 1<<60).Draw(t, "first")
		ballot := drawBallot(t, "ballot")
		var frame, accepted []Entry
		index := first
		for i := range rapid.IntRange(0, 20).Draw(t, "count") {
			e := Entry{
				Index: first + uint64(i), Ballot: ballot, Origin: drawBallot(t, "origin"),
				Kind: Kind(rapid.IntRange(1, 3).Draw(t, "kind")), Data: rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "data"),
			}
			frame = append(frame, e)
			e.Index, e.Ballot = index, drawBallot(t, "accepted at")
			index += rapid.Uint64Range(1, 1000).Draw(t, "step")
			accepted = append(accepted, e)
		}
		got, err := DecodeEntries(first, ballot, AppendEntries(nil, frame))
		if diff := cmp.Diff(frame, got, cmpopts.EquateEmpty()); diff != "" || err != nil {
			t.Fatal(err, diff)
		}
		got, err = DecodeAccepted(AppendAccepted(nil, accepted))
		if diff := cmp.Diff(accepted, got, cmpopts.EquateEmpty()); diff != "" || err != nil {
			t.Fatal(err, diff)
		}
	})
}

func fuzzSeeds(f *testing.F) {
	list := []Entry{
		{Index: 7, Ballot: b1, Origin: b1, Kind: KindApp, Data: []byte("abc")},
		{Index: 8, Ballot: b1, Origin: b1, Kind: KindNoop},
		{Index: 11, Ballot: b2, Origin: b1, Kind: KindApp, Data: make([]byte, 200)},
		{Index: 12, Ballot: b2, Origin: b2, Kind: KindView},
	}
	f.Add(AppendEntries(nil, list))
	f.Add(AppendAccepted(nil, list))
	f.Add([]byte{})
	f.Add([]byte{255, 255, 255, 255, 255, 255, 255, 255, 255, 1})
	f.Add([]byte{1, 1, 1, 1, 255, 255, 255, 255, 15})
}

// Whatever decodes must be what its encoding says, and no more memory may be
// taken than the bytes are worth.
func FuzzDecodeEntries(f *testing.F) {
	fuzzSeeds(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := DecodeEntries(5, b1, b)
		if err != nil {
			return
		}
		if len(list) > len(b)/2 {
			t.Fatalf("%d entries from %d bytes", len(list), len(b))
		}
		again, err := DecodeEntries(5, b1, AppendEntries(nil, list))
		if diff := cmp.Diff(list, again, cmpopts.EquateEmpty()); diff != "" || err != nil {
			t.Fatal(err, diff)
		}
	})
}

func FuzzDecodeAccepted(f *testing.F) {
	fuzzSeeds(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := DecodeAccepted(b)
		if err != nil {
			return
		}
		if len(list) > len(b)/3 {
			t.Fatalf("%d entries from %d bytes", len(list), len(b))
		}
		again, err := DecodeAccepted(AppendAccepted(nil, list))
		if diff := cmp.Diff(list, again, cmpopts.EquateEmpty()); diff != "" || err != nil {
			t.Fatal(err, diff)
		}
	})
}
