package bench

import (
	"cmp"
	"context"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "paxbank/proto/paxbank/v1"
)

// refusedPrefix begins the UNAVAILABLE message of a node that did not look at a
// call.
const refusedPrefix = "refused: "

func isRefusal(message string) bool { return strings.HasPrefix(message, refusedPrefix) }

// call is an operation for a caller. first is when it was first sent; 0: never.
type call struct {
	op
	first int64
}

// caller makes unary calls, one at a time: with a unary load everything, else the
// reads that a stream did not answer. It has one identity and settles every
// transfer before the next, so that its done_below is the timestamp itself.
type caller struct {
	engine    *engine
	number    int
	id        uint64
	timestamp uint64
	record    *sharedRecorder
}

// sharedRecorder is the recorder of several callers.
type sharedRecorder struct {
	mu sync.Mutex
	*recorder
}

func (c *caller) run(ctx context.Context) {
	staging := c.engine.staging()
	for {
		select {
		case <-ctx.Done():
			return
		case o := <-c.engine.calls:
			for ok := true; ok; {
				c.do(ctx, &o)
				o.first = 0
				o.op, ok = c.again(&o.op, staging)
			}
		}
	}
}

// again is what the client of o does next if this caller can do it at once.
func (c *caller) again(o *op, s *staging) (next op, ok bool) {
	e, now := c.engine, c.engine.now()
	if e.load.rate > 0 {
		e.refill([]int32{o.client}, now, s)
		return op{}, false
	}
	next, ok = e.clients[o.client].next(e, o.client, now)
	switch {
	case !ok:
		e.retire(1)
		return op{}, false
	case len(e.calls) == 0 && e.load.byCall(&next):
		return next, true
	}
	s.add(&next) // to its stream, or behind those that wait for a caller
	s.flush()
	return op{}, false
}

// answer of a node to a unary call.
type answer struct {
	result  pb.Result
	final   bool
	balance int64 // of a read
	leader  string
	err     error
}

// do carries an operation out and records it.
func (c *caller) do(ctx context.Context, from *call) {
	e, o := c.engine, &from.op
	c.timestamp++
	p := pursuit{caller: c, op: o, first: cmp.Or(from.first, e.now())}
	out := p.run(ctx)
	now := e.now()
	if out == committed {
		e.completed.Add(1)
		e.took(o)
		if o.kind != read {
			l := e.lanes[o.cluster]
			l.mu.Lock()
			l.sawCommit(p.sent, now)
			l.mu.Unlock()
		}
	}
	c.record.mu.Lock()
	c.record.end(o, out, now, e.inWindow(o, now))
	c.record.mu.Unlock()
	if out == unknown {
		e.settler.add(unsettled{op: *o, client: c.id, timestamp: c.timestamp, doneBelow: c.timestamp, done: func() {}})
		// Under a new name, so that nobody's floor waits for it.
		c.id, c.timestamp = e.settler.newID(), 0
	}
}

// pursuit is one operation on its way through the nodes of its cluster.
type pursuit struct {
	*caller
	op          *op
	first, sent int64
	unclear     bool
}

// run sends the operation to whoever leads until it has an outcome or its time
// is up.
func (p *pursuit) run(ctx context.Context) outcome {
	e := p.engine
	until := p.first + int64(e.load.deadline)
	for {
		p.sent = e.now()
		at := e.bank.leader(int(p.op.cluster))
		a := p.send(ctx, e.bank.clusters[p.op.cluster][at], time.Duration(until-p.sent))
		switch a.result {
		case pb.Result_RESULT_COMMITTED:
			if p.op.kind == read {
				e.reads.check(p.op.from, a.balance)
			}
			return committed
		case pb.Result_RESULT_INSUFFICIENT_FUNDS:
			return insufficientFunds
		case pb.Result_RESULT_INVALID:
			return invalid
		case pb.Result_RESULT_ABORTED:
			if a.final || !p.unclear {
				return aborted
			}
		case pb.Result_RESULT_UNAVAILABLE:
			if a.final {
				return unavailable
			}
		case pb.Result_RESULT_UNKNOWN:
			p.unclear = true
		}
		rest := until - e.now()
		if rest <= 0 || ctx.Err() != nil {
			if p.unclear && p.op.kind != read {
				return unknown
			}
			return unavailable
		}
		if !e.bank.redirect(int(p.op.cluster), at, a.leader) {
			e.sleepUntil(ctx, e.now()+min(int64(pause), rest), nil)
		}
	}
}

// send makes one call. left is the time until the operation's deadline; a node
// that stays silent for half of the whole is not waited for any longer.
func (p *pursuit) send(ctx context.Context, to *peer, left time.Duration) answer {
	e := p.engine
	callCtx, cancel := context.WithTimeout(ctx, min(left, e.load.deadline/2)+deadlineGrace)
	defer cancel()
	millis := uint32(max(left.Milliseconds(), 1))
	bank := pb.NewBankClient(to.spread(p.number))
	var a answer
	if p.op.kind == read {
		r, err := bank.Read(callCtx, &pb.ReadRequest{Epoch: e.bank.epoch, Topology: e.bank.hash, Item: p.op.from, DeadlineMs: millis})
		a = answer{result: r.GetResult(), balance: r.GetBalance(), leader: r.GetLeader(), err: err}
	} else {
		r, err := bank.Submit(callCtx, &pb.TransactionRequest{
			Epoch: e.bank.epoch, Topology: e.bank.hash, ClientId: p.id, Timestamp: p.timestamp, DoneBelow: p.timestamp,
			Transfer: &pb.Transfer{From: p.op.from, To: p.op.to, Amount: p.op.amount}, DeadlineMs: millis,
		})
		a = answer{result: r.GetResult(), final: r.GetFinal(), leader: r.GetLeader(), err: err}
	}
	if a.err != nil {
		st := status.Convert(a.err)
		if st.Code() != codes.Unavailable || !isRefusal(st.Message()) {
			p.unclear = true
		}
	}
	return a
}
