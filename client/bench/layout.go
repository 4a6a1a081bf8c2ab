package bench

import "paxbank/internal/topology"

// layout numbers the items of a bank: by cluster and position, for drawing
// them, and by one ordinal, for keeping what each should hold.
type layout struct {
	clusters []clusterItems
	total    int64
}

// clusterItems are the items of one cluster, numbered from 0 in ascending order.
type clusterItems struct {
	n     int64
	spans []ordinalSpan
}

// ordinalSpan gives the items first..last the numbers from number on in their
// cluster, and the ordinals from ordinal on among all items.
type ordinalSpan struct{ first, last, number, ordinal int64 }

func newLayout(t *topology.Topology) *layout {
	l := &layout{clusters: make([]clusterItems, len(t.Clusters))}
	for _, r := range t.Items.Ranges {
		n := r.Last - r.First + 1
		c := &l.clusters[r.Cluster]
		c.spans = append(c.spans, ordinalSpan{r.First, r.Last, c.n, l.total})
		c.n += n
		l.total += n
	}
	return l
}

// item is the one with this number in its cluster.
func (c *clusterItems) item(number int64) int64 {
	i := len(c.spans) - 1
	for c.spans[i].number > number {
		i--
	}
	return c.spans[i].first + number - c.spans[i].number
}

// cluster that owns the item with an ordinal drawn from all: clusters are
// chosen by their share of the items.
func (l *layout) cluster(ordinal int64) int {
	for c := range l.clusters {
		if ordinal < l.clusters[c].n {
			return c
		}
		ordinal -= l.clusters[c].n
	}
	return len(l.clusters) - 1
}

// ordinal of an item among all. REQUIRES: the item is the cluster's.
func (c *clusterItems) ordinal(item int64) int64 {
	i := 0
	for c.spans[i].last < item {
		i++
	}
	return c.spans[i].ordinal + item - c.spans[i].first
}
