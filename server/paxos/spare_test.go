package paxos

import (
	"slices"
	"testing"

	"paxbank/server/ids"
)

const spareAfter = 20 * ms

// spared starts a cluster whose followers that a quorum can do without are sent
// proposals 20 ms after the others, and notes who gets ACCEPT, and when.
func spared(t *testing.T, nodes int) (c *cluster, accepted func(id ids.Node) []ids.Time) {
	c = newCluster(t, nodes, 1)
	c.resize(func(b *Config) { b.SpareAfter, b.TellAfter = spareAfter, 2*ms })
	c.live(true, c.all()...)
	c.settle(c.all()...)
	at := map[ids.Node][]ids.Time{}
	c.trace = func(_, to ids.Node, m Message) {
		if _, ok := m.(*Accept); ok {
			at[to] = append(at[to], c.now)
		}
	}
	return c, func(id ids.Node) []ids.Time { return at[id] }
}

// choose proposes one value and returns how long it takes until it is chosen.
func (c *cluster) choose() ids.Duration {
	c.propose(c.leader(), 1)
	l := c.px(c.leader())
	return c.until("the value chosen", 1000*ms, func() bool { return l.CommitIndex() == l.LastIndex() })
}

// split tells the prompt followers of the leader from the spare ones.
func (c *cluster) split() (prompt, spare []ids.Node) {
	for _, p := range c.px(c.leader()).peers {
		if p.spare {
			spare = append(spare, p.id)
		} else {
			prompt = append(prompt, p.id)
		}
	}
	return prompt, spare
}

// As many followers as make a quorum get every proposal at once, the others less often,
// and all get all of it in time.
func TestSpareFollowersGetProposalsTogether(t *testing.T) {
	for _, nodes := range []int{1, 2, 3, 4, 5, 7} {
		c, accepted := spared(t, nodes)
		const times = 40
		for range times {
			if took := c.choose(); took > 4*ms {
				t.Errorf("%d nodes: %d µs until a value was chosen, want no wait for anybody spare", nodes, took/1000)
			}
			c.run(3 * ms)
		}
		c.run(spareAfter + 5*ms)
		prompt, spare := c.split()
		if len(prompt) != nodes/2 || len(prompt)+len(spare) != nodes-1 {
			t.Fatalf("%d nodes: %v are prompt, %v spare", nodes, prompt, spare)
		}
		for _, id := range prompt {
			if n := len(accepted(id)); n != times {
				t.Errorf("%d nodes: prompt n%d got %d ACCEPTs for %d proposals", nodes, id, n, times)
			}
		}
		for _, id := range spare {
			if n := len(accepted(id)); n < 3 || n > times/3 {
				t.Errorf("%d nodes: spare n%d got %d ACCEPTs for %d proposals", nodes, id, n, times)
			}
		}
		for _, id := range c.all() {
			if got, want := c.px(id).CommitIndex(), c.px(c.leader()).LastIndex(); got != want {
				t.Errorf("%d nodes: n%d knows of %d chosen entries, want %d", nodes, id, got, want)
			}
		}
	}
}

// A prompt follower that does not answer holds up what is proposed meanwhile for
// SpareAfter, once; then another one is prompt.
func TestSilentPromptFollowerIsReplaced(t *testing.T) {
	c, _ := spared(t, 3)
	c.choose()
	c.run(50 * ms)
	prompt, spare := c.split()
	c.drop = func(from, to ids.Node, _ Message) bool { return to == prompt[0] || from == prompt[0] }
	if took := c.choose(); took < spareAfter || took > spareAfter+5*ms {
		t.Errorf("%d ms until a value was chosen without the prompt follower, want about %d", took/ms, spareAfter/ms)
	}
	if took := c.choose(); took > 4*ms {
		t.Errorf("%d ms until the next one was chosen, want no wait", took/ms)
	}
	if now, _ := c.split(); !slices.Equal(now, spare) {
		t.Errorf("%v are prompt, want %v", now, spare)
	}
	// And back, when that one is away and the first one is there again.
	c.drop = nil
	c.settle(c.all()...)
	c.drop = func(from, to ids.Node, _ Message) bool { return to == spare[0] || from == spare[0] }
	c.choose()
	if took := c.choose(); took > 4*ms {
		t.Errorf("%d ms until a value was chosen after the change back, want no wait", took/ms)
	}
	c.drop = nil
	c.settle(c.all()...)
}

