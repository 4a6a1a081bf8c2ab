// Package topologypb translates a topology between its protobuf form, which
// goes over the wire and into a node's data directory, and the form the program
// thinks in.
package topologypb

import (
	"fmt"
	"sort"

	"paxbank/internal/topology"
	pb "paxbank/proto/paxbank/v1"
)

// ToProto returns the protobuf form of t. Equal topologies give equal messages:
// balances are in the order of their items. The names of items stay behind; only
// the driver uses them.
func ToProto(t *topology.Topology) *pb.Topology {
	p := &pb.Topology{
		InitialBalance: t.InitialBalance,
		ItemMap:        &pb.ItemMap{Version: t.Items.Version},
	}
	for _, c := range t.Clusters {
		pc := &pb.Cluster{Id: c.ID}
		for _, n := range c.Nodes {
			pc.Nodes = append(pc.Nodes, &pb.Node{Id: n.ID, Address: n.Address})
		}
		p.Clusters = append(p.Clusters, pc)
	}
	for _, r := range t.Items.Ranges {
		p.ItemMap.Ranges = append(p.ItemMap.Ranges, &pb.ItemRange{
			FirstItem: r.First, LastItem: r.Last, Cluster: t.Clusters[r.Cluster].ID,
		})
	}
	for item, balance := range t.Balances {
		p.Balances = append(p.Balances, &pb.ItemBalance{Item: item, Balance: balance})
	}
	sort.Slice(p.Balances, func(i, j int) bool { return p.Balances[i].Item < p.Balances[j].Item })
	return p
}

// FromProto returns the topology that p describes, validated. The error says
// what is wrong in words that suit a person who wrote the topology.
func FromProto(p *pb.Topology) (*topology.Topology, error) {
	if p == nil {
		return nil, fmt.Errorf("topology is missing")
	}
	t := &topology.Topology{
		InitialBalance: p.GetInitialBalance(),
		Items:          topology.ItemMap{Version: p.GetItemMap().GetVersion()},
	}
	number := make(map[string]int, len(p.GetClusters()))
	for i, pc := range p.GetClusters() {
		c := topology.Cluster{ID: pc.GetId()}
		for _, pn := range pc.GetNodes() {
			c.Nodes = append(c.Nodes, topology.Node{ID: pn.GetId(), Address: pn.GetAddress()})
		}
		t.Clusters = append(t.Clusters, c)
		if _, twice := number[c.ID]; !twice {
			number[c.ID] = i
		}
	}
	for _, pr := range p.GetItemMap().GetRanges() {
		c, ok := number[pr.GetCluster()]
		if !ok {
			return nil, fmt.Errorf("items %d-%d belong to cluster %q, which is not in the topology",
				pr.GetFirstItem(), pr.GetLastItem(), pr.GetCluster())
		}
		t.Items.Ranges = append(t.Items.Ranges, topology.Range{First: pr.GetFirstItem(), Last: pr.GetLastItem(), Cluster: c})
	}
	for _, b := range p.GetBalances() {
		if t.Balances == nil {
			t.Balances = make(map[int64]int64, len(p.GetBalances()))
		}
		if _, twice := t.Balances[b.GetItem()]; twice {
			return nil, fmt.Errorf("balance of item %d is given twice", b.GetItem())
		}
		t.Balances[b.GetItem()] = b.GetBalance()
	}
	if err := t.Validate(); err != nil {
		return nil, err
	}
	return t, nil
}
