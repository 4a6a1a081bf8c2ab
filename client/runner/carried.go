package runner

import (
	"context"
	"maps"
	"slices"

	pb "paxbank/proto/paxbank/v1"
)

// This file is about what one set leaves open for the next, with KeepState: a
// transfer of unknown outcome may take effect after the balances were collected
// that the next set starts from, and what a node had prepared may be undone.

// looseEnds are the items whose balance at the end of the set may still change
// without a further command.
func (s *setRun) looseEnds() map[int64]bool {
	items := map[int64]bool{}
	for i := range s.open {
		c := &s.open[i].was.Command
		items[c.From], items[c.To] = true, true
	}
	if slices.ContainsFunc(s.res.Nodes, func(n NodeState) bool { return n.Prepared > 0 || n.Decided > 0 }) {
		maps.Copy(items, s.loose) // what waits may be of an earlier set
		for i := range s.res.Calls {
			if c := &s.res.Calls[i]; c.Kind == "cross" {
				items[c.Command.From], items[c.Command.To] = true, true
			}
		}
	}
	return items
}

// takeOver begins a set on the bank that an earlier one left: what was open is
// settled as far as it can be, the balances of loose ends are read again from
// replicas that have applied everything, and what is unknown still is noted in
// the set's result.
func (s *setRun) takeOver(ctx context.Context) {
	s.settle(ctx, lingerBetween)
	before := len(s.open)
	s.resolveOpen(ctx)
	if len(s.open) < before {
		s.settle(ctx, lingerBetween)
	}
	s.readAgain(ctx)
	for i := range s.open {
		s.open[i].carried = len(s.res.Carried)
		s.res.Carried = append(s.res.Carried, s.open[i].was)
	}
}

// readAgain replaces the balances of loose ends that the set starts from, in
// clusters that have a quorum and are settled, by those of now.
func (s *setRun) readAgain(ctx context.Context) {
	byCluster := map[int][]int64{}
	for _, item := range slices.Sorted(maps.Keys(s.loose)) {
		if c, ok := s.topology.Items.Cluster(item); ok && s.attended(c) {
			byCluster[c] = append(byCluster[c], item)
		}
	}
	if len(byCluster) == 0 {
		return
	}
	start := maps.Clone(s.res.StartBalances)
	for _, c := range slices.Sorted(maps.Keys(byCluster)) {
		ids := s.attending(c)
		best := -1
		replies := s.statuses(ctx, ids)
		for i, st := range replies {
			if st != nil && (best < 0 || st.GetAppliedIndex() > replies[best].GetAppliedIndex()) {
				best = i
			}
		}
		if best < 0 {
			continue
		}
		askCtx, cancel := context.WithTimeout(ctx, statusTimeout)
		reply, err := s.opt.Nodes.Inspect(ids[best]).Balance(askCtx, &pb.BalanceRequest{Items: byCluster[c]})
		cancel()
		if err != nil {
			s.problem("node %s could not be asked for what an earlier set left open: Balance: %v", ids[best], plain(err))
			continue
		}
		for _, b := range reply.GetItems() {
			item, now := b.GetItem(), b.GetBalance()
			was, known := start[item]
			if !known {
				was = s.topology.Balance(item)
			}
			if start[item] = now; now != was {
				s.observe(s.res.Set.Line, "item %s goes on from %d, not %d: what an earlier set left open has been settled", s.topology.ItemName(item), now, was)
			}
		}
	}
	s.res.StartBalances = start
}
