package plan

import (
	"fmt"

	"paxbank/internal/topology"
)

// Bank chooses a bank where no test set is involved.
type Bank struct {
	Topology        string `placeholder:"FILE" help:"Topology file (YAML)."`
	Clusters        *int   `placeholder:"N" help:"Number of clusters (default 3)."`
	NodesPerCluster *int   `placeholder:"N" help:"Nodes in a cluster (default 3)."`
	Items           *int64 `placeholder:"N" help:"Number of items (default 9000)."`
	InitialBalance  *int64 `placeholder:"N" help:"What every item holds at the start."`
}

// Choose returns the bank that the flags describe, with initialBalance where
// they name none; nil when no flag was given.
func (b *Bank) Choose(initialBalance int64) (*topology.Topology, error) {
	shaped := b.Clusters != nil || b.NodesPerCluster != nil || b.Items != nil || b.InitialBalance != nil
	switch {
	case b.Topology != "" && shaped:
		return nil, fmt.Errorf("--topology %s cannot be combined with --clusters, --nodes-per-cluster, --items or --initial-balance: the file says it all", b.Topology)
	case b.Topology != "":
		data, err := readFile(b.Topology, "topology")
		if err != nil {
			return nil, err
		}
		return topology.ParseYAML(b.Topology, data)
	case !shaped:
		return nil, nil
	}
	t, err := topology.Uniform(or(b.Clusters, 3), or(b.NodesPerCluster, 3), or(b.Items, 9000), or(b.InitialBalance, initialBalance))
	if err != nil {
		return nil, fmt.Errorf("the shape asked for: %w", err)
	}
	return t, nil
}
