package transport

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"

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
	// small enough that the receiver starts early. Most need no more than
	// firstBuffer.
	maxEnvelope = 1 << 20
	firstBuffer = 4 << 10
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
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(grpcopts.Codec{}), grpc.MaxCallRecvMsgSize(grpcopts.MaxMessageBytes), grpc.MaxCallSendMsgSize(grpcopts.MaxMessageBytes)),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: grpcopts.PingAfter, Timeout: grpcopts.PingTimeout}),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: retryMin, Multiplier: 1.6, Jitter: 0.3, MaxDelay: retryMax},
			MinConnectTimeout: connectTimeout,
		}),
	}
}

// batch is an Envelope in the making, of one session.
type batch struct {
	session  *session
	bytes    *[]byte
	messages int
}

// buffers are reused for envelopes. gRPC returns them.
var buffers = mem.DefaultBufferPool()

// link is this node's end of the connection with one peer, across streams.
type link struct {
	t      *Transport
	peer   Peer
	ctx    context.Context
	cancel context.CancelFunc

	signal chan struct{} // holds a token while the queue is not empty

	mu    sync.Mutex
	queue []batch // all but the last are full
	count int     // of messages in the queue
	bytes int     // in the queue
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

// push queues a message; false when it has no wire form.
func (l *link) push(s *session, m any) (err error) {
	size := payload(m) + smallFields
	l.mu.Lock()
	if l.end == nil || l.count >= maxQueued || l.bytes+size > maxQueuedBytes && l.count > 0 {
		l.mu.Unlock()
		l.t.overflowed.Add(1)
		return nil
	}
	n := len(l.queue)
	if n == 0 || l.queue[n-1].session != s || len(*l.queue[n-1].bytes)+size > maxEnvelope {
		b := buffers.Get(max(size, firstBuffer))
		*b = (*b)[:0]
		l.queue = append(l.queue, batch{session: s, bytes: b})
		n++
	}
	q := &l.queue[n-1]
	before := len(*q.bytes)
	if *q.bytes, err = appendMessage(*q.bytes, m); err == nil {
		q.messages++
		l.count++
		l.bytes += len(*q.bytes) - before
	}
	l.mu.Unlock()
	select {
	case l.signal <- struct{}{}:
	default:
	}
	return err
}

func (l *link) clear() {
	l.mu.Lock()
	l.drop()
	l.mu.Unlock()
}

// drop empties the queue. REQUIRES: l.mu is held.
func (l *link) drop() {
	for _, q := range l.queue {
		buffers.Put(q.bytes)
	}
	clear(l.queue)
	l.queue, l.count, l.bytes = l.queue[:0], 0, 0
}

// take returns the next envelope without its head, nil bytes when there is none;
// more says that others are left.
func (l *link) take() (q batch, more bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue) == 0 {
		return batch{}, false
	}
	q = l.queue[0]
	l.queue = slices.Delete(l.queue, 0, 1)
	l.count -= q.messages
	l.bytes -= len(*q.bytes)
	return q, len(l.queue) > 0
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
	l.drop()
	return l.number
}

func (l *link) detach(number uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.number == number {
		l.end = nil
		l.drop()
	}
}

// stream is what both ends of Exchange have in common. Messages go through it as
// bytes (see grpcopts.Codec).
type stream interface {
	SendMsg(any) error
	RecvMsg(any) error
}

// receive waits for the next envelope. Its bytes are new ones: messages keep
// parts of them.
func receive(s stream) ([]byte, error) {
	var in grpcopts.In
	err := s.RecvMsg(&in)
	return in.Bytes, err
}

func sendHello(s stream, h head) error {
	b := h.append(nil)
	return s.SendMsg(grpcopts.Out{Bytes: &b, Pool: mem.NopBufferPool{}})
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
			envelope, err := receive(s)
			if err != nil {
				return
			}
			if ctx.Err() == nil {
				l.t.receive(l, envelope)
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
			var q batch
			if q, more = l.take(); q.bytes == nil {
				continue
			}
			if q.messages == 0 || q.session != l.t.session.Load() || !l.t.live.Load() {
				buffers.Put(q.bytes)
				continue
			}
			*q.bytes = q.session.head().append(*q.bytes)
			l.t.sent.Add(uint64(q.messages))
			l.t.bytes.Add(uint64(len(*q.bytes)))
			if s.SendMsg(grpcopts.Out{Bytes: q.bytes, Pool: buffers}) != nil {
				return
			}
		}
	}
}

// dial keeps a stream to the peer open until the link ends.
func (l *link) dial() {
	conn, err := grpc.NewClient(grpcopts.Target(l.peer.Address), dialOptions()...)
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
	if err := sendHello(s, l.t.session.Load().head()); err != nil {
		_, err = receive(s) // says why
		return err
	}
	envelope, err := receive(s)
	if err != nil {
		return err
	}
	hello, _, err := readHead(envelope)
	if err != nil {
		return fmt.Errorf("%s says no hello: %w", l.peer.Address, err)
	}
	if mine := l.t.session.Load().Topology; hello.topology != mine || hello.from != uint32(l.peer.Number) {
		return fmt.Errorf("%s answers as node number %d of topology %016x", l.peer.Address, hello.from, hello.topology)
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
	first := make(chan head, 1)
	fail := make(chan error, 1)
	t.wg.Go(func() {
		// A handler that returns makes RecvMsg fail, but nothing else does.
		envelope, err := receive(s)
		if err != nil {
			fail <- err
			return
		}
		h, _, err := readHead(envelope)
		if err != nil {
			fail <- status.Errorf(codes.InvalidArgument, "the hello makes no sense: %v", err)
			return
		}
		first <- h
	})
	timer := time.NewTimer(helloTimeout)
	defer timer.Stop()
	var hello *head
	configured := t.configured
	for hello == nil || configured != nil {
		select {
		case h := <-first:
			hello = &h
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
	l, err := t.linkOf(session, *hello)
	if err != nil {
		return err
	}
	if err := sendHello(s, session.head()); err != nil {
		return err
	}
	l.serve(s.Context(), s)
	return status.Error(codes.Unavailable, "the stream was ended")
}
