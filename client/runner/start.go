package runner

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"paxbank/internal/topologypb"
	pb "paxbank/proto/paxbank/v1"
)

// start brings the bank into the set's first state: fresh (or kept), the set's
// nodes live, and the first live node of every cluster with a majority leading.
func (s *setRun) start(ctx context.Context) error {
	if s.opt.KeepState && s.ran {
		s.observe(s.res.Set.Line, "state kept")
		s.res.StartBalances = s.balances
		for i := range s.open {
			s.open[i].call, s.open[i].carried = -1, -1 // its set is over
		}
		if err := s.reviveEnded(ctx, s.epoch); err != nil {
			return &NodesError{err}
		}
		if err := s.setLive(ctx); err != nil {
			return &NodesError{err}
		}
		s.awaitLeaders(ctx)
		s.takeOver(ctx)
		s.awaitDown(ctx)
		return nil
	}
	for try := 1; ; try++ {
		if err := s.reset(ctx); err != nil {
			return &NodesError{err}
		}
		if err := s.setLive(ctx); err != nil {
			return &NodesError{err}
		}
		others := s.awaitLeaders(ctx)
		if len(others) == 0 || ctx.Err() != nil {
			break
		}
		text := strings.Join(others, ", ")
		if try == startTries {
			// The set can still run: everybody finds the actual leader.
			s.observe(s.res.Set.Line, "not led by its first live node: %s", text)
			break
		}
		s.observe(s.res.Set.Line, "not led by its first live node: %s; reset again", text)
	}
	s.awaitDown(ctx)
	return nil
}

// reset gives every node an empty bank in a new epoch, higher than any node's.
func (s *setRun) reset(ctx context.Context) error {
	s.opt.Progress(fmt.Sprintf("set %d: resetting the nodes", s.res.Set.Number))
	s.open = nil
	clear(s.live)
	if err := s.restartEnded(ctx); err != nil {
		return err
	}
	status, err := s.everyStatus(ctx)
	if err != nil {
		return err
	}
	epoch := s.epoch
	for _, st := range status {
		epoch = max(epoch, st.GetEpoch())
	}
	epoch++
	hashes := make([]uint64, len(s.nodes))
	err = s.each(ctx, s.nodes, resetTimeout, func(ctx context.Context, i int, id string) error {
		st := status[id]
		if st.GetConfigured() && st.GetTopology() == s.hash && s.hash != 0 {
			hashes[i] = s.hash
			if _, err := s.opt.Nodes.Control(id).Reset(ctx, &pb.ResetRequest{Epoch: epoch}); err != nil {
				return fmt.Errorf("node %s: Reset to epoch %d: %w", id, epoch, err)
			}
			return nil
		}
		reply, err := s.configure(ctx, id, epoch)
		hashes[i] = reply.GetTopology()
		return err
	})
	if err != nil {
		return err
	}
	for i, h := range hashes {
		if h != hashes[0] {
			return fmt.Errorf("nodes %s and %s do not agree on the topology's fingerprint (%x, %x)", s.nodes[0], s.nodes[i], hashes[0], h)
		}
	}
	s.opt.Nodes.HangUp()
	s.epoch, s.hash = epoch, hashes[0]
	s.session.SetEpoch(epoch, s.hash)
	s.observe(s.res.Set.Line, "reset: epoch %d", epoch)
	return nil
}

// configure tells a node its bank. With its own topology and epoch it goes on,
// disconnected, from what its disk holds.
func (r *Runner) configure(ctx context.Context, id string, epoch uint64) (*pb.ConfigureReply, error) {
	reply, err := r.opt.Nodes.Control(id).Configure(ctx, &pb.ConfigureRequest{
		NodeId: id, Topology: topologypb.ToProto(r.topology), Epoch: epoch,
	})
	if err != nil {
		return nil, fmt.Errorf("node %s: Configure: %w", id, err)
	}
	return reply, nil
}

