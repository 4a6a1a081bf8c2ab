package service

import (
	"errors"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"paxbank/internal/topology"
	"paxbank/internal/topologypb"
	pb "paxbank/proto/paxbank/v1"
	"paxbank/server/storage"
)

func refused(t *testing.T, err error, code codes.Code, text string) {
	t.Helper()
	if status.Code(err) != code || !strings.Contains(status.Convert(err).Message(), text) {
		t.Errorf("got %v, want %v: %q", err, code, text)
	}
}

func TestNotConfigured(t *testing.T) {
	s := start(t, "n1", "127.0.0.1:0", vfs.NewMem())
	ctx := t.Context()
	if st, err := s.Status(ctx, &pb.StatusRequest{}); err != nil || st.Configured || st.NodeId != "n1" {
		t.Errorf("status: %v, %v", st, err)
	}
	_, err := s.Submit(ctx, &pb.TransactionRequest{})
	refused(t, err, codes.Unavailable, "n1 is not configured")
	stream, err := s.SubmitStream(ctx)
	if err == nil {
		_, err = stream.Recv()
	}
	refused(t, err, codes.Unavailable, "n1 is not configured")
	_, err = s.SetLive(ctx, &pb.SetLiveRequest{Live: true})
	refused(t, err, codes.FailedPrecondition, "n1 is not configured")
	_, err = s.Reset(ctx, &pb.ResetRequest{Epoch: 2})
	refused(t, err, codes.FailedPrecondition, "n1 is not configured")
	_, err = s.Views(ctx, &pb.ViewsRequest{})
	refused(t, err, codes.FailedPrecondition, "n1 is not configured")

	good := &pb.ConfigureRequest{NodeId: "n1", Topology: topologypb.ToProto(topology.Default()), Epoch: 1}
	for _, c := range []struct {
		change func(*pb.ConfigureRequest)
		text   string
	}{
		{func(r *pb.ConfigureRequest) { r.NodeId = "n2" }, `this is node n1, not "n2"`},
		{func(r *pb.ConfigureRequest) { r.Epoch = 0 }, "the epoch must be at least 1"},
		{func(r *pb.ConfigureRequest) { r.Topology = nil }, "topology is missing"},
		{func(r *pb.ConfigureRequest) { r.Topology.Clusters[0].Nodes[0].Id = "m1" }, "node n1 is not in the topology"},
		{func(r *pb.ConfigureRequest) { r.Limits = &pb.Limits{ElectionTimeoutMs: 100, HeartbeatMs: 90} }, "needs a heartbeat of at most half"},
	} {
		r := proto.CloneOf(good)
		c.change(r)
		_, err := s.Configure(ctx, r)
		refused(t, err, codes.InvalidArgument, c.text)
	}
	s.stop()
}

