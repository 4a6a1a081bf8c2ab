package oracle

import (
	"slices"

	"paxbank/client/testset"
)

// Outcome of a command, in the words of the driver.
type Outcome string

// The outcomes. Value is a read that got its balance.
const (
	Committed         Outcome = "committed"
	InsufficientFunds Outcome = "insufficient_funds"
	Aborted           Outcome = "aborted"
	Unavailable       Outcome = "unavailable"
	Invalid           Outcome = "invalid"
	Unknown           Outcome = "unknown"
	Value             Outcome = "value"
)

// outcomes is a set of them, as bits in the order of allOutcomes.
type outcomes uint8

var allOutcomes = [...]Outcome{Committed, Value, InsufficientFunds, Aborted, Unavailable, Invalid, Unknown}

func bit(o Outcome) outcomes { return 1 << slices.Index(allOutcomes[:], o) }

var (
	committed, value, insufficient = bit(Committed), bit(Value), bit(InsufficientFunds)
	aborted, unavailable, invalid  = bit(Aborted), bit(Unavailable), bit(Invalid)
	anything                       = committed | insufficient | aborted | unavailable | invalid | bit(Unknown)
	anyRead                        = unavailable | bit(Unknown) // beside the value
)

// rule is what the quorums of a batch and the semantics make of one command,
// before anybody looks at a balance.
type rule struct {
	command *testset.Command
	read    bool
	// always are outcomes without effect that are possible whatever the balance.
	always outcomes
	// turn: it may come to its turn in the order, and look at the balance.
	turn bool
	// rich and poor are what it may come to then.
	rich, poor outcomes
	open       bool
}

// found is what was found out about one command.
type found struct {
	outcomes outcomes
	values   Values // of a read, once outcomes has value
	// held is what the sender may hold at its turn.
	held    Values
	looked  bool
	cluster int // of the sender or item, and of the receiver; -1: none owns it
	other   int
	batch   int
}

func (f *found) may(o outcomes) { f.outcomes |= o }

func (f *found) reads(v Values) {
	if f.outcomes&value != 0 {
		v = v.union(f.values)
	}
	f.values = v
	f.outcomes |= value
}

func (f *found) looks(v Values) {
	if f.looked {
		v = v.union(f.held)
	}
	f.held, f.looked = v, true
}

// result of a rule for a sender that holds balance: what may come of it without
// effect, and whether it may commit.
func (r *rule) result(balance int64) (idle outcomes, commit bool) {
	idle = r.always
	if !r.turn {
		return idle, false
	}
	if balance < r.command.Amount {
		return idle | r.poor, false
	}
	return idle | r.rich&^committed, r.rich&committed != 0
}

// inOrder carries one command out at its turn.
func (b *bank) inOrder(r *rule, f *found) {
	c := r.command
	switch {
	case r.open:
		b.givenUp(r, f)
	case r.read:
		f.may(r.always)
		if r.turn {
			f.reads(b.values(c.Item))
		}
	case !r.turn:
		f.may(r.always)
	default:
		b.turn(r, f)
	}
}

// givenUp: from now on the transfer may take effect at any time, or never.
func (b *bank) givenUp(r *rule, f *found) {
	c := r.command
	if r.read {
		f.may(anyRead)
		if r.turn {
			f.reads(b.values(c.Item))
		}
		return
	}
	f.may(anything)
	if r.always&invalid != 0 {
		return // nor can it ever
	}
	b.loosen(c.From).pend(c.Amount, 0)
	b.loosen(c.To).pend(0, c.Amount)
	b.sawNow(c.From, 0, 0)
	b.sawNow(c.To, 0, 0)
}

// turn lets a transfer look at the balance.
func (b *bank) turn(r *rule, f *found) {
	c := r.command
	f.looks(b.values(c.From))
	if from, sure := b.balance(c.From); sure {
		idle, commit := r.result(from)
		f.may(idle)
		if from >= c.Amount && idle&aborted != 0 {
			b.sawNow(c.From, c.Amount, 0)
			b.sawNow(c.To, 0, c.Amount)
		}
		if !commit {
			return
		}
		f.may(committed)
		if to, sure := b.balance(c.To); sure && idle == 0 {
			b.sawNow(c.From, 0, 0)
			b.sawNow(c.To, 0, 0)
			b.sure[c.From], b.sure[c.To] = from-c.Amount, add(to, c.Amount)
			b.sawNow(c.From, 0, 0)
			b.sawNow(c.To, 0, 0)
			return
		}
	}
	j := b.joined([]int64{c.From, c.To})
	if j == nil {
		b.turnLoose(r, f)
		return
	}
	from, to := slices.Index(j.items, c.From), slices.Index(j.items, c.To)
	var worlds [][]int64
	for _, w := range j.worlds {
		idle, commit := r.result(w[from])
		f.may(idle)
		if commit {
			f.may(committed)
			next := slices.Clone(w)
			next[from], next[to] = w[from]-c.Amount, add(w[to], c.Amount)
			worlds = append(worlds, next)
		}
		if idle != 0 {
			worlds = append(worlds, w)
		}
	}
	worlds = distinct(worlds)
	if len(worlds) > b.limits.worlds {
		b.turnLoose(r, f)
		return
	}
	away := int64(0)
	if f.outcomes&aborted != 0 {
		away = c.Amount
	}
	b.sawNow(c.From, away, 0)
	b.sawNow(c.To, 0, away)
	b.put(&joint{items: j.items, worlds: worlds})
	b.sawNow(c.From, 0, 0)
	b.sawNow(c.To, 0, 0)
}

// turnLoose is turn for items of which no more than ranges are kept.
func (b *bank) turnLoose(r *rule, f *found) {
	c := r.command
	from, to := b.loosen(c.From), b.loosen(c.To)
	away := int64(0)
	if (r.always|r.rich|r.poor)&aborted != 0 {
		away = c.Amount
	}
	b.sawNow(c.From, away, 0)
	b.sawNow(c.To, 0, away)
	poor, rich := from.least() < c.Amount, from.most() >= c.Amount
	stays, goes := false, false
	if poor {
		idle, _ := r.result(0)
		f.may(idle)
		stays = true
	}
	if rich {
		idle, commit := r.result(c.Amount)
		f.may(idle)
		stays = stays || idle != 0
		if goes = commit; commit {
			f.may(committed)
		}
	}
	if goes {
		// Where the balance v, which is in lo-down to hi+up, is enough, lo to hi can
		// be narrowed to what leaves enough with the best of what is pending.
		lo := max(from.lo, c.Amount-from.up)
		after := loose{lo: lo - c.Amount, hi: from.hi - c.Amount, down: from.down, up: from.up}
		credited := loose{lo: add(to.lo, c.Amount), hi: add(to.hi, c.Amount), down: to.down, up: to.up}
		if stays {
			idle, _ := r.result(c.Amount)
			top := from.hi
			if idle == 0 {
				top = min(top, add(c.Amount-1, from.down))
			}
			after.lo, after.hi = min(after.lo, from.lo), max(after.hi, top)
			credited.lo = to.lo
		}
		*from, *to = after, credited
	}
	b.sawNow(c.From, 0, 0)
	b.sawNow(c.To, 0, 0)
	b.tighten(c.From)
	b.tighten(c.To)
}
