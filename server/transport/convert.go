package transport

import (
	"fmt"
	"math"

	pb "paxbank/proto/paxbank/v1"
	"paxbank/server/ids"
	"paxbank/server/paxos"
	"paxbank/server/twopc"
)

// ToProto returns the wire form of a message of the core. Byte slices are
// shared, not copied. The error says which type it does not know.
func ToProto(m any) (*pb.PeerMessage, error) {
	switch m := m.(type) {
	case *paxos.PreVote:
		return &pb.PeerMessage{Message: &pb.PeerMessage_PreVote{PreVote: &pb.PreVote{Ballot: ballot(m.Ballot)}}}, nil
	case *paxos.PreVoteReply:
		return &pb.PeerMessage{Message: &pb.PeerMessage_PreVoteReply{PreVoteReply: &pb.PreVoteReply{
			Ballot: ballot(m.Ballot), Granted: m.Granted, Promised: ballot(m.Promised), Leader: uint32(m.Leader)}}}, nil
	case *paxos.Prepare:
		return &pb.PeerMessage{Message: &pb.PeerMessage_Prepare{Prepare: &pb.Prepare{
			Ballot: ballot(m.Ballot), FirstIndex: m.FirstIndex}}}, nil
	case *paxos.Promise:
		return &pb.PeerMessage{Message: &pb.PeerMessage_Promise{Promise: &pb.Promise{
			Ballot: ballot(m.Ballot), Accepted: m.Accepted, CommitIndex: m.CommitIndex}}}, nil
	case *paxos.Reject:
		return &pb.PeerMessage{Message: &pb.PeerMessage_Reject{Reject: &pb.Reject{
			Ballot: ballot(m.Ballot), Promised: ballot(m.Promised)}}}, nil
	case *paxos.Accept:
		return &pb.PeerMessage{Message: &pb.PeerMessage_Accept{Accept: &pb.Accept{
			Ballot: ballot(m.Ballot), NewView: m.NewView, FirstIndex: m.FirstIndex, ViewFirstIndex: m.ViewFirst,
			CommitIndex: m.CommitIndex, Round: m.Round, Entries: m.Entries}}}, nil
	case *paxos.Accepted:
		return &pb.PeerMessage{Message: &pb.PeerMessage_Accepted{Accepted: &pb.Accepted{
			Ballot: ballot(m.Ballot), UpToIndex: m.UpTo, CommitIndex: m.CommitIndex, Round: m.Round, Gap: m.Gap}}}, nil
	case *paxos.Commit:
		return &pb.PeerMessage{Message: &pb.PeerMessage_Commit{Commit: &pb.Commit{
			Ballot: ballot(m.Ballot), CommitIndex: m.CommitIndex}}}, nil
	case *paxos.Heartbeat:
		return &pb.PeerMessage{Message: &pb.PeerMessage_Heartbeat{Heartbeat: &pb.Heartbeat{
			Ballot: ballot(m.Ballot), CommitIndex: m.CommitIndex, Round: m.Round, SentIndex: m.Sent, ViewFirstIndex: m.ViewFirst}}}, nil
	case *paxos.HeartbeatReply:
		return &pb.PeerMessage{Message: &pb.PeerMessage_HeartbeatReply{HeartbeatReply: &pb.HeartbeatReply{
			Ballot: ballot(m.Ballot), Round: m.Round, UpToIndex: m.UpTo, CommitIndex: m.CommitIndex, Gap: m.Gap}}}, nil
	case *paxos.Fetch:
		return &pb.PeerMessage{Message: &pb.PeerMessage_Fetch{Fetch: &pb.Fetch{
			Ballot: ballot(m.Ballot), FromIndex: m.FromIndex}}}, nil
	case *paxos.CatchUp:
		return &pb.PeerMessage{Message: &pb.PeerMessage_CatchUp{CatchUp: &pb.CatchUp{
			Ballot: ballot(m.Ballot), FirstIndex: m.FirstIndex, CommitIndex: m.CommitIndex, Entries: m.Entries}}}, nil
	case *paxos.CheckpointChunk:
		return &pb.PeerMessage{Message: &pb.PeerMessage_CheckpointChunk{CheckpointChunk: &pb.CheckpointChunk{
			Ballot: ballot(m.Ballot), Index: m.Index, Offset: m.Offset, Total: m.Total, Data: m.Data}}}, nil
	case *twopc.TwoPCPrepareRequest:
		return &pb.PeerMessage{Message: &pb.PeerMessage_TwoPcPrepareRequest{TwoPcPrepareRequest: &pb.TwoPCPrepareRequest{
			TxnId: txn(m.Txn), From: m.Transfer.From, To: m.Transfer.To, Amount: m.Transfer.Amount,
			Age:         &pb.Age{Clock: int64(m.Age.Clock), Cluster: uint32(m.Age.Cluster), Number: m.Age.Number},
			RemainingNs: int64(m.Remaining), Cluster: uint32(m.Cluster)}}}, nil
	case *twopc.TwoPCPrepareReply:
		return &pb.PeerMessage{Message: &pb.PeerMessage_TwoPcPrepareReply{TwoPcPrepareReply: &pb.TwoPCPrepareReply{
			TxnId: txn(m.Txn), Success: m.Success, Seq: m.Seq, Reason: pb.TwoPCReason(m.Reason), Leader: uint32(m.Leader)}}}, nil
	case *twopc.TwoPCCommitRequest:
		return &pb.PeerMessage{Message: &pb.PeerMessage_TwoPcCommitRequest{TwoPcCommitRequest: &pb.TwoPCCommitRequest{
			TxnId: txn(m.Txn), Seq: m.Seq}}}, nil
	case *twopc.TwoPCCommitReply:
		return &pb.PeerMessage{Message: &pb.PeerMessage_TwoPcCommitReply{TwoPcCommitReply: &pb.TwoPCCommitReply{
			TxnId: txn(m.Txn), Success: m.Success, Seq: m.Seq, Leader: uint32(m.Leader)}}}, nil
	case *twopc.TwoPCAbortRequest:
		return &pb.PeerMessage{Message: &pb.PeerMessage_TwoPcAbortRequest{TwoPcAbortRequest: &pb.TwoPCAbortRequest{
			TxnId: txn(m.Txn), Reason: pb.TwoPCReason(m.Reason)}}}, nil
	case *twopc.TwoPCAbortReply:
		return &pb.PeerMessage{Message: &pb.PeerMessage_TwoPcAbortReply{TwoPcAbortReply: &pb.TwoPCAbortReply{
			TxnId: txn(m.Txn), Success: m.Success, Leader: uint32(m.Leader)}}}, nil
	case *twopc.TwoPCInquiryRequest:
		return &pb.PeerMessage{Message: &pb.PeerMessage_TwoPcInquiryRequest{TwoPcInquiryRequest: &pb.TwoPCInquiryRequest{
			TxnId: txn(m.Txn), Seq: m.Seq}}}, nil
	case *twopc.TwoPCInquiryReply:
		return &pb.PeerMessage{Message: &pb.PeerMessage_TwoPcInquiryReply{TwoPcInquiryReply: &pb.TwoPCInquiryReply{
			TxnId: txn(m.Txn), Seq: m.Seq, Answer: pb.TwoPCAnswer(m.Answer), Leader: uint32(m.Leader)}}}, nil
	case *twopc.LeaderAnnouncement:
		return &pb.PeerMessage{Message: &pb.PeerMessage_LeaderAnnouncement{LeaderAnnouncement: &pb.LeaderAnnouncement{
			Cluster: uint32(m.Cluster), Ballot: ballot(m.Ballot)}}}, nil
	}
	return nil, fmt.Errorf("no wire form for a message of type %T", m)
}

