package sim

import (
	"bytes"

	"paxbank/server/ids"
	"paxbank/server/paxos"
)

// disk is a node's disk. Writes complete in order after a random time; a crash
// loses what was not complete, except that a part of it may have reached the
// platter without anybody hearing of it.
type disk struct {
	w       *world
	synced  []paxos.Record // survives everything, in write order
	loose   []paxos.Record // reported as written but not synced: a crash may lose it
	pending []write
	free    ids.Time // when the last write accepted so far completes
	slow    ids.Time // until then every write takes much longer

	promised ids.Ballot // the highest in synced
	last     uint64     // the highest index in synced
}

type write struct {
	number  uint64
	records []paxos.Record
}

// write hands a batch to the disk; done is called when it is complete. The
// records are copied now: the core reuses its buffers.
func (d *disk) write(number uint64, records []paxos.Record, done func(number uint64)) {
	copied := make([]paxos.Record, len(records))
	for i, r := range records {
		r.Data = bytes.Clone(r.Data)
		copied[i] = r
	}
	if d.w.opt.sabotage == sabotageNoSync {
		d.loose = append(d.loose, copied...)
		d.w.after(microsecond, func() { done(number) })
		return
	}
	if d.w.plan.lazyCommit && len(d.pending) == 0 && onlyCommits(copied) {
		d.loose = append(d.loose, copied...)
		d.w.after(microsecond, func() { done(number) })
		return
	}
	p := &d.w.plan.disk
	latency := p.min + d.w.expo(p.mean)
	if d.w.now < d.slow {
		latency = 20*latency + d.w.upTo(50*millisecond)
	}
	d.pending = append(d.pending, write{number, copied})
	d.free = max(d.free, d.w.now) + ids.Time(latency)
	d.w.at(d.free, func() {
		// A crash empties pending; then this write never completed.
		if len(d.pending) == 0 || d.pending[0].number != number {
			return
		}
		d.complete(d.pending[0].records)
		d.pending = d.pending[1:]
		done(number)
	})
}

// complete makes records durable, and everything loose before them.
func (d *disk) complete(records []paxos.Record) {
	d.synced = append(append(d.synced, d.loose...), records...)
	d.loose = nil
	checkpoint := false
	for i := range records {
		r := &records[i]
		switch r.Kind {
		case paxos.RecordPromise, paxos.RecordFrame:
			if d.promised.Less(r.Ballot) {
				d.promised = r.Ballot
			}
			d.last = max(d.last, r.Last)
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

// crash loses what was not synced. Half of the time a random part of it, in the
// order of writing, had reached the disk all the same.
func (d *disk) crash() {
	if d.w.opt.sabotage == sabotageNone && d.w.chance(0.5) {
		keep := d.w.rng.IntN(len(d.loose) + 1)
		lost := keep < len(d.loose)
		d.synced = append(d.synced, d.loose[:keep]...)
		d.loose = nil
		if !lost && len(d.pending) > 0 {
			for _, p := range d.pending[:d.w.rng.IntN(len(d.pending)+1)] {
				d.complete(p.records)
			}
		}
	}
	d.loose, d.pending, d.free = nil, nil, 0
}

func onlyCommits(records []paxos.Record) bool {
	for i := range records {
		if records[i].Kind != paxos.RecordCommit {
			return false
		}
	}
	return true
}
