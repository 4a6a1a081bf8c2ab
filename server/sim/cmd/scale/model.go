package main

import (
	"errors"
	"fmt"
	"math"

	"paxbank/internal/topology"
	"paxbank/server/sim"
	"paxbank/server/transport"
)

// A deployment is what the capacity model is asked about: machines of one kind.
// Every machine leads as many clusters as every other and has a follower of as many
// clusters of others, so that all have the same to do.
type deployment struct {
	nodes int // of a cluster, all on different machines
	leads int // clusters that each machine leads
	cores int
	// busy is the part of the processors that may be used: at 1 queues grow without
	// bound.
	busy float64
	// CPU of one transfer on all nodes together, in µs.
	cpu, crossCPU float64
	// ownerCPU is the part of cpu that one goroutine of the leader does, in µs: the
	// loop that owns the replica. A transfer across clusters takes as much more of
	// it, on two leaders, as it takes more CPU.
	ownerCPU float64
	// envelopeCPU is what it takes to send and receive one envelope, in µs, whatever
	// is in it.
	envelopeCPU float64
	// fsync is the time of a synced write, in µs. The nodes of a machine share its
	// disk, which does one after the other.
	fsync    float64
	rtt      float64 // of the network between any two machines, clients too, in µs
	megabits float64 // that a machine can send, a second
	underWay int     // transfers under way in every cluster
	// here is how many clusters the bank had whose CPU was measured.
	here int
}

// steps are the one-way delays and syncs that a transfer waits for, one after the
// other.
type steps struct{ delays, syncs int }

// prices is what the simulator counts for one transfer.
type prices struct {
	intra, cross    steps
	bytes, messages float64 // of a mix, between all nodes together
}

func (d *deployment) validate() error {
	for _, v := range []float64{d.busy, d.cpu, d.crossCPU, d.ownerCPU, d.envelopeCPU, d.fsync, d.rtt, d.megabits} {
		if !(v > 0) {
			return errors.New("all times and rates must be positive")
		}
	}
	switch {
	case d.nodes < 1 || d.leads < 1 || d.cores < 1 || d.here < 1 || d.underWay < 2:
		return errors.New("want at least one node, one led cluster, one core and one measured cluster, and two transfers under way")
	case d.busy > 1:
		return fmt.Errorf("more than all of the processors cannot be busy: %g", d.busy)
	}
	return nil
}

// modelClusters are simulated to count prices: enough for every cluster to deal with
// many others.
const modelClusters = 12

// together is how many transfers of a cluster share their way: while one half of
// what is under way is being written, the other half gathers for the next write.
func (d *deployment) together() int { return d.underWay / 2 }

// envelopes of a transfer in which two-phase commit's four messages travel. Those of
// the transfers that share their way share envelopes too when they go to the same
// cluster: among few clusters nearly all do, among many hardly any.
func envelopes(clusters, cross, together int) float64 {
	share := float64(cross) / 100
	return 4 * min(share, float64(clusters-1)/float64(together))
}

// price counts a mix.
func (d *deployment) price(cross int) (p prices, err error) {
	s, err := sim.Measure(sim.ScaleOptions{Seed: 1, Clusters: modelClusters, Nodes: d.nodes, CrossPercent: cross,
		Together: d.together(), Waves: 1, Size: transport.Size})
	if err != nil {
		return prices{}, err
	}
	p.bytes, p.messages = bytesOf(&s.Together), messages(&s.Together)
	p.intra, p.cross, err = d.steps()
	return p, err
}

// steps of transfers that are alone.
func (d *deployment) steps() (intra, cross steps, err error) {
	o := sim.ScaleOptions{Seed: 1, Clusters: 2, Nodes: d.nodes, Alone: 1, Together: 1, Size: transport.Size}
	s, err := sim.Measure(o)
	if err != nil {
		return steps{}, steps{}, err
	}
	intra.delays, intra.syncs = sim.Waits(s.Alone.Intra)
	o.CrossPercent = 100
	if s, err = sim.Measure(o); err != nil {
		return steps{}, steps{}, err
	}
	cross.delays, cross.syncs = sim.Waits(s.Alone.Cross)
	return intra, cross, nil
}

// mix is the CPU of a transfer of a mix, in µs, where it was measured.
func (d *deployment) mix(cross int) float64 {
	share := float64(cross) / 100
	return (1-share)*d.cpu + share*d.crossCPU
}

// alone is how long a transfer takes that is alone in the bank, in µs.
func (d *deployment) alone(s steps) float64 {
	return float64(s.delays)*d.rtt/2 + float64(s.syncs)*d.fsync
}

// synced is how long a transfer waits for disks that never rest, in µs: for each of
// its syncs until the one under way has ended, which has begun some time ago, and then
// for that which takes all that has gathered. How much that is does not matter. Its
// node takes turns with the others of the machine.
func (d *deployment) synced(s steps) float64 {
	return 1.5 * float64(s.syncs*d.nodes*d.leads) * d.fsync
}

// bounds are the rates, in transfers a second, at which something has no more to
// give. The lowest one is what the bank can do.
type bounds struct {
	processors, owners, disks, network, clients float64
}

func (b *bounds) lowest() (rate float64, name string) {
	rate, name = b.processors, "processors"
	for _, x := range []struct {
		rate float64
		name string
	}{{b.owners, "leaders' loops"}, {b.disks, "disks"}, {b.network, "network"}, {b.clients, "under way"}} {
		if x.rate < rate {
			rate, name = x.rate, x.name
		}
	}
	return rate, name
}

// fits refuses machines that the model does not speak of.
func (d *deployment) fits(machines int) error {
	clusters := machines * d.leads
	switch {
	case machines < d.nodes:
		return fmt.Errorf("%d machines: the %d nodes of a cluster want one each", machines, d.nodes)
	case clusters*d.nodes > topology.MaxNodes:
		return fmt.Errorf("%d machines: %d clusters of %d nodes are more than the %d nodes that a bank may have",
			machines, clusters, d.nodes, topology.MaxNodes)
	}
	return nil
}

// bounds of a number of machines and a mix. REQUIRES: they fit.
func (d *deployment) bounds(machines, cross int, p *prices) bounds {
	const second = 1e6
	clusters, share := machines*d.leads, float64(cross)/100
	mix := d.mix(cross)
	more := envelopes(clusters, cross, d.together()) - envelopes(d.here, cross, d.together())
	cpu := mix + max(0, more)*d.envelopeCPU
	alone := (1-share)*d.alone(p.intra) + share*d.alone(p.cross)
	m := float64(machines)
	b := bounds{
		processors: m * float64(d.cores) * d.busy * second / cpu,
		owners:     float64(clusters) * d.busy * second / (d.ownerCPU * mix / d.cpu),
		disks:      float64(clusters*d.underWay) * second / (share*d.synced(p.cross) + (1-share)*d.synced(p.intra)),
		clients:    float64(clusters*d.underWay) * second / alone,
	}
	b.network = math.Inf(1) // nodes that are alone have nothing to say
	if p.bytes > 0 {
		b.network = m * d.megabits * 1e6 / 8 / p.bytes
	}
	return b
}
