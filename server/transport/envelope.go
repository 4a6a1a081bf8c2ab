package transport

import (
	"errors"
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"paxbank/server/paxos"
)

// The numbers of Envelope's fields.
const (
	envelopeTopology protowire.Number = iota + 1
	envelopeEpoch
	envelopeFrom
	envelopeMessages
)

// smallFields bounds the size of a message without its one field of bytes.
const smallFields = 200

// payload is the size of a message's field of bytes.
func payload(m any) int {
	switch m := m.(type) {
	case *paxos.Accept:
		return len(m.Entries)
	case *paxos.CatchUp:
		return len(m.Entries)
	case *paxos.Promise:
		return len(m.Accepted)
	case *paxos.CheckpointChunk:
		return len(m.Data)
	}
	return 0
}

// appendMessage adds a message of the core to an Envelope. The error says which
// type it does not know; b is then as it was.
func appendMessage(b []byte, m any) ([]byte, error) {
	// Room for the two lengths is left before they are known: a varint may have
	// more bytes than it needs.
	width := protowire.SizeVarint(uint64(payload(m) + smallFields))
	start := len(b)
	c := coder{mode: writing, b: protowire.AppendTag(b, envelopeMessages, protowire.BytesType)}
	outer := len(c.b)
	c.b = append(c.b, make([]byte, width+2+width)...) // 2: the tag of the message in PeerMessage
	inner := outer + width + 2
	number := c.fields(m)
	if number == 0 {
		return b[:start], fmt.Errorf("no wire form for a message of type %T", m)
	}
	putVarint(c.b[outer:outer+width], uint64(len(c.b)-outer-width))
	putVarint(c.b[outer+width:inner], protowire.EncodeTag(number, protowire.BytesType))
	putVarint(c.b[inner:inner+width], uint64(len(c.b)-inner-width))
	return c.b, nil
}

// putVarint fills b with v. REQUIRES: b is long enough for it.
func putVarint(b []byte, v uint64) {
	for i := range b {
		b[i] = byte(v) | 0x80
		v >>= 7
	}
	b[len(b)-1] &= 0x7f
}

// head is what an Envelope says of its messages.
type head struct {
	topology, epoch uint64
	from            uint32
}

// append adds the head to an Envelope. Fields may come in any order.
func (h head) append(b []byte) []byte {
	c := coder{mode: writing, b: b}
	c.envelope(&h)
	return c.b
}

func (c *coder) envelope(h *head) {
	c.fixed(envelopeTopology, &h.topology)
	c.uint(envelopeEpoch, &h.epoch)
	number(c, envelopeFrom, &h.from, math.MaxUint32)
}

// readHead reads an Envelope's head and counts its messages.
func readHead(envelope []byte) (h head, messages int, err error) {
	c := coder{mode: reading}
	c.read(envelope, func() {
		c.envelope(&h)
		if c.found(envelopeMessages, protowire.BytesType) {
			messages++
		}
	})
	return h, messages, c.err
}

// eachMessage calls f for every message of an Envelope that readHead took, or
// with what is wrong with it. Byte slices are shared with the envelope.
func eachMessage(envelope []byte, f func(m any, err error)) {
	var e field
	for rest := envelope; len(rest) > 0; {
		var err error
		if rest, err = e.take(rest); err != nil {
			return // readHead said so
		}
		if e.number == envelopeMessages && e.kind == protowire.BytesType {
			f(readMessage(e.body))
		}
	}
}

// readMessage reads a PeerMessage. The error says what is malformed; such a
// message is dropped.
func readMessage(b []byte) (m any, err error) {
	var f, found field
	for len(b) > 0 {
		if b, err = f.take(b); err != nil {
			return nil, err
		}
		if f.kind == protowire.BytesType && blank(f.number) != nil {
			found = f // the last one counts
		}
	}
	if m = blank(found.number); m == nil {
		return nil, errors.New("message of no known type")
	}
	c := coder{mode: reading}
	c.read(found.body, func() { c.fields(m) })
	if c.err == nil {
		c.mode = checking
		c.fields(m)
	}
	if c.err != nil {
		return nil, fmt.Errorf("%T: %w", m, c.err)
	}
	return m, nil
}
