package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"paxbank/internal/topology"
	"paxbank/internal/topologypb"
	pb "paxbank/proto/paxbank/v1"
	"paxbank/server/ids"
	"paxbank/server/paxos"
	"paxbank/server/replica"
	"paxbank/server/storage"
	"paxbank/server/transport"
)

// Options are what a node is made of.
type Options struct {
	ID        string
	Store     *storage.Store
	Transport *transport.Transport
	// Fatal is told, once, why the node must stop. It may not return control to a
	// node that goes on: production ends the process in it.
	Fatal func(error)
	Log   *slog.Logger
}

// Node is one server: the gRPC services Bank, Control and Inspect, and the
// replica behind them once it is configured.
type Node struct {
	pb.UnimplementedBankServer
	pb.UnimplementedControlServer
	pb.UnimplementedInspectServer

	opts Options
	now  func() ids.Time
	once sync.Once     // fatal
	over chan struct{} // closed by Close

	mu      sync.Mutex // Configure, Reset, SetLive, Close: one at a time
	closed  bool
	current atomic.Pointer[incarnation] // nil: not configured
}

// incarnation is a node between two resets.
type incarnation struct {
	request *pb.ConfigureRequest
	topo    *topology.Topology
	hash    uint64
	epoch   uint64
	self    ids.Node
	cluster string
	names   []string // node ids by number; "" at 0
	limits  replica.Limits
	engine  *engine
}

// clock returns the time: what the wall said when the process started, and how
// long that is ago by the monotonic clock, so that it never jumps.
func clock() func() ids.Time {
	start := time.Now()
	base := start.UnixNano()
	return func() ids.Time { return ids.Time(base + int64(time.Since(start))) }
}

// New returns a node. When its directory is already configured it comes up as
// what it was, disconnected, so that its state can be looked at.
func New(opts Options) (*Node, error) {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	n := &Node{opts: opts, now: clock(), over: make(chan struct{})}
	id, configured := opts.Store.Identity()
	if !configured {
		return n, nil
	}
	if id.NodeID != opts.ID {
		return nil, fmt.Errorf("data directory %s belongs to node %s, this is %s; choose another --data or --id", opts.Store.Dir(), id.NodeID, opts.ID)
	}
	var req pb.ConfigureRequest
	if err := proto.Unmarshal(id.Config, &req); err != nil {
		return nil, fmt.Errorf("data directory %s is damaged and cannot be used: its configuration cannot be read: %w", opts.Store.Dir(), err)
	}
	inc, err := n.incarnation(&req)
	if err != nil {
		return nil, fmt.Errorf("data directory %s is damaged and cannot be used: its configuration: %w", opts.Store.Dir(), err)
	}
	if inc.hash != id.Topology || inc.epoch != id.Epoch {
		return nil, fmt.Errorf("data directory %s is damaged and cannot be used: its configuration is of another topology or epoch", opts.Store.Dir())
	}
	if err := n.start(inc); err != nil {
		return nil, err
	}
	return n, nil
}

// Register adds the node's services, and the transport's, to a gRPC server.
func (n *Node) Register(s *grpc.Server) {
	pb.RegisterBankServer(s, n)
	pb.RegisterControlServer(s, n)
	pb.RegisterInspectServer(s, n)
	pb.RegisterPeerServer(s, n.opts.Transport)
}

// ServerOptions are what a gRPC server that serves a node needs.
func ServerOptions() []grpc.ServerOption { return transport.ServerOptions() }

// Close stops the replica and the transport; calls that wait fail. The store
// stays open.
func (n *Node) Close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return
	}
	n.closed = true
	close(n.over)
	n.stop()
	n.opts.Transport.Close()
}

func (n *Node) fatal(err error) {
	n.once.Do(func() { n.opts.Fatal(err) })
}

