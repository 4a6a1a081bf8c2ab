package check

import (
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"

	"paxbank/client/runner"
)

// agreement: live replicas of a cluster with a quorum hold the same.
func (f *facts) agreement() []Check {
	var out []Check
	for c := range f.nodes {
		if !f.quorum[c] {
			continue
		}
		id := f.top.Clusters[c].ID
		replicas := f.asked(c)
		if len(replicas) == 0 {
			out = append(out, invariant("agreement", id, Unknown, "equal replicas", "no answer", "no live replica of %s could be asked", id))
			continue
		}
		best := f.best[c]
		bad := len(out)
		for _, s := range replicas {
			if s == best {
				continue
			}
			if diff := f.differing(best, s); len(diff) > 0 {
				shown := diff[:min(len(diff), 5)]
				var parts []string
				for _, item := range shown {
					parts = append(parts, fmt.Sprintf("item %d on %s", item, f.values(c, item)))
				}
				more := ""
				if len(diff) > len(shown) {
					more = fmt.Sprintf(", and %d more items", len(diff)-len(shown))
				}
				check := invariant("agreement", s.ID, Fail, "as on "+best.ID, fmt.Sprintf("%d items differ", len(diff)),
					"live replicas %s (applied %d) and %s (applied %d) differ: %s%s: invariant agreement and determinism", best.ID, best.AppliedIndex, s.ID, s.AppliedIndex, strings.Join(parts, "; "), more)
				f.part(&check, c, best, s, diff[0])
				out = append(out, check)
				continue
			}
			if s.AppliedIndex < best.AppliedIndex && missesWork(best, s.AppliedIndex) {
				check := invariant("agreement", s.ID, Fail, fmt.Sprintf("applied %d", best.AppliedIndex), fmt.Sprintf("applied %d", s.AppliedIndex),
					"live replica %s has applied up to index %d, %s up to %d: a live node that is behind is repaired at once", s.ID, s.AppliedIndex, best.ID, best.AppliedIndex)
				check.Nodes, check.Rule = []string{s.ID}, "a live node that is behind is repaired at once"
				check.FirstDifference = fmt.Sprintf("%s: want applied %d, got %d", s.ID, best.AppliedIndex, s.AppliedIndex)
				out = append(out, check)
				continue
			}
			if s.AppliedIndex == best.AppliedIndex && s.Checksum != 0 && best.Checksum != 0 && s.Checksum != best.Checksum {
				check := invariant("agreement", s.ID, Fail, fmt.Sprintf("%016x", best.Checksum), fmt.Sprintf("%016x", s.Checksum),
					"%s and %s have applied the same index %d and have different state checksums: invariant determinism", best.ID, s.ID, s.AppliedIndex)
				f.part(&check, c, best, s, 0)
				out = append(out, check)
			}
		}
		if len(out) == bad {
			out = append(out, invariant("agreement", id, Pass, "equal replicas", "equal", ""))
		}
	}
	return out
}

// part says where two replicas of a cluster part: at the first log index where
// their logs differ or, where those agree, at the first item.
func (f *facts) part(check *Check, c int, a, b *runner.NodeState, item int64) {
	check.Nodes = []string{a.ID, b.ID}
	check.Rule = "replicas that have applied the same index have the same state"
	if d, ok := f.diverge(c); ok {
		check.Nodes = []string{d.node}
		check.Rule = "no two replicas of a cluster commit different entries at one index"
		check.FirstDifference = fmt.Sprintf("%s, log index %d: %s", d.node, d.index, d.text)
		check.Message += fmt.Sprintf("; the first divergent replica is %s, at log index %d: %s", d.node, d.index, d.text)
		return
	}
	if item != 0 {
		check.FirstDifference = fmt.Sprintf("%s, item %d: want %d as on %s, got %d", b.ID, item, f.balance(a, item), a.ID, f.balance(b, item))
	}
	if len(a.Log) > 0 && len(b.Log) > 0 {
		check.Message += fmt.Sprintf("; their logs agree up to index %d, so they applied the same entries to different ends", min(a.AppliedIndex, b.AppliedIndex))
	}
}

