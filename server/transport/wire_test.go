package transport

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	pb "paxbank/proto/paxbank/v1"
	"paxbank/server/ids"
	"paxbank/server/paxos"
	"paxbank/server/twopc"
)

var (
	b1    = ids.Ballot{Counter: 1 << 40, Node: 3}
	b2    = ids.Ballot{Counter: 7, Node: 65535}
	bytes = []byte{1, 2, 3, 0, 255}
	id    = ids.Txn{Request: ids.Request{Client: 1 << 63, Timestamp: 9}, Ballot: b1, Number: 4}
)

// messages has every type with every field set: a field that the conversion
// forgets shows as a difference.
var messages = []any{
	&paxos.PreVote{Ballot: b1},
	&paxos.PreVoteReply{Ballot: b1, Granted: true, Promised: b2, Leader: 3},
	&paxos.Prepare{Ballot: b1, FirstIndex: 5},
	&paxos.Promise{Ballot: b1, Accepted: bytes, CommitIndex: 6},
	&paxos.Reject{Ballot: b1, Promised: b2},
	&paxos.Accept{Ballot: b1, NewView: true, FirstIndex: 2, ViewFirst: 3, CommitIndex: 4, Round: 5, Entries: bytes},
	&paxos.Accepted{Ballot: b1, UpTo: 2, CommitIndex: 3, Round: 4, Gap: true},
	&paxos.Commit{Ballot: b1, CommitIndex: 2},
	&paxos.Heartbeat{Ballot: b1, CommitIndex: 2, Round: 3, Sent: 4, ViewFirst: 5},
	&paxos.HeartbeatReply{Ballot: b1, Round: 2, UpTo: 3, CommitIndex: 4, Gap: true},
	&paxos.Fetch{Ballot: b1, FromIndex: 2},
	&paxos.CatchUp{Ballot: b1, FirstIndex: 2, CommitIndex: 3, Entries: bytes},
	&paxos.CheckpointChunk{Ballot: b1, Index: 2, Offset: 3, Total: 4, Data: bytes},
	&twopc.TwoPCPrepareRequest{Txn: id, Transfer: ids.Transfer{From: 1, To: 2, Amount: 3},
		Age: ids.Age{Clock: -4, Cluster: 5, Number: 6}, Remaining: 7, Cluster: 8},
	&twopc.TwoPCPrepareReply{Txn: id, Success: true, Seq: 2, Reason: twopc.ReasonWaiting, Leader: 3}, // the last reason there is
	&twopc.TwoPCCommitRequest{Txn: id, Seq: 2},
	&twopc.TwoPCCommitReply{Txn: id, Success: true, Seq: 2, Leader: 3},
	&twopc.TwoPCAbortRequest{Txn: id, Reason: twopc.ReasonTimeout},
	&twopc.TwoPCAbortReply{Txn: id, Success: true, Leader: 3},
	&twopc.TwoPCInquiryRequest{Txn: id, Seq: 2},
	&twopc.TwoPCInquiryReply{Txn: id, Seq: 2, Answer: twopc.AnswerNotLeader, Leader: 3},
	&twopc.LeaderAnnouncement{Cluster: 2, Ballot: b1},
}

// envelope is what goes over a stream when m is sent.
func envelope(t testing.TB, messages ...any) []byte {
	t.Helper()
	var b []byte
	for _, m := range messages {
		var err error
		if b, err = appendMessage(b, m); err != nil {
			t.Fatal(err)
		}
	}
	return head{topology: 7, epoch: 8, from: 9}.append(b)
}

// read is what the other end makes of an envelope.
func read(t testing.TB, envelope []byte) (messages []any, bad []error) {
	t.Helper()
	h, n, err := readHead(envelope)
	if err != nil || h != (head{7, 8, 9}) {
		t.Fatalf("head %+v, %v", h, err)
	}
	eachMessage(envelope, func(m any, err error) {
		if err != nil {
			bad = append(bad, err)
		} else {
			messages = append(messages, m)
		}
	})
	if n != len(messages)+len(bad) {
		t.Fatalf("the head counts %d messages, there are %d", n, len(messages)+len(bad))
	}
	return messages, bad
}

func TestRoundTrip(t *testing.T) {
	all := append(append([]any{}, messages...), &paxos.PreVoteReply{Ballot: b1}) // promised nothing yet
	got, bad := read(t, envelope(t, all...))
	if len(bad) > 0 {
		t.Fatal(bad)
	}
	if d := cmp.Diff(all, got); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	for _, m := range messages {
		v := reflect.ValueOf(m).Elem()
		for i := range v.NumField() {
			if v.Field(i).IsZero() {
				t.Errorf("%T: the table leaves %s zero", m, v.Type().Field(i).Name)
			}
		}
	}
}

