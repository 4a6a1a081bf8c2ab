package runner

import (
	"time"

	"paxbank/client/testset"
	"paxbank/internal/topology"
)

// Outcome of a command, in the words that users read. "value" is a read that
// got its balance.
type Outcome string

// The outcomes.
const (
	Committed         Outcome = "committed"
	InsufficientFunds Outcome = "insufficient_funds"
	Aborted           Outcome = "aborted"
	Unavailable       Outcome = "unavailable"
	Unknown           Outcome = "unknown"
	Invalid           Outcome = "invalid"
	Value             Outcome = "value"
)

// Definite reports whether the outcome leaves nothing open.
func (o Outcome) Definite() bool { return o != Unknown && o != "" }

// Call is one command and what became of it.
type Call struct {
	Command testset.Command
	Batch   int    // from 1 within the set
	Kind    string // "intra", "cross" or "read"
	// Request identity, for timelines and for the history.
	ClientID, Timestamp uint64
	// Start and End are offsets from the start of the run.
	Start, End time.Duration
	Outcome    Outcome
	// Resolved: the outcome was unknown first and came from Resolve, at ResolvedAt.
	Resolved   bool
	ResolvedAt time.Duration
	Value      int64  // of a read
	Attempts   int    // sends
	Node       string // that answered last
	Message    string
}

// Latency is from the first send to the answer.
func (c *Call) Latency() time.Duration { return c.End - c.Start }

// LogRow is one row of PrintLog.
type LogRow struct {
	Index, Seq, PeerSeq                            uint64
	Phase, Role, Kind, TxnID, Text, Status, Effect string
	Ballot, Origin                                 string
	ClientID, Timestamp                            uint64
	From, To, Amount                               int64
}

// StatusRow is one row of PrintStatus at one node.
type StatusRow struct {
	Seq                 uint64
	Status, Phase, Text string
	ClientID, Timestamp uint64
}

// View is one NEW-VIEW message, merged over the nodes that saw it.
type View struct {
	Cluster, Ballot, Leader string
	FirstIndex, CommitIndex uint64
	Entries                 []LogRow
	SeenBy                  []string
}

// Lock is one held lock.
type Lock struct {
	Item                int64
	TxnID               string
	ClientID, Timestamp uint64
	Held                time.Duration
	Waiters             int
}

// Timeline is the life of one attempt's lock at one leader; zero times did not
// happen.
type Timeline struct {
	Node, Role, TxnID, Text, Outcome, Reason     string
	Item                                         int64
	Seq, PeerSeq                                 uint64
	Locked, PrepareSent, PrepareChosen           time.Time
	ParticipantPrepared, DecisionChosen          time.Time
	Acknowledged, Released                       time.Time
	BalanceBefore, BalancePrepared, BalanceAfter int64
}

// NodeState is what one node said at the end of a set. Missing parts are nil;
// Err says why nothing is known.
type NodeState struct {
	ID, Cluster                           string
	Live                                  bool // according to the test set
	Reachable                             bool
	Err                                   string
	Leader                                string // the leader it knows of
	Ballot                                string
	Ready                                 bool
	Epoch                                 uint64
	LastIndex, CommitIndex, AppliedIndex  uint64
	Checksum                              uint64
	Locks, UndoRecords, Prepared, Decided int
	Balances                              map[int64]int64 // modified items and items the set names that the node holds
	Log                                   []LogRow
	LogErr                                string
	CheckpointIndex                       uint64
	Statuses                              []StatusRow
	LockTable                             []Lock
	Elections                             uint64
	// Counters are what it says that it has done since the reset; nil when it does
	// not say.
	Counters *Counters
}

// Counters are parts of Inspect.Performance: the answers that a node gave, and the
// longest that an answer took it and that a lock was held.
type Counters struct {
	Committed, InsufficientFunds, Aborted, Reads uint64
	Slowest, LockHeld                            time.Duration
}

// Observation is something that the runner saw between commands, for the
// history: a marker, a reset, a node's death.
type Observation struct {
	At   time.Duration
	Line int
	Text string
}

// Histogram of microseconds; Upper[i] is the largest value that Count[i] counts.
type Histogram struct {
	Count, SumMicros, MaxMicros uint64
	Upper, Counts               []uint64
}

// SetResult is one executed set.
type SetResult struct {
	Set      testset.Set
	Topology *topology.Topology
	Live     []string // at the start of the set
	// LiveAtEnd are the nodes live after the last marker.
	LiveAtEnd []string
	// QuorumAtEnd names the clusters with a majority of live nodes at the end.
	QuorumAtEnd []string
	Calls       []Call
	Nodes       []NodeState // topology order
	Views       []View
	// NoViews: no node tells its views, so that there is nothing to count.
	NoViews      bool
	LockHold     Histogram
	Observations []Observation
	// Busy is the time with any command in flight.
	Busy time.Duration
	// Started and Ended are offsets from the start of the run.
	Started, Ended time.Duration
	// StartBalances are the balances the set started from, when not the
	// topology's (--keep-state); nil otherwise.
	StartBalances map[int64]int64
	// Carried are the transfers of earlier sets (--keep-state) whose outcome was not
	// known when the set began: each may have taken effect before, or take effect in
	// this one, on either side. Their outcome is what was found out in this set.
	Carried []Call
	// Semantics is what the judge lets an implementation do: strict or course; ""
	// is strict. The runner does nothing differently for it.
	Semantics string
	// Crashed are the nodes whose process ended by itself, with how.
	Crashed map[string]string
	// Violations are what nodes answered or did against the contract.
	Violations []Violation
	// Problems are things that kept the set from being carried out as written
	// (a wait that timed out, a node that could not be restarted). Any makes the
	// set's verdict unknown at best.
	Problems []string
	// Skipped: the user skipped the set (--step).
	Skipped bool
	// Order, Fault and Deadline (of a command) are how the set was run.
	Order, Fault string
	Deadline     time.Duration
	// QuietOffered: some node reported Status.quiet, so what was waited for before
	// each marker was on disk.
	QuietOffered bool
	// Audit are the items that were read back at the end, ascending; nil when none
	// was.
	Audit []AuditRead
	// Unfinished says why the set was not carried out to its end (the nodes could
	// not be used, the user interrupted it), so that nothing can be said of what is
	// missing; "" when it was. Whoever runs the set fills it in.
	Unfinished string
}

// Violation is something that a node answered or did and that docs/protocol.md
// rules out whatever the state of the bank; see session.Violation.
type Violation struct {
	Node, Call, Field string
	Got               string // the first time
	Rule              string // what the contract says
	Count             int    // how often
	// Client and Timestamp name the request of the first time, if it has a name.
	Client, Timestamp uint64
}

// AuditRead is a read that the runner itself made through the bank once a set
// was quiet, to hold against what the nodes say that they hold. It counts in no
// measurement.
type AuditRead struct {
	Item    int64
	Outcome Outcome // Value, or that of a read that was not answered
	Value   int64
	Node    string // that answered
	Message string
}

// RunResult is one run of one test set.
type RunResult struct {
	TestSet  string // file name as given
	Started  time.Time
	Topology *topology.Topology
	Order    string
	Fault    string
	NodeCmd  string
	Args     []string
	Host     string
	Commit   string
	// Containment says what the nodes were held in, or that nothing held them; ""
	// is not known. The runner does nothing differently for it.
	Containment string
	Sets        []SetResult
	// Interrupted: Ctrl-C; NodesFailed: nodes could not be started or reached.
	Interrupted bool
	NodesFailed string
}
