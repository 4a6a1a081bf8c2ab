package chaos

import (
	"slices"
	"testing"
	"time"

	"paxbank/client/session"
	"paxbank/internal/topology"
	pb "paxbank/proto/paxbank/v1"
)

// What is promised of a failed leader and of a node that comes back. A machine
// that does other things at the same time may miss a limit once; the median of
// the rounds may not.
const (
	pausedLimit    = time.Second
	killedLimit    = 500 * time.Millisecond
	recoveredLimit = time.Second
	failoverRounds = 6
	recoveryRounds = 5
	// missed transfers are made while a node is away.
	missed = 200
)

// judgeTimes fails the test when the median is above the limit.
func judgeTimes(t *testing.T, what string, limit time.Duration, took []time.Duration) {
	t.Helper()
	slices.Sort(took)
	median := took[len(took)/2]
	t.Logf("%s: median %v, max %v, of %d rounds (limit %v)", what,
		median.Round(time.Millisecond), took[len(took)-1].Round(time.Millisecond), len(took), limit)
	if median > limit {
		t.Errorf("%s: the median of %v is above %v: %v", what, median, limit, took)
	}
}

// TestFailover: a cluster whose leader fails commits again in time.
func TestFailover(t *testing.T) {
	b := start(t, topology.Default(), nil)
	s := b.session(b.connect())
	for _, way := range []struct {
		name  string
		limit time.Duration
		fail  func(id string)
		back  func(id string)
	}{
		{"next commit after the leader was paused", pausedLimit,
			func(id string) { b.live(false, id) }, func(id string) { b.live(true, id) }},
		{"next commit after kill -9 of the leader", killedLimit,
			func(id string) { b.kill(id) }, func(id string) { b.restart(id) }},
	} {
		var took []time.Duration
		for round := range failoverRounds {
			c := round % len(b.topo.Clusters)
			item := b.topo.Items.Ranges[c].First
			b.settled()
			// The client knows the leader that is about to fail, as one in the middle
			// of its work does.
			r := s.Transfer(b.ctx, item, item+1, 1, callDeadline)
			if r.Outcome != session.Committed {
				t.Fatalf("before a failure: %+v", r)
			}
			leader := r.Node
			failed := time.Now()
			way.fail(leader)
			r = s.Transfer(b.ctx, item+1, item, 1, callDeadline)
			took = append(took, time.Since(failed))
			if r.Outcome != session.Committed || r.Node == leader {
				t.Errorf("after the failure of %s: %+v", leader, r)
			}
			way.back(leader)
		}
		judgeTimes(t, way.name, way.limit, took)
	}
	b.settled()
	b.holds("after all failures", b.topo.Balance)
}

// TestRecovery: a node that comes back has the current balances at once, from
// the leader in office, also when the log before a checkpoint is gone.
func TestRecovery(t *testing.T) {
	for _, size := range []struct {
		name   string
		limits *pb.Limits
	}{{"from the log", nil}, {"from a checkpoint", &pb.Limits{CheckpointEvery: 50}}} {
		b := start(t, topology.Default(), size.limits)
		s := b.session(b.connect())
		for _, way := range []struct {
			name string
			away func(id string)
			back func(id string)
		}{
			{"paused", func(id string) { b.live(false, id) }, func(id string) { b.live(true, id) }},
			{"killed", func(id string) { b.kill(id) }, func(id string) { b.restart(id) }},
		} {
			var took []time.Duration
			elections := 0
			for round := range recoveryRounds {
				c := round % len(b.topo.Clusters)
				before := b.status(b.leaders()[c])
				node := without(b.of(c), before.GetNodeId())[round%2]
				way.away(node)
				for range missed / 2 {
					from := b.topo.Items.Ranges[c].First
					for _, r := range []session.Result{s.Transfer(b.ctx, from, from+1, 3, callDeadline), s.Transfer(b.ctx, from+1, from+2, 3, callDeadline)} {
						if r.Outcome != session.Committed && r.Outcome != session.InsufficientFunds {
							t.Fatalf("with %s away: %+v", node, r)
						}
					}
				}
				back := time.Now()
				way.back(node)
				var st, leader *pb.StatusReply
				b.until(node+" to have what its leader has", settleBound, func() (bool, string) {
					leader, st = b.status(before.GetNodeId()), b.status(node)
					return st.GetAppliedIndex() >= leader.GetCommitIndex() && st.GetChecksum() == leader.GetChecksum(), st.String()
				})
				took = append(took, time.Since(back))
				if leader.GetBallot() != before.GetBallot() || !leader.GetReady() || st.GetLeader() != leader.GetNodeId() {
					elections++
					t.Logf("%s came back and there was an election: %v led before, now %v; %s follows %s",
						node, before, leader, node, st.GetLeader())
				}
			}
			// A machine that gives a leader no time causes an election by itself; a node
			// that deposes leaders does so whenever it comes back.
			if elections > recoveryRounds/2 {
				t.Errorf("%d elections in %d rounds", elections, recoveryRounds)
			}
			judgeTimes(t, "a "+way.name+" node has the current balances "+size.name, recoveredLimit, took)
		}
		b.settled()
		b.fleet.StopNow()
	}
}
