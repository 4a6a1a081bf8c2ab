package paxos

import (
	"fmt"
	"reflect"
	"testing"

	"paxbank/server/ids"
)

func TestLowestLiveNodeLeadsFirst(t *testing.T) {
	cases := []struct {
		size int
		live []ids.Node // in the order in which they go live
	}{
		{3, []ids.Node{1, 2, 3}},
		{3, []ids.Node{3, 2, 1}},
		{3, []ids.Node{3, 2}},
		{3, []ids.Node{3, 1}},
		{5, []ids.Node{5, 4, 3, 2, 1}},
		{5, []ids.Node{5, 2, 4}},
		{1, []ids.Node{1}},
		{2, []ids.Node{2, 1}},
	}
	for _, tc := range cases {
		for seed := range uint64(20) {
			c := newCluster(t, tc.size, seed)
			lowest := tc.live[0]
			for _, id := range tc.live {
				c.live(true, id)
				c.run(ids.Duration(c.rng.Int64N(int64(20 * ms))))
				lowest = min(lowest, id)
			}
			c.until("a leader", 1000*ms, func() bool { return c.leader() != 0 })
			c.settle(tc.live...)
			if got := c.leader(); got != lowest {
				c.fatalf("of %v n%d leads, not the lowest", tc.live, got)
			}
			c.run(3000 * ms)
			if total := len(c.leaders); total != 1 {
				c.fatalf("of %v: %d ballots led, one would do", tc.live, total)
			}
		}
	}
}

// started is a cluster whose first leader, n1, has chosen some entries.
func started(t *testing.T, size int, seed uint64) *cluster {
	t.Helper()
	c := newCluster(t, size, seed)
	c.live(true, c.all()...)
	c.until("a leader", 1000*ms, func() bool { return c.leader() != 0 })
	c.propose(c.leader(), 10)
	c.settle(c.all()...)
	return c
}

func TestKilledLeaderIsReplacedFast(t *testing.T) {
	for seed := range uint64(30) {
		c := started(t, 3, seed)
		c.crash(1)
		took := c.until("another leader", 300*ms, func() bool { return c.leader() > 1 })
		took += c.settle(2, 3)
		if took > 300*ms {
			c.fatalf("the killed leader was replaced after %d ms", took/ms)
		}
		// And it comes back as a follower, without any election.
		elections := len(c.leaders)
		c.start(1)
		c.live(true, 1)
		c.propose(c.leader(), 5)
		if took := c.settle(1, 2, 3); took > 150*ms {
			c.fatalf("the returned node was repaired after %d ms", took/ms)
		}
		if len(c.leaders) != elections {
			c.fatalf("its return caused an election")
		}
	}
}

func TestPausedLeaderIsReplacedAndStepsDown(t *testing.T) {
	for seed := range uint64(30) {
		c := started(t, 3, seed)
		c.isolate(1, true)
		c.propose(1, 3) // to itself only
		took := c.until("another leader", 900*ms, func() bool { return c.leader() > 1 })
		if took < 300*ms {
			c.fatalf("a leader was deposed after %d ms of silence", took/ms)
		}
		c.until("the old leader to step down", 600*ms, func() bool { return !c.px(1).IsLeader() })
		if c.px(1).Leader() != 0 || c.px(1).Quorum() {
			c.fatalf("alone, n1 still believes in a leader or a quorum")
		}
		c.propose(c.leader(), 1)
		c.settle(2, 3)
		elections := len(c.leaders)
		c.isolate(1, false)
		c.settle(1, 2, 3)
		if len(c.leaders) != elections {
			c.fatalf("the old leader's return caused an election")
		}
		if got, want := describeEntries(c.px(1).Entries(1), false), describeEntries(c.px(2).Entries(1), false); got != want {
			c.fatalf("n1's log is\n%s, n2's\n%s", got, want)
		}
	}
}

