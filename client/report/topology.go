package report

import (
	"strconv"

	"paxbank/internal/topology"
)

func topologyOf(t *topology.Topology) Topology {
	out := Topology{InitialBalance: t.InitialBalance, Clusters: []Cluster{}}
	for i, c := range t.Clusters {
		cl := Cluster{ID: c.ID, Nodes: []string{}}
		for _, n := range c.Nodes {
			cl.Nodes = append(cl.Nodes, n.ID)
		}
		for _, r := range t.Items.Ranges {
			if r.Cluster != i {
				continue
			}
			if len(cl.Ranges) == 0 {
				cl.FirstItem = r.First
			}
			cl.LastItem = r.Last
			cl.Ranges = append(cl.Ranges, [2]int64{r.First, r.Last})
		}
		if len(cl.Ranges) == 1 {
			cl.Ranges = nil
		}
		out.Clusters = append(out.Clusters, cl)
	}
	if len(t.Balances) > 0 {
		out.Balances = map[string]int64{}
		for item, b := range t.Balances {
			out.Balances[strconv.FormatInt(item, 10)] = b
		}
	}
	return out
}
