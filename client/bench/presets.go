package bench

import (
	"fmt"
	"strings"

	"paxbank/internal/topology"
)

// preset is a workload with a name. What a flag says overrides it.
type preset struct {
	name, what   string
	mix          mix
	transactions int64    // 0: by duration
	clusters     int      // of the bank, unless the user chose one; 0: the default
	nodes        int      // in a cluster
	mapping      []string // how the workload it is named after becomes transfers and reads
}

// ycsbMapping: what a key-value workload becomes in a bank. Workloads D and E
// have no counterpart (nothing is inserted or scanned), and F is A, since every
// transfer reads before it writes.
var ycsbMapping = []string{
	"read a record: linearisable read of an item",
	"update a record: intra-shard transfer of 1 to 10 between two items",
	"zipfian request distribution: zipf 0.99 over the items of each cluster",
}

// presets in the order in which they are listed.
var presets = []preset{
	{name: "course-200", what: "200 transactions, 80 % writes, 20 % of them cross-shard, uniform",
		mix: mix{Reads: 0.2, Cross: 0.2}, transactions: 200},
	{name: "course-2000", what: "2,000 transactions, 90 % writes, 20 % of them cross-shard, strongly skewed",
		mix: mix{Reads: 0.1, Cross: 0.2, Theta: 0.99}, transactions: 2000},
	{name: "course-30000", what: "30,000 writes, intra-shard, uniform", transactions: 30_000},
	{name: "course-5x5", what: "2,000 transactions on 5 clusters of 5, 80 % writes, 20 % of them cross-shard, uniform",
		mix: mix{Reads: 0.2, Cross: 0.2}, transactions: 2000, clusters: 5, nodes: 5},
	{name: "smallbank", what: "the six operations of SmallBank, 20 % of those with two customers cross-shard",
		mix: mix{Cross: 0.2, SmallBank: true}, mapping: smallBankMapping()},
	{name: "ycsb-a", what: "50 % reads, 50 % updates, zipf 0.99", mix: mix{Reads: 0.5, Theta: 0.99}, mapping: ycsbMapping},
	{name: "ycsb-b", what: "95 % reads, 5 % updates, zipf 0.99", mix: mix{Reads: 0.95, Theta: 0.99}, mapping: ycsbMapping},
	{name: "ycsb-c", what: "reads only, zipf 0.99", mix: mix{Reads: 1, Theta: 0.99}, mapping: ycsbMapping},
}

func smallBankMapping() []string {
	lines := []string{"customer: two neighbouring items of a cluster, savings and checking; teller: the cluster's first item"}
	for _, o := range smallBank {
		lines = append(lines, fmt.Sprintf("%s, %d %%: %s", o.name, o.weight, o.becomes))
	}
	return lines
}

func findPreset(name string) (*preset, error) {
	var names []string
	for i := range presets {
		if presets[i].name == name {
			return &presets[i], nil
		}
		names = append(names, presets[i].name)
	}
	return nil, fmt.Errorf("there is no preset %q; there are %s", name, strings.Join(names, ", "))
}

// The default bank of a benchmark. Its balances are so high that no transfer
// fails for want of money.
const (
	DefaultClusters       = 3
	DefaultNodes          = 3
	DefaultItems          = 9000
	DefaultInitialBalance = 1_000_000
)

// topology of the bank that the preset asks for.
func (p *preset) topology() (*topology.Topology, error) {
	clusters, nodes := DefaultClusters, DefaultNodes
	if p.clusters > 0 {
		clusters, nodes = p.clusters, p.nodes
	}
	return topology.Uniform(clusters, nodes, DefaultItems, DefaultInitialBalance)
}