// TestWireIsProtobuf holds every message with every field against what protobuf
// reads in it, and the other way round.
func TestWireIsProtobuf(t *testing.T) {
	golden, err := os.ReadFile(filepath.Join("testdata", "messages.golden"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(golden)), "\n")
	kinds := (&pb.PeerMessage{}).ProtoReflect().Descriptor().Oneofs().Get(0).Fields().Len()
	if len(messages) != kinds || len(lines) != kinds {
		t.Fatalf("the table has %d kinds of message, the golden file %d, the wire %d", len(messages), len(lines), kinds)
	}
	for i, m := range messages {
		var e pb.Envelope
		if err := proto.Unmarshal(envelope(t, m), &e); err != nil {
			t.Fatalf("%T: %v", m, err)
		}
		if e.Topology != 7 || e.Epoch != 8 || e.From != 9 || len(e.Messages) != 1 {
			t.Fatalf("%T: envelope %v", m, &e)
		}
		if got := strings.Join(strings.Fields(protojson.Format(e.Messages[0])), " "); got != lines[i] {
			t.Errorf("%T is read as\n%s\nwant\n%s", m, got, lines[i])
		}
		var p pb.PeerMessage
		if err := protojson.Unmarshal([]byte(lines[i]), &p); err != nil {
			t.Fatal(err)
		}
		data, err := proto.Marshal(&pb.Envelope{Topology: 7, Epoch: 8, From: 9, Messages: []*pb.PeerMessage{&p}})
		if err != nil {
			t.Fatal(err)
		}
		if got, bad := read(t, data); len(bad) > 0 || len(got) != 1 || !cmp.Equal(m, got[0]) {
			t.Errorf("%T: protobuf's bytes are read as %+v, %v", m, got, bad)
		}
	}
}

func TestMalformed(t *testing.T) {
	good := &pb.Ballot{Counter: 1, Node: 1}
	goodTxn := &pb.TxnID{ClientId: 1, Timestamp: 1, Ballot: good}
	for name, p := range map[string]*pb.PeerMessage{
		"nothing":         {},
		"no ballot":       {Message: &pb.PeerMessage_PreVote{PreVote: &pb.PreVote{}}},
		"empty message":   {Message: &pb.PeerMessage_Accept{Accept: &pb.Accept{}}},
		"no node":         {Message: &pb.PeerMessage_Commit{Commit: &pb.Commit{Ballot: &pb.Ballot{Counter: 1}}}},
		"large node":      {Message: &pb.PeerMessage_Fetch{Fetch: &pb.Fetch{Ballot: &pb.Ballot{Counter: 1, Node: 65536}}}},
		"no transaction":  {Message: &pb.PeerMessage_TwoPcCommitRequest{TwoPcCommitRequest: &pb.TwoPCCommitRequest{Seq: 1}}},
		"unknown reason":  {Message: &pb.PeerMessage_TwoPcAbortRequest{TwoPcAbortRequest: &pb.TwoPCAbortRequest{TxnId: goodTxn, Reason: 99}}},
		"negative reason": {Message: &pb.PeerMessage_TwoPcAbortRequest{TwoPcAbortRequest: &pb.TwoPCAbortRequest{TxnId: goodTxn, Reason: -1}}},
		"unknown answer":  {Message: &pb.PeerMessage_TwoPcInquiryReply{TwoPcInquiryReply: &pb.TwoPCInquiryReply{TxnId: goodTxn, Answer: 5}}},
		"large cluster":   {Message: &pb.PeerMessage_LeaderAnnouncement{LeaderAnnouncement: &pb.LeaderAnnouncement{Ballot: good, Cluster: 1 << 16}}},
	} {
		data, err := proto.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		if m, err := readMessage(data); err == nil {
			t.Errorf("%s: taken as %+v", name, m)
		}
	}
	if b, err := appendMessage([]byte{1}, "hello"); err == nil || len(b) != 1 {
		t.Errorf("a string has the wire form %v, %v", b, err)
	}
}

// FuzzReadMessage: any bytes are safe to read, and what is taken is protobuf and
// stays the same when it is sent on.
func FuzzReadMessage(f *testing.F) {
	for _, m := range messages {
		b, err := appendMessage(nil, m)
		if err != nil {
			f.Fatal(err)
		}
		eachMessage(b, func(any, error) {}) // does not panic without a head
		var e field
		if _, err := e.take(b); err != nil {
			f.Fatal(err)
		}
		f.Add(e.body)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := readMessage(data)
		if err != nil {
			return
		}
		again, bad := read(t, envelope(t, m))
		if len(bad) > 0 || len(again) != 1 || !cmp.Equal(m, again[0], cmp.Comparer(sameBytes)) {
			t.Fatalf("%+v becomes %+v, %v", m, again, bad)
		}
	})
}

// FuzzReadHead: any bytes are safe to read as an envelope.
func FuzzReadHead(f *testing.F) {
	f.Add(envelope(f, messages...))
	f.Fuzz(func(t *testing.T, data []byte) {
		_, n, err := readHead(data)
		seen := 0
		eachMessage(data, func(any, error) { seen++ })
		if err == nil && seen != n {
			t.Fatalf("%d messages counted, %d seen", n, seen)
		}
	})
}

func sameBytes(a, b []byte) bool { return string(a) == string(b) }
