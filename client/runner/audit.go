package runner

import (
	"context"
	"slices"
	"sync"
	"time"
)

// The bounds of reading back.
const (
	// auditItems of one cluster; more are sampled evenly.
	auditItems = 200
	// auditBound of each of these reads, which all run at once; or a command's
	// deadline by auditShare where that is more, as on a slow machine.
	auditBound = 2 * time.Second
	auditShare = 2.5
)

// audit reads the items that the set names back through the bank, as any client
// would. Nodes are asked for their balances too, but what they say there is what
// they say of themselves.
func (s *setRun) audit(ctx context.Context) {
	if ctx.Err() != nil {
		return
	}
	for c, items := range s.namedItems() {
		if !s.attended(c) {
			continue
		}
		for _, item := range sample(items, auditItems) {
			s.res.Audit = append(s.res.Audit, AuditRead{Item: item})
		}
	}
	slices.SortFunc(s.res.Audit, func(a, b AuditRead) int { return int(a.Item - b.Item) })
	bound := max(auditBound, time.Duration(float64(s.opt.Deadline)/auditShare))
	var wg sync.WaitGroup
	for i := range s.res.Audit {
		wg.Go(func() {
			a := &s.res.Audit[i]
			r := s.session.Read(ctx, a.Item, bound)
			a.Outcome, a.Value, a.Node, a.Message = Outcome(r.Outcome), r.Value, r.Node, r.Message
		})
	}
	wg.Wait()
	// A bank may take its reads through the log, so that it is not quiet any more.
	// Where it could not be waited for before, it is not waited for twice.
	if len(s.res.Problems) == 0 {
		s.settle(ctx, 0)
	}
}

// sample takes at most n items, evenly spread.
func sample(items []int64, n int) []int64 {
	if len(items) <= n {
		return items
	}
	sorted := slices.Sorted(slices.Values(items))
	out := make([]int64, n)
	for i := range out {
		out[i] = sorted[i*len(sorted)/n]
	}
	return out
}
