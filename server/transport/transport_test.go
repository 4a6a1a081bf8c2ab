package transport

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"paxbank/internal/grpcopts"
	pb "paxbank/proto/paxbank/v1"
	"paxbank/server/ids"
	"paxbank/server/paxos"
	"paxbank/server/replica"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 10 * time.Second

// node is a transport behind a gRPC server on loopback.
type node struct {
	*Transport
	number  ids.Node
	address string
	server  *grpc.Server
	done    chan struct{}
	events  chan replica.Event
}

func listen(t *testing.T, number ids.Node, address string) *node {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	n := &node{Transport: New(nil), number: number, address: l.Addr().String(), done: make(chan struct{}),
		server: grpc.NewServer(ServerOptions()...), events: make(chan replica.Event, 10_000)}
	pb.RegisterPeerServer(n.server, n)
	go func() { defer close(n.done); _ = n.server.Serve(l) }()
	return n
}

func (n *node) stop() {
	n.Close()
	n.server.Stop()
	<-n.done
}

func (n *node) configure(epoch uint64, all ...*node) {
	cfg := Config{Self: n.number, Topology: 7, Epoch: epoch, Deliver: func(events []replica.Event) {
		for _, e := range events {
			n.events <- e
		}
	}}
	for _, o := range all {
		cfg.Peers = append(cfg.Peers, Peer{Number: o.number, ID: fmt.Sprint("n", o.number), Address: o.address})
	}
	n.Configure(cfg)
}

func heartbeat(round uint64) *paxos.Heartbeat {
	return &paxos.Heartbeat{Ballot: ids.Ballot{Counter: 1, Node: 1}, Round: round}
}

// reach sends a message again and again until to has it: the stream may still be
// on its way up, and the transport may lose messages meanwhile.
func reach(t *testing.T, from, to *node, round uint64) {
	t.Helper()
	resend := time.NewTicker(2 * time.Millisecond)
	defer resend.Stop()
	deadline := time.After(patience)
	for {
		from.Send([]replica.Send{{To: to.number, Message: heartbeat(round)}})
		select {
		case e := <-to.events:
			if h, ok := e.Message.(*paxos.Heartbeat); ok && e.From == from.number && h.Round == round {
				return
			}
		case <-resend.C:
		case <-deadline:
			t.Fatalf("a message from node %d did not reach node %d within %v; sender %+v, receiver %+v",
				from.number, to.number, patience, from.Counters(), to.Counters())
		}
	}
}

// waitReset waits until n is told that its stream with from broke.
func waitReset(t *testing.T, n *node, from ids.Node) {
	t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case e := <-n.events:
			if e.Kind == replica.EventPeerReset && e.From == from {
				return
			}
		case <-deadline:
			t.Fatalf("node %d was not told within %v that node %d is gone", n.number, patience, from)
		}
	}
}

func trio(t *testing.T) []*node {
	t.Helper()
	var all []*node
	for i := range 3 {
		all = append(all, listen(t, ids.Node(i+1), "127.0.0.1:0"))
	}
	for _, n := range all {
		n.configure(1, all...)
		n.SetLive(true)
	}
	return all
}

func TestAllPairsAndReconnect(t *testing.T) {
	all := trio(t)
	for i, a := range all {
		for j, b := range all {
			if i != j {
				reach(t, a, b, uint64(10*i+j))
			}
		}
	}
	// The node in the middle dies: both others hear of it, one that dialled and one
	// that was dialled. It comes back on its address and is reached both ways.
	all[1].stop()
	waitReset(t, all[0], 2)
	waitReset(t, all[2], 2)
	all[1] = listen(t, 2, all[1].address)
	all[1].configure(1, all...)
	all[1].SetLive(true)
	reach(t, all[0], all[1], 100)
	reach(t, all[1], all[0], 101)
	reach(t, all[1], all[2], 102)
	reach(t, all[2], all[1], 103)
	for _, n := range all {
		n.stop()
	}
}

// TestConfiguredLate: a node that is dialled before it is configured is reached
// as soon as it is.
func TestConfiguredLate(t *testing.T) {
	a, b := listen(t, 1, "127.0.0.1:0"), listen(t, 2, "127.0.0.1:0")
	a.configure(1, a, b)
	a.SetLive(true)
	a.Send([]replica.Send{{To: 2, Message: heartbeat(1)}, {To: 9, Message: heartbeat(1)}})
	if got := a.Counters().Overflowed; got != 2 {
		t.Errorf("%d messages without a stream were dropped, want 2", got)
	}
	b.configure(1, a, b)
	b.SetLive(true)
	reach(t, a, b, 2)
	reach(t, b, a, 3)
	a.stop()
	b.stop()
}

