package bench

import (
	"math"
	"testing"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"

	"paxbank/internal/grpcopts"
	pb "paxbank/proto/paxbank/v1"
)

func TestRequestsAreThoseOfProtobuf(t *testing.T) {
	requests := []request{
		{epoch: 1, topology: 2, client: 3, timestamp: 4, doneBelow: 4, from: 5, to: 6, amount: 7, deadlineMillis: 8},
		{math.MaxUint64, math.MaxUint64, math.MaxUint64, math.MaxUint64, math.MaxUint64, math.MaxInt64, math.MaxInt64, math.MaxInt64, math.MaxUint32},
	}
	var got []byte
	want := &pb.TransactionRequestBatch{}
	for i := range requests {
		r := &requests[i]
		before := len(got)
		got = appendRequest(got, r)
		if n := len(got) - before; n > maxRequestBytes {
			t.Errorf("request of %d bytes, more than %d", n, maxRequestBytes)
		}
		want.Requests = append(want.Requests, &pb.TransactionRequest{
			Epoch: r.epoch, Topology: r.topology, ClientId: r.client, Timestamp: r.timestamp, DoneBelow: r.doneBelow,
			Transfer: &pb.Transfer{From: r.from, To: r.to, Amount: r.amount}, DeadlineMs: r.deadlineMillis,
		})
	}
	read := &pb.TransactionRequestBatch{}
	if err := proto.Unmarshal(got, read); err != nil {
		t.Fatal(err)
	}
	if !proto.Equal(read, want) {
		t.Errorf("the bytes say %v, want %v", read, want)
	}
}

func TestRepliesAreThoseOfProtobuf(t *testing.T) {
	batch := &pb.TransactionReplyBatch{Replies: []*pb.TransactionReply{
		{ClientId: 1, Timestamp: 2, Success: true, Result: pb.Result_RESULT_COMMITTED, Final: true, Epoch: 9},
		{},
		{ClientId: math.MaxUint64, Timestamp: math.MaxUint64, Result: pb.Result_RESULT_NOT_LEADER, Message: "ask n2", Leader: "n2"},
	}}
	data, err := proto.Marshal(batch)
	if err != nil {
		t.Fatal(err)
	}
	var in grpcopts.In
	if err := (grpcopts.Codec{}).Unmarshal(mem.BufferSlice{mem.SliceBuffer(data[:3]), mem.SliceBuffer(data[3:])}, &in); err != nil {
		t.Fatal(err)
	}
	rest := in.Bytes
	for _, want := range batch.GetReplies() {
		var r reply
		var ok bool
		if rest, ok, err = nextReply(rest, &r); err != nil || !ok {
			t.Fatalf("no reply left (%v), want %v", err, want)
		}
		if r.client != want.GetClientId() || r.timestamp != want.GetTimestamp() || r.result != want.GetResult() ||
			r.final != want.GetFinal() || string(r.leader) != want.GetLeader() {
			t.Errorf("got %+v, want %v", r, want)
		}
	}
	if _, ok, err := nextReply(rest, &reply{}); ok || err != nil {
		t.Errorf("one reply too many, or %v", err)
	}
}

