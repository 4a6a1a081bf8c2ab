package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"paxbank/internal/grpcopts"
	"paxbank/internal/topology"
	"paxbank/internal/topologypb"
	pb "paxbank/proto/paxbank/v1"
)

// The bounds of the bank's set-up.
const (
	// connections to a node: the first carries the streams and all control, and
	// all of them share the unary calls.
	connections = 4
	// callTimeout of a Control or Inspect call that does little work.
	callTimeout = 5 * time.Second
	// resetTimeout of a Configure, which replaces a disk's contents.
	resetTimeout = 30 * time.Second
	// readyBound: every cluster with a majority has a ready leader so long after it
	// went live.
	readyBound = 15 * time.Second
	// quietBound: everything is applied everywhere so long after the last answer.
	quietBound = 30 * time.Second
	// pollEvery: between two looks at the nodes' status.
	pollEvery = 10 * time.Millisecond
	// stillPolls: a node that does not offer Status.quiet counts as quiet when its
	// indices stood still for so many polls.
	stillPolls = 20
)

// peer is one node.
type peer struct {
	id      string
	cluster int

	mu    sync.Mutex
	conns []*grpc.ClientConn
}

// connection is the first one.
func (p *peer) connection() *grpc.ClientConn { return p.spread(0) }

// spread deals callers out to the connections.
func (p *peer) spread(caller int) *grpc.ClientConn {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.conns[caller%len(p.conns)]
}

// dial connects, or connects anew when the node has another address.
func (p *peer) dial(address string) error {
	var conns []*grpc.ClientConn
	for range connections {
		c, err := grpc.NewClient(grpcopts.Target(address),
			grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithNoProxy(), grpc.WithDisableServiceConfig(), grpc.WithIdleTimeout(0),
			grpc.WithInitialWindowSize(grpcopts.Window), grpc.WithInitialConnWindowSize(grpcopts.Window),
			grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(grpcopts.MaxMessageBytes), grpc.MaxCallSendMsgSize(grpcopts.MaxMessageBytes)),
			// Nodes fail and come back within a run: look for them often.
			grpc.WithConnectParams(grpc.ConnectParams{
				Backoff:           backoff.Config{BaseDelay: 10 * time.Millisecond, Multiplier: 1.5, Jitter: 0.2, MaxDelay: 100 * time.Millisecond},
				MinConnectTimeout: 2 * time.Second,
			}))
		if err != nil {
			return fmt.Errorf("node %s at %s: %w", p.id, address, err)
		}
		conns = append(conns, c)
	}
	p.mu.Lock()
	old := p.conns
	p.conns = conns
	p.mu.Unlock()
	for _, c := range old {
		c.Close()
	}
	return nil
}

func (p *peer) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		c.Close()
	}
}

// bank is the nodes that the load is put on.
type bank struct {
	topology    *topology.Topology
	clusters    [][]*peer
	nodes       []*peer // all, in topology order
	leaders     []atomic.Int32
	epoch, hash uint64

	mu   sync.Mutex
	live map[string]bool
}

// connect makes the connections; every node of t has an address.
func connect(t *topology.Topology) (*bank, error) {
	b := &bank{topology: t, leaders: make([]atomic.Int32, len(t.Clusters)), live: map[string]bool{}}
	for c, cl := range t.Clusters {
		var peers []*peer
		for _, n := range cl.Nodes {
			p := &peer{id: n.ID, cluster: c}
			if err := p.dial(n.Address); err != nil {
				b.close()
				return nil, err
			}
			peers, b.nodes = append(peers, p), append(b.nodes, p)
		}
		b.clusters = append(b.clusters, peers)
	}
	return b, nil
}

func (b *bank) close() {
	for _, p := range b.nodes {
		p.close()
	}
}

// leader is the position of the node that is taken for a cluster's leader.
func (b *bank) leader(cluster int) int { return int(b.leaders[cluster].Load()) }

// redirect turns from the node that was asked to the one it named, or else to
// the next; false when it was not told whom to ask. Somebody else's redirection
// in the meantime is left alone.
func (b *bank) redirect(cluster, asked int, named string) (told bool) {
	peers := b.clusters[cluster]
	next := (asked + 1) % len(peers)
	for i, p := range peers {
		if p.id == named && i != asked {
			next, told = i, true
		}
	}
	b.leaders[cluster].CompareAndSwap(int32(asked), int32(next))
	return told
}

// each calls do for every node at once and returns the first error in order.
func (b *bank) each(ctx context.Context, timeout time.Duration, do func(context.Context, *peer) error) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	errs := make([]error, len(b.nodes))
	var wg sync.WaitGroup
	for i, p := range b.nodes {
		wg.Go(func() { errs[i] = do(ctx, p) })
	}
	wg.Wait()
	for i, err := range errs {
		if err != nil {
			return fmt.Errorf("node %s: %w", b.nodes[i].id, err)
		}
	}
	return nil
}

