package bench

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"paxbank/internal/topology"
	pb "paxbank/proto/paxbank/v1"
)

// readNode is a node that serves reads alone. Its fields are set before it starts.
type readNode struct {
	pb.UnimplementedBankServer
	// onStream answers one read of a stream; nil leaves it without an answer. An
	// error ends the stream.
	onStream func(stream int, q *pb.NumberedRead) (*pb.ReadReply, error)
	// onCall answers a call.
	onCall func(item int64) *pb.ReadReply

	mu             sync.Mutex
	streams, calls int
}

func holds(balance int64) *pb.ReadReply {
	return &pb.ReadReply{Result: pb.Result_RESULT_COMMITTED, Balance: balance}
}

func notLeader(leader string) *pb.ReadReply {
	return &pb.ReadReply{Result: pb.Result_RESULT_NOT_LEADER, Leader: leader}
}

func (n *readNode) Read(_ context.Context, q *pb.ReadRequest) (*pb.ReadReply, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.calls++
	return n.onCall(q.GetItem()), nil
}

func (n *readNode) ReadStream(s grpc.BidiStreamingServer[pb.ReadRequestBatch, pb.ReadReplyBatch]) error {
	n.mu.Lock()
	n.streams++
	number := n.streams
	n.mu.Unlock()
	for {
		batch, err := s.Recv()
		if err != nil {
			return err
		}
		out := &pb.ReadReplyBatch{}
		for _, q := range batch.GetReads() {
			reply, err := n.onStream(number, q)
			if err != nil {
				return err
			}
			if reply != nil {
				// In the opposite order: answers are matched by number alone.
				out.Replies = append([]*pb.NumberedReadReply{{Number: q.GetNumber(), Reply: reply}}, out.Replies...)
			}
		}
		if err := s.Send(out); err != nil {
			return err
		}
	}
}

// used is how many streams were opened and calls made.
func (n *readNode) used() (streams, calls int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.streams, n.calls
}

// readBank connects to one cluster of nodes.
func readBank(t *testing.T, nodes ...pb.BankServer) *bank {
	t.Helper()
	shape, err := topology.Uniform(1, len(nodes), 100, 10)
	if err != nil {
		t.Fatal(err)
	}
	for i, n := range nodes {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		server := grpc.NewServer()
		pb.RegisterBankServer(server, n)
		go server.Serve(l)
		t.Cleanup(server.Stop)
		shape.Clusters[0].Nodes[i].Address = l.Addr().String()
	}
	b, err := connect(shape)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.close)
	b.epoch, b.hash = 1, shape.Hash()
	return b
}

// readAll puts a load of reads on b and returns what came of it.
func readAll(t *testing.T, b *bank, change func(*load)) (*engine, [outcomes]int64) {
	t.Helper()
	l := load{mix: mix{Reads: 1}, clients: 4, inflight: 8, transactions: 500, deadline: 5 * time.Second, seed: 1}
	if change != nil {
		change(&l)
	}
	e, err := newEngine(l, b)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	nothing := func() {}
	if err := e.run(ctx, hooks{begin: nothing, end: nothing}); err != nil {
		t.Fatal(err)
	}
	return e, e.result().counts[read]
}

func TestReadsGoOverOneStream(t *testing.T) {
	n := &readNode{onStream: func(int, *pb.NumberedRead) (*pb.ReadReply, error) { return holds(10), nil }}
	e, counts := readAll(t, readBank(t, n), nil)
	if streams, calls := n.used(); streams != 1 || calls != 0 || counts[committed] != 500 {
		t.Errorf("%d streams, %d calls, %d reads got their balance; want 1, 0, 500", streams, calls, counts[committed])
	}
	a := &audit{}
	if e.reads.enter(a); a.balances == nil || !*a.balances {
		t.Errorf("balances %v, %q; want them right", a.balances, a.problems)
	}
	if used := len(e.readLanes[0].slots); used > e.load.slots() {
		t.Errorf("%d slots for at most %d reads at once", used, e.load.slots())
	}
}

