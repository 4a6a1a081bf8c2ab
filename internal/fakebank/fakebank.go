// Package fakebank is a bank for tests of the driver: all nodes of a topology in
// one process, each a real gRPC server on a loopback port, over one shared map
// of balances. It knows nothing of Paxos: who leads is the first live node of a
// cluster with a majority, and a transfer is done at once. Tests make it
// misbehave through its fields and methods.
package fakebank

import (
	"context"
	"maps"
	"net"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"paxbank/internal/topology"
	pb "paxbank/proto/paxbank/v1"
)

// Fate is what a node does with a transfer that it leads.
type Fate int

// The fates.
const (
	Serve      Fate = iota // do it and answer
	DoSilently             // do it, and never answer
	Swallow                // neither do it nor answer
	Abort                  // answer aborted
	Decline                // answer unavailable
	Doubt                  // answer unknown, not done
)

// Bank is the shared state of all nodes.
type Bank struct {
	// NoStream: SubmitStream and ReadStream are not offered. Set before the first call.
	NoStream bool
	// NoQuiet: Status does not offer quiet.
	NoQuiet bool
	// Keep: a disconnected node shows what it had, as it should, and not what the
	// others have since. Set before the first call.
	Keep bool
	// Decide, when set, chooses the fate of a transfer at the leader; it is called
	// under the bank's lock.
	Decide func(node string, q *pb.TransactionRequest) Fate
	// OnTransfer, when set, is told of a transfer that begins; what it returns is
	// called before its answer leaves. Not under the lock.
	OnTransfer func(q *pb.TransactionRequest) func()

	// Credit, when set, is what the receiver of a committed transfer gets; anything
	// but the amount is a bug for a judge to find. epoch is that of the request,
	// down the number of nodes of the receiver's cluster that are not live. It is
	// called under the bank's lock.
	Credit func(q *pb.TransactionRequest, epoch uint64, down int) int64

	topology *topology.Topology

	mu       sync.Mutex
	nodes    []*Node
	balances map[int64]int64 // of modified items
	outcomes map[[2]uint64]pb.Result
	// Requests counts what arrived at each node's Bank service.
	requests map[string]int
	floors   []uint64 // every done_below seen
	log      [][]*pb.LogEntry
}

// Node is one server.
type Node struct {
	bank       *Bank
	id         string
	cluster    int
	address    string
	server     *grpc.Server
	live       bool
	electing   bool // says "no leader known" instead of what it knows
	deluded    string
	epoch      uint64
	configured bool
	elections  uint64
	gone       chan struct{} // closed when the node is disconnected or stopped
	kept       replica       // what it had when it was disconnected
}

// replica is what a node holds.
type replica struct {
	balances map[int64]int64 // of modified items
	log      []*pb.LogEntry
}

// Start starts all nodes of t and returns the bank. Stop it.
func Start(t *topology.Topology) (*Bank, error) {
	b := &Bank{requests: map[string]int{}}
	withAddresses := *t
	withAddresses.Clusters = nil
	for c, cl := range t.Clusters {
		copied := topology.Cluster{ID: cl.ID}
		for _, n := range cl.Nodes {
			node := &Node{bank: b, id: n.ID, cluster: c, gone: make(chan struct{})}
			if err := node.listen("127.0.0.1:0"); err != nil {
				b.Stop()
				return nil, err
			}
			b.nodes = append(b.nodes, node)
			copied.Nodes = append(copied.Nodes, topology.Node{ID: n.ID, Address: node.address})
		}
		withAddresses.Clusters = append(withAddresses.Clusters, copied)
	}
	b.topology = &withAddresses
	b.clear()
	return b, nil
}

func (n *Node) listen(address string) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	n.address = l.Addr().String()
	n.server = grpc.NewServer()
	pb.RegisterBankServer(n.server, bankService{n: n})
	pb.RegisterControlServer(n.server, controlService{n: n})
	pb.RegisterInspectServer(n.server, inspectService{n: n})
	server := n.server
	go server.Serve(l)
	return nil
}

// Topology with the nodes' addresses.
func (b *Bank) Topology() *topology.Topology { return b.topology }

