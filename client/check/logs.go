package check

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"paxbank/client/runner"
)

// This file reads logs to explain what the other checks found; a log proves
// nothing by itself, since implementations need not offer it.

// whole reports whether a node told its log from the beginning.
func whole(s *runner.NodeState) bool {
	return s.LogErr == "" && s.CheckpointIndex == 0 && len(s.Log) > 0
}

// applied reports whether a row is one of a transfer that s has carried out and
// that changed something.
func applied(s *runner.NodeState, r *runner.LogRow) bool {
	return transferRow(r) && (r.Status == "E" || r.Status == "" && r.Index <= s.AppliedIndex) && effective(r.Effect)
}

func transferRow(r *runner.LogRow) bool {
	return (r.Kind == "" || r.Kind == "transfer") && r.Amount != 0
}

// traces are the indexes at which a node's log changes an item for one request
// and does not undo it.
type traces struct {
	indexes []uint64
	row     *runner.LogRow
	// prepared: the change is a P that has neither C nor A.
	prepared bool
}

// tracesOf sorts what s has done to item by request.
func tracesOf(s *runner.NodeState, item int64) map[request]*traces {
	undone, decided := map[uint64]bool{}, map[uint64]bool{}
	for i := range s.Log {
		if r := &s.Log[i]; applied(s, r) {
			undone[r.Seq] = undone[r.Seq] || r.Phase == "A"
			decided[r.Seq] = decided[r.Seq] || r.Phase == "C"
		}
	}
	out := map[request]*traces{}
	for i := range s.Log {
		r := &s.Log[i]
		touches := r.From == item && r.Role != "participant" || r.To == item && r.Role != "coordinator"
		if !applied(s, r) || !touches || r.Phase == "C" || r.Phase == "A" || r.Phase == "P" && undone[r.Seq] {
			continue
		}
		q := request{r.ClientID, r.Timestamp}
		if out[q] == nil {
			out[q] = &traces{row: r}
		}
		out[q].indexes = append(out[q].indexes, r.Index)
		out[q].prepared = r.Phase == "P" && !decided[r.Seq]
	}
	return out
}

// story tells from the node's log which transfer of an item went wrong: what was
// applied twice, not at all, or although it came to nothing. It is empty when the
// log shows no reason, and begins with "; " otherwise.
func (f *facts) story(s *runner.NodeState, item int64) string {
	if !whole(s) {
		return ""
	}
	found := tracesOf(s, item)
	if _, nameless := found[request{}]; nameless {
		return "" // the rows do not say whose they are
	}
	var parts []string
	sent := map[request]bool{}
	for i := range f.set.Calls {
		c := &f.set.Calls[i]
		q := requestOf(c)
		sent[q] = true
		if c.Kind == "read" || c.Command.From != item && c.Command.To != item || !c.Outcome.Definite() {
			continue
		}
		what := fmt.Sprintf("line %d %s", c.Command.Line, c.Command.Text)
		t := found[q]
		switch {
		case t == nil && c.Outcome == runner.Committed && f.isLive(s):
			parts = append(parts, fmt.Sprintf("%s was committed and is not in the log of %s", what, s.ID))
		case t == nil:
		case len(t.indexes) > 1:
			parts = append(parts, fmt.Sprintf("%s was applied %d times on %s, at log indexes %s", what, len(t.indexes), s.ID, joined(t.indexes)))
		case c.Outcome == runner.Committed:
		case t.row.Phase == "P":
			state := "was committed there"
			if t.prepared {
				state = "was never undone there"
			}
			parts = append(parts, fmt.Sprintf("%s came to %s, but its P at log index %d of %s %s%s", what, c.Outcome, t.indexes[0], s.ID, state, f.otherSide(c, s)))
		default:
			parts = append(parts, fmt.Sprintf("%s came to %s, but was applied on %s at log index %d", what, c.Outcome, s.ID, t.indexes[0]))
		}
	}
	if f.set.StartBalances == nil {
		for _, q := range slices.SortedFunc(maps.Keys(found), func(a, b request) int {
			return cmp.Compare(found[a].indexes[0], found[b].indexes[0])
		}) {
			if t := found[q]; !sent[q] {
				parts = append(parts, fmt.Sprintf("the log of %s has (%d, %d, %d) at index %d, which nobody sent", s.ID, t.row.From, t.row.To, t.row.Amount, t.indexes[0]))
			}
		}
	}
	if len(parts) > 3 {
		parts = append(parts[:3], "and more")
	}
	if len(parts) == 0 {
		return ""
	}
	return "; " + strings.Join(parts, "; ")
}

// otherSide says what the other cluster of a cross-shard transfer did with it.
func (f *facts) otherSide(call *runner.Call, s *runner.NodeState) string {
	for _, item := range itemsOf(call) {
		at, ok := f.cluster(item)
		if !ok || f.top.Clusters[at].ID == s.Cluster || f.best[at] == nil || !whole(f.best[at]) {
			continue
		}
		if tracesOf(f.best[at], item)[requestOf(call)] == nil {
			return fmt.Sprintf(", while %s has no effect of it", f.best[at].ID)
		}
		return fmt.Sprintf(", and neither on %s", f.best[at].ID)
	}
	return ""
}

func joined(list []uint64) string {
	words := make([]string, len(list))
	for i, v := range list {
		words[i] = fmt.Sprint(v)
	}
	return strings.Join(words, " and ")
}

// divergence is where the logs of a cluster's live replicas part first.
type divergence struct {
	node  string // the one that differs from most
	index uint64
	text  string // "want …, got …"
}

// diverge compares the logs of a cluster's live replicas as far as all of them
// have applied; false when they do not part, or some do not offer theirs.
func (f *facts) diverge(c int) (d divergence, found bool) {
	replicas := f.asked(c)
	if len(replicas) < 2 {
		return d, false
	}
	from, to := uint64(1), replicas[0].AppliedIndex
	rows := make([]map[uint64]*runner.LogRow, len(replicas))
	for i, s := range replicas {
		if s.LogErr != "" || len(s.Log) == 0 {
			return d, false
		}
		from, to = max(from, s.CheckpointIndex+1), min(to, s.AppliedIndex)
		rows[i] = make(map[uint64]*runner.LogRow, len(s.Log))
		for k := range s.Log {
			rows[i][s.Log[k].Index] = &s.Log[k]
		}
	}
	for index := from; index <= to; index++ {
		texts := make([]string, len(replicas))
		count := map[string]int{}
		for i := range replicas {
			texts[i] = entryText(rows[i][index])
			count[texts[i]]++
		}
		if len(count) == 1 {
			continue
		}
		most := texts[0]
		for _, t := range texts {
			if count[t] > count[most] {
				most = t
			}
		}
		odd := slices.IndexFunc(texts, func(t string) bool { return t != most })
		return divergence{replicas[odd].ID, index, fmt.Sprintf("want %s, got %s", most, texts[odd])}, true
	}
	return d, false
}

// entryText is what a log row does: equal on replicas that agree. Housekeeping,
// which not everybody shows, is nothing.
func entryText(r *runner.LogRow) string {
	if r == nil || !transferRow(r) {
		return "nothing"
	}
	text := fmt.Sprintf("(%d, %d, %d)", r.From, r.To, r.Amount)
	if r.Phase != "" {
		text = r.Phase + " of " + text
	}
	text += fmt.Sprintf(" (seq %d", r.Seq)
	if r.ClientID != 0 {
		text += fmt.Sprintf(", request %x/%d", r.ClientID, r.Timestamp)
	}
	if r.Effect != "" {
		text += ", " + r.Effect
	}
	return text + ")"
}
