package replica

import (
	"fmt"
	"slices"
	"strings"

	"paxbank/server/bank"
	"paxbank/server/ids"
	"paxbank/server/paxos"
	"paxbank/server/twopc"
)

// trace is what happened, one line a message or effect. The same thing from one
// node to several at one time, or at several nodes at one time, takes one line.
type trace struct {
	lines      []traceLine
	heartbeats bool // show them
}

type traceLine struct {
	at   ids.Time
	from ids.Node // of a message; 0: an effect at the nodes
	to   []ids.Node
	what string
}

func (t *trace) clearTrace() { t.lines = t.lines[:0] }

// add writes a line, or adds a node to one of the same time that says the same.
// What happens at one node stays in order.
func (t *trace) add(at ids.Time, from, to ids.Node, what string) {
	for i := len(t.lines) - 1; i >= 0 && t.lines[i].at == at; i-- {
		switch l := &t.lines[i]; {
		case l.from == from && l.what == what && !slices.Contains(l.to, to):
			l.to = append(l.to, to)
			return
		case l.from == from && slices.Contains(l.to, to):
			i = 0 // it has done something else since
		}
	}
	t.lines = append(t.lines, traceLine{at, from, []ids.Node{to}, what})
}

// take returns what happened since it was called last.
func (s *scene) take() string {
	var out strings.Builder
	for _, l := range s.lines {
		who := nodeNames(l.to)
		if l.from != 0 {
			who = fmt.Sprintf("n%d -> %s", l.from, who)
		}
		fmt.Fprintf(&out, "%5d ms  %-14s  %s\n", (l.at-s.zero)/ids.Time(Millisecond), who, l.what)
	}
	s.clearTrace()
	if out.Len() == 0 {
		return "nothing\n"
	}
	return out.String()
}

func nodeNames(nodes []ids.Node) string {
	var names []string
	for _, n := range nodes {
		names = append(names, fmt.Sprintf("n%d", n))
	}
	return strings.Join(names, " ")
}

func (s *scene) say(n ids.Node, what string) { s.add(s.now, 0, n, what) }

func (s *scene) tellMessage(f flight, fate string) {
	switch f.m.(type) {
	case *paxos.Heartbeat, *paxos.HeartbeatReply:
		if !s.heartbeats {
			return
		}
	}
	s.add(s.now, f.from, f.to, s.describe(f.m)+fate)
}

func (s *scene) tellCheckpoint(n ids.Node, index uint64, received bool) {
	if received {
		s.say(n, fmt.Sprintf("installs the checkpoint of %d", index))
		return
	}
	s.say(n, fmt.Sprintf("takes a checkpoint of %d", index))
}

// tellLeadership writes down leadership and locks that were won or lost.
func (s *scene) tellLeadership(n ids.Node, a *actor) {
	was, st := a.ready, a.r.Status()
	a.ready = st.Ready
	if was && !st.Ready {
		// Its lock table went with it; those locks were not released.
		a.locks = nil
		s.say(n, "no longer leads")
		return
	}
	if !was && st.Ready {
		s.say(n, fmt.Sprintf("leads at %s, ready", st.Ballot))
	}
	before := a.locks
	a.locks = a.r.Locks()
	same := func(l LockRow, list []LockRow) bool {
		return slices.ContainsFunc(list, func(o LockRow) bool { return o.Item == l.Item && o.Txn == l.Txn })
	}
	for _, l := range before {
		if !same(l, a.locks) {
			s.say(n, fmt.Sprintf("unlocks %d", l.Item))
		}
	}
	for _, l := range a.locks {
		if !same(l, before) {
			s.say(n, fmt.Sprintf("locks %d for %s", l.Item, l.Txn))
		}
	}
}

func (s *scene) tellAnswer(n ids.Node, label string, a Answer) {
	what := a.Outcome.String()
	switch {
	case a.Outcome == bank.OutcomeNotLeader && a.Leader != 0:
		what = fmt.Sprintf("not leader, try n%d", a.Leader)
	case a.Outcome == bank.OutcomeNotLeader:
		what = "not leader"
	case a.Outcome == bank.OutcomeCommitted && strings.HasPrefix(label, "read"):
		what = fmt.Sprint(a.Balance)
	}
	if a.Message != "" {
		what += " (" + a.Message + ")"
	}
	s.say(n, fmt.Sprintf("answers %s: %s", label, what))
}

