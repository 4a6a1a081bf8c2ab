package oracle

import "slices"

// estimate bounds what a part of a batch may come to in any order, without
// playing orders. A transfer surely has the money if the item can pay all other
// debits of the batch as well, even before it gets anything; it surely has not if
// all credits of the batch together are not enough.
type estimate struct {
	b     *bank
	p     *part
	money map[int64]*flow
	// mayCommit, mustCommit by command.
	mayCommit, mustCommit []bool
}

// flow is what a part may take from an item and bring to it.
type flow struct {
	least, most       int64 // when the batch begins
	debits, credits   int64 // of all that may commit
	surelyOut, surely int64 // debits and credits of those that must
	away, beside      int64 // of those that are undone: for a while
}

func (b *bank) newEstimate(p *part) *estimate {
	e := &estimate{b: b, p: p, money: map[int64]*flow{}, mayCommit: make([]bool, len(p.rules)), mustCommit: make([]bool, len(p.rules))}
	for _, item := range p.items {
		v := b.values(item)
		e.money[item] = &flow{least: v.Lo, most: v.Hi}
	}
	for i, r := range p.rules {
		e.mayCommit[i] = r.open && !r.read && r.always&invalid == 0 || r.turn && r.rich&committed != 0
	}
	// Each round rules out what the round before showed to be impossible; whatever
	// round is the last, what it says is true.
	for range maxRounds {
		e.sum()
		changed := false
		for i, r := range p.rules {
			if !e.mayCommit[i] || r.open || r.read {
				continue
			}
			f := e.money[r.command.From]
			if add(f.most, f.credits) < r.command.Amount {
				e.mayCommit[i], changed = false, true
			}
		}
		if !changed {
			break
		}
	}
	e.sum()
	for i, r := range p.rules {
		if e.mayCommit[i] && !r.open && r.always == 0 && r.rich == committed {
			f := e.money[r.command.From]
			e.mustCommit[i] = add(f.least, -(f.debits-r.command.Amount)) >= r.command.Amount
		}
	}
	e.sum()
	return e
}

// maxRounds of ruling out.
const maxRounds = 8

func (e *estimate) sum() {
	for _, f := range e.money {
		f.debits, f.credits, f.surelyOut, f.surely = 0, 0, 0, 0
	}
	for i, r := range e.p.rules {
		if r.read || !e.mayCommit[i] {
			continue
		}
		from, to := e.money[r.command.From], e.money[r.command.To]
		from.debits, to.credits = add(from.debits, r.command.Amount), add(to.credits, r.command.Amount)
		if e.mustCommit[i] {
			from.surelyOut, to.surely = add(from.surelyOut, r.command.Amount), add(to.surely, r.command.Amount)
		}
	}
}

// plain reports whether no outcome of the part depends on the order, and nobody
// reads.
func (b *bank) plain(p *part) bool {
	if slices.ContainsFunc(p.rules, func(r *rule) bool { return r.read || r.open }) {
		return false
	}
	e := b.newEstimate(p)
	for i, r := range p.rules {
		switch {
		case e.mustCommit[i], !r.turn:
		case !e.mayCommit[i] && r.poor == r.rich&^committed:
		case !e.mayCommit[i] && e.alwaysPoor(i):
		default:
			return false
		}
	}
	return !slices.ContainsFunc(p.items, func(item int64) bool { return b.joints[item] != nil })
}

// alwaysPoor reports whether a transfer finds too little money in any order.
func (e *estimate) alwaysPoor(i int) bool {
	f := e.money[e.p.rules[i].command.From]
	return add(f.most, f.credits) < e.p.rules[i].command.Amount
}

// alwaysRich reports whether it finds enough in any order.
func (e *estimate) alwaysRich(i int) bool {
	f, amount := e.money[e.p.rules[i].command.From], e.p.rules[i].command.Amount
	others := f.debits
	if e.mayCommit[i] {
		others -= amount
	}
	return add(f.least, -others) >= amount
}

// estimate carries a part out whose orders are not played through.
func (b *bank) estimate(p *part) {
	e := b.newEstimate(p)
	for i, r := range p.rules {
		e.outcomesOf(i, r, p.found[i])
	}
	for i, r := range p.rules {
		if !r.read && r.turn && p.found[i].outcomes&aborted != 0 && !e.mayCommit[i] {
			from, to := e.money[r.command.From], e.money[r.command.To]
			from.away, to.beside = add(from.away, r.command.Amount), add(to.beside, r.command.Amount)
		}
	}
	for _, item := range p.items {
		f := e.money[item]
		b.saw(item, add(f.least, -add(f.debits, f.away)), add(add(f.most, f.credits), f.beside))
	}
	// What was given up counted above for the others' sake; it may as well happen
	// later, so it pends.
	for i, r := range p.rules {
		if r.open && !r.read && e.mayCommit[i] {
			b.loosen(r.command.From).pend(r.command.Amount, 0)
			b.loosen(r.command.To).pend(0, r.command.Amount)
			e.mayCommit[i] = false
		}
	}
	e.sum()
	for _, item := range p.items {
		f := e.money[item]
		if f.debits == 0 && f.credits == 0 {
			continue
		}
		l := b.loosen(item)
		l.lo = max(add(l.lo, f.surely-f.debits), -l.up)
		l.hi = add(l.hi, f.credits-f.surelyOut)
	}
	for _, item := range p.items {
		b.tighten(item)
	}
}

func (e *estimate) outcomesOf(i int, r *rule, f *found) {
	c := r.command
	switch {
	case r.read:
		if r.open {
			f.may(anyRead)
		}
		f.may(r.always)
		if r.turn {
			m := e.money[c.Item]
			f.reads(span(max(add(m.least, -m.debits), 0), add(m.most, m.credits)))
		}
		return
	case r.open:
		f.may(anything)
		return
	}
	f.may(r.always)
	if !r.turn {
		return
	}
	m := e.money[c.From]
	others := m.debits
	if e.mayCommit[i] {
		others -= c.Amount
	}
	f.looks(span(max(add(m.least, -others), 0), add(m.most, m.credits)))
	if !e.alwaysPoor(i) {
		f.may(r.rich)
	}
	if !e.alwaysRich(i) {
		f.may(r.poor)
	}
}