// FromProto returns the core's form of a message. Byte slices are shared. The
// error says what is malformed; such a message is dropped.
func FromProto(p *pb.PeerMessage) (any, error) {
	var c checker
	var m any
	switch p := p.GetMessage().(type) {
	case *pb.PeerMessage_PreVote:
		m = &paxos.PreVote{Ballot: c.ballot(p.PreVote.GetBallot())}
	case *pb.PeerMessage_PreVoteReply:
		v := p.PreVoteReply
		m = &paxos.PreVoteReply{Ballot: c.ballot(v.GetBallot()), Granted: v.GetGranted(),
			Promised: c.anyBallot(v.GetPromised()), Leader: c.node(v.GetLeader())}
	case *pb.PeerMessage_Prepare:
		m = &paxos.Prepare{Ballot: c.ballot(p.Prepare.GetBallot()), FirstIndex: p.Prepare.GetFirstIndex()}
	case *pb.PeerMessage_Promise:
		v := p.Promise
		m = &paxos.Promise{Ballot: c.ballot(v.GetBallot()), Accepted: v.GetAccepted(), CommitIndex: v.GetCommitIndex()}
	case *pb.PeerMessage_Reject:
		m = &paxos.Reject{Ballot: c.ballot(p.Reject.GetBallot()), Promised: c.ballot(p.Reject.GetPromised())}
	case *pb.PeerMessage_Accept:
		v := p.Accept
		m = &paxos.Accept{Ballot: c.ballot(v.GetBallot()), NewView: v.GetNewView(), FirstIndex: v.GetFirstIndex(),
			ViewFirst: v.GetViewFirstIndex(), CommitIndex: v.GetCommitIndex(), Round: v.GetRound(), Entries: v.GetEntries()}
	case *pb.PeerMessage_Accepted:
		v := p.Accepted
		m = &paxos.Accepted{Ballot: c.ballot(v.GetBallot()), UpTo: v.GetUpToIndex(), CommitIndex: v.GetCommitIndex(),
			Round: v.GetRound(), Gap: v.GetGap()}
	case *pb.PeerMessage_Commit:
		m = &paxos.Commit{Ballot: c.ballot(p.Commit.GetBallot()), CommitIndex: p.Commit.GetCommitIndex()}
	case *pb.PeerMessage_Heartbeat:
		v := p.Heartbeat
		m = &paxos.Heartbeat{Ballot: c.ballot(v.GetBallot()), CommitIndex: v.GetCommitIndex(), Round: v.GetRound(),
			Sent: v.GetSentIndex(), ViewFirst: v.GetViewFirstIndex()}
	case *pb.PeerMessage_HeartbeatReply:
		v := p.HeartbeatReply
		m = &paxos.HeartbeatReply{Ballot: c.ballot(v.GetBallot()), Round: v.GetRound(), UpTo: v.GetUpToIndex(),
			CommitIndex: v.GetCommitIndex(), Gap: v.GetGap()}
	case *pb.PeerMessage_Fetch:
		m = &paxos.Fetch{Ballot: c.ballot(p.Fetch.GetBallot()), FromIndex: p.Fetch.GetFromIndex()}
	case *pb.PeerMessage_CatchUp:
		v := p.CatchUp
		m = &paxos.CatchUp{Ballot: c.ballot(v.GetBallot()), FirstIndex: v.GetFirstIndex(),
			CommitIndex: v.GetCommitIndex(), Entries: v.GetEntries()}
	case *pb.PeerMessage_CheckpointChunk:
		v := p.CheckpointChunk
		m = &paxos.CheckpointChunk{Ballot: c.ballot(v.GetBallot()), Index: v.GetIndex(), Offset: v.GetOffset(),
			Total: v.GetTotal(), Data: v.GetData()}
	case *pb.PeerMessage_TwoPcPrepareRequest:
		v := p.TwoPcPrepareRequest
		m = &twopc.TwoPCPrepareRequest{Txn: c.txn(v.GetTxnId()),
			Transfer: ids.Transfer{From: v.GetFrom(), To: v.GetTo(), Amount: v.GetAmount()},
			Age: ids.Age{Clock: ids.Time(v.GetAge().GetClock()), Cluster: c.cluster(v.GetAge().GetCluster()),
				Number: v.GetAge().GetNumber()},
			Remaining: ids.Duration(v.GetRemainingNs()), Cluster: c.cluster(v.GetCluster())}
	case *pb.PeerMessage_TwoPcPrepareReply:
		v := p.TwoPcPrepareReply
		m = &twopc.TwoPCPrepareReply{Txn: c.txn(v.GetTxnId()), Success: v.GetSuccess(), Seq: v.GetSeq(),
			Reason: c.reason(v.GetReason()), Leader: c.node(v.GetLeader())}
	case *pb.PeerMessage_TwoPcCommitRequest:
		v := p.TwoPcCommitRequest
		m = &twopc.TwoPCCommitRequest{Txn: c.txn(v.GetTxnId()), Seq: v.GetSeq()}
	case *pb.PeerMessage_TwoPcCommitReply:
		v := p.TwoPcCommitReply
		m = &twopc.TwoPCCommitReply{Txn: c.txn(v.GetTxnId()), Success: v.GetSuccess(), Seq: v.GetSeq(), Leader: c.node(v.GetLeader())}
	case *pb.PeerMessage_TwoPcAbortRequest:
		v := p.TwoPcAbortRequest
		m = &twopc.TwoPCAbortRequest{Txn: c.txn(v.GetTxnId()), Reason: c.reason(v.GetReason())}
	case *pb.PeerMessage_TwoPcAbortReply:
		v := p.TwoPcAbortReply
		m = &twopc.TwoPCAbortReply{Txn: c.txn(v.GetTxnId()), Success: v.GetSuccess(), Leader: c.node(v.GetLeader())}
	case *pb.PeerMessage_TwoPcInquiryRequest:
		v := p.TwoPcInquiryRequest
		m = &twopc.TwoPCInquiryRequest{Txn: c.txn(v.GetTxnId()), Seq: v.GetSeq()}
	case *pb.PeerMessage_TwoPcInquiryReply:
		v := p.TwoPcInquiryReply
		m = &twopc.TwoPCInquiryReply{Txn: c.txn(v.GetTxnId()), Seq: v.GetSeq(), Answer: c.answer(v.GetAnswer()), Leader: c.node(v.GetLeader())}
	case *pb.PeerMessage_LeaderAnnouncement:
		v := p.LeaderAnnouncement
		m = &twopc.LeaderAnnouncement{Cluster: c.cluster(v.GetCluster()), Ballot: c.ballot(v.GetBallot())}
	default:
		return nil, fmt.Errorf("message of no known type")
	}
	if c.err != nil {
		return nil, fmt.Errorf("%T: %w", m, c.err)
	}
	return m, nil
}

