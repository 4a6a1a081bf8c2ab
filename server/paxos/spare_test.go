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

// chosen proposes one value and returns how long it takes until it is chosen.
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
	for _, nodes := range []int{3, 4, 5, 7} {
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
	c.choose()
	for range 100 {
		c.run(10 * ms)
		if w := c.px(c.leader()).Wake(); w != 0 && w < c.now {
			t.Fatalf("wants to be woken %d µs ago", (c.now-w)/1000)
		}
	}
	c.choose()
	c.isolate(spare[0], false)
	c.settle(c.all()...)
}
