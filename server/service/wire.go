package service

import (
	"fmt"
	"sync"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"

	"paxbank/internal/grpcopts"
	pb "paxbank/proto/paxbank/v1"
	"paxbank/server/ids"
)

// The messages of the streams are read and written field by field, into and out
// of what the core works with. The bytes are those of package protobuf; tests
// compare them.

// submitRequest is a TransactionRequest.
type submitRequest struct {
	epoch, topology uint64
	request         ids.Request
	doneBelow       uint64
	hasTransfer     bool
	transfer        ids.Transfer
	deadlineMillis  uint32
}

func submitRequestOf(p *pb.TransactionRequest) submitRequest {
	t := p.GetTransfer()
	return submitRequest{
		epoch: p.GetEpoch(), topology: p.GetTopology(),
		request:   ids.Request{Client: p.GetClientId(), Timestamp: p.GetTimestamp()},
		doneBelow: p.GetDoneBelow(), hasTransfer: t != nil,
		transfer:       ids.Transfer{From: t.GetFrom(), To: t.GetTo(), Amount: t.GetAmount()},
		deadlineMillis: p.GetDeadlineMs(),
	}
}

// field takes one field off b: its number, its type, and its number or its bytes.
type field struct {
	number protowire.Number
	kind   protowire.Type
	value  uint64
	body   []byte
}

func (f *field) take(b []byte) (rest []byte, err error) {
	number, kind, n := protowire.ConsumeTag(b)
	if n < 0 {
		return nil, protowire.ParseError(n)
	}
	if number > protowire.MaxValidNumber {
		return nil, fmt.Errorf("field number %d is too large", number)
	}
	b = b[n:]
	f.number, f.kind, f.value, f.body = number, kind, 0, nil
	switch kind {
	case protowire.VarintType:
		f.value, n = protowire.ConsumeVarint(b)
	case protowire.Fixed64Type:
		f.value, n = protowire.ConsumeFixed64(b)
	case protowire.BytesType:
		f.body, n = protowire.ConsumeBytes(b)
	default:
		n = protowire.ConsumeFieldValue(number, kind, b)
	}
	if n < 0 {
		return nil, protowire.ParseError(n)
	}
	return b[n:], nil
}

// is reports whether the field is the one of that number and type; any other is
// an unknown one, which is passed over.
func (f *field) is(number protowire.Number, kind protowire.Type) bool {
	return f.number == number && f.kind == kind
}

// nextRequest takes the next element off a TransactionRequestBatch. ok is false
// at its end.
func nextRequest(batch []byte, q *submitRequest) (rest []byte, ok bool, err error) {
	var f field
	for len(batch) > 0 {
		if batch, err = f.take(batch); err != nil {
			return nil, false, err
		}
		if f.is(1, protowire.BytesType) {
			*q = submitRequest{}
			return batch, true, q.parse(f.body)
		}
	}
	return nil, false, nil
}

func (q *submitRequest) parse(b []byte) (err error) {
	var f field
	for len(b) > 0 {
		if b, err = f.take(b); err != nil {
			return err
		}
		switch {
		case f.is(1, protowire.VarintType):
			q.epoch = f.value
		case f.is(2, protowire.Fixed64Type):
			q.topology = f.value
		case f.is(3, protowire.Fixed64Type):
			q.request.Client = f.value
		case f.is(4, protowire.VarintType):
			q.request.Timestamp = f.value
		case f.is(5, protowire.VarintType):
			q.doneBelow = f.value
		case f.is(6, protowire.BytesType):
			q.hasTransfer = true
			if err := q.parseTransfer(f.body); err != nil {
				return err
			}
		case f.is(7, protowire.VarintType):
			q.deadlineMillis = uint32(f.value)
		}
	}
	return nil
}

