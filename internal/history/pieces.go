package history

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"
)

const forever = time.Duration(math.MaxInt64)

// end is when an operation has certainly taken effect, if it ever does.
func (op *Op) end() time.Duration {
	if op.Outcome == Indeterminate {
		return forever
	}
	return op.Return
}

// constraining returns the items whose balance an outcome depends on.
func constraining(initial func(int64) int64, ops []Op) map[int64]bool {
	tight := map[int64]bool{}
	debits := map[int64]int64{}
	for i := range ops {
		op := &ops[i]
		switch {
		case op.Read && op.Outcome == Value:
			tight[op.Item] = true
		case op.Read:
		case op.Outcome == InsufficientFunds:
			tight[op.From] = true
		default: // committed, or perhaps so
			sum := debits[op.From] + op.Amount
			if sum < debits[op.From] { // overflow: certainly more than anybody has
				sum = math.MaxInt64
			}
			debits[op.From] = sum
		}
	}
	for item, sum := range debits {
		if sum > initial(item) {
			tight[item] = true
		}
	}
	return tight
}

// split takes ops apart into pieces that can be judged by themselves, judges the
// easy ones and appends the others to hard. It returns a result when a piece is
// refuted.
func split(initial func(int64) int64, ops []Op, hard *[]*piece) *Result {
	for _, c := range components(ops, constraining(initial, ops)) {
		pieces, bad := c.pieces(initial)
		if bad != nil {
			return bad
		}
		for _, p := range pieces {
			if len(p.ops) < len(ops) && len(p.ops) > 1 {
				// By itself the piece may have fewer constraining items, and fall apart.
				if bad := split(p.initial, p.ops, hard); bad != nil {
					return bad
				}
				continue
			}
			if ok, bad := p.easy(); bad != nil {
				return bad
			} else if !ok {
				*hard = append(*hard, p)
			}
		}
	}
	return nil
}

// initial is what item holds before the piece. An item that constrains nothing
// in what the piece was cut from constrains nothing in it either.
func (p *piece) initial(item int64) int64 {
	if slot, ok := p.slot[item]; ok {
		return p.start[slot]
	}
	return math.MaxInt64
}

// component is a set of operations connected by constraining items.
type component struct {
	ops   []Op
	tight map[int64]bool
}

// touched returns the constraining items of an operation: items[:n].
func (op *Op) touched(tight map[int64]bool) (items [2]int64, n int) {
	add := func(item int64) {
		if tight[item] {
			items[n] = item
			n++
		}
	}
	switch {
	case op.Read:
		add(op.Item)
	case op.Outcome == InsufficientFunds: // looks at its sender only
		add(op.From)
	default:
		add(op.From)
		add(op.To)
	}
	return items, n
}

// components splits ops by union-find over constraining items. Operations that
// touch none are explained anywhere and left out.
func components(ops []Op, tight map[int64]bool) []*component {
	parent := map[int64]int64{}
	var find func(int64) int64
	find = func(x int64) int64 {
		p, ok := parent[x]
		if !ok || p == x {
			return x
		}
		root := find(p)
		parent[x] = root
		return root
	}
	for i := range ops {
		if items, n := ops[i].touched(tight); n == 2 {
			parent[find(items[0])] = find(items[1])
		}
	}
	byRoot := map[int64]*component{}
	var all []*component
	for i := range ops {
		items, n := ops[i].touched(tight)
		if n == 0 || ops[i].Read && ops[i].Outcome == Indeterminate {
			continue
		}
		root := find(items[0])
		c := byRoot[root]
		if c == nil {
			c = &component{tight: tight}
			byRoot[root] = c
			all = append(all, c)
		}
		c.ops = append(c.ops, ops[i])
	}
	return all
}

// piece is what is judged at once: operations that overlap, and the balances
// of their constraining items before them.
type piece struct {
	ops   []Op
	items []int64       // constraining items, ascending
	slot  map[int64]int // item → position in items and in a state
	start []int64
}

