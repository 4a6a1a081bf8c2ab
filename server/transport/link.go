package transport

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"paxbank/internal/grpcopts"
	pb "paxbank/proto/paxbank/v1"
)

// The limits of a link.
const (
	// maxQueued and maxQueuedBytes bound what waits for one peer. The leader
	// repairs a follower that lost messages from its log, so more would only make
	// the repair later.
	maxQueued      = 8192
	maxQueuedBytes = 32 << 20
	// maxEnvelope ends an envelope: large enough to share the cost of a frame,
	// small enough that the receiver starts early.
	maxEnvelope = 1 << 20
	// retryMin and retryMax bound the pause between two attempts to connect. A
	// restarted node must be reached quickly, and a refused connection on the same
	// machine costs little.
	retryMin = 20 * time.Millisecond
	retryMax = 250 * time.Millisecond
	// helloTimeout bounds how long a stream may stay without a hello, also that of
	// a node that is not configured yet.
	helloTimeout = 5 * time.Second
	// connectTimeout bounds one attempt to connect.
	connectTimeout = 2 * time.Second
)

// ServerOptions are what a gRPC server that serves Peer needs.
func ServerOptions() []grpc.ServerOption { return grpcopts.Server() }

func dialOptions() []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithNoProxy(),
		grpc.WithDisableServiceConfig(),
		grpc.WithInitialWindowSize(grpcopts.Window),
		grpc.WithInitialConnWindowSize(grpcopts.Window),
		grpc.WithIdleTimeout(0),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(grpcopts.MaxMessageBytes), grpc.MaxCallSendMsgSize(grpcopts.MaxMessageBytes)),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: grpcopts.PingAfter, Timeout: grpcopts.PingTimeout}),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: retryMin, Multiplier: 1.6, Jitter: 0.3, MaxDelay: retryMax},
			MinConnectTimeout: connectTimeout,
		}),
	}
}

// Target returns what grpc.NewClient needs to reach an address without a look-up
// of names that are none.
func Target(address string) string {
	if strings.HasPrefix(address, "unix:") {
		return address
	}
	return "passthrough:///" + address
}

// item is one queued message and the session that it belongs to.
type item struct {
	session *session
	message *pb.PeerMessage
	size    int
}

// link is this node's end of the connection with one peer, across streams.
type link struct {
	t      *Transport
	peer   Peer
	ctx    context.Context
	cancel context.CancelFunc

	signal chan struct{} // holds a token while the queue is not empty

	mu    sync.Mutex
	queue []item
	bytes int
	// end ends the stream in use; nil when there is none. number tells streams
	// apart, so that an old one does not take down its successor.
	end    context.CancelFunc
	number uint64
}

func newLink(t *Transport, p Peer) *link {
	l := &link{t: t, peer: p, signal: make(chan struct{}, 1)}
	l.ctx, l.cancel = context.WithCancel(t.ctx)
	return l
}

func (l *link) push(it item) {
	l.mu.Lock()
	if l.end == nil || len(l.queue) >= maxQueued || l.bytes+it.size > maxQueuedBytes && len(l.queue) > 0 {
		l.mu.Unlock()
		l.t.overflowed.Add(1)
		return
	}
	l.queue = append(l.queue, it)
	l.bytes += it.size
	l.mu.Unlock()
	select {
	case l.signal <- struct{}{}:
	default:
	}
}

func (l *link) clear() {
	l.mu.Lock()
	clear(l.queue)
	l.queue, l.bytes = l.queue[:0], 0
	l.mu.Unlock()
}

// take moves queued messages of the session in force into e, as many as make an
// envelope; more says that some are left.
func (l *link) take(e *pb.Envelope) (more bool) {
	s := l.t.session.Load()
	e.Topology, e.Epoch, e.From = s.Topology, s.Epoch, uint32(s.Self)
	l.mu.Lock()
	defer l.mu.Unlock()
	taken, bytes := 0, 0
	for taken < len(l.queue) && (taken == 0 || bytes+l.queue[taken].size <= maxEnvelope) {
		it := &l.queue[taken]
		bytes += it.size
		if it.session == s {
			e.Messages = append(e.Messages, it.message)
		}
		taken++
	}
	rest := copy(l.queue, l.queue[taken:])
	clear(l.queue[rest:])
	l.queue = l.queue[:rest]
	l.bytes -= bytes
	return rest > 0
}

// attach makes a new stream the one in use and ends the one before.
func (l *link) attach(end context.CancelFunc) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.end != nil {
		l.end()
	}
	l.end = end
	l.number++
	clear(l.queue)
	l.queue, l.bytes = l.queue[:0], 0
	return l.number
}

func (l *link) detach(number uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.number == number {
		l.end = nil
		clear(l.queue)
		l.queue, l.bytes = l.queue[:0], 0
	}
}

// stream is what both ends of Exchange have in common.
type stream interface {
	Send(*pb.Envelope) error
	Recv() (*pb.Envelope, error)
}