func TestOtherEpochAndNotLive(t *testing.T) {
	a, b := listen(t, 1, "127.0.0.1:0"), listen(t, 2, "127.0.0.1:0")
	for _, n := range []*node{a, b} {
		n.configure(1, a, b)
		n.SetLive(true)
	}
	reach(t, a, b, 1)
	reach(t, b, a, 1)
	// a is reset, b not yet. What they say to each other is dropped and counted.
	a.configure(2, a, b)
	a.SetLive(true)
	dropped := func(n *node, by func(Counters) uint64, want uint64, send *node) {
		t.Helper()
		resend := time.NewTicker(2 * time.Millisecond)
		defer resend.Stop()
		deadline := time.After(patience)
		for by(n.Counters()) < want {
			send.Send([]replica.Send{{To: n.number, Message: heartbeat(66)}})
			select {
			case <-resend.C:
			case e := <-n.events:
				if h, ok := e.Message.(*paxos.Heartbeat); ok && h.Round == 66 {
					t.Fatalf("node %d took a message of another epoch", n.number)
				}
			case <-deadline:
				t.Fatalf("nothing was dropped within %v: %+v", patience, n.Counters())
			}
		}
	}
	strange := func(c Counters) uint64 { return c.Strange }
	dropped(b, strange, 1, a)
	dropped(a, strange, 1, b)
	b.configure(2, a, b)
	b.SetLive(true)
	reach(t, a, b, 2)
	reach(t, b, a, 3)

	// A node that is not live sends nothing and takes nothing; a later message
	// arrives, one in between does not.
	b.SetLive(false)
	before := b.Counters().MessagesSent
	b.Send([]replica.Send{{To: 1, Message: heartbeat(77)}})
	if got := b.Counters().MessagesSent; got != before {
		t.Errorf("a disconnected node sent %d messages", got-before)
	}
	b.SetLive(true)
	deadline := time.After(patience)
	for round := uint64(78); ; round++ {
		b.Send([]replica.Send{{To: 1, Message: heartbeat(round)}})
		select {
		case e := <-a.events:
			if h := e.Message.(*paxos.Heartbeat); h.Round == 77 {
				t.Error("a message of the time without connection arrived")
			} else if h.Round >= 78 {
				a.stop()
				b.stop()
				return
			}
		case <-time.After(2 * time.Millisecond):
		case <-deadline:
			t.Fatalf("nothing arrived within %v", patience)
		}
	}
}

func TestManyAndLargeMessages(t *testing.T) {
	a, b := listen(t, 1, "127.0.0.1:0"), listen(t, 2, "127.0.0.1:0")
	for _, n := range []*node{a, b} {
		n.configure(1, a, b)
		n.SetLive(true)
	}
	reach(t, a, b, 1)
	large := make([]byte, 5<<20) // more than gRPC takes by default
	large[len(large)-1] = 9
	var sends []replica.Send
	for i := range 1000 {
		sends = append(sends, replica.Send{To: 2, Message: heartbeat(uint64(1000 + i))})
		if i == 500 {
			sends = append(sends, replica.Send{To: 2, Message: &paxos.CatchUp{Ballot: ids.Ballot{Counter: 1, Node: 1}, Entries: large}})
		}
	}
	a.Send(sends)
	deadline := time.After(patience)
	for next, caughtUp := uint64(1000), false; next < 2000 || !caughtUp; {
		select {
		case e := <-b.events:
			switch m := e.Message.(type) {
			case *paxos.Heartbeat:
				if m.Round < 1000 {
					continue // of reach
				}
				if m.Round != next {
					t.Fatalf("heartbeat %d arrived, want %d: order is kept on a stream", m.Round, next)
				}
				next++
			case *paxos.CatchUp:
				caughtUp = len(m.Entries) == len(large) && m.Entries[len(large)-1] == 9
			}
		case <-deadline:
			t.Fatalf("only %d of 1000 messages arrived within %v", next-1000, patience)
		}
	}
	a.stop()
	b.stop()
}

// TestBoundedQueue fills the queue of a link that has a stream but no writer.
func TestBoundedQueue(t *testing.T) {
	tr := New(nil)
	l := newLink(tr, Peer{Number: 2})
	l.attach(func() {})
	push := func(m any) {
		t.Helper()
		if err := l.push(&session{}, m); err != nil {
			t.Fatal(err)
		}
	}
	large := func(bytes int) any { return &paxos.CatchUp{Entries: make([]byte, bytes)} }
	for range maxQueued + 10 {
		push(heartbeat(1))
	}
	if got := tr.Counters().Overflowed; got != 10 || l.count != maxQueued {
		t.Errorf("%d dropped, %d queued; want 10 and %d", got, l.count, maxQueued)
	}
	l.clear()
	for range 4 {
		push(large(maxQueuedBytes/2 - 1000))
	}
	if l.count != 2 {
		t.Errorf("%d large messages queued, want 2", l.count)
	}
	l.clear()
	push(large(2 * maxQueuedBytes))
	if l.count != 1 {
		t.Error("a message larger than the queue's bound can never be sent")
	}
	l.clear()
	if err := l.push(&session{}, "hello"); err == nil {
		t.Error("a string was queued")
	}
	tr.Close()
}

// TestStrangers: who says a wrong hello is told so and gets no stream.
func TestStrangers(t *testing.T) {
	b := listen(t, 2, "127.0.0.1:0")
	b.configure(1, b, &node{number: 1}, &node{number: 3})
	conn, err := grpc.NewClient(grpcopts.Target(b.address), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		hello *pb.Envelope
		want  string
	}{
		{&pb.Envelope{Topology: 8, From: 1}, "belongs to topology 0000000000000008"},
		{&pb.Envelope{Topology: 7, From: 2}, "may not open a stream"},
		{&pb.Envelope{Topology: 7, From: 3}, "may not open a stream"}, // the lower number dials
		{&pb.Envelope{Topology: 7, From: 0}, "may not open a stream"},
		{&pb.Envelope{Topology: 7, From: 4_000_000_000}, "may not open a stream"},
	} {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		s, err := pb.NewPeerClient(conn).Exchange(ctx)
		if err != nil {
			t.Fatal(err)
		}
		_ = s.Send(c.hello)
		if _, err = s.Recv(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("hello %v: got %v, want %q", c.hello, err, c.want)
		}
		cancel()
	}
	_ = conn.Close()
	b.stop()
}
