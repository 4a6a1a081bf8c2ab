package main

import (
	"bytes"
	"encoding/csv"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"paxbank/server/sim"
	"paxbank/server/transport"
)

// play runs the command and returns what it prints, with runs of blanks made one.
func play(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	code = run(args, &out, &err)
	blanks := regexp.MustCompile(` +`)
	return code, blanks.ReplaceAllString(out.String(), " "), err.String()
}

func TestCounts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "scale.csv")
	code, out, stderr := play(t, "-clusters", "1,3", "-nodes", "3", "-cross", "0,100", "-alone", "3", "-together", "10", "-waves", "1", "-csv", path)
	if code != 0 || stderr != "" {
		t.Fatalf("exit code %d, %s", code, stderr)
	}
	for _, want := range []string{
		// Nodes, cross, clusters, messages, envelopes; bytes are the transport's; entries,
		// syncs, waits.
		`3 \| 0 \| 1 \| 5 \| 5 \| \d{3} \| 1 \| 3 \| 4 \+ 1 \|`,
		`3 \| 100 \| 3 \| 28 \| 28 \| 1\d{3} \| 5 \| 14 \| \| 12 \+ 3`,
		`3 \| 0 \| 3 \| 0\.5 \| 0\.5 \| \d{3} \| 1 \| 0\.3`,
		`3 \| 100 \| 3 \| alone \| 9 \| 9 \| 6 \| 1 \| 1 \| 1 \| 1`,
		`3 \| 3 \| \d+ \| 18 \| 60 \| 20 \| 8`,
	} {
		if !regexp.MustCompile(`(?m)^ ` + want + `$`).MatchString(out) {
			t.Errorf("no row %s in\n%s", want, out)
		}
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	// 1 and 3 clusters without cross-shard transfers, 3 with; each alone and together.
	if len(rows) != 1+2*3 {
		t.Fatalf("%d rows: %v", len(rows), rows)
	}
	at := func(column string) int { return slices.Index(rows[0], column) }
	for _, c := range []struct {
		row          int
		column, want string
	}{
		{1, "kind", "all"}, {1, "sent", "alone"}, {1, "verdict", "pass"}, {1, "messages", "5"}, {1, "host", "simulator, seed 1"},
		{5, "load", "alone, 100 % cross-shard"}, {5, "clusters", "3"}, {5, "messages", "28"}, {5, "accept", "9"}, {5, "twopc", "4"}, {5, "syncs", "14"},
		{5, "envelopes", "28"}, {6, "sent", "together"}, {6, "transfers", "30"}, {6, "twopc", "4"},
	} {
		if got := rows[c.row][at(c.column)]; got != c.want {
			t.Errorf("row %d: %s is %q, want %q", c.row, c.column, got, c.want)
		}
	}
}

func TestCapacity(t *testing.T) {
	path := filepath.Join(t.TempDir(), "capacity.csv")
	code, out, stderr := play(t, "capacity", "-machines", "3,30", "-cross", "0,100", "-under-way", "40", "-cores", "2", "-busy", "0.5",
		"-cpu-us", "10", "-cross-cpu-us", "100", "-owner-us", "1", "-envelope-us", "0.001", "-fsync-us", "50", "-rtt-us", "100",
		"-measured", "0=100000,50=20000", "-measured-alone-us", "250", "-measured-cross-alone-us", "1100", "-csv", path)
	if code != 0 || stderr != "" {
		t.Fatalf("exit code %d, %s", code, stderr)
	}
	for _, want := range []string{
		"A transfer that is alone, in delays + syncs: 4 + 1 = 250 µs; cross-shard 12 + 3 = 750 µs\n",
		// 3 machines of 2 cores, half busy: 3 s of CPU a second, at 10 µs; one loop a
		// machine, half busy, at 1 µs; 3 × 40 under way, for one and a half syncs of 3 ×
		// 50 µs each, or for 250 µs when no disk is busy.
		" 3 | 3 | 9 | 0 | 300,000 | 1,500,000 | 533,000 | ", " | 480,000 | 300,000 | processors | 0.4\n",
		" 30 | 30 | 90 | 0 | 3,000,000 | 15,000,000 | 5,330,000 | ",
		"transfers/s, 0 % of them cross-shard, all processors busy | 200,000 | 100,000 | 50 %\n",
		"transfers/s, 50 % of them cross-shard, all processors busy | 36,364 | 20,000 | 55 %\n",
		// Two round trips and a write take 250 µs there, so a round trip 100.
		"(round trip 100 µs by the intra-shard one) | 750 | 1,100 | 147 %\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if want := "pass,all,3,3,0,300000,300,processors,0.4,"; !strings.Contains(string(data), want) {
		t.Errorf("no %q in\n%s", want, data)
	}
}

