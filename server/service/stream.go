package service

import (
	"context"
	"errors"
	"fmt"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"paxbank/internal/grpcopts"
	pb "paxbank/proto/paxbank/v1"
	"paxbank/server/bank"
	"paxbank/server/ids"
	"paxbank/server/replica"
)

// maxOpenCalls is how many calls of one stream may wait for an answer before no
// more are read, and how many one message may hold.
const maxOpenCalls = 1 << 16

// errCrowd ends a stream whose message holds more.
var errCrowd = fmt.Errorf("more than %d calls in one message", maxOpenCalls)

// SubmitStream implements Bank.
func (n *Node) SubmitStream(s pb.Bank_SubmitStreamServer) error {
	return n.stream(s, (*incarnation).encodeReply, n.readSubmits)
}

// ReadStream implements Bank.
func (n *Node) ReadStream(s pb.Bank_ReadStreamServer) error {
	return n.stream(s, (*incarnation).encodeRead, n.readReads)
}

// encoder appends the answer to one call to a message of a stream.
type encoder func(inc *incarnation, b []byte, request ids.Request, a *replica.Answer) []byte

// reader translates one message of a stream into calls. It counts them in calls
// and answers those that it refuses; refused says that there were such.
type reader func(inc *incarnation, calls *streamCalls, message []byte) (events []replica.Event, refused bool, err error)

// stream serves one stream of calls. One goroutine reads, this one writes; there
// is none a call.
func (n *Node) stream(s grpc.ServerStream, encode encoder, read reader) error {
	inc, err := n.configured(codes.Unavailable)
	if err != nil {
		return err
	}
	ctx := s.Context()
	calls := newStreamCalls(func(b []byte, request ids.Request, a *replica.Answer) []byte { return encode(inc, b, request, a) })
	go n.readCalls(ctx, s, inc, calls, read)
	for {
		select {
		case <-ctx.Done():
			return status.FromContextError(ctx.Err()).Err()
		case <-n.over:
			return n.stopping()
		case <-calls.signal:
		}
		for more := true; more; {
			message, left, over, failed := calls.take()
			more = left
			if message != nil {
				if err := s.SendMsg(outgoing(message)); err != nil {
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

// readCalls reads a stream's calls until it ends. It ends when the handler has
// returned, because then RecvMsg fails and ctx is over.
func (n *Node) readCalls(ctx context.Context, s grpc.ServerStream, inc *incarnation, calls *streamCalls, read reader) {
	defer calls.end()
	var in grpcopts.In
	for {
		for calls.full(maxOpenCalls) {
			select {
			case <-calls.room:
			case <-ctx.Done():
				return
			}
		}
		if err := s.RecvMsg(&in); err != nil {
			if !errors.Is(err, io.EOF) {
				calls.fail(err)
			}
			return
		}
		if now := n.current.Load(); now != inc {
			calls.fail(fmt.Errorf("%s was configured anew or reset; open a new stream", n.opts.ID))
			return
		}
		events, answered, err := read(inc, calls, in.Bytes)
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
		if err != nil {
			calls.fail(fmt.Errorf("the stream was ended because a message in it makes no sense: %w", err))
			return
		}
	}
}

// readSubmits is the reader of SubmitStream.
func (n *Node) readSubmits(inc *incarnation, calls *streamCalls, batch []byte) (events []replica.Event, answered bool, err error) {
	// The shortest request that is worth anything takes some 40 bytes.
	events = newEvents(len(batch)/40 + 1)
	now := n.now()
	var q submitRequest
	for count := 0; ; {
		var more bool
		if batch, more, err = nextRequest(batch, &q); err != nil || !more {
			return events, answered, err
		}
		if count++; count > maxOpenCalls {
			return events, answered, errCrowd
		}
		calls.add(1)
		e, refused := n.submitEvent(inc, now, &q)
		if refused != nil {
			calls.put(func(b []byte) []byte { return appendReply(b, refused) })
			answered = true
			continue
		}
		events = append(events, e)
	}
}

// readReads is the reader of ReadStream. The number that the client gave a read
// takes the place of a request's timestamp.
func (n *Node) readReads(inc *incarnation, calls *streamCalls, message []byte) (events []replica.Event, answered bool, err error) {
	batch, err := parseReadBatch(message)
	if err != nil {
		return nil, false, err
	}
	strange := inc.strange(n.opts.ID, batch.epoch, batch.topology)
	events = newEvents(len(message)/8 + 1)
	now := n.now()
	var q readRequest
	for rest, count := message, 0; ; {
		var more bool
		if rest, more, err = nextRead(rest, &q); err != nil || !more {
			return events, answered, err
		}
		if count++; count > maxOpenCalls {
			return events, answered, errCrowd
		}
		calls.add(1)
		if strange != "" {
			number := q.number
			calls.put(func(b []byte) []byte {
				return appendRead(b, number, &readReply{result: pb.Result_RESULT_WRONG_EPOCH, message: strange, epoch: inc.epoch})
			})
			answered = true
			continue
		}
		events = append(events, replica.Event{Kind: replica.EventRead, Request: ids.Request{Timestamp: q.number},
			Item: q.item, Deadline: inc.deadline(now, q.deadlineMillis)})
	}
}

// encodeReply is what a SubmitStream does with an answer.
func (inc *incarnation) encodeReply(b []byte, request ids.Request, a *replica.Answer) []byte {
	r := inc.reply(request, a)
	return appendReply(b, &r)
}

// encodeRead is what a ReadStream does with an answer.
func (inc *incarnation) encodeRead(b []byte, request ids.Request, a *replica.Answer) []byte {
	r := inc.readReply(a)
	return appendRead(b, request.Timestamp, &r)
}
