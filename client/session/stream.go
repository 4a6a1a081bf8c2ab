package session

import (
	"context"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "paxbank/proto/paxbank/v1"
)

// maxBatch is the number of transfers in one message. Larger ones save nothing
// and delay the first of them.
const maxBatch = 512

// stream is one SubmitStream to one node. Its fields below cancel are guarded by
// the link's mutex.
//
// Two goroutines serve it: run writes whatever has gathered since the last
// message, as one message; receive reads the answers and, when the stream
// breaks, ends everything that was under way.
type stream struct {
	link   *link
	wake   chan struct{}
	ctx    context.Context
	cancel context.CancelFunc

	queue   []*delivery        // not given to the stream yet
	pending map[name]*delivery // a call has one send a node
	// newest is, by client, the highest timestamp that was given to the stream.
	newest map[uint64]uint64
	dead   bool
}

// name of a request: sessions that share connections share streams too.
type name struct{ client, timestamp uint64 }

// enqueue puts a transfer on the node's stream, opening one if there is none.
// REQUIRES: l.mu is held and the link is open.
func (l *link) enqueue(d *delivery) {
	st := l.stream
	if st == nil {
		ctx, cancel := context.WithCancel(context.Background())
		st = &stream{link: l, wake: make(chan struct{}, 1), ctx: ctx, cancel: cancel, pending: map[name]*delivery{}, newest: map[uint64]uint64{}}
		l.stream = st
		l.wg.Add(1)
		go st.run(l.bank)
	}
	st.queue = append(st.queue, d)
	select {
	case st.wake <- struct{}{}:
	default:
	}
}

func (st *stream) run(bank pb.BankClient) {
	defer st.link.wg.Done()
	defer st.cancel()
	client, err := bank.SubmitStream(st.ctx)
	if err != nil {
		st.fail(err)
		return
	}
	received := make(chan struct{})
	go func() {
		defer close(received)
		st.receive(client)
	}()
	for {
		select {
		case <-st.wake:
		case <-st.ctx.Done():
			<-received
			return
		}
		for {
			batch := st.take()
			if batch == nil {
				break
			}
			if err := client.Send(batch); err != nil {
				// receive learns the reason and ends what is under way.
				<-received
				return
			}
		}
	}
}

// take moves up to maxBatch waiting transfers to pending; nil when none waits.
func (st *stream) take() *pb.TransactionRequestBatch {
	st.link.mu.Lock()
	defer st.link.mu.Unlock()
	n := min(len(st.queue), maxBatch)
	if n == 0 || st.dead {
		return nil
	}
	b := &pb.TransactionRequestBatch{Requests: make([]*pb.TransactionRequest, 0, n)}
	for _, d := range st.queue[:n] {
		st.pending[name{d.request.ClientId, d.request.Timestamp}] = d
		st.newest[d.request.ClientId] = max(st.newest[d.request.ClientId], d.request.Timestamp)
		b.Requests = append(b.Requests, d.request)
	}
	if n == len(st.queue) {
		st.queue = st.queue[:0]
	} else {
		st.queue = st.queue[n:]
	}
	return b
}

func (st *stream) receive(client grpc.BidiStreamingClient[pb.TransactionRequestBatch, pb.TransactionReplyBatch]) {
	defer st.cancel()
	for {
		batch, err := client.Recv()
		if err != nil {
			st.link.garbled(callStream, err)
			st.fail(err)
			return
		}
		l := st.link
		l.heard.Store(time.Now().UnixNano())
		l.mu.Lock()
		for _, r := range batch.GetReplies() {
			n := name{r.GetClientId(), r.GetTimestamp()}
			d := st.pending[n]
			if d == nil {
				// The same answer twice is no harm.
				if n.timestamp == 0 || n.timestamp > st.newest[n.client] {
					l.misnamed(callStream, n, name{})
				}
				continue
			}
			delete(st.pending, n)
			a := transferAnswer(r)
			l.inspect(callStream, &a, n.client, n.timestamp)
			a.at = d.at
			d.call.answers <- a // has room: one send a node
		}
		l.mu.Unlock()
	}
}

// fail ends everything on the stream.
func (st *stream) fail(err error) {
	if err == io.EOF {
		err = status.Error(codes.Unavailable, "the node ended the stream")
	}
	l := st.link
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stream == st {
		l.stream = nil
	}
	st.dead = true
	missing := status.Code(err) == codes.Unimplemented
	if missing {
		l.unary = true
	}
	end := func(d *delivery, left bool) {
		a := failure(err, left)
		if missing {
			a = answer{sort: again}
		}
		a.at = d.at
		d.call.answers <- a
	}
	for _, d := range st.queue {
		end(d, false)
	}
	for _, d := range st.pending {
		end(d, true)
	}
	st.queue, st.pending = nil, nil
}
