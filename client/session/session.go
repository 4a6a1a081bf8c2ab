package session

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"paxbank/internal/topology"
	pb "paxbank/proto/paxbank/v1"
)

// Outcome of a request, in the words that users read.
type Outcome string

// The outcomes. Value is a read that got its balance.
const (
	Committed         Outcome = "committed"
	InsufficientFunds Outcome = "insufficient_funds"
	Aborted           Outcome = "aborted"
	Unavailable       Outcome = "unavailable"
	Unknown           Outcome = "unknown"
	Invalid           Outcome = "invalid"
	Value             Outcome = "value"
)

// Result is what became of one request.
type Result struct {
	Outcome Outcome
	Value   int64 // of a read, with Outcome Value
	// Client and Timestamp identify a transfer; zero for reads.
	Client, Timestamp uint64
	// Epoch the request belongs to.
	Epoch    uint64
	Attempts int    // sends
	Node     string // that answered last, empty when none did
	Message  string // why, for people
}

// Request names a transfer whose outcome is to be resolved.
type Request struct {
	Client, Timestamp, Epoch uint64
	From                     int64 // the sender, whose cluster is asked
}

// Session is one client of the bank. Its methods may be called concurrently.
type Session struct {
	nodes    *Nodes
	topology *topology.Topology
	client   uint64
	leader   []atomic.Int32 // by cluster: position of the node asked first
	active   atomic.Int64   // requests under way

	mu    sync.Mutex
	epoch uint64
	hash  uint64 // fingerprint of the topology, as the nodes call it
	ids   ledger
}

// ledger hands out timestamps and knows the lowest one that is still open, the
// done_below of every request.
type ledger struct {
	next, low uint64
	closed    map[uint64]bool // closed timestamps above low
}

func (l *ledger) open() uint64 {
	t := l.next
	l.next++
	return t
}

func (l *ledger) close(t uint64) {
	if t < l.low {
		return
	}
	l.closed[t] = true
	for l.closed[l.low] {
		delete(l.closed, l.low)
		l.low++
	}
}

// New returns a session over nodes. Its client id is random, so that two
// processes, or two sessions of one, never share a request's name.
func New(nodes *Nodes) (*Session, error) {
	var id [8]byte
	for binary.BigEndian.Uint64(id[:]) == 0 {
		if _, err := rand.Read(id[:]); err != nil {
			return nil, fmt.Errorf("random client id: %w", err)
		}
	}
	t := nodes.topology
	return &Session{
		nodes:    nodes,
		topology: t,
		hash:     t.Hash(),
		client:   binary.BigEndian.Uint64(id[:]),
		leader:   make([]atomic.Int32, len(t.Clusters)),
		ids:      ledger{next: 1, low: 1, closed: map[uint64]bool{}},
	}, nil
}

// SetEpoch begins a new epoch: requests of the old one, whatever became of
// them, can have no effect any more and hold the floor down no longer. hash is
// the topology's fingerprint as the nodes report it.
func (s *Session) SetEpoch(epoch, hash uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.epoch, s.hash = epoch, hash
	s.ids.low = s.ids.next
	clear(s.ids.closed)
}

// SetLeader says which node of a cluster to ask first. It is a hint.
func (s *Session) SetLeader(cluster int, node string) {
	for i, n := range s.topology.Clusters[cluster].Nodes {
		if n.ID == node {
			s.leader[cluster].Store(int32(i))
		}
	}
}

// DoneBelow is the lowest timestamp that still lacks a final outcome.
func (s *Session) DoneBelow() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ids.low
}

// Transfer moves amount from one item to another and returns after deadline at
// the latest (plus a short grace for the answer's way). When the outcome is
// Unknown, Resolve it: until then the session holds its floor.
func (s *Session) Transfer(ctx context.Context, from, to, amount int64, deadline time.Duration) Result {
	until := time.Now().Add(deadline)
	s.mu.Lock()
	epoch, hash, timestamp := s.epoch, s.hash, s.ids.open()
	s.mu.Unlock()
	r := Result{Client: s.client, Timestamp: timestamp, Epoch: epoch}
	cluster, ok := s.topology.Items.Cluster(from)
	if !ok {
		s.close(epoch, timestamp)
		r.Outcome, r.Message = Invalid, fmt.Sprintf("no cluster owns item %d", from)
		return r
	}
	e := s.pursue(ctx, chase{
		cluster: cluster,
		until:   until,
		send: func(c *call, l *link, at int, left time.Duration) {
			l.submit(&delivery{call: c, at: at, request: &pb.TransactionRequest{
				Epoch:      epoch,
				Topology:   hash,
				ClientId:   s.client,
				Timestamp:  timestamp,
				DoneBelow:  s.DoneBelow(),
				Transfer:   &pb.Transfer{From: from, To: to, Amount: amount},
				DeadlineMs: millis(left),
			}})
		},
		decides: func(a *answer) bool {
			switch a.result {
			case pb.Result_RESULT_COMMITTED, pb.Result_RESULT_INSUFFICIENT_FUNDS,
				pb.Result_RESULT_ABORTED, pb.Result_RESULT_INVALID:
				return true
			}
			return a.result == pb.Result_RESULT_UNAVAILABLE && a.final
		},
	})
	r.Attempts, r.Node, r.Message = e.attempts, e.node, e.message
	switch {
	case !e.decided && e.unclear:
		r.Outcome = Unknown
	case !e.decided:
		r.Outcome = Unavailable
	case e.answer.result == pb.Result_RESULT_ABORTED && e.unclear && !e.answer.final:
		// This send changed nothing, an earlier one may have.
		r.Outcome = Unknown
		r.Message = "one send was aborted, another was not answered: " + e.message
	default:
		r.Outcome = outcomeOf(e.answer.result)
	}
	if r.Outcome != Unknown {
		s.close(epoch, timestamp)
	}
	return r
}

