package sim

import (
	"fmt"

	"paxbank/server/bank"
	"paxbank/server/ids"
)

// request is a transfer or a read that a client wants done.
type request struct {
	client    *client
	era       *era
	id        ids.Request // zero for a read
	transfer  ids.Transfer
	read      bool
	item      int64 // of a read; the sender of a transfer
	cluster   ids.Cluster
	malformed bool // its only proper outcome is invalid
	probe     bool // sent after the recovery: has to succeed
	start     ids.Time
	end       ids.Time // when it was done
	deadline  ids.Time

	sends     []*send
	resolving bool
	pause     ids.Duration // before the next question
	done      bool
	life      int // the client's when it was issued
	outcome   bank.Outcome
	value     int64
}

// send is one call to one node.
type send struct {
	client   *client
	request  *request
	call     uint64
	node     *node
	resolve  bool
	start    ids.Time
	arrived  uint64 // after so many steps of the node
	answered bool
	// overruled is the ballot of the node when the call arrived, if no majority could
	// follow that any more.
	overruled ids.Ballot
	outcome   bank.Outcome
}

// readSeen is what a read was told, and when.
type readSeen struct {
	item, value int64
	start, end  ids.Time
	node        string
}

// over reports whether nothing is to be done for the request any more.
func (r *request) over() bool { return r.done || r.life != r.client.life }

func (r *request) kind(resolve bool) string {
	switch {
	case resolve:
		return "resolve"
	case r.read:
		return "read"
	}
	to, ok := r.era.truth.topology.Items.Cluster(r.transfer.To)
	if ok && ids.Cluster(to) != r.cluster {
		return "cross"
	}
	return "intra"
}

func (r *request) String() string {
	if r.read {
		return fmt.Sprintf("read (%d)", r.item)
	}
	return fmt.Sprintf("%s %s", r.transfer, r.id)
}