func ballot(b ids.Ballot) *pb.Ballot {
	if b.IsZero() {
		return nil
	}
	return &pb.Ballot{Counter: b.Counter, Node: uint32(b.Node)}
}

func txn(t ids.Txn) *pb.TxnID {
	return &pb.TxnID{ClientId: t.Client, Timestamp: t.Timestamp, Ballot: ballot(t.Ballot), Number: t.Number}
}

// checker converts fields and keeps the first thing that was wrong.
type checker struct{ err error }

func (c *checker) fail(format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf(format, args...)
	}
}

func (c *checker) node(n uint32) ids.Node {
	if n > math.MaxUint16 {
		c.fail("node number %d is too large", n)
	}
	return ids.Node(n)
}

func (c *checker) cluster(n uint32) ids.Cluster {
	if n > math.MaxUint16 {
		c.fail("cluster number %d is too large", n)
	}
	return ids.Cluster(n)
}

func (c *checker) anyBallot(b *pb.Ballot) ids.Ballot {
	return ids.Ballot{Counter: b.GetCounter(), Node: c.node(b.GetNode())}
}

// ballot is a ballot that somebody owns.
func (c *checker) ballot(b *pb.Ballot) ids.Ballot {
	if b.GetNode() == 0 || b.GetCounter() == 0 {
		c.fail("ballot %d.n%d belongs to nobody", b.GetCounter(), b.GetNode())
	}
	return c.anyBallot(b)
}

func (c *checker) txn(t *pb.TxnID) ids.Txn {
	if t == nil {
		c.fail("transaction id is missing")
	}
	return ids.Txn{Request: ids.Request{Client: t.GetClientId(), Timestamp: t.GetTimestamp()},
		Ballot: c.ballot(t.GetBallot()), Number: t.GetNumber()}
}

func (c *checker) reason(r pb.TwoPCReason) twopc.Reason {
	if r < 0 || r > pb.TwoPCReason(twopc.ReasonWaiting) {
		c.fail("unknown reason %d", r)
	}
	return twopc.Reason(r)
}

func (c *checker) answer(a pb.TwoPCAnswer) twopc.Answer {
	if a < 0 || a > pb.TwoPCAnswer(twopc.AnswerNotLeader) {
		c.fail("unknown answer %d", a)
	}
	return twopc.Answer(a)
}
