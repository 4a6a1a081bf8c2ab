package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"paxbank/client/session"
	"paxbank/internal/history"
	"paxbank/internal/topology"
)

// The load. It is bounded on purpose: the history of every round must be small
// enough to be judged, and the nodes share the machine with the tests.
const (
	clients = 6
	// callDeadline of a transfer or read: longer than an election.
	callDeadline = 3 * time.Second
	// pace: a client's pause between two calls.
	pace = 4 * time.Millisecond
	// itemsPerCluster take part; the first of each cluster is hot.
	itemsPerCluster = 6
)

// load is the clients' side of a run, and what they saw.
type load struct {
	b        *bank
	shape    *topology.Topology // the bank's own changes when a node moves
	sessions []*session.Session
	random   []*rand.Rand // one a client
	items    []int64
	hot      []int64
	began    time.Time

	mu    sync.Mutex
	ops   []history.Op
	count map[string]int
}

func newLoad(b *bank, seed uint64) *load {
	l := &load{b: b, shape: b.topo, began: time.Now(), count: map[string]int{}}
	for _, r := range b.topo.Items.Ranges {
		l.hot = append(l.hot, r.First)
		for i := range int64(itemsPerCluster) {
			l.items = append(l.items, r.First+i)
		}
	}
	// Half of the clients share one set of connections, as a driver's do.
	shared := b.connect()
	for i := range clients {
		nodes := shared
		if i%2 == 1 {
			nodes = b.connect()
		}
		l.sessions = append(l.sessions, b.session(nodes))
		l.random = append(l.random, rand.New(rand.NewPCG(seed, uint64(i)+1)))
	}
	return l
}

// run lets the clients work until stop is closed, and returns when every call
// has ended.
func (l *load) run(stop <-chan struct{}) *sync.WaitGroup {
	var wg sync.WaitGroup
	for i := range l.sessions {
		wg.Go(func() {
			ticker := time.NewTicker(pace)
			defer ticker.Stop()
			for {
				select {
				case <-stop:
					return
				case <-l.b.ctx.Done():
					return
				case <-ticker.C:
					l.one(l.sessions[i], l.random[i])
				}
			}
		})
	}
	return &wg
}

// one makes one call: a read, or a transfer inside a cluster or across two, of
// any items or of hot ones.
func (l *load) one(s *session.Session, r *rand.Rand) {
	pick := func() int64 {
		if r.IntN(3) == 0 {
			return l.hot[r.IntN(len(l.hot))]
		}
		return l.items[r.IntN(len(l.items))]
	}
	op := history.Op{From: pick(), Amount: 1 + r.Int64N(4)}
	if r.IntN(5) == 0 {
		op = history.Op{Read: true, Item: op.From}
	}
	for op.To = pick(); !op.Read && op.To == op.From; {
		op.To = pick()
	}
	op.Call = time.Since(l.began)
	if op.Read {
		op.To = 0
		got := s.Read(l.b.ctx, op.Item, callDeadline)
		op.Return = time.Since(l.began)
		if got.Outcome == session.Value {
			op.Outcome, op.Value = history.Value, got.Value
		}
		l.add(op, "read "+string(got.Outcome))
		return
	}
	got := s.Transfer(l.b.ctx, op.From, op.To, op.Amount, callDeadline)
	op.Return = time.Since(l.began)
	kind := "cross "
	if from, _ := l.shape.Items.Cluster(op.From); from == mustCluster(l.shape, op.To) {
		kind = "intra "
	}
	if got.Outcome == session.Unknown {
		// What one send may have done, no later answer undoes: ask until it is known.
		l.note(kind + "unknown at first")
		got = l.resolve(s, got, op.From)
		op.Return = time.Since(l.began)
	}
	op.Outcome = outcome(got.Outcome)
	l.add(op, kind+string(got.Outcome))
}

func mustCluster(t *topology.Topology, item int64) int {
	c, ok := t.Items.Cluster(item)
	if !ok {
		panic(fmt.Sprintf("item %d is in no cluster", item))
	}
	return c
}

// resolve asks what became of a transfer until that is known or the test's
// bound is spent.
func (l *load) resolve(s *session.Session, r session.Result, from int64) session.Result {
	ctx, cancel := context.WithTimeout(l.b.ctx, settleBound)
	defer cancel()
	for ctx.Err() == nil && r.Outcome == session.Unknown {
		r = s.Resolve(ctx, session.Request{Client: r.Client, Timestamp: r.Timestamp, Epoch: r.Epoch, From: from}, callDeadline)
	}
	return r
}

// outcome in the words of the history; zero for a read without an answer, which
// nobody can learn anything from.
func outcome(o session.Outcome) history.Outcome {
	switch o {
	case session.Committed:
		return history.Committed
	case session.InsufficientFunds:
		return history.InsufficientFunds
	case session.Unknown:
		return history.Indeterminate
	}
	return history.NoEffect
}

func (l *load) add(op history.Op, word string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count[word]++
	if op.Outcome == 0 {
		return
	}
	op.ID = len(l.ops)
	l.ops = append(l.ops, op)
}

func (l *load) note(word string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count[word]++
}

// summary counts what the clients were told.
func (l *load) summary() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var words []string
	for _, kind := range []string{"intra", "cross", "read"} {
		for _, o := range []string{"committed", "insufficient_funds", "aborted", "unavailable", "unknown at first", "unknown", "invalid", "value"} {
			if n := l.count[kind+" "+o]; n > 0 {
				words = append(words, fmt.Sprintf("%d %s %s", n, kind, o))
			}
		}
	}
	return strings.Join(words, ", ")
}
