package chaos

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"paxbank/client/session"
	"paxbank/internal/topology"
	"paxbank/internal/topologypb"
	pb "paxbank/proto/paxbank/v1"
)

// garbageBound ends one attempt: a node may keep a stranger waiting, but the
// test does not wait with it.
const garbageBound = 2 * time.Second

// methods are all that a node serves.
func methods() []protoreflect.MethodDescriptor {
	var all []protoreflect.MethodDescriptor
	for _, file := range []protoreflect.FileDescriptor{
		pb.File_paxbank_v1_bank_proto, pb.File_paxbank_v1_control_proto, pb.File_paxbank_v1_inspect_proto, pb.File_paxbank_v1_replica_proto,
	} {
		for i := range file.Services().Len() {
			for j := range file.Services().Get(i).Methods().Len() {
				all = append(all, file.Services().Get(i).Methods().Get(j))
			}
		}
	}
	return all
}

func path(m protoreflect.MethodDescriptor) string {
	return fmt.Sprintf("/%s/%s", m.Parent().FullName(), m.Name())
}

// raw sends bytes as they are.
type raw struct{}

func (raw) Marshal(v any) ([]byte, error)   { return *v.(*[]byte), nil }
func (raw) Unmarshal(b []byte, v any) error { *v.(*[]byte) = b; return nil }
func (raw) Name() string                    { return "proto" }

// TestGarbage: whatever strangers send to a node's port, it stays up, keeps its
// leader and its money, and goes on working.
func TestGarbage(t *testing.T) {
	b := start(t, topology.Default(), nil)
	s := b.session(b.connect())
	move := func(amount int64) {
		t.Helper()
		first := b.topo.Items.Ranges
		for i := range first {
			from, to := first[i].First, first[(i+1)%len(first)].First
			if r := s.Transfer(b.ctx, from, to, amount, callDeadline); r.Outcome != session.Committed {
				t.Errorf("(%d, %d, %d): %s (%s)", from, to, amount, r.Outcome, r.Message)
			}
		}
	}
	move(1)
	leaders, before := b.leaders(), b.settled()
	seed := seedOf(t)
	t.Logf("CHAOS_SEED=%d", seed)
	r := rand.New(rand.NewPCG(seed, 7))

	for _, attack := range []struct {
		name string
		do   func(*bank, *rand.Rand, *grpc.ClientConn, string)
	}{
		{"bytes on the port", bytesOnPort},
		{"undecodable requests", undecodable},
		{"absurd requests", absurd},
		{"refused commands", refusedCommands},
		{"strange peers", strangePeers},
	} {
		for _, id := range b.all() {
			conn, err := grpc.NewClient("passthrough:///"+b.address(id), grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithNoProxy())
			if err != nil {
				t.Fatal(err)
			}
			attack.do(b, r, conn, id)
			if err := conn.Close(); err != nil {
				t.Error(err)
			}
		}
		b.nobodyEnded()
		for c, id := range leaders {
			if st := b.status(id); !st.GetReady() || st.GetBallot() != before[id].GetBallot() {
				t.Errorf("after %s cluster %d has another leader: %v", attack.name, c+1, st)
			}
		}
		move(1)
	}
	b.settled()
	b.holds("after all garbage", b.topo.Balance)
}

// bytesOnPort talks something else than gRPC.
func bytesOnPort(b *bank, r *rand.Rand, _ *grpc.ClientConn, id string) {
	b.t.Helper()
	const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	settings := "\x00\x00\x00\x04\x00\x00\x00\x00\x00"
	frame := func(length uint32, kind, flags byte, stream uint32, body string) string {
		var head [9]byte
		binary.BigEndian.PutUint32(head[:4], length<<8)
		head[3], head[4] = kind, flags
		binary.BigEndian.PutUint32(head[5:], stream)
		return string(head[:]) + body
	}
	for _, text := range []string{
		"", noise(r, 1), noise(r, 100_000),
		"GET / HTTP/1.1\r\nHost: bank\r\n\r\n",
		preface + noise(r, 10_000),
		preface + settings + noise(r, 10_000),
		preface + settings + frame(math.MaxUint32>>8, 0, 0, 1, "much less"), // a frame that never ends
		preface + settings + frame(8, 1, 4, 1, noise(r, 8)),                 // headers that are none
		preface + settings + frame(4, 8, 0, 0, "\x7f\xff\xff\xff"),          // the largest window
		preface + settings + strings.Repeat(frame(4, 3, 0, 1, "\x00\x00\x00\x08"), 1000),
	} {
		c, err := net.DialTimeout("tcp", b.address(id), callBound)
		if err != nil {
			b.t.Errorf("%s takes no connection: %v", id, err)
			return
		}
		_ = c.SetDeadline(time.Now().Add(garbageBound))
		_, _ = io.WriteString(c, text) // the node may have hung up
		if half, ok := c.(*net.TCPConn); ok {
			_ = half.CloseWrite()
		}
		_, _ = io.Copy(io.Discard, c)
		_ = c.Close()
	}
}

