package sim

import (
	"maps"
	"slices"
	"strings"

	"paxbank/server/ids"
	"paxbank/server/paxos"
	"paxbank/server/replica"
)

// Traffic is what nodes sent to each other and wrote.
type Traffic struct {
	// Messages and their Bytes by name, as the trace calls them.
	Messages, Bytes map[string]uint64
	// Envelopes, heartbeats excepted, if what one step of a node sends to another travels in one. Real
	// nodes also put together what waits for a busy connection.
	Envelopes uint64
	// Entries that were chosen for the bank, by kind and effect. One counts once,
	// however many replicas there are.
	Entries map[string]uint64
	// Syncs are those of records with log entries, on all nodes together. What a node
	// wants written while its disk is busy shares the next one, as in server/service;
	// the simulated disks do that one after the other, so only the count knows.
	Syncs uint64
	// CommitSyncs are those of a commit index and nothing else, which nobody waits
	// for.
	CommitSyncs uint64
}

func newTraffic() Traffic {
	return Traffic{Messages: map[string]uint64{}, Bytes: map[string]uint64{}, Entries: map[string]uint64{}}
}

// Sum adds up one of the maps of a Traffic, without the names that are left out.
func Sum(counts map[string]uint64, without ...string) uint64 {
	sum := uint64(0)
	for _, n := range counts {
		sum += n
	}
	for _, name := range without {
		sum -= counts[name]
	}
	return sum
}

// Heartbeats are the names of the messages that an idle bank sends too.
func Heartbeats() []string { return []string{"Heartbeat", "HeartbeatReply"} }

func (t Traffic) clone() Traffic {
	t.Messages, t.Bytes, t.Entries = maps.Clone(t.Messages), maps.Clone(t.Bytes), maps.Clone(t.Entries)
	return t
}

// since is what was added after before.
func (t Traffic) since(before Traffic) Traffic {
	d := t.clone()
	for _, m := range [][2]map[string]uint64{{d.Messages, before.Messages}, {d.Bytes, before.Bytes}, {d.Entries, before.Entries}} {
		for name := range m[0] {
			if m[0][name] -= m[1][name]; m[0][name] == 0 {
				delete(m[0], name)
			}
		}
	}
	d.Envelopes -= before.Envelopes
	d.Syncs -= before.Syncs
	d.CommitSyncs -= before.CommitSyncs
	return d
}

// over is the share of one of n equal parts of the time.
func (t Traffic) over(n ids.Duration) Traffic {
	d := t.clone()
	for _, m := range []map[string]uint64{d.Messages, d.Bytes, d.Entries} {
		for name := range m {
			m[name] /= uint64(n)
		}
	}
	d.Envelopes /= uint64(n)
	d.Syncs /= uint64(n)
	d.CommitSyncs /= uint64(n)
	return d
}

// during is the traffic while do runs.
func (s *scaleRun) during(do func()) Traffic {
	before := s.now()
	do()
	return s.now().since(before)
}

// now is the traffic since the start. Entries come from the coverage, which counts
// whoever applies one first.
func (s *scaleRun) now() Traffic {
	t := s.traffic.clone()
	for name, n := range s.w.cov {
		if entry, ok := strings.CutPrefix(name, "entry: "); ok {
			t.Entries[entry] = n
		}
	}
	return t
}

// envelope is what may travel together: to one node, after one write.
type envelope struct {
	to    ids.Node
	after uint64
}

// metered is a replica whose effects are counted. Nothing is lost without faults, so
// what it wants sent is sent.
type metered struct {
	core
	s *scaleRun
	// busy is how long the sync under way takes, or the last one took, and gathers
	// whether another one follows it.
	busy    ids.Time
	gathers bool
}

func (s *scaleRun) newCore(cfg replica.Config, st paxos.Stable, now ids.Time) (core, error) {
	c, err := s.opt.newCore(cfg, st, now)
	if err != nil {
		return nil, err
	}
	return &metered{core: c, s: s}, nil
}

func (m *metered) Effects() *replica.Effects {
	f := m.core.Effects()
	t := &m.s.traffic
	clear(m.s.together)
	for i := range f.Sends {
		send := &f.Sends[i]
		name := nameOf(send.Message)
		t.Messages[name]++
		t.Bytes[name] += uint64(m.s.opt.Size(send.Message))
		if !slices.Contains(Heartbeats(), name) {
			m.s.together[envelope{send.To, send.After}] = true
		}
	}
	t.Envelopes += uint64(len(m.s.together))
	switch {
	case len(f.Records) == 0:
	case onlyCommits(f.Records):
		t.CommitSyncs++
	case m.sync(m.s.w.now):
		t.Syncs++
	}
	return f
}

// sync reports whether a write takes a sync of its own, and is not the next of those
// that gather for one.
func (m *metered) sync(now ids.Time) bool {
	if m.gathers && now >= m.busy {
		m.busy, m.gathers = m.busy+ids.Time(ScaleSync), false // the one that followed
	}
	switch {
	case now >= m.busy:
		m.busy = now + ids.Time(ScaleSync)
		return true
	case m.gathers:
		return false
	}
	m.gathers = true
	return true
}
