package sim

import (
	"paxbank/internal/topology"
	"paxbank/server/bank"
	"paxbank/server/ids"
)

// truth is what happened to the bank in one era. The first replica that applies
// an index decides what stands there; the model below carries it out, as simply
// as possible, and every rule of the protocol about entries and their effects is
// checked against it at that moment. Every other replica has to have the same.
type truth struct {
	topology *topology.Topology
	fail     func(invariant, format string, args ...any)
	logs     []clusterTruth
	outcomes map[ids.Request]settled
	commits  map[ids.Txn]*commit // by the coordinators' Cs
	// changes is every item's history of decided balances, in time.
	changes map[int64][]change

	// The money that is debited or credited by a P and not decided yet, and what
	// all raw balances add up to.
	debited, credited, raw, total int64
}

// clusterTruth is the truth about one cluster's log.
type clusterTruth struct {
	entries  map[uint64]stored // by index
	high     uint64            // the highest index that anybody applied
	balances map[int64]int64   // including what is prepared
	held     map[int64]uint64  // item → seq of the prepared transaction that changed it
	prepared map[uint64]bank.Entry
	decided  map[ids.Txn]uint64 // participant's seq
	origin   ids.Ballot         // the highest origin that took effect
	sums     map[uint64]sum     // state checksum by applied index
	images   map[uint64]sum     // checksum of a whole checkpoint by its index
}

type stored struct {
	digest uint64
	by     string
	what   applied
}

type sum struct {
	checksum uint64
	by       string
}

// settled is how a request ended, and when.
type settled struct {
	outcome bank.Outcome
	at      ids.Time
	cluster ids.Cluster
	index   uint64
}

// commit is a coordinator's C.
type commit struct {
	peer         ids.Cluster
	peerSeq      uint64
	acknowledged bool // the participant's C was applied
}

// change is an item's decided balance from a moment on.
type change struct {
	at    ids.Time
	value int64
}

func newTruth(t *topology.Topology, fail func(string, string, ...any)) *truth {
	g := &truth{topology: t, fail: fail, outcomes: map[ids.Request]settled{},
		commits: map[ids.Txn]*commit{}, changes: map[int64][]change{}, total: t.Total()}
	g.logs = make([]clusterTruth, len(t.Clusters))
	for c := range g.logs {
		g.logs[c] = clusterTruth{entries: map[uint64]stored{}, balances: map[int64]int64{}, held: map[int64]uint64{},
			prepared: map[uint64]bank.Entry{}, decided: map[ids.Txn]uint64{}, sums: map[uint64]sum{}, images: map[uint64]sum{}}
	}
	for _, r := range t.Items.Ranges {
		for item := r.First; item <= r.Last; item++ {
			g.logs[r.Cluster].balances[item] = t.Balance(item)
			g.changes[item] = []change{{at: 0, value: t.Balance(item)}}
			g.raw += t.Balance(item)
		}
	}
	return g
}

// apply is told of every entry that any replica applies. It reports whether this
// was the first time.
func (g *truth) apply(now ids.Time, cluster ids.Cluster, who string, e *bank.Entry, effect bank.Effect, digest uint64) bool {
	l := &g.logs[cluster]
	if old, ok := l.entries[e.Index]; ok {
		if old.digest != digest {
			g.fail("agreement", "index %d of %s: %s has %s, %s has %s", e.Index, g.name(cluster),
				old.by, describe(old.what), who, describe(applied{*e, effect}))
		}
		return false
	}
	if e.Index <= l.high {
		g.fail("agreement", "index %d of %s: %s has %s, others had nothing for the bank there and are at %d",
			e.Index, g.name(cluster), who, describe(applied{*e, effect}), l.high)
	}
	kept := applied{*e, effect}
	kept.entry.Ended = append([]ids.Txn(nil), e.Ended...)
	l.entries[e.Index] = stored{digest, who, kept}
	l.high = e.Index
	if e.Kind != bank.KindTransfer && e.Kind != bank.KindTombstone && e.Kind != bank.KindEnd {
		return true
	}
	if !effect.Void() {
		// An entry of origin o stands behind VIEW(o), so whatever has a lower
		// origin and comes later should have been fenced.
		if e.Origin.Less(l.origin) {
			g.fail("fence", "index %d of %s has origin %s, an earlier effective one has %s: %s", e.Index, g.name(cluster),
				e.Origin, l.origin, describe(kept))
		}
		l.origin = e.Origin
	}
	g.carryOut(now, cluster, l, &kept.entry, effect)
	if g.raw+g.debited-g.credited != g.total {
		g.fail("money", "after index %d of %s the bank holds %d, with %d debited and %d credited but undecided; it began with %d",
			e.Index, g.name(cluster), g.raw, g.debited, g.credited, g.total)
	}
	return true
}

