package main

import (
	"flag"
	"fmt"
	"io"
	"os"

	"paxbank/server/ids"
	"paxbank/server/sim"
	"paxbank/server/transport"
)

// A matrix is every combination that is counted.
type matrix struct {
	clusters, nodes, cross numbers
	alone, together, waves int
	seed                   uint64
}

// counted is one combination and what came of it.
type counted struct {
	clusters, nodes, cross int
	sim.Scale
}

func countsCommand(args []string, stdout, stderr io.Writer) error {
	m := matrix{clusters: numbers{1, 2, 3, 6, 12, 25, 50, 100}, nodes: numbers{1, 3, 5, 7}, cross: numbers{0, 20, 100}}
	fs := flag.NewFlagSet("scale", flag.ContinueOnError)
	fs.Var(&m.clusters, "clusters", "numbers of clusters; one cluster has no cross-shard transfers")
	fs.Var(&m.nodes, "nodes", "numbers of nodes of a cluster")
	fs.Var(&m.cross, "cross", "cross-shard shares, in per cent of the transfers")
	fs.IntVar(&m.alone, "alone", 20, "transfers that are alone in the bank, one after the other")
	fs.IntVar(&m.together, "together", 100, "transfers that every cluster is sent at the same moment")
	fs.IntVar(&m.waves, "waves", 3, "so often")
	fs.Uint64Var(&m.seed, "seed", 1, "of the simulator")
	csvFile := fs.String("csv", "", "write the counts to this file too")
	if err := parse(fs, args, stderr); err != nil {
		return err
	}
	if m.alone < 1 || m.together < 1 || m.waves < 1 {
		return badUsage(stderr, "-alone, -together and -waves must be positive")
	}
	rows, err := m.count()
	if err != nil {
		return err
	}
	if *csvFile != "" {
		if err := writeCSV(*csvFile, m.seed, rows); err != nil {
			return err
		}
	}
	return m.print(stdout, rows)
}

// count plays every combination there is.
func (m *matrix) count() (rows []counted, err error) {
	for _, nodes := range m.nodes {
		for _, cross := range m.cross {
			for _, clusters := range m.clusters {
				if clusters == 1 && cross > 0 {
					continue
				}
				s, err := sim.Measure(sim.ScaleOptions{Seed: m.seed, Clusters: clusters, Nodes: nodes, CrossPercent: cross,
					Alone: m.alone, Together: m.together, Waves: m.waves, Size: transport.Size})
				if err != nil {
					return nil, fmt.Errorf("%d clusters of %d nodes, %d %% cross-shard: %w", clusters, nodes, cross, err)
				}
				rows = append(rows, counted{clusters, nodes, cross, s})
			}
		}
	}
	return rows, nil
}

// each is a count for one transfer of a load.
func each(l *sim.Load, count uint64) float64 { return float64(count) / float64(l.Transfers) }

// messages and bytes of a load, without what an idle bank sends too.
func messages(l *sim.Load) float64 { return each(l, sim.Sum(l.Messages, sim.Heartbeats()...)) }

func bytesOf(l *sim.Load) float64 { return each(l, sim.Sum(l.Bytes, sim.Heartbeats()...)) }

func entries(l *sim.Load) float64 { return each(l, sim.Sum(l.Entries)) }

// waits says in words what a latency is made of.
func waits(latency ids.Duration) string {
	if latency == 0 {
		return ""
	}
	delays, syncs := sim.Waits(latency)
	return fmt.Sprintf("%d + %d", delays, syncs)
}

func create(path string, write func(io.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := write(f); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}