// Resolve settles a transfer whose outcome is unknown: afterwards it either has
// its outcome or can never execute (Aborted). It stays Unknown when the
// sender's cluster has no quorum or does not settle it before the deadline, and
// can then be asked again. Only requests of this session are resolved here.
func (s *Session) Resolve(ctx context.Context, q Request, deadline time.Duration) Result {
	r := Result{Outcome: Unknown, Client: q.Client, Timestamp: q.Timestamp, Epoch: q.Epoch}
	cluster, ok := s.topology.Items.Cluster(q.From)
	if !ok {
		r.Message = fmt.Sprintf("no cluster owns item %d", q.From)
		return r
	}
	s.mu.Lock()
	hash := s.hash
	s.mu.Unlock()
	e := s.pursue(ctx, chase{
		cluster: cluster,
		until:   time.Now().Add(deadline),
		send: func(c *call, l *link, at int, left time.Duration) {
			l.resolve(c, at, &pb.ResolveRequest{
				Epoch:      q.Epoch,
				Topology:   hash,
				ClientId:   q.Client,
				Timestamp:  q.Timestamp,
				DoneBelow:  s.DoneBelow(),
				From:       q.From,
				DeadlineMs: millis(left),
			})
		},
		decides: func(a *answer) bool {
			switch a.result {
			case pb.Result_RESULT_COMMITTED, pb.Result_RESULT_INSUFFICIENT_FUNDS,
				pb.Result_RESULT_ABORTED, pb.Result_RESULT_INVALID:
				return true
			}
			return false
		},
	})
	r.Attempts, r.Node, r.Message = e.attempts, e.node, e.message
	if e.decided {
		r.Outcome = outcomeOf(e.answer.result)
		s.close(q.Epoch, q.Timestamp)
	}
	return r
}

// Read returns the balance of item, linearisably, or Unavailable, or Unknown
// when a send stayed without an answer. A read has no effect either way.
func (s *Session) Read(ctx context.Context, item int64, deadline time.Duration) Result {
	s.mu.Lock()
	epoch, hash := s.epoch, s.hash
	s.mu.Unlock()
	r := Result{Epoch: epoch}
	cluster, ok := s.topology.Items.Cluster(item)
	if !ok {
		r.Outcome, r.Message = Invalid, fmt.Sprintf("no cluster owns item %d", item)
		return r
	}
	e := s.pursue(ctx, chase{
		cluster: cluster,
		until:   time.Now().Add(deadline),
		send: func(c *call, l *link, at int, left time.Duration) {
			l.read(c, at, &pb.ReadRequest{
				Epoch: epoch, Topology: hash, Item: item, DeadlineMs: millis(left),
			})
		},
		decides: func(a *answer) bool {
			return a.result == pb.Result_RESULT_COMMITTED || a.result == pb.Result_RESULT_INVALID
		},
	})
	r.Attempts, r.Node, r.Message = e.attempts, e.node, e.message
	switch {
	case e.decided && e.answer.result == pb.Result_RESULT_COMMITTED:
		r.Outcome, r.Value = Value, e.answer.balance
	case e.decided:
		r.Outcome = Invalid
	case e.unclear:
		r.Outcome = Unknown
	default:
		r.Outcome = Unavailable
	}
	return r
}

func (s *Session) close(epoch, timestamp uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if epoch == s.epoch {
		s.ids.close(timestamp)
	}
}

func outcomeOf(r pb.Result) Outcome {
	switch r {
	case pb.Result_RESULT_COMMITTED:
		return Committed
	case pb.Result_RESULT_INSUFFICIENT_FUNDS:
		return InsufficientFunds
	case pb.Result_RESULT_ABORTED:
		return Aborted
	case pb.Result_RESULT_UNAVAILABLE:
		return Unavailable
	case pb.Result_RESULT_INVALID:
		return Invalid
	}
	return Unknown
}

func millis(d time.Duration) uint32 {
	return uint32(max(d.Milliseconds(), 1))
}
