package service

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"pgregory.net/rapid"

	pb "paxbank/proto/paxbank/v1"
	"paxbank/server/ids"
)

// requests reads a batch with the hand-written code.
func requests(batch []byte) (list []submitRequest, err error) {
	for {
		var q submitRequest
		rest, more, err := nextRequest(batch, &q)
		if err != nil || !more {
			return list, err
		}
		list, batch = append(list, q), rest
	}
}

// drawRequest draws a request in which any field may be absent.
func drawRequest(t *rapid.T) *pb.TransactionRequest {
	number := rapid.OneOf(rapid.Just(uint64(0)), rapid.Uint64Range(1, 300), rapid.Uint64())
	signed := rapid.OneOf(rapid.Just(int64(0)), rapid.Int64Range(1, 9000), rapid.Int64())
	q := &pb.TransactionRequest{
		Epoch: number.Draw(t, "epoch"), Topology: number.Draw(t, "topology"), ClientId: number.Draw(t, "client"),
		Timestamp: number.Draw(t, "timestamp"), DoneBelow: number.Draw(t, "done below"), DeadlineMs: rapid.Uint32().Draw(t, "deadline"),
	}
	if rapid.Bool().Draw(t, "with transfer") {
		q.Transfer = &pb.Transfer{From: signed.Draw(t, "from"), To: signed.Draw(t, "to"), Amount: signed.Draw(t, "amount")}
	}
	return q
}

func TestReadBatchAsProtobufDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		batch := &pb.TransactionRequestBatch{Requests: rapid.SliceOfN(rapid.Custom(drawRequest), 0, 5).Draw(t, "requests")}
		data, err := proto.Marshal(batch)
		if err != nil {
			t.Fatal(err)
		}
		checkRequests(t, data)
	})
}

// checkRequests compares the hand-written reader with protobuf on any bytes.
func checkRequests(t interface{ Fatalf(string, ...any) }, data []byte) {
	var batch pb.TransactionRequestBatch
	wantErr := proto.Unmarshal(data, &batch)
	got, err := requests(data)
	if (err != nil) != (wantErr != nil) {
		t.Fatalf("error %v, protobuf says %v", err, wantErr)
	}
	if err != nil {
		return
	}
	var want []submitRequest
	for _, q := range batch.Requests {
		want = append(want, submitRequestOf(q))
	}
	if d := cmp.Diff(want, got, cmp.AllowUnexported(submitRequest{})); d != "" {
		t.Fatalf("differs from protobuf (-want +got):\n%s", d)
	}
}

// FuzzReadBatch: any bytes are read as protobuf reads them.
func FuzzReadBatch(f *testing.F) {
	data, err := proto.Marshal(&pb.TransactionRequestBatch{Requests: []*pb.TransactionRequest{
		{Epoch: 1, Topology: 2, ClientId: 3, Timestamp: 4, DoneBelow: 4, Transfer: &pb.Transfer{From: 1, To: 3001, Amount: 5}, DeadlineMs: 5000},
		{},
	}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte{0x0a, 0x02, 0x32, 0x00})       // an empty transfer
	f.Add([]byte{0x0a, 0x05, 0x08})             // cut short
	f.Add([]byte{0x0d, 1, 2, 3, 4, 0x0a, 0x00}) // an unknown fixed32 before the element
	f.Fuzz(func(t *testing.T, data []byte) { checkRequests(t, data) })
}

func TestAppendReplyAsProtobufDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var batch pb.TransactionReplyBatch
		var got []byte
		for range rapid.IntRange(0, 5).Draw(t, "replies") {
			r := submitReply{
				request: ids.Request{Client: rapid.Uint64().Draw(t, "client"), Timestamp: rapid.Uint64Range(0, 1000).Draw(t, "timestamp")},
				result:  pb.Result(rapid.IntRange(0, 8).Draw(t, "result")), final: rapid.Bool().Draw(t, "final"),
				message: rapid.String().Draw(t, "message"), leader: rapid.SampledFrom([]string{"", "n1"}).Draw(t, "leader"),
				epoch: rapid.Uint64().Draw(t, "epoch"),
			}
			batch.Replies = append(batch.Replies, r.proto())
			got = appendReply(got, &r)
		}
		var back pb.TransactionReplyBatch
		if err := proto.Unmarshal(got, &back); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(&batch, &back, protocmp.Transform()); d != "" {
			t.Fatalf("differs from protobuf (-want +got):\n%s", d)
		}
	})
}

func TestReadsAsProtobufDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		number := rapid.OneOf(rapid.Just(uint64(0)), rapid.Uint64Range(1, 300), rapid.Uint64())
		batch := &pb.ReadRequestBatch{Epoch: number.Draw(t, "epoch"), Topology: number.Draw(t, "topology")}
		var replies pb.ReadReplyBatch
		var encoded []byte
		for range rapid.IntRange(0, 5).Draw(t, "reads") {
			q := &pb.NumberedRead{Number: number.Draw(t, "number"), Item: rapid.Int64().Draw(t, "item"), DeadlineMs: rapid.Uint32().Draw(t, "deadline")}
			batch.Reads = append(batch.Reads, q)
			r := readReply{
				result: pb.Result(rapid.IntRange(0, 8).Draw(t, "result")), balance: rapid.Int64().Draw(t, "balance"),
				message: rapid.String().Draw(t, "message"), leader: rapid.SampledFrom([]string{"", "n1"}).Draw(t, "leader"),
				epoch: batch.Epoch,
			}
			replies.Replies = append(replies.Replies, &pb.NumberedReadReply{Number: q.Number, Reply: r.proto()})
			encoded = appendRead(encoded, q.Number, &r)
		}
		var back pb.ReadReplyBatch
		if err := proto.Unmarshal(encoded, &back); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(&replies, &back, protocmp.Transform()); d != "" {
			t.Fatalf("replies differ from protobuf (-want +got):\n%s", d)
		}
		data, err := proto.Marshal(batch)
		if err != nil {
			t.Fatal(err)
		}
		head, err := parseReadBatch(data)
		if err != nil || head != (readBatch{batch.Epoch, batch.Topology}) {
			t.Fatalf("batch %v, %v", head, err)
		}
		for i, rest := 0, data; ; i++ {
			var q readRequest
			var more bool
			if rest, more, err = nextRead(rest, &q); err != nil {
				t.Fatal(err)
			}
			if !more {
				if i != len(batch.Reads) {
					t.Fatalf("%d reads of %d were found", i, len(batch.Reads))
				}
				break
			}
			if want := batch.Reads[i]; q != (readRequest{want.Number, want.Item, want.DeadlineMs}) {
				t.Fatalf("read %v, want %v", q, want)
			}
		}
	})
}

// TestCallTable: a number is answered once, and never taken for another call's
// that has its place.
func TestCallTable(t *testing.T) {
	var table callTable
	a := table.add(nil, ids.Request{Client: 1})
	b := table.add(nil, ids.Request{Client: 2})
	if w, ok := table.take(a); !ok || w.request.Client != 1 {
		t.Errorf("the first call is %v, %v", w, ok)
	}
	c := table.add(nil, ids.Request{Client: 3})
	if len(table.places) != 2 || c <= b || b <= a {
		t.Errorf("calls %d %d %d in %d places", a, b, c, len(table.places))
	}
	if _, ok := table.take(a); ok {
		t.Error("the first call was answered twice")
	}
	left := 0
	table.takeAll(func(waiting) { left++ })
	if left != 2 || table.open != 0 || len(table.free) != 2 {
		t.Errorf("%d calls were left, %d are open and %d places free; want 2, 0, 2", left, table.open, len(table.free))
	}
	if _, ok := table.take(1 << 60); ok {
		t.Error("a call was found that never was")
	}
}