// A broken connection is noticed at once.
func TestPromptFollowerWithoutConnectionIsReplaced(t *testing.T) {
	c, _ := spared(t, 5)
	c.choose()
	prompt, _ := c.split()
	c.crash(prompt[0])
	c.run(3 * ms) // the connection breaks
	for range 3 {
		if took := c.choose(); took > 4*ms {
			t.Errorf("%d ms until a value was chosen, want no wait for the node that crashed", took/ms)
		}
	}
	c.start(prompt[0])
	c.live(true, prompt[0])
	c.settle(c.all()...)
}

// A round asks the prompt followers; without their answers also the spare ones.
func TestRoundsOfSpareFollowers(t *testing.T) {
	c, _ := spared(t, 3)
	c.run(50 * ms)
	prompt, _ := c.split()
	asked := map[ids.Node]int{}
	c.trace = func(_, to ids.Node, m Message) {
		if _, ok := m.(*Heartbeat); ok {
			asked[to]++
		}
	}
	leader := c.node(c.leader())
	round := func() ids.Duration {
		served := c.served
		c.ask(leader)
		return c.until("the round confirmed", 200*ms, func() bool { return c.served > served })
	}
	for range 10 {
		if took := round(); took > 2*ms {
			t.Errorf("%d µs for a round, want no wait", took/1000)
		}
	}
	if asked[prompt[0]] != 10 || len(asked) != 1 {
		t.Errorf("10 rounds asked %v, want n%d only", asked, prompt[0])
	}
	c.drop = func(from, to ids.Node, _ Message) bool { return to == prompt[0] || from == prompt[0] }
	if took := round(); took < spareAfter || took > spareAfter+5*ms {
		t.Errorf("%d ms for a round without the prompt follower, want about %d", took/ms, spareAfter/ms)
	}
	if took := round(); took > 2*ms {
		t.Errorf("%d µs for the next round, want no wait", took/1000)
	}
}

// A NEW-VIEW goes to everybody at once: a new leader knows least about who answers.
func TestNewViewSparesNobody(t *testing.T) {
	c, _ := spared(t, 5)
	c.choose()
	got := map[ids.Node]ids.Time{}
	c.trace = func(_, to ids.Node, m Message) {
		if a, ok := m.(*Accept); ok && a.NewView {
			got[to] = c.now
		}
	}
	old := c.leader()
	c.crash(old)
	c.until("another leader", 2000*ms, func() bool { return c.leader() != 0 })
	elected := c.now
	c.run(2 * ms)
	if len(got) != 3 {
		t.Errorf("within 2 ms of the election at %d NEW-VIEW reached %v, want three nodes", elected, got)
	}
	c.start(old)
	c.live(true, old)
	c.settle(c.all()...)
}

// A leader has nothing to do for a spare follower that is gone (seed 60 of the
// simulator: it asked to be woken for it, again and again).
func TestSpareFollowerThatIsGoneNeedsNoTimer(t *testing.T) {
	c, _ := spared(t, 3)
	c.choose()
	_, spare := c.split()
	c.isolate(spare[0], true)
	// There is always something that it lacks, until it counts as gone and after.
	for range 100 {
		c.propose(c.leader(), 1)
		c.run(10 * ms)
	}
	c.isolate(spare[0], false)
	c.settle(c.all()...)
}

// A leader that drops its log sends spare followers first what they lack of it: they
// would need the whole checkpoint otherwise, and be no use to anybody meanwhile.
func TestCheckpointLeavesNoSpareFollowerBehind(t *testing.T) {
	for _, nodes := range []int{3, 5} {
		c, _ := spared(t, nodes)
		c.checkpoint = 50
		for range 500 {
			c.propose(c.leader(), 1)
			c.run(ms)
		}
		c.settle(c.all()...)
		if c.px(c.leader()).Checkpointed() < 400 {
			t.Fatalf("%d nodes: the last checkpoint is of %d", nodes, c.px(c.leader()).Checkpointed())
		}
		if n := c.count["CheckpointChunk"] + c.count["CatchUp"]; n > 0 {
			t.Errorf("%d nodes: %d messages to repair healthy followers", nodes, n)
		}
	}
}

