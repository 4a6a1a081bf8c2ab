package oracle

import (
	"encoding/binary"
	"math"
	"slices"
)

// bank is what the items may hold at one moment of one run. An item is either
// sure (most are), or part of a joint, whose balances are known together, or
// loose, a range of its own.
type bank struct {
	limits limits
	start  func(item int64) Values
	sure   map[int64]int64
	joints map[int64]*joint
	loose  map[int64]*loose
	// now is what the current batch did to an item.
	now map[int64]bounds
	// past is what earlier batches left, ascending by batch.
	past map[int64][]change
}

// joint is a set of possible balances of some items together.
type joint struct {
	items  []int64
	worlds [][]int64 // each has a balance for every item
}

// loose is an item of which a range is known: lo..hi, and beside that what the
// commands that were given up may take away or bring, now or later.
type loose struct{ lo, hi, down, up int64 }

func (l *loose) least() int64 { return max(add(l.lo, -l.down), 0) }
func (l *loose) most() int64  { return add(l.hi, l.up) }

// bounds are the lowest and highest balance that any moment may show.
type bounds struct{ lo, hi int64 }

// change is what a batch made of an item: after it, and at any moment of it.
type change struct {
	batch  int
	after  Values
	during bounds
}

// newBank makes a bank whose items hold what start says, of which those of open
// are not sure.
func newBank(start func(int64) Values, open []int64, l limits) *bank {
	b := &bank{limits: l, start: start, sure: map[int64]int64{}, joints: map[int64]*joint{}, loose: map[int64]*loose{},
		now: map[int64]bounds{}, past: map[int64][]change{}}
	for _, item := range open {
		switch v := start(item); {
		case v.List == nil:
			b.loose[item] = &loose{lo: v.Lo, hi: v.Hi}
		case len(v.List) > 1:
			j := &joint{items: []int64{item}}
			for _, balance := range v.List {
				j.worlds = append(j.worlds, []int64{balance})
			}
			b.joints[item] = j
		}
	}
	return b
}

// balance of a sure item.
func (b *bank) balance(item int64) (v int64, sure bool) {
	if v, ok := b.sure[item]; ok {
		return v, true
	}
	if b.joints[item] != nil || b.loose[item] != nil {
		return 0, false
	}
	return b.start(item).Lo, true
}

// values are all balances that item may have.
func (b *bank) values(item int64) Values {
	if l := b.loose[item]; l != nil {
		return span(l.least(), l.most())
	}
	if j := b.joints[item]; j != nil {
		at := slices.Index(j.items, item)
		list := make([]int64, len(j.worlds))
		for i, w := range j.worlds {
			list[i] = w[at]
		}
		return listed(list)
	}
	v, _ := b.balance(item)
	return one(v)
}

// saw notes that item may show lo to hi at some moment of this batch.
func (b *bank) saw(item, lo, hi int64) {
	lo = max(lo, 0)
	if n, ok := b.now[item]; ok {
		lo, hi = min(lo, n.lo), max(hi, n.hi)
	}
	b.now[item] = bounds{lo, hi}
}

// sawNow notes what item may hold at this moment, and that some of it may be
// away, or there beside it, for a while (a transfer that is undone).
func (b *bank) sawNow(item, away, beside int64) {
	v := b.values(item)
	b.saw(item, add(v.Lo, -away), add(v.Hi, beside))
}

// endBatch files what the k-th batch did.
func (b *bank) endBatch(k int) {
	for item, during := range b.now {
		after := b.values(item)
		during.lo, during.hi = min(during.lo, after.Lo), max(during.hi, after.Hi)
		b.past[item] = append(b.past[item], change{k, after, during})
	}
	clear(b.now)
}

