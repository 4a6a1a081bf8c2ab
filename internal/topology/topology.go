// Package topology describes the shape of a bank: which clusters there are,
// which nodes they have, where the nodes listen, which cluster owns which items
// and what the items hold at the start. It is pure: it reads no file and knows
// no clock. Nothing else in the repository knows the numbers 3, 9 or 9000.
//
// topology.go has the types, the default bank, validation and the fingerprint
// (Hash) by which nodes and clients of different banks tell each other apart;
// yaml.go reads topology files; names.go is about names for items. Which cluster owns an item is asked of ItemMap
// only, because items may move one day.
package topology

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"sort"
)

// Node is one process of the bank.
type Node struct {
	ID      string
	Address string // host:port, empty until known
}

// Cluster is a group of nodes that replicate one log.
type Cluster struct {
	ID    string
	Nodes []Node
}

// Range gives the items First..Last (both included) to a cluster.
type Range struct {
	First, Last int64
	Cluster     int // position in Topology.Clusters
}

// ItemMap says which cluster owns which items. Version grows when items move.
type ItemMap struct {
	Version uint64
	Ranges  []Range // ascending, without overlap
}

// Cluster returns the position of the cluster that owns item.
func (m *ItemMap) Cluster(item int64) (cluster int, ok bool) {
	i := sort.Search(len(m.Ranges), func(i int) bool { return m.Ranges[i].Last >= item })
	if i == len(m.Ranges) || m.Ranges[i].First > item {
		return 0, false
	}
	return m.Ranges[i].Cluster, true
}

// Topology is the shape of a bank. It is read-only once validated.
type Topology struct {
	Clusters       []Cluster
	Items          ItemMap
	InitialBalance int64
	Balances       map[int64]int64 // items that start with another balance
	// ItemNames are what people call items, where they do not use the numbers. Only
	// the driver knows them: they are no part of the bank, nor of its fingerprint.
	ItemNames map[int64]string
}

// The limits of a topology.
const (
	MaxNodes = 1000
	MaxItems = 50_000_000
)

// Uniform returns a topology of clusters × nodesPerCluster nodes named n1, n2 …
// that share the items 1..items as evenly as possible, in order.
func Uniform(clusters, nodesPerCluster int, items, initialBalance int64) (*Topology, error) {
	switch {
	case clusters < 1:
		return nil, fmt.Errorf("clusters must be at least 1, got %d", clusters)
	case nodesPerCluster < 1:
		return nil, fmt.Errorf("nodes per cluster must be at least 1, got %d", nodesPerCluster)
	case clusters > MaxNodes || nodesPerCluster > MaxNodes || clusters*nodesPerCluster > MaxNodes:
		return nil, fmt.Errorf("%d clusters of %d nodes are more than %d nodes", clusters, nodesPerCluster, MaxNodes)
	case items < int64(clusters):
		return nil, fmt.Errorf("%d items are not enough for %d clusters", items, clusters)
	}
	t := &Topology{InitialBalance: initialBalance, Items: ItemMap{Version: 1}}
	n := 0
	next := int64(1)
	for c := range clusters {
		cl := Cluster{ID: fmt.Sprintf("c%d", c+1)}
		for range nodesPerCluster {
			n++
			cl.Nodes = append(cl.Nodes, Node{ID: fmt.Sprintf("n%d", n)})
		}
		t.Clusters = append(t.Clusters, cl)
		last := items * int64(c+1) / int64(clusters)
		t.Items.Ranges = append(t.Items.Ranges, Range{First: next, Last: last, Cluster: c})
		next = last + 1
	}
	return t, t.Validate()
}

// Default is the bank of the course projects: three clusters of three nodes,
// items 1 to 9000, balance 10.
func Default() *Topology {
	t, err := Uniform(3, 3, 9000, 10)
	if err != nil {
		panic(err)
	}
	return t
}

