package replica

import (
	"paxbank/server/bank"
	"paxbank/server/ids"
	"paxbank/server/paxos"
)

// Status returns the replica's account of itself.
func (r *Replica) Status() Status {
	undo, prepared, decided := r.bank.Counts()
	s := Status{
		Live: r.live, Ready: r.lead.ready, Quorum: r.live && r.px.Quorum(),
		Ballot: r.px.Ballot(), LastIndex: r.px.LastIndex(), CommitIndex: r.px.CommitIndex(), Applied: r.bank.Applied(),
		Requests: len(r.lead.requests) + len(r.lead.reads), Locks: r.lead.locks.Held(),
		UndoRecords: undo, Prepared: prepared, Decided: decided,
		Checksum: r.bank.Checksum(), Elections: r.px.Elections(),
	}
	if r.live {
		s.Leader = r.px.Leader()
	}
	s.Quiet = s.Requests == 0 && s.Applied == s.CommitIndex && r.px.Settled() &&
		len(r.lead.ends) == 0 && r.lead.ending == 0
	return s
}

// Balance returns this replica's balance of item, undecided changes included.
func (r *Replica) Balance(item int64) (int64, bool) { return r.bank.Balance(item) }

// Balances returns the items that were ever modified, or all, in order.
func (r *Replica) Balances(all bool) []ItemBalance {
	var items []ItemBalance
	r.bank.Each(func(item, balance int64, modified bool) {
		if all || modified {
			items = append(items, ItemBalance{item, balance})
		}
	})
	return items
}

// row shows one entry of the log.
func (r *Replica) row(e *paxos.Entry) LogRow {
	row := LogRow{Index: e.Index, Ballot: e.Ballot, Origin: e.Origin, Kind: e.Kind, Status: "A"}
	if e.Kind == paxos.KindApp {
		if err := row.Entry.Decode(e.Index, e.Origin, e.Data); err != nil {
			row.Status = "X"
			return row
		}
	}
	switch {
	case e.Index <= r.bank.Applied():
		row.Status = "E"
		if e.Index >= r.effectsFrom {
			row.Effect = r.effects[e.Index-r.effectsFrom]
		}
	case e.Index <= r.px.CommitIndex():
		row.Status = "C"
	}
	return row
}

// Log returns the entries that are held from an index on, and the index of the
// checkpoint before them. NO-OP, VIEW and END entries only on demand.
func (r *Replica) Log(from uint64, housekeeping bool) (rows []LogRow, checkpoint uint64) {
	for _, e := range r.px.Entries(from) {
		row := r.row(&e)
		if housekeeping || e.Kind == paxos.KindApp && row.Entry.Kind != bank.KindEnd {
			rows = append(rows, row)
		}
	}
	return rows, r.px.Checkpointed()
}

// Views returns the NEW-VIEW messages sent or received, oldest first.
func (r *Replica) Views() []ViewRow {
	var views []ViewRow
	for _, v := range r.px.Views() {
		row := ViewRow{Ballot: v.Ballot, FirstIndex: v.FirstIndex, CommitIndex: v.CommitIndex, Sent: v.Sent}
		for i := range v.Entries {
			row.Entries = append(row.Entries, r.row(&v.Entries[i]))
		}
		views = append(views, row)
	}
	return views
}

// Locks returns the held locks by item; only a leader has any.
func (r *Replica) Locks() []LockRow {
	locks, waiters := r.lead.locks.All()
	rows := make([]LockRow, 0, len(locks))
	for i, l := range locks {
		rows = append(rows, LockRow{Item: l.Item, Txn: l.Txn, Since: l.Since, Waiters: waiters[i]})
	}
	return rows
}

// Timelines returns the measured lives of the attempts of one request that this
// node still remembers, oldest first.
func (r *Replica) Timelines(req ids.Request) []Timeline {
	var found []Timeline
	for _, t := range r.timelines {
		if t.Txn.Request == req {
			found = append(found, *t)
		}
	}
	return found
}

// Counters returns the counters since the replica was made.
func (r *Replica) Counters() *Counters { return &r.counters }
