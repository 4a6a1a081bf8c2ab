package storage

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/cockroachdb/pebble/v2"

	"paxbank/server/ids"
	"paxbank/server/paxos"
)

// The keys. keyEnd is above all of them.
var (
	keyIdentity   = []byte("identity")
	keyPromise    = []byte("promise")
	keyCommit     = []byte("commit")
	keyCheckpoint = []byte("checkpoint")
	keyEnd        = []byte{0xff}
)

const framePrefix = "frame/"

func frameKey(seq uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte(framePrefix), seq)
}

var order = binary.LittleEndian

// castagnoli is the polynomial that processors compute in hardware.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// magic marks a record in the raw bytes of a write-ahead log.
const magic = 0x70b4_5ec1

// headerSize is what stands before a record's data:
//
//	crc32c (4) of the rest · magic (4) · length of the data (4) · write (8) ·
//	number (8) · kind (1) · ballot (8+2) · first (8) · last (8) ·
//	view first (8) · new view (1) · commit (8)
const headerSize = 20 + 8 + 1 + 10 + 8 + 8 + 8 + 1 + 8

// position says where in the history of a directory a record belongs: in which
// write, and as which record. Neither number ever starts again.
type position struct{ write, seq uint64 }

// setRecord adds a record to the batch without a copy in between.
func setRecord(b *pebble.Batch, at position, r *paxos.Record) error {
	key, err := recordKey(at.seq, r.Kind)
	if err != nil {
		return err
	}
	op := b.SetDeferred(len(key), headerSize+len(r.Data))
	copy(op.Key, key)
	v := op.Value
	order.PutUint32(v[4:], magic)
	order.PutUint32(v[8:], uint32(len(r.Data)))
	order.PutUint64(v[12:], at.write)
	order.PutUint64(v[20:], at.seq)
	v[28] = byte(r.Kind)
	order.PutUint64(v[29:], r.Ballot.Counter)
	order.PutUint16(v[37:], uint16(r.Ballot.Node))
	order.PutUint64(v[39:], r.First)
	order.PutUint64(v[47:], r.Last)
	order.PutUint64(v[55:], r.ViewFirst)
	v[63] = 0
	if r.NewView {
		v[63] = 1
	}
	order.PutUint64(v[64:], r.Commit)
	copy(v[headerSize:], r.Data)
	order.PutUint32(v, crc32.Checksum(v[4:], castagnoli))
	return op.Finish()
}

// decodeRecord reads what setRecord wrote under key. Data points into v.
func decodeRecord(key, v []byte) (at position, r paxos.Record, err error) {
	if len(v) < headerSize {
		return at, r, fmt.Errorf("record %q has only %d bytes", key, len(v))
	}
	if sum := crc32.Checksum(v[4:], castagnoli); sum != order.Uint32(v) {
		return at, r, fmt.Errorf("record %q has the checksum %08x, want %08x", key, sum, order.Uint32(v))
	}
	at = position{write: order.Uint64(v[12:]), seq: order.Uint64(v[20:])}
	r = paxos.Record{
		Kind:      paxos.RecordKind(v[28]),
		Ballot:    ids.Ballot{Counter: order.Uint64(v[29:]), Node: ids.Node(order.Uint16(v[37:]))},
		First:     order.Uint64(v[39:]),
		Last:      order.Uint64(v[47:]),
		ViewFirst: order.Uint64(v[55:]),
		NewView:   v[63] == 1,
		Commit:    order.Uint64(v[64:]),
	}
	if len(v) > headerSize {
		r.Data = v[headerSize:]
	}
	if want, err := recordKey(at.seq, r.Kind); err != nil || string(want) != string(key) {
		return at, r, fmt.Errorf("record %q holds record %d of kind %d", key, at.seq, r.Kind)
	}
	return at, r, nil
}

// lastWriteIn returns the highest write number of any whole record in the raw
// bytes of a write-ahead log.
func lastWriteIn(log []byte) (last uint64) {
	mark := order.AppendUint32(nil, magic)
	for {
		i := bytes.Index(log, mark)
		if i < 0 {
			return last
		}
		if i >= 4 && len(log)-i >= headerSize-4 {
			v := log[i-4:]
			if n := uint64(order.Uint32(v[8:])) + headerSize; n <= uint64(len(v)) &&
				crc32.Checksum(v[4:n], castagnoli) == order.Uint32(v) {
				last = max(last, order.Uint64(v[12:]))
			}
		}
		log = log[i+4:]
	}
}

func recordKey(seq uint64, kind paxos.RecordKind) ([]byte, error) {
	switch kind {
	case paxos.RecordPromise:
		return keyPromise, nil
	case paxos.RecordCommit:
		return keyCommit, nil
	case paxos.RecordCheckpoint:
		return keyCheckpoint, nil
	case paxos.RecordFrame:
		return frameKey(seq), nil
	}
	return nil, fmt.Errorf("record of unknown kind %d", kind)
}

// stamped is an identity and the position after the write that set it.
type stamped struct {
	Identity
	position
}

// encodeIdentity: format version (4) · crc32c (4) of the rest · write (8) ·
// next number (8) · topology (8) · epoch (8) · length of the id (4) · id ·
// config. The version stands first and outside of the checksum, so that a later
// format may change everything else.
func encodeIdentity(version uint32, id stamped) []byte {
	v := order.AppendUint32(nil, version)
	v = order.AppendUint32(v, 0)
	v = order.AppendUint64(v, id.write)
	v = order.AppendUint64(v, id.seq)
	v = order.AppendUint64(v, id.Topology)
	v = order.AppendUint64(v, id.Epoch)
	v = order.AppendUint32(v, uint32(len(id.NodeID)))
	v = append(v, id.NodeID...)
	v = append(v, id.Config...)
	order.PutUint32(v[4:], crc32.Checksum(v[8:], castagnoli))
	return v
}

func decodeIdentity(v []byte) (version uint32, id stamped, err error) {
	if len(v) < 4 {
		return 0, id, fmt.Errorf("its identity has only %d bytes", len(v))
	}
	if version = order.Uint32(v); version != FormatVersion {
		return version, id, fmt.Errorf("its identity has the unknown format %d", version)
	}
	const fixed = 44
	if len(v) < fixed {
		return version, id, fmt.Errorf("its identity has only %d bytes", len(v))
	}
	if sum := crc32.Checksum(v[8:], castagnoli); sum != order.Uint32(v[4:]) {
		return version, id, fmt.Errorf("its identity has the checksum %08x, want %08x", sum, order.Uint32(v[4:]))
	}
	id.write, id.seq = order.Uint64(v[8:]), order.Uint64(v[16:])
	id.Topology, id.Epoch = order.Uint64(v[24:]), order.Uint64(v[32:])
	n := uint64(order.Uint32(v[40:]))
	if n > uint64(len(v)-fixed) {
		return version, id, fmt.Errorf("its identity is cut short")
	}
	id.NodeID = string(v[fixed : fixed+n])
	id.Config = append([]byte(nil), v[fixed+n:]...)
	return version, id, nil
}