// pieces cuts a component wherever everything has ended before anything else
// begins. Until an indeterminate operation comes, balances at the cuts are
// known; from then on there is no cut.
func (c *component) pieces(initial func(int64) int64) ([]*piece, *Result) {
	slices.SortStableFunc(c.ops, func(a, b Op) int { return cmp.Compare(a.Call, b.Call) })
	balance := map[int64]int64{}
	at := func(item int64) int64 {
		b, ok := balance[item]
		if !ok {
			b = initial(item)
		}
		return b
	}
	var out []*piece
	for first := 0; first < len(c.ops); {
		last, until := first, c.ops[first].end()
		for last+1 < len(c.ops) && c.ops[last+1].Call <= until {
			last++
			until = max(until, c.ops[last].end())
		}
		p := &piece{ops: c.ops[first : last+1], slot: map[int64]int{}}
		for i := range p.ops {
			items, n := p.ops[i].touched(c.tight)
			for _, item := range items[:n] {
				if _, ok := p.slot[item]; !ok {
					p.slot[item] = 0
					p.items = append(p.items, item)
				}
			}
		}
		slices.Sort(p.items)
		for i, item := range p.items {
			p.slot[item] = i
			p.start = append(p.start, at(item))
		}
		for i := range p.ops {
			if op := &p.ops[i]; op.Outcome == Committed {
				items, n := op.touched(c.tight)
				for _, item := range items[:n] {
					delta := op.Amount
					if item == op.From {
						delta = -delta
					}
					balance[item] = at(item) + delta
				}
			}
		}
		// Every order of the piece ends with the same balances: below zero in one
		// is below zero in all.
		if until != forever {
			for _, item := range p.items {
				if b := at(item); b < 0 {
					return nil, &Result{No, fmt.Sprintf("item %d had %d, and what was committed leaves it with %d: %s",
						item, p.start[p.slot[item]], b, describe(p.on(item))), ids(p.on(item))}
				}
			}
		}
		out = append(out, p)
		first = last + 1
	}
	return out, nil
}

// on returns the piece's operations on an item.
func (p *piece) on(item int64) []Op {
	var out []Op
	for _, op := range p.ops {
		if op.Read && op.Item == item || !op.Read && (op.From == item || op.To == item) {
			out = append(out, op)
		}
	}
	return out
}

// step carries op out on state, in place. It reports whether the outcome is
// possible there; if not, state is unchanged.
func (p *piece) step(state []int64, op *Op) bool {
	if op.Read {
		i, ok := p.slot[op.Item]
		return !ok || op.Outcome != Value || state[i] == op.Value
	}
	from, hasFrom := p.slot[op.From]
	// An item without a slot constrains nothing: it is always rich enough.
	enough := !hasFrom || state[from] >= op.Amount
	switch op.Outcome {
	case InsufficientFunds:
		return !enough
	case Indeterminate:
		// Happening too late to be seen covers "never"; happening without money
		// changes nothing.
		if !enough {
			return true
		}
	default:
		if !enough {
			return false
		}
	}
	if hasFrom {
		state[from] -= op.Amount
	}
	if to, ok := p.slot[op.To]; ok {
		state[to] += op.Amount
	}
	return true
}

// easy tries likely orders. It reports true when one of them explains the
// piece, and a result when the piece is so small that it is refuted.
func (p *piece) easy() (bool, *Result) {
	if len(p.ops) == 1 {
		op := &p.ops[0]
		if p.step(slices.Clone(p.start), op) {
			return true, nil
		}
		item := op.From
		if op.Read {
			item = op.Item
		}
		return false, &Result{No, fmt.Sprintf("%s, but item %d had %d by everything that had ended before, and nothing else was under way",
			op, item, p.start[p.slot[item]]), []int{op.ID}}
	}
	return p.greedy(true) || p.greedy(false) || p.inOrder(), nil
}

// inOrder tries the order in which operations ended.
func (p *piece) inOrder() bool {
	ops := make([]*Op, len(p.ops))
	for i := range p.ops {
		ops[i] = &p.ops[i]
	}
	slices.SortStableFunc(ops, func(a, b *Op) int { return cmp.Compare(a.end(), b.end()) })
	state := slices.Clone(p.start)
	for _, op := range ops {
		if op.Outcome == Indeterminate {
			break // they sort last and may be left undone
		}
		if !p.step(state, op) {
			return false
		}
	}
	return true
}
