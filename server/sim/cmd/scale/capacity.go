package main

import (
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/gocarina/gocsv"
)

// measured is what was measured of a bank on one machine, to hold the model against.
type measured struct {
	cores         int
	rates         rates
	alone, across float64 // µs that a transfer takes that is alone: intra-shard, cross-shard
}

// rates are measured transfers/s by cross-shard share, as a flag.
type rates []struct {
	cross int
	perS  float64
}

func (r *rates) String() string {
	texts := make([]string, len(*r))
	for i, v := range *r {
		texts[i] = fmt.Sprintf("%d=%.0f", v.cross, v.perS)
	}
	return strings.Join(texts, ",")
}

// Set is for package flag.
func (r *rates) Set(text string) error {
	*r = nil
	for part := range strings.SplitSeq(text, ",") {
		cross, perS, _ := strings.Cut(strings.TrimSpace(part), "=")
		c, err1 := strconv.Atoi(cross)
		v, err2 := strconv.ParseFloat(perS, 64)
		if err1 != nil || err2 != nil || c < 0 || c > 100 || !(v > 0) {
			return fmt.Errorf("%q: want SHARE=RATE such as 20=90000, the share in per cent", part)
		}
		*r = append(*r, struct {
			cross int
			perS  float64
		}{c, v})
	}
	return nil
}

// question is what the model is asked.
type question struct {
	deployment
	machines, crosses numbers
	measured          measured
	csvFile           string
}

// ask reads the command line.
func ask(args []string, stderr io.Writer) (*question, error) {
	q := &question{machines: numbers{3, 10, 30, 100, 300}, crosses: numbers{0, 20, 100},
		measured: measured{rates: rates{{0, 253_342}, {20, 64_096}, {100, 20_281}}}}
	fs := flag.NewFlagSet("scale capacity", flag.ContinueOnError)
	fs.Var(&q.machines, "machines", "numbers of machines")
	fs.Var(&q.crosses, "cross", "cross-shard shares, in per cent of the transfers")
	fs.IntVar(&q.nodes, "nodes", 3, "nodes of a cluster, each on another machine; -cpu-us and -cross-cpu-us are for so many")
	fs.IntVar(&q.leads, "leads", 1, "clusters that each machine leads; all their other nodes are on other machines")
	fs.IntVar(&q.cores, "cores", 4, "processors of a machine")
	fs.Float64Var(&q.busy, "busy", 0.7, "part of them that may be busy")
	fs.Float64Var(&q.cpu, "cpu-us", 7.2, "CPU of an intra-shard transfer on all nodes together, µs")
	fs.Float64Var(&q.crossCPU, "cross-cpu-us", 94.6, "CPU of a cross-shard transfer on all nodes together, µs")
	fs.Float64Var(&q.ownerCPU, "owner-us", 0.8, "CPU of an intra-shard transfer in the leader's one loop, µs")
	fs.Float64Var(&q.envelopeCPU, "envelope-us", 20, "CPU of sending and receiving an envelope between nodes, µs")
	fs.Float64Var(&q.fsync, "fsync-us", 148, "time of a synced write, µs")
	fs.Float64Var(&q.rtt, "rtt-us", 200, "time of a round trip between two machines, µs")
	fs.Float64Var(&q.megabits, "mbit", 10_000, "what a machine can send, Mbit/s")
	fs.IntVar(&q.underWay, "under-way", 1024, "transfers under way in every cluster")
	fs.IntVar(&q.here, "measured-clusters", 3, "clusters of the bank whose CPU was measured")
	fs.IntVar(&q.measured.cores, "measured-cores", 2, "processors of the one machine that was measured")
	fs.Var(&q.measured.rates, "measured", "transfers/s there, by cross-shard share in per cent")
	fs.Float64Var(&q.measured.alone, "measured-alone-us", 552, "time of an intra-shard transfer that was alone there, µs")
	fs.Float64Var(&q.measured.across, "measured-cross-alone-us", 1610, "time of a cross-shard transfer that was alone there, µs")
	fs.StringVar(&q.csvFile, "csv", "", "write the table to this file too")
	if err := parse(fs, args, stderr); err != nil {
		return nil, err
	}
	if err := q.validate(); err != nil {
		return nil, badUsage(stderr, "%v", err)
	}
	for _, n := range q.machines {
		if err := q.fits(n); err != nil {
			return nil, badUsage(stderr, "%v", err)
		}
	}
	return q, nil
}

