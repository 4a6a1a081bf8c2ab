package bank

import (
	"encoding/binary"
	"fmt"

	"paxbank/server/ids"
)

// Kind says what an entry is.
type Kind uint8

// The kinds of entry that the bank applies. NO-OP and VIEW belong to paxos.
const (
	// KindTransfer is an intra-shard transfer, or one phase of a cross-shard one.
	KindTransfer Kind = iota + 1
	// KindTombstone makes sure that a request can never execute.
	KindTombstone
	// KindEnd removes acknowledged decisions from `decided`.
	KindEnd
)

// Phase is the step of two-phase commit that an entry takes.
type Phase uint8

// The phases. PhaseNone is an intra-shard transfer.
const (
	PhaseNone Phase = iota
	PhasePrepare
	PhaseCommit
	PhaseAbort
)

func (p Phase) String() string { return [...]string{"", "P", "C", "A"}[p] }

// Role is the part that a cluster plays in a cross-shard transfer.
type Role uint8

// The roles. RoleNone goes with PhaseNone.
const (
	RoleNone Role = iota
	RoleCoordinator
	RoleParticipant
)

func (r Role) String() string { return [...]string{"", "coordinator", "participant"}[r] }

// Entry is what the log of a cluster agrees on, as PROTOCOL in ARCHITECTURE.md
// lists it. Index and Origin come from the log; the rest is in the encoding.
type Entry struct {
	Index  uint64
	Origin ids.Ballot

	Kind  Kind
	Phase Phase
	Role  Role
	// Seq is the transaction's sequence number, the index of its first entry: 0
	// in the encoding of a first entry, filled in with Index on decoding.
	Seq uint64
	// Txn is the attempt; for an intra-shard transfer only its Request is set.
	Txn       ids.Txn
	PeerSeq   uint64
	Peer      ids.Cluster
	DoneBelow uint64
	Transfer  ids.Transfer
	Age       ids.Age
	// Ended are the transactions of a KindEnd entry.
	Ended []ids.Txn
}

func (e *Entry) String() string {
	switch e.Kind {
	case KindTombstone:
		return fmt.Sprintf("TOMBSTONE %s", e.Txn.Request)
	case KindEnd:
		return fmt.Sprintf("END %v", e.Ended)
	}
	if e.Phase == PhaseNone {
		return fmt.Sprintf("%s %s", e.Transfer, e.Txn.Request)
	}
	return fmt.Sprintf("(%d, %s) %s %s %s", e.Seq, e.Phase, e.Role, e.Transfer, e.Txn)
}

const (
	entrySize = 3 + 8 + txnSize + 8 + 2 + 8 + 24 + ageSize
	txnSize   = 8 + 8 + 8 + 2 + 4
	ageSize   = 8 + 2 + 8
)

var order = binary.LittleEndian

func appendTxn(b []byte, t ids.Txn) []byte {
	b = order.AppendUint64(b, t.Client)
	b = order.AppendUint64(b, t.Timestamp)
	b = order.AppendUint64(b, t.Ballot.Counter)
	b = order.AppendUint16(b, uint16(t.Ballot.Node))
	return order.AppendUint32(b, t.Number)
}

func decodeTxn(b []byte) ids.Txn {
	return ids.Txn{
		Request: ids.Request{Client: order.Uint64(b), Timestamp: order.Uint64(b[8:])},
		Ballot:  ids.Ballot{Counter: order.Uint64(b[16:]), Node: ids.Node(order.Uint16(b[24:]))},
		Number:  order.Uint32(b[26:]),
	}
}

// Size is the length of the encoding of an entry other than END.
const Size = entrySize

// Append appends the fixed-width binary form of e to b.
func (e *Entry) Append(b []byte) []byte {
	b = append(b, byte(e.Kind), byte(e.Phase), byte(e.Role))
	if e.Kind == KindEnd {
		b = order.AppendUint32(b, uint32(len(e.Ended)))
		for _, t := range e.Ended {
			b = appendTxn(b, t)
		}
		return b
	}
	b = order.AppendUint64(b, e.Seq)
	b = appendTxn(b, e.Txn)
	b = order.AppendUint64(b, e.PeerSeq)
	b = order.AppendUint16(b, uint16(e.Peer))
	b = order.AppendUint64(b, e.DoneBelow)
	b = order.AppendUint64(b, uint64(e.Transfer.From))
	b = order.AppendUint64(b, uint64(e.Transfer.To))
	b = order.AppendUint64(b, uint64(e.Transfer.Amount))
	b = order.AppendUint64(b, uint64(e.Age.Clock))
	b = order.AppendUint16(b, uint16(e.Age.Cluster))
	return order.AppendUint64(b, e.Age.Number)
}

