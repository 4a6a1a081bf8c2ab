package bench

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"paxbank/internal/topology"
)

// shape is a bank in which a cluster's items are not contiguous.
func shape(t *testing.T) *topology.Topology {
	t.Helper()
	top, err := topology.Uniform(3, 3, 300, 1000)
	if err != nil {
		t.Fatal(err)
	}
	top.Items.Ranges = []topology.Range{
		{First: 1, Last: 60, Cluster: 0}, {First: 71, Last: 170, Cluster: 1}, {First: 171, Last: 210, Cluster: 0}, {First: 301, Last: 400, Cluster: 2},
	}
	if err := top.Validate(); err != nil {
		t.Fatal(err)
	}
	return top
}

func TestLayout(t *testing.T) {
	top := shape(t)
	l := newLayout(top)
	seen := map[int64]bool{}
	for c := range l.clusters {
		for i := range l.clusters[c].n {
			item := l.clusters[c].item(i)
			if owner, ok := top.Items.Cluster(item); !ok || owner != c {
				t.Fatalf("number %d of cluster %d is item %d, which belongs to %d (%t)", i, c, item, owner, ok)
			}
			seen[l.clusters[c].ordinal(item)] = true
		}
	}
	if int64(len(seen)) != l.total || l.total != 300 {
		t.Errorf("%d ordinals for %d items, want 300 each", len(seen), l.total)
	}
}

func draws(w *workload, seed uint64, n int) []op {
	rng := rand.New(rand.NewPCG(seed, clientStream))
	ops := make([]op, n)
	for i := range ops {
		w.draw(rng, &ops[i])
	}
	return ops
}

func TestDrawsAreWhatTheMixSays(t *testing.T) {
	top := shape(t)
	const n = 20_000
	for name, m := range map[string]mix{
		"uniform": {Reads: 0.3, Cross: 0.25}, "skewed": {Reads: 0.3, Cross: 0.25, Theta: 0.99}, "hot": {Cross: 0.5, HotAccess: 0.9, HotItems: 0.1},
		"smallbank": {Cross: 0.4, SmallBank: true},
	} {
		w := newWorkload(m, newLayout(top))
		var count [kinds]float64
		hot := 0.0
		for _, o := range draws(w, 1, n) {
			count[o.kind]++
			from, ok := top.Items.Cluster(o.from)
			if !ok || int32(from) != o.cluster {
				t.Fatalf("%s: item %d belongs to cluster %d, not %d", name, o.from, from, o.cluster)
			}
			if slices.Index([]int64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 71, 72, 73, 74, 75, 76, 77, 78, 79, 80, 301, 302, 303, 304, 305, 306, 307, 308, 309, 310}, o.from) >= 0 {
				hot++
			}
			if o.kind == read {
				continue
			}
			to, ok := top.Items.Cluster(o.to)
			if !ok || int32(to) != o.peer || (o.kind == cross) != (from != to) || o.from == o.to || o.amount < 1 || o.amount > maxAmount {
				t.Fatalf("%s: %+v goes from cluster %d to %d", name, o, from, to)
			}
		}
		reads, crossing := m.Reads, m.Cross
		if m.SmallBank {
			reads, crossing = 0.15, m.Cross*40/85 // of the transfers, 40 in 85 have two customers
		}
		near := func(what string, got, of, p float64) {
			if math.Abs(got-of*p) > 5*math.Sqrt(of*p*(1-p)+1) {
				t.Errorf("%s: %g of %g are %s, want about %g", name, got, of, what, of*p)
			}
		}
		near("reads", count[read], n, reads)
		near("cross-shard", count[cross], n-count[read], crossing)
		if m.HotItems > 0 {
			near("from hot items", hot, n, m.HotAccess)
		}
	}
}

// One item that has all the weight is part of every transfer, pays in half of them,
// and deals with all others alike.
func TestOneHotItem(t *testing.T) {
	w := newWorkload(mix{HotAccess: 1, HotItems: 0.0001}, newLayout(topology.Default()))
	const n = 6000
	pays, partners := 0, map[int64]int{}
	for _, o := range draws(w, 1, n) {
		hot := w.layout.clusters[o.cluster].item(0)
		switch hot {
		case o.from:
			pays++
			partners[o.to]++
		case o.to:
			partners[o.from]++
		default:
			t.Fatalf("%+v leaves the hot item %d out", o, hot)
		}
	}
	if math.Abs(float64(pays)-n/2) > 5*math.Sqrt(n/4) {
		t.Errorf("it pays in %d of %d", pays, n)
	}
	if len(partners) < n/3 {
		t.Errorf("it deals with %d others in %d transfers", len(partners), n)
	}
}

func TestSeedRepeatsDraws(t *testing.T) {
	w := newWorkload(mix{Reads: 0.1, Cross: 0.2, Theta: 0.9}, newLayout(topology.Default()))
	if !slices.Equal(draws(w, 3, 500), draws(w, 3, 500)) {
		t.Error("one seed gave two sequences")
	}
	if slices.Equal(draws(w, 3, 500), draws(w, 4, 500)) {
		t.Error("two seeds gave one sequence")
	}
}

// TestClientsDrawTheSameWhateverTheOrder: what a client does follows from the
// seed and its number alone.
func TestClientsDrawTheSameWhateverTheOrder(t *testing.T) {
	sequence := func(order []int32) map[int32][]op {
		b, err := connect(withAddresses(t, topology.Default()))
		if err != nil {
			t.Fatal(err)
		}
		defer b.close()
		e, err := newEngine(load{mix: mix{Cross: 0.2}, clients: 2, inflight: 1, transactions: 5, seed: 9}, b)
		if err != nil {
			t.Fatal(err)
		}
		e.finish = 1
		got := map[int32][]op{}
		for _, c := range order {
			if o, ok := e.clients[c].next(e, c, 0); ok {
				got[c] = append(got[c], o)
			}
		}
		return got
	}
	a, b := sequence([]int32{0, 0, 0, 0, 1, 1, 1, 1}), sequence([]int32{1, 0, 1, 0, 1, 0, 0, 0})
	for c, want := range map[int32]int{0: 3, 1: 2} { // five transactions, dealt out
		if len(a[c]) != want || !slices.Equal(a[c], b[c]) {
			t.Errorf("client %d: %d and %d operations, want %d equal ones", c, len(a[c]), len(b[c]), want)
		}
	}
}

func withAddresses(t *testing.T, top *topology.Topology) *topology.Topology {
	t.Helper()
	for c := range top.Clusters {
		for i := range top.Clusters[c].Nodes {
			top.Clusters[c].Nodes[i].Address = "127.0.0.1:1"
		}
	}
	return top
}

func TestMixErrors(t *testing.T) {
	one, err := topology.Uniform(1, 1, 4, 10)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		mix  mix
		want string
	}{
		{mix{Cross: 0.5}, "two clusters"},
		{mix{SmallBank: true}, "needs 5"},
		{mix{Theta: 1.5}, "between 0 and 1"},
		{mix{Theta: math.NaN()}, "between 0 and 1"},
		{mix{Theta: 0.5, HotAccess: 0.5, HotItems: 0.5}, "exclude each other"},
		{mix{Reads: 1.1}, "--read must be"},
		{mix{Cross: -1}, "--cross must be"},
		{mix{HotAccess: 2, HotItems: 0.5}, "--hot"},
	} {
		if err := c.mix.check(newLayout(one)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want an error with %q", c.mix, err, c.want)
		}
	}
	if err := (&mix{Reads: 1}).check(newLayout(one)); err != nil {
		t.Error(err)
	}
}
