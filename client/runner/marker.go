package runner

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"paxbank/client/testset"
)

// marker carries out F, R or LF. Everything before it has ended.
func (s *setRun) marker(ctx context.Context, c testset.Command) {
	switch c.Kind {
	case testset.Fail:
		if !s.live[c.Node] {
			s.observe(c.Line, "%s: it had failed already", c.Text)
			return
		}
		s.fail(ctx, c, []string{c.Node})
	case testset.Recover:
		if s.live[c.Node] {
			s.observe(c.Line, "%s: it was live already", c.Text)
			return
		}
		s.recover(ctx, c)
	case testset.LeaderFail:
		if leaders := s.leaders(ctx, c); len(leaders) > 0 {
			s.fail(ctx, c, leaders)
		} else {
			s.observe(c.Line, "%s: no cluster has a leader", c.Text)
		}
	}
	s.awaitDown(ctx)
}

// leaders are the current leaders that LF is about. A cluster without a majority
// has none; one with a majority elects one within a bound.
func (s *setRun) leaders(ctx context.Context, cmd testset.Command) []string {
	s.unexpectedEnds()
	var wanted []int
	for c, cl := range s.topology.Clusters {
		if (cmd.Cluster == "" || cmd.Cluster == cl.ID) && s.attended(c) {
			wanted = append(wanted, c)
		}
	}
	found := make([]string, len(wanted))
	waited := s.await(ctx, leaderBound, func(ctx context.Context) (bool, string) {
		var missing []string
		for i, c := range wanted {
			if found[i] = s.leaderOf(ctx, c); found[i] == "" {
				missing = append(missing, s.topology.Clusters[c].ID)
			}
		}
		return len(missing) == 0, fmt.Sprintf("a leader of %s to fail (line %d)", strings.Join(missing, ", "), cmd.Line)
	})
	if waited != "" {
		s.problem("%s", waited)
	}
	return slices.DeleteFunc(found, func(id string) bool { return id == "" })
}

// fail fails nodes, all at once.
func (s *setRun) fail(ctx context.Context, c testset.Command, ids []string) {
	names := strings.Join(ids, " ")
	var err error
	if s.opt.Fault == FaultKill {
		err = s.each(ctx, ids, resetTimeout, func(_ context.Context, _ int, id string) error {
			return s.opt.Processes.Kill(id)
		})
		s.observe(c.Line, "%s: %s killed", c.Text, names)
	} else {
		err = s.each(ctx, ids, statusTimeout, func(ctx context.Context, _ int, id string) error {
			return s.switchNode(ctx, id, false)
		})
		s.observe(c.Line, "%s: %s disconnected", c.Text, names)
	}
	done := err == nil
	if err != nil {
		s.problem("line %d: %s: %v", c.Line, c.Text, err)
	}
	for _, id := range ids {
		s.live[id] = false
		// Nothing is under way at a barrier; the next request that tries this node
		// shall learn from a fresh connection that it is away.
		if err := s.opt.Nodes.Renew(id, ""); err != nil {
			s.problem("line %d: %s: %v", c.Line, c.Text, err)
		}
	}
	if s.opt.Fault == FaultKill {
		// At once, but disconnected, so that its disk can be read meanwhile.
		for _, id := range ids {
			if err := s.restart(ctx, id); err != nil {
				s.problem("line %d: %s: %v", c.Line, c.Text, err)
				done = false
				continue
			}
			if _, err := s.configure(ctx, id, s.epoch); err != nil {
				s.problem("line %d: %s: %v", c.Line, c.Text, plain(err))
				done = false
			}
		}
	}
	if done {
		s.checkFailed(ctx, c, ids)
	}
}

// recover brings a node back, waits until it has caught up, and settles what
// could not be settled before.
func (s *setRun) recover(ctx context.Context, c testset.Command) {
	err := s.each(ctx, []string{c.Node}, statusTimeout, func(ctx context.Context, _ int, id string) error {
		return s.switchNode(ctx, id, true)
	})
	if err != nil {
		s.problem("line %d: %s: %v", c.Line, c.Text, err)
		return
	}
	s.observe(c.Line, "%s: %s connected", c.Text, c.Node)
	s.live[c.Node] = true
	if err := s.opt.Nodes.Renew(c.Node, ""); err != nil {
		s.problem("line %d: %s: %v", c.Line, c.Text, err)
	}
	s.awaitRecovered(ctx, c.Node)
	s.resolveOpen(ctx)
	s.settle(ctx, lingerBetween)
}
