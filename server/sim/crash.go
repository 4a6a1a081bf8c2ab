package sim

import (
	"bytes"

	"paxbank/server/paxos"
)

// What a crash leaves of the writes that were not synced, and what a node that
// starts again makes of it.

// remnant is what a crash left of a write: its records in their places.
type remnant []sector

// sector is the place of one record.
type sector struct {
	record  paxos.Record // as it is found
	sum     uint64       // of the record as it was meant
	missing bool         // nothing of it got there
}

func (s *sector) torn() bool { return !s.missing && sumOf(&s.record) != s.sum }

// whole reports whether every record of the write is there and undamaged.
func (r remnant) whole() bool {
	for i := range r {
		if r[i].missing || r[i].torn() {
			return false
		}
	}
	return true
}

// recovered returns the writes that a restarted node gets to see. It reads them
// as server/storage does with Pebble's log: a batch with all its records or not
// at all, and nothing from the first on that is missing or damaged. (There a
// write begins only when the one before is on disk, so nothing whole can stand
// behind a hole, and a directory in which it does is refused. Here several may
// be under way, so it can.)
func recovered(left []remnant) []remnant {
	for i := range left {
		if !left[i].whole() {
			return left[:i]
		}
	}
	return left
}

// crash takes away what was not synced: all of it, or any subset of its records,
// some of them damaged. What is synced stays.
func (d *disk) crash() {
	left := d.remains()
	kept := recovered(left)
	d.countCrash(left, len(kept))
	for _, r := range kept {
		records := make([]paxos.Record, len(r))
		for i := range r {
			records[i] = r[i].record
		}
		d.store(records)
	}
	d.loose, d.free = nil, 0
	d.life++
}

// remains decides what is left of every write that was not synced.
func (d *disk) remains() []remnant {
	w := d.w
	arrives := 0.0 // the chance of a record to be there
	if w.opt.sabotage == sabotageNone && !w.chance(0.25) {
		arrives = oneOf(w.rng, 0.3, 0.8, 0.95, 1)
	}
	left := make([]remnant, len(d.loose))
	for i := range d.loose {
		for _, r := range d.loose[i].records {
			s := sector{record: r, sum: sumOf(&r)}
			switch {
			case w.chance(arrives):
			case arrives > 0 && w.chance(0.5):
				garble(w, &s.record)
			default:
				s.missing = true
			}
			left[i] = append(left[i], s)
		}
	}
	return left
}

// garble damages a record: its end is cut off, or a bit is wrong.
func garble(w *world, r *paxos.Record) {
	switch {
	case len(r.Data) > 0 && w.chance(0.5):
		r.Data = r.Data[:w.rng.IntN(len(r.Data))]
	case len(r.Data) > 0:
		r.Data = bytes.Clone(r.Data)
		r.Data[w.rng.IntN(len(r.Data))] ^= 1 << w.rng.IntN(8)
	case r.Kind == paxos.RecordCommit:
		r.Commit ^= 1 << w.rng.IntN(64)
	default:
		r.Ballot.Counter ^= 1 << w.rng.IntN(64)
	}
}

// sumOf stands for the checksum that a record has on disk.
func sumOf(r *paxos.Record) uint64 {
	h := mixBallot(uint64(r.Kind), r.Ballot)
	for _, v := range [...]uint64{r.First, r.Last, r.ViewFirst, r.Commit} {
		h = mix(h, v)
	}
	if r.NewView {
		h = mix(h, 1)
	}
	return mixBytes(h, r.Data)
}

// The fates of unsynced writes that a campaign has to meet.
const (
	crashIdle   = "a crash with nothing unsynced"
	crashKept   = "a crash that lost nothing"
	crashTail   = "a crash that lost the tail"
	crashMiddle = "a crash that lost a write in the middle"
	crashPart   = "a crash that lost a part of a write"
	crashTorn   = "a crash that tore a record"
)

var crashFates = []string{crashIdle, crashKept, crashTail, crashMiddle, crashPart, crashTorn}

// countCrash counts what became of the writes, of which the first few were kept.
func (d *disk) countCrash(left []remnant, kept int) {
	count := func(name string, happened bool) {
		if happened {
			d.w.cov.add("disk", name)
		}
	}
	lost := left[kept:]
	behind, torn, part := false, false, false
	for i, r := range lost {
		behind = behind || i > 0 && r.whole()
		missing := 0
		for j := range r {
			torn = torn || r[j].torn()
			if r[j].missing {
				missing++
			}
		}
		part = part || missing > 0 && missing < len(r)
	}
	count(crashIdle, len(left) == 0)
	count(crashKept, len(left) > 0 && len(lost) == 0)
	count(crashTail, len(lost) > 0 && !behind)
	count(crashMiddle, behind)
	count(crashPart, part)
	count(crashTorn, torn)
}