func (q *submitRequest) parseTransfer(b []byte) (err error) {
	var f field
	for len(b) > 0 {
		if b, err = f.take(b); err != nil {
			return err
		}
		switch {
		case f.is(1, protowire.VarintType):
			q.transfer.From = int64(f.value)
		case f.is(2, protowire.VarintType):
			q.transfer.To = int64(f.value)
		case f.is(3, protowire.VarintType):
			q.transfer.Amount = int64(f.value)
		}
	}
	return nil
}

// submitReply is a TransactionReply.
type submitReply struct {
	request         ids.Request
	result          pb.Result
	final           bool
	message, leader string
	epoch           uint64
}

func (r *submitReply) proto() *pb.TransactionReply {
	return &pb.TransactionReply{
		ClientId: r.request.Client, Timestamp: r.request.Timestamp,
		Success: r.result == pb.Result_RESULT_COMMITTED, Result: r.result, Final: r.final,
		Message: r.message, Leader: r.leader, Epoch: r.epoch,
	}
}

// tags of TransactionReply, one byte each.
const (
	replyElement   = 1<<3 | byte(protowire.BytesType)
	replyClient    = 1<<3 | byte(protowire.Fixed64Type)
	replyTimestamp = 2<<3 | byte(protowire.VarintType)
	replySuccess   = 3<<3 | byte(protowire.VarintType)
	replyResult    = 4<<3 | byte(protowire.VarintType)
	replyFinal     = 5<<3 | byte(protowire.VarintType)
	replyMessage   = 6<<3 | byte(protowire.BytesType)
	replyLeader    = 7<<3 | byte(protowire.BytesType)
	replyEpoch     = 8<<3 | byte(protowire.VarintType)
)

// appendReply adds an element to a TransactionReplyBatch.
func appendReply(b []byte, r *submitReply) []byte {
	size := 0
	if r.request.Client != 0 {
		size += 1 + 8
	}
	size += varintField(r.request.Timestamp)
	success := r.result == pb.Result_RESULT_COMMITTED
	if success {
		size += 2
	}
	size += varintField(uint64(r.result))
	if r.final {
		size += 2
	}
	size += stringField(r.message) + stringField(r.leader) + varintField(r.epoch)

	b = append(b, replyElement)
	b = protowire.AppendVarint(b, uint64(size))
	if r.request.Client != 0 {
		b = protowire.AppendFixed64(append(b, replyClient), r.request.Client)
	}
	b = appendVarintField(b, replyTimestamp, r.request.Timestamp)
	if success {
		b = append(b, replySuccess, 1)
	}
	b = appendVarintField(b, replyResult, uint64(r.result))
	if r.final {
		b = append(b, replyFinal, 1)
	}
	b = appendStringField(b, replyMessage, r.message)
	b = appendStringField(b, replyLeader, r.leader)
	return appendVarintField(b, replyEpoch, r.epoch)
}

// readBatch is what a ReadRequestBatch says of all its reads.
type readBatch struct{ epoch, topology uint64 }

// parseReadBatch reads what may stand behind the reads that it is about.
func parseReadBatch(b []byte) (batch readBatch, err error) {
	var f field
	for len(b) > 0 {
		if b, err = f.take(b); err != nil {
			return batch, err
		}
		switch {
		case f.is(1, protowire.VarintType):
			batch.epoch = f.value
		case f.is(2, protowire.Fixed64Type):
			batch.topology = f.value
		}
	}
	return batch, nil
}

// readRequest is a NumberedRead.
type readRequest struct {
	number         uint64
	item           int64
	deadlineMillis uint32
}

