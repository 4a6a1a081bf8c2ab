package paxos

import "paxbank/server/ids"

// addView remembers (a part of) a NEW-VIEW message. Its parts arrive in order,
// some of them again.
func (n *Node) addView(b ids.Ballot, first uint64, part []Entry) {
	var added int
	n.views, added = mergeView(n.views, b, first, part)
	n.viewEntries += added
	n.views[len(n.views)-1].Sent = b.Node == n.self
	n.boundViews()
}

func (n *Node) boundViews() {
	drop := 0
	for len(n.views)-drop > maxViews || n.viewEntries > maxViewEntries && len(n.views)-drop > 1 {
		n.viewEntries -= len(n.views[drop].Entries)
		drop++
	}
	if drop > 0 {
		n.views = append([]View(nil), n.views[drop:]...)
	}
}

// mergeView adds a part to the last view when it is of the same ballot, else it
// begins a new one. It returns how many entries were added.
func mergeView(views []View, b ids.Ballot, viewFirst uint64, part []Entry) ([]View, int) {
	if k := len(views) - 1; k >= 0 && views[k].Ballot == b {
		v := &views[k]
		next := v.FirstIndex
		if len(v.Entries) > 0 {
			next = v.Entries[len(v.Entries)-1].Index + 1
		}
		for len(part) > 0 && part[0].Index < next {
			part = part[1:]
		}
		v.Entries = append(v.Entries, part...)
		return views, len(part)
	}
	v := View{Ballot: b, CommitIndex: viewFirst - 1, Entries: append([]Entry(nil), part...)}
	v.FirstIndex = viewFirst
	if len(part) > 0 {
		v.FirstIndex = part[0].Index
	}
	return append(views, v), len(part)
}

// endsView reports whether a part of the NEW-VIEW of b is the last one. Only the
// VIEW of b ends it: that of an earlier leader is re-proposed like any entry, and
// may stand at the end of a part too.
func endsView(b ids.Ballot, part []Entry) bool {
	last := &part[len(part)-1]
	return last.Kind == KindView && last.Origin == b
}