// differing returns the items on which two replicas differ, ascending.
func (f *facts) differing(a, b *runner.NodeState) []int64 {
	var out []int64
	for item := range a.Balances {
		if f.balance(a, item) != f.balance(b, item) {
			out = append(out, item)
		}
	}
	for item := range b.Balances {
		if _, both := a.Balances[item]; !both && f.balance(a, item) != f.balance(b, item) {
			out = append(out, item)
		}
	}
	slices.Sort(out)
	return out
}

// missesWork reports whether a replica has applied entries above index that are
// more than housekeeping. END and the like may be written between the moments
// at which two replicas were asked.
func missesWork(s *runner.NodeState, index uint64) bool {
	for i := range s.Log {
		if r := &s.Log[i]; r.Index > index && r.Index <= s.AppliedIndex && (r.Kind == "" || r.Kind == "transfer" || r.Kind == "tombstone") {
			return true
		}
	}
	// Entries that the log no longer shows are below a checkpoint.
	return s.CheckpointIndex > index
}

// overdraft: no balance is negative, on any replica, live or not.
func (f *facts) overdraft() []Check {
	var out []Check
	for c := range f.nodes {
		for _, s := range f.nodes[c] {
			var items []int64
			for item, b := range s.Balances {
				if b < 0 {
					items = append(items, item)
				}
			}
			slices.Sort(items)
			for n, item := range items {
				if n == maxListed {
					break
				}
				out = append(out, invariant("overdraft", fmt.Sprintf("%d@%s", item, s.ID), Fail, ">=0", strconv.FormatInt(s.Balances[item], 10),
					"item %d on %s: %d, want 0 or more: invariant no overdraft", item, s.ID, s.Balances[item]))
			}
		}
	}
	if len(out) == 0 {
		out = append(out, invariant("overdraft", "every item", Pass, ">=0", ">=0", ""))
	}
	return out
}

// cleanEnd: nothing is left of any transfer on live replicas of clusters with a
// quorum, except what waits for a cluster without one.
func (f *facts) cleanEnd() []Check {
	var out []Check
	for c := range f.nodes {
		if !f.quorum[c] {
			continue
		}
		for _, s := range f.asked(c) {
			out = append(out, f.cleanNode(c, s)...)
		}
	}
	return out
}