func capacityCommand(args []string, stdout, stderr io.Writer) error {
	q, err := ask(args, stderr)
	if err != nil {
		return err
	}
	var p prices
	var file []capacityRow
	counts := [][]string{{"Cross %", "Messages", "Bytes"}}
	rows := [][]string{{"Machines", "Clusters", "Nodes", "Cross %", "Processors", "Leaders' loops", "Disks", "Network", "Under way",
		"Transfers/s", "Limit", "Mean latency, ms"}}
	for _, cross := range q.crosses {
		if p, err = q.price(cross); err != nil {
			return err
		}
		counts = append(counts, []string{strconv.Itoa(cross), amount(p.messages), amount(p.bytes)})
		for _, n := range q.machines {
			b := q.bounds(n, cross, &p)
			row := q.row(n, cross, &b)
			file = append(file, row)
			rows = append(rows, []string{strconv.Itoa(n), strconv.Itoa(row.Clusters), strconv.Itoa(row.Clusters * q.nodes), strconv.Itoa(cross),
				about(b.processors), about(b.owners), about(b.disks), about(b.network), about(b.clients), about(row.PerS), row.Limit, amount(row.Mean)})
		}
	}
	if q.csvFile != "" {
		if err := create(q.csvFile, func(w io.Writer) error { return gocsv.Marshal(file, w) }); err != nil {
			return err
		}
	}
	fmt.Fprintf(stdout, "%s\n", &q.deployment)
	fmt.Fprintf(stdout, "\nA transfer with %d under way in every cluster, counted in the simulator\n", q.underWay)
	if err := table(stdout, counts); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "\nA transfer that is alone, in delays + syncs: %d + %d = %.0f µs; cross-shard %d + %d = %.0f µs\n",
		p.intra.delays, p.intra.syncs, q.alone(p.intra), p.cross.delays, p.cross.syncs, q.alone(p.cross))
	fmt.Fprint(stdout, "\nTransfers/s at which something has no more to give\n")
	if err := table(stdout, rows); err != nil {
		return err
	}
	fmt.Fprint(stdout, "\nThe model on the machine that was measured\n")
	return table(stdout, q.compare(&q.measured, &p))
}

// row is what the bounds of a number of machines and a mix come to.
func (q *question) row(machines, cross int, b *bounds) capacityRow {
	perS, limit := b.lowest()
	clusters := machines * q.leads
	return capacityRow{Verdict: "pass", Kind: "all", Machines: machines, Clusters: clusters, Cross: cross, PerS: perS, Thousand: perS / 1000, Limit: limit,
		Mean:   float64(clusters*q.underWay) / perS * 1e3, // Little's law
		Host:   fmt.Sprintf("model of %d cores, %g and %g µs of CPU, fsync %g µs", q.cores, q.cpu, q.crossCPU, q.fsync),
		Commit: commit()}
}

// capacityRow is a row of the file, with what internal/gen/plots wants.
type capacityRow struct {
	Verdict  string  `csv:"verdict"`
	Kind     string  `csv:"kind"`
	Machines int     `csv:"machines"`
	Clusters int     `csv:"clusters"`
	Cross    int     `csv:"cross_percent"`
	PerS     float64 `csv:"committed_per_s"`
	Thousand float64 `csv:"committed_k_per_s"` // for plots
	Limit    string  `csv:"limit"`
	Mean     float64 `csv:"mean_ms"`
	Host     string  `csv:"host"`
	Commit   string  `csv:"commit"`
}

func (d *deployment) String() string {
	return fmt.Sprintf("clusters of %d, %d led by each machine; %d cores, %.0f %% busy; %g and %g µs of CPU, %g µs in the leader's loop, %g µs an envelope; fsync %g µs, round trip %g µs, %g Mbit/s; %d under way a cluster",
		d.nodes, d.leads, d.cores, 100*d.busy, d.cpu, d.crossCPU, d.ownerCPU, d.envelopeCPU, d.fsync, d.rtt, d.megabits, d.underWay)
}

// compare holds the model against one machine that does everything. Its round trip
// is what the intra-shard transfer that was alone leaves for it; the rates have their
// CPU times from the same runs, so they only show whether the processors were the
// limit.
func (d *deployment) compare(m *measured, p *prices) [][]string {
	here := *d
	here.rtt = 2 * (m.alone - float64(p.intra.syncs)*d.fsync) / float64(p.intra.delays)
	rows := [][]string{{"", "Model", "Measured", "Measured / model"}}
	add := func(what string, model, got float64) {
		rows = append(rows, []string{what, rate(model), rate(got), fmt.Sprintf("%.0f %%", 100*got/model)})
	}
	for _, r := range m.rates {
		mix := here.mix(r.cross)
		add(fmt.Sprintf("transfers/s, %d %% of them cross-shard, all processors busy", r.cross), float64(m.cores)*1e6/mix, r.perS)
	}
	add(fmt.Sprintf("µs of a cross-shard transfer that is alone (round trip %.0f µs by the intra-shard one)", here.rtt),
		here.alone(p.cross), m.across)
	return rows
}