func (g *truth) carryOut(now ids.Time, cluster ids.Cluster, l *clusterTruth, e *bank.Entry, effect bank.Effect) {
	wrong := func(invariant, format string, args ...any) {
		args = append(args, g.name(cluster), describe(applied{*e, effect}))
		g.fail(invariant, format+"; %s %s", args...)
	}
	request := e.Txn.Request
	switch effect {
	case bank.EffectFenced, bank.EffectTooOld:
		return
	case bank.EffectDuplicate:
		if _, ok := g.outcomes[request]; !ok && !l.coordinates(request) && !l.participates(e.Txn) {
			wrong("void", "void as a duplicate, but the request has no outcome and no P prepared")
		}
		return
	case bank.EffectUnmatched:
		if p, ok := l.prepared[e.Seq]; ok && p.Txn == e.Txn {
			wrong("void", "void as unmatched, but exactly that is prepared")
		}
		return
	}
	switch {
	case e.Kind == bank.KindEnd:
		g.end(l, e, wrong)
	case e.Kind == bank.KindTombstone:
		if effect != bank.EffectApplied {
			wrong("effects", "a tombstone cannot have this effect")
		}
		if l.coordinates(request) {
			wrong("exactly once", "tombstone over a prepared P")
		}
		g.settle(now, cluster, e, bank.OutcomeAborted, wrong)
	case e.Phase == bank.PhaseNone:
		g.intra(now, cluster, l, e, effect, wrong)
	case e.Phase == bank.PhasePrepare:
		g.prepare(now, cluster, l, e, effect, wrong)
	default:
		g.decide(now, cluster, l, e, effect, wrong)
	}
}

type complaint func(invariant, format string, args ...any)

// settle gives a request its outcome, once.
func (g *truth) settle(now ids.Time, cluster ids.Cluster, e *bank.Entry, o bank.Outcome, wrong complaint) {
	if old, ok := g.outcomes[e.Txn.Request]; ok {
		wrong("exactly once", "the request was settled as %s at index %d of %s", old.outcome, old.index, g.name(old.cluster))
	}
	g.outcomes[e.Txn.Request] = settled{o, now, cluster, e.Index}
}

// free complains when an item that an entry builds on is not decided.
func (l *clusterTruth) free(item int64, wrong complaint) {
	if seq, ok := l.held[item]; ok {
		wrong("isolation", "item %d is held by the transaction prepared at %d", item, seq)
	}
}

// coordinates reports whether a coordinator's P of this request is prepared.
func (l *clusterTruth) coordinates(r ids.Request) bool {
	for _, p := range l.prepared {
		if p.Role == bank.RoleCoordinator && p.Txn.Request == r {
			return true
		}
	}
	return false
}

// participates reports whether a participant's P of this attempt is prepared.
func (l *clusterTruth) participates(t ids.Txn) bool {
	for _, p := range l.prepared {
		if p.Role == bank.RoleParticipant && p.Txn == t {
			return true
		}
	}
	return false
}

func (g *truth) intra(now ids.Time, cluster ids.Cluster, l *clusterTruth, e *bank.Entry, effect bank.Effect, wrong complaint) {
	t := e.Transfer
	from, ok1 := l.balances[t.From]
	_, ok2 := l.balances[t.To]
	if !ok1 || !ok2 || t.From == t.To || t.Amount <= 0 {
		wrong("effects", "this is no intra-shard transfer of the cluster")
	}
	l.free(t.From, wrong)
	if l.coordinates(e.Txn.Request) {
		wrong("exactly once", "the request is prepared as well")
	}
	switch effect {
	case bank.EffectApplied:
		l.free(t.To, wrong)
		if from < t.Amount {
			wrong("no overdraft", "item %d holds %d", t.From, from)
		}
		l.balances[t.From] -= t.Amount
		l.balances[t.To] += t.Amount
		g.decidedNow(now, t)
		g.settle(now, cluster, e, bank.OutcomeCommitted, wrong)
	case bank.EffectInsufficientFunds:
		if from >= t.Amount {
			wrong("effects", "item %d holds %d, which is enough", t.From, from)
		}
		g.settle(now, cluster, e, bank.OutcomeInsufficientFunds, wrong)
	default:
		wrong("effects", "an intra-shard transfer cannot have this effect here")
	}
}

func (g *truth) prepare(now ids.Time, cluster ids.Cluster, l *clusterTruth, e *bank.Entry, effect bank.Effect, wrong complaint) {
	t := e.Transfer
	item, amount := t.From, -t.Amount
	if e.Role == bank.RoleParticipant {
		item, amount = t.To, t.Amount
	}
	balance, ok := l.balances[item]
	if !ok || t.Amount <= 0 || e.Seq != e.Index {
		wrong("effects", "this is no P of a cross-shard transfer of the cluster")
	}
	l.free(item, wrong)
	switch {
	case effect == bank.EffectInsufficientFunds && e.Role == bank.RoleCoordinator:
		if balance >= t.Amount {
			wrong("effects", "item %d holds %d, which is enough", item, balance)
		}
		g.settle(now, cluster, e, bank.OutcomeInsufficientFunds, wrong)
		return
	case effect != bank.EffectPrepared:
		wrong("effects", "a P cannot have this effect here")
	}
	if e.Role == bank.RoleCoordinator {
		if _, ok := g.outcomes[e.Txn.Request]; ok || l.coordinates(e.Txn.Request) {
			wrong("exactly once", "the request has an outcome, or another coordinator P prepared")
		}
		if balance < t.Amount {
			wrong("no overdraft", "item %d holds %d", item, balance)
		}
		g.debited += t.Amount
	} else {
		g.credited += t.Amount
	}
	l.balances[item] += amount
	g.raw += amount
	l.held[item] = e.Seq
	l.prepared[e.Seq] = *e
}

