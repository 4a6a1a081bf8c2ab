package service

import (
	"context"
	"fmt"
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
func (n *Node) submitEvent(inc *incarnation, now ids.Time, q *submitRequest) (e replica.Event, refused *submitReply) {
	refuse := func(r pb.Result, message string) (replica.Event, *submitReply) {
		return replica.Event{}, &submitReply{request: q.request, result: r, final: r == pb.Result_RESULT_INVALID, message: message, epoch: inc.epoch}
	}
	if why := inc.strange(n.opts.ID, q.epoch, q.topology); why != "" {
		return refuse(pb.Result_RESULT_WRONG_EPOCH, why)
	}
	switch {
	case q.request.Client == 0:
		return refuse(pb.Result_RESULT_INVALID, "client_id is missing")
	case q.request.Timestamp == 0:
		return refuse(pb.Result_RESULT_INVALID, "timestamp is missing; timestamps begin at 1")
	case !q.hasTransfer:
		return refuse(pb.Result_RESULT_INVALID, "transfer is missing")
	}
	return replica.Event{
		Kind:      replica.EventSubmit,
		Request:   q.request,
		DoneBelow: q.doneBelow,
		Transfer:  q.transfer,
		Deadline:  inc.deadline(now, q.deadlineMillis),
	}, nil
}

// reply translates an answer to a transfer.
func (inc *incarnation) reply(request ids.Request, a *replica.Answer) submitReply {
	return submitReply{request: request, result: pb.Result(a.Outcome), final: a.Final,
		message: a.Message, leader: inc.nodeName(a.Leader), epoch: inc.epoch}
}

// readReply translates an answer to a read.
func (inc *incarnation) readReply(a *replica.Answer) readReply {
	r := readReply{result: pb.Result(a.Outcome), balance: a.Balance, message: a.Message, leader: inc.nodeName(a.Leader), epoch: inc.epoch}
	if a.Outcome == bank.OutcomeUnknown {
		r.result = pb.Result_RESULT_UNAVAILABLE // a read that was not answered changed nothing
	}
	return r
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
	q := submitRequestOf(req)
	e, refused := n.submitEvent(inc, n.now(), &q)
	if refused != nil {
		return refused.proto(), nil
	}
	a, err := n.call(ctx, inc, e)
	if err != nil {
		return nil, err
	}
	r := inc.reply(e.Request, &a)
	return r.proto(), nil
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
	r := inc.readReply(&a)
	return r.proto(), nil
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
