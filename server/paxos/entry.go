package paxos

import "paxbank/server/ids"

// Kind says what an entry is to paxos, to which its data is opaque.
type Kind uint8

// The kinds of entry. The zero Kind marks an index where nothing was accepted.
const (
	// KindApp: Data belongs to the layer above.
	KindApp Kind = iota + 1
	// KindNoop fills an index where no promise had a value.
	KindNoop
	// KindView is a leader's own first entry; its Origin is the leader's ballot.
	KindView
)

// Entry is one position of the log.
type Entry struct {
	Index uint64
	// Ballot is the one at which this node accepted the entry.
	Ballot ids.Ballot
	// Origin is the ballot that first proposed it, kept by re-proposals.
	Origin ids.Ballot
	Kind   Kind
	Data   []byte
}

// View is one NEW-VIEW message that this node sent or received.
type View struct {
	Ballot      ids.Ballot
	FirstIndex  uint64
	CommitIndex uint64
	Entries     []Entry
	Sent        bool
}