func TestUnaryReads(t *testing.T) {
	for name, change := range map[string]func(*load){
		"everything unary": func(l *load) { l.unary = true },
		"no read stream":   func(l *load) { l.unaryReads = true },
	} {
		n := &readNode{onCall: func(int64) *pb.ReadReply { return holds(10) }}
		_, counts := readAll(t, readBank(t, n), change)
		if streams, calls := n.used(); streams != 0 || calls != 500 || counts[committed] != 500 {
			t.Errorf("%s: %d streams, %d calls, %d reads got their balance; want 0, 500, 500", name, streams, calls, counts[committed])
		}
	}
}

// TestReadsThatAStreamDoesNotAnswer: whatever a stream does instead, callers see
// to it that every read gets its balance.
func TestReadsThatAStreamDoesNotAnswer(t *testing.T) {
	every := func(n uint64, otherwise func() (*pb.ReadReply, error)) func(int, *pb.NumberedRead) (*pb.ReadReply, error) {
		return func(_ int, q *pb.NumberedRead) (*pb.ReadReply, error) {
			if (q.GetNumber()>>slotBits)%n == 0 {
				return otherwise()
			}
			return holds(10), nil
		}
	}
	for name, onStream := range map[string]func(int, *pb.NumberedRead) (*pb.ReadReply, error){
		"unavailable": every(5, func() (*pb.ReadReply, error) {
			return &pb.ReadReply{Result: pb.Result_RESULT_UNAVAILABLE}, nil
		}),
		"another epoch": every(5, func() (*pb.ReadReply, error) {
			return &pb.ReadReply{Result: pb.Result_RESULT_WRONG_EPOCH}, nil
		}),
		"strange": every(5, func() (*pb.ReadReply, error) { return &pb.ReadReply{Result: 77}, nil }),
		"broken":  every(9, func() (*pb.ReadReply, error) { return nil, status.Error(codes.Internal, "broken") }),
		"refused": every(1, func() (*pb.ReadReply, error) {
			return nil, status.Error(codes.Unavailable, refusedPrefix+"disconnected")
		}),
	} {
		n := &readNode{onStream: onStream, onCall: func(int64) *pb.ReadReply { return holds(10) }}
		_, counts := readAll(t, readBank(t, n), nil)
		if _, calls := n.used(); calls == 0 || counts[committed] != 500 {
			t.Errorf("%s: %d calls, %d reads got their balance; want some, 500", name, calls, counts[committed])
		}
	}
}

// TestReadsFollowTheLeader: the stream goes to whom the first node names.
func TestReadsFollowTheLeader(t *testing.T) {
	first := &readNode{
		onStream: func(int, *pb.NumberedRead) (*pb.ReadReply, error) { return notLeader("n2"), nil },
		onCall:   func(int64) *pb.ReadReply { return notLeader("n2") },
	}
	second := &readNode{
		onStream: func(int, *pb.NumberedRead) (*pb.ReadReply, error) { return holds(10), nil },
		onCall:   func(int64) *pb.ReadReply { return holds(10) },
	}
	b := readBank(t, first, second)
	_, counts := readAll(t, b, nil)
	if streams, _ := second.used(); streams == 0 || counts[committed] != 500 || b.leader(0) != 1 {
		t.Errorf("%d streams to the leader, %d reads got their balance, node %d is taken for the leader; want some, 500, 1", streams, counts[committed], b.leader(0))
	}
}

// TestReadsOfASilentNode: they end at their deadline.
func TestReadsOfASilentNode(t *testing.T) {
	n := &readNode{
		onStream: func(int, *pb.NumberedRead) (*pb.ReadReply, error) { return nil, nil },
		onCall:   func(int64) *pb.ReadReply { return notLeader("") },
	}
	_, counts := readAll(t, readBank(t, n), func(l *load) {
		l.transactions, l.clients, l.inflight, l.deadline = 4, 1, 4, 20*time.Millisecond
	})
	if counts[unavailable] != 4 {
		t.Errorf("counts %v, want 4 unavailable", counts)
	}
}

