package replica

import (
	"fmt"

	"paxbank/server/bank"
	"paxbank/server/ids"
)

// redirect tells a client what a node says that cannot serve: who leads, or that
// there is no majority.
func (r *Replica) redirect(c call) {
	switch leader := r.px.Leader(); {
	case leader != 0 && leader != r.self:
		r.answer(c, Answer{Outcome: bank.OutcomeNotLeader, Leader: leader})
	case leader == 0 && !r.px.Quorum():
		r.answer(c, Answer{Outcome: bank.OutcomeUnavailable, Message: "no leader: no majority of the cluster can be reached"})
	default:
		r.answer(c, Answer{Outcome: bank.OutcomeNotLeader, Message: "no leader yet: election under way"})
	}
}

// elsewhere answers a call for an item of another cluster.
func (r *Replica) elsewhere(c call, cluster ids.Cluster) {
	r.answer(c, Answer{Outcome: bank.OutcomeNotLeader, Leader: r.directory.Leader(cluster),
		Message: "the item belongs to cluster " + r.topo.Clusters[cluster].ID})
}

func (r *Replica) clusterOf(item int64) (ids.Cluster, bool) {
	c, ok := r.topo.Items.Cluster(item)
	return ids.Cluster(c), ok
}

func (r *Replica) invalid(t ids.Transfer) string {
	_, fromOK := r.clusterOf(t.From)
	_, toOK := r.clusterOf(t.To)
	switch {
	case !fromOK:
		return fmt.Sprintf("no item %d", t.From)
	case !toOK:
		return fmt.Sprintf("no item %d", t.To)
	case t.Amount <= 0:
		return fmt.Sprintf("amount must be positive, is %d", t.Amount)
	case t.From == t.To:
		return fmt.Sprintf("sender and receiver are both item %d", t.From)
	}
	return ""
}
