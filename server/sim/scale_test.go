package sim

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"reflect"
	"strings"
	"testing"

	"paxbank/server/replica"
)

// oneByte is a size that makes bytes count messages.
func oneByte(any) int { return 1 }

func measure(t *testing.T, o ScaleOptions) Scale {
	t.Helper()
	o.Seed, o.Size = 1, oneByte
	s, err := Measure(o)
	if err != nil {
		t.Fatalf("%d clusters of %d nodes, %d %% across: %v", o.Clusters, o.Nodes, o.CrossPercent, err)
	}
	return s
}

// without returns the counts of one transfer, heartbeats excepted.
func without(counts map[string]uint64, transfers int) map[string]float64 {
	each := map[string]float64{}
	for name, n := range counts {
		each[name] = float64(n) / float64(transfers)
	}
	for _, name := range Heartbeats() {
		delete(each, name)
	}
	return each
}

// TestAloneCostsWhatTheProtocolSays: without batching, every entry is one ACCEPT,
// one ACCEPTED and one COMMIT for every prompt follower, one ACCEPT, which says what
// is chosen, and one ACCEPTED for every spare one, and a sync on every node. An
// intra-shard transfer is one entry; a cross-shard one is P and C on both sides, END,
// and two questions with their answers between the leaders. A spare follower of the
// coordinator gets P and C together, one of the participant gets P alone: C comes
// later there, and END carries what is chosen on the other side only.
func TestAloneCostsWhatTheProtocolSays(t *testing.T) {
	const transfers = 4
	for _, nodes := range []int{1, 2, 3, 5, 7} {
		for _, clusters := range []int{1, 2, 12} {
			for _, cross := range []int{0, 100} {
				if clusters == 1 && cross > 0 {
					continue
				}
				s := measure(t, ScaleOptions{Clusters: clusters, Nodes: nodes, CrossPercent: cross, Alone: transfers, Together: 4})
				l := s.Alone
				logged, spared, told := 1.0, 1.0, 0.0
				messages, entries := map[string]float64{}, map[string]float64{"intra applied": 1}
				latency, wantDelays, wantSyncs := l.Intra, 2, 1
				if cross > 0 {
					logged, spared, told = 5, 4, 1
					entries = map[string]float64{"coordinator P prepared": 1, "coordinator C applied": 1, "END applied": 1,
						"participant P prepared": 1, "participant C applied": 1}
					for _, name := range []string{"PrepareRequest", "PrepareReply", "CommitRequest", "CommitReply"} {
						messages["TwoPC"+name] = 1
					}
					latency, wantDelays, wantSyncs = l.Cross, 6, 3
				}
				prompt := float64(nodes / 2)
				spare := float64(nodes) - 1 - prompt
				if nodes > 1 {
					messages["Accept"] = logged*prompt + spared*spare
					messages["Accepted"] = messages["Accept"]
					messages["Commit"] = logged*prompt + told*spare
					wantDelays += 2 * wantSyncs // to a follower and back, for every entry that is waited for
				}
				name := fmt.Sprintf("%d clusters of %d nodes, %d %% across", clusters, nodes, cross)
				if got := without(l.Messages, transfers); l.Transfers != transfers || !maps.Equal(got, messages) {
					t.Errorf("%s: messages %v in %d transfers, want %v in %d", name, got, l.Transfers, messages, transfers)
				}
				if got := without(l.Entries, transfers); !maps.Equal(got, entries) {
					t.Errorf("%s: entries %v, want %v", name, got, entries)
				}
				if got, want := float64(l.Syncs)/transfers, logged*(1+prompt)+spared*spare; got != want {
					t.Errorf("%s: %g syncs, want %g", name, got, want)
				}
				if got, want := l.Envelopes, Sum(l.Messages, Heartbeats()...); got != want {
					t.Errorf("%s: %d envelopes for %d messages that are alone", name, got, want)
				}
				if delays, syncs := Waits(latency); delays != wantDelays || syncs != wantSyncs {
					t.Errorf("%s: %d delays and %d syncs in a latency of %s, want %d and %d",
						name, delays, syncs, seconds(latency), wantDelays, wantSyncs)
				}
			}
		}
	}
}