// TestLateAnswersAreNoneOfTheNextRead, which has the same slot.
func TestLateAnswersAreNoneOfTheNextRead(t *testing.T) {
	b := readBank(t, &readNode{})
	e, err := newEngine(load{mix: mix{Reads: 1}, clients: 1, inflight: 1, deadline: time.Second, transactions: 1}, b)
	if err != nil {
		t.Fatal(err)
	}
	e.base = time.Now()
	l := e.readLanes[0]
	s := &stream{number: 1}
	l.stream = s
	send := func() uint64 {
		l.push([]op{{kind: read, from: 1}})
		l.fill(s, nil)
		return l.slots[0].number
	}
	late := send()
	l.release(&l.slots[0])
	number := send()
	if number == late || len(l.slots) != 1 {
		t.Fatalf("the reads have numbers %d and %d in %d slots, want different ones in 1", late, number, len(l.slots))
	}
	for _, n := range []uint64{late, 1 << slotBits << 40, 17, number} {
		freed, _, err := l.answers(s, readAnswer(t, n, holds(10)), nil)
		if err != nil || len(freed) != map[bool]int{true: 1}[n == number] {
			t.Errorf("the answer to %d freed %d clients (%v)", n, len(freed), err)
		}
	}
}

// TestWrongBalancesAreFound: nothing was transferred, so a read that returns
// anything but the initial balance is wrong.
func TestWrongBalancesAreFound(t *testing.T) {
	n := &readNode{onStream: func(_ int, q *pb.NumberedRead) (*pb.ReadReply, error) {
		if q.GetItem() == 7 {
			return holds(11), nil
		}
		return holds(10), nil
	}}
	e, _ := readAll(t, readBank(t, n), nil)
	a := &audit{}
	if e.reads.enter(a); a.balances == nil || *a.balances || len(a.problems) != 1 {
		t.Errorf("balances %v, problems %q; want them wrong", a.balances, a.problems)
	}
}

// streamless is a node that offers those streams that are set.
type streamless struct {
	pb.UnimplementedBankServer
	submits, reads bool
}

func (n streamless) SubmitStream(s pb.Bank_SubmitStreamServer) error {
	if !n.submits {
		return n.UnimplementedBankServer.SubmitStream(s)
	}
	return nil
}

func (n streamless) ReadStream(s pb.Bank_ReadStreamServer) error {
	if !n.reads {
		return n.UnimplementedBankServer.ReadStream(s)
	}
	return nil
}

// TestChooseStreams: what the nodes do not offer is turned off for the run, and
// the settings say so.
func TestChooseStreams(t *testing.T) {
	const none = "unary (no stream is offered)"
	for _, c := range []struct {
		node              streamless
		unary, unaryReads bool
		submission, reads string
	}{
		{streamless{submits: true, reads: true}, false, false, "stream", "stream"},
		{streamless{submits: true}, false, true, "stream", none},
		{streamless{}, true, true, none, none},
		{streamless{reads: true}, true, true, none, none},
	} {
		s := &setup{bank: readBank(t, c.node), plan: &plan{settings: Settings{Submission: "stream", Reads: "stream"}}}
		l := load{mix: mix{Reads: 0.5}}
		if err := s.chooseStreams(t.Context(), &l); err != nil {
			t.Fatal(err)
		}
		if got := s.plan.settings; l.unary != c.unary || l.unaryReads != c.unaryReads || got.Submission != c.submission || got.Reads != c.reads {
			t.Errorf("%+v: unary %t, reads %t, shown %q and %q; want %t, %t, %q, %q", c.node, l.unary, l.unaryReads, got.Submission, got.Reads,
				c.unary, c.unaryReads, c.submission, c.reads)
		}
	}
	l := load{unary: true, mix: mix{Reads: 0.5}}
	if err := (&setup{}).chooseStreams(t.Context(), &l); err != nil || l.unaryReads {
		t.Errorf("a unary load asks for streams: %v", err)
	}
}
