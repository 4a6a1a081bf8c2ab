// Package ids holds the names that every pure package of the server shares:
// nodes, clusters, ballots, requests, attempts and ages. It knows nothing else.
//
// A Request is what a client wants, named by (client, timestamp) however often
// it is sent. A Txn is one attempt at it by one coordinator: two-phase commit may
// need several for one request, and only one of them can commit.
package ids

import (
	"cmp"
	"fmt"
)

// Node is a node's number in its topology, from 1. Zero means "none".
type Node uint16

// Cluster is a cluster's number in its topology, from 0.
type Cluster uint16

// Time is nanoseconds since the Unix epoch on one node's clock. The core is
// told the time and never asks for it.
type Time int64

// Duration is nanoseconds.
type Duration int64

// Ballot orders leaders: by counter, then by node (Lamport, Paxos Made Simple,
// section 2.2, calls it a proposal number). The zero Ballot is below all others.
type Ballot struct {
	Counter uint64
	Node    Node
}

// Compare returns -1, 0 or +1.
func (b Ballot) Compare(c Ballot) int {
	if d := cmp.Compare(b.Counter, c.Counter); d != 0 {
		return d
	}
	return cmp.Compare(b.Node, c.Node)
}

// Less reports whether b is below c.
func (b Ballot) Less(c Ballot) bool { return b.Compare(c) < 0 }

// IsZero reports whether b is no ballot at all.
func (b Ballot) IsZero() bool { return b == Ballot{} }

func (b Ballot) String() string { return fmt.Sprintf("%d.n%d", b.Counter, b.Node) }

// Request identifies a client's request, whatever number of times it is sent.
type Request struct {
	Client    uint64
	Timestamp uint64
}

// Compare orders requests, for deterministic iteration only.
func (r Request) Compare(s Request) int {
	if d := cmp.Compare(r.Client, s.Client); d != 0 {
		return d
	}
	return cmp.Compare(r.Timestamp, s.Timestamp)
}

func (r Request) String() string { return fmt.Sprintf("%x/%d", r.Client, r.Timestamp) }

// Txn names one attempt of a cross-shard request: the request, and the ballot
// and number of the coordinator that started it.
type Txn struct {
	Request
	Ballot Ballot
	Number uint32
}

// Compare orders attempts, for deterministic iteration only.
func (t Txn) Compare(u Txn) int {
	if d := t.Request.Compare(u.Request); d != 0 {
		return d
	}
	if d := t.Ballot.Compare(u.Ballot); d != 0 {
		return d
	}
	return cmp.Compare(t.Number, u.Number)
}

func (t Txn) String() string {
	return fmt.Sprintf("%s@%s#%d", t.Request, t.Ballot, t.Number)
}

// Age orders requests for wait-die: the lower, the older. It is fixed when the
// coordinator first admits the request and kept by its retries.
type Age struct {
	Clock   Time
	Cluster Cluster
	Number  uint64
}

// Compare returns -1 when a is older than b.
func (a Age) Compare(b Age) int {
	if d := cmp.Compare(a.Clock, b.Clock); d != 0 {
		return d
	}
	if d := cmp.Compare(a.Cluster, b.Cluster); d != 0 {
		return d
	}
	return cmp.Compare(a.Number, b.Number)
}

// Older reports whether a is older than b.
func (a Age) Older(b Age) bool { return a.Compare(b) < 0 }

// Transfer moves Amount from item From to item To.
type Transfer struct {
	From, To, Amount int64
}

func (t Transfer) String() string { return fmt.Sprintf("(%d, %d, %d)", t.From, t.To, t.Amount) }
