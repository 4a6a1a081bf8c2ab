package session

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "paxbank/proto/paxbank/v1"
)

// refusedPrefix begins the UNAVAILABLE message of a node that turned a call away
// before it looked at it (disconnected, not configured yet). A node that ends a
// stream so says it of everything on the stream that it has not answered.
const refusedPrefix = "refused: "

// delivery is one send of a transfer to one node.
type delivery struct {
	call    *call
	at      int
	request *pb.TransactionRequest
}

// link is one node: its connection and, while transfers are under way, the
// stream that carries them.
type link struct {
	id    string
	heard atomic.Int64 // Unix nanoseconds of the node's last answer
	// broken is where answers against the contract are noted, and exists knows the
	// nodes of the topology.
	broken *violations
	exists func(id string) bool

	mu      sync.Mutex
	address string
	conn    *grpc.ClientConn
	bank    pb.BankClient
	stream  *stream
	// unary: the node offers no SubmitStream.
	unary  bool
	closed bool
	wg     sync.WaitGroup
}

func (n *Nodes) newLink(id, address string) (*link, error) {
	conn, err := dial(address)
	if err != nil {
		return nil, err
	}
	exists := func(id string) bool { _, _, ok := n.topology.Lookup(id); return ok }
	return &link{id: id, address: address, conn: conn, bank: pb.NewBankClient(conn), broken: &n.broken, exists: exists}, nil
}

func (l *link) channel() *grpc.ClientConn {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.conn
}

// heardSince reports whether the node answered anything after t.
func (l *link) heardSince(t time.Time) bool { return l.heard.Load() > t.UnixNano() }

func (l *link) renew(address string) error {
	l.mu.Lock()
	if address == "" {
		address = l.address
	}
	conn, err := dial(address)
	if err != nil || l.closed {
		l.mu.Unlock()
		if conn != nil {
			conn.Close()
		}
		return err
	}
	old := l.conn
	l.address, l.conn, l.bank = address, conn, pb.NewBankClient(conn)
	st := l.stream
	l.stream = nil
	l.unary = false
	l.mu.Unlock()
	if st != nil {
		st.cancel()
	}
	return old.Close()
}

func (l *link) hangUp() {
	l.mu.Lock()
	st := l.stream
	l.stream = nil
	l.mu.Unlock()
	if st != nil {
		st.cancel()
	}
}

func (l *link) close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	st := l.stream
	l.mu.Unlock()
	if st != nil {
		st.cancel()
	}
	err := l.conn.Close()
	l.wg.Wait()
	return err
}

// begin counts one goroutine in; false when the link is closed.
func (l *link) begin() (pb.BankClient, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, false
	}
	l.wg.Add(1)
	return l.bank, true
}

// submit sends a transfer, on the stream when the node offers one.
func (l *link) submit(d *delivery) {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		d.call.answers <- answer{at: d.at, sort: notTaken, message: "connection closed"}
		return
	}
	if !l.unary {
		l.enqueue(d)
		l.mu.Unlock()
		return
	}
	l.mu.Unlock()
	sent := name{d.request.GetClientId(), d.request.GetTimestamp()}
	l.unaryCall(callSubmit, sent, d.call, d.at, func(ctx context.Context, bank pb.BankClient) (answer, error) {
		reply, err := bank.Submit(ctx, d.request)
		if err != nil {
			return answer{}, err
		}
		// An answer without a name is this request's: gRPC says so.
		if got := (name{reply.GetClientId(), reply.GetTimestamp()}); got != sent && got != (name{}) {
			l.misnamed(callSubmit, got, sent)
			return answer{sort: lost, message: "answered under another name"}, nil
		}
		return transferAnswer(reply), nil
	})
}

func transferAnswer(r *pb.TransactionReply) answer {
	return answer{sort: replied, result: r.GetResult(), success: r.GetSuccess(), final: r.GetFinal(), leader: r.GetLeader(),
		epoch: r.GetEpoch(), message: r.GetMessage()}
}

func (l *link) read(c *call, at int, q *pb.ReadRequest) {
	l.unaryCall(callRead, name{}, c, at, func(ctx context.Context, bank pb.BankClient) (answer, error) {
		r, err := bank.Read(ctx, q)
		if err != nil {
			return answer{}, err
		}
		return answer{sort: replied, result: r.GetResult(), balance: r.GetBalance(), leader: r.GetLeader(),
			epoch: r.GetEpoch(), message: r.GetMessage()}, nil
	})
}

func (l *link) resolve(c *call, at int, q *pb.ResolveRequest) {
	l.unaryCall(callResolve, name{q.GetClientId(), q.GetTimestamp()}, c, at, func(ctx context.Context, bank pb.BankClient) (answer, error) {
		r, err := bank.Resolve(ctx, q)
		if err != nil {
			return answer{}, err
		}
		return answer{sort: replied, result: r.GetResult(), final: r.GetFinal(), leader: r.GetLeader(),
			epoch: r.GetEpoch(), message: r.GetMessage()}, nil
	})
}

// unaryCall runs one RPC about a request (none for a read) beside the caller and
// delivers its answer.
func (l *link) unaryCall(what string, sent name, c *call, at int, do func(context.Context, pb.BankClient) (answer, error)) {
	bank, ok := l.begin()
	if !ok {
		c.answers <- answer{at: at, sort: notTaken, message: "connection closed"}
		return
	}
	go func() {
		defer l.wg.Done()
		var left atomic.Bool
		a, err := do(withLeft(c.ctx, &left), bank)
		if err != nil {
			l.garbled(what, err)
			a = failure(err, left.Load())
		} else {
			l.heard.Store(time.Now().UnixNano())
			if a.sort == replied {
				l.inspect(what, &a, sent.client, sent.timestamp)
			}
		}
		a.at = at
		c.answers <- a
	}()
}

// failure says what a call's error means for its request. left: the request was
// handed to the connection.
func failure(err error, left bool) answer {
	st := status.Convert(err)
	reason, refused := strings.CutPrefix(st.Message(), refusedPrefix)
	if strings.Contains(reason, "connection refused") {
		reason = "nobody listens at its address"
	}
	a := answer{sort: lost, message: reason}
	if !left || refused && st.Code() == codes.Unavailable {
		a.sort = notTaken
	}
	return a
}