// tellApplied writes down what an entry did to the state.
func (s *scene) tellApplied(n ids.Node, e *bank.Entry, effect bank.Effect) {
	b := s.nodes[n].r.bank
	holds := func(item int64) string {
		balance, _ := b.Balance(item)
		return fmt.Sprintf("%d = %d", item, balance)
	}
	item := e.Transfer.From
	if e.Role == bank.RoleParticipant {
		item = e.Transfer.To
	}
	done := effect.String()
	switch {
	case effect.Void():
		done = "void: " + done
	case effect == bank.EffectPrepared:
		u, _ := b.Undo(e.Seq)
		done = fmt.Sprintf("%s, undo record {%d: %d}", holds(item), u.Item, u.Before)
	case effect == bank.EffectApplied && e.Kind == bank.KindTransfer:
		switch e.Phase {
		case bank.PhaseNone:
			done = holds(e.Transfer.From) + ", " + holds(e.Transfer.To)
		case bank.PhaseCommit:
			done = holds(item) + ", undo record deleted"
			if e.Role == bank.RoleCoordinator {
				done += ", decided"
			}
		case bank.PhaseAbort:
			done = holds(item) + " again, undo record deleted"
		}
	}
	s.say(n, fmt.Sprintf("apply %s: %s", entryText(e), done))
}

// entryText shows an entry of the bank: index, (seq, phase) and contents.
func entryText(e *bank.Entry) string {
	switch {
	case e.Kind != bank.KindTransfer:
		return fmt.Sprintf("%d:%s", e.Index, e)
	case e.Phase == bank.PhaseNone:
		return fmt.Sprintf("%d:%s %s", e.Index, e.Txn.Request, e.Transfer)
	case e.Phase == bank.PhaseCommit && e.Role == bank.RoleCoordinator:
		return fmt.Sprintf("%d:(%d, C, peer_seq %d) %s", e.Index, e.Seq, e.PeerSeq, e.Txn)
	}
	return fmt.Sprintf("%d:(%d, %s) %s", e.Index, e.Seq, e.Phase, e.Txn)
}

// logText shows entries of the log; accepted: with ballot and origin.
func logText(list []paxos.Entry, accepted bool) string {
	var parts []string
	for i := range list {
		e := &list[i]
		text := ""
		switch e.Kind {
		case paxos.KindNoop:
			text = fmt.Sprintf("%d:NO-OP", e.Index)
		case paxos.KindView:
			text = fmt.Sprintf("%d:VIEW(%s)", e.Index, e.Origin)
		default:
			var be bank.Entry
			if err := be.Decode(e.Index, e.Origin, e.Data); err != nil {
				text = err.Error()
				break
			}
			text = entryText(&be)
		}
		if accepted {
			text += "@" + e.Ballot.String()
		}
		parts = append(parts, text)
	}
	if n := len(parts); n > 8 {
		parts = append(parts[:2:2], fmt.Sprintf("… %d more …", n-3), parts[n-1])
	}
	return "[" + strings.Join(parts, ", ") + "]"
}

func messageName(m any) string {
	switch m := m.(type) {
	case *paxos.PreVote:
		return "PRE-VOTE"
	case *paxos.PreVoteReply:
		return "PRE-VOTE-REPLY"
	case *paxos.Prepare:
		return "PREPARE"
	case *paxos.Promise:
		return "PROMISE"
	case *paxos.Reject:
		return "REJECT"
	case *paxos.Accept:
		if m.NewView {
			return "NEW-VIEW"
		}
		return "ACCEPT"
	case *paxos.Accepted:
		return "ACCEPTED"
	case *paxos.Commit:
		return "COMMIT"
	case *paxos.Heartbeat:
		return "HEARTBEAT"
	case *paxos.HeartbeatReply:
		return "HEARTBEAT-REPLY"
	case *paxos.Fetch:
		return "FETCH"
	case *paxos.CatchUp:
		return "CATCH-UP"
	case *paxos.CheckpointChunk:
		return "CHECKPOINT"
	case *twopc.TwoPCPrepareRequest:
		return "TwoPCPrepare"
	case *twopc.TwoPCPrepareReply:
		return "TwoPCPrepareReply"
	case *twopc.TwoPCCommitRequest:
		return "TwoPCCommit"
	case *twopc.TwoPCCommitReply:
		return "TwoPCCommitReply"
	case *twopc.TwoPCAbortRequest:
		return "TwoPCAbort"
	case *twopc.TwoPCAbortReply:
		return "TwoPCAbortReply"
	case *twopc.TwoPCInquiryRequest:
		return "TwoPCInquiry"
	case *twopc.TwoPCInquiryReply:
		return "TwoPCInquiryReply"
	case *twopc.LeaderAnnouncement:
		return "LEADER"
	}
	return fmt.Sprintf("%T", m)
}

// describe shows a message with what matters of its fields.
func (s *scene) describe(m any) string { return messageName(m) + " " + s.fields(m) }

