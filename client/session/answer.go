package session

import (
	"context"
	"slices"
	"time"

	pb "paxbank/proto/paxbank/v1"
)

// sort of an answer.
type sort uint8

const (
	replied sort = iota + 1
	// notTaken: the node certainly did not look at the send.
	notTaken
	// lost: the node may have taken it.
	lost
	// again: the way it was sent is not offered; send it once more.
	again
)

// answer is what became of one send.
type answer struct {
	at      int // position of the node in its cluster
	sort    sort
	result  pb.Result
	success bool // what a transfer's answer says beside its result
	final   bool
	balance int64
	leader  string
	epoch   uint64
	message string
}

// call is a request under way; every send of it delivers one answer.
type call struct {
	ctx     context.Context
	answers chan answer // room for one answer of every node
}

// tentative reports whether an answer settles a request only if its other sends
// come to nothing as well.
func tentative(a *answer) bool {
	return a.result == pb.Result_RESULT_ABORTED && !a.final
}

// others waits for the answers that are still on their way, at most for grace: a
// node that was asked beside the leader, and that is about to say so, shall leave
// nothing open. It returns how many came, and changes e by what they say.
func (c *call) others(e *ending, asked []bool, decides func(*answer) bool) (came int) {
	timer := time.NewTimer(grace)
	defer timer.Stop()
	for slices.Contains(asked, true) {
		select {
		case a := <-c.answers:
			asked[a.at] = false
			came++
			switch {
			case a.sort == replied && decides(&a):
				if !tentative(&a) {
					e.answer, e.message = a, a.message
					return came
				}
			case a.sort == lost, a.sort == replied && !says(a.result):
				e.unclear = true
			}
		case <-timer.C:
			return came
		case <-c.ctx.Done():
			return came
		}
	}
	return came
}

// says reports whether a result that decides nothing says at least that this send
// had no effect. One that the contract does not know says nothing.
func says(r pb.Result) bool {
	switch r {
	case pb.Result_RESULT_NOT_LEADER, pb.Result_RESULT_WRONG_EPOCH, pb.Result_RESULT_UNAVAILABLE:
		return true
	}
	return false
}

// standing is what an answer says of its node.
func standing(a *answer) uint8 {
	switch {
	case a.sort == notTaken:
		return gone
	case a.sort == lost:
		return silent
	case a.result == pb.Result_RESULT_UNAVAILABLE:
		return noQuorum
	case a.result == pb.Result_RESULT_WRONG_EPOCH:
		return otherEpoch
	}
	return follows
}
