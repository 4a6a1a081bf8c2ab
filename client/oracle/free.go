package oracle

import (
	"encoding/binary"
	"slices"
)

// part is the commands of a batch that can see of each other under Free order,
// and their items.
type part struct {
	rules []*rule
	found []*found
	items []int64
}

// anyOrder carries a batch out whose commands take effect in any order. budget
// is what all searches of the set may still cost.
func (b *bank) anyOrder(rules []*rule, founds []*found, budget *int) {
	for _, p := range b.parts(rules, founds) {
		if len(p.rules) == 1 {
			b.inOrder(p.rules[0], p.found[0])
			continue
		}
		if b.search(p, budget) {
			continue
		}
		b.estimate(p)
	}
}

// parts splits a batch into what is connected by items or joints.
func (b *bank) parts(rules []*rule, founds []*found) []*part {
	root := map[int64]int64{}
	var find func(item int64) int64
	find = func(item int64) int64 {
		up, ok := root[item]
		if !ok || up == item {
			root[item] = item
			return item
		}
		top := find(up)
		root[item] = top
		return top
	}
	for _, r := range rules {
		items := r.items()
		for _, item := range items {
			root[find(item)] = find(items[0])
			if j := b.joints[item]; j != nil {
				for _, other := range j.items {
					root[find(other)] = find(items[0])
				}
			}
		}
	}
	at := map[int64]*part{}
	var out []*part
	listed := map[int64]bool{}
	for i, r := range rules {
		items := r.items()
		top := find(items[0])
		p := at[top]
		if p == nil {
			p = &part{}
			at[top] = p
			out = append(out, p)
		}
		p.rules, p.found = append(p.rules, r), append(p.found, founds[i])
		for _, item := range items {
			if !listed[item] {
				listed[item] = true
				p.items = append(p.items, item)
			}
		}
	}
	return out
}

func (r *rule) items() []int64 {
	if r.read {
		return []int64{r.command.Item}
	}
	if r.always&invalid != 0 { // touches nothing, and its receiver may not exist
		return []int64{r.command.From}
	}
	return []int64{r.command.From, r.command.To}
}

// search plays every order of a small part, and reports whether it could. What
// does not depend on the order is left to estimate, which is as sharp there.
func (b *bank) search(p *part, budget *int) bool {
	if len(p.rules) > maxOrdered || slices.ContainsFunc(p.rules, func(r *rule) bool { return r.open }) || b.plain(p) {
		return false
	}
	j := b.joined(p.items)
	if j == nil {
		return false
	}
	at := make([][2]int, len(p.rules))
	for i, r := range p.rules {
		for k, item := range r.items() {
			at[i][k] = slices.Index(j.items, item)
		}
	}
	s := &searched{p: p, at: at, found: make([]found, len(p.rules)), reads: make([][]int64, len(p.rules)), looks: make([][]int64, len(p.rules)),
		lo: slices.Clone(j.worlds[0]), hi: slices.Clone(j.worlds[0]), left: min(b.limits.states, *budget)}
	before := s.left
	layer := map[string][]int64{}
	for _, w := range j.worlds {
		layer[stateKey(0, w)] = w
	}
	for range p.rules {
		if layer = s.step(layer); layer == nil {
			*budget -= before - s.left
			return false
		}
	}
	*budget -= before - s.left
	if len(layer) > b.limits.worlds {
		return false
	}
	var worlds [][]int64
	for _, key := range sortedKeys(layer) {
		worlds = append(worlds, layer[key])
	}
	for i, f := range p.found {
		f.outcomes |= s.found[i].outcomes
		if len(s.reads[i]) > 0 {
			f.reads(listed(s.reads[i]))
		}
		if len(s.looks[i]) > 0 {
			f.looks(listed(s.looks[i]))
		}
	}
	for k, item := range j.items {
		b.saw(item, s.lo[k], s.hi[k])
	}
	b.put(&joint{items: j.items, worlds: worlds})
	return true
}

// searched is a search under way. A state is what has been carried out and what
// the items hold.
type searched struct {
	p            *part
	at           [][2]int
	found        []found
	reads, looks [][]int64
	lo, hi       []int64
	left         int
}

func stateKey(done uint32, world []int64) string {
	return string(encode(binary.LittleEndian.AppendUint32(nil, done), world))
}

func sortedKeys(layer map[string][]int64) []string {
	keys := make([]string, 0, len(layer))
	for k := range layer {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// step carries out one more command in every possible way; nil when there are
// too many states.
func (s *searched) step(layer map[string][]int64) map[string][]int64 {
	next := map[string][]int64{}
	for key, w := range layer {
		done := binary.LittleEndian.Uint32([]byte(key[:4]))
		for i, r := range s.p.rules {
			if done&(1<<i) != 0 {
				continue
			}
			if s.left--; s.left < 0 {
				return nil
			}
			after := done | 1<<i
			if r.read {
				s.found[i].may(r.always)
				if r.turn {
					s.reads[i] = noted(s.reads[i], w[s.at[i][0]])
				}
				next[stateKey(after, w)] = w
				continue
			}
			from, to, amount := s.at[i][0], s.at[i][1], r.command.Amount
			idle, commit := r.result(w[from])
			s.found[i].may(idle)
			if r.turn {
				s.looks[i] = noted(s.looks[i], w[from])
			}
			if idle != 0 {
				next[stateKey(after, w)] = w
				if idle&aborted != 0 && w[from] >= amount {
					s.saw(from, w[from]-amount)
					s.saw(to, add(w[to], amount))
				}
			}
			if commit {
				s.found[i].may(committed)
				moved := slices.Clone(w)
				moved[from], moved[to] = w[from]-amount, add(w[to], amount)
				s.saw(from, moved[from])
				s.saw(to, moved[to])
				next[stateKey(after, moved)] = moved
			}
		}
	}
	return next
}

func (s *searched) saw(at int, v int64) { s.lo[at], s.hi[at] = min(s.lo[at], v), max(s.hi[at], v) }

// noted adds v to a list of different values.
func noted(list []int64, v int64) []int64 {
	if slices.Contains(list, v) {
		return list
	}
	return append(list, v)
}
