package sim

import (
	"fmt"
	"slices"
	"strings"

	"paxbank/server/ids"
)

// faultKind is a kind of fault.
type faultKind int

const (
	faultCrash faultKind = iota
	faultCrashOnSend
	faultCrashCluster
	faultCrashAll
	faultSuccession
	faultPause
	faultIsolate
	faultRift
	faultSplit
	faultOneWay
	faultClusters
	faultConnection
	faultSlowDisk
	faultStall
	faultLoss
	faultDeaf
	faultReset
	faultKinds
)

// faults is one row a kind: how likely a seed has it, how often it then strikes
// on average, and how it strikes.
var faults = [faultKinds]struct {
	name   string
	likely float64
	every  ids.Duration
	strike func(w *world)
}{
	faultCrash:        {"crash", 0.6, 2 * second, (*world).strikeCrash},
	faultCrashOnSend:  {"crash-on-send", 0.5, 2 * second, (*world).strikeCrashOnSend},
	faultCrashCluster: {"crash-cluster", 0.15, 6 * second, (*world).strikeCrashCluster},
	faultCrashAll:     {"crash-all", 0.1, 8 * second, (*world).strikeCrashAll},
	faultSuccession:   {"succession", 0.25, 4 * second, (*world).strikeSuccession},
	faultPause:        {"pause", 0.4, 2 * second, (*world).strikePause},
	faultIsolate:      {"isolate", 0.4, 2 * second, (*world).strikeIsolate},
	faultRift:         {"rift", 0.4, 1500 * millisecond, (*world).strikeRift},
	faultSplit:        {"split", 0.2, 3 * second, (*world).strikeSplit},
	faultOneWay:       {"one-way", 0.25, second, (*world).strikeOneWay},
	faultClusters:     {"clusters-apart", 0.25, 3 * second, (*world).strikeClusters},
	faultConnection:   {"connection", 0.4, 500 * millisecond, (*world).strikeConnection},
	faultSlowDisk:     {"slow-disk", 0.25, 2 * second, (*world).strikeSlowDisk},
	faultStall:        {"stall", 0.3, second, (*world).strikeStall},
	faultLoss:         {"loss-burst", 0.2, 3 * second, (*world).strikeLoss},
	faultDeaf:         {"client-cut", 0.2, 2 * second, (*world).strikeDeaf},
	faultReset:        {"reset", 0.08, 6 * second, (*world).strikeReset},
}

// Faults returns the names of the faults.
func Faults() []string {
	var names []string
	for i := range faults {
		names = append(names, faults[i].name)
	}
	return names
}

// ParseFaults reads names of faults, separated by commas; "none" is an empty list.
func ParseFaults(s string) ([]string, error) {
	if s == "none" {
		return []string{}, nil
	}
	names := strings.Split(s, ",")
	for _, n := range names {
		if !slices.Contains(Faults(), n) {
			return nil, fmt.Errorf("no fault %q; there are %s", n, strings.Join(Faults(), " "))
		}
	}
	return names, nil
}

// startNemesis lets every fault of the plan strike again and again.
func (w *world) startNemesis() {
	for _, f := range w.plan.faults {
		var again func()
		again = func() {
			if !w.faulty {
				return
			}
			w.cov.add("fault", faults[f.kind].name)
			w.trace.note("FAULT", 0, "%s", faults[f.kind].name)
			faults[f.kind].strike(w)
			w.after(w.expo(f.every), again)
		}
		w.after(w.expo(f.every), again)
	}
}

// victim is a random node, more often than not one that leads its cluster.
func (w *world) victim() *node {
	members := w.clusters[w.rng.IntN(len(w.clusters))]
	n := members[w.rng.IntN(len(members))]
	if w.chance(0.6) {
		for _, m := range members {
			if m.up && m.live && m.core.Status().Leader == m.id {
				return m
			}
		}
	}
	return n
}

func (w *world) crashFor(n *node, down ids.Duration) {
	if !n.up {
		return
	}
	n.crash()
	w.after(down, n.comeBack)
}

func (w *world) strikeCrash() { w.crashFor(w.victim(), w.plan.downTime(w)) }

// momentous are the messages right after which a crash is most instructive.
var momentous = []string{"Prepare", "Promise", "NEW-VIEW", "Accept", "Accepted", "Commit", "CatchUp", "CheckpointChunk",
	"TwoPCPrepareRequest", "TwoPCPrepareReply", "TwoPCCommitRequest", "TwoPCCommitReply", "TwoPCAbortRequest",
	"TwoPCAbortReply", "TwoPCInquiryRequest", "TwoPCInquiryReply"}

func (w *world) strikeCrashOnSend() {
	n := w.victim()
	if n.up && n.live {
		n.armed, n.spared = momentous[w.rng.IntN(len(momentous))], 0
	}
}

// strikeSuccession makes the leaders of a cluster fail one after the other, each
// while its NEW-VIEW is on its way: some of the followers have it or a part of
// it, and what the leader before had chosen is in it again.
func (w *world) strikeSuccession() {
	members := w.clusters[w.rng.IntN(len(w.clusters))]
	until := w.now + ids.Time(w.upTo(3*second))
	w.crashFor(members[w.rng.IntN(len(members))], w.plan.downTime(w))
	var arm func()
	arm = func() {
		if !w.faulty || w.now > until {
			return
		}
		for _, n := range members {
			if n.up && n.live && n.armed == "" {
				n.armed, n.spared = "NEW-VIEW", w.rng.IntN(3*len(members))
			}
		}
		w.after(50*millisecond, arm)
	}
	arm()
}

