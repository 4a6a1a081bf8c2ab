package session

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"

	"paxbank/internal/topology"
	pb "paxbank/proto/paxbank/v1"
)

// babbler is a node that answers what the test says, the right way or not.
type babbler struct {
	pb.UnimplementedBankServer
	submit  func(*pb.TransactionRequest) *pb.TransactionReply
	read    func() *pb.ReadReply
	resolve func() *pb.ResolveReply
}

func (b *babbler) Submit(_ context.Context, q *pb.TransactionRequest) (*pb.TransactionReply, error) {
	return b.submit(q), nil
}

func (b *babbler) Read(context.Context, *pb.ReadRequest) (*pb.ReadReply, error) {
	if r := b.read(); r != nil {
		return r, nil
	}
	return nil, status.Error(codes.Internal, "no idea")
}

func (b *babbler) Resolve(context.Context, *pb.ResolveRequest) (*pb.ResolveReply, error) {
	return b.resolve(), nil
}

// streaming adds SubmitStream to a babbler.
type streaming struct{ *babbler }

func (s streaming) SubmitStream(stream grpc.BidiStreamingServer[pb.TransactionRequestBatch, pb.TransactionReplyBatch]) error {
	for {
		batch, err := stream.Recv()
		if err != nil {
			return nil // the client has gone
		}
		for _, q := range batch.GetRequests() {
			if err := stream.Send(&pb.TransactionReplyBatch{Replies: []*pb.TransactionReply{s.submit(q)}}); err != nil {
				return err
			}
		}
	}
}

// babble serves node as the only node of a bank, and returns a session with it.
func babble(t *testing.T, node pb.BankServer, opts ...grpc.ServerOption) *Session {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(opts...)
	pb.RegisterBankServer(server, node)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	shape, err := topology.Uniform(1, 1, 10, 10)
	if err != nil {
		t.Fatal(err)
	}
	shape.Clusters[0].Nodes[0].Address = l.Addr().String()
	nodes, err := Connect(shape)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := nodes.Close(); err != nil {
			t.Error(err)
		}
		server.Stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	s, err := New(nodes)
	if err != nil {
		t.Fatal(err)
	}
	s.SetEpoch(1, 1)
	return s
}

// named answers a request under its own name.
func named(q *pb.TransactionRequest, r pb.Result) *pb.TransactionReply {
	return &pb.TransactionReply{ClientId: q.GetClientId(), Timestamp: q.GetTimestamp(), Result: r, Success: r == pb.Result_RESULT_COMMITTED}
}

// broken words the violations that were found, without the times.
func broken(s *Session) []string {
	var out []string
	for _, v := range s.nodes.Violations() {
		out = append(out, fmt.Sprintf("%s %s %s: %s", v.Node, v.Call, v.Field, v.Got))
	}
	return out
}

