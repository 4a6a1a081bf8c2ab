package sim

import (
	"strings"

	"paxbank/server/ids"
	"paxbank/server/replica"
	"paxbank/server/twopc"
)

// branches recognises in messages which branch of wait-die was taken and why
// somebody was refused. Like losses it only counts.
type branches struct {
	asks  map[ids.Txn]twopc.TwoPCPrepareRequest // what was asked last under an attempt
	waits map[waitKey]int64                     // who was told to wait, and for which item
}

type waitKey struct {
	node ids.Node
	txn  ids.Txn
}

// reasons names every twopc.Reason.
var reasons = [...]string{
	twopc.ReasonNone: "none", twopc.ReasonConflict: "conflict", twopc.ReasonInvalid: "invalid",
	twopc.ReasonNotLeader: "not leader", twopc.ReasonNoQuorum: "no quorum", twopc.ReasonTimeout: "timeout",
	twopc.ReasonInsufficientFunds: "insufficient funds", twopc.ReasonOverflow: "overflow",
	twopc.ReasonQueueFull: "queue full", twopc.ReasonVoid: "void", twopc.ReasonWaiting: "waiting",
}

var inquiryAnswers = [...]string{
	twopc.AnswerNone: "none", twopc.AnswerCommit: "commit", twopc.AnswerAbort: "abort",
	twopc.AnswerPending: "pending", twopc.AnswerNotLeader: "not leader",
}

// The branches of wait-die and of the hand-over of a lock.
const (
	branchOlderWaits    = "an older prepare waits"
	branchYoungerGives  = "a younger prepare gives way"
	branchOwnWaits      = "a prepare waits for another attempt of its own request"
	branchStandsBack    = "an older prepare stands back for an urgent transfer"
	branchGranted       = "a waiting prepare gets the lock"
	branchYoungestFirst = "the youngest of several waiting prepares gets the lock"
	branchRefusedLater  = "a waiting prepare is refused after all"
	branchCalledOff     = "a waiting prepare is called off"
)

var waitDieBranches = []string{branchOlderWaits, branchYoungerGives, branchOwnWaits, branchStandsBack,
	branchGranted, branchYoungestFirst, branchRefusedLater, branchCalledOff}

// refusals are the messages with which a client's call is refused or ended
// without success, by a part of their text.
var refusals = []string{
	"no item", "amount must be positive", "sender and receiver are both", "too old",
	"requests are under way already", "wait for item",
	"the receiver's item stayed locked", "stayed locked until the deadline", "no decision before the deadline", "before anything was proposed",
	"while the request was under way", "no majority of the cluster", "election under way",
	"no outcome:", "holds less than", "can no longer execute", "could not be served before its deadline",
	"locked by an older transaction", "belongs to cluster", "too many calls wait",
	"the participant's cluster has no majority", "did not answer in time", "wait for the receiver's item",
}

func newBranches() *branches {
	return &branches{asks: map[ids.Txn]twopc.TwoPCPrepareRequest{}, waits: map[waitKey]int64{}}
}

// refused counts why a call failed.
func (w *world) refused(a *replica.Answer) {
	if a.Message == "" {
		return
	}
	for _, part := range refusals {
		if strings.Contains(a.Message, part) {
			w.cov.add("refusal", part)
			return
		}
	}
	w.cov.add("refusal", "other")
}

// twoPCSent is told of every message that a node sends.
func (w *world) twoPCSent(from *node, m any) {
	b := from.era.branches
	switch m := m.(type) {
	case *twopc.TwoPCPrepareRequest:
		b.asks[m.Txn] = *m
	case *twopc.TwoPCPrepareReply:
		if m.Success {
			w.cov.add("vote", "yes")
		} else {
			w.cov.add("vote", reasons[m.Reason])
		}
		w.voted(from, b, m)
	case *twopc.TwoPCCommitRequest:
		w.commitSent(from, m)
	case *twopc.TwoPCAbortRequest:
		w.cov.add("abort", reasons[m.Reason])
	case *twopc.TwoPCAbortReply:
		key := waitKey{from.id, m.Txn}
		if _, waited := b.waits[key]; waited && m.Success {
			w.cov.add("wait-die", branchCalledOff)
			delete(b.waits, key)
		}
	case *twopc.TwoPCInquiryReply:
		w.cov.add("inquiry", inquiryAnswers[m.Answer])
	}
}

func (w *world) voted(from *node, b *branches, m *twopc.TwoPCPrepareReply) {
	key := waitKey{from.id, m.Txn}
	ask, ok := b.asks[m.Txn]
	_, waited := b.waits[key]
	if !ok {
		return
	}
	item := ask.Transfer.To
	// Who holds the item, if its P is applied already.
	holder, held := ids.Age{}, false
	own := false
	log := &from.era.truth.logs[from.cluster]
	if seq, ok := log.held[item]; ok {
		p := log.prepared[seq]
		holder, held, own = p.Age, true, p.Txn.Request == m.Txn.Request && p.Txn != m.Txn
	}
	switch {
	case m.Success && waited:
		w.cov.add("wait-die", branchGranted)
		if b.youngest(from.id, item, ask.Age) {
			w.cov.add("wait-die", branchYoungestFirst)
		}
	case m.Reason == twopc.ReasonWaiting && !waited:
		b.waits[key] = item
		switch {
		case own:
			w.cov.add("wait-die", branchOwnWaits)
		case held && ask.Age.Older(holder):
			w.cov.add("wait-die", branchOlderWaits)
		}
	case m.Reason == twopc.ReasonConflict && waited:
		w.cov.add("wait-die", branchRefusedLater)
	case m.Reason == twopc.ReasonConflict && held && ask.Age.Older(holder):
		w.cov.add("wait-die", branchStandsBack)
	case m.Reason == twopc.ReasonConflict && held:
		w.cov.add("wait-die", branchYoungerGives)
	}
	if m.Reason != twopc.ReasonWaiting {
		delete(b.waits, key)
	}
}

// youngest reports whether others wait at a node for the item, all of them older.
func (b *branches) youngest(at ids.Node, item int64, age ids.Age) bool {
	others := false
	for key, i := range b.waits {
		if key.node != at || i != item {
			continue
		}
		if a := b.asks[key.txn].Age; a != age {
			if !a.Older(age) {
				return false
			}
			others = true
		}
	}
	return others
}

// forgetWaits is called when a node has lost what it knew of waiters.
func (n *node) forgetWaits() {
	if n.era == nil {
		return
	}
	for key := range n.era.branches.waits {
		if key.node == n.id {
			delete(n.era.branches.waits, key)
		}
	}
}