// Validate says what is wrong with the topology, or nil.
func (t *Topology) Validate() error {
	if len(t.Clusters) == 0 {
		return fmt.Errorf("topology has no clusters")
	}
	clusterIDs, nodeIDs, addresses := map[string]bool{}, map[string]bool{}, map[string]string{}
	nodes := 0
	for _, c := range t.Clusters {
		if c.ID == "" {
			return fmt.Errorf("a cluster has no id")
		}
		if clusterIDs[c.ID] {
			return fmt.Errorf("cluster %s is listed twice", c.ID)
		}
		clusterIDs[c.ID] = true
		if len(c.Nodes) == 0 {
			return fmt.Errorf("cluster %s has no nodes", c.ID)
		}
		for _, n := range c.Nodes {
			if n.ID == "" {
				return fmt.Errorf("a node of cluster %s has no id", c.ID)
			}
			if nodeIDs[n.ID] {
				return fmt.Errorf("node %s is listed twice", n.ID)
			}
			nodeIDs[n.ID] = true
			if n.Address != "" {
				if other, taken := addresses[n.Address]; taken {
					return fmt.Errorf("nodes %s and %s have the same address %s", other, n.ID, n.Address)
				}
				addresses[n.Address] = n.ID
			}
			nodes++
		}
	}
	if nodes > MaxNodes {
		return fmt.Errorf("topology has %d nodes, more than %d", nodes, MaxNodes)
	}
	if len(t.Items.Ranges) == 0 {
		return fmt.Errorf("topology has no items")
	}
	owned := make([]bool, len(t.Clusters))
	var prev, total int64
	for i, r := range t.Items.Ranges {
		if r.Cluster < 0 || r.Cluster >= len(t.Clusters) {
			return fmt.Errorf("items %d-%d belong to no cluster", r.First, r.Last)
		}
		id := t.Clusters[r.Cluster].ID
		if r.First < 1 || r.Last < r.First {
			return fmt.Errorf("cluster %s: bad item range %d-%d", id, r.First, r.Last)
		}
		if i > 0 && r.First <= prev {
			return fmt.Errorf("cluster %s: items %d-%d overlap the range that ends at %d", id, r.First, r.Last, prev)
		}
		if r.Last-r.First >= MaxItems || total+r.Last-r.First+1 > MaxItems {
			return fmt.Errorf("topology has more than %d items", MaxItems)
		}
		total += r.Last - r.First + 1
		prev = r.Last
		owned[r.Cluster] = true
	}
	for i, ok := range owned {
		if !ok {
			return fmt.Errorf("cluster %s owns no items", t.Clusters[i].ID)
		}
	}
	if t.InitialBalance < 0 {
		return fmt.Errorf("initial balance is negative: %d", t.InitialBalance)
	}
	const maxTotal = int64(1) << 62
	if t.InitialBalance > 0 && total > maxTotal/t.InitialBalance {
		return fmt.Errorf("initial balance %d is too large: the total of %d items overflows", t.InitialBalance, total)
	}
	sum := t.InitialBalance * total
	for _, item := range sortedItems(t.Balances) {
		if _, ok := t.Items.Cluster(item); !ok {
			return fmt.Errorf("balance of item %d: no cluster owns that item", item)
		}
		b := t.Balances[item]
		if b < 0 {
			return fmt.Errorf("balance of item %d is negative: %d", item, b)
		}
		if b > maxTotal || sum-t.InitialBalance > maxTotal-b {
			return fmt.Errorf("balance of item %d is too large: the total overflows", item)
		}
		sum += b - t.InitialBalance
	}
	return t.validateNames()
}

// sortedItems returns the keys of m, ascending.
func sortedItems[V any](m map[int64]V) []int64 {
	return slices.Sorted(maps.Keys(m))
}

// Balance returns what item holds at the start.
func (t *Topology) Balance(item int64) int64 {
	if b, ok := t.Balances[item]; ok {
		return b
	}
	return t.InitialBalance
}

// Total returns the sum of all initial balances.
func (t *Topology) Total() int64 {
	var sum int64
	for _, r := range t.Items.Ranges {
		sum += t.InitialBalance * (r.Last - r.First + 1)
	}
	for _, b := range t.Balances {
		sum += b - t.InitialBalance
	}
	return sum
}

// Nodes returns all nodes in topology order. A node's number (ids.Node) is its
// position here plus one.
func (t *Topology) Nodes() []Node {
	var all []Node
	for _, c := range t.Clusters {
		all = append(all, c.Nodes...)
	}
	return all
}

// Lookup returns the number of the node with this id, from 1, and the position
// of its cluster.
func (t *Topology) Lookup(id string) (number, cluster int, ok bool) {
	n := 0
	for c := range t.Clusters {
		for i := range t.Clusters[c].Nodes {
			n++
			if t.Clusters[c].Nodes[i].ID == id {
				return n, c, true
			}
		}
	}
	return 0, 0, false
}

// Hash is a fingerprint of everything except addresses, the names of items and
// the item map's version: two nodes with the same fingerprint may talk to each other. Never 0.
func (t *Topology) Hash() uint64 {
	h := sha256.New()
	str := func(s string) {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(s)))
		h.Write(n[:])
		h.Write([]byte(s))
	}
	num := func(v int64) {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(v))
		h.Write(n[:])
	}
	num(int64(len(t.Clusters)))
	for _, c := range t.Clusters {
		str(c.ID)
		num(int64(len(c.Nodes)))
		for _, n := range c.Nodes {
			str(n.ID)
		}
	}
	num(int64(len(t.Items.Ranges)))
	for _, r := range t.Items.Ranges {
		num(r.First)
		num(r.Last)
		num(int64(r.Cluster))
	}
	num(t.InitialBalance)
	for _, item := range sortedItems(t.Balances) {
		if b := t.Balances[item]; b != t.InitialBalance {
			num(item)
			num(b)
		}
	}
	return max(binary.BigEndian.Uint64(h.Sum(nil)), 1)
}
