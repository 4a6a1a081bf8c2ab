package doctor

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"paxbank/internal/topology"
	pb "paxbank/proto/paxbank/v1"
)

// lie stands between the doctor and a node and may change what is asked and what
// is answered. call forwards the request to the node, as often as it is called;
// of a stream, only the answers pass through here, with a call that returns them.
type lie func(node string, q proto.Message, call func(proto.Message) (proto.Message, error)) (proto.Message, error)

// liars are the lies by method, such as "Submit".
type liars map[string]lie

// changed is a lie about one sort of answer.
func changed[R proto.Message](change func(node string, r R)) lie {
	return func(node string, q proto.Message, call func(proto.Message) (proto.Message, error)) (proto.Message, error) {
		r, err := call(q)
		if err == nil {
			change(node, r.(R))
		}
		return r, err
	}
}

// absent is a call that a node does not offer.
func absent(string, proto.Message, func(proto.Message) (proto.Message, error)) (proto.Message, error) {
	return nil, status.Error(codes.Unimplemented, "not here")
}

// front puts a proxy in front of every node of t and returns a topology with the
// proxies' addresses. Nodes still talk to each other directly.
func front(t *testing.T, real *topology.Topology, lies liars) *topology.Topology {
	t.Helper()
	shown := *real
	shown.Clusters = nil
	address := map[string]string{}
	for _, c := range real.Clusters {
		cluster := topology.Cluster{ID: c.ID}
		for _, n := range c.Nodes {
			address[n.ID] = n.Address
			conn, err := grpc.NewClient("passthrough:///"+n.Address, grpc.WithTransportCredentials(insecure.NewCredentials()))
			if err != nil {
				t.Fatal(err)
			}
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			p := &proxy{node: n.ID, conn: conn, lies: lies, address: address}
			server := grpc.NewServer(grpc.UnknownServiceHandler(p.handle))
			go server.Serve(listener)
			t.Cleanup(func() { server.Stop(); conn.Close() })
			cluster.Nodes = append(cluster.Nodes, topology.Node{ID: n.ID, Address: listener.Addr().String()})
		}
		shown.Clusters = append(shown.Clusters, cluster)
	}
	return &shown
}

type proxy struct {
	node    string
	conn    *grpc.ClientConn
	lies    liars
	address map[string]string // where the nodes really are
}

// handle forwards any call of the contract.
func (p *proxy) handle(_ any, up grpc.ServerStream) error {
	full, _ := grpc.MethodFromServerStream(up)
	path := strings.Split(strings.TrimPrefix(full, "/"), "/")
	d, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(path[0] + "." + path[1]))
	if err != nil {
		return status.Error(codes.Unimplemented, err.Error())
	}
	method := d.(protoreflect.MethodDescriptor)
	q, err := message(method.Input())
	if err != nil {
		return err
	}
	if err := up.RecvMsg(q); err != nil {
		return err
	}
	if c, ok := q.(*pb.ConfigureRequest); ok {
		for _, cl := range c.GetTopology().GetClusters() {
			for _, n := range cl.GetNodes() {
				n.Address = p.address[n.GetId()]
			}
		}
	}
	tell := p.lies[path[1]]
	if tell == nil {
		tell = func(_ string, q proto.Message, call func(proto.Message) (proto.Message, error)) (proto.Message, error) {
			return call(q)
		}
	}
	if !method.IsStreamingServer() {
		r, err := tell(p.node, q, func(q proto.Message) (proto.Message, error) {
			r, err := message(method.Output())
			if err != nil {
				return nil, err
			}
			return r, p.conn.Invoke(up.Context(), full, q, r)
		})
		if err != nil {
			return err
		}
		return up.SendMsg(r)
	}
	ctx, cancel := context.WithCancel(up.Context())
	defer cancel()
	down, err := p.conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, full)
	if err != nil {
		return err
	}
	if err := down.SendMsg(q); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if !method.IsStreamingClient() {
		if err := down.CloseSend(); err != nil {
			return err
		}
	}
	for {
		r, err := tell(p.node, q, func(proto.Message) (proto.Message, error) {
			r, err := message(method.Output())
			if err != nil {
				return nil, err
			}
			return r, down.RecvMsg(r)
		})
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := up.SendMsg(r); err != nil {
			return err
		}
	}
}

// message is an empty message of a type.
func message(d protoreflect.MessageDescriptor) (proto.Message, error) {
	t, err := protoregistry.GlobalTypes.FindMessageByName(d.FullName())
	if err != nil {
		return nil, err
	}
	return t.New().Interface(), nil
}

// drop removes an item from a list of balances.
func drop(items []*pb.BalanceReply_Item, item int64) []*pb.BalanceReply_Item {
	return slices.DeleteFunc(items, func(b *pb.BalanceReply_Item) bool { return b.GetItem() == item })
}