// serve carries messages over s until it breaks, ctx ends, or another stream
// takes its place. The caller must make s fail afterwards.
func (l *link) serve(ctx context.Context, s stream) {
	ctx, end := context.WithCancel(ctx)
	defer end()
	stop := context.AfterFunc(l.ctx, end)
	defer stop()
	number := l.attach(end)
	l.t.log.Debug("connected", "peer", l.peer.ID)
	l.t.wg.Go(func() {
		defer end()
		for {
			e, err := s.Recv()
			if err != nil {
				return
			}
			if ctx.Err() == nil {
				l.t.receive(l, e)
			}
		}
	})
	l.t.wg.Go(func() {
		defer end()
		l.write(ctx, s)
	})
	<-ctx.Done()
	l.detach(number)
	l.t.log.Debug("connection broke", "peer", l.peer.ID)
	l.t.reset(l)
}

func (l *link) write(ctx context.Context, s stream) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.signal:
		}
		for more := true; more; {
			e := &pb.Envelope{}
			more = l.take(e)
			if len(e.Messages) == 0 || !l.t.live.Load() {
				continue
			}
			l.t.sent.Add(uint64(len(e.Messages)))
			l.t.bytes.Add(uint64(proto.Size(e)))
			if s.Send(e) != nil {
				return
			}
		}
	}
}

// dial keeps a stream to the peer open until the link ends.
func (l *link) dial() {
	conn, err := grpc.NewClient(Target(l.peer.Address), dialOptions()...)
	if err != nil {
		l.t.log.Error("address of a peer makes no sense", "peer", l.peer.ID, "address", l.peer.Address, "error", err)
		return
	}
	defer conn.Close()
	client := pb.NewPeerClient(conn)
	pause := retryMin
	for l.ctx.Err() == nil {
		start := time.Now()
		if err := l.connect(client); err != nil {
			l.t.log.Debug("no connection", "peer", l.peer.ID, "error", err)
		}
		if time.Since(start) > time.Second {
			pause = retryMin // it held for a while, so it may well come back at once
		}
		timer := time.NewTimer(pause/2 + rand.N(pause))
		select {
		case <-timer.C:
		case <-l.ctx.Done():
			timer.Stop()
		}
		pause = min(2*pause, retryMax)
	}
}

// connect opens one stream, shakes hands and serves it until it breaks.
func (l *link) connect(client pb.PeerClient) error {
	ctx, cancel := context.WithCancel(l.ctx)
	defer cancel()
	s, err := client.Exchange(ctx, grpc.WaitForReady(true))
	if err != nil {
		return err
	}
	late := time.AfterFunc(helloTimeout, cancel)
	defer late.Stop()
	if err := s.Send(l.t.session.Load().hello()); err != nil {
		_, err = s.Recv() // says why
		return err
	}
	hello, err := s.Recv()
	if err != nil {
		return err
	}
	if mine := l.t.session.Load().Topology; hello.GetTopology() != mine || hello.GetFrom() != uint32(l.peer.Number) {
		return fmt.Errorf("%s answers as node number %d of topology %016x", l.peer.Address, hello.GetFrom(), hello.GetTopology())
	}
	if !late.Stop() {
		return fmt.Errorf("no hello within %v", helloTimeout)
	}
	l.serve(ctx, s)
	return nil
}

// Exchange takes a stream that a node with a lower number opened.
func (t *Transport) Exchange(s pb.Peer_ExchangeServer) error {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return status.Error(codes.Unavailable, "this node is stopping")
	}
	t.wg.Add(1)
	t.mu.Unlock()
	defer t.wg.Done()
	first := make(chan *pb.Envelope, 1)
	fail := make(chan error, 1)
	t.wg.Go(func() {
		// A handler that returns makes Recv fail, but nothing else does.
		if e, err := s.Recv(); err != nil {
			fail <- err
		} else {
			first <- e
		}
	})
	timer := time.NewTimer(helloTimeout)
	defer timer.Stop()
	var hello *pb.Envelope
	configured := t.configured
	for hello == nil || configured != nil {
		select {
		case e := <-first:
			hello = e
		case <-configured:
			configured = nil
		case err := <-fail:
			return err
		case <-t.ctx.Done():
			return status.Error(codes.Unavailable, "this node is stopping")
		case <-s.Context().Done():
			return status.FromContextError(s.Context().Err()).Err()
		case <-timer.C:
			if hello == nil {
				return status.Errorf(codes.DeadlineExceeded, "no hello within %v", helloTimeout)
			}
			return status.Error(codes.Unavailable, "this node is not configured yet")
		}
	}
	session := t.session.Load()
	l, err := t.linkOf(session, hello)
	if err != nil {
		return err
	}
	if err := s.Send(session.hello()); err != nil {
		return err
	}
	l.serve(s.Context(), s)
	return status.Error(codes.Unavailable, "the stream was ended")
}