func (s *scene) fields(m any) string {
	switch m := m.(type) {
	case *paxos.PreVote:
		return m.Ballot.String()
	case *paxos.PreVoteReply:
		if !m.Granted && m.Leader != 0 {
			return fmt.Sprintf("%s no, n%d leads", m.Ballot, m.Leader)
		}
		return fmt.Sprintf("%s %s", m.Ballot, yesNo(m.Granted))
	case *paxos.Prepare:
		return fmt.Sprintf("%s from %d", m.Ballot, m.FirstIndex)
	case *paxos.Promise:
		list, _ := paxos.DecodeAccepted(m.Accepted)
		return fmt.Sprintf("%s accepted %s commit %d", m.Ballot, logText(list, true), m.CommitIndex)
	case *paxos.Reject:
		return fmt.Sprintf("%s promised %s", m.Ballot, m.Promised)
	case *paxos.Accept:
		list, _ := paxos.DecodeEntries(m.FirstIndex, m.Ballot, m.Entries)
		return fmt.Sprintf("%s %s commit %d", m.Ballot, logText(list, false), m.CommitIndex)
	case *paxos.Accepted:
		return fmt.Sprintf("%s up to %d%s", m.Ballot, m.UpTo, gapText(m.Gap))
	case *paxos.Commit:
		return fmt.Sprintf("%s %d", m.Ballot, m.CommitIndex)
	case *paxos.Heartbeat:
		return fmt.Sprintf("%s round %d commit %d", m.Ballot, m.Round, m.CommitIndex)
	case *paxos.HeartbeatReply:
		return fmt.Sprintf("%s round %d up to %d%s", m.Ballot, m.Round, m.UpTo, gapText(m.Gap))
	case *paxos.Fetch:
		return fmt.Sprintf("%s from %d", m.Ballot, m.FromIndex)
	case *paxos.CatchUp:
		list, _ := paxos.DecodeEntries(m.FirstIndex, m.Ballot, m.Entries)
		return fmt.Sprintf("%s %s commit %d", m.Ballot, logText(list, false), m.CommitIndex)
	case *paxos.CheckpointChunk:
		if len(m.Data) == 0 {
			return fmt.Sprintf("%s of %d: go on at byte %d", m.Ballot, m.Index, m.Offset)
		}
		return fmt.Sprintf("%s of %d: %d bytes at %d of %d", m.Ballot, m.Index, len(m.Data), m.Offset, m.Total)
	case *twopc.TwoPCPrepareRequest:
		return fmt.Sprintf("%s %s age %d ms.c%d.%d, %d ms left", m.Txn, m.Transfer,
			(m.Age.Clock-s.zero)/ids.Time(Millisecond), m.Age.Cluster+1, m.Age.Number, m.Remaining/Millisecond)
	case *twopc.TwoPCPrepareReply:
		switch {
		case m.Success:
			return fmt.Sprintf("%s yes, seq %d", m.Txn, m.Seq)
		case m.Reason == twopc.ReasonWaiting:
			return fmt.Sprintf("%s waiting", m.Txn)
		}
		return fmt.Sprintf("%s no: %s%s", m.Txn, reasonName(m.Reason), tryText(m.Leader))
	case *twopc.TwoPCCommitRequest:
		return fmt.Sprintf("%s seq %d", m.Txn, m.Seq)
	case *twopc.TwoPCCommitReply:
		return fmt.Sprintf("%s seq %d%s", m.Txn, m.Seq, ackText(m.Success, m.Leader))
	case *twopc.TwoPCAbortRequest:
		return fmt.Sprintf("%s %s", m.Txn, reasonName(m.Reason))
	case *twopc.TwoPCAbortReply:
		return m.Txn.String() + ackText(m.Success, m.Leader)
	case *twopc.TwoPCInquiryRequest:
		return fmt.Sprintf("%s seq %d", m.Txn, m.Seq)
	case *twopc.TwoPCInquiryReply:
		answer := [...]string{"none", "commit", "abort", "pending", "not leader"}[m.Answer]
		return fmt.Sprintf("%s seq %d %s%s", m.Txn, m.Seq, answer, tryText(m.Leader))
	case *twopc.LeaderAnnouncement:
		return fmt.Sprintf("of c%d at %s", m.Cluster+1, m.Ballot)
	}
	return ""
}

func yesNo(yes bool) string {
	if yes {
		return "yes"
	}
	return "no"
}

func gapText(gap bool) string {
	if gap {
		return ", the rest is missing"
	}
	return ""
}

func tryText(leader ids.Node) string {
	if leader == 0 {
		return ""
	}
	return fmt.Sprintf(", try n%d", leader)
}

func ackText(success bool, leader ids.Node) string {
	if success {
		return ""
	}
	return " not leader" + tryText(leader)
}

func reasonName(r twopc.Reason) string {
	return [...]string{"none", "conflict", "invalid", "not leader", "no quorum", "timeout", "insufficient funds",
		"overflow", "queue full", "void", "waiting"}[r]
}