// Decode reads what Append wrote into e. Index and Origin are the log's.
func (e *Entry) Decode(index uint64, origin ids.Ballot, b []byte) error {
	if len(b) < 3 {
		return fmt.Errorf("entry %d: %d bytes are too short", index, len(b))
	}
	*e = Entry{Index: index, Origin: origin, Kind: Kind(b[0]), Phase: Phase(b[1]), Role: Role(b[2]), Ended: e.Ended[:0]}
	if e.Kind < KindTransfer || e.Kind > KindEnd || e.Phase > PhaseAbort || e.Role > RoleParticipant {
		return fmt.Errorf("entry %d: unknown kind %d, phase %d or role %d", index, b[0], b[1], b[2])
	}
	b = b[3:]
	if e.Kind == KindEnd {
		if len(b) < 4 || len(b)-4 != int(order.Uint32(b))*txnSize {
			return fmt.Errorf("entry %d: END has %d bytes", index, len(b))
		}
		for b = b[4:]; len(b) > 0; b = b[txnSize:] {
			e.Ended = append(e.Ended, decodeTxn(b))
		}
		e.Seq = index
		return nil
	}
	if len(b) != entrySize-3 {
		return fmt.Errorf("entry %d: %d bytes, want %d", index, len(b)+3, entrySize)
	}
	if e.Seq = order.Uint64(b); e.Seq == 0 {
		e.Seq = index
	}
	b = b[8:]
	e.Txn = decodeTxn(b)
	b = b[txnSize:]
	e.PeerSeq = order.Uint64(b)
	e.Peer = ids.Cluster(order.Uint16(b[8:]))
	e.DoneBelow = order.Uint64(b[10:])
	e.Transfer.From = int64(order.Uint64(b[18:]))
	e.Transfer.To = int64(order.Uint64(b[26:]))
	e.Transfer.Amount = int64(order.Uint64(b[34:]))
	e.Age.Clock = ids.Time(order.Uint64(b[42:]))
	e.Age.Cluster = ids.Cluster(order.Uint16(b[50:]))
	e.Age.Number = order.Uint64(b[52:])
	return nil
}

// Effect is what applying an entry did.
type Effect uint8

// The effects.
const (
	EffectNone              Effect = iota
	EffectApplied                  // intra-shard transfer carried out; C or A done; END done; tombstone set
	EffectPrepared                 // P took effect: undo record and prepared written
	EffectInsufficientFunds        // the sender had too little; outcome cached (intra or coordinator's P)
	EffectInvalid                  // an intra-shard credit would overflow; outcome cached
	EffectOverflow                 // a participant's P would overflow: void, votes no
	EffectFenced                   // void: proposed below the highest VIEW applied
	EffectDuplicate                // void: the request has an outcome, or another coordinator P prepared
	EffectTooOld                   // void: the request is below its client's floor
	EffectUnmatched                // void: C or A of nothing prepared
)

func (e Effect) String() string {
	return [...]string{"none", "applied", "prepared", "insufficient_funds", "invalid", "overflow",
		"fenced", "duplicate", "too_old", "unmatched"}[e]
}

// Void reports whether the entry changed nothing and gave no outcome.
func (e Effect) Void() bool { return e >= EffectOverflow }

// Outcome is what a client can be told of a request. The numbers are those of
// paxbank.v1.Result.
type Outcome uint8

// The outcomes.
const (
	OutcomeNone              Outcome = 0
	OutcomeCommitted         Outcome = 1
	OutcomeInsufficientFunds Outcome = 2
	OutcomeAborted           Outcome = 3
	OutcomeUnavailable       Outcome = 4
	OutcomeUnknown           Outcome = 5
	OutcomeInvalid           Outcome = 6
	// OutcomeNotLeader is no outcome: the node cannot say.
	OutcomeNotLeader Outcome = 7
)

func (o Outcome) String() string {
	return [...]string{"none", "committed", "insufficient_funds", "aborted", "unavailable", "unknown", "invalid", "not_leader"}[o]
}