func TestFollowerRejoinsWithoutElection(t *testing.T) {
	for seed := range uint64(4) {
		c := started(t, 3, seed)
		c.live(false, 3)
		for range 20 {
			c.propose(1, 500)
			c.run(100 * ms)
		}
		before := c.count["Prepare"]
		c.live(true, 3)
		if took := c.settle(1, 2, 3); took > 300*ms {
			c.fatalf("n3 was repaired after %d ms", took/ms)
		}
		c.run(2000 * ms)
		if c.count["Prepare"] != before || len(c.leaders) != 1 {
			c.fatalf("the return of a follower caused an election")
		}
	}
}

func TestNodeBehindTheViewGetsCatchUp(t *testing.T) {
	for seed := range uint64(4) {
		c := started(t, 3, seed)
		c.live(false, 3)
		c.propose(1, 9000) // more than two messages hold
		c.settle(1, 2)
		c.live(false, 1)
		c.live(true, 3)
		c.until("n2 or n3 to lead", 2000*ms, func() bool { return c.leader() > 1 })
		c.settle(2, 3)
		if c.leader() == 2 && c.count["CatchUp"] < 3 {
			c.fatalf("n3 was brought up to date by %d CATCH-UP messages", c.count["CatchUp"])
		}
		if c.count["CheckpointChunk"] != 0 {
			c.fatalf("a checkpoint was sent, there is none")
		}
	}
}

func TestCandidateFetchesWhatIsChosen(t *testing.T) {
	for _, checkpoint := range []uint64{0, 1000} {
		t.Run(fmt.Sprint("checkpoint every ", checkpoint), func(t *testing.T) {
			c := newCluster(t, 3, 1)
			c.checkpoint = checkpoint
			c.live(true, 1, 2, 3)
			c.until("a leader", 1000*ms, func() bool { return c.leader() != 0 })
			c.live(false, 3)
			for range 12 {
				c.propose(1, 1000)
				c.run(20 * ms)
			}
			c.settle(1, 2)
			// n2, which has everything, is not able to campaign.
			c.drop = func(from, to ids.Node, m Message) bool {
				_, campaigns := m.(*PreVote)
				return campaigns && from == 2
			}
			c.live(false, 1)
			c.live(true, 3)
			c.until("n3 to lead", 3000*ms, func() bool { return c.leader() == 3 })
			c.settle(2, 3)
			if c.count["Fetch"] == 0 || checkpoint == 0 && c.count["CatchUp"] < 3 || checkpoint != 0 && c.count["CheckpointChunk"] == 0 {
				c.fatalf("n3 leads without having asked for what is chosen: %v", c.count)
			}
		})
	}
}

func TestCheckpointTransfer(t *testing.T) {
	for seed := range uint64(6) {
		c := newCluster(t, 3, seed)
		c.checkpoint = 700
		c.live(true, 1, 2, 3)
		c.until("a leader", 1000*ms, func() bool { return c.leader() != 0 })
		c.live(false, 3)
		for range 5 {
			c.propose(1, 1000)
			c.run(50 * ms)
		}
		lossy := seed%3 == 1
		if lossy {
			c.loss, c.dup = 0.2, 0.2
		}
		c.live(true, 3)
		if seed%3 == 2 { // and the checkpoint changes on the way
			for range 10 {
				c.run(ms)
				c.propose(1, 300)
			}
		}
		took := c.settle(1, 2, 3)
		if !lossy && took > 500*ms {
			c.fatalf("the checkpoint took %d ms", took/ms)
		}
		if c.count["CheckpointChunk"] == 0 || c.px(3).FirstIndex() == 1 {
			c.fatalf("n3 got no checkpoint")
		}
		// It is on n3's disk, and is enough to go on from.
		base := c.px(3).Checkpointed()
		c.loss, c.dup = 0, 0
		c.crash(3)
		c.start(3)
		if got := c.node(3).applied; got < base || c.px(3).Checkpointed() != base {
			c.fatalf("after a restart n3 has applied %d on a checkpoint of %d, had one of %d", got, c.px(3).Checkpointed(), base)
		}
		c.live(true, 3)
		c.settle(1, 2, 3)
	}
}

