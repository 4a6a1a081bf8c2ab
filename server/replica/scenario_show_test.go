package replica

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/cockroachdb/datadriven"

	"paxbank/server/ids"
	"paxbank/server/paxos"
)

// The commands of a scenario that show what the nodes hold.

func (s *scene) cmdBalance(d *datadriven.TestData) string {
	var out strings.Builder
	for _, a := range d.CmdArgs {
		item, err := strconv.ParseInt(a.Key, 10, 64)
		if err != nil {
			d.Fatalf(s.t, "%v", err)
		}
		fmt.Fprintf(&out, "%d:", item)
		for n, a := range s.each() {
			if b, ok := a.r.Balance(item); ok && a.up {
				fmt.Fprintf(&out, " n%d=%d", n, b)
			}
		}
		out.WriteByte('\n')
	}
	return out.String()
}

func (s *scene) cmdLocks(*datadriven.TestData) string {
	var out strings.Builder
	for n, a := range s.each() {
		for _, l := range a.r.Locks() {
			fmt.Fprintf(&out, "n%d: %d held by %s", n, l.Item, l.Txn)
			if l.Waiters > 0 {
				fmt.Fprintf(&out, ", %d waiting", l.Waiters)
			}
			out.WriteByte('\n')
		}
	}
	if out.Len() == 0 {
		return "none\n"
	}
	return out.String()
}

// cmdLog shows a node's log by index; status A accepted, C committed, E executed.
func (s *scene) cmdLog(d *datadriven.TestData) string {
	var out strings.Builder
	from := uint64(0)
	d.MaybeScanArgs(s.t, "from", &from)
	log, checkpoint := s.nodes[s.node(d, d.CmdArgs[0].Key)].r.Log(from, true)
	if checkpoint > 0 {
		fmt.Fprintf(&out, "checkpoint of %d\n", checkpoint)
	}
	for i := range log {
		row := &log[i]
		text, effect := "", ""
		switch row.Kind {
		case paxos.KindNoop:
			text = fmt.Sprintf("%d:NO-OP", row.Index)
		case paxos.KindView:
			text = fmt.Sprintf("%d:VIEW(%s)", row.Index, row.Origin)
		default:
			text = entryText(&row.Entry)
			if row.Status == "E" {
				effect = " " + row.Effect.String()
			}
		}
		fmt.Fprintf(&out, "%s  accepted at %s, origin %s, %s%s\n", text, row.Ballot, row.Origin, row.Status, effect)
	}
	return out.String()
}

// cmdState shows what the log has left in every replica, and who leads.
func (s *scene) cmdState(*datadriven.TestData) string {
	var out strings.Builder
	for n, a := range s.each() {
		if !a.up {
			fmt.Fprintf(&out, "n%d: crashed\n", n)
			continue
		}
		st := a.r.Status()
		fmt.Fprintf(&out, "n%d: %s, applied %d", n, s.standing(a, &st), st.Applied)
		b := a.r.bank
		for _, seq := range b.PreparedSeqs() {
			p := b.Prepared(seq)
			u, _ := b.Undo(seq)
			fmt.Fprintf(&out, ", prepared (%d, P) %s undo {%d: %d}", seq, p.Txn, u.Item, u.Before)
		}
		for _, dec := range b.Decisions() {
			fmt.Fprintf(&out, ", decided %s peer_seq %d", dec.Txn, dec.PeerSeq)
		}
		out.WriteByte('\n')
	}
	return out.String()
}

func (s *scene) standing(a *actor, st *Status) string {
	switch {
	case !a.live:
		return "disconnected"
	case st.Ready:
		return fmt.Sprintf("leads at %s", st.Ballot)
	case st.Leader != 0:
		return fmt.Sprintf("follows n%d", st.Leader)
	case st.Quorum:
		return "knows no leader"
	}
	return "has no quorum"
}

// cmdIdle shows what is left where nothing should be: requests, locks, undo
// records, prepared, decided, and replicas of a cluster that differ.
func (s *scene) cmdIdle(*datadriven.TestData) string {
	var out strings.Builder
	first := map[ids.Cluster]Status{}
	for n, a := range s.each() {
		if !a.live {
			continue
		}
		st := a.r.Status()
		if left := st.Requests + st.Locks + st.UndoRecords + st.Prepared + st.Decided; left > 0 || !st.Quiet {
			fmt.Fprintf(&out, "n%d: %d requests, %d locks, %d undo records, %d prepared, %d decided, quiet %v\n",
				n, st.Requests, st.Locks, st.UndoRecords, st.Prepared, st.Decided, st.Quiet)
		}
		o, seen := first[a.r.cluster]
		if !seen {
			first[a.r.cluster] = st
		} else if o.Applied != st.Applied || o.Checksum != st.Checksum {
			fmt.Fprintf(&out, "n%d differs: applied %d, another %d\n", n, st.Applied, o.Applied)
		}
	}
	if out.Len() == 0 {
		return "nothing is left, replicas are equal\n"
	}
	return out.String()
}