// decide carries out a C or an A.
func (g *truth) decide(now ids.Time, cluster ids.Cluster, l *clusterTruth, e *bank.Entry, effect bank.Effect, wrong complaint) {
	p, ok := l.prepared[e.Seq]
	if !ok || p.Txn != e.Txn || p.Role != e.Role || effect != bank.EffectApplied {
		wrong("effects", "the (seq, txn) of this C or A is not prepared")
	}
	coordinator := p.Role == bank.RoleCoordinator
	item, amount := p.Transfer.From, -p.Transfer.Amount
	if !coordinator {
		item, amount = p.Transfer.To, p.Transfer.Amount
	}
	delete(l.prepared, e.Seq)
	delete(l.held, item)
	c := g.commits[e.Txn]
	switch {
	case e.Phase == bank.PhaseCommit && coordinator:
		g.commitPoint(now, cluster, l, &p, e, wrong)
	case e.Phase == bank.PhaseCommit:
		if c == nil || c.peer != cluster || c.peerSeq != e.Seq {
			wrong("atomicity", "no coordinator's C names this P")
		}
		c.acknowledged = true
	default: // A
		if c != nil && (coordinator || c.peer == cluster && c.peerSeq == e.Seq) {
			wrong("atomicity", "the coordinator has committed this transaction")
		}
		l.balances[item] -= amount
		g.raw -= amount
		if coordinator {
			g.debited -= p.Transfer.Amount
		} else {
			g.credited -= p.Transfer.Amount
		}
	}
}

// commitPoint carries out a coordinator's C, at which both sides are decided.
func (g *truth) commitPoint(now ids.Time, cluster ids.Cluster, l *clusterTruth, p, e *bank.Entry, wrong complaint) {
	peer, ok := g.topology.Items.Cluster(p.Transfer.To)
	if !ok {
		wrong("effects", "nobody owns item %d", p.Transfer.To)
	}
	theirs, ok := g.logs[peer].prepared[e.PeerSeq]
	if !ok || theirs.Txn != e.Txn || theirs.Role != bank.RoleParticipant {
		wrong("atomicity", "the participant %s has no P of it prepared at %d", g.name(ids.Cluster(peer)), e.PeerSeq)
	}
	if theirs.Transfer != p.Transfer {
		wrong("atomicity", "the participant prepared %s", theirs.Transfer)
	}
	if g.commits[e.Txn] != nil {
		wrong("atomicity", "a second C of one attempt")
	}
	g.commits[e.Txn] = &commit{peer: ids.Cluster(peer), peerSeq: e.PeerSeq}
	l.decided[e.Txn] = e.PeerSeq
	g.debited -= p.Transfer.Amount
	g.credited -= p.Transfer.Amount
	g.decidedNow(now, p.Transfer)
	g.settle(now, cluster, p, bank.OutcomeCommitted, wrong)
}

func (g *truth) end(l *clusterTruth, e *bank.Entry, wrong complaint) {
	for _, txn := range e.Ended {
		if _, ok := l.decided[txn]; !ok {
			continue // ended twice, by two leaders: harmless
		}
		if !g.commits[txn].acknowledged {
			wrong("atomicity", "END of %s, whose participant has not committed", txn)
		}
		delete(l.decided, txn)
	}
}

// decidedNow notes a transfer's effect on the decided balances.
func (g *truth) decidedNow(now ids.Time, t ids.Transfer) {
	g.change(now, t.From, -t.Amount)
	g.change(now, t.To, t.Amount)
}

func (g *truth) change(now ids.Time, item, by int64) {
	h := g.changes[item]
	g.changes[item] = append(h, change{now, h[len(h)-1].value + by})
}

// checksum compares replicas that have applied up to the same index.
func (g *truth) checksum(cluster ids.Cluster, who string, index, checksum uint64) {
	g.compare(g.logs[cluster].sums, "the state", cluster, who, index, checksum)
}

// checkpoint compares the whole states that replicas write down. Unlike the
// checksum, which is a replica's own account, this sees what a checkpoint forgot.
func (g *truth) checkpoint(cluster ids.Cluster, who string, index uint64, state []byte) {
	g.compare(g.logs[cluster].images, "the checkpoint", cluster, who, index, mixBytes(0, state))
}

func (g *truth) compare(known map[uint64]sum, what string, cluster ids.Cluster, who string, index, checksum uint64) {
	old, ok := known[index]
	switch {
	case !ok:
		known[index] = sum{checksum, who}
	case old.checksum != checksum:
		g.fail("determinism", "at index %d of %s %s of %s has checksum %x, that of %s %x",
			index, g.name(cluster), what, old.by, old.checksum, who, checksum)
	}
}

func (g *truth) name(c ids.Cluster) string { return g.topology.Clusters[c].ID }