func (w *world) strikeCrashCluster() {
	for _, n := range w.clusters[w.rng.IntN(len(w.clusters))] {
		w.crashFor(n, w.plan.downTime(w))
	}
}

func (w *world) strikeCrashAll() {
	for _, n := range w.nodes {
		w.crashFor(n, w.plan.downTime(w))
	}
}

func (w *world) strikePause() {
	n := w.victim()
	n.setLive(false)
	session := n.session
	w.after(w.plan.downTime(w), func() {
		if n.session == session {
			n.setLive(true)
		}
	})
}

// separate cuts all links between two groups, both ways unless oneWay, and heals
// them after a random time. Half of the time both ends hear that they are cut.
func (w *world) separate(a, b []*node, oneWay bool) {
	var heals []func()
	told := w.chance(0.5)
	for _, x := range a {
		for _, y := range b {
			heals = append(heals, w.net.cut(x, y))
			if !oneWay {
				heals = append(heals, w.net.cut(y, x))
			}
			if told {
				w.net.reset(x, y)
			}
		}
	}
	w.after(w.expo(1500*millisecond), func() {
		for _, heal := range heals {
			heal()
		}
	})
}

func (w *world) strikeIsolate() {
	n := w.victim()
	var rest []*node
	for _, m := range w.nodes {
		if m != n {
			rest = append(rest, m)
		}
	}
	w.separate([]*node{n}, rest, false)
}

// strikeRift cuts a node off from its own cluster only: a leader that has been
// replaced without knowing it goes on talking to the other clusters. Where the
// cluster is large enough it mostly keeps company, up to half of the nodes: alone
// it would be no more than in a small one.
func (w *world) strikeRift() {
	n := w.victim()
	var mates []*node
	for _, m := range w.clusters[n.cluster] {
		if m != n {
			mates = append(mates, m)
		}
	}
	w.rng.Shuffle(len(mates), func(i, j int) { mates[i], mates[j] = mates[j], mates[i] })
	company := 0
	if most := (len(mates)+1)/2 - 1; most > 0 && w.chance(0.8) {
		company = 1 + w.rng.IntN(most)
		w.cov.add("fault", "rift with company")
	}
	w.separate(append([]*node{n}, mates[:company]...), mates[company:], w.chance(0.2))
}

func (w *world) strikeSplit() {
	var a, b []*node
	for _, n := range w.nodes {
		if w.chance(0.5) {
			a = append(a, n)
		} else {
			b = append(b, n)
		}
	}
	w.separate(a, b, false)
}

func (w *world) strikeOneWay() {
	a, b := w.victim(), w.nodes[w.rng.IntN(len(w.nodes))]
	if a == b {
		return
	}
	if w.chance(0.5) {
		a, b = b, a
	}
	w.separate([]*node{a}, []*node{b}, w.chance(0.7))
}

func (w *world) strikeClusters() {
	if len(w.clusters) < 2 {
		return
	}
	i := w.rng.IntN(len(w.clusters))
	j := (i + 1 + w.rng.IntN(len(w.clusters)-1)) % len(w.clusters)
	w.separate(w.clusters[i], w.clusters[j], w.chance(0.3))
}

func (w *world) strikeConnection() {
	a, b := w.victim(), w.nodes[w.rng.IntN(len(w.nodes))]
	if a != b {
		w.net.reset(a, b)
	}
}

func (w *world) strikeSlowDisk() {
	w.victim().disk.slow = w.now + ids.Time(w.expo(second))
}

func (w *world) strikeStall() {
	n := w.victim()
	n.stall = w.now + ids.Time(w.expo(300*millisecond))
}

func (w *world) strikeLoss() { w.net.lossy = w.now + ids.Time(w.expo(500*millisecond)) }

func (w *world) strikeDeaf() {
	n := w.victim()
	w.net.deaf[n.id-1]++
	w.after(w.expo(second), func() { w.net.deaf[n.id-1]-- })
}

// strikeReset begins a new era: every node is reset at its own moment, those
// that are down when they come back. What clients still want is forgotten.
func (w *world) strikeReset() {
	w.beginEra(w.era.epoch + 1 + w.rng.Uint64N(3))
	e := w.era
	for _, n := range w.nodes {
		w.after(w.upTo(500*millisecond), func() {
			if !n.up || n.era.epoch >= e.epoch {
				return // restart resets it; or a later reset came first
			}
			n.reset(w.era)
			session := n.session
			w.after(w.upTo(100*millisecond), func() {
				if n.session == session {
					n.setLive(true)
				}
			})
		})
	}
	for _, c := range w.clients {
		c.newEra()
	}
}

// recoverAll ends the safety phase: nothing is cut, lost or slow any more, and
// everybody comes back.
func (w *world) recoverAll() {
	w.trace.note("HEAL", 0, "the faults stop")
	w.faulty = false
	for i := range w.net.blocked {
		w.net.blocked[i] = 0
	}
	for i := range w.net.deaf {
		w.net.deaf[i] = 0
	}
	w.net.lossy = 0
	for _, n := range w.nodes {
		n.disk.slow, n.armed = 0, ""
		if n.stall > w.now {
			n.stall, n.queued = w.now, false
			n.schedule()
		}
		switch {
		case !n.up:
			n.restart()
		case n.era != w.era:
			n.reset(w.era)
		}
		w.after(w.upTo(50*millisecond), func() { n.setLive(true) })
	}
}
