package sim

import (
	"math/rand/v2"
	"slices"
	"testing"

	"paxbank/server/ids"
	"paxbank/server/paxos"
)

// bareWorld has virtual time and randomness, and nobody in it.
func bareWorld(seed uint64) *world {
	w := &world{plan: &plan{disk: diskPlan{min: millisecond, mean: millisecond}}, now: epochStart, faulty: true,
		rng: rand.New(rand.NewPCG(seed, 1)), cov: Coverage{}}
	w.trace = trace{w: w}
	return w
}

func TestEventsHappenInOrder(t *testing.T) {
	w := bareWorld(1)
	var got []int
	times := []ids.Duration{5, 3, 9, 3, 1, 7, 3, 0, 9}
	for i, d := range times {
		w.after(d, func() { got = append(got, i) })
	}
	for range times {
		w.next()
	}
	want := []int{7, 4, 1, 3, 6, 0, 5, 2, 8} // by time, then as scheduled
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("order %v, want %v", got, want)
		}
	}
	if w.now != epochStart+9 {
		t.Errorf("now is %d after the start, want 9", w.now-epochStart)
	}
}

func TestClockRoundTrip(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		c := clock{offset: ids.Duration(rng.Int64N(int64(4000*second))) - 2000*second, drift: rng.Int64N(10_001) - 5000}
		at := epochStart + ids.Time(rng.Int64N(int64(200*second)))
		back := c.world(c.local(at))
		if c.local(back) < c.local(at) {
			t.Fatalf("clock %+v: woken at %d, where it shows less than was asked for", c, back)
		}
		if d := back - at; d > ids.Time(millisecond) || d < -ids.Time(millisecond) {
			t.Fatalf("clock %+v: %d ns away after the round trip", c, d)
		}
	}
}

func frame(last uint64) paxos.Record {
	return paxos.Record{Kind: paxos.RecordFrame, First: last, Last: last, Data: []byte{byte(last)}}
}

// TestCrashKeepsWhatIsSynced: what was reported durable survives a crash; of the
// rest a prefix may, in the order of writing, and nothing else. Every fate that
// a campaign has to meet occurs.
func TestCrashKeepsWhatIsSynced(t *testing.T) {
	met := Coverage{}
	for seed := range uint64(400) {
		w := bareWorld(seed)
		w.cov = met
		d := &disk{w: w}
		durable := uint64(0)
		buffer := [2]paxos.Record{frame(0), frame(0)}
		for i := uint64(1); i <= 10; i++ {
			for j := range buffer { // the core reuses its buffers
				last := 2*i - 1 + uint64(j)
				buffer[j].First, buffer[j].Last, buffer[j].Data[0] = last, last, byte(last)
			}
			d.write(i, buffer[:], func(n uint64) { durable = n })
		}
		for range seed % 11 {
			w.next()
		}
		d.crash()
		kept := uint64(len(d.synced)) / 2
		if kept < durable {
			t.Fatalf("seed %d: %d writes were durable, %d survive", seed, durable, kept)
		}
		for i, r := range d.synced {
			if r.Last != uint64(i+1) || len(r.Data) != 1 || r.Data[0] != byte(i+1) {
				t.Fatalf("seed %d: record %d after the crash is %+v", seed, i, r)
			}
		}
		before := durable
		d.write(1, []paxos.Record{frame(99)}, func(uint64) { durable = 99 }) // by the next process
		for len(w.queue) > 0 {
			w.next()
		}
		if durable != 99 || uint64(len(d.synced)) != 2*kept+1 {
			t.Fatalf("seed %d: %d records are synced after one write of the next process; %d had survived, and %d writes were durable",
				seed, len(d.synced), 2*kept, before)
		}
	}
	for _, fate := range crashFates {
		if met["disk: "+fate] == 0 {
			t.Errorf("in 400 crashes there was never %q", fate)
		}
	}
}

// TestRecovery: a restarted node sees whole writes up to the first that is not.
func TestRecovery(t *testing.T) {
	w := bareWorld(1)
	record := func() sector {
		r := frame(7)
		return sector{record: r, sum: sumOf(&r)}
	}
	whole, missing, torn := record(), record(), record()
	missing.missing = true
	garble(w, &torn.record)
	for _, tc := range []struct {
		name string
		left []remnant
		want int
	}{
		{"nothing", nil, 0},
		{"all of it", []remnant{{whole}, {whole, whole}}, 2},
		{"a hole in the middle", []remnant{{whole}, {missing}, {whole}}, 1},
		{"a part of a write", []remnant{{whole}, {whole, missing}, {whole}}, 1},
		{"a torn record", []remnant{{whole}, {whole}, {torn, whole}}, 2},
		{"nothing got there", []remnant{{missing}, {missing}}, 0},
	} {
		if got := len(recovered(tc.left)); got != tc.want {
			t.Errorf("%s: %d writes are read, want %d", tc.name, got, tc.want)
		}
	}
}

// TestGarbleIsSeen: no damage leaves the checksum as it was.
func TestGarbleIsSeen(t *testing.T) {
	w := bareWorld(1)
	for i := range 400 {
		r := []paxos.Record{frame(3), {Kind: paxos.RecordCommit, Commit: 3},
			{Kind: paxos.RecordPromise, Ballot: ids.Ballot{Counter: 2, Node: 1}}, {Kind: paxos.RecordCheckpoint, Commit: 9, Data: make([]byte, 40)}}[i%4]
		sum := sumOf(&r)
		before := r.Data
		if garble(w, &r); sumOf(&r) == sum {
			t.Fatalf("a damaged record of kind %d has the checksum of the whole one", r.Kind)
		}
		if len(before) == 40 && slices.Max(before) != 0 {
			t.Fatal("damage reaches the data that the node wrote")
		}
	}
}

func TestCompaction(t *testing.T) {
	d := &disk{w: bareWorld(1)}
	promise := func(n uint64) paxos.Record {
		return paxos.Record{Kind: paxos.RecordPromise, Ballot: ids.Ballot{Counter: n, Node: 1}}
	}
	d.store([]paxos.Record{promise(1), frame(1), frame(2)})
	d.store([]paxos.Record{promise(2), frame(3), {Kind: paxos.RecordCommit, Commit: 2}})
	d.store([]paxos.Record{{Kind: paxos.RecordCheckpoint, Commit: 2}})
	if len(d.synced) != 4 || d.synced[0].Ballot.Counter != 2 || d.synced[1].Last != 3 ||
		d.synced[2].Kind != paxos.RecordCommit || d.synced[3].Kind != paxos.RecordCheckpoint {
		t.Errorf("kept %+v; want the second promise, frame 3, the commit index and the checkpoint", d.synced)
	}
}

func TestParseShape(t *testing.T) {
	for shape, want := range map[string]int{"2x3": 6, "1x1": 1, "1+3+5": 9, "4": 4} {
		sizes, err := parseShape(shape)
		sum := 0
		for _, n := range sizes {
			sum += n
		}
		if err != nil || sum != want {
			t.Errorf("shape %s: %v, %v; want %d nodes", shape, sizes, err, want)
		}
	}
	for _, shape := range []string{"", "x", "0x3", "3x", "2x3x4", "1+", "-1", "50x50"} {
		if sizes, err := parseShape(shape); err == nil {
			t.Errorf("shape %q is accepted as %v", shape, sizes)
		}
	}
}