func TestDuellingCandidates(t *testing.T) {
	for seed := range uint64(100) {
		size := 3 + 2*int(seed%2)
		c := started(t, size, seed)
		for _, s := range c.nodes { // all at once, past the pre-vote
			c.later(0, s, func() {
				n := s.px
				n.follow(c.now)
				n.ballot = ids.Ballot{Counter: n.promised.Counter + 1, Node: n.self}
				n.prepare(c.now)
			})
		}
		c.run(ms / 10)
		c.until("one leader", 1500*ms, func() bool { return c.leader() != 0 })
		c.settle(c.all()...)
		c.propose(c.leader(), 3)
		c.settle(c.all()...)
	}
}

func TestLeaderRefusedByHigherPromiseLeadsAboveIt(t *testing.T) {
	for seed := range uint64(20) {
		c := started(t, 3, seed)
		// n3 promises a candidate of which nothing is heard again.
		c.later(0, c.node(3), func() {
			c.px(3).Step(c.now, 2, &Prepare{Ballot: ids.Ballot{Counter: 9, Node: 2}, FirstIndex: 1})
		})
		c.run(ms)
		c.propose(1, 1)
		took := c.until("n1 to lead above 9.n2", 300*ms, func() bool {
			return c.leader() != 0 && c.px(c.leader()).Ballot().Counter > 9
		})
		if c.leader() != 1 {
			c.fatalf("n%d leads after %d ms, n1 did nothing wrong", c.leader(), took/ms)
		}
		c.settle(1, 2, 3)
	}
}

func TestBrokenConnectionAloneDeposesNobody(t *testing.T) {
	c := started(t, 3, 3)
	for range 20 {
		c.later(0, c.node(2), func() { c.px(2).PeerReset(c.now, 1) })
		c.later(0, c.node(1), func() { c.px(1).PeerReset(c.now, 2) })
		c.run(ids.Duration(c.rng.Int64N(int64(200 * ms))))
		c.propose(1, 1)
	}
	c.settle(1, 2, 3)
	if len(c.leaders) != 1 {
		c.fatalf("%d ballots led", len(c.leaders))
	}
}

func TestLostMessagesAreSentAgain(t *testing.T) {
	c := started(t, 3, 4)
	lost := 0
	c.drop = func(from, to ids.Node, m Message) bool {
		if a, ok := m.(*Accept); ok && to == 3 && lost < 5 && a.FirstIndex > 11 {
			lost++
			return true
		}
		return false
	}
	for range 10 {
		c.propose(1, 100)
		c.run(ms)
	}
	if took := c.settle(1, 2, 3); took > 200*ms || lost != 5 {
		c.fatalf("%d lost messages were repaired after %d ms", lost, took/ms)
	}
	// A gap is repaired once, not by each answer that shows it.
	if got := c.count["Accept"]; got > 60 {
		c.fatalf("%d ACCEPT messages for 10 proposals to two followers", got)
	}
}

func TestSilentFollowerCostsNothing(t *testing.T) {
	c := started(t, 3, 5)
	sent := 0
	c.drop = func(from, to ids.Node, m Message) bool {
		if a, ok := m.(*Accept); ok && to == 3 {
			list, _ := DecodeEntries(a.FirstIndex, a.Ballot, a.Entries)
			sent += len(list)
		}
		return from == 3 || to == 3
	}
	for range 20 {
		c.propose(1, 2000)
		c.run(3 * ms)
	}
	if sent == 0 || sent > int(usual.MaxInFlight+2*usual.MaxFrameEntries) {
		c.fatalf("%d entries were sent to a follower that never answered, the limit is %d", sent, usual.MaxInFlight)
	}
	c.run(500 * ms)
	before := sent
	c.propose(1, 1000)
	c.run(100 * ms)
	if sent != before {
		c.fatalf("entries are sent to a silent follower")
	}
	c.drop = nil
	c.settle(1, 2, 3)
}

