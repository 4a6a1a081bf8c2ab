// Package transport carries the core's messages between nodes: one long-lived
// gRPC stream a pair, many messages an envelope. It behaves like a network that
// loses messages: what cannot be sent at once is dropped when a queue is full or
// a stream is down, and the core repairs that. It never blocks the core and
// never grows.
//
// Of two nodes the one with the lower number dials. The first envelope in each
// direction is a hello that says who speaks; every envelope carries the
// topology's fingerprint and the epoch, and those of another one are dropped, so
// nothing of the time before a reset can come back.
package transport

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "paxbank/proto/paxbank/v1"
	"paxbank/server/ids"
	"paxbank/server/replica"
)

// Peer is another node.
type Peer struct {
	Number  ids.Node
	ID      string
	Address string // host:port, or unix:///path
}

// Config says who this node is among which others.
type Config struct {
	Self     ids.Node
	Peers    []Peer // the others; Self among them is passed over
	Topology uint64 // fingerprint
	Epoch    uint64
	// Deliver takes events from other nodes. It owns the slice and must not
	// block. Not called while the transport is not live.
	Deliver func([]replica.Event)
}

// Counters count since the transport was made.
type Counters struct {
	MessagesSent, BytesSent uint64
	// Received counts messages delivered.
	Received uint64
	// Overflowed counts messages dropped because a queue was full or a stream
	// was down, Strange those of another topology or epoch, Malformed those that
	// made no sense.
	Overflowed, Strange, Malformed uint64
}

// session is a Config in force. A new one is made for every epoch, so that
// anything that still holds the old one can be told from the new.
type session struct{ Config }

// Transport is one node's end of all its streams. All methods may be called at
// any time from any goroutine.
type Transport struct {
	pb.UnimplementedPeerServer
	log    *slog.Logger
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu         sync.Mutex // Configure, Close
	closed     bool
	configured chan struct{} // closed by the first Configure
	session    atomic.Pointer[session]
	links      atomic.Pointer[[]*link] // by node number; nil where there is none
	live       atomic.Bool

	sent, bytes, received         atomic.Uint64
	overflowed, strange, mistaken atomic.Uint64
}

// New returns a transport that knows nobody yet.
func New(log *slog.Logger) *Transport {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	ctx, cancel := context.WithCancel(context.Background())
	t := &Transport{log: log, ctx: ctx, cancel: cancel, configured: make(chan struct{})}
	t.links.Store(new([]*link))
	return t
}

// Configure makes cfg the one in force and leaves the node not live. Streams to
// peers that stay the same are kept; what was queued for them is dropped.
func (t *Transport) Configure(cfg Config) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return
	}
	t.live.Store(false)
	before := t.session.Load()
	t.session.Store(&session{cfg})
	keep := before != nil && before.Topology == cfg.Topology && before.Self == cfg.Self
	old := *t.links.Load()
	var links []*link
	for _, p := range cfg.Peers {
		if p.Number == 0 || p.Number == cfg.Self {
			continue
		}
		for len(links) <= int(p.Number) {
			links = append(links, nil)
		}
		if i := int(p.Number); keep && i < len(old) && old[i] != nil && old[i].peer == p {
			links[i] = old[i]
			links[i].clear()
			continue
		}
		l := newLink(t, p)
		links[p.Number] = l
		if cfg.Self < p.Number && p.Address != "" {
			t.wg.Go(l.dial)
		}
	}
	t.links.Store(&links)
	for _, l := range old {
		if l != nil && !slices.Contains(links, l) {
			l.cancel()
		}
	}
	if before == nil {
		close(t.configured)
	}
}

// SetLive connects the node with the others, or disconnects it: then nothing is
// sent, everything received is dropped, and what was queued is gone. The streams
// stay open, as the wire does when a process is paused.
func (t *Transport) SetLive(live bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.live.Store(live && t.session.Load() != nil && !t.closed)
	for _, l := range *t.links.Load() {
		if l != nil {
			l.clear()
		}
	}
}

// Send queues messages; it never blocks. They are encoded before it returns.
func (t *Transport) Send(sends []replica.Send) {
	if !t.live.Load() {
		return
	}
	s, links := t.session.Load(), *t.links.Load()
	for i := range sends {
		to := int(sends[i].To)
		if to >= len(links) || links[to] == nil {
			t.overflowed.Add(1)
			continue
		}
		if err := links[to].push(s, sends[i].Message); err != nil {
			t.mistaken.Add(1)
			t.log.Error("message not sent", "error", err)
		}
	}
}

// Counters returns the counters.
func (t *Transport) Counters() Counters {
	return Counters{
		MessagesSent: t.sent.Load(), BytesSent: t.bytes.Load(), Received: t.received.Load(),
		Overflowed: t.overflowed.Load(), Strange: t.strange.Load(), Malformed: t.mistaken.Load(),
	}
}

// Close ends all streams and waits for the goroutines.
func (t *Transport) Close() {
	t.mu.Lock()
	t.closed = true
	t.live.Store(false)
	t.mu.Unlock()
	t.cancel()
	t.wg.Wait()
}

// receive hands the messages of an envelope to the core, unless they are not
// for it.
func (t *Transport) receive(l *link, envelope []byte) {
	s := t.session.Load()
	h, messages, err := readHead(envelope)
	if err != nil {
		t.mistaken.Add(1)
		t.log.Warn("envelope dropped", "from", l.peer.ID, "error", err)
		return
	}
	if h.topology != s.Topology || h.epoch != s.Epoch || h.from != uint32(l.peer.Number) {
		t.strange.Add(uint64(messages))
		return
	}
	if !t.live.Load() || messages == 0 {
		return
	}
	events := make([]replica.Event, 0, messages)
	eachMessage(envelope, func(m any, err error) {
		if err != nil {
			t.mistaken.Add(1)
			t.log.Warn("message dropped", "from", l.peer.ID, "error", err)
			return
		}
		events = append(events, replica.Event{Kind: replica.EventMessage, From: l.peer.Number, Message: m})
	})
	if len(events) > 0 {
		t.received.Add(uint64(len(events)))
		s.Deliver(events)
	}
}

// reset tells the core that a stream broke.
func (t *Transport) reset(l *link) {
	if t.live.Load() {
		t.session.Load().Deliver([]replica.Event{{Kind: replica.EventPeerReset, From: l.peer.Number}})
	}
}

// linkOf returns the link to the peer that says hello, or why it is refused.
func (t *Transport) linkOf(s *session, hello head) (*link, error) {
	if hello.topology != s.Topology {
		return nil, status.Errorf(codes.FailedPrecondition, "node number %d belongs to topology %016x, this node to %016x",
			hello.from, hello.topology, s.Topology)
	}
	from, links := uint64(hello.from), *t.links.Load()
	if from >= uint64(len(links)) || links[from] == nil || from >= uint64(s.Self) {
		return nil, status.Errorf(codes.InvalidArgument, "node number %d may not open a stream to node number %d", from, s.Self)
	}
	return links[from], nil
}

func (s *session) head() head {
	return head{topology: s.Topology, epoch: s.Epoch, from: uint32(s.Self)}
}
