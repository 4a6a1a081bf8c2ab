package replica

import (
	"fmt"
	"testing"

	"paxbank/internal/topology"
	"paxbank/server/bank"
	"paxbank/server/ids"
	"paxbank/server/paxos"
)

// world is a bank without a shell: messages arrive in order and at once, writes
// are durable at once, time moves only when a test says so.
type world struct {
	t       *testing.T
	topo    *topology.Topology
	lim     Limits
	now     ids.Time
	nodes   []*testNode // by number, from 1
	queue   []packet
	drop    func(p packet) bool
	answers map[uint64]Answer
	calls   uint64
}

type testNode struct {
	r       *Replica
	live    bool
	wake    ids.Time
	records []paxos.Record
}

type packet struct {
	from, to ids.Node
	m        any
}

func newWorld(t *testing.T, clusters, nodes int, items int64, change func(*topology.Topology, *Limits)) *world {
	topo, err := topology.Uniform(clusters, nodes, items, 10)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, topo: topo, lim: DefaultLimits(), now: 1_000_000_000, answers: map[uint64]Answer{}}
	w.lim.TellAfter, w.lim.SpareAfter = 0, 0 // settle lets no time pass
	w.nodes = append(w.nodes, nil)
	if change != nil {
		change(topo, &w.lim)
	}
	for n := range topo.Nodes() {
		w.nodes = append(w.nodes, &testNode{})
		w.boot(ids.Node(n + 1))
	}
	for n := range topo.Nodes() {
		w.live(ids.Node(n+1), true)
	}
	w.run(2 * Second)
	return w
}

// boot makes the replica anew from what it wrote: a crash and a restart.
func (w *world) boot(n ids.Node) {
	st, err := paxos.Replay(w.nodes[n].records)
	if err != nil {
		w.t.Fatal(err)
	}
	r, err := New(Config{Topology: w.topo, Self: n, Epoch: 1, Limits: w.lim, Seed: 1}, st, w.now)
	if err != nil {
		w.t.Fatal(err)
	}
	w.nodes[n].r, w.nodes[n].live = r, false
}

func (w *world) live(n ids.Node, live bool) {
	w.nodes[n].live = live
	w.step(n, Event{Kind: EventSetLive, Live: live})
}

func (w *world) crash(n ids.Node) {
	w.boot(n)
	for m := range w.nodes {
		if m > 0 && ids.Node(m) != n && w.nodes[m].live {
			w.step(ids.Node(m), Event{Kind: EventPeerReset, From: n})
		}
	}
}

func (w *world) step(n ids.Node, events ...Event) {
	node := w.nodes[n]
	for {
		node.r.Step(w.now, events)
		e := node.r.Effects()
		for _, rec := range e.Records {
			rec.Data = append([]byte(nil), rec.Data...)
			node.records = append(node.records, rec)
		}
		for _, s := range e.Sends {
			w.queue = append(w.queue, packet{n, s.To, s.Message})
		}
		for _, a := range e.Answers {
			if _, twice := w.answers[a.Call]; twice {
				w.t.Fatalf("call %d answered twice", a.Call)
			}
			w.answers[a.Call] = a
		}
		node.wake = e.Wake
		if e.Write == 0 {
			return
		}
		events = []Event{{Kind: EventDurable, Write: e.Write}}
	}
}

// settle delivers messages until there are none.
func (w *world) settle() {
	for n := 0; len(w.queue) > 0; n++ {
		if n > 1_000_000 {
			w.t.Fatal("messages never end")
		}
		p := w.queue[0]
		w.queue = w.queue[1:]
		if !w.nodes[p.to].live || !w.nodes[p.from].live || w.drop != nil && w.drop(p) {
			continue
		}
		w.step(p.to, Event{Kind: EventMessage, From: p.from, Message: p.m})
	}
}

