package session

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"paxbank/internal/topology"
)

// The session's waits.
const (
	// patience: a node that was asked and has said nothing to anybody for so long
	// is no longer waited for alone; the others of its cluster are asked too.
	patience = time.Second
	// recheck: the others of its cluster name a node that owes an answer as leader.
	// It is waited for again, and after so long they are asked whether it still
	// leads.
	recheck = 250 * time.Millisecond
	// pauseMin, pauseMax: between two passes over a cluster while it elects.
	pauseMin, pauseMax = 10 * time.Millisecond, 50 * time.Millisecond
	// crowd: with more requests under way the pauses grow, up to crowdMax times,
	// so that thousands of waiting clients do not slow down the election that
	// they wait for.
	crowd, crowdMax = 256, 8
	// confirm: a majority answers, yet all of it says "no quorum". That may be an
	// election's start, so it is believed only after so long.
	confirm = 800 * time.Millisecond
	// grace: the answer to a deadline needs its way back.
	grace = 250 * time.Millisecond
)

// chase is a request as pursue sees it.
type chase struct {
	cluster int
	until   time.Time
	// send starts one send to l; its answer comes through c.answers.
	send func(c *call, l *link, at int, left time.Duration)
	// decides reports whether the answer ends the chase.
	decides func(*answer) bool
}

// ending is how a chase ended.
type ending struct {
	decided bool
	answer  answer // when decided
	// unclear: some send may have had, or may still have, an effect that no
	// answer told of.
	unclear  bool
	attempts int
	node     string
	message  string
}

// What a node said in the current pass.
const (
	unasked uint8 = iota
	silent
	follows  // not the leader, or not sure
	noQuorum // says that there is none
	gone     // refused, or cannot be reached
	otherEpoch
)

// pursue sends a request to the nodes of a cluster until one decides it, the
// cluster turns out to have no quorum, or time is up.
//
// It goes over the nodes in passes: first the presumed leader, then whoever a
// node names as leader, then those not asked yet. When a whole pass has brought
// nothing, the cluster either elects (pause, next pass) or is without a quorum:
// at once when too few nodes answer at all, else after confirm.
func (s *Session) pursue(ctx context.Context, ch chase) (e ending) {
	s.active.Add(1)
	defer s.active.Add(-1)
	links := s.nodes.clusters[ch.cluster]
	n := len(links)
	hard := ch.until.Add(grace)
	sendCtx, cancel := context.WithDeadline(ctx, hard)
	defer cancel()
	c := &call{ctx: sendCtx, answers: make(chan answer, n)}
	seen := make([]uint8, n)
	asked := make([]bool, n) // a send is unanswered
	since := make([]time.Time, n)
	outstanding := 0
	busy := -1 // owes an answer and was named leader in this pass
	var downSince time.Time
	at := int(s.leader[ch.cluster].Load())

	defer func() {
		if outstanding > 0 {
			e.unclear = true
			if !e.decided {
				e.message = fmt.Sprintf("no answer from %s", unanswered(links, asked, since))
			}
		}
		if ctx.Err() != nil && !e.decided {
			e.message = "interrupted"
		}
	}()

	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		now := time.Now()
		wait := patience
		pausing := at < 0
		if pausing {
			wait = s.pause()
		} else if at == busy {
			wait, busy = recheck, -1
		} else if !asked[at] {
			if left := ch.until.Sub(now); left > 0 && ctx.Err() == nil {
				ch.send(c, links[at], at, left)
				e.attempts++
				asked[at], since[at] = true, now
				outstanding++
			}
		}
		if left := ch.until.Sub(now); left <= 0 {
			if outstanding == 0 {
				return e
			}
			wait = hard.Sub(now)
		} else {
			wait = min(wait, left)
		}
		timer.Reset(max(wait, 0))

		var a answer
		got := false
		select {
		case a = <-c.answers:
			got = true
		case <-timer.C:
		case <-ctx.Done():
			return e
		}

		if got {
			asked[a.at] = false
			outstanding--
			if a.sort == again {
				e.attempts--
				at = a.at
				continue
			}
			if a.message != "" {
				e.message = links[a.at].id + ": " + a.message
			}
			if a.sort == replied {
				e.node = links[a.at].id
				if ch.decides(&a) {
					e.decided, e.answer, e.message = true, a, a.message
					s.leader[ch.cluster].Store(int32(a.at))
					if tentative(&a) {
						outstanding -= c.others(&e, asked, ch.decides)
					}
					return e
				}
			}
			if a.sort == lost || a.sort == replied && !says(a.result) {
				e.unclear = true
			}
			seen[a.at] = standing(&a)
			if pausing {
				continue // the pass is over; what came late counts for the next
			}
			if i := s.position(ch.cluster, a.leader); i >= 0 && asked[i] {
				busy = i
			}
			at = next(links, seen, a.leader, a.at)
			if at >= 0 && links[at].id == a.leader {
				s.leader[ch.cluster].Store(int32(at))
			}
		} else {
			now = time.Now()
			switch {
			case !now.Before(hard):
				return e
			case !now.Before(ch.until):
				continue
			case pausing:
				at = begin(seen, asked, int(s.leader[ch.cluster].Load()))
				continue
			case links[at].heardSince(now.Add(-patience)):
				continue // it is alive and busy: asking others would only add load
			}
			seen[at] = silent
			at = next(links, seen, "", at)
		}
		if at >= 0 {
			continue
		}
		// The pass is over.
		if busy >= 0 && asked[busy] {
			// The leader has the request and takes its time, as it does when it waits
			// for another cluster: going round the others all the while would only add
			// load.
			at = busy
			continue
		}
		busy = -1
		switch down, few := verdict(seen); {
		case !down:
			downSince = time.Time{}
		case few:
			e.message = noQuorumMessage(s.topology.Clusters[ch.cluster].ID, e.message)
			return e
		case downSince.IsZero():
			downSince = time.Now()
		case time.Since(downSince) >= confirm:
			e.message = noQuorumMessage(s.topology.Clusters[ch.cluster].ID, e.message)
			return e
		}
	}
}