// incarnation checks a configuration and works out what follows from it.
func (n *Node) incarnation(req *pb.ConfigureRequest) (*incarnation, error) {
	if req.GetNodeId() != n.opts.ID {
		return nil, fmt.Errorf("this is node %s, not %q", n.opts.ID, req.GetNodeId())
	}
	if req.GetEpoch() == 0 {
		return nil, errors.New("the epoch must be at least 1")
	}
	topo, err := topologypb.FromProto(req.GetTopology())
	if err != nil {
		return nil, err
	}
	self, cluster, ok := topo.Lookup(n.opts.ID)
	if !ok {
		return nil, fmt.Errorf("node %s is not in the topology", n.opts.ID)
	}
	limits, err := limitsOf(req.GetLimits())
	if err != nil {
		return nil, err
	}
	inc := &incarnation{
		request: req, topo: topo, hash: topo.Hash(), epoch: req.GetEpoch(),
		self: ids.Node(self), cluster: topo.Clusters[cluster].ID, names: []string{""}, limits: limits,
	}
	for _, node := range topo.Nodes() {
		inc.names = append(inc.names, node.ID)
	}
	return inc, nil
}

// limitsOf returns the defaults with what the request names in their place.
func limitsOf(p *pb.Limits) (replica.Limits, error) {
	l := replica.DefaultLimits()
	ms := func(v uint32) ids.Duration { return ids.Duration(v) * replica.Millisecond }
	if v := p.GetCheckpointEvery(); v != 0 {
		l.CheckpointEvery = v
	}
	if v := p.GetElectionTimeoutMs(); v != 0 {
		l.ElectionMin = ms(v)
		l.HeartbeatEvery = max(l.ElectionMin/4, 1)
	}
	if v := p.GetHeartbeatMs(); v != 0 {
		l.HeartbeatEvery = ms(v)
	}
	if v := p.GetPrepareTimeoutMs(); v != 0 {
		l.PrepareTimeout = ms(v)
	}
	if l.ElectionMin < 2*l.HeartbeatEvery {
		return l, fmt.Errorf("limits: an election timeout of %d ms needs a heartbeat of at most half of it, not %d ms",
			l.ElectionMin/replica.Millisecond, l.HeartbeatEvery/replica.Millisecond)
	}
	return l, nil
}

func (inc *incarnation) identity(nodeID string) (storage.Identity, error) {
	config, err := proto.MarshalOptions{Deterministic: true}.Marshal(inc.request)
	if err != nil {
		return storage.Identity{}, err
	}
	return storage.Identity{NodeID: nodeID, Config: config, Topology: inc.hash, Epoch: inc.epoch}, nil
}

// start makes the replica from what is on the disk, not live. Holds mu, or is
// called before anybody else knows the node.
func (n *Node) start(inc *incarnation) error {
	records, err := n.opts.Store.Load()
	if err != nil {
		return err
	}
	st, err := paxos.Replay(records)
	if err != nil {
		return fmt.Errorf("data directory %s is damaged and cannot be used: %w", n.opts.Store.Dir(), err)
	}
	r, err := newReplica(replica.Config{
		Topology: inc.topo, Self: inc.self, Epoch: inc.epoch, Limits: inc.limits, Seed: rand.Uint64(),
	}, st, n.now())
	if err != nil {
		return fmt.Errorf("data directory %s is damaged and cannot be used: %w", n.opts.Store.Dir(), err)
	}
	inc.engine = newEngine(n.opts.ID, r, n.opts.Transport, n.opts.Store, n.now, n.fatal)
	n.connect(inc)
	n.current.Store(inc)
	return nil
}

// newReplica turns a violation met while the disk is replayed into an error.
func newReplica(cfg replica.Config, st paxos.Stable, now ids.Time) (r *replica.Replica, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = violation(p)
		}
	}()
	return replica.New(cfg, st, now)
}

// connect tells the transport who the others are.
func (n *Node) connect(inc *incarnation) {
	cfg := transport.Config{Self: inc.self, Topology: inc.hash, Epoch: inc.epoch, Deliver: inc.engine.deliver}
	for i, node := range inc.topo.Nodes() {
		cfg.Peers = append(cfg.Peers, transport.Peer{Number: ids.Node(i + 1), ID: node.ID, Address: node.Address})
	}
	n.opts.Transport.Configure(cfg)
}

