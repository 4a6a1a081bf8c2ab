package service

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"paxbank/internal/grpcopts"
	"paxbank/internal/topology"
	"paxbank/internal/topologypb"
	pb "paxbank/proto/paxbank/v1"
	"paxbank/server/storage"
	"paxbank/server/transport"
)

const patience = 15 * time.Second

// server is a node behind gRPC on loopback, with its disk in memory.
type server struct {
	t       *testing.T
	id      string
	address string
	fs      vfs.FS
	store   *storage.Store
	node    *Node
	grpc    *grpc.Server
	conn    *grpc.ClientConn
	served  chan struct{}

	pb.BankClient
	pb.ControlClient
	pb.InspectClient
}

func start(t *testing.T, id, address string, fs vfs.FS) *server {
	t.Helper()
	s, err := tryStart(t, id, address, fs)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func tryStart(t *testing.T, id, address string, fs vfs.FS) (*server, error) {
	t.Helper()
	return startMortal(t, id, address, fs, func(err error) { t.Errorf("%s stopped: %v", id, err) })
}

// startMortal starts a node that may stop by itself.
func startMortal(t *testing.T, id, address string, fs vfs.FS, fatal func(error)) (*server, error) {
	t.Helper()
	s := &server{t: t, id: id, fs: fs, served: make(chan struct{})}
	var err error
	if s.store, err = storage.Open("data", storage.Options{FS: fs, OnFatal: fatal}); err != nil {
		return nil, err
	}
	if s.node, err = New(Options{ID: id, Store: s.store, Transport: transport.New(nil), Fatal: fatal}); err != nil {
		return nil, errors.Join(err, s.store.Close())
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	s.address = l.Addr().String()
	s.grpc = grpc.NewServer(ServerOptions()...)
	s.node.Register(s.grpc)
	go func() { defer close(s.served); _ = s.grpc.Serve(l) }()
	if s.conn, err = grpc.NewClient(grpcopts.Target(s.address), grpc.WithTransportCredentials(insecure.NewCredentials())); err != nil {
		t.Fatal(err)
	}
	s.BankClient, s.ControlClient, s.InspectClient = pb.NewBankClient(s.conn), pb.NewControlClient(s.conn), pb.NewInspectClient(s.conn)
	return s, nil
}

// stop ends the node without a word to anybody, as a kill would.
func (s *server) stop() {
	s.t.Helper()
	_ = s.conn.Close()
	s.node.Close()
	s.grpc.Stop()
	<-s.served
	if err := s.store.Close(); err != nil {
		s.t.Error(err)
	}
}

func (s *server) restart() {
	s.t.Helper()
	s.stop()
	*s = *start(s.t, s.id, s.address, s.fs)
}

// bank is a running bank of one process.
type bankOf struct {
	t     *testing.T
	ctx   context.Context
	topo  *topology.Topology
	nodes []*server
	epoch uint64
}

func newBank(t *testing.T, clusters, perCluster int) *bankOf {
	t.Helper()
	topo, err := topology.Uniform(clusters, perCluster, 100*int64(clusters), 10)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	t.Cleanup(cancel)
	b := &bankOf{t: t, ctx: ctx, topo: topo, epoch: 1}
	for c := range topo.Clusters {
		for i := range topo.Clusters[c].Nodes {
			n := &topo.Clusters[c].Nodes[i]
			s := start(t, n.ID, "127.0.0.1:0", vfs.NewMem())
			n.Address = s.address
			b.nodes = append(b.nodes, s)
		}
	}
	for _, s := range b.nodes {
		b.configure(s)
	}
	b.live(b.nodes...)
	return b
}

func (b *bankOf) configure(s *server) {
	b.t.Helper()
	reply, err := s.Configure(b.ctx, &pb.ConfigureRequest{NodeId: s.id, Topology: topologypb.ToProto(b.topo), Epoch: b.epoch})
	if err != nil {
		b.t.Fatal(err)
	}
	if reply.Topology != b.topo.Hash() || reply.Epoch != b.epoch {
		b.t.Fatalf("configured as %v, want %x in epoch %d", reply, b.topo.Hash(), b.epoch)
	}
}

func (b *bankOf) live(nodes ...*server) {
	b.t.Helper()
	for _, s := range nodes {
		if _, err := s.SetLive(b.ctx, &pb.SetLiveRequest{Live: true}); err != nil {
			b.t.Fatal(err)
		}
	}
}

func (b *bankOf) stop() {
	for _, s := range b.nodes {
		s.stop()
	}
}

func (b *bankOf) status(s *server) *pb.StatusReply {
	b.t.Helper()
	reply, err := s.Status(b.ctx, &pb.StatusRequest{})
	if err != nil {
		b.t.Fatal(err)
	}
	return reply
}

// until polls a condition that other goroutines are bringing about.
func until(t *testing.T, what string, f func() (done bool, now string)) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for {
		done, now := f()
		if done {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited %v for %s; now: %s", patience, what, now)
		}
	}
}

// leader waits for a ready leader among the nodes of one cluster.
func (b *bankOf) leader(cluster string) (leader *server) {
	b.t.Helper()
	until(b.t, "a leader of "+cluster, func() (bool, string) {
		var seen []string
		for _, s := range b.nodes {
			st := b.status(s)
			if st.Cluster == cluster && st.Ready {
				leader = s
				return true, ""
			}
			seen = append(seen, st.String())
		}
		return false, strings.Join(seen, "\n")
	})
	return leader
}

func (b *bankOf) quiet(nodes ...*server) {
	b.t.Helper()
	until(b.t, "quiet nodes with the same state", func() (bool, string) {
		sums := map[string]uint64{}
		for _, s := range nodes {
			st := b.status(s)
			if other, ok := sums[st.Cluster]; !st.Quiet || ok && other != st.Checksum {
				return false, st.String()
			}
			sums[st.Cluster] = st.Checksum
		}
		return true, ""
	})
}

func (b *bankOf) request(timestamp uint64, from, to, amount int64) *pb.TransactionRequest {
	return &pb.TransactionRequest{Epoch: b.epoch, Topology: b.topo.Hash(), ClientId: 7, Timestamp: timestamp,
		Transfer: &pb.Transfer{From: from, To: to, Amount: amount}, DeadlineMs: 5000}
}

func (b *bankOf) submit(s *server, timestamp uint64, from, to, amount int64, want pb.Result) *pb.TransactionReply {
	b.t.Helper()
	reply, err := s.Submit(b.ctx, b.request(timestamp, from, to, amount))
	if err != nil {
		b.t.Fatal(err)
	}
	if reply.Result != want || reply.Success != (want == pb.Result_RESULT_COMMITTED) {
		b.t.Fatalf("(%d, %d, %d): %v, want %v", from, to, amount, reply, want)
	}
	return reply
}

func (b *bankOf) balance(s *server, item int64) int64 {
	b.t.Helper()
	reply, err := s.Balance(b.ctx, &pb.BalanceRequest{Items: []int64{item, 1 << 40}})
	if err != nil {
		b.t.Fatal(err)
	}
	if len(reply.Items) != 1 || reply.Items[0].Item != item {
		b.t.Fatalf("balance of %d and of an unknown item: %v", item, reply)
	}
	return reply.Items[0].Balance
}
