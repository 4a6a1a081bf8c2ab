package transport

import (
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"paxbank/server/ids"
	"paxbank/server/paxos"
	"paxbank/server/twopc"
)

// Messages of the core are written and read as the PeerMessage of replica.proto,
// field by field: cross-shard transfers need a dozen small ones each, and a
// protobuf message, with a message for each id in it, would cost more than all
// else that is done with them. Tests hold the bytes against protobuf's.

// coder writes, reads or checks the fields of one message. Its methods are
// called for each field in the order of their numbers.
type coder struct {
	mode mode
	b    []byte // writing: what was written so far
	f    field  // reading: the field that was found
	err  error  // the first thing that was wrong
}

type mode uint8

const (
	writing  mode = iota
	reading       // the method whose number is the field's takes it
	checking      // what was read, absent fields included, makes sense
)

// field is one field of a message on the wire.
type field struct {
	number protowire.Number
	kind   protowire.Type
	value  uint64
	body   []byte
}

func (c *coder) fail(format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf(format, args...)
	}
}

// take takes one field off the front of b.
func (f *field) take(b []byte) (rest []byte, err error) {
	number, kind, n := protowire.ConsumeTag(b)
	if n < 0 {
		return nil, protowire.ParseError(n)
	}
	b = b[n:]
	*f = field{number: number, kind: kind}
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

func (c *coder) found(n protowire.Number, kind protowire.Type) bool {
	return c.mode == reading && c.f.number == n && c.f.kind == kind
}

func (c *coder) varint(n protowire.Number, v uint64) {
	if v != 0 {
		c.b = protowire.AppendVarint(protowire.AppendTag(c.b, n, protowire.VarintType), v)
	}
}

// number is a field that is a varint, up to limit.
func number[T ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~int64](c *coder, n protowire.Number, p *T, limit uint64) {
	switch {
	case c.mode == writing:
		c.varint(n, uint64(*p))
	case c.found(n, protowire.VarintType):
		if c.f.value > limit {
			c.fail("field %d is %d, more than %d", n, c.f.value, limit)
			return
		}
		*p = T(c.f.value)
	}
}

func (c *coder) uint(n protowire.Number, p *uint64)         { number(c, n, p, math.MaxUint64) }
func (c *coder) int(n protowire.Number, p *int64)           { number(c, n, p, math.MaxUint64) }
func (c *coder) node(n protowire.Number, p *ids.Node)       { number(c, n, p, math.MaxUint16) }
func (c *coder) cluster(n protowire.Number, p *ids.Cluster) { number(c, n, p, math.MaxUint16) }

func (c *coder) reason(n protowire.Number, p *twopc.Reason) {
	number(c, n, p, uint64(twopc.ReasonWaiting))
}

func (c *coder) answer(n protowire.Number, p *twopc.Answer) {
	number(c, n, p, uint64(twopc.AnswerNotLeader))
}

func (c *coder) bool(n protowire.Number, p *bool) {
	switch {
	case c.mode == writing && *p:
		c.varint(n, 1)
	case c.found(n, protowire.VarintType):
		*p = c.f.value != 0
	}
}

func (c *coder) fixed(n protowire.Number, p *uint64) {
	switch {
	case c.mode == writing && *p != 0:
		c.b = protowire.AppendFixed64(protowire.AppendTag(c.b, n, protowire.Fixed64Type), *p)
	case c.found(n, protowire.Fixed64Type):
		*p = c.f.value
	}
}

// bytes are shared with what is read, not copied.
func (c *coder) bytes(n protowire.Number, p *[]byte) {
	switch {
	case c.mode == writing && len(*p) > 0:
		c.b = protowire.AppendBytes(protowire.AppendTag(c.b, n, protowire.BytesType), *p)
	case c.found(n, protowire.BytesType) && len(c.f.body) > 0:
		*p = c.f.body
	}
}

// nested is a field that is a message of less than 128 bytes.
func (c *coder) nested(n protowire.Number, fields func()) {
	switch {
	case c.mode == writing:
		c.b = append(protowire.AppendTag(c.b, n, protowire.BytesType), 0)
		at := len(c.b)
		fields()
		c.b[at-1] = byte(len(c.b) - at)
	case c.mode == checking:
		fields()
	case c.found(n, protowire.BytesType):
		c.read(c.f.body, fields)
	}
}

// read calls fields for every field in b.
func (c *coder) read(b []byte, fields func()) {
	for len(b) > 0 && c.err == nil {
		var err error
		if b, err = c.f.take(b); err != nil {
			c.err = err
			return
		}
		fields()
	}
	c.f = field{} // taken: it is no field of the message around
}

func (c *coder) anyBallot(n protowire.Number, p *ids.Ballot) {
	if c.mode == writing && p.IsZero() {
		return
	}
	c.nested(n, func() {
		c.uint(1, &p.Counter)
		c.node(2, &p.Node)
	})
}

// ballot is a ballot that somebody owns.
func (c *coder) ballot(n protowire.Number, p *ids.Ballot) {
	if c.mode == checking && (p.Node == 0 || p.Counter == 0) {
		c.fail("ballot %d.n%d belongs to nobody", p.Counter, p.Node)
		return
	}
	c.anyBallot(n, p)
}

func (c *coder) txn(n protowire.Number, p *ids.Txn) {
	c.nested(n, func() {
		c.fixed(1, &p.Client)
		c.uint(2, &p.Timestamp)
		c.ballot(3, &p.Ballot)
		number(c, 4, &p.Number, math.MaxUint32)
	})
}

func (c *coder) age(n protowire.Number, p *ids.Age) {
	c.nested(n, func() {
		number(c, 1, &p.Clock, math.MaxUint64)
		c.cluster(2, &p.Cluster)
		c.uint(3, &p.Number)
	})
}

// fields describes every message once, for all directions, and returns its
// number in PeerMessage; 0 for what is no message.
func (c *coder) fields(m any) protowire.Number {
	switch m := m.(type) {
	case *paxos.PreVote:
		c.ballot(1, &m.Ballot)
		return 1
	case *paxos.PreVoteReply:
		c.ballot(1, &m.Ballot)
		c.bool(2, &m.Granted)
		c.anyBallot(3, &m.Promised)
		c.node(4, &m.Leader)
		return 2
	case *paxos.Prepare:
		c.ballot(1, &m.Ballot)
		c.uint(2, &m.FirstIndex)
		return 3
	case *paxos.Promise:
		c.ballot(1, &m.Ballot)
		c.bytes(2, &m.Accepted)
		c.uint(3, &m.CommitIndex)
		return 4
	case *paxos.Reject:
		c.ballot(1, &m.Ballot)
		c.ballot(2, &m.Promised)
		return 5
	case *paxos.Accept:
		c.ballot(1, &m.Ballot)
		c.bool(2, &m.NewView)
		c.uint(3, &m.FirstIndex)
		c.uint(4, &m.ViewFirst)
		c.uint(5, &m.CommitIndex)
		c.uint(6, &m.Round)
		c.bytes(7, &m.Entries)
		return 6
	case *paxos.Accepted:
		c.ballot(1, &m.Ballot)
		c.uint(2, &m.UpTo)
		c.uint(3, &m.CommitIndex)
		c.uint(4, &m.Round)
		c.bool(5, &m.Gap)
		return 7
	case *paxos.Commit:
		c.ballot(1, &m.Ballot)
		c.uint(2, &m.CommitIndex)
		return 8
	case *paxos.Heartbeat:
		c.ballot(1, &m.Ballot)
		c.uint(2, &m.CommitIndex)
		c.uint(3, &m.Round)
		c.uint(4, &m.Sent)
		c.uint(5, &m.ViewFirst)
		return 9
	case *paxos.HeartbeatReply:
		c.ballot(1, &m.Ballot)
		c.uint(2, &m.Round)
		c.uint(3, &m.UpTo)
		c.uint(4, &m.CommitIndex)
		c.bool(5, &m.Gap)
		return 10
	case *paxos.Fetch:
		c.ballot(1, &m.Ballot)
		c.uint(2, &m.FromIndex)
		return 11
	case *paxos.CatchUp:
		c.ballot(1, &m.Ballot)
		c.uint(2, &m.FirstIndex)
		c.uint(3, &m.CommitIndex)
		c.bytes(4, &m.Entries)
		return 12
	case *paxos.CheckpointChunk:
		c.ballot(1, &m.Ballot)
		c.uint(2, &m.Index)
		c.uint(3, &m.Offset)
		c.uint(4, &m.Total)
		c.bytes(5, &m.Data)
		return 13
	case *twopc.TwoPCPrepareRequest:
		c.txn(1, &m.Txn)
		c.int(2, &m.Transfer.From)
		c.int(3, &m.Transfer.To)
		c.int(4, &m.Transfer.Amount)
		c.age(5, &m.Age)
		number(c, 6, &m.Remaining, math.MaxUint64)
		c.cluster(7, &m.Cluster)
		return 14
	case *twopc.TwoPCPrepareReply:
		c.txn(1, &m.Txn)
		c.bool(2, &m.Success)
		c.uint(3, &m.Seq)
		c.reason(4, &m.Reason)
		c.node(5, &m.Leader)
		return 15
	case *twopc.TwoPCCommitRequest:
		c.txn(1, &m.Txn)
		c.uint(2, &m.Seq)
		return 16
	case *twopc.TwoPCCommitReply:
		c.txn(1, &m.Txn)
		c.bool(2, &m.Success)
		c.uint(3, &m.Seq)
		c.node(4, &m.Leader)
		return 17
	case *twopc.TwoPCAbortRequest:
		c.txn(1, &m.Txn)
		c.reason(2, &m.Reason)
		return 18
	case *twopc.TwoPCAbortReply:
		c.txn(1, &m.Txn)
		c.bool(2, &m.Success)
		c.node(3, &m.Leader)
		return 19
	case *twopc.TwoPCInquiryRequest:
		c.txn(1, &m.Txn)
		c.uint(2, &m.Seq)
		return 20
	case *twopc.TwoPCInquiryReply:
		c.txn(1, &m.Txn)
		c.uint(2, &m.Seq)
		c.answer(3, &m.Answer)
		c.node(4, &m.Leader)
		return 21
	case *twopc.LeaderAnnouncement:
		c.cluster(1, &m.Cluster)
		c.ballot(2, &m.Ballot)
		return 22
	}
	return 0
}

// blank returns an empty message of a number in PeerMessage, nil for an unknown
// one.
func blank(n protowire.Number) any {
	switch n {
	case 1:
		return &paxos.PreVote{}
	case 2:
		return &paxos.PreVoteReply{}
	case 3:
		return &paxos.Prepare{}
	case 4:
		return &paxos.Promise{}
	case 5:
		return &paxos.Reject{}
	case 6:
		return &paxos.Accept{}
	case 7:
		return &paxos.Accepted{}
	case 8:
		return &paxos.Commit{}
	case 9:
		return &paxos.Heartbeat{}
	case 10:
		return &paxos.HeartbeatReply{}
	case 11:
		return &paxos.Fetch{}
	case 12:
		return &paxos.CatchUp{}
	case 13:
		return &paxos.CheckpointChunk{}
	case 14:
		return &twopc.TwoPCPrepareRequest{}
	case 15:
		return &twopc.TwoPCPrepareReply{}
	case 16:
		return &twopc.TwoPCCommitRequest{}
	case 17:
		return &twopc.TwoPCCommitReply{}
	case 18:
		return &twopc.TwoPCAbortRequest{}
	case 19:
		return &twopc.TwoPCAbortReply{}
	case 20:
		return &twopc.TwoPCInquiryRequest{}
	case 21:
		return &twopc.TwoPCInquiryReply{}
	case 22:
		return &twopc.LeaderAnnouncement{}
	}
	return nil
}
