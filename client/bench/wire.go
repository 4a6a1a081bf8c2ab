package bench

import (
	"fmt"
	"sync"

	"google.golang.org/protobuf/encoding/protowire"

	pb "paxbank/proto/paxbank/v1"
)

// The streams' messages are written and read as bytes, field by field
// (grpcopts.Codec): the driver shares the machine with the nodes, and making a
// protobuf message of every operation would cost more than everything else it
// does. The bytes are those of proto.Marshal; a test compares them. Here are those
// of SubmitStream, in wireread.go those of ReadStream.

// sendPool holds buffers for whole batches; gRPC gives them back. Its own pool
// clears every buffer that it hands out, which would be a quarter of the driver's
// work.
var sendPool batchPool

type batchPool struct{ sync.Pool }

// Get implements mem.BufferPool; every buffer has room for a whole batch.
func (p *batchPool) Get(int) *[]byte {
	if b, ok := p.Pool.Get().(*[]byte); ok {
		return b
	}
	b := make([]byte, 0, maxBatch*maxRequestBytes)
	return &b
}

// Put implements mem.BufferPool.
func (p *batchPool) Put(b *[]byte) { p.Pool.Put(b) }

// maxRequestBytes is the size of the largest request in a batch, its own tag and
// length included. It stays below 128, so that the length is one byte.
const maxRequestBytes = 2 + 11 + 9 + 9 + 11 + 11 + 2 + 3*11 + 6

// The tags of TransactionRequestBatch, TransactionRequest and Transfer.
var (
	tagRequest   = tag(1, protowire.BytesType)
	tagEpoch     = tag(1, protowire.VarintType)
	tagTopology  = tag(2, protowire.Fixed64Type)
	tagClient    = tag(3, protowire.Fixed64Type)
	tagTimestamp = tag(4, protowire.VarintType)
	tagDoneBelow = tag(5, protowire.VarintType)
	tagTransfer  = tag(6, protowire.BytesType)
	tagFrom      = tag(1, protowire.VarintType)
	tagTo        = tag(2, protowire.VarintType)
	tagAmount    = tag(3, protowire.VarintType)
	tagDeadline  = tag(7, protowire.VarintType)
)

// tag REQUIRES: the field's number is below 16, so that its tag is one byte.
func tag(n protowire.Number, t protowire.Type) byte { return byte(protowire.EncodeTag(n, t)) }

// request is what one element of a batch says. No field of it is zero.
type request struct {
	epoch, topology, client, timestamp, doneBelow uint64
	from, to, amount                              int64
	deadlineMillis                                uint32
}

// appendRequest adds a request to a TransactionRequestBatch.
func appendRequest(b []byte, r *request) []byte {
	b = append(b, tagRequest, 0)
	at := len(b)
	b = protowire.AppendVarint(append(b, tagEpoch), r.epoch)
	b = protowire.AppendFixed64(append(b, tagTopology), r.topology)
	b = protowire.AppendFixed64(append(b, tagClient), r.client)
	b = protowire.AppendVarint(append(b, tagTimestamp), r.timestamp)
	b = protowire.AppendVarint(append(b, tagDoneBelow), r.doneBelow)
	b = append(b, tagTransfer, 0)
	inner := len(b)
	b = protowire.AppendVarint(append(b, tagFrom), uint64(r.from))
	b = protowire.AppendVarint(append(b, tagTo), uint64(r.to))
	b = protowire.AppendVarint(append(b, tagAmount), uint64(r.amount))
	b[inner-1] = byte(len(b) - inner)
	b = protowire.AppendVarint(append(b, tagDeadline), uint64(r.deadlineMillis))
	b[at-1] = byte(len(b) - at)
	return b
}

// reply is what one element of a TransactionReplyBatch says, as far as the load
// generator needs it. leader points into the message.
type reply struct {
	client, timestamp uint64
	result            pb.Result
	final             bool
	leader            []byte
}

// nextReply takes the first reply off a TransactionReplyBatch; ok is false at
// its end.
func nextReply(batch []byte, r *reply) (rest []byte, ok bool, err error) {
	body, rest, ok, err := nextElement(batch)
	if err != nil || !ok {
		return nil, false, err
	}
	return rest, true, parseReply(body, r)
}

// nextElement takes the first element off a batch whose elements are its field 1;
// ok is false at its end.
func nextElement(batch []byte) (body, rest []byte, ok bool, err error) {
	for len(batch) > 0 {
		number, kind, n := protowire.ConsumeTag(batch)
		if n < 0 {
			return nil, nil, false, malformed(n)
		}
		batch = batch[n:]
		if number != 1 || kind != protowire.BytesType {
			if n = protowire.ConsumeFieldValue(number, kind, batch); n < 0 {
				return nil, nil, false, malformed(n)
			}
			batch = batch[n:]
			continue
		}
		body, n := protowire.ConsumeBytes(batch)
		if n < 0 {
			return nil, nil, false, malformed(n)
		}
		return body, batch[n:], true, nil
	}
	return nil, nil, false, nil
}

func parseReply(b []byte, r *reply) error {
	*r = reply{}
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return malformed(n)
		}
		b = b[n:]
		var v uint64
		switch {
		case number == 1 && kind == protowire.Fixed64Type:
			r.client, n = protowire.ConsumeFixed64(b)
		case number == 2 && kind == protowire.VarintType:
			r.timestamp, n = protowire.ConsumeVarint(b)
		case number == 4 && kind == protowire.VarintType:
			v, n = protowire.ConsumeVarint(b)
			r.result = pb.Result(v)
		case number == 5 && kind == protowire.VarintType:
			v, n = protowire.ConsumeVarint(b)
			r.final = v != 0
		case number == 7 && kind == protowire.BytesType:
			r.leader, n = protowire.ConsumeBytes(b)
		default:
			n = protowire.ConsumeFieldValue(number, kind, b)
		}
		if n < 0 {
			return malformed(n)
		}
		b = b[n:]
	}
	return nil
}

func malformed(n int) error {
	return fmt.Errorf("a node sent a malformed message on a stream: %w", protowire.ParseError(n))
}
