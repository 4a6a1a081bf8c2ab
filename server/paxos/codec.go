package paxos

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"paxbank/server/ids"
)

// Entries travel and rest in this form, all numbers unsigned varints:
//
//	count, then for each entry
//	    tag       1 byte: the kind, plus sameOrigin
//	    origin    counter, node; left out with sameOrigin
//	    length, data
//
// AppendAccepted adds to each entry, after the tag, its index and the ballot at
// which it was accepted (left out with sameBallot).
const (
	sameOrigin = 0x80 // the origin is that of the entry before
	sameBallot = 0x40 // the ballot is that of the entry before
	kindMask   = 0x3f
)

var (
	errShort  = errors.New("paxos: entries are cut short")
	errExcess = errors.New("paxos: bytes follow the last entry")
)

// entrySize bounds the encoded size of an entry in a frame.
func entrySize(e *Entry) int { return 1 + 10 + 3 + 5 + len(e.Data) }

// AppendEntries appends the encoding of consecutive entries, without their
// indexes and ballots: those are in the message or record around them.
func AppendEntries(b []byte, entries []Entry) []byte {
	b = binary.AppendUvarint(b, uint64(len(entries)))
	var origin ids.Ballot
	for i := range entries {
		e := &entries[i]
		tag := byte(e.Kind)
		if i > 0 && e.Origin == origin {
			b = append(b, tag|sameOrigin)
		} else {
			b = append(b, tag)
			b = appendBallot(b, e.Origin)
			origin = e.Origin
		}
		b = binary.AppendUvarint(b, uint64(len(e.Data)))
		b = append(b, e.Data...)
	}
	return b
}

// DecodeEntries is the inverse of AppendEntries for entries from index first
// on, accepted at ballot. Data aliases b. Any bytes are safe to decode.
func DecodeEntries(first uint64, ballot ids.Ballot, b []byte) ([]Entry, error) {
	return decodeEntries(nil, first, ballot, b)
}

// decodeEntries appends to list, which lets the hot path reuse its memory.
func decodeEntries(list []Entry, first uint64, ballot ids.Ballot, b []byte) ([]Entry, error) {
	d := decoder{b: b}
	count := d.uvarint()
	if count > uint64(len(d.b)/2) { // the smallest entry takes two bytes
		return nil, errShort
	}
	if first == 0 || count > math.MaxUint64-first {
		return nil, fmt.Errorf("paxos: %d entries cannot start at index %d", count, first)
	}
	var origin ids.Ballot
	for i := range count {
		e := Entry{Index: first + i, Ballot: ballot}
		tag := d.byte()
		if e.Kind = Kind(tag &^ sameOrigin); e.Kind < KindApp || e.Kind > KindView {
			d.fail(fmt.Errorf("paxos: entry %d of %d has unknown kind %d", i, count, e.Kind))
		}
		if tag&sameOrigin == 0 {
			origin = d.ballot()
		}
		e.Origin = origin
		e.Data = d.bytes()
		if d.err != nil {
			return nil, d.err
		}
		list = append(list, e)
	}
	return list, d.end()
}

// AppendAccepted appends the encoding of entries with their indexes and the
// ballots at which they were accepted.
func AppendAccepted(b []byte, entries []Entry) []byte {
	b = binary.AppendUvarint(b, uint64(len(entries)))
	var origin, ballot ids.Ballot
	for i := range entries {
		e := &entries[i]
		tag := byte(e.Kind)
		if i > 0 && e.Origin == origin {
			tag |= sameOrigin
		}
		if i > 0 && e.Ballot == ballot {
			tag |= sameBallot
		}
		b = append(b, tag)
		b = binary.AppendUvarint(b, e.Index)
		if tag&sameBallot == 0 {
			b = appendBallot(b, e.Ballot)
		}
		if tag&sameOrigin == 0 {
			b = appendBallot(b, e.Origin)
		}
		origin, ballot = e.Origin, e.Ballot
		b = binary.AppendUvarint(b, uint64(len(e.Data)))
		b = append(b, e.Data...)
	}
	return b
}

// DecodeAccepted is the inverse of AppendAccepted; indexes must ascend. Data
// aliases b. Any bytes are safe to decode.
func DecodeAccepted(b []byte) ([]Entry, error) {
	d := decoder{b: b}
	count := d.uvarint()
	if count > uint64(len(d.b)/3) { // tag, index and length take a byte each
		return nil, errShort
	}
	var list []Entry
	var last Entry
	for i := range count {
		tag := d.byte()
		e := Entry{Kind: Kind(tag & kindMask), Ballot: last.Ballot, Origin: last.Origin}
		if e.Kind < KindApp || e.Kind > KindView {
			d.fail(fmt.Errorf("paxos: accepted entry %d of %d has unknown kind %d", i, count, e.Kind))
		}
		if e.Index = d.uvarint(); e.Index <= last.Index {
			d.fail(fmt.Errorf("paxos: accepted index %d follows %d", e.Index, last.Index))
		}
		if tag&sameBallot == 0 {
			e.Ballot = d.ballot()
		}
		if tag&sameOrigin == 0 {
			e.Origin = d.ballot()
		}
		e.Data = d.bytes()
		if d.err != nil {
			return nil, d.err
		}
		list = append(list, e)
		last = e
	}
	return list, d.end()
}

func appendBallot(b []byte, v ids.Ballot) []byte {
	b = binary.AppendUvarint(b, v.Counter)
	return binary.AppendUvarint(b, uint64(v.Node))
}

// decoder reads from the front of b; after the first error it returns zeros.
type decoder struct {
	b   []byte
	err error
}

func (d *decoder) fail(err error) {
	if d.err == nil {
		d.err = err
	}
	d.b = nil
}

func (d *decoder) byte() byte {
	if len(d.b) == 0 {
		d.fail(errShort)
		return 0
	}
	c := d.b[0]
	d.b = d.b[1:]
	return c
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.fail(errShort)
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) ballot() ids.Ballot {
	counter, node := d.uvarint(), d.uvarint()
	if node > math.MaxUint16 {
		d.fail(fmt.Errorf("paxos: ballot names node %d", node))
	}
	return ids.Ballot{Counter: counter, Node: ids.Node(node)}
}

func (d *decoder) bytes() []byte {
	n := d.uvarint()
	if n > uint64(len(d.b)) {
		d.fail(errShort)
		return nil
	}
	v := d.b[:n:n]
	d.b = d.b[n:]
	return v
}

func (d *decoder) end() error {
	if d.err == nil && len(d.b) != 0 {
		d.err = errExcess
	}
	return d.err
}