// FuzzNextReply: no panic, and what is accepted is what protobuf reads.
func FuzzNextReply(f *testing.F) {
	data, err := proto.Marshal(&pb.TransactionReplyBatch{Replies: []*pb.TransactionReply{{ClientId: 7, Timestamp: 8, Result: pb.Result_RESULT_ABORTED, Leader: "n1"}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte{0x0a, 0x02, 0x10, 0x01})
	f.Add([]byte{0x12, 0x00, 0x0a})
	f.Fuzz(func(t *testing.T, data []byte) {
		want := &pb.TransactionReplyBatch{}
		known := proto.Unmarshal(data, want) == nil
		rest, n := data, 0
		for {
			var r reply
			var ok bool
			var err error
			if rest, ok, err = nextReply(rest, &r); err != nil {
				if known {
					t.Fatalf("refused (%v), but protobuf reads %v", err, want)
				}
				return
			}
			if !ok {
				break
			}
			if known {
				w := want.GetReplies()[n]
				if r.client != w.GetClientId() || r.timestamp != w.GetTimestamp() || r.result != w.GetResult() || string(r.leader) != w.GetLeader() {
					t.Fatalf("reply %d: %+v, protobuf reads %v", n, r, w)
				}
			}
			n++
		}
		if known && n != len(want.GetReplies()) {
			t.Fatalf("%d replies, protobuf reads %d", n, len(want.GetReplies()))
		}
	})
}

func readAnswer(t *testing.T, number uint64, reply *pb.ReadReply) []byte {
	t.Helper()
	data, err := proto.Marshal(&pb.ReadReplyBatch{Replies: []*pb.NumberedReadReply{{Number: number, Reply: reply}}})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestReadsAreThoseOfProtobuf(t *testing.T) {
	want := &pb.ReadRequestBatch{Epoch: math.MaxUint64, Topology: math.MaxUint64, Reads: []*pb.NumberedRead{
		{Number: 1, Item: 2, DeadlineMs: 3}, {Number: math.MaxUint64, Item: math.MaxInt64, DeadlineMs: math.MaxUint32},
	}}
	got := appendReadBatch(nil, want.GetEpoch(), want.GetTopology())
	if len(got) > readBatchBytes {
		t.Errorf("the head of the batch takes %d bytes, more than %d", len(got), readBatchBytes)
	}
	for _, q := range want.GetReads() {
		before := len(got)
		got = appendRead(got, q.GetNumber(), q.GetItem(), q.GetDeadlineMs())
		if n := len(got) - before; n > maxReadBytes {
			t.Errorf("read of %d bytes, more than %d", n, maxReadBytes)
		}
	}
	read := &pb.ReadRequestBatch{}
	if err := proto.Unmarshal(got, read); err != nil {
		t.Fatal(err)
	}
	if !proto.Equal(read, want) {
		t.Errorf("the bytes say %v, want %v", read, want)
	}
}

// FuzzNextReadReply: no panic, and what is accepted is what protobuf reads.
func FuzzNextReadReply(f *testing.F) {
	data, err := proto.Marshal(&pb.ReadReplyBatch{Replies: []*pb.NumberedReadReply{
		{Number: 7, Reply: &pb.ReadReply{Result: pb.Result_RESULT_COMMITTED, Balance: -8, Epoch: 3}},
		{Number: math.MaxUint64, Reply: &pb.ReadReply{Result: pb.Result_RESULT_NOT_LEADER, Message: "ask n1", Leader: "n1"}},
		{},
	}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte{0x0a, 0x04, 0x12, 0x02, 0x08, 0x01})
	f.Add([]byte{0x0a, 0x03, 0x12, 0x02, 0x08})
	f.Fuzz(func(t *testing.T, data []byte) {
		want := &pb.ReadReplyBatch{}
		known := proto.Unmarshal(data, want) == nil
		rest, n := data, 0
		for {
			var r readReply
			var ok bool
			var err error
			if rest, ok, err = nextReadReply(rest, &r); err != nil {
				if known {
					t.Fatalf("refused (%v), but protobuf reads %v", err, want)
				}
				return
			}
			if !ok {
				break
			}
			if known {
				w := want.GetReplies()[n]
				if r.number != w.GetNumber() || r.result != w.GetReply().GetResult() || r.balance != w.GetReply().GetBalance() || string(r.leader) != w.GetReply().GetLeader() {
					t.Fatalf("reply %d: %+v, protobuf reads %v", n, r, w)
				}
			}
			n++
		}
		if known && n != len(want.GetReplies()) {
			t.Fatalf("%d replies, protobuf reads %d", n, len(want.GetReplies()))
		}
	})
}