// run lets time pass.
func (w *world) run(d ids.Duration) {
	w.settle()
	for end := w.now + ids.Time(d); ; {
		next, who := end+1, 0
		for n := 1; n < len(w.nodes); n++ {
			if k := w.nodes[n].wake; w.nodes[n].live && k != 0 && k < next {
				next, who = k, n
			}
		}
		if who == 0 {
			w.now = end
			return
		}
		w.now = max(w.now, next)
		w.nodes[who].wake = 0
		w.step(ids.Node(who))
		w.settle()
	}
}

func (w *world) call(n ids.Node, e Event) uint64 {
	w.calls++
	e.Call = w.calls
	if e.Deadline == 0 {
		e.Deadline = w.now + ids.Time(5*Second)
	}
	w.step(n, e)
	return w.calls
}

func (w *world) submit(n ids.Node, ts uint64, from, to, amount int64) uint64 {
	return w.call(n, Event{Kind: EventSubmit, Request: ids.Request{Client: 7, Timestamp: ts}, DoneBelow: 1,
		Transfer: ids.Transfer{From: from, To: to, Amount: amount}})
}

func (w *world) read(n ids.Node, item int64) uint64 {
	return w.call(n, Event{Kind: EventRead, Item: item})
}

func (w *world) expect(call uint64, want bank.Outcome) Answer {
	w.t.Helper()
	a, ok := w.answers[call]
	if !ok {
		w.t.Fatalf("call %d has no answer, want %s", call, want)
	}
	if a.Outcome != want {
		w.t.Fatalf("call %d: %s (%s), want %s", call, a.Outcome, a.Message, want)
	}
	return a
}

// balance checks item on every live node of its cluster.
func (w *world) balance(item, want int64) {
	w.t.Helper()
	for n := 1; n < len(w.nodes); n++ {
		if b, ok := w.nodes[n].r.Balance(item); ok && w.nodes[n].live && b != want {
			w.t.Fatalf("item %d on n%d: %d, want %d", item, n, b, want)
		}
	}
}

// clean checks that nothing is left under way anywhere.
func (w *world) clean() {
	w.t.Helper()
	for n := 1; n < len(w.nodes); n++ {
		if !w.nodes[n].live {
			continue
		}
		s := w.nodes[n].r.Status()
		if !s.Quiet || s.Locks+s.UndoRecords+s.Prepared+s.Decided+s.Requests != 0 {
			w.t.Fatalf("n%d is not clean: %+v", n, s)
		}
	}
}

func (w *world) leader(cluster int) ids.Node {
	w.t.Helper()
	found := ids.Node(0)
	for n := 1; n < len(w.nodes); n++ {
		if w.nodes[n].live && w.nodes[n].r.Status().Ready && int(w.nodes[n].r.cluster) == cluster {
			if found != 0 {
				w.t.Fatalf("n%d and n%d both lead", found, n)
			}
			found = ids.Node(n)
		}
	}
	return found
}

func (w *world) mustLead(n ids.Node) {
	w.t.Helper()
	if got := w.leader(int(w.nodes[n].r.cluster)); got != n {
		w.t.Fatalf("n%d leads, want n%d", got, n)
	}
}

func is[M any](p packet) bool { _, ok := p.m.(M); return ok }

// hold keeps messages of one kind back; the function returned delivers them.
func hold[M any](w *world) (release func()) {
	var held []packet
	w.drop = func(p packet) bool {
		if is[M](p) {
			held = append(held, p)
			return true
		}
		return false
	}
	return func() {
		w.drop = nil
		w.queue = append(w.queue, held...)
		w.settle()
	}
}

func rows(t *testing.T, r *Replica) string {
	t.Helper()
	var s string
	log, _ := r.Log(0, false)
	for _, row := range log {
		s += fmt.Sprintf("%d:(%d, %s) %s %s\n", row.Index, row.Entry.Seq, row.Entry.Phase, row.Entry.Transfer, row.Status)
	}
	return s
}