// Stop stops all nodes.
func (b *Bank) Stop() {
	for _, n := range b.nodes {
		b.mu.Lock()
		n.hangUp()
		b.mu.Unlock()
		n.server.Stop()
	}
}

func (b *Bank) clear() {
	b.balances = map[int64]int64{}
	b.outcomes = map[[2]uint64]pb.Result{}
	b.log = make([][]*pb.LogEntry, len(b.topology.Clusters))
	for _, n := range b.nodes {
		n.kept = replica{}
	}
}

// Begin makes all nodes live at an epoch, without the Control service.
func (b *Bank) Begin(epoch uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, n := range b.nodes {
		n.epoch, n.configured = epoch, true
		n.setLive(true)
	}
}

// SetLive connects or disconnects nodes.
func (b *Bank) SetLive(live bool, ids ...string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, id := range ids {
		b.node(id).setLive(live)
	}
}

// SetElecting makes nodes say that they know of no leader.
func (b *Bank) SetElecting(electing bool, ids ...string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, id := range ids {
		b.node(id).electing = electing
	}
}

// SetDeluded makes a node, also the leader, name another as leader; "" ends it.
func (b *Bank) SetDeluded(id, leader string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.node(id).deluded = leader
}

// Kill stops a node's server: connections to it are refused.
func (b *Bank) Kill(id string) error {
	b.mu.Lock()
	n := b.node(id)
	n.setLive(false)
	b.mu.Unlock()
	n.server.Stop()
	return nil
}

// Restart starts a killed node at its old address, disconnected.
func (b *Bank) Restart(_ context.Context, id string) (string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := b.node(id)
	return n.address, n.listen(n.address)
}

// Ended is nobody.
func (b *Bank) Ended() map[string]string { return nil }

// Balance of an item.
func (b *Bank) Balance(item int64) int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.balance(item)
}

// Requests that reached a node's Submit or SubmitStream.
func (b *Bank) Requests(id string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.requests[id]
}

// Floors returns every done_below seen so far.
func (b *Bank) Floors() []uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]uint64(nil), b.floors...)
}

func (b *Bank) balance(item int64) int64 {
	if v, ok := b.balances[item]; ok {
		return v
	}
	return b.topology.Balance(item)
}

func (b *Bank) node(id string) *Node {
	for _, n := range b.nodes {
		if n.id == id {
			return n
		}
	}
	panic("no node " + id)
}

func (n *Node) setLive(live bool) {
	if n.live == live {
		return
	}
	if !live {
		held := n.replica()
		n.kept = replica{balances: maps.Clone(held.balances), log: held.log}
	}
	n.live = live
	if live {
		n.gone = make(chan struct{})
		if n.bank.leader(n.cluster) == n.id {
			n.elections++
		}
	} else {
		n.hangUp()
	}
}

// replica is what the node holds now.
func (n *Node) replica() replica {
	if n.bank.Keep && !n.live {
		return n.kept
	}
	return replica{balances: n.bank.balances, log: n.bank.log[n.cluster]}
}

// balance of an item as the node has it.
func (n *Node) balance(item int64) int64 {
	if v, ok := n.replica().balances[item]; ok {
		return v
	}
	return n.bank.topology.Balance(item)
}

func (n *Node) hangUp() {
	select {
	case <-n.gone:
	default:
		close(n.gone)
	}
}

func (b *Bank) quorum(cluster int) bool {
	return b.down(cluster) < (len(b.topology.Clusters[cluster].Nodes)+1)/2
}

// down is the number of a cluster's nodes that are not live.
func (b *Bank) down(cluster int) int {
	down := 0
	for _, n := range b.nodes {
		if n.cluster == cluster && !n.live {
			down++
		}
	}
	return down
}

func (b *Bank) leader(cluster int) string {
	if !b.quorum(cluster) {
		return ""
	}
	for _, n := range b.nodes {
		if n.cluster == cluster && n.live && !n.electing {
			return n.id
		}
	}
	return ""
}

