package runner

import (
	"context"
	"fmt"
	"slices"
	"time"

	"paxbank/client/testset"
	"paxbank/internal/topology"
	pb "paxbank/proto/paxbank/v1"
)

// probeBound of a call that a disconnected node has to refuse.
const probeBound = 500 * time.Millisecond

// violate notes what a node did against the contract, besides what the session
// finds in answers.
func (s *setRun) violate(node, call, field, got, rule string) {
	s.res.Violations = append(s.res.Violations, Violation{Node: node, Call: call, Field: field, Got: got, Rule: rule, Count: 1})
}

// checkFailed looks whether nodes that were just failed are as cut off as they
// have to be: SetLive(false), and a restart, are in force when they are answered,
// so nothing is waited for. A node that says nothing is left alone.
func (s *setRun) checkFailed(ctx context.Context, c testset.Command, ids []string) {
	how := fmt.Sprintf("after SetLive(false) was answered (line %d, %s)", c.Line, c.Text)
	if s.opt.Fault == FaultKill {
		how = fmt.Sprintf("after its restart (line %d, %s), before SetLive(true)", c.Line, c.Text)
	}
	for i, st := range s.statuses(ctx, ids) {
		switch {
		case st.GetLive():
			s.violate(ids[i], "SetLive", "live", "Status says live true "+how, "a disconnected node is not live, and SetLive is in force when it is answered")
		case st.GetReady():
			s.violate(ids[i], "SetLive", "ready", "Status says ready true "+how, "a disconnected node leads nobody, and SetLive is in force when it is answered")
		}
	}
	served := make([]string, len(ids))
	// A call that fails is what is wanted.
	_ = s.each(ctx, ids, probeBound, func(ctx context.Context, i int, id string) error {
		at := slices.IndexFunc(s.topology.Items.Ranges, func(r topology.Range) bool { return r.Cluster == s.cluster[id] })
		if at < 0 {
			return nil
		}
		item := s.topology.Items.Ranges[at].First
		reply, err := s.opt.Nodes.Bank(id).Read(ctx, &pb.ReadRequest{Epoch: s.epoch, Topology: s.hash, Item: item, DeadlineMs: 100})
		if err == nil && reply.GetResult() == pb.Result_RESULT_COMMITTED {
			served[i] = fmt.Sprintf("Read of item %d answered with %d %s", item, reply.GetBalance(), how)
		}
		return err
	})
	for i, got := range served {
		if got != "" {
			s.violate(ids[i], "Read", "result", got, "calls of Bank to a disconnected node are refused")
		}
	}
}

// contradictions compares what a node says of one item in two ways. compared is
// what its Database said.
func (s *setRun) contradictions(node string, compared map[int64]int64, items []*pb.BalanceReply_Item) {
	off, first := 0, ""
	for _, b := range items {
		if said, ok := compared[b.GetItem()]; ok && said != b.GetBalance() {
			if off++; off == 1 {
				first = fmt.Sprintf("item %d: Balance says %d, Database says %d", b.GetItem(), b.GetBalance(), said)
			}
		}
	}
	if off == 0 {
		return
	}
	s.res.Violations = append(s.res.Violations, Violation{Node: node, Call: "Balance, Database", Field: "balance", Got: first, Count: off,
		Rule: "Balance and Database both tell what this replica holds"})
}

// gatherViolations takes over what the session found.
func (s *setRun) gatherViolations() {
	for _, v := range s.opt.Nodes.Violations() {
		s.res.Violations = append(s.res.Violations, Violation(v))
	}
}
