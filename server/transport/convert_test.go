package transport

import (
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
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

func TestRoundTrip(t *testing.T) {
	seen := map[reflect.Type]bool{}
	for _, m := range append(messages, &paxos.PreVoteReply{Ballot: b1}) { // promised nothing yet
		p, err := ToProto(m)
		if err != nil {
			t.Fatal(err)
		}
		seen[reflect.TypeOf(p.GetMessage())] = true
		data, err := proto.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		var back pb.PeerMessage
		if err := proto.Unmarshal(data, &back); err != nil {
			t.Fatal(err)
		}
		got, err := FromProto(&back)
		if err != nil {
			t.Errorf("%T: %v", m, err)
			continue
		}
		if d := cmp.Diff(m, got); d != "" {
			t.Errorf("%T: -want +got\n%s", m, d)
		}
	}
	// Every kind of message of the wire is in the table, with no field left out.
	kinds := (&pb.PeerMessage{}).ProtoReflect().Descriptor().Oneofs().Get(0).Fields().Len()
	if len(seen) != kinds {
		t.Errorf("the table has %d kinds of message, the wire %d", len(seen), kinds)
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

func TestMalformed(t *testing.T) {
	good := &pb.Ballot{Counter: 1, Node: 1}
	goodTxn := &pb.TxnID{ClientId: 1, Timestamp: 1, Ballot: good}
	for name, p := range map[string]*pb.PeerMessage{
		"nil":             nil,
		"nothing":         {},
		"no ballot":       {Message: &pb.PeerMessage_PreVote{PreVote: &pb.PreVote{}}},
		"nil message":     {Message: &pb.PeerMessage_Accept{}},
		"no node":         {Message: &pb.PeerMessage_Commit{Commit: &pb.Commit{Ballot: &pb.Ballot{Counter: 1}}}},
		"large node":      {Message: &pb.PeerMessage_Fetch{Fetch: &pb.Fetch{Ballot: &pb.Ballot{Counter: 1, Node: 65536}}}},
		"no transaction":  {Message: &pb.PeerMessage_TwoPcCommitRequest{TwoPcCommitRequest: &pb.TwoPCCommitRequest{Seq: 1}}},
		"unknown reason":  {Message: &pb.PeerMessage_TwoPcAbortRequest{TwoPcAbortRequest: &pb.TwoPCAbortRequest{TxnId: goodTxn, Reason: 99}}},
		"negative reason": {Message: &pb.PeerMessage_TwoPcAbortRequest{TwoPcAbortRequest: &pb.TwoPCAbortRequest{TxnId: goodTxn, Reason: -1}}},
		"unknown answer":  {Message: &pb.PeerMessage_TwoPcInquiryReply{TwoPcInquiryReply: &pb.TwoPCInquiryReply{TxnId: goodTxn, Answer: 5}}},
		"large cluster":   {Message: &pb.PeerMessage_LeaderAnnouncement{LeaderAnnouncement: &pb.LeaderAnnouncement{Ballot: good, Cluster: 1 << 16}}},
	} {
		if m, err := FromProto(p); err == nil {
			t.Errorf("%s: taken as %+v", name, m)
		}
	}
	if _, err := ToProto("hello"); err == nil {
		t.Error("a string has a wire form")
	}
}

func FuzzFromProto(f *testing.F) {
	for _, m := range messages {
		p, err := ToProto(m)
		if err != nil {
			f.Fatal(err)
		}
		data, _ := proto.Marshal(p)
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var p pb.PeerMessage
		if proto.Unmarshal(data, &p) != nil {
			return
		}
		m, err := FromProto(&p) // must not panic
		if err != nil {
			return
		}
		q, err := ToProto(m)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := FromProto(q); err != nil || !cmp.Equal(m, again, cmp.Comparer(sameBytes)) {
			t.Fatalf("%+v becomes %+v, %v", m, again, err)
		}
	})
}

func sameBytes(a, b []byte) bool { return string(a) == string(b) }
