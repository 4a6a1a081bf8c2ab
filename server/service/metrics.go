package service

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"paxbank/server/bank"
	"paxbank/server/replica"
)

// scrapeTimeout bounds how long a scrape waits for the owner.
const scrapeTimeout = 2 * time.Second

// collector turns the node's own counters into Prometheus metrics when it is
// asked, so that nothing is counted twice on the hot path.
type collector struct {
	node *Node

	up, live, ready, epoch                   *prometheus.Desc
	applied, commit, last                    *prometheus.Desc
	requests, locks, prepared, decided       *prometheus.Desc
	elections, answers, reads, latency, hold *prometheus.Desc
	sent, bytes, syncs, dropped              *prometheus.Desc
}

// Collector returns the node's metrics for a Prometheus registry.
func (n *Node) Collector() prometheus.Collector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("paxbank_"+name, help, labels, prometheus.Labels{"node": n.opts.ID})
	}
	return &collector{
		node:      n,
		up:        desc("configured", "1 when the node knows which bank it belongs to."),
		live:      desc("live", "1 when the node is connected."),
		ready:     desc("leader_ready", "1 when the node leads its cluster and serves."),
		epoch:     desc("epoch", "Number of the current reset."),
		last:      desc("log_last_index", "Last index in the log."),
		commit:    desc("log_commit_index", "Highest index known to be chosen."),
		applied:   desc("log_applied_index", "Highest index applied."),
		requests:  desc("requests", "Client requests under way."),
		locks:     desc("locks", "Items locked by cross-shard transfers."),
		prepared:  desc("prepared", "Cross-shard transfers prepared and not decided."),
		decided:   desc("decided", "Decisions that the participant has not acknowledged."),
		elections: desc("elections_won", "Elections won since the process started or was reset."),
		answers:   desc("answers_total", "Transfers answered since the last reset, by outcome.", "outcome"),
		reads:     desc("reads_total", "Reads answered since the last reset."),
		latency:   desc("latency_seconds", "Time from a request to its answer at this node."),
		hold:      desc("lock_hold_seconds", "Life of a lock."),
		sent:      desc("messages_sent_total", "Messages sent to other nodes."),
		bytes:     desc("bytes_sent_total", "Bytes sent to other nodes."),
		syncs:     desc("disk_syncs_total", "Synced writes to disk."),
		dropped:   desc("messages_dropped_total", "Messages dropped, by reason.", "reason"),
	}
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	put := func(d *prometheus.Desc, t prometheus.ValueType, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, t, v, labels...)
	}
	flag := func(d *prometheus.Desc, v bool) {
		f := 0.0
		if v {
			f = 1
		}
		put(d, prometheus.GaugeValue, f)
	}
	gauge := func(d *prometheus.Desc, v uint64) { put(d, prometheus.GaugeValue, float64(v)) }
	count := func(d *prometheus.Desc, v uint64, labels ...string) {
		put(d, prometheus.CounterValue, float64(v), labels...)
	}
	net := c.node.opts.Transport.Counters()
	count(c.sent, net.MessagesSent)
	count(c.bytes, net.BytesSent)
	count(c.syncs, c.node.opts.Store.Syncs())
	count(c.dropped, net.Overflowed, "overflow")
	count(c.dropped, net.Strange, "strange")
	count(c.dropped, net.Malformed, "malformed")
	inc := c.node.current.Load()
	flag(c.up, inc != nil)
	if inc == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	var s replica.Status
	var k replica.Counters
	if inc.engine.do(ctx, "its metrics", func() { s, k = inc.engine.core.Status(), *inc.engine.core.Counters() }) != nil {
		return
	}
	flag(c.live, s.Live)
	flag(c.ready, s.Ready)
	gauge(c.epoch, inc.epoch)
	gauge(c.last, s.LastIndex)
	gauge(c.commit, s.CommitIndex)
	gauge(c.applied, s.Applied)
	gauge(c.requests, uint64(s.Requests))
	gauge(c.locks, uint64(s.Locks))
	gauge(c.prepared, uint64(s.Prepared))
	gauge(c.decided, uint64(s.Decided))
	gauge(c.elections, s.Elections)
	count(c.reads, k.Reads)
	for o := bank.OutcomeCommitted; o <= bank.OutcomeInvalid; o++ {
		count(c.answers, k.Outcomes[o], o.String())
	}
	ch <- constHistogram(c.latency, &k.Latency)
	ch <- constHistogram(c.hold, &k.LockHold)
}

// constHistogram keeps every sixteenth bucket: one a doubling.
func constHistogram(d *prometheus.Desc, h *replica.Histogram) prometheus.Metric {
	buckets := map[float64]uint64{}
	sum := uint64(0)
	for i, n := range h.Buckets {
		sum += n
		if i%16 == 15 && i < 16*24 {
			buckets[float64(h.Upper(i))/1e6] = sum
		}
	}
	return prometheus.MustNewConstHistogram(d, h.Count, float64(h.SumMicros)/1e6, buckets)
}