// TestEpochs follows one node through configurations, resets and restarts.
func TestEpochs(t *testing.T) {
	b := newBank(t, 1, 1)
	s := b.nodes[0]
	b.leader("c1")
	b.submit(s, 1, 1, 2, 3, pb.Result_RESULT_COMMITTED)
	b.quiet(s)

	// Configured again in the same epoch, the node goes on, disconnected.
	b.configure(s)
	if st := b.status(s); st.Live || b.balance(s, 2) != 13 {
		t.Errorf("after the same configuration: %v", st)
	}
	// Also with other limits, and from the disk after a restart.
	req := &pb.ConfigureRequest{NodeId: "n1", Topology: topologypb.ToProto(b.topo), Epoch: 1, Limits: &pb.Limits{ElectionTimeoutMs: 200}}
	if _, err := s.Configure(b.ctx, req); err != nil {
		t.Fatal(err)
	}
	if got := b.balance(s, 2); got != 13 {
		t.Errorf("balance of 2 with other limits: %d, want 13", got)
	}
	s.restart()
	if st := b.status(s); !st.Configured || st.Live || st.Epoch != 1 || st.Topology != b.topo.Hash() {
		t.Errorf("after a restart: %v", st)
	}
	if got := b.balance(s, 2); got != 13 {
		t.Errorf("balance of 2 after a restart: %d, want 13: what is on disk can be looked at", got)
	}
	b.live(s)
	b.leader("c1")
	b.submit(s, 1, 1, 2, 3, pb.Result_RESULT_COMMITTED) // answered from the session
	if got := b.balance(s, 2); got != 13 {
		t.Errorf("balance of 2 after a resend: %d, want 13: exactly once", got)
	}

	// A reset begins a new epoch with nothing of the old one.
	_, err := s.Reset(b.ctx, &pb.ResetRequest{Epoch: 0})
	refused(t, err, codes.FailedPrecondition, "n1 is in epoch 1; epoch 0 is over")
	if _, err := s.Reset(b.ctx, &pb.ResetRequest{Epoch: 5}); err != nil {
		t.Fatal(err)
	}
	if st := b.status(s); st.Epoch != 5 || st.Live || st.LastIndex != 0 || b.balance(s, 2) != 10 {
		t.Errorf("after the reset: %v", st)
	}
	b.live(s)
	b.epoch = 5
	b.leader("c1")
	if _, err := s.Reset(b.ctx, &pb.ResetRequest{Epoch: 5}); err != nil {
		t.Errorf("the same reset again: %v", err)
	}
	if st := b.status(s); !st.Live {
		t.Errorf("the same reset again disconnected the node: %v", st)
	}
	b.submit(s, 1, 1, 2, 4, pb.Result_RESULT_COMMITTED) // another request: another epoch
	b.quiet(s)                                          // the commit index is on disk too
	s.restart()
	if st := b.status(s); st.Epoch != 5 || b.balance(s, 2) != 14 {
		t.Errorf("after reset and restart: %v, balance %d", st, b.balance(s, 2))
	}

	// Older epochs are over; another topology needs a higher one.
	req.Epoch = 4
	_, err = s.Configure(b.ctx, req)
	refused(t, err, codes.FailedPrecondition, "n1 is in epoch 5; epoch 4 is over")
	other, err := topology.Uniform(1, 1, 77, 10)
	if err != nil {
		t.Fatal(err)
	}
	req = &pb.ConfigureRequest{NodeId: "n1", Topology: topologypb.ToProto(other), Epoch: 5}
	_, err = s.Configure(b.ctx, req)
	refused(t, err, codes.FailedPrecondition, "n1 belongs to another topology")
	if got := b.balance(s, 2); got != 14 {
		t.Errorf("a refused configuration changed the balance to %d", got)
	}
	req.Epoch = 6
	if _, err = s.Configure(b.ctx, req); err != nil {
		t.Fatal(err)
	}
	if st := b.status(s); st.Epoch != 6 || st.Topology != other.Hash() || st.Live || b.balance(s, 2) != 10 {
		t.Errorf("with another topology: %v", st)
	}
	b.stop()

	// Standing alone: the epoch on the disk, connected at once; another shape or
	// another node is refused.
	s = start(t, "n1", "127.0.0.1:0", s.fs)
	if err := s.node.Standalone(t.Context(), topology.Default()); err == nil || !strings.Contains(err.Error(), "another shape than --topology") {
		t.Errorf("another shape: %v", err)
	}
	if err := s.node.Standalone(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	if st := b.status(s); st.Epoch != 6 || !st.Live {
		t.Errorf("standing alone: %v", st)
	}
	s.stop()
	if s2, err := tryStart(t, "n2", "127.0.0.1:0", s.fs); err == nil {
		s2.stop()
		t.Error("n2 took the data directory of n1")
	} else if !strings.Contains(err.Error(), "belongs to node n1, this is n2") {
		t.Error(err)
	}
}

// TestRestart kills every node of a cluster, and one while the others go on.
func TestRestart(t *testing.T) {
	b := newBank(t, 1, 3)
	b.submit(b.leader("c1"), 1, 1, 2, 3, pb.Result_RESULT_COMMITTED)
	for _, s := range b.nodes {
		s.restart()
	}
	b.live(b.nodes...)
	leader := b.leader("c1")
	b.submit(leader, 2, 1, 2, 3, pb.Result_RESULT_COMMITTED)
	b.quiet(b.nodes...)

	leader.stop()
	var others []*server
	for _, s := range b.nodes {
		if s != leader {
			others = append(others, s)
		}
	}
	all := b.nodes
	b.nodes = others
	b.submit(b.leader("c1"), 3, 1, 2, 3, pb.Result_RESULT_COMMITTED)
	*leader = *start(t, leader.id, leader.address, leader.fs)
	if got := b.balance(leader, 2); got != 16 {
		t.Errorf("the killed node's disk says %d, want 16", got)
	}
	b.nodes = all
	b.live(leader)
	b.quiet(all...)
	if got := b.balance(leader, 2); got != 19 {
		t.Errorf("the node that came back has %d, want 19", got)
	}
	b.stop()
}

func TestDamagedConfiguration(t *testing.T) {
	fs := vfs.NewMem()
	store, err := storage.Open("data", storage.Options{FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	err = errors.Join(store.Configure(storage.Identity{NodeID: "n1", Config: []byte{0xff}, Topology: 1, Epoch: 1}), store.Close())
	if err != nil {
		t.Fatal(err)
	}
	if s, err := tryStart(t, "n1", "127.0.0.1:0", fs); err == nil {
		s.stop()
		t.Error("started with a configuration that makes no sense")
	} else if !strings.Contains(err.Error(), "data directory data is damaged and cannot be used") {
		t.Error(err)
	}
}