func noise(r *rand.Rand, n int) string {
	b := make([]byte, 0, n+8)
	for len(b) < n {
		b = binary.LittleEndian.AppendUint64(b, r.Uint64())
	}
	return string(b[:n])
}

// undecodable sends bytes that are no protobuf message to every method, and to
// methods that are not there.
func undecodable(b *bank, r *rand.Rand, conn *grpc.ClientConn, id string) {
	b.t.Helper()
	paths := []string{"/paxbank.v1.Bank/Steal", "/paxbank.v1.Vault/Open", "/", "//", "/paxbank.v1.Bank", "/paxbank.v1.Bank/Submit/" + strings.Repeat("x", 4000)}
	for _, m := range methods() {
		paths = append(paths, path(m))
	}
	for i, p := range paths {
		for _, size := range []int{1, 100, 1 << 16} {
			// No field has the number 0 and no value the type 7: no luck makes these
			// bytes a message that means something.
			body := []byte("\x07" + noise(r, size))
			err := call(b.ctx, conn, p, body)
			if code := status.Code(err); code == codes.OK || i < 5 && code != codes.Unimplemented {
				b.t.Errorf("%s answers %d meaningless bytes to %s with %v", id, len(body), p, err)
			}
		}
	}
}

// call sends one message to a method, whatever its kind, and returns how the
// call ends.
func call(ctx context.Context, conn *grpc.ClientConn, method string, body []byte) error {
	ctx, cancel := context.WithTimeout(ctx, garbageBound)
	defer cancel()
	s, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, method, grpc.ForceCodec(raw{}), grpc.WaitForReady(true))
	if err != nil {
		return err
	}
	if err := s.SendMsg(&body); err != nil && err != io.EOF {
		return err
	}
	_ = s.CloseSend()
	for {
		var reply []byte
		if err := s.RecvMsg(&reply); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// absurd sends well-formed requests with numbers that nobody means, to all
// methods that clients may call. Only item 1 of the numbers is an item, so none
// of these is a transfer that could be carried out.
func absurd(b *bank, r *rand.Rand, conn *grpc.ClientConn, id string) {
	b.t.Helper()
	for _, m := range methods() {
		if service := m.Parent().Name(); service != "Bank" && service != "Inspect" {
			continue
		}
		for range 20 {
			msg := newMessage(m.Input())
			scramble(r, msg, b.topo.Hash(), 3)
			body, err := proto.Marshal(msg.Interface())
			if err != nil {
				b.t.Fatal(err)
			}
			// A long list of anything, once in a while.
			if r.IntN(4) == 0 {
				body = []byte(strings.Repeat(string(body), 1+r.IntN(200)))
			}
			if err := call(b.ctx, conn, path(m), body); status.Code(err) == codes.Internal || status.Code(err) == codes.Unknown {
				b.t.Errorf("%s: %s of %v: %v", id, m.Name(), msg, err)
			}
		}
	}
}

func newMessage(d protoreflect.MessageDescriptor) protoreflect.Message {
	t, err := protoregistry.GlobalTypes.FindMessageByName(d.FullName())
	if err != nil {
		panic(err)
	}
	return t.New()
}

// scramble sets fields to extreme values, and the epoch and topology rather
// often to the right ones, so that the others are looked at.
func scramble(r *rand.Rand, m protoreflect.Message, topology uint64, depth int) {
	numbers := []int64{0, 1, -1, 2, 9001, math.MaxInt32, math.MaxInt64, math.MinInt64, math.MinInt64 + 1}
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		n := numbers[r.IntN(len(numbers))]
		value := func() (v protoreflect.Value) {
			switch f.Kind() {
			case protoreflect.Int64Kind:
				if n == 2 && f.Name() != "amount" {
					n = 0 // item 2 is an item
				}
				return protoreflect.ValueOfInt64(n)
			case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
				switch {
				case f.Name() == "epoch" && r.IntN(4) > 0:
					n = 1
				case f.Name() == "topology" && r.IntN(4) > 0:
					return protoreflect.ValueOfUint64(topology)
				}
				return protoreflect.ValueOfUint64(uint64(n))
			case protoreflect.Uint32Kind:
				return protoreflect.ValueOfUint32(uint32(n))
			case protoreflect.BoolKind:
				return protoreflect.ValueOfBool(n&1 == 1)
			case protoreflect.StringKind:
				return protoreflect.ValueOfString(strings.Repeat("n1", int(uint8(n))))
			case protoreflect.BytesKind:
				return protoreflect.ValueOfBytes([]byte(noise(r, r.IntN(100))))
			case protoreflect.EnumKind:
				return protoreflect.ValueOfEnum(protoreflect.EnumNumber(int32(n)))
			case protoreflect.MessageKind:
				if depth > 0 {
					inner := newMessage(f.Message())
					scramble(r, inner, topology, depth-1)
					return protoreflect.ValueOfMessage(inner)
				}
			}
			return protoreflect.Value{}
		}
		if r.IntN(8) == 0 {
			continue // missing
		}
		if f.IsList() {
			list := m.Mutable(f).List()
			for range r.IntN(5) {
				if v := value(); v.IsValid() {
					list.Append(v)
				}
			}
		} else if v := value(); v.IsValid() {
			m.Set(f, v)
		}
	}
}

