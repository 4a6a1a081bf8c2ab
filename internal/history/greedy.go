package history

import (
	"cmp"
	"container/heap"
	"slices"
	"time"
)

// greedy builds an order front to back. What may come next is what was called
// before anything not yet placed has ended. What changes nothing (reads,
// insufficient_funds) is placed as soon as it is possible, which never hurts;
// of the rest, the transfer that has to end first and has the money. With
// helpful set, when a reader has to end next, a transfer that makes it possible
// at once goes before the others. It is a guess: false proves nothing.
func (p *piece) greedy(helpful bool) bool {
	g := &greedyOrder{
		p:       p,
		state:   slices.Clone(p.start),
		done:    make([]bool, len(p.ops)),
		readers: make([][]int, len(p.items)),
		poor:    make([][]int, len(p.items)),
		on:      make([][]int, len(p.items)),
	}
	for i := range p.ops {
		g.byEnd = append(g.byEnd, i)
	}
	slices.SortStableFunc(g.byEnd, func(a, b int) int { return cmp.Compare(p.ops[a].end(), p.ops[b].end()) })
	for {
		for g.nextEnd < len(g.byEnd) && g.done[g.byEnd[g.nextEnd]] {
			g.nextEnd++
		}
		if g.nextEnd == len(g.byEnd) {
			return true
		}
		next := g.byEnd[g.nextEnd]
		if p.ops[next].Outcome == Indeterminate {
			return true // only those are left, and they may never happen
		}
		for g.called < len(p.ops) && p.ops[g.called].Call <= p.ops[next].end() {
			g.call(g.called)
			g.called++
		}
		if !g.done[next] && !(helpful && g.helpReader(next)) && !g.placeFirst() {
			return false
		}
	}
}

type greedyOrder struct {
	p       *piece
	state   []int64
	done    []bool
	byEnd   []int
	nextEnd int     // position in byEnd of the first operation not placed
	called  int     // ops[:called] have been called (ops are sorted by Call)
	ready   endHeap // called transfers, by end
	poor    [][]int // by item: called transfers that found too little money there
	readers [][]int // by item: called readers that were not possible yet
	on      [][]int // by item: called transfers that change it
}

// call makes an operation a candidate, or places it when it changes nothing
// and is possible now.
func (g *greedyOrder) call(i int) {
	op := &g.p.ops[i]
	if !op.Read && op.Outcome != InsufficientFunds {
		heap.Push(&g.ready, candidate{op.end(), i})
		for _, item := range [...]int64{op.From, op.To} {
			if slot, ok := g.p.slot[item]; ok {
				g.on[slot] = append(g.on[slot], i)
			}
		}
		return
	}
	if g.p.step(g.state, op) {
		g.done[i] = true
		return
	}
	slot := g.p.slot[op.looksAt()]
	g.readers[slot] = append(g.readers[slot], i)
}

// looksAt is the item whose balance decides whether op is possible.
func (op *Op) looksAt() int64 {
	if op.Read {
		return op.Item
	}
	return op.From
}

// placeFirst places the transfer that has to end first among those that have
// the money.
func (g *greedyOrder) placeFirst() bool {
	for g.ready.Len() > 0 {
		c := heap.Pop(&g.ready).(candidate)
		if !g.done[c.op] && g.place(c.op) {
			return true
		}
	}
	return false
}

// helpReader places a transfer after which the reader i is possible or, if
// there is none, one that brings it nearer.
func (g *greedyOrder) helpReader(i int) bool {
	reader := &g.p.ops[i]
	if !reader.Read && reader.Outcome != InsufficientFunds {
		return false
	}
	item := reader.looksAt()
	slot := g.p.slot[item]
	g.on[slot] = slices.DeleteFunc(g.on[slot], func(t int) bool { return g.done[t] })
	up := reader.Read && reader.Value > g.state[slot]
	nearer := -1
	const most = 256 // transfers looked at; it is only a guess
	for _, t := range g.on[slot][:min(most, len(g.on[slot]))] {
		op := &g.p.ops[t]
		if !g.rich(op) {
			continue
		}
		balance := g.state[slot]
		if item == op.From {
			balance -= op.Amount
		} else {
			balance += op.Amount
		}
		possible := balance == reader.Value
		if !reader.Read {
			possible = balance < reader.Amount
		}
		if possible {
			return g.place(t)
		}
		if nearer < 0 && up == (item == op.To) {
			nearer = t
		}
	}
	return nearer >= 0 && g.place(nearer)
}

// rich reports whether the sender has the money for op.
func (g *greedyOrder) rich(op *Op) bool {
	slot, ok := g.p.slot[op.From]
	return !ok || g.state[slot] >= op.Amount
}

// place carries transfer i out, then the readers that waited for the balances
// it leaves; transfers that waited for its money become candidates again. A
// transfer without money is put aside until its sender gets some.
func (g *greedyOrder) place(i int) bool {
	op := &g.p.ops[i]
	if !g.rich(op) {
		slot := g.p.slot[op.From]
		g.poor[slot] = append(g.poor[slot], i)
		return false
	}
	g.p.step(g.state, op)
	g.done[i] = true
	for _, item := range [...]int64{op.From, op.To} {
		slot, ok := g.p.slot[item]
		if !ok {
			continue
		}
		g.readers[slot] = slices.DeleteFunc(g.readers[slot], func(r int) bool {
			if !g.done[r] && g.p.step(g.state, &g.p.ops[r]) {
				g.done[r] = true
			}
			return g.done[r]
		})
		if item == op.To {
			g.poor[slot] = slices.DeleteFunc(g.poor[slot], func(t int) bool {
				if !g.rich(&g.p.ops[t]) {
					return false
				}
				heap.Push(&g.ready, candidate{g.p.ops[t].end(), t})
				return true
			})
		}
	}
	return true
}

// candidate is a called transfer and when it has to have happened.
type candidate struct {
	end time.Duration
	op  int
}

// endHeap orders candidates by end; ties by call, for a stable result.
type endHeap []candidate

func (h endHeap) Len() int { return len(h) }
func (h endHeap) Less(i, j int) bool {
	return h[i].end < h[j].end || h[i].end == h[j].end && h[i].op < h[j].op
}
func (h endHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *endHeap) Push(x any)   { *h = append(*h, x.(candidate)) }
func (h *endHeap) Pop() any {
	old := *h
	c := old[len(old)-1]
	*h = old[:len(old)-1]
	return c
}
