package sim

import (
	"paxbank/server/ids"
	"paxbank/server/paxos"
	"paxbank/server/replica"
)

// core is the part of replica.Replica that a node's shell uses.
type core interface {
	Step(now ids.Time, events []replica.Event)
	Effects() *replica.Effects
	Status() replica.Status
	Balances(all bool) []replica.ItemBalance
}

func newReplica(cfg replica.Config, st paxos.Stable, now ids.Time) (core, error) {
	r, err := replica.New(cfg, st, now)
	if err != nil {
		return nil, err
	}
	return r, nil
}
