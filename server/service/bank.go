package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "paxbank/proto/paxbank/v1"
	"paxbank/server/bank"
	"paxbank/server/ids"
	"paxbank/server/replica"
)

// The limits of the public service.
const (
	// defaultDeadline is that of a request that names none.
	defaultDeadline = 5 * time.Second
	// answerGrace is how much later than the deadline the core may answer before
	// the shell gives up on it.
	answerGrace = 3 * time.Second
	// maxOpenCalls is how many transfers of one stream may wait for an answer
	// before no more are read.
	maxOpenCalls = 1 << 16
	// maxReplies is how many answers go into one message of a stream.
	maxReplies = 4096
)

// deadline returns when a request that may take ms from now is over.
func (inc *incarnation) deadline(now ids.Time, ms uint32) ids.Time {
	d := ids.Duration(ms) * replica.Millisecond
	if d == 0 {
		d = ids.Duration(defaultDeadline)
	}
	return now + ids.Time(min(d, inc.limits.MaxDeadline))
}

// strange says why a request of another bank or reset is refused; "" when it is
// not.
func (inc *incarnation) strange(node string, epoch, topology uint64) string {
	switch {
	case topology != 0 && topology != inc.hash:
		return fmt.Sprintf("%s belongs to topology %016x, the request to %016x", node, inc.hash, topology)
	case epoch != inc.epoch:
		return fmt.Sprintf("%s is in epoch %d, the request in epoch %d", node, inc.epoch, epoch)
	}
	return ""
}

// submitEvent translates a request; when that is not possible or not allowed, it
// returns the answer instead.
func (n *Node) submitEvent(inc *incarnation, now ids.Time, req *pb.TransactionRequest) (replica.Event, *pb.TransactionReply) {
	refuse := func(r pb.Result, message string) (replica.Event, *pb.TransactionReply) {
		return replica.Event{}, &pb.TransactionReply{ClientId: req.GetClientId(), Timestamp: req.GetTimestamp(),
			Result: r, Final: r == pb.Result_RESULT_INVALID, Message: message, Epoch: inc.epoch}
	}
	if why := inc.strange(n.opts.ID, req.GetEpoch(), req.GetTopology()); why != "" {
		return refuse(pb.Result_RESULT_WRONG_EPOCH, why)
	}
	t := req.GetTransfer()
	switch {
	case req.GetClientId() == 0:
		return refuse(pb.Result_RESULT_INVALID, "client_id is missing")
	case req.GetTimestamp() == 0:
		return refuse(pb.Result_RESULT_INVALID, "timestamp is missing; timestamps begin at 1")
	case t == nil:
		return refuse(pb.Result_RESULT_INVALID, "transfer is missing")
	}
	return replica.Event{
		Kind:      replica.EventSubmit,
		Request:   ids.Request{Client: req.GetClientId(), Timestamp: req.GetTimestamp()},
		DoneBelow: req.GetDoneBelow(),
		Transfer:  ids.Transfer{From: t.GetFrom(), To: t.GetTo(), Amount: t.GetAmount()},
		Deadline:  inc.deadline(now, req.GetDeadlineMs()),
	}, nil
}

// reply translates an answer to a transfer.
func (inc *incarnation) reply(request ids.Request, a *replica.Answer) *pb.TransactionReply {
	return &pb.TransactionReply{
		ClientId: request.Client, Timestamp: request.Timestamp,
		Success: a.Outcome == bank.OutcomeCommitted, Result: pb.Result(a.Outcome), Final: a.Final,
		Message: a.Message, Leader: inc.nodeName(a.Leader), Epoch: inc.epoch,
	}
}

// crowded is the answer when the owner's queue is full.
func crowded(node string) string {
	return fmt.Sprintf("%s has too many requests waiting; nothing was proposed", node)
}

// call hands one event to the owner and waits for its answer.
func (n *Node) call(ctx context.Context, inc *incarnation, e replica.Event) (replica.Answer, error) {
	c := newOneCall()
	if !inc.engine.submit(submission{c, []replica.Event{e}}) {
		return replica.Answer{Outcome: bank.OutcomeUnavailable, Message: crowded(n.opts.ID)}, nil
	}
	timer := time.NewTimer(time.Duration(e.Deadline-n.now()) + answerGrace)
	defer timer.Stop()
	select {
	case r := <-c:
		if r.err != nil {
			return replica.Answer{}, status.Error(codes.Unavailable, r.err.Error())
		}
		return r.answer, nil
	case <-ctx.Done():
		return replica.Answer{}, status.FromContextError(ctx.Err()).Err()
	case <-timer.C:
		return replica.Answer{Outcome: bank.OutcomeUnknown,
			Message: fmt.Sprintf("%s gave no answer until %v after the deadline", n.opts.ID, answerGrace)}, nil
	}
}

// Submit implements Bank.
func (n *Node) Submit(ctx context.Context, req *pb.TransactionRequest) (*pb.TransactionReply, error) {
	inc, err := n.configured(codes.Unavailable)
	if err != nil {
		return nil, err
	}
	e, refused := n.submitEvent(inc, n.now(), req)
	if refused != nil {
		return refused, nil
	}
	a, err := n.call(ctx, inc, e)
	if err != nil {
		return nil, err
	}
	return inc.reply(e.Request, &a), nil
}