// reset gives all nodes a fresh bank in a new epoch, makes them live and waits
// for a leader of every cluster.
func (b *bank) reset(ctx context.Context) error {
	var epoch, hash atomic.Uint64
	err := b.each(ctx, callTimeout, func(ctx context.Context, p *peer) error {
		st, err := pb.NewControlClient(p.connection()).Status(ctx, &pb.StatusRequest{}, grpc.WaitForReady(true))
		if err != nil {
			return fmt.Errorf("no answer to Status: %w", err)
		}
		for old := epoch.Load(); st.GetEpoch() > old && !epoch.CompareAndSwap(old, st.GetEpoch()); old = epoch.Load() {
		}
		return nil
	})
	if err != nil {
		return err
	}
	b.epoch = max(epoch.Load(), b.epoch) + 1
	description := topologypb.ToProto(b.topology)
	err = b.each(ctx, resetTimeout, func(ctx context.Context, p *peer) error {
		r, err := pb.NewControlClient(p.connection()).Configure(ctx, &pb.ConfigureRequest{NodeId: p.id, Topology: description, Epoch: b.epoch})
		if err != nil {
			return fmt.Errorf("not configured: %w", err)
		}
		if !hash.CompareAndSwap(0, r.GetTopology()) && hash.Load() != r.GetTopology() {
			return fmt.Errorf("its fingerprint of the topology is %x, that of others %x", r.GetTopology(), hash.Load())
		}
		return nil
	})
	if err != nil {
		return err
	}
	b.hash = hash.Load()
	if err := b.each(ctx, callTimeout, func(ctx context.Context, p *peer) error { return b.setLive(ctx, p, true) }); err != nil {
		return err
	}
	return b.awaitLeaders(ctx)
}

// setLive connects or disconnects a node.
func (b *bank) setLive(ctx context.Context, p *peer, live bool) error {
	if _, err := pb.NewControlClient(p.connection()).SetLive(ctx, &pb.SetLiveRequest{Live: live}, grpc.WaitForReady(true)); err != nil {
		return fmt.Errorf("neither connected nor disconnected: %w", err)
	}
	b.markLive(p, live)
	return nil
}

func (b *bank) markLive(p *peer, live bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.live[p.id] = live
}

// liveIn are the live nodes of a cluster.
func (b *bank) liveIn(cluster int) []*peer {
	b.mu.Lock()
	defer b.mu.Unlock()
	var live []*peer
	for _, p := range b.clusters[cluster] {
		if b.live[p.id] {
			live = append(live, p)
		}
	}
	return live
}

func (b *bank) quorum(cluster int) bool {
	return len(b.liveIn(cluster)) > len(b.clusters[cluster])/2
}

// await polls until look returns "", or returns what it waited for in vain.
func await(ctx context.Context, bound time.Duration, look func(context.Context) (waiting string)) error {
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	waiting := ""
	for {
		text := look(ctx)
		if text == "" {
			return nil
		}
		if waiting == "" || ctx.Err() == nil {
			waiting = text
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return ctx.Err()
			}
			return fmt.Errorf("waited %s in vain for %s", bound, waiting)
		}
	}
}

func (b *bank) awaitLeaders(ctx context.Context) error {
	return await(ctx, readyBound, func(ctx context.Context) string {
		for c := range b.clusters {
			if !b.quorum(c) {
				continue
			}
			if b.findLeader(ctx, c) < 0 {
				return "a ready leader of " + b.topology.Clusters[c].ID
			}
		}
		return ""
	})
}

// findLeader asks a cluster's nodes who of them is ready to lead; -1: nobody.
func (b *bank) findLeader(ctx context.Context, cluster int) int {
	for i, p := range b.clusters[cluster] {
		st, err := b.status(ctx, p)
		if err == nil && st.GetReady() {
			b.leaders[cluster].Store(int32(i))
			return i
		}
	}
	return -1
}

func (b *bank) status(ctx context.Context, p *peer) (*pb.StatusReply, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return pb.NewControlClient(p.connection()).Status(ctx, &pb.StatusRequest{})
}

// settle waits until the live nodes of every cluster with a quorum have applied
// the same and have nothing under way. What is prepared or decided for a cluster
// without a quorum has to wait for that one, and is not waited for.
func (b *bank) settle(ctx context.Context) error {
	still, last, offered := map[string]int{}, map[string]uint64{}, false
	all := true
	for c := range b.clusters {
		all = all && b.quorum(c)
	}
	return await(ctx, quietBound, func(ctx context.Context) string {
		for c := range b.clusters {
			if !b.quorum(c) {
				continue
			}
			first := uint64(0)
			for i, p := range b.liveIn(c) {
				st, err := b.status(ctx, p)
				if err != nil {
					return "the status of node " + p.id
				}
				if i == 0 {
					first = st.GetAppliedIndex()
				}
				if st.GetAppliedIndex() != last[p.id] {
					still[p.id], last[p.id] = 0, st.GetAppliedIndex()
				}
				still[p.id]++
				offered = offered || st.GetQuiet()
				switch {
				case st.GetAppliedIndex() != first || st.GetAppliedIndex() != st.GetCommitIndex():
					return fmt.Sprintf("node %s to apply everything (%d of %d)", p.id, st.GetAppliedIndex(), max(first, st.GetCommitIndex()))
				case all && st.GetLocks()+st.GetUndoRecords()+st.GetPrepared()+st.GetDecided() > 0:
					return fmt.Sprintf("node %s to finish two-phase commit", p.id)
				case !st.GetQuiet() && (offered && all || still[p.id] < stillPolls):
					return fmt.Sprintf("node %s to be quiet", p.id)
				}
			}
		}
		return ""
	})
}

// offers reports whether the nodes offer a stream.
func (b *bank) offers(ctx context.Context, method string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	s, err := newStream(ctx, b.nodes[0].connection(), method)
	if err == nil {
		if err = s.CloseSend(); err == nil {
			err = s.RecvMsg(&grpcopts.In{})
		}
	}
	switch {
	case err == nil || errors.Is(err, io.EOF):
		return true, nil
	case status.Code(err) == codes.Unimplemented:
		return false, nil
	}
	return false, fmt.Errorf("node %s: %s: %w", b.nodes[0].id, method, err)
}
