package bench

import (
	"errors"
	"fmt"
	"math/rand/v2"
)

// kind of an operation: what it costs the bank.
type kind uint8

// The kinds.
const (
	intra kind = iota // transfer inside one cluster
	cross             // transfer between two clusters
	read
	kinds
)

var kindNames = [kinds]string{"intra", "cross", "read"}

// op is one operation of a logical client.
type op struct {
	// start is the intended start, in nanoseconds of the engine's clock.
	start            int64
	from, to, amount int64 // a read has only from
	client           int32
	cluster, peer    int32 // of from, and of to
	kind             kind
	measured         bool // not of the warm-up
}

// mix says what operations there are, in shares of 1.
type mix struct {
	Reads float64 // of all operations
	Cross float64 // of the transfers
	Theta float64 // zipf exponent of the choice of items; 0: uniform
	// HotAccess of the choices fall on the HotItems share of a cluster's items,
	// evenly; both 0: no hot items.
	HotAccess, HotItems float64
	// SmallBank: the six operations of that benchmark instead of reads and
	// transfers at random; Cross is then the share of those with two customers.
	SmallBank bool
}

// uniform reports whether all items are chosen equally often.
func (m *mix) uniform() bool { return m.Theta == 0 && m.HotItems == 0 && !m.SmallBank }

// reads reports whether there are reads among the operations.
func (m *mix) reads() bool { return m.Reads > 0 || m.SmallBank }

// maxAmount of a transfer; amounts are even from 1.
const maxAmount = 10

// SmallBank's weights of 100, as in H-Store and BenchBase, and what each of its
// operations becomes in a bank of transfers and reads. A customer is a pair of
// neighbouring items, savings and checking; the first item of every cluster is
// its teller, with whom cash is exchanged.
var smallBank = []struct {
	name, becomes string
	weight        int
}{
	{"amalgamate", "transfer savings of A to checking of B", 15},
	{"balance", "read of checking", 15},
	{"deposit checking", "transfer teller to checking", 15},
	{"send payment", "transfer checking of A to checking of B", 25},
	{"transact savings", "transfer teller to savings", 15},
	{"write check", "transfer checking to teller", 15},
}

// smallBankItems: a cluster needs a teller and two customers.
const smallBankItems = 5

// check says why the mix cannot run on these items, or nil.
func (m *mix) check(l *layout) error {
	share := func(v float64, flag string) error {
		if !(v >= 0 && v <= 1) {
			return fmt.Errorf("%s must be between 0 and 100 %%", flag)
		}
		return nil
	}
	if err := errors.Join(share(m.Reads, "--read"), share(m.Cross, "--cross")); err != nil {
		return err
	}
	switch {
	case !(m.Theta >= 0 && m.Theta <= 1):
		return fmt.Errorf("--skew %g: the zipf exponent must be between 0 and 1", m.Theta)
	case m.Theta > 0 && m.HotItems > 0:
		return errors.New("--skew and --hot exclude each other: both say which items are chosen more often")
	case m.HotItems < 0 || m.HotItems > 1 || m.HotAccess < 0 || m.HotAccess > 1:
		return errors.New("--hot: both shares must be between 0 and 100 %")
	case m.Cross > 0 && len(l.clusters) < 2:
		return errors.New("--cross needs a bank of two clusters or more; say --cross 0")
	}
	least := int64(2)
	if m.SmallBank {
		least = smallBankItems
	}
	for c := range l.clusters {
		if l.clusters[c].n < least {
			return fmt.Errorf("cluster %d has %d items; this mix needs %d in every cluster", c+1, l.clusters[c].n, least)
		}
	}
	return nil
}

// workload draws operations. It is shared by all clients and never changes.
type workload struct {
	mix    mix
	layout *layout
	// drawers choose a number below a cluster's items (SmallBank: customers).
	drawers []drawer
}

// drawer chooses one of n.
type drawer struct {
	n, hot    int64 // hot: the first so many are chosen with hotAccess
	hotAccess float64
	zipf      *zipf
}

func (d *drawer) draw(rng *rand.Rand) int64 {
	switch {
	case d.zipf != nil:
		return d.zipf.draw(rng)
	case d.hot > 0 && (d.hot == d.n || rng.Float64() < d.hotAccess):
		return rng.Int64N(d.hot)
	case d.hot > 0:
		return d.hot + rng.Int64N(d.n-d.hot)
	}
	return rng.Int64N(d.n)
}