// admit says whether the node serves requests of its cluster now; otherwise
// with which result, leader and epoch it turns them away.
func (n *Node) admit(epoch uint64) (pb.Result, string, uint64) {
	switch leader := n.bank.leader(n.cluster); {
	case epoch != n.epoch:
		return pb.Result_RESULT_WRONG_EPOCH, "", n.epoch
	case n.deluded != "":
		return pb.Result_RESULT_NOT_LEADER, n.deluded, 0
	case n.electing:
		return pb.Result_RESULT_NOT_LEADER, "", 0
	case leader == "" && !n.bank.quorum(n.cluster):
		return pb.Result_RESULT_UNAVAILABLE, "", 0
	case leader != n.id:
		return pb.Result_RESULT_NOT_LEADER, leader, 0
	}
	return pb.Result_RESULT_UNSPECIFIED, "", 0
}

func (n *Node) refused() error {
	if !n.live {
		return status.Errorf(codes.Unavailable, "refused: %s is disconnected", n.id)
	}
	return nil
}

// transfer carries a request out; nil means that no answer leaves.
func (n *Node) transfer(q *pb.TransactionRequest) *pb.TransactionReply {
	b := n.bank
	b.mu.Lock()
	b.requests[n.id]++
	b.floors = append(b.floors, q.GetDoneBelow())
	reply := &pb.TransactionReply{ClientId: q.GetClientId(), Timestamp: q.GetTimestamp()}
	if r, leader, epoch := n.admit(q.GetEpoch()); r != pb.Result_RESULT_UNSPECIFIED {
		reply.Result, reply.Leader, reply.Epoch = r, leader, epoch
		b.mu.Unlock()
		return reply
	}
	fate := Serve
	if b.Decide != nil {
		fate = b.Decide(n.id, q)
	}
	b.mu.Unlock()
	if b.OnTransfer != nil && fate == Serve {
		defer b.OnTransfer(q)()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch fate {
	case Swallow:
		return nil
	case Abort:
		reply.Result = pb.Result_RESULT_ABORTED
		return reply
	case Decline:
		reply.Result = pb.Result_RESULT_UNAVAILABLE
		return reply
	case Doubt:
		reply.Result = pb.Result_RESULT_UNKNOWN
		return reply
	}
	reply.Result = b.do(q)
	reply.Final = reply.Result != pb.Result_RESULT_ABORTED
	reply.Success = reply.Result == pb.Result_RESULT_COMMITTED
	if fate == DoSilently {
		return nil
	}
	return reply
}

// do executes a transfer exactly once.
func (b *Bank) do(q *pb.TransactionRequest) pb.Result {
	key := [2]uint64{q.GetClientId(), q.GetTimestamp()}
	if r, ok := b.outcomes[key]; ok {
		return r
	}
	t := q.GetTransfer()
	from, _ := b.topology.Items.Cluster(t.GetFrom())
	to, ok := b.topology.Items.Cluster(t.GetTo())
	var r pb.Result
	switch {
	case !ok || t.GetFrom() == t.GetTo() || t.GetAmount() <= 0:
		r = pb.Result_RESULT_INVALID
	case !b.quorum(to):
		return pb.Result_RESULT_ABORTED // of this send
	case b.balance(t.GetFrom()) < t.GetAmount():
		r = pb.Result_RESULT_INSUFFICIENT_FUNDS
	default:
		r = pb.Result_RESULT_COMMITTED
		b.balances[t.GetFrom()] = b.balance(t.GetFrom()) - t.GetAmount()
		credit := t.GetAmount()
		if b.Credit != nil {
			credit = b.Credit(q, q.GetEpoch(), b.down(to))
		}
		b.balances[t.GetTo()] = b.balance(t.GetTo()) + credit
	}
	b.outcomes[key] = r
	for _, c := range map[bool][]int{true: {from}, false: {from, to}}[from == to] {
		index := uint64(len(b.log[c]) + 1)
		b.log[c] = append(b.log[c], &pb.LogEntry{
			Index: index, Seq: index, Ballot: "1.n1", Origin: "1.n1", Kind: "transfer", ClientId: q.GetClientId(),
			Timestamp: q.GetTimestamp(), Transfer: t, Status: "E", Effect: "applied",
		})
	}
	return r
}