// stop ends the current incarnation's engine. Holds mu.
func (n *Node) stop() {
	n.opts.Transport.SetLive(false)
	if inc := n.current.Load(); inc != nil {
		inc.engine.close()
	}
}

// replace begins a new incarnation with nothing on its disk. Durable on return.
// Holds mu.
func (n *Node) replace(inc *incarnation) error {
	id, err := inc.identity(n.opts.ID)
	if err != nil {
		return err
	}
	n.stop()
	if err := n.opts.Store.Configure(id); err != nil {
		n.fatal(err)
		return err
	}
	if err := n.start(inc); err != nil {
		n.fatal(err)
		return err
	}
	n.opts.Log.Info("configured", "node", n.opts.ID, "epoch", inc.epoch, "topology", fmt.Sprintf("%016x", inc.hash))
	return nil
}

// resume goes on with what is on the disk; addresses and limits may be new.
// Holds mu.
func (n *Node) resume(ctx context.Context, inc, before *incarnation) error {
	id, err := inc.identity(n.opts.ID)
	if err != nil {
		return err
	}
	if inc.limits == before.limits {
		if err := before.engine.setLive(ctx, false); err != nil {
			return err
		}
		inc.engine = before.engine
	} else {
		n.stop()
	}
	if !proto.Equal(inc.request, before.request) {
		if err := n.opts.Store.Amend(id); err != nil {
			n.fatal(err)
			return err
		}
	}
	if inc.engine != nil {
		n.connect(inc)
		n.current.Store(inc)
		return nil
	}
	if err := n.start(inc); err != nil {
		n.fatal(err)
		return err
	}
	return nil
}

// Standalone configures the node by a topology file's content and connects it:
// what --topology does. A directory that is configured already must have the
// same shape; it keeps its epoch.
func (n *Node) Standalone(ctx context.Context, topo *topology.Topology) error {
	epoch := uint64(1)
	if inc := n.current.Load(); inc != nil {
		if inc.hash != topo.Hash() {
			return fmt.Errorf("data directory %s belongs to a bank of another shape than --topology; choose another --data or remove it", n.opts.Store.Dir())
		}
		epoch = inc.epoch
	}
	req := &pb.ConfigureRequest{NodeId: n.opts.ID, Topology: topologypb.ToProto(topo), Epoch: epoch}
	if _, err := n.Configure(ctx, req); err != nil {
		return errors.New(status.Convert(err).Message())
	}
	if _, err := n.SetLive(ctx, &pb.SetLiveRequest{Live: true}); err != nil {
		return errors.New(status.Convert(err).Message())
	}
	return nil
}

// configured returns the incarnation, or the gRPC error that says there is none.
func (n *Node) configured(code codes.Code) (*incarnation, error) {
	inc := n.current.Load()
	if inc == nil {
		return nil, status.Errorf(code, "refused: %s is not configured", n.opts.ID)
	}
	return inc, nil
}

// nodeName returns a node's id; "" for none.
func (inc *incarnation) nodeName(node ids.Node) string {
	if int(node) < len(inc.names) {
		return inc.names[node]
	}
	return fmt.Sprintf("node number %d", node)
}

// ballot shows a ballot with the node's own name, "" for none.
func (inc *incarnation) ballot(b ids.Ballot) string {
	if b.IsZero() {
		return ""
	}
	return fmt.Sprintf("%d.%s", b.Counter, inc.nodeName(b.Node))
}

// txn shows an attempt's id, "" for none.
func (inc *incarnation) txn(t ids.Txn) string {
	if t == (ids.Txn{}) {
		return ""
	}
	if t.Ballot.IsZero() {
		return t.Request.String()
	}
	return fmt.Sprintf("%s@%s#%d", t.Request, inc.ballot(t.Ballot), t.Number)
}

// callError turns an error of engine.do into a gRPC status.
func callError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return status.FromContextError(err).Err()
	}
	return status.Error(codes.Unavailable, strings.ReplaceAll(err.Error(), "\n", " "))
}