func TestLargeNewViewIsSplitAndRecordedWhole(t *testing.T) {
	c := started(t, 3, 6)
	c.drop = func(from, to ids.Node, m Message) bool { // nothing more gets chosen
		_, acks := m.(*Accepted)
		_, beats := m.(*HeartbeatReply)
		return to == 1 && (acks || beats)
	}
	c.propose(1, 10_000)
	c.run(20 * ms)
	c.drop = nil
	c.crash(1)
	c.until("another leader", 500*ms, func() bool { return c.leader() > 1 })
	c.settle(2, 3)
	c.start(1)
	c.live(true, 1)
	c.settle(1, 2, 3)
	l := c.leader()
	want := View{Ballot: c.px(l).Ballot(), FirstIndex: 12, CommitIndex: 11}
	for _, id := range c.all() {
		views := c.px(id).Views()
		v := views[len(views)-1]
		if v.Ballot != want.Ballot || v.FirstIndex != want.FirstIndex || v.CommitIndex != want.CommitIndex || v.Sent != (id == l) {
			c.fatalf("n%d recorded the view %s from %d, commit %d, sent %v", id, v.Ballot, v.FirstIndex, v.CommitIndex, v.Sent)
		}
		if len(v.Entries) != 10_001 || v.Entries[10_000].Kind != KindView || string(v.Entries[9_999].Data) != "v10010" {
			c.fatalf("n%d recorded a NEW-VIEW of %d entries", id, len(v.Entries))
		}
	}
	// The disk remembers the same.
	before := c.px(3).Views()
	c.crash(3)
	c.start(3)
	if after := c.px(3).Views(); !reflect.DeepEqual(before, after) {
		c.fatalf("%d views before a restart, after it %d, or they differ", len(before), len(after))
	}
}

func TestIdleClusterOnlyBeats(t *testing.T) {
	c := started(t, 3, 7)
	clear(c.count)
	c.run(10_000 * ms)
	if got := c.count["Heartbeat"]; got < 190 || got > 210 || len(c.count) != 2 {
		c.fatalf("ten idle seconds: %v, want 200 heartbeats and their replies", c.count)
	}
}

func TestAllNodesCrashAtOnce(t *testing.T) {
	for seed := range uint64(20) {
		c := started(t, 3, seed)
		applied := c.node(1).applied
		c.propose(1, 50)
		c.run(ids.Duration(c.rng.Int64N(int64(5 * ms))))
		most := max(c.node(1).applied, c.node(2).applied, c.node(3).applied)
		for _, id := range c.all() {
			c.crash(id)
		}
		for _, id := range c.all() {
			c.start(id)
		}
		c.live(true, c.all()...)
		c.until("a leader", 3000*ms, func() bool { return c.leader() != 0 })
		c.settle(c.all()...)
		if got := c.node(1).applied; got < most || most < applied {
			c.fatalf("%d were chosen before the crash, %d after", most, got)
		}
	}
}

func TestQuorumIsKnown(t *testing.T) {
	c := newCluster(t, 3, 8)
	c.live(true, 2)
	c.run(2000 * ms)
	if c.px(2).Quorum() {
		c.fatalf("one of three believes in a quorum")
	}
	c.live(true, 3)
	c.until("both to know of the quorum", 1000*ms, func() bool { return c.px(2).Quorum() && c.px(3).Quorum() })
	c.settle(2, 3)
	l := c.leader()
	c.live(false, l)
	if c.px(l).Quorum() {
		c.fatalf("a disconnected node believes in a quorum")
	}
	c.until("the other to know that the quorum is gone", 1500*ms, func() bool { return !c.px(5-l).Quorum() && c.px(5-l).Leader() == 0 })
}