// setLive makes exactly the set's live nodes live.
func (s *setRun) setLive(ctx context.Context) error {
	want := map[string]bool{}
	for _, id := range s.res.Live {
		want[id] = true
	}
	var change []string
	for _, id := range s.nodes {
		if want[id] != s.live[id] {
			change = append(change, id)
		}
	}
	err := s.each(ctx, change, statusTimeout, func(ctx context.Context, _ int, id string) error {
		return s.switchNode(ctx, id, want[id])
	})
	if err != nil {
		return err
	}
	for _, id := range change {
		s.live[id] = want[id]
	}
	s.opt.Nodes.HangUp()
	for c, cl := range s.topology.Clusters {
		if live := s.liveIn(c); len(live) > 0 {
			s.session.SetLeader(c, live[0])
		} else {
			s.session.SetLeader(c, cl.Nodes[0].ID)
		}
	}
	s.observe(s.res.Set.Line, "live: %s", strings.Join(s.res.Live, " "))
	return nil
}

// switchNode connects or disconnects a node.
func (r *Runner) switchNode(ctx context.Context, id string, live bool) error {
	if _, err := r.opt.Nodes.Control(id).SetLive(ctx, &pb.SetLiveRequest{Live: live}); err != nil {
		return fmt.Errorf("node %s: SetLive(%t): %w", id, live, err)
	}
	return nil
}

// awaitLeaders waits until every cluster with a majority has a ready leader, and
// returns those that are led by another than their first live node.
func (s *setRun) awaitLeaders(ctx context.Context) (others []string) {
	s.opt.Progress(fmt.Sprintf("set %d: waiting for leaders", s.res.Set.Number))
	leaders := make([]string, len(s.topology.Clusters))
	waited := s.await(ctx, startBound, func(ctx context.Context) (bool, string) {
		var missing []string
		for c, cl := range s.topology.Clusters {
			if !s.quorum(c) {
				continue
			}
			if leaders[c] = s.leaderOf(ctx, c); leaders[c] == "" {
				missing = append(missing, cl.ID)
			}
		}
		return len(missing) == 0, "a ready leader of " + strings.Join(missing, ", ")
	})
	if waited != "" {
		s.problem("%s", waited)
	}
	for c, cl := range s.topology.Clusters {
		if leaders[c] == "" {
			continue
		}
		s.session.SetLeader(c, leaders[c])
		if contact := s.contact(c); contact != "" {
			s.session.SetLeader(c, contact)
		}
		if first := s.liveIn(c)[0]; first != leaders[c] {
			others = append(others, fmt.Sprintf("%s (by %s, not %s)", cl.ID, leaders[c], first))
		}
	}
	return others
}

// contact is the live node of a cluster that the test set wants clients to turn
// to first; "" when it names none.
func (s *setRun) contact(cluster int) string {
	live := s.liveIn(cluster)
	for _, id := range s.res.Set.Contacts {
		if slices.Contains(live, id) {
			return id
		}
	}
	return ""
}

// leaderOf is the live node of a cluster that says it leads and is ready; ""
// when there is none.
func (r *Runner) leaderOf(ctx context.Context, cluster int) string {
	for _, st := range r.statuses(ctx, r.liveIn(cluster)) {
		if st != nil && st.GetReady() {
			return st.GetNodeId()
		}
	}
	return ""
}

// awaitDown waits until the live nodes of clusters without a majority know that
// nobody leads them.
func (s *setRun) awaitDown(ctx context.Context) {
	s.unexpectedEnds()
	var nodes []string
	for c := range s.topology.Clusters {
		if !s.quorum(c) {
			nodes = append(nodes, s.attending(c)...)
		}
	}
	if len(nodes) == 0 {
		return
	}
	waited := s.await(ctx, downBound, func(ctx context.Context) (bool, string) {
		for i, st := range s.statuses(ctx, nodes) {
			if st == nil {
				return false, statusOf + nodes[i]
			}
			if st.GetReady() || st.GetLeader() != "" {
				return false, fmt.Sprintf("node %s to notice that its cluster has no majority (it reports leader %s)", nodes[i], st.GetLeader())
			}
			// Once it knows, it turns requests away at once; those who do not say
			// whether they hear a majority report false.
			if st.GetQuorum() {
				return false, fmt.Sprintf("node %s to notice that its cluster has no majority", nodes[i])
			}
		}
		return true, ""
	})
	if waited != "" {
		s.problem("%s", waited)
	}
}