// position of a node in its cluster, -1 for one that is not there.
func (s *Session) position(cluster int, id string) int {
	return slices.IndexFunc(s.topology.Clusters[cluster].Nodes, func(n topology.Node) bool { return n.ID == id })
}

// next chooses whom to ask after node from: the leader it named, else somebody
// not asked in this pass; -1 when there is nobody.
func next(links []*link, seen []uint8, leader string, from int) int {
	if leader != "" {
		for i, l := range links {
			if l.id == leader && seen[i] == unasked {
				return i
			}
		}
	}
	for d := 1; d < len(links); d++ {
		if i := (from + d) % len(links); seen[i] == unasked {
			return i
		}
	}
	return -1
}

// begin starts a new pass. Nodes that still owe an answer are not asked again.
func begin(seen []uint8, asked []bool, first int) int {
	for i := range seen {
		seen[i] = unasked
		if asked[i] {
			seen[i] = silent
		}
	}
	for d := range seen {
		if i := (first + d) % len(seen); seen[i] == unasked {
			return i
		}
	}
	return first // all owe an answer: wait for the first
}

// verdict of a whole pass: down when nobody gives hope, few when fewer than a
// majority could be reached at all.
func verdict(seen []uint8) (down, few bool) {
	away := 0
	for _, v := range seen {
		switch v {
		case gone:
			away++
		case noQuorum, otherEpoch:
		default:
			return false, false
		}
	}
	return true, len(seen)-away < len(seen)/2+1
}

// pause is a jittered pause that grows with the number of waiting requests.
func (s *Session) pause() time.Duration {
	p := pauseMin + rand.N(pauseMax-pauseMin)
	return p * time.Duration(min(1+s.active.Load()/crowd, crowdMax))
}

func noQuorumMessage(cluster, last string) string {
	m := "cluster " + cluster + " has no quorum"
	if last != "" {
		m += " (" + last + ")"
	}
	return m
}

// unanswered names the nodes that owe an answer, with how long they have: "n1 for
// 5.3 s, n2 for 2.1 s".
func unanswered(links []*link, asked []bool, since []time.Time) string {
	var owing []string
	for i, l := range links {
		if asked[i] {
			owing = append(owing, fmt.Sprintf("%s for %.1f s", l.id, time.Since(since[i]).Seconds()))
		}
	}
	return strings.Join(owing, ", ")
}