// at is what a node that holds h may show of item. Batches whose open commands
// may still take effect later leave ranges, so nothing is missed.
func (b *bank) at(item int64, h held) Values {
	v := b.start(item)
	changes := b.past[item]
	for len(changes) > 0 && changes[0].batch <= h.lo {
		v, changes = changes[0].after, changes[1:]
	}
	for _, c := range changes {
		if c.batch > h.hi {
			break
		}
		v = v.union(span(c.during.lo, c.during.hi))
	}
	return v
}

// joined merges what the items belong to into one joint; nil when it would have
// too many worlds, or when one of the items is loose.
func (b *bank) joined(items []int64) *joint {
	out := &joint{worlds: [][]int64{nil}}
	for _, item := range items {
		if slices.Contains(out.items, item) {
			continue
		}
		part := b.joints[item]
		if b.loose[item] != nil {
			return nil
		}
		if part == nil {
			v, _ := b.balance(item)
			part = &joint{items: []int64{item}, worlds: [][]int64{{v}}}
		}
		if len(out.worlds)*len(part.worlds) > b.limits.worlds {
			return nil
		}
		worlds := make([][]int64, 0, len(out.worlds)*len(part.worlds))
		for _, w := range out.worlds {
			for _, p := range part.worlds {
				worlds = append(worlds, append(slices.Clone(w), p...))
			}
		}
		out.items, out.worlds = append(out.items, part.items...), worlds
	}
	return out
}

// put makes a joint the truth about its items. Those with one balance in all
// worlds become sure.
func (b *bank) put(j *joint) {
	keep := 0
	for at, item := range j.items {
		delete(b.joints, item)
		delete(b.sure, item)
		v := j.worlds[0][at]
		if !slices.ContainsFunc(j.worlds, func(w []int64) bool { return w[at] != v }) {
			b.sure[item] = v
			continue
		}
		for _, w := range j.worlds {
			w[keep] = w[at]
		}
		j.items[keep] = item
		keep++
	}
	j.items = j.items[:keep]
	if keep == 0 {
		return
	}
	for i := range j.worlds {
		j.worlds[i] = j.worlds[i][:keep]
	}
	j.worlds = distinct(j.worlds)
	for _, item := range j.items {
		b.joints[item] = j
	}
}

// distinct drops worlds that occur twice, keeping the first of each.
func distinct(worlds [][]int64) [][]int64 {
	seen := make(map[string]bool, len(worlds))
	var key []byte
	return slices.DeleteFunc(worlds, func(w []int64) bool {
		key = encode(key[:0], w)
		if seen[string(key)] {
			return true
		}
		seen[string(key)] = true
		return false
	})
}

func encode(to []byte, world []int64) []byte {
	for _, v := range world {
		to = binary.LittleEndian.AppendUint64(to, uint64(v))
	}
	return to
}

// loosen makes item loose, and forgets what it has to do with others.
func (b *bank) loosen(item int64) *loose {
	if l := b.loose[item]; l != nil {
		return l
	}
	v := b.values(item)
	if j := b.joints[item]; j != nil {
		rest := &joint{worlds: make([][]int64, len(j.worlds))}
		for at, other := range j.items {
			if other == item {
				continue
			}
			rest.items = append(rest.items, other)
			for i, w := range j.worlds {
				rest.worlds[i] = append(rest.worlds[i], w[at])
			}
		}
		delete(b.joints, item)
		if len(rest.items) > 0 {
			b.put(rest)
		}
	}
	delete(b.sure, item)
	l := &loose{lo: v.Lo, hi: v.Hi}
	b.loose[item] = l
	return l
}

// tighten makes a loose item sure again when nothing about it is open any more.
func (b *bank) tighten(item int64) {
	if l := b.loose[item]; l != nil && l.down == 0 && l.up == 0 && l.lo == l.hi {
		delete(b.loose, item)
		b.sure[item] = l.lo
	}
}

// pend notes that a given-up transfer may take amount from item, or bring it,
// from now on.
func (l *loose) pend(down, up int64) {
	l.down, l.up = min(add(l.down, down), math.MaxInt64), add(l.up, up)
}