// TestCapacityOfSingleNodes: what does not exist is no bound.
func TestCapacityOfSingleNodes(t *testing.T) {
	code, out, stderr := play(t, "capacity", "-nodes", "1", "-machines", "1", "-cross", "0", "-under-way", "4")
	if want := " 1 | 1 | 1 | 0 | 389,000 | 875,000 | 18,000 | | 11,500 | 11,500 | under way | 0.348\n"; code != 0 || !strings.Contains(out, want) {
		t.Errorf("exit code %d, %s; no %q in\n%s", code, stderr, want, out)
	}
}

// TestModelCountsEnvelopes: the model's formula is what the simulator counts.
func TestModelCountsEnvelopes(t *testing.T) {
	for _, c := range []struct{ clusters, cross, together int }{{2, 100, 40}, {5, 100, 40}, {12, 100, 40}, {12, 20, 40}, {12, 100, 8}} {
		s, err := sim.Measure(sim.ScaleOptions{Seed: 1, Clusters: c.clusters, Nodes: 1, CrossPercent: c.cross, Together: c.together, Waves: 1, Size: transport.Size})
		if err != nil {
			t.Fatal(err)
		}
		got, want := each(&s.Together, s.Together.Envelopes), envelopes(c.clusters, c.cross, c.together)
		if math.Abs(got-want) > want/2 {
			t.Errorf("%+v: %g envelopes of two-phase commit a transfer, want about %g", c, got, want)
		}
	}
}

// TestBoundsByHand: what machines add, and what many clusters take away again.
func TestBoundsByHand(t *testing.T) {
	d := deployment{nodes: 3, leads: 1, cores: 4, busy: 0.5, cpu: 10, crossCPU: 100, ownerCPU: 1, envelopeCPU: 25, fsync: 100, rtt: 100, megabits: 8, underWay: 200, here: 3}
	p := prices{intra: steps{4, 1}, cross: steps{12, 3}, bytes: 1000}
	b := d.bounds(27, 100, &p)
	// Among 27 clusters a hundred transfers need 4 × 26 envelopes, among 3 they need 8:
	// 0.96 more for each.
	want := bounds{processors: 27 * 4 * 0.5e6 / (100 + 0.96*25), owners: 27 * 0.5e6 / 10, disks: 27 * 200 * 1e6 / (3 * 1.5 * 300),
		network: 27 * 1e6 / 1000, clients: 27 * 200 * 1e6 / 900}
	for _, x := range [][2]float64{{b.processors, want.processors}, {b.owners, want.owners}, {b.disks, want.disks}, {b.network, want.network}, {b.clients, want.clients}} {
		if math.Abs(x[0]-x[1]) > 1e-6*x[1] {
			t.Errorf("got %+v, want %+v", b, want)
			break
		}
	}
	if rate, name := b.lowest(); name != "network" || rate != b.network {
		t.Errorf("the limit is %s at %g: %+v", name, rate, b)
	}
}

func TestWrongUse(t *testing.T) {
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"-clusters x", 64, `"x" is no whole number`},
		{"-alone 0", 64, "must be positive"},
		{"more", 64, `unexpected argument "more"`},
		{"-clusters 400 -nodes 3", 1, "at most 1000 nodes"},
		{"-clusters 1 -nodes 1 -csv no/such/directory.csv", 1, "no/such/directory.csv"},
		{"capacity -under-way 4 -machines 2", 64, "the 3 nodes of a cluster want one each"},
		{"capacity -under-way 4 -machines 400", 64, "more than the 1000 nodes that a bank may have"},
		{"capacity -fsync-us 0", 64, "must be positive"},
		{"capacity -busy 1.5", 64, "more than all"},
		{"capacity -leads 0", 64, "at least one node"},
		{"capacity -measured 20", 64, "want SHARE=RATE"},
		{"-help", 0, "Usage of scale"},
		{"capacity -help", 0, "-cross-cpu-us"},
	} {
		if code, _, stderr := play(t, strings.Fields(c.args)...); code != c.code || !strings.Contains(stderr, c.want) {
			t.Errorf("%s: exit code %d with %q, want %d with %q", c.args, code, stderr, c.code, c.want)
		}
	}
}
