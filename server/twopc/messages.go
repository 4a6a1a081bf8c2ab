package twopc

import "paxbank/server/ids"

// Message is one of the types below, sent between the leaders of two clusters.
type Message interface{ twoPCMessage() }

// Reason says why a participant voted no, or why an attempt was aborted.
type Reason uint8

// The reasons. Their numbers are those of paxbank.v1.TwoPCReason.
const (
	ReasonNone Reason = iota
	ReasonConflict
	ReasonInvalid
	ReasonNotLeader
	ReasonNoQuorum
	ReasonTimeout
	ReasonInsufficientFunds
	ReasonOverflow
	ReasonQueueFull
	ReasonVoid
	// ReasonWaiting is no vote yet: the attempt waits for the receiver's lock.
	ReasonWaiting
)

// Answer is what a coordinator says to an inquiry.
type Answer uint8

// The answers. Their numbers are those of paxbank.v1.TwoPCAnswer.
const (
	AnswerNone Answer = iota
	AnswerCommit
	AnswerAbort
	AnswerPending
	AnswerNotLeader
)

// TwoPCPrepareRequest asks the participant's leader to lock the receiver's item
// and log (seq, P). Cluster is the coordinator's. Remaining is what is left of
// the prepare deadline. Repeated until it is answered or the deadline passed.
type TwoPCPrepareRequest struct {
	Txn       ids.Txn
	Transfer  ids.Transfer
	Age       ids.Age
	Remaining ids.Duration
	Cluster   ids.Cluster
}

// TwoPCPrepareReply is the vote. Seq is the participant's sequence number when
// Success; otherwise Reason tells why, and Leader helps with NotLeader.
type TwoPCPrepareReply struct {
	Txn     ids.Txn
	Success bool
	Seq     uint64
	Reason  Reason
	Leader  ids.Node
}

// TwoPCCommitRequest delivers the decision to the P at Seq. Repeated until
// answered with Success.
type TwoPCCommitRequest struct {
	Txn ids.Txn
	Seq uint64
}

// TwoPCCommitReply acknowledges TwoPCCommitRequest. Without Success the sender
// is not the leader; Leader may name it.
type TwoPCCommitReply struct {
	Txn     ids.Txn
	Success bool
	Seq     uint64
	Leader  ids.Node
}

// TwoPCAbortRequest ends an attempt at the participant, whether it waits, has
// its P in flight or is prepared. Repeated until answered with Success.
type TwoPCAbortRequest struct {
	Txn    ids.Txn
	Reason Reason
}

// TwoPCAbortReply acknowledges TwoPCAbortRequest.
type TwoPCAbortReply struct {
	Txn     ids.Txn
	Success bool
	Leader  ids.Node
}

// TwoPCInquiryRequest is how a participant that is prepared at Seq for long
// asks the coordinator's cluster for the decision.
type TwoPCInquiryRequest struct {
	Txn ids.Txn
	Seq uint64
}

// TwoPCInquiryReply answers an inquiry.
type TwoPCInquiryReply struct {
	Txn    ids.Txn
	Seq    uint64
	Answer Answer
	Leader ids.Node
}

// LeaderAnnouncement tells other clusters that the node of Ballot leads Cluster.
type LeaderAnnouncement struct {
	Cluster ids.Cluster
	Ballot  ids.Ballot
}

func (*TwoPCPrepareRequest) twoPCMessage() {}
func (*TwoPCPrepareReply) twoPCMessage()   {}
func (*TwoPCCommitRequest) twoPCMessage()  {}
func (*TwoPCCommitReply) twoPCMessage()    {}
func (*TwoPCAbortRequest) twoPCMessage()   {}
func (*TwoPCAbortReply) twoPCMessage()     {}
func (*TwoPCInquiryRequest) twoPCMessage() {}
func (*TwoPCInquiryReply) twoPCMessage()   {}
func (*LeaderAnnouncement) twoPCMessage()  {}