func TestViolations(t *testing.T) {
	transfer := func(s *Session) { s.Transfer(t.Context(), 1, 2, 1, 150*time.Millisecond) }
	read := func(s *Session) { s.Read(t.Context(), 1, 150*time.Millisecond) }
	for _, tc := range []struct {
		name string
		node babbler
		call func(*Session)
		want []string // %s stands for the call by which transfers are sent
	}{
		{"no result", babbler{submit: func(q *pb.TransactionRequest) *pb.TransactionReply { return named(q, 0) }},
			transfer, []string{"n1 %s result: RESULT_UNSPECIFIED"}},
		{"a result that nobody knows", babbler{submit: func(q *pb.TransactionRequest) *pb.TransactionReply { return named(q, 77) }},
			transfer, []string{"n1 %s result: 77"}},
		{"success and no success", babbler{submit: func(q *pb.TransactionRequest) *pb.TransactionReply {
			r := named(q, pb.Result_RESULT_ABORTED)
			r.Success = true
			return r
		}}, transfer, []string{"n1 %s success: true with RESULT_ABORTED"}},
		{"a leader that does not exist", babbler{submit: func(q *pb.TransactionRequest) *pb.TransactionReply {
			r := named(q, pb.Result_RESULT_NOT_LEADER)
			r.Leader = "n99"
			return r
		}}, transfer, []string{`n1 %s leader: "n99"`}},
		{"an aborted read", babbler{read: func() *pb.ReadReply { return &pb.ReadReply{Result: pb.Result_RESULT_ABORTED} }},
			read, []string{"n1 Read result: RESULT_ABORTED"}},
		{"success left out", babbler{submit: func(q *pb.TransactionRequest) *pb.TransactionReply {
			return &pb.TransactionReply{ClientId: q.GetClientId(), Timestamp: q.GetTimestamp(), Result: pb.Result_RESULT_COMMITTED}
		}}, transfer, nil},
		{"an unknown read", babbler{read: func() *pb.ReadReply { return &pb.ReadReply{Result: pb.Result_RESULT_UNKNOWN} }}, read, nil},
		{"an error", babbler{read: func() *pb.ReadReply { return nil }}, read, nil},
		{"no quorum", babbler{submit: func(q *pb.TransactionRequest) *pb.TransactionReply { return named(q, pb.Result_RESULT_UNAVAILABLE) }},
			transfer, nil},
	} {
		for call, node := range map[string]pb.BankServer{callSubmit: &tc.node, callStream: streaming{&tc.node}} {
			t.Run(tc.name+"/"+call, func(t *testing.T) {
				t.Parallel()
				s := babble(t, node)
				tc.call(s)
				var want []string
				for _, w := range tc.want {
					want = append(want, strings.Replace(w, "%s", call, 1))
				}
				if got := broken(s); !slices.Equal(got, want) {
					t.Errorf("got %q, want %q", got, want)
				}
				if again := broken(s); again != nil {
					t.Errorf("%q are told twice", again)
				}
			})
		}
	}
}

// An answer under another name is nobody's: its request stays open.
func TestMisnamedAnswer(t *testing.T) {
	node := &babbler{submit: func(q *pb.TransactionRequest) *pb.TransactionReply {
		r := named(q, pb.Result_RESULT_COMMITTED)
		r.ClientId, r.Timestamp = 5, 999
		return r
	}}
	for call, server := range map[string]pb.BankServer{callSubmit: node, callStream: streaming{node}} {
		t.Run(call, func(t *testing.T) {
			s := babble(t, server)
			want(t, s.Transfer(t.Context(), 1, 2, 1, 50*time.Millisecond), Unknown)
			list := s.nodes.Violations()
			if len(list) != 1 || list[0].Call != call || !strings.HasPrefix(list[0].Got, "client_id 5, timestamp 999") {
				t.Errorf("got %+v", list)
			}
		})
	}
}

// An answer that decides nothing and that the contract does not know is no word
// that nothing happened.
func TestUnspecifiedLeavesOpen(t *testing.T) {
	answers := []pb.Result{pb.Result_RESULT_UNSPECIFIED, pb.Result_RESULT_ABORTED}
	s := babble(t, &babbler{submit: func(q *pb.TransactionRequest) *pb.TransactionReply {
		r := answers[0]
		answers = answers[1:]
		return named(q, r)
	}})
	want(t, s.Transfer(t.Context(), 1, 2, 1, long), Unknown)
}

// noise is a codec whose messages are none.
type noise struct{}

func (noise) Name() string                         { return "proto" }
func (noise) Unmarshal(mem.BufferSlice, any) error { return nil }
func (noise) Marshal(any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer([]byte{0xff, 0xff, 0xff})}, nil
}

var _ encoding.CodecV2 = noise{}

func TestGarbledAnswer(t *testing.T) {
	node := &babbler{read: func() *pb.ReadReply { return &pb.ReadReply{} }}
	s := babble(t, node, grpc.ForceServerCodecV2(noise{}))
	s.Read(t.Context(), 1, 100*time.Millisecond)
	if got, want := broken(s), []string{"n1 Read message: bytes that cannot be decoded"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// However many ways a node finds, the list stays short, and the count goes on.
func TestViolationsAreBounded(t *testing.T) {
	var v violations
	for range 3 {
		for i := range 2 * maxViolations {
			v.note(Violation{Node: "n1", Call: fmt.Sprint(i)})
		}
	}
	if len(v.list) != maxViolations || v.list[0].Count != 3 {
		t.Errorf("%d kinds, the first %d times", len(v.list), v.list[0].Count)
	}
}