// nextRead takes the next read off a ReadRequestBatch. ok is false at its end.
func nextRead(batch []byte, q *readRequest) (rest []byte, ok bool, err error) {
	var f field
	for len(batch) > 0 {
		if batch, err = f.take(batch); err != nil {
			return nil, false, err
		}
		if !f.is(3, protowire.BytesType) {
			continue
		}
		*q = readRequest{}
		for b := f.body; len(b) > 0; {
			if b, err = f.take(b); err != nil {
				return nil, false, err
			}
			switch {
			case f.is(1, protowire.VarintType):
				q.number = f.value
			case f.is(2, protowire.VarintType):
				q.item = int64(f.value)
			case f.is(3, protowire.VarintType):
				q.deadlineMillis = uint32(f.value)
			}
		}
		return batch, true, nil
	}
	return nil, false, nil
}

// readReply is a ReadReply.
type readReply struct {
	result          pb.Result
	balance         int64
	message, leader string
	epoch           uint64
}

func (r *readReply) proto() *pb.ReadReply {
	return &pb.ReadReply{Result: r.result, Balance: r.balance, Message: r.message, Leader: r.leader, Epoch: r.epoch}
}

// tags of NumberedReadReply and ReadReply, one byte each.
const (
	numberedElement = 1<<3 | byte(protowire.BytesType)
	numberedNumber  = 1<<3 | byte(protowire.VarintType)
	numberedReply   = 2<<3 | byte(protowire.BytesType)
	readResult      = 1<<3 | byte(protowire.VarintType)
	readBalance     = 2<<3 | byte(protowire.VarintType)
	readMessage     = 3<<3 | byte(protowire.BytesType)
	readLeader      = 4<<3 | byte(protowire.BytesType)
	readEpoch       = 5<<3 | byte(protowire.VarintType)
)

// appendRead adds an element to a ReadReplyBatch.
func appendRead(b []byte, number uint64, r *readReply) []byte {
	inner := varintField(uint64(r.result)) + varintField(uint64(r.balance)) + stringField(r.message) + stringField(r.leader) + varintField(r.epoch)
	b = append(b, numberedElement)
	b = protowire.AppendVarint(b, uint64(varintField(number)+1+protowire.SizeBytes(inner)))
	b = appendVarintField(b, numberedNumber, number)
	b = append(b, numberedReply)
	b = protowire.AppendVarint(b, uint64(inner))
	b = appendVarintField(b, readResult, uint64(r.result))
	b = appendVarintField(b, readBalance, uint64(r.balance))
	b = appendStringField(b, readMessage, r.message)
	b = appendStringField(b, readLeader, r.leader)
	return appendVarintField(b, readEpoch, r.epoch)
}

func varintField(v uint64) int {
	if v == 0 {
		return 0
	}
	return 1 + protowire.SizeVarint(v)
}

func stringField(s string) int {
	if s == "" {
		return 0
	}
	return 1 + protowire.SizeBytes(len(s))
}

func appendVarintField(b []byte, tag byte, v uint64) []byte {
	if v == 0 {
		return b
	}
	return protowire.AppendVarint(append(b, tag), v)
}

func appendStringField(b []byte, tag byte, s string) []byte {
	if s == "" {
		return b
	}
	return protowire.AppendString(append(b, tag), s)
}

// buffers are reused for the messages of streams. gRPC returns them.
type bufferPool struct{ pool sync.Pool }

var buffers bufferPool

var _ mem.BufferPool = (*bufferPool)(nil)

// Get implements mem.BufferPool: a buffer of that length.
func (p *bufferPool) Get(length int) *[]byte {
	b := p.empty()
	if cap(*b) < length {
		*b = make([]byte, length)
	}
	*b = (*b)[:length]
	return b
}

// empty returns a buffer to append to.
func (p *bufferPool) empty() *[]byte {
	if b, ok := p.pool.Get().(*[]byte); ok {
		*b = (*b)[:0]
		return b
	}
	return new([]byte)
}

// Put implements mem.BufferPool.
func (p *bufferPool) Put(b *[]byte) { p.pool.Put(b) }

// outgoing makes a message of a buffer of the pool.
func outgoing(b *[]byte) grpcopts.Out { return grpcopts.Out{Bytes: b, Pool: &buffers} }