// refusedCommands are commands of a driver that make no sense here. Each must be
// refused, with a reason, and change nothing.
func refusedCommands(b *bank, _ *rand.Rand, conn *grpc.ClientConn, id string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, callBound)
	defer cancel()
	control := pb.NewControlClient(conn)
	good := &pb.ConfigureRequest{NodeId: id, Topology: topologypb.ToProto(b.topo), Epoch: 2}
	for i, change := range []func(*pb.ConfigureRequest){
		func(c *pb.ConfigureRequest) { c.NodeId = "" },
		func(c *pb.ConfigureRequest) { c.NodeId = "n\x00" },
		func(c *pb.ConfigureRequest) { c.Epoch = 0 },
		func(c *pb.ConfigureRequest) { c.Topology = nil },
		func(c *pb.ConfigureRequest) { c.Topology.Clusters = nil },
		func(c *pb.ConfigureRequest) { c.Topology.Clusters[0] = nil },
		func(c *pb.ConfigureRequest) { c.Topology.Clusters[0].Nodes = nil },
		func(c *pb.ConfigureRequest) {
			c.Topology.Clusters[1].Nodes = append(c.Topology.Clusters[1].Nodes, c.Topology.Clusters[0].Nodes...)
		},
		func(c *pb.ConfigureRequest) {
			for range 100_000 {
				c.Topology.Clusters = append(c.Topology.Clusters, &pb.Cluster{Id: "c1"})
			}
		},
		func(c *pb.ConfigureRequest) { c.Topology.InitialBalance = -1 },
		func(c *pb.ConfigureRequest) { c.Topology.InitialBalance = math.MaxInt64 },
		func(c *pb.ConfigureRequest) { c.Topology.ItemMap = nil },
		func(c *pb.ConfigureRequest) { c.Topology.ItemMap.Ranges[0].LastItem = math.MaxInt64 },
		func(c *pb.ConfigureRequest) { c.Topology.ItemMap.Ranges[0].FirstItem = math.MinInt64 },
		func(c *pb.ConfigureRequest) { c.Topology.ItemMap.Ranges[2].LastItem = math.MaxInt64 },
		func(c *pb.ConfigureRequest) { c.Topology.ItemMap.Ranges[2].LastItem = math.MaxInt64 - 1 },
		func(c *pb.ConfigureRequest) { c.Topology.ItemMap.Ranges[0].Cluster = "c9" },
		func(c *pb.ConfigureRequest) {
			c.Topology.Balances = []*pb.ItemBalance{{Item: math.MaxInt64, Balance: 1}}
		},
		func(c *pb.ConfigureRequest) {
			c.Topology.Balances = []*pb.ItemBalance{{Item: 1, Balance: math.MinInt64}}
		},
		func(c *pb.ConfigureRequest) { c.Limits = &pb.Limits{HeartbeatMs: math.MaxUint32} },
	} {
		req := proto.CloneOf(good)
		change(req)
		if _, err := control.Configure(ctx, req, waitForReady); status.Code(err) != codes.InvalidArgument {
			b.t.Errorf("%s takes absurd configuration number %d: %v", id, i, err)
		}
	}
	if _, err := control.Reset(ctx, &pb.ResetRequest{Epoch: 0}); status.Code(err) != codes.FailedPrecondition {
		b.t.Errorf("%s goes back to epoch 0: %v", id, err)
	}
}

