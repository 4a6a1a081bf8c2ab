package bench

import (
	"context"
	"errors"
	"fmt"
	"io"

	pb "paxbank/proto/paxbank/v1"
)

// audit is what the nodes hold after a run, held against what the driver saw.
// Each of its answers is nil when it could not be determined.
type audit struct {
	money    *bool // the balances add up to what was there at the start
	replicas *bool // live replicas of a cluster hold the same
	balances *bool // every item holds what the commits say
	commits  *bool // the nodes applied an entry for every commit they took part in
	problems []string
}

func (a *audit) note(answer **bool, ok bool, format string, args ...any) {
	if *answer == nil {
		*answer = new(bool)
		**answer = true
	}
	if !ok {
		**answer = false
		a.problems = append(a.problems, fmt.Sprintf(format, args...))
	}
}

// passed: everything was determined, and nothing was wrong.
func (a *audit) passed() bool {
	for _, v := range []*bool{a.money, a.replicas, a.balances, a.commits} {
		if v == nil || !*v {
			return false
		}
	}
	return len(a.problems) == 0
}

// failed: something is definitely wrong.
func (a *audit) failed() bool {
	for _, v := range []*bool{a.money, a.replicas, a.balances, a.commits} {
		if v != nil && !*v {
			return true
		}
	}
	return false
}

// applied is how far the logs are, by node.
func (b *bank) applied(ctx context.Context) (map[string]uint64, error) {
	applied := map[string]uint64{}
	for c := range b.clusters {
		for _, p := range b.liveIn(c) {
			st, err := b.status(ctx, p)
			if err != nil {
				return nil, fmt.Errorf("node %s: Status: %w", p.id, err)
			}
			applied[p.id] = st.GetAppliedIndex()
		}
	}
	return applied, nil
}

// audit waits until the nodes are quiet and looks at everything they hold.
// before is how far the logs were when the load began.
func (e *engine) audit(ctx context.Context, before map[string]uint64, commits []int64) *audit {
	a := &audit{}
	e.reads.enter(a)
	if n := e.settler.left(); n > 0 {
		a.problems = append(a.problems, fmt.Sprintf("%d transfers stayed unknown, so nobody knows what the items should hold", n))
	}
	if err := e.bank.settle(ctx); err != nil {
		a.problems = append(a.problems, err.Error())
		return a
	}
	var total int64
	complete := true
	for c := range e.bank.clusters {
		live := e.bank.liveIn(c)
		if !e.bank.quorum(c) {
			a.problems = append(a.problems, fmt.Sprintf("cluster %s has no majority, so its balances are not known", e.bank.topology.Clusters[c].ID))
			complete = false
			continue
		}
		sum, ok := e.auditCluster(ctx, a, c, live)
		total += sum
		complete = complete && ok
		for _, p := range live {
			st, err := e.bank.status(ctx, p)
			if err != nil {
				a.problems = append(a.problems, fmt.Sprintf("node %s: Status: %v", p.id, err))
				continue
			}
			if st.GetAppliedIndex() == 0 && commits[c] > 0 {
				a.problems = append(a.problems, fmt.Sprintf("node %s does not say how many entries it applied (Status.applied_index)", p.id))
				continue
			}
			got := int64(st.GetAppliedIndex() - before[p.id])
			a.note(&a.commits, got >= commits[c], "node %s applied %d entries, but took part in %d transfers that clients heard were committed", p.id, got, commits[c])
		}
	}
	if want := e.bank.topology.Total(); complete {
		a.note(&a.money, total == want, "the balances add up to %d, want %d", total, want)
	}
	return a
}

// auditCluster compares a cluster's replicas with each other and with the
// driver's own account, and returns what its items hold together.
func (e *engine) auditCluster(ctx context.Context, a *audit, cluster int, live []*peer) (sum int64, ok bool) {
	exact := e.settler.left() == 0
	var first map[int64]int64
	for i, p := range live {
		got, err := database(ctx, p)
		if err != nil {
			a.problems = append(a.problems, fmt.Sprintf("node %s: Database: %v", p.id, err))
			return 0, false
		}
		if i > 0 {
			item, same := e.firstDifference(first, got)
			a.note(&a.replicas, same, "item %d is %d on node %s and %d on node %s", item,
				e.held(first, item), live[0].id, e.held(got, item), p.id)
			continue
		}
		first = got
		a.note(&a.replicas, true, "")
		wrong := 0
		for _, s := range e.layout.clusters[cluster].spans {
			for item := s.first; item <= s.last; item++ {
				holds := e.held(got, item)
				sum += holds
				want := e.bank.topology.Balance(item) + e.delta[e.layout.clusters[cluster].ordinal(item)].Load()
				if exact && holds != want {
					if wrong++; wrong == 1 {
						a.note(&a.balances, false, "item %d on node %s holds %d, want %d by the transfers that were committed", item, p.id, holds, want)
					}
				}
			}
		}
		if exact {
			a.note(&a.balances, true, "")
		}
		if wrong > 1 {
			a.problems = append(a.problems, fmt.Sprintf("and %d more items on node %s", wrong-1, p.id))
		}
	}
	return sum, true
}

// held is what a node's modified items say of one item.
func (e *engine) held(modified map[int64]int64, item int64) int64 {
	if v, ok := modified[item]; ok {
		return v
	}
	return e.bank.topology.Balance(item)
}

// firstDifference of two replicas' items.
func (e *engine) firstDifference(a, b map[int64]int64) (item int64, same bool) {
	same = true
	for _, m := range []map[int64]int64{a, b} {
		for i := range m {
			if e.held(a, i) != e.held(b, i) && (same || i < item) {
				item, same = i, false
			}
		}
	}
	return item, same
}

// database is a node's modified items.
func database(ctx context.Context, p *peer) (map[int64]int64, error) {
	ctx, cancel := context.WithTimeout(ctx, resetTimeout)
	defer cancel()
	stream, err := pb.NewInspectClient(p.connection()).Database(ctx, &pb.DatabaseRequest{})
	if err != nil {
		return nil, err
	}
	items := map[int64]int64{}
	for {
		r, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return items, nil
		}
		if err != nil {
			return nil, err
		}
		for _, it := range r.GetItems() {
			items[it.GetItem()] = it.GetBalance()
		}
	}
}