// Read implements Bank.
func (n *Node) Read(ctx context.Context, req *pb.ReadRequest) (*pb.ReadReply, error) {
	inc, err := n.configured(codes.Unavailable)
	if err != nil {
		return nil, err
	}
	if why := inc.strange(n.opts.ID, req.GetEpoch(), req.GetTopology()); why != "" {
		return &pb.ReadReply{Result: pb.Result_RESULT_WRONG_EPOCH, Message: why, Epoch: inc.epoch}, nil
	}
	a, err := n.call(ctx, inc, replica.Event{Kind: replica.EventRead, Item: req.GetItem(), Deadline: inc.deadline(n.now(), req.GetDeadlineMs())})
	if err != nil {
		return nil, err
	}
	if a.Outcome == bank.OutcomeUnknown {
		a.Outcome = bank.OutcomeUnavailable // a read that was not answered changed nothing
	}
	return &pb.ReadReply{Result: pb.Result(a.Outcome), Balance: a.Balance, Message: a.Message,
		Leader: inc.nodeName(a.Leader), Epoch: inc.epoch}, nil
}

// Resolve implements Bank.
func (n *Node) Resolve(ctx context.Context, req *pb.ResolveRequest) (*pb.ResolveReply, error) {
	inc, err := n.configured(codes.Unavailable)
	if err != nil {
		return nil, err
	}
	if why := inc.strange(n.opts.ID, req.GetEpoch(), req.GetTopology()); why != "" {
		return &pb.ResolveReply{Result: pb.Result_RESULT_WRONG_EPOCH, Message: why, Epoch: inc.epoch}, nil
	}
	if req.GetClientId() == 0 || req.GetTimestamp() == 0 {
		return &pb.ResolveReply{Result: pb.Result_RESULT_INVALID, Final: true, Message: "client_id or timestamp is missing", Epoch: inc.epoch}, nil
	}
	a, err := n.call(ctx, inc, replica.Event{
		Kind:      replica.EventResolve,
		Request:   ids.Request{Client: req.GetClientId(), Timestamp: req.GetTimestamp()},
		DoneBelow: req.GetDoneBelow(),
		Item:      req.GetFrom(),
		Deadline:  inc.deadline(n.now(), req.GetDeadlineMs()),
	})
	if err != nil {
		return nil, err
	}
	return &pb.ResolveReply{Result: pb.Result(a.Outcome), Final: a.Final, Message: a.Message,
		Leader: inc.nodeName(a.Leader), Epoch: inc.epoch}, nil
}

// SubmitStream implements Bank. One goroutine reads, the handler writes; there
// is none a transfer.
func (n *Node) SubmitStream(s pb.Bank_SubmitStreamServer) error {
	inc, err := n.configured(codes.Unavailable)
	if err != nil {
		return err
	}
	ctx := s.Context()
	calls := newStreamCalls(inc.reply)
	go n.readCalls(ctx, s, inc, calls)
	for {
		select {
		case <-ctx.Done():
			return status.FromContextError(ctx.Err()).Err()
		case <-n.over:
			return n.stopping()
		case <-calls.signal:
		}
		for more := true; more; {
			replies, left, over, failed := calls.take(maxReplies)
			more = left
			if len(replies) > 0 {
				if err := s.Send(&pb.TransactionReplyBatch{Replies: replies}); err != nil {
					return err
				}
			}
			if failed != nil && !more {
				return status.Error(codes.Unavailable, failed.Error())
			}
			if over {
				return nil
			}
		}
	}
}

// readCalls reads a stream's requests until it ends. It ends when the handler
// has returned, because then Recv fails and ctx is over.
func (n *Node) readCalls(ctx context.Context, s pb.Bank_SubmitStreamServer, inc *incarnation, calls *streamCalls) {
	defer calls.end()
	for {
		for calls.full(maxOpenCalls) {
			select {
			case <-calls.room:
			case <-ctx.Done():
				return
			}
		}
		batch, err := s.Recv()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				calls.fail(err)
			}
			return
		}
		if now := n.current.Load(); now != inc {
			calls.fail(fmt.Errorf("%s was configured anew or reset; open a new stream", n.opts.ID))
			return
		}
		requests := batch.GetRequests()
		calls.add(len(requests))
		events := make([]replica.Event, 0, len(requests))
		answered := false
		now := n.now()
		for _, req := range requests {
			e, refused := n.submitEvent(inc, now, req)
			if refused != nil {
				calls.put(refused)
				answered = true
				continue
			}
			events = append(events, e)
		}
		if len(events) > 0 && !inc.engine.submit(submission{calls, events}) {
			a := replica.Answer{Outcome: bank.OutcomeUnavailable, Message: crowded(n.opts.ID)}
			for i := range events {
				calls.answer(events[i].Request, &a)
			}
			answered = true
		}
		if answered {
			calls.flush()
		}
	}
}
