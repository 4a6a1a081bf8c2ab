package main

import (
	"context"
	"hash/fnv"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	pb "paxbank/proto/paxbank/v1"
)

// node is what the three services share.
type node struct {
	id   string
	data string // your work: what has to survive a kill -9 goes here, synced

	mu       sync.Mutex // guards what follows
	topology *pb.Topology
	hash     uint64
	cluster  *pb.Cluster // this node's
	epoch    uint64
	live     bool
}

// control is how the driver handles the node. It works while the node is
// disconnected, too.
type control struct {
	pb.UnimplementedControlServer
	*node
}

// Configure tells the node its bank.
//
// Your work: put topology and epoch on disk before you answer. With the same
// topology and epoch, go on with what the disk holds; a higher epoch is a fresh
// bank, a lower one FAILED_PRECONDITION.
func (s control) Configure(_ context.Context, q *pb.ConfigureRequest) (*pb.ConfigureReply, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var mine *pb.Cluster
	for _, c := range q.GetTopology().GetClusters() {
		for _, n := range c.GetNodes() {
			if n.GetId() == q.GetNodeId() {
				mine = c
			}
		}
	}
	switch {
	case q.GetNodeId() != s.id:
		return nil, status.Errorf(codes.InvalidArgument, "this is node %s, not %q", s.id, q.GetNodeId())
	case mine == nil:
		return nil, status.Errorf(codes.InvalidArgument, "the topology has no node %s", s.id)
	case q.GetEpoch() == 0:
		return nil, status.Error(codes.InvalidArgument, "epochs begin at 1")
	}
	hash, err := fingerprint(q.GetTopology())
	if err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "topology: %v", err)
	}
	s.topology, s.hash, s.cluster, s.epoch, s.live = q.GetTopology(), hash, mine, q.GetEpoch(), false
	return &pb.ConfigureReply{Topology: hash, Epoch: s.epoch}, nil
}

// fingerprint of a topology without its addresses: the same on all nodes.
func fingerprint(t *pb.Topology) (uint64, error) {
	bare := proto.CloneOf(t)
	for _, c := range bare.GetClusters() {
		for _, n := range c.GetNodes() {
			n.Address = ""
		}
	}
	text, err := proto.MarshalOptions{Deterministic: true}.Marshal(bare)
	if err != nil {
		return 0, err
	}
	h := fnv.New64a()
	h.Write(text)
	return h.Sum64(), nil
}

// Reset begins a new epoch with a fresh bank, disconnected.
//
// Your work: throw balances, log and promises away, on disk too, before you
// answer. Whatever arrives of an earlier epoch is ignored from now on.
func (s control) Reset(_ context.Context, q *pb.ResetRequest) (*pb.ResetReply, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.topology == nil || q.GetEpoch() < s.epoch {
		return nil, status.Errorf(codes.FailedPrecondition, "%s is in epoch %d", s.id, s.epoch)
	}
	if q.GetEpoch() > s.epoch {
		s.epoch, s.live = q.GetEpoch(), false
	}
	return &pb.ResetReply{Epoch: s.epoch}, nil
}

// SetLive connects the node to the others, or cuts it off.
//
// Your work: a disconnected node sends nothing, drops what it receives from other
// nodes and stops its timers. Connected again, it is a follower that knows what
// its disk holds.
func (s control) SetLive(_ context.Context, q *pb.SetLiveRequest) (*pb.SetLiveReply, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.topology == nil {
		return nil, status.Errorf(codes.FailedPrecondition, "%s is not configured", s.id)
	}
	s.live = q.GetLive()
	return &pb.SetLiveReply{}, nil
}

// Status says how the node is.
//
// Your work: elect a leader. For now the first node of a cluster claims to be
// it, also without a majority. Fill in quorum, the indices of your log, and what
// is locked, prepared or decided.
func (s control) Status(context.Context, *pb.StatusRequest) (*pb.StatusReply, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := &pb.StatusReply{NodeId: s.id, Configured: s.topology != nil, Topology: s.hash, Epoch: s.epoch, Live: s.live,
		Cluster: s.cluster.GetId()}
	if s.live {
		st.Leader = s.cluster.GetNodes()[0].GetId()
		st.Ready = st.Leader == s.id
	}
	return st, nil
}

// bank is what clients use.
type bank struct {
	pb.UnimplementedBankServer
	*node
}

// errNotBuilt begins with "refused: ": the request was not looked at. A client
// takes it for not sent, so that nothing waits for it.
var errNotBuilt = status.Error(codes.Unavailable, "refused: not built yet")

// Submit carries out one transfer.
//
// Your work, in this order: check the request (RESULT_INVALID, RESULT_WRONG_EPOCH);
// RESULT_NOT_LEADER unless you lead the sender's cluster; remember outcomes by
// (client_id, timestamp) and answer a known name with its outcome; put the
// transfer into the log, have a majority store it, apply it in the order of the
// log; with two clusters, two-phase commit.
func (s bank) Submit(context.Context, *pb.TransactionRequest) (*pb.TransactionReply, error) {
	return nil, errNotBuilt
}

// Read returns one balance.
//
// Your work: answer only as a leader that still leads (ask a majority), with
// everything applied that was acknowledged before the read came, and not while an
// undecided transfer holds the item.
func (s bank) Read(context.Context, *pb.ReadRequest) (*pb.ReadReply, error) {
	return nil, errNotBuilt
}

// inspect is what the driver prints and judges: this node's own state, also
// while it is disconnected.
type inspect struct {
	pb.UnimplementedInspectServer
	*node
}

// Balance returns balances of items that this node holds.
//
// Your work: what this replica has applied. For now it is what every item holds
// at the start.
func (s inspect) Balance(_ context.Context, q *pb.BalanceRequest) (*pb.BalanceReply, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	reply := &pb.BalanceReply{}
	for _, item := range q.GetItems() {
		if s.owns(item) {
			reply.Items = append(reply.Items, &pb.BalanceReply_Item{Item: item, Balance: s.initial(item)})
		}
	}
	return reply, nil
}

// owns reports whether the item belongs to this node's cluster.
func (n *node) owns(item int64) bool {
	for _, r := range n.topology.GetItemMap().GetRanges() {
		if r.GetFirstItem() <= item && item <= r.GetLastItem() {
			return r.GetCluster() == n.cluster.GetId()
		}
	}
	return false
}

// initial is what an item holds at the start.
func (n *node) initial(item int64) int64 {
	for _, b := range n.topology.GetBalances() {
		if b.GetItem() == item {
			return b.GetBalance()
		}
	}
	return n.topology.GetInitialBalance()
}

// Database lists the items that a transfer ever changed, with their balances.
//
// Your work: list them. For now there are none.
func (s inspect) Database(_ *pb.DatabaseRequest, stream grpc.ServerStreamingServer[pb.DatabaseReply]) error {
	return stream.Send(&pb.DatabaseReply{})
}
