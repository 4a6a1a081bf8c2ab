package replica

import (
	"testing"

	"paxbank/internal/topology"
	"paxbank/server/ids"
	"paxbank/server/paxos"
)

// BenchmarkSubmit is what a leader without followers does for 64 transfers within
// its cluster that arrive together, from admission to answer; divide by 64 for
// the cost of one.
func BenchmarkSubmit(b *testing.B) {
	topo, err := topology.Uniform(1, 1, 9000, 1_000_000_000)
	if err != nil {
		b.Fatal(err)
	}
	r, err := New(Config{Topology: topo, Self: 1, Epoch: 1, Limits: DefaultLimits(), Seed: 1}, paxos.Stable{}, 1)
	if err != nil {
		b.Fatal(err)
	}
	now := ids.Time(1)
	step := func(events ...Event) int {
		answers := 0
		for {
			now++
			r.Step(now, events)
			f := r.Effects()
			if answers += len(f.Answers); f.Write == 0 {
				return answers
			}
			events = []Event{{Kind: EventDurable, Write: f.Write}}
		}
	}
	step(Event{Kind: EventSetLive, Live: true})
	events := make([]Event, 64)
	next := uint64(0)
	b.ReportAllocs()
	for b.Loop() {
		for i := range events {
			next++
			from := int64(next%9000) + 1
			events[i] = Event{Kind: EventSubmit, Call: next, Request: ids.Request{Client: 1, Timestamp: next}, DoneBelow: next,
				Transfer: ids.Transfer{From: from, To: from%9000 + 1, Amount: 1}, Deadline: now + ids.Time(Second)}
		}
		if n := step(events...); n != len(events) {
			b.Fatalf("%d of %d transfers were answered", n, len(events))
		}
	}
}
