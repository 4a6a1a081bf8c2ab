package bench

import (
	"google.golang.org/protobuf/encoding/protowire"

	pb "paxbank/proto/paxbank/v1"
)

// The sizes of the parts of a ReadRequestBatch: a read's own tag and length
// included, and what stands before the reads.
const (
	maxReadBytes   = 2 + 11 + 11 + 6
	readBatchBytes = 11 + 9
)

// A batch of reads fits into a buffer of sendPool.
const _ = uint(maxBatch*(maxRequestBytes-maxReadBytes) - readBatchBytes)

// The tags of ReadRequestBatch and NumberedRead.
var (
	tagBatchEpoch    = tag(1, protowire.VarintType)
	tagBatchTopology = tag(2, protowire.Fixed64Type)
	tagRead          = tag(3, protowire.BytesType)
	tagReadNumber    = tag(1, protowire.VarintType)
	tagReadItem      = tag(2, protowire.VarintType)
	tagReadDeadline  = tag(3, protowire.VarintType)
)

// appendReadBatch begins a ReadRequestBatch.
func appendReadBatch(b []byte, epoch, topology uint64) []byte {
	b = protowire.AppendVarint(append(b, tagBatchEpoch), epoch)
	return protowire.AppendFixed64(append(b, tagBatchTopology), topology)
}

// appendRead adds a read to a ReadRequestBatch. Neither argument is zero.
func appendRead(b []byte, number uint64, item int64, deadlineMillis uint32) []byte {
	b = append(b, tagRead, 0)
	at := len(b)
	b = protowire.AppendVarint(append(b, tagReadNumber), number)
	b = protowire.AppendVarint(append(b, tagReadItem), uint64(item))
	b = protowire.AppendVarint(append(b, tagReadDeadline), uint64(deadlineMillis))
	b[at-1] = byte(len(b) - at)
	return b
}

// readReply is what one element of a ReadReplyBatch says, as far as the load
// generator needs it. leader points into the message.
type readReply struct {
	number  uint64
	result  pb.Result
	balance int64
	leader  []byte
}

// nextReadReply takes the first reply off a ReadReplyBatch; ok is false at its
// end.
func nextReadReply(batch []byte, r *readReply) (rest []byte, ok bool, err error) {
	body, rest, ok, err := nextElement(batch)
	if err != nil || !ok {
		return nil, false, err
	}
	*r = readReply{}
	for len(body) > 0 {
		number, kind, n := protowire.ConsumeTag(body)
		if n < 0 {
			return nil, false, malformed(n)
		}
		body = body[n:]
		switch {
		case number == 1 && kind == protowire.VarintType:
			r.number, n = protowire.ConsumeVarint(body)
		case number == 2 && kind == protowire.BytesType:
			var answer []byte
			if answer, n = protowire.ConsumeBytes(body); n >= 0 {
				err = parseBalance(answer, r)
			}
		default:
			n = protowire.ConsumeFieldValue(number, kind, body)
		}
		if n < 0 {
			return nil, false, malformed(n)
		}
		if err != nil {
			return nil, false, err
		}
		body = body[n:]
	}
	return rest, true, nil
}

// parseBalance reads a ReadReply.
func parseBalance(b []byte, r *readReply) error {
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return malformed(n)
		}
		b = b[n:]
		var v uint64
		switch {
		case number == 1 && kind == protowire.VarintType:
			v, n = protowire.ConsumeVarint(b)
			r.result = pb.Result(v)
		case number == 2 && kind == protowire.VarintType:
			v, n = protowire.ConsumeVarint(b)
			r.balance = int64(v)
		case number == 4 && kind == protowire.BytesType:
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
