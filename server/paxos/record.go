package paxos

import "paxbank/server/ids"

// RecordKind says what a Record asks the disk to remember.
type RecordKind uint8

// The kinds of record.
const (
	// RecordPromise: Ballot is the highest promised. Replaces the last one.
	RecordPromise RecordKind = iota + 1
	// RecordFrame: entries accepted at Ballot from First on. Data is AppendEntries.
	// Later frames overwrite earlier ones index by index. Last is the last index.
	RecordFrame
	// RecordCommit: everything up to Commit is chosen, and is in earlier frames.
	// Replaces the last one. It needs no sync: losing it costs only a question to
	// the leader.
	RecordCommit
	// RecordCheckpoint: Data is the whole state after index Commit. Frames whose
	// Last is not above Commit may be dropped once this is synced.
	RecordCheckpoint
)

// Record is one thing to be written. The records of one Effects are written in
// one atomic batch, batches in order.
type Record struct {
	Kind      RecordKind
	Ballot    ids.Ballot
	First     uint64
	Last      uint64
	ViewFirst uint64
	NewView   bool // the frame is (part of) the NEW-VIEW of Ballot
	Commit    uint64
	Data      []byte
}

// Stable is what a node finds on its disk when it starts.
type Stable struct {
	Promised ids.Ballot
	Commit   uint64
	// Checkpoint is the last one: the state after CheckpointIndex, or nil.
	CheckpointIndex uint64
	Checkpoint      []byte
	// Entries above CheckpointIndex by index, ascending; gaps are possible.
	Entries []Entry
	// Views are the NEW-VIEW messages found in the frames.
	Views []View
}
