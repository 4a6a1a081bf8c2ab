package chaos

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"time"
)

// How long a fault lasts: an outage within which others are elected, and the
// moment that load runs undisturbed before it.
const (
	outageMin, outageMax = 300 * time.Millisecond, 1200 * time.Millisecond
	calmMax              = 200 * time.Millisecond
)

// fault is one thing that happens to a bank under load. When do returns, all
// nodes run and are connected again.
type fault struct {
	name string
	do   func(n *nemesis) string
}

type nemesis struct {
	*bank
	r *rand.Rand
}

// faults are all that can happen; a run that is long enough sees each of them.
var faults = []fault{
	{"kill a follower", func(n *nemesis) string {
		c := n.cluster()
		others := without(n.of(c), n.leader(c))
		return n.crash(others[n.r.IntN(len(others))])
	}},
	{"kill a leader", func(n *nemesis) string { return n.crash(n.leads(n.cluster())) }},
	{"freeze the leaders", func(n *nemesis) string { return n.freeze(n.leaders()...) }},
	{"kill a node of every cluster", func(n *nemesis) string {
		var ids []string
		for c := range n.topo.Clusters {
			of := n.of(c)
			ids = append(ids, of[n.r.IntN(len(of))])
		}
		return n.crash(ids...)
	}},
	{"kill all leaders", func(n *nemesis) string { return n.crash(n.leaders()...) }},
	{"kill everybody", func(n *nemesis) string { return n.crash(n.all()...) }},
	{"freeze one leader", func(n *nemesis) string { return n.freeze(n.leads(n.cluster())) }},
	{"kill a majority", func(n *nemesis) string {
		of := n.of(n.cluster())
		n.r.Shuffle(len(of), func(i, j int) { of[i], of[j] = of[j], of[i] })
		return n.crash(of[:len(of)/2+1]...)
	}},
	{"disconnect a leader", func(n *nemesis) string {
		id := n.leads(n.cluster())
		n.live(false, id)
		n.outage()
		n.live(true, id)
		return id
	}},
	{"kill a node as it comes back", func(n *nemesis) string {
		id := n.leads(n.cluster())
		n.kill(id)
		n.restart(id)
		n.kill(id)
		n.restart(id)
		return id
	}},
}

func (n *nemesis) cluster() int { return n.r.IntN(len(n.topo.Clusters)) }

// leads is a cluster's leader, or its first node when it has none right now.
func (n *nemesis) leads(cluster int) string {
	if id := n.leader(cluster); id != "" {
		return id
	}
	return n.of(cluster)[0]
}

// pass lets time pass: the duration of a fault is part of the fault.
func (n *nemesis) pass(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-n.ctx.Done():
	}
}

func (n *nemesis) outage() { n.pass(outageMin + time.Duration(n.r.Int64N(int64(outageMax-outageMin)))) }

// crash kills nodes at once, starts them from their disks and connects them,
// some only after the others of their cluster have had time to elect.
func (n *nemesis) crash(ids ...string) string {
	n.kill(ids...)
	if n.r.IntN(2) == 0 {
		n.outage()
	}
	n.restart(ids...)
	return strings.Join(ids, " ")
}

// freeze stops nodes as a hanging machine would: their sockets stay open and
// nobody answers. Then they go on, not knowing that time has passed.
func (n *nemesis) freeze(ids ...string) string {
	n.signal(syscall.SIGSTOP, ids...)
	n.outage()
	n.signal(syscall.SIGCONT, ids...)
	return strings.Join(ids, " ")
}

// strike does a fault in the middle of the load and says what it was.
func (n *nemesis) strike(f fault) string {
	n.pass(time.Duration(n.r.Int64N(int64(calmMax))))
	return fmt.Sprintf("%s (%s)", f.name, f.do(n))
}
