package bench

import (
	"sync"

	"paxbank/internal/topology"
)

// readCheck holds what reads return against what they have to: in a load of
// nothing but reads, every item's initial balance.
type readCheck struct {
	topology *topology.Topology
	active   bool

	mu         sync.Mutex
	wrong      int64
	item, held int64 // of the first that was wrong
}

// check looks at the balance that a read returned.
func (c *readCheck) check(item, balance int64) {
	if !c.active || balance == c.topology.Balance(item) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.wrong++; c.wrong == 1 {
		c.item, c.held = item, balance
	}
}

// enter adds what was found to an audit.
func (c *readCheck) enter(a *audit) {
	if !c.active {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	a.note(&a.balances, c.wrong == 0, "%d reads were wrong; the first returned %d for item %d, want its initial balance of %d, since nothing was transferred",
		c.wrong, c.held, c.item, c.topology.Balance(c.item))
}
