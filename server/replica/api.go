package replica

import (
	"fmt"

	"paxbank/internal/topology"
	"paxbank/server/bank"
	"paxbank/server/ids"
	"paxbank/server/paxos"
)

// Config is what a replica is told once.
type Config struct {
	Topology *topology.Topology
	Self     ids.Node
	Epoch    uint64
	Limits   Limits
	// Seed feeds the only source of random numbers (timeouts, backoff).
	Seed uint64
	// Observe, when set, is told of every entry as it is applied, in order. The
	// pointer is valid during the call. For the simulator's checks.
	Observe func(e *bank.Entry, effect bank.Effect)
}

// EventKind says what happened.
type EventKind uint8

// The events.
const (
	// EventMessage: Message (*paxos.… or *twopc.…) came From another node.
	EventMessage EventKind = iota + 1
	// EventPeerReset: the connection with From broke.
	EventPeerReset
	// EventDurable: everything up to write number Write is on disk.
	EventDurable
	// EventSetLive: the driver disconnects or reconnects the node (Live).
	EventSetLive
	// EventSubmit: a client wants Transfer done, as Request, by Deadline.
	EventSubmit
	// EventRead: a client wants the balance of Item by Deadline.
	EventRead
	// EventResolve: a client wants Request (whose sender is Item) settled.
	EventResolve
)

// Event is one input of the core. Which fields count depends on Kind.
type Event struct {
	Kind    EventKind
	From    ids.Node
	Message any
	Write   uint64
	Live    bool
	// Call is the shell's name for a client's call; the Answer repeats it.
	Call      uint64
	Request   ids.Request
	DoneBelow uint64
	Transfer  ids.Transfer
	Item      int64
	Deadline  ids.Time
}

// Send is one message to another node. It may leave when write number After is
// on disk (0: at once).
type Send struct {
	To      ids.Node
	Message any
	After   uint64
}

// Answer ends a client's call.
type Answer struct {
	Call    uint64
	Outcome bank.Outcome
	// Final: the outcome holds for the request whatever is sent later.
	Final   bool
	Balance int64 // of a read that was OutcomeCommitted
	Message string
	Leader  ids.Node // with OutcomeNotLeader; 0 when not known
}

// Effects is what the shell has to do after a Step. The slices are reused by
// the next Step.
type Effects struct {
	// Write numbers this batch of Records, 0 when there are none. Numbers grow by
	// one; the shell reports the highest finished one with EventDurable.
	Write   uint64
	Records []paxos.Record
	Sends   []Send
	Answers []Answer
	// Wake is when Step wants to be called again even without an event; 0: not.
	Wake ids.Time
}

// Violation is the panic value of an invariant that does not hold. The node
// must stop: what it knows cannot be trusted.
type Violation struct {
	Invariant string
	Index     uint64
	Detail    string
}

func (v Violation) Error() string {
	return fmt.Sprintf("invariant %q violated at index %d: %s", v.Invariant, v.Index, v.Detail)
}

// Status is a replica's account of itself.
type Status struct {
	Live, Ready, Quorum             bool
	Leader                          ids.Node
	Ballot                          ids.Ballot
	LastIndex, CommitIndex, Applied uint64
	Requests, Locks, UndoRecords    int
	Prepared, Decided               int
	// Quiet: nothing under way and everything that is known is applied and on disk.
	Quiet     bool
	Checksum  uint64
	Elections uint64
}

// ItemBalance is one item and what it holds.
type ItemBalance struct{ Item, Balance int64 }

// LogRow is one entry of the log as PrintLog shows it. Entry is zero for NO-OP
// and VIEW entries.
type LogRow struct {
	Index          uint64
	Ballot, Origin ids.Ballot
	Kind           paxos.Kind
	Entry          bank.Entry
	Status         string // A, C or E
	Effect         bank.Effect
}

// ViewRow is one NEW-VIEW message sent or received.
type ViewRow struct {
	Ballot      ids.Ballot
	FirstIndex  uint64
	CommitIndex uint64
	Entries     []LogRow
	Sent        bool
}

// LockRow is one held lock.
type LockRow struct {
	Item    int64
	Txn     ids.Txn
	Since   ids.Time
	Waiters int
}

// Timeline is the life of one attempt's lock at this leader. Zero times did not
// happen.
type Timeline struct {
	Txn                                          ids.Txn
	Role                                         bank.Role
	Item                                         int64
	Seq, PeerSeq                                 uint64
	Transfer                                     ids.Transfer
	Locked, PrepareSent, PrepareChosen           ids.Time
	ParticipantPrepared, DecisionChosen          ids.Time
	Acknowledged, Released                       ids.Time
	Outcome                                      string
	Reason                                       string
	BalanceBefore, BalancePrepared, BalanceAfter int64
}

// Counters count since the replica was made (that is, since the last reset).
type Counters struct {
	Outcomes [8]uint64 // by bank.Outcome, answered transfers
	Reads    uint64
	Latency  Histogram
	LockHold Histogram
}