// strangePeers open streams between nodes and say what no node would: with a
// wrong topology, number or epoch it may be anything, for it is not looked at;
// with the right ones it makes no sense.
func strangePeers(b *bank, r *rand.Rand, conn *grpc.ClientConn, id string) {
	b.t.Helper()
	number, cluster, _ := b.topo.Lookup(id)
	hash := b.topo.Hash()
	depose := &pb.Ballot{Counter: math.MaxUint64, Node: uint32(number)}
	harm := []*pb.PeerMessage{
		{Message: &pb.PeerMessage_Prepare{Prepare: &pb.Prepare{Ballot: depose, FirstIndex: 1}}},
		{Message: &pb.PeerMessage_PreVote{PreVote: &pb.PreVote{Ballot: depose}}},
		{Message: &pb.PeerMessage_Commit{Commit: &pb.Commit{Ballot: depose, CommitIndex: math.MaxUint64}}},
		{Message: &pb.PeerMessage_Heartbeat{Heartbeat: &pb.Heartbeat{Ballot: depose, CommitIndex: math.MaxUint64, SentIndex: math.MaxUint64}}},
		{Message: &pb.PeerMessage_Accept{Accept: &pb.Accept{Ballot: depose, NewView: true, FirstIndex: math.MaxUint64, Entries: []byte(noise(r, 50))}}},
		{Message: &pb.PeerMessage_CheckpointChunk{CheckpointChunk: &pb.CheckpointChunk{Ballot: depose, Index: math.MaxUint64, Total: math.MaxUint64, Data: []byte("x")}}},
	}
	malformed := []*pb.PeerMessage{
		{},
		{Message: &pb.PeerMessage_Prepare{}},
		{Message: &pb.PeerMessage_Prepare{Prepare: &pb.Prepare{Ballot: &pb.Ballot{Counter: 1}}}},
		{Message: &pb.PeerMessage_Prepare{Prepare: &pb.Prepare{Ballot: &pb.Ballot{Node: 1}}}},
		{Message: &pb.PeerMessage_Prepare{Prepare: &pb.Prepare{Ballot: &pb.Ballot{Counter: 9, Node: math.MaxUint32}}}},
		{Message: &pb.PeerMessage_Accept{Accept: &pb.Accept{Ballot: &pb.Ballot{Counter: 9, Node: 1 << 16}}}},
		{Message: &pb.PeerMessage_TwoPcCommitRequest{TwoPcCommitRequest: &pb.TwoPCCommitRequest{Seq: math.MaxUint64}}},
		{Message: &pb.PeerMessage_TwoPcInquiryReply{TwoPcInquiryReply: &pb.TwoPCInquiryReply{Answer: math.MaxInt32}}},
		{Message: &pb.PeerMessage_TwoPcAbortRequest{TwoPcAbortRequest: &pb.TwoPCAbortRequest{Reason: math.MinInt32}}},
		{Message: &pb.PeerMessage_TwoPcPrepareRequest{TwoPcPrepareRequest: &pb.TwoPCPrepareRequest{Cluster: math.MaxUint32, Amount: math.MinInt64, RemainingNs: math.MinInt64}}},
	}
	// Only a node with a lower number may open a stream, and one of another
	// cluster has no say in this one's log.
	other := uint32(0)
	if cluster > 0 {
		other = 2
	}
	send := func(from uint32, hello, then uint64, epoch uint64, messages []*pb.PeerMessage, welcome bool) {
		b.t.Helper()
		ctx, cancel := context.WithTimeout(b.ctx, garbageBound)
		defer cancel()
		s, err := pb.NewPeerClient(conn).Exchange(ctx, waitForReady)
		if err != nil {
			b.t.Errorf("%s: %v", id, err)
			return
		}
		_ = s.Send(&pb.Envelope{Topology: hello, Epoch: epoch, From: from})
		if _, err := s.Recv(); (err == nil) != welcome {
			b.t.Errorf("%s answers the hello of number %d of topology %x: %v", id, from, hello, err)
		}
		_ = s.Send(&pb.Envelope{Topology: then, Epoch: epoch, From: from, Messages: messages})
		_ = s.CloseSend()
		for err == nil {
			_, err = s.Recv()
		}
	}
	send(1, hash+1, hash, 1, harm, false)
	send(uint32(number), hash, hash, 1, harm, false)
	send(math.MaxUint32, hash, hash, 1, harm, false)
	if other == 0 {
		return
	}
	send(other, hash, hash+1, 1, harm, true) // right at first
	send(other, hash, hash, 7, harm, true)   // of an epoch that is to come
	send(other, hash, hash, 1, harm, true)   // of another cluster
	send(other, hash, hash, 1, malformed, true)
}