// Of two followers the faster one is prompt, also when the slower one answers before
// the other is asked.
func TestSlowPromptFollowerIsReplaced(t *testing.T) {
	c, _ := spared(t, 3)
	c.choose()
	c.run(50 * ms)
	prompt, spare := c.split()
	slow := c.node(prompt[0])
	late := func(_, to ids.Node, m Message) bool {
		if _, ok := m.(*Accept); !ok || to != slow.id {
			return false
		}
		c.later(8*ids.Time(ms), slow, func() { slow.px.Step(c.now, c.leader(), m) })
		return true
	}
	c.drop = late
	for n := range 6 {
		took := c.choose()
		if n == 0 && took < 8*ms {
			t.Fatalf("%d ms until a value was chosen, the prompt follower is not slow", took/ms)
		}
		if n == 5 && took > 4*ms {
			t.Errorf("%d ms until a value was chosen, want no wait for the slow follower", took/ms)
		}
		c.run(40 * ms)
	}
	if now, _ := c.split(); !slices.Equal(now, spare) {
		t.Errorf("%v are prompt, want %v", now, spare)
	}
}

// A spare follower that has lost something, or may be sent little at a time, gets it
// as soon as its answers show or allow it, not bit by bit every 20 ms.
func TestSpareFollowerIsRepairedAtOnce(t *testing.T) {
	c, _ := spared(t, 3)
	c.bounds.MaxInFlight, c.bounds.MaxFrameEntries = 4, 2
	c.resize(func(*Config) {})
	c.live(true, c.all()...)
	c.settle(c.all()...)
	c.choose()
	c.run(50 * ms)
	_, spare := c.split()
	lost := 0
	c.drop = func(_, to ids.Node, m Message) bool {
		_, ok := m.(*Accept)
		if ok && to == spare[0] && lost < 1 {
			lost++
			return true
		}
		return false
	}
	for range 200 {
		c.propose(c.leader(), 1)
		c.run(ms / 4)
	}
	// 200 entries, four at a time, at about 2 ms a round trip.
	behind := func() bool { return c.px(spare[0]).CommitIndex() < c.px(c.leader()).LastIndex() }
	if took := c.until("the spare follower up to date", 1000*ms, func() bool { return !behind() }); took > 250*ms {
		t.Errorf("%d ms until a spare follower had what it lacked", took/ms)
	}
	if lost != 1 {
		t.Fatalf("%d ACCEPTs were lost", lost)
	}
}

// A NEW-VIEW that does not fit into one frame goes on to everybody as they answer.
func TestNewViewInPartsSparesNobody(t *testing.T) {
	c, _ := spared(t, 5)
	old := c.leader()
	// A tail that nobody knows to be chosen, on all nodes.
	c.drop = func(_, _ ids.Node, m Message) bool {
		_, ok := m.(*Accepted)
		return ok
	}
	c.propose(old, 60)
	c.run(spareAfter + 5*ms)
	for _, id := range c.all() {
		if id != old {
			c.px(id).cfg.MaxFrameEntries, c.px(id).cfg.MaxInFlight = 4, 8
		}
	}
	c.drop = nil
	c.crash(old)
	c.until("another leader", 2000*ms, func() bool { return c.leader() != 0 })
	at := c.now
	var rest []ids.Node
	for _, id := range c.all() {
		if id != old {
			rest = append(rest, id)
		}
	}
	l := c.px(c.leader())
	c.until("the NEW-VIEW everywhere", 1000*ms, func() bool {
		for _, id := range rest {
			if c.px(id).LastIndex() < l.viewLast {
				return false
			}
		}
		return true
	})
	// 61 entries, four a frame and two frames at a time, without a wait for anybody spare.
	if took := ids.Duration(c.now - at); took > 8*2*ms+5*ms {
		t.Errorf("%d ms until everybody had the NEW-VIEW", took/ms)
	}
	c.settle(rest...)
}

// A new leader takes those for prompt that have promised.
func TestWhoHasPromisedIsPrompt(t *testing.T) {
	c := newCluster(t, 5, 1)
	c.resize(func(b *Config) { b.SpareAfter = spareAfter })
	c.isolate(2, true)
	c.isolate(3, true)
	c.live(true, c.all()...)
	c.until("a leader", 2000*ms, func() bool { return c.leader() != 0 })
	if prompt, spare := c.split(); !slices.Equal(prompt, []ids.Node{4, 5}) || !slices.Equal(spare, []ids.Node{2, 3}) {
		t.Errorf("%v are prompt and %v spare at n%d, which only n4 and n5 have promised", prompt, spare, c.leader())
	}
}
