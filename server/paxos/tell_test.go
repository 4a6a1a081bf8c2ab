package paxos

import (
	"testing"

	"paxbank/server/ids"
)

// tell runs a cluster of three in which followers hear of what was chosen so long
// afterwards, and proposes every so often. It returns how many COMMITs arrived
// meanwhile.
func tell(t *testing.T, after, every ids.Duration, times int) (c *cluster, commits int) {
	c = newCluster(t, 3, 1)
	c.resize(func(b *Config) { b.TellAfter = after })
	c.live(true, c.all()...)
	c.settle(c.all()...)
	before := c.count["Commit"]
	for range times {
		c.propose(c.leader(), 1)
		c.run(every)
	}
	return c, c.count["Commit"] - before
}

// What was chosen goes with the next ACCEPT when there is one in time.
func TestCommitGoesWithTheNextAccept(t *testing.T) {
	if _, n := tell(t, 0, 5*ms, 20); n < 30 {
		t.Errorf("%d COMMITs for 20 entries to two followers without patience", n)
	}
	if _, n := tell(t, 20*ms, 5*ms, 20); n > 2 {
		t.Errorf("%d COMMITs although the next ACCEPT comes soon", n)
	}
}

// It does not wait for ever: a COMMIT follows when nothing else does.
func TestCommitComesInTime(t *testing.T) {
	c, n := tell(t, 20*ms, 50*ms, 10)
	if n != 20 {
		t.Errorf("%d COMMITs for 10 entries to two followers, want one each", n)
	}
	for _, id := range c.all() {
		if got, want := c.px(id).CommitIndex(), c.px(c.leader()).LastIndex(); got != want {
			t.Errorf("n%d knows of %d chosen entries, want %d", id, got, want)
		}
	}
}