// TestCostsDoNotGrowWithTheClusters: neither alone nor together. What grows is how
// many envelopes the messages of two-phase commit need, up to one for each.
func TestCostsDoNotGrowWithTheClusters(t *testing.T) {
	const together = 24
	var first Scale
	for i, clusters := range []int{2, 12, 40} {
		s := measure(t, ScaleOptions{Clusters: clusters, Nodes: 3, CrossPercent: 100, Alone: 4, Together: together, Waves: 1})
		if i == 0 {
			first = s
		}
		a, b := &first.Alone, &s.Alone
		if !reflect.DeepEqual(without(a.Messages, a.Transfers), without(b.Messages, b.Transfers)) ||
			!maps.Equal(a.Entries, b.Entries) || a.Syncs != b.Syncs || a.Envelopes != b.Envelopes {
			t.Errorf("alone among %d clusters: %+v, among 2: %+v", clusters, b.Traffic, a.Traffic)
		}
		l := &s.Together
		messages, entries := without(l.Messages, l.Transfers), without(l.Entries, l.Transfers)
		paxos := messages["Accept"] + messages["Accepted"] + messages["Commit"]
		if l.Transfers != together*clusters || paxos == 0 || paxos > 24/4 {
			t.Errorf("%d of %d transfers together among %d clusters: %g messages of Paxos each, want less than a quarter of 24",
				l.Transfers, together*clusters, clusters, paxos)
		}
		for _, name := range []string{"TwoPCPrepareRequest", "TwoPCPrepareReply", "TwoPCCommitRequest", "TwoPCCommitReply"} {
			if messages[name] != 1 {
				t.Errorf("together among %d clusters: %g messages %s each, want 1", clusters, messages[name], name)
			}
		}
		// Each of the four steps goes to all other clusters, or to one for each transfer
		// when those are fewer.
		want := 4 * min(1, float64(clusters-1)/together)
		if got := float64(l.Envelopes)/float64(l.Transfers) - paxos; math.Abs(got-want) > want/2 {
			t.Errorf("together among %d clusters: %g envelopes of two-phase commit each, want about %g", clusters, got, want)
		}
		if logged := entries["coordinator P prepared"] + entries["coordinator C applied"] + entries["participant P prepared"] +
			entries["participant C applied"]; logged != 4 || entries["END applied"] > 0.25 {
			t.Errorf("together among %d clusters: entries %v each", clusters, entries)
		}
		if s.Idle.Messages["Heartbeat"] != uint64(5*2*clusters) {
			t.Errorf("%d idle clusters send %d heartbeats a second, want 5 to each of 2 followers", clusters, s.Idle.Messages["Heartbeat"])
		}
		if got, want := s.Start.Messages["LeaderAnnouncement"], uint64(clusters*(clusters-1)*3); got != want {
			t.Errorf("%d announcements among %d clusters, want %d: one to every node elsewhere", got, clusters, want)
		}
	}
}

// TestShareOfCrossShard: the wanted share is sent, to all other clusters as often.
func TestShareOfCrossShard(t *testing.T) {
	s := measure(t, ScaleOptions{Clusters: 6, Nodes: 1, CrossPercent: 20, Alone: 10, Together: 25, Waves: 2})
	for _, l := range []Load{s.Alone, s.Together} {
		if got, want := l.Entries["coordinator C applied"], uint64(l.Transfers/5); got != want || l.Entries["intra applied"] != 4*want {
			t.Errorf("%v of %d transfers, want %d cross-shard", l.Entries, l.Transfers, want)
		}
		if l.Intra == 0 || l.Cross <= l.Intra {
			t.Errorf("latencies %s and %s across", seconds(l.Intra), seconds(l.Cross))
		}
		// Five of a wave go to five others, so no two messages share an envelope.
		if got, want := l.Envelopes, Sum(l.Messages); got != want {
			t.Errorf("%d envelopes for %d messages to all clusters alike", got, want)
		}
	}
}

func TestMeasureRepeats(t *testing.T) {
	o := ScaleOptions{Clusters: 3, Nodes: 3, CrossPercent: 20, Alone: 3, Together: 30, Waves: 2}
	if a, b := measure(t, o), measure(t, o); !reflect.DeepEqual(a, b) {
		t.Errorf("one seed, two results:\n%+v\n%+v", a, b)
	}
}

func TestMeasureRefuses(t *testing.T) {
	good := ScaleOptions{Clusters: 1, Nodes: 1, Together: 1, Size: oneByte}
	for _, c := range []struct {
		change func(o *ScaleOptions)
		want   string
	}{
		{func(o *ScaleOptions) { o.Nodes = 0 }, "at least one of each"},
		{func(o *ScaleOptions) { o.Clusters, o.Nodes = 400, 3 }, "at most 1000 nodes"},
		{func(o *ScaleOptions) { o.Clusters, o.CrossPercent = 2, 101 }, "want 0 to 100"},
		{func(o *ScaleOptions) { o.CrossPercent = 1 }, "one cluster"},
		{func(o *ScaleOptions) { o.Together = 0 }, "waves of at least 1"},
		{func(o *ScaleOptions) { o.Size = nil }, "size of a message"},
	} {
		o := good
		c.change(&o)
		if _, err := Measure(o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want an error with %q", o, err, c.want)
		}
	}
}

// TestMeasureChecks: what is measured is a bank that keeps the rules.
func TestMeasureChecks(t *testing.T) {
	o := ScaleOptions{Clusters: 1, Nodes: 3, Alone: 1, Together: 1, Size: oneByte, newCore: lying(func(f *replica.Effects) {
		for i := range f.Sends {
			f.Sends[i].After = 0
		}
	})}
	var f *Failure
	if _, err := Measure(o); !errors.As(err, &f) || f.Invariant != "persist before promise" {
		t.Errorf("got %v, want a failure of %q", err, "persist before promise")
	}
}