// restartEnded restarts node processes that have ended by themselves in an
// earlier set, so that this one starts with all nodes.
func (s *setRun) restartEnded(ctx context.Context) error {
	if s.opt.Processes == nil {
		return nil
	}
	for id := range s.opt.Processes.Ended() {
		if err := s.restart(ctx, id); err != nil {
			return err
		}
		s.observe(s.res.Set.Line, "node %s restarted", id)
	}
	return nil
}

// reviveEnded is restartEnded for a set that keeps the state.
func (s *setRun) reviveEnded(ctx context.Context, epoch uint64) error {
	if s.opt.Processes == nil {
		return nil
	}
	for id := range s.opt.Processes.Ended() {
		if err := s.restart(ctx, id); err != nil {
			return err
		}
		if _, err := s.configure(ctx, id, epoch); err != nil {
			return err
		}
		s.live[id] = false
		s.observe(s.res.Set.Line, "node %s restarted from its disk", id)
	}
	return nil
}

// restart starts a node's process again and connects to it.
func (s *setRun) restart(ctx context.Context, id string) error {
	before := s.address(id)
	address, err := s.opt.Processes.Restart(ctx, id)
	if err != nil {
		return err
	}
	delete(s.ended, id)
	if err := s.opt.Nodes.Renew(id, address); err != nil {
		return err
	}
	if address == before {
		return nil
	}
	return s.moved(ctx, id, address)
}

// moved tells all nodes the new address of one: its old port was taken while it
// was down. Configuring disconnects a node, so the live ones are connected
// again; a leader may change by it.
func (s *setRun) moved(ctx context.Context, id, address string) error {
	t := *s.topology
	t.Clusters = slices.Clone(t.Clusters)
	c := s.cluster[id]
	t.Clusters[c].Nodes = slices.Clone(t.Clusters[c].Nodes)
	for i := range t.Clusters[c].Nodes {
		if t.Clusters[c].Nodes[i].ID == id {
			t.Clusters[c].Nodes[i].Address = address
		}
	}
	s.topology, s.res.Topology = &t, &t
	s.observe(0, "node %s moved to %s: its port was taken", id, address)
	if s.epoch == 0 {
		return nil
	}
	return s.each(ctx, s.nodes, resetTimeout, func(ctx context.Context, _ int, other string) error {
		if other == id {
			return nil // its own Configure follows
		}
		if _, err := s.configure(ctx, other, s.epoch); err != nil {
			return err
		}
		if s.live[other] {
			return s.switchNode(ctx, other, true)
		}
		return nil
	})
}

func (r *Runner) address(id string) string {
	for _, n := range r.topology.Clusters[r.cluster[id]].Nodes {
		if n.ID == id {
			return n.Address
		}
	}
	return ""
}

// everyStatus is the status of every node, or the error of the first that does
// not answer.
func (s *setRun) everyStatus(ctx context.Context) (map[string]*pb.StatusReply, error) {
	replies := make([]*pb.StatusReply, len(s.nodes))
	err := s.each(ctx, s.nodes, statusTimeout, func(ctx context.Context, i int, id string) error {
		st, err := s.opt.Nodes.Control(id).Status(ctx, &pb.StatusRequest{}, waitForReady)
		if err != nil {
			return fmt.Errorf("node %s at %s cannot be reached: %w", id, s.address(id), err)
		}
		if st.GetNodeId() != "" && st.GetNodeId() != id {
			return fmt.Errorf("the node at %s says that it is %s, not %s", s.address(id), st.GetNodeId(), id)
		}
		replies[i] = st
		return nil
	})
	if err != nil {
		return nil, err
	}
	byID := map[string]*pb.StatusReply{}
	for i, id := range s.nodes {
		byID[id] = replies[i]
	}
	return byID, nil
}