// drawOther chooses one of n that is not taken; alone: one item has nearly all of
// the weight, so it is any of the others. REQUIRES: n ≥ 2.
func (d *drawer) drawOther(rng *rand.Rand, taken int64) (other int64, alone bool) {
	for range 32 {
		if i := d.draw(rng); i != taken {
			return i, false
		}
	}
	return (taken + 1 + rng.Int64N(d.n-1)) % d.n, true
}

// newWorkload REQUIRES: m.check(l) is nil.
func newWorkload(m mix, l *layout) *workload {
	w := &workload{mix: m, layout: l}
	for c := range l.clusters {
		d := drawer{n: l.clusters[c].n, hotAccess: m.HotAccess}
		if m.SmallBank {
			d.n = (d.n - 1) / 2
		}
		if m.HotItems > 0 {
			d.hot = min(max(int64(m.HotItems*float64(d.n)+0.5), 1), d.n)
		}
		if m.Theta > 0 {
			z := newZipf(d.n, m.Theta)
			d.zipf = &z
		}
		w.drawers = append(w.drawers, d)
	}
	return w
}

// draw fills in what o does. Clusters are chosen by their share of the items, so
// that skew falls on every cluster alike.
func (w *workload) draw(rng *rand.Rand, o *op) {
	a := w.layout.cluster(rng.Int64N(w.layout.total))
	o.cluster, o.peer = int32(a), int32(a)
	if w.mix.SmallBank {
		w.drawSmallBank(rng, o, a)
		return
	}
	i := w.drawers[a].draw(rng)
	o.from = w.layout.clusters[a].item(i)
	if w.mix.Reads > 0 && rng.Float64() < w.mix.Reads {
		o.kind, o.to, o.amount = read, 0, 0
		return
	}
	o.amount = 1 + rng.Int64N(maxAmount)
	b, j, alone := w.receiver(rng, o, a, i)
	o.to = w.layout.clusters[b].item(j)
	if alone && rng.IntN(2) == 0 {
		// An item that is part of every transfer would soon have nothing left.
		o.from, o.to = o.to, o.from
	}
}

// receiver chooses the other side of a transfer from number i of cluster a, and
// sets the kind. alone: see drawOther.
func (w *workload) receiver(rng *rand.Rand, o *op, a int, i int64) (cluster int, number int64, alone bool) {
	if w.mix.Cross == 0 || rng.Float64() >= w.mix.Cross {
		o.kind = intra
		number, alone = w.drawers[a].drawOther(rng, i)
		return a, number, alone
	}
	o.kind = cross
	b := rng.IntN(len(w.drawers) - 1)
	if b >= a {
		b++
	}
	o.peer = int32(b)
	return b, w.drawers[b].draw(rng), false
}

// drawSmallBank chooses one of the operations in smallBank.
func (w *workload) drawSmallBank(rng *rand.Rand, o *op, a int) {
	savings := func(c int, customer int64) int64 { return w.layout.clusters[c].item(1 + 2*customer) }
	checking := func(c int, customer int64) int64 { return w.layout.clusters[c].item(2 + 2*customer) }
	teller := w.layout.clusters[a].item(0)
	i := w.drawers[a].draw(rng)
	o.kind, o.amount = intra, 1+rng.Int64N(maxAmount)
	at, n := 0, rng.IntN(100)
	for n >= smallBank[at].weight {
		n -= smallBank[at].weight
		at++
	}
	switch smallBank[at].name {
	case "amalgamate":
		b, j, _ := w.receiver(rng, o, a, i)
		o.from, o.to = savings(a, i), checking(b, j)
	case "send payment":
		b, j, _ := w.receiver(rng, o, a, i)
		o.from, o.to = checking(a, i), checking(b, j)
	case "balance":
		o.kind, o.from, o.to, o.amount = read, checking(a, i), 0, 0
	case "deposit checking":
		o.from, o.to = teller, checking(a, i)
	case "transact savings":
		o.from, o.to = teller, savings(a, i)
	default: // write check
		o.from, o.to = checking(a, i), teller
	}
}
