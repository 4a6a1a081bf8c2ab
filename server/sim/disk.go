package sim

import (
	"bytes"
	"slices"

	"paxbank/server/ids"
	"paxbank/server/paxos"
)

// disk is a node's disk. Writes complete in order after a random time. Of those
// that had not completed a crash leaves whatever it likes (crash.go).
type disk struct {
	w      *world
	synced []paxos.Record // survives everything, in write order
	loose  []write        // handed over and not synced, in write order
	free   ids.Time       // when the last write accepted so far completes
	slow   ids.Time       // until then every write takes much longer
	life   int            // grows with every crash: writes of an earlier one never complete

	promised ids.Ballot            // the highest in synced
	last     uint64                // the highest index in synced
	frame    func(r *paxos.Record) // is told of every frame that is synced; may be nil
}

// write is one batch of records.
type write struct {
	number  uint64
	records []paxos.Record
	told    bool // reported as durable already: a sync is to come, or none at all
}

// write hands a batch to the disk; done is called when it is complete. The
// records are copied now: the core reuses its buffers.
func (d *disk) write(number uint64, records []paxos.Record, done func(number uint64)) {
	w := write{number: number, records: make([]paxos.Record, len(records))}
	for i, r := range records {
		r.Data = bytes.Clone(r.Data)
		w.records[i] = r
	}
	// Nothing may be reported ahead of what was written before it.
	lazy := d.w.plan.lazyCommit && onlyCommits(records) && !slices.ContainsFunc(d.loose, func(w write) bool { return !w.told })
	if lazy || d.w.opt.sabotage == sabotageNoSync {
		w.told = true
		d.loose = append(d.loose, w)
		d.w.after(microsecond, func() { done(number) })
		return
	}
	p := &d.w.plan.disk
	latency := p.min + d.w.expo(p.mean)
	if d.w.now < d.slow {
		latency = 20*latency + d.w.upTo(50*millisecond)
	}
	d.loose = append(d.loose, w)
	d.free = max(d.free, d.w.now) + ids.Time(latency)
	life := d.life
	d.w.at(d.free, func() {
		if d.life == life {
			d.sync(number)
			done(number)
		}
	})
}

// sync makes a write durable, and everything before it.
func (d *disk) sync(number uint64) {
	for len(d.loose) > 0 && d.loose[0].number <= number {
		d.store(d.loose[0].records)
		d.loose = d.loose[1:]
	}
}

// store adds a batch to what survives everything.
func (d *disk) store(records []paxos.Record) {
	d.synced = append(d.synced, records...)
	checkpoint := false
	for i := range records {
		r := &records[i]
		switch r.Kind {
		case paxos.RecordPromise, paxos.RecordFrame:
			if d.promised.Less(r.Ballot) {
				d.promised = r.Ballot
			}
			d.last = max(d.last, r.Last)
			if r.Kind == paxos.RecordFrame && d.frame != nil {
				d.frame(r)
			}
		case paxos.RecordCheckpoint:
			d.last = max(d.last, r.Commit)
			checkpoint = true
		}
	}
	if checkpoint {
		d.compact()
	}
}

// compact drops what the last checkpoint has made needless, and records that a
// later one of their kind replaced: as server/storage does.
func (d *disk) compact() {
	var promise, commit, checkpoint int
	var index uint64
	for i := range d.synced {
		switch d.synced[i].Kind {
		case paxos.RecordPromise:
			promise = i
		case paxos.RecordCommit:
			commit = i
		case paxos.RecordCheckpoint:
			checkpoint, index = i, d.synced[i].Commit
		}
	}
	var kept []paxos.Record
	for i, r := range d.synced {
		switch {
		case r.Kind == paxos.RecordFrame && r.Last <= index,
			r.Kind == paxos.RecordPromise && i != promise,
			r.Kind == paxos.RecordCommit && i != commit,
			r.Kind == paxos.RecordCheckpoint && i != checkpoint:
			continue
		}
		kept = append(kept, r)
	}
	d.synced = kept
}

func onlyCommits(records []paxos.Record) bool {
	for i := range records {
		if records[i].Kind != paxos.RecordCommit {
			return false
		}
	}
	return true
}
