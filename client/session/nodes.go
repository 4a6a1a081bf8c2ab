package session

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/stats"

	"paxbank/internal/grpcopts"
	"paxbank/internal/topology"
	pb "paxbank/proto/paxbank/v1"
)

// maxMessage is the largest message accepted: logs and databases are streamed
// in pieces, views are not.
const maxMessage = 64 << 20

// Nodes are the connections to all nodes of a bank, one a node, dialled when
// first used and again whenever they break.
type Nodes struct {
	topology *topology.Topology
	clusters [][]*link
	byID     map[string]*link
	broken   violations
}

// Connect makes the connections. Every node of t needs an address. Nothing is
// dialled yet.
func Connect(t *topology.Topology) (*Nodes, error) {
	n := &Nodes{topology: t, byID: map[string]*link{}}
	for _, c := range t.Clusters {
		var links []*link
		for _, node := range c.Nodes {
			if node.Address == "" {
				n.Close()
				return nil, fmt.Errorf("node %s has no address in the topology", node.ID)
			}
			l, err := n.newLink(node.ID, node.Address)
			if err != nil {
				n.Close()
				return nil, err
			}
			links = append(links, l)
			n.byID[node.ID] = l
		}
		n.clusters = append(n.clusters, links)
	}
	return n, nil
}

// Topology is the one the connections were made for.
func (n *Nodes) Topology() *topology.Topology { return n.topology }

// Control of a node. REQUIRES: the node is in the topology.
func (n *Nodes) Control(id string) pb.ControlClient { return pb.NewControlClient(n.byID[id].channel()) }

// Inspect of a node. REQUIRES: the node is in the topology.
func (n *Nodes) Inspect(id string) pb.InspectClient { return pb.NewInspectClient(n.byID[id].channel()) }

// Bank of a node, for a call that is meant for this one and no other. REQUIRES:
// the node is in the topology.
func (n *Nodes) Bank(id string) pb.BankClient { return pb.NewBankClient(n.byID[id].channel()) }

// Renew forgets the connection of a node that was failed or restarted, so that
// the next send opens a fresh one at address ("" keeps the old address). What
// was under way on the old one ends without an answer.
func (n *Nodes) Renew(id, address string) error { return n.byID[id].renew(address) }

// HangUp ends all streams, so that the next transfers open new ones. Call it
// when nothing is under way and nodes were reset: a node that ends an old stream
// then cannot leave a request of the new epoch in doubt.
func (n *Nodes) HangUp() {
	for _, l := range n.byID {
		l.hangUp()
	}
}

// Close ends all connections and everything under way on them.
func (n *Nodes) Close() error {
	var errs []error
	for _, l := range n.byID {
		errs = append(errs, l.close())
	}
	return errors.Join(errs...)
}

func dial(address string) (*grpc.ClientConn, error) {
	conn, err := grpc.NewClient(grpcopts.Target(address),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithStatsHandler(payloadWatch{}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage), grpc.MaxCallSendMsgSize(maxMessage)),
		// Nodes are killed and come back within a run: look for them often. The
		// default backoff grows to two minutes.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 10 * time.Millisecond, Multiplier: 1.5, Jitter: 0.2, MaxDelay: 100 * time.Millisecond},
			MinConnectTimeout: 2 * time.Second,
		}),
		grpc.WithNoProxy(),
		// Never: an idle connection that is closed and dialled anew would make the
		// first request after a pause slower than the others.
		grpc.WithIdleTimeout(0),
	)
	if err != nil {
		return nil, fmt.Errorf("address %s: %w", address, err)
	}
	return conn, nil
}

// payloadWatch notes whether a call's request was handed to the connection. A
// call that failed before certainly had no effect.
type payloadWatch struct{}

type leftKey struct{}

// withLeft returns a context whose call sets left once its request went out.
func withLeft(ctx context.Context, left *atomic.Bool) context.Context {
	return context.WithValue(ctx, leftKey{}, left)
}

func (payloadWatch) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }

func (payloadWatch) HandleRPC(ctx context.Context, s stats.RPCStats) {
	if _, ok := s.(*stats.OutPayload); ok {
		if left, ok := ctx.Value(leftKey{}).(*atomic.Bool); ok {
			left.Store(true)
		}
	}
}

func (payloadWatch) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (payloadWatch) HandleConn(context.Context, stats.ConnStats)                       {}