func (f *facts) cleanNode(c int, s *runner.NodeState) []Check {
	if s.Locks == 0 && s.UndoRecords == 0 && s.Prepared == 0 && s.Decided == 0 {
		return []Check{invariant("clean end", s.ID, Pass, "nothing left", "nothing left", "")}
	}
	waits := func(item int64) bool { i, ok := f.cluster(item); return ok && !f.served[i] }
	// Prepared rows whose other side is in a cluster without a quorum have to wait.
	mayPrepare, mayLock := 0, map[int64]bool{}
	for _, r := range inDoubt(s).rows {
		own, other := r.To, r.From
		if r.Role == "coordinator" {
			own, other = r.From, r.To
		}
		if waits(other) {
			mayPrepare++
			mayLock[own] = true
		}
	}
	// Decisions whose participant cannot acknowledge have to wait too.
	mayDecide := 0
	for i := range s.Log {
		if r := &s.Log[i]; r.Phase == "C" && r.Role == "coordinator" && waits(r.To) {
			mayDecide++
		}
	}
	anyLost := slices.Contains(f.served, false)
	truncated := s.CheckpointIndex > 0 || s.LogErr != "" || len(s.Log) == 0
	locks := len(mayLock)
	if truncated {
		// The log tells exactly what may wait; the outcomes tell at least how much.
		mayPrepare, mayDecide, locks = f.waitingMost(c)
	}
	judge := func(what string, have, may int) Check {
		switch {
		case have <= may:
			why := ""
			if have > 0 {
				why = "waits for a cluster without a quorum"
			}
			return invariant("clean end", what+"@"+s.ID, Pass, fmt.Sprintf("<=%d", may), strconv.Itoa(have), "%s", why)
		case anyLost && truncated && f.set.StartBalances != nil:
			return invariant("clean end", what+"@"+s.ID, Unknown, fmt.Sprintf("<=%d", may), strconv.Itoa(have),
				"%s on %s: %d left, and its log does not show whether they wait, from an earlier set on, for a cluster without a quorum", what, s.ID, have)
		}
		check := invariant("clean end", what+"@"+s.ID, Fail, strconv.Itoa(may), strconv.Itoa(have),
			"%s on %s: %d left, want %d: invariant clean end, nothing is left of a transfer that has ended", what, s.ID, have, may)
		if anyLost {
			check.Message += f.undone(c)
		}
		return check
	}
	var out []Check
	for _, c := range []Check{
		judge("undo records", s.UndoRecords, mayPrepare),
		judge("prepared", s.Prepared, mayPrepare),
		judge("decided", s.Decided, mayDecide),
		judge("locks", s.Locks, locks),
	} {
		if c.Actual != "0" {
			if c.Verdict == Fail {
				c.Nodes, c.Rule = []string{s.ID}, "C and A leave no undo record, and an idle bank has no locks and nothing prepared or decided"
				if strings.HasPrefix(c.Target, "locks@") {
					c.Message += lockedItems(s)
				} else if rows := inDoubt(s).rows; len(rows) > 0 {
					own := rows[0].To
					if rows[0].Role == "coordinator" {
						own = rows[0].From
					}
					c.Message += f.story(s, own)
				}
			}
			out = append(out, c)
		}
	}
	return out
}

// waitingMost is the most that can wait, at a cluster, for clusters that are lost:
// transfers prepared and decided, and items locked. It needs nobody's log. What a
// cluster itself has aborted holds no lock there and is not prepared there any
// more; what others coordinate waits for their word, whatever they told clients.
func (f *facts) waitingMost(cluster int) (prepared, decided, locks int) {
	locked := map[int64]bool{}
	for i := range f.set.Calls {
		call := &f.set.Calls[i]
		if call.Kind == "read" || call.Outcome == runner.Invalid || call.Outcome == runner.Unavailable {
			continue
		}
		from, _ := f.cluster(call.Command.From)
		to, _ := f.cluster(call.Command.To)
		switch {
		case from == cluster && to != cluster && !f.served[to]:
			decided++
			if call.Outcome != runner.Aborted && call.Outcome != runner.InsufficientFunds {
				prepared++
				locked[call.Command.From] = true
			}
		case to == cluster && from != cluster && !f.served[from]:
			prepared++
			locked[call.Command.To] = true
		}
	}
	return prepared, decided, len(locked)
}

// undone names the transfers that a cluster has aborted because of a lost one, and
// that what is left may belong to.
func (f *facts) undone(cluster int) string {
	var aborted []string
	for i := range f.set.Calls {
		call := &f.set.Calls[i]
		from, _ := f.cluster(call.Command.From)
		if to, _ := f.cluster(call.Command.To); call.Kind == "cross" && call.Outcome == runner.Aborted && from == cluster && !f.served[to] {
			aborted = append(aborted, fmt.Sprintf("line %d %s", call.Command.Line, call.Command.Text))
		}
	}
	if len(aborted) == 0 {
		return ""
	}
	if len(aborted) > 3 {
		aborted = append(aborted[:3], "others")
	}
	return "; it may be of " + strings.Join(aborted, " or ") + ", answered aborted, whose sender has to have its money again"
}

func lockedItems(s *runner.NodeState) string {
	var items []string
	for _, l := range s.LockTable {
		items = append(items, strconv.FormatInt(l.Item, 10))
	}
	if len(items) == 0 {
		return ""
	}
	sort.Strings(items)
	return " (items " + strings.Join(items[:min(len(items), maxListed)], ", ") + ")"
}
