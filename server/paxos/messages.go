package paxos

import "paxbank/server/ids"

// Message is one of the types below. All messages of a cluster's log carry the
// ballot of the leader (or candidate) they speak to or for.
type Message interface{ paxosMessage() }

// PreVote asks whether a PREPARE at Ballot would be promised. Nothing is
// persisted for it and no promise is changed by it.
type PreVote struct{ Ballot ids.Ballot }

// PreVoteReply answers a PreVote. Promised lets a candidate choose a higher
// ballot; Leader names the live leader that made the sender say no.
type PreVoteReply struct {
	Ballot   ids.Ballot
	Granted  bool
	Promised ids.Ballot
	Leader   ids.Node
}

// Prepare is phase 1a: a candidate asks to lead, and for the accepted entries
// from FirstIndex on.
type Prepare struct {
	Ballot     ids.Ballot
	FirstIndex uint64
}

// Promise is phase 1b: the sender will accept nothing below Ballot. Accepted
// holds its accepted entries from max(FirstIndex, CommitIndex+1) on
// (AppendAccepted); the chosen ones below come by Fetch. Leaves only when the
// promise is durable.
type Promise struct {
	Ballot      ids.Ballot
	Accepted    []byte
	CommitIndex uint64
}

// Reject answers a Prepare, Accept or Heartbeat of a ballot below Promised.
type Reject struct {
	Ballot   ids.Ballot
	Promised ids.Ballot
}

// Accept is phase 2a. With NewView set it is the NEW-VIEW message: the merged
// tail ending in VIEW(Ballot). ViewFirst is the first index of the leader's
// view, where the run that Accepted speaks of begins.
type Accept struct {
	Ballot      ids.Ballot
	NewView     bool
	FirstIndex  uint64
	ViewFirst   uint64
	CommitIndex uint64
	Round       uint64
	// Entries is AppendEntries of the entries from FirstIndex on. The leader
	// encodes once; followers send it to disk as it came.
	Entries []byte
}

// Accepted is phase 2b: the whole run ViewFirst..UpTo is durable at the sender
// at this ballot. Gap asks for the entries above UpTo again.
type Accepted struct {
	Ballot      ids.Ballot
	UpTo        uint64
	CommitIndex uint64
	Round       uint64
	Gap         bool
}

// Commit tells that everything up to CommitIndex is chosen.
type Commit struct {
	Ballot      ids.Ballot
	CommitIndex uint64
}

// Heartbeat says that the leader of Ballot lives; Round is its leadership round
// and Sent the last index it has sent to the receiver.
type Heartbeat struct {
	Ballot      ids.Ballot
	CommitIndex uint64
	Round       uint64
	Sent        uint64
	ViewFirst   uint64
}

// HeartbeatReply answers a Heartbeat. Fields as in Accepted.
type HeartbeatReply struct {
	Ballot      ids.Ballot
	Round       uint64
	UpTo        uint64
	CommitIndex uint64
	Gap         bool
}

// Fetch is how a candidate that has seen a higher commit index in a promise
// asks its sender for the chosen entries from FromIndex on.
type Fetch struct {
	Ballot    ids.Ballot
	FromIndex uint64
}

// CatchUp carries chosen entries, from the leader to a follower that is behind
// or, as the answer to Fetch, to a candidate. All entries in it are at or below
// CommitIndex. Ballot is that of the leader or of the candidate that asked.
type CatchUp struct {
	Ballot      ids.Ballot
	FirstIndex  uint64
	CommitIndex uint64
	Entries     []byte
}

// CheckpointChunk is Data at Offset of the Total bytes of the checkpoint that
// stands at Index.
type CheckpointChunk struct {
	Ballot ids.Ballot
	Index  uint64
	Offset uint64
	Total  uint64
	Data   []byte
}

func (*PreVote) paxosMessage()         {}
func (*PreVoteReply) paxosMessage()    {}
func (*Prepare) paxosMessage()         {}
func (*Promise) paxosMessage()         {}
func (*Reject) paxosMessage()          {}
func (*Accept) paxosMessage()          {}
func (*Accepted) paxosMessage()        {}
func (*Commit) paxosMessage()          {}
func (*Heartbeat) paxosMessage()       {}
func (*HeartbeatReply) paxosMessage()  {}
func (*Fetch) paxosMessage()           {}
func (*CatchUp) paxosMessage()         {}
func (*CheckpointChunk) paxosMessage() {}
