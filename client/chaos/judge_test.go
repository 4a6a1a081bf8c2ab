package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"paxbank/internal/history"
	pb "paxbank/proto/paxbank/v1"
)

// historyBudget bounds the search for a serial order of all that was seen.
const historyBudget = 20 * time.Second

// settled waits until every node is quiet, the replicas of every cluster are at
// the same place with the same state, and nothing is locked, prepared, decided
// or kept for an undo. It returns the nodes' statuses.
func (b *bank) settled() map[string]*pb.StatusReply {
	b.t.Helper()
	all := map[string]*pb.StatusReply{}
	b.until("quiet nodes with equal replicas and nothing left over", settleBound, func() (bool, string) {
		for c := range b.topo.Clusters {
			ready := false
			for _, id := range b.of(c) {
				st := b.status(id)
				if st == nil {
					return false, id + " does not answer"
				}
				all[id] = st
				first := all[b.of(c)[0]]
				ready = ready || st.GetReady()
				if !st.GetQuiet() || !st.GetLive() || st.GetLocks()+st.GetUndoRecords()+st.GetPrepared()+st.GetDecided()+st.GetRequests() > 0 ||
					st.GetAppliedIndex() != first.GetAppliedIndex() || st.GetChecksum() != first.GetChecksum() {
					return false, fmt.Sprintf("%s: %v", id, st)
				}
			}
			if !ready {
				return false, fmt.Sprintf("cluster %d has no leader", c+1)
			}
		}
		return true, ""
	})
	return all
}

// database is all that a replica holds.
func (b *bank) database(id string) map[int64]int64 {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, callBound)
	defer cancel()
	s, err := b.nodes.Inspect(id).Database(ctx, &pb.DatabaseRequest{All: true}, waitForReady)
	if err != nil {
		b.t.Fatal(err)
	}
	held := map[int64]int64{}
	for {
		reply, err := s.Recv()
		if errors.Is(err, io.EOF) {
			return held
		}
		if err != nil {
			b.t.Fatalf("the database of %s: %v", id, err)
		}
		for _, it := range reply.GetItems() {
			held[it.GetItem()] = it.GetBalance()
		}
	}
}

// holds checks that every replica holds exactly what is wanted of every item.
func (b *bank) holds(when string, want func(item int64) int64) {
	b.t.Helper()
	var total int64
	for c := range b.topo.Clusters {
		for i, id := range b.of(c) {
			held := b.database(id)
			items := 0
			for _, r := range b.topo.Items.Ranges {
				if r.Cluster != c {
					continue
				}
				for item := r.First; item <= r.Last; item++ {
					balance, ok := held[item]
					items++
					if !ok || balance != want(item) {
						b.t.Errorf("%s: item %d holds %d on %s (there: %v), want %d", when, item, balance, id, ok, want(item))
					}
					if i == 0 {
						total += balance
					}
				}
			}
			if len(held) != items {
				b.t.Errorf("%s: %s holds %d items, want %d", when, id, len(held), items)
			}
		}
	}
	if total != b.topo.Total() {
		b.t.Errorf("%s: all balances together are %d, want %d", when, total, b.topo.Total())
	}
}

// reopened kills all nodes and looks at what their disks alone say, before
// anybody is connected: a node that was quiet knew nothing but what was on its
// disk.
func (b *bank) reopened(before map[string]*pb.StatusReply) {
	b.t.Helper()
	b.kill(b.all()...)
	b.reopen(b.all()...)
	for _, id := range b.all() {
		st := b.status(id)
		if st == nil || st.GetLive() || st.GetAppliedIndex() != before[id].GetAppliedIndex() || st.GetChecksum() != before[id].GetChecksum() {
			b.t.Errorf("the disk of %s says %v, want what it was before it was killed: %v", id, st, before[id])
		}
	}
}

// judge decides about everything that clients were told.
func (l *load) judge(t *testing.T) {
	t.Helper()
	b := l.b
	before := b.settled()
	balance := map[int64]int64{}
	effects := 0
	for _, op := range l.ops {
		if op.Outcome == history.Indeterminate {
			t.Errorf("the outcome of %v stayed unknown although every cluster has a quorum", op)
		}
		if !op.Read && op.Outcome == history.Committed {
			balance[op.From] -= op.Amount
			balance[op.To] += op.Amount
			effects++
		}
	}
	want := func(item int64) int64 { return b.topo.Balance(item) + balance[item] }
	b.holds("at the end", want)
	b.reopened(before)
	b.holds("after kill -9 of all nodes", want)
	b.live(true, b.all()...)
	b.settled()
	b.holds("and with all nodes back", want)

	// What is there at the end was read by somebody after everything else.
	ops := l.ops
	end := time.Since(l.began)
	for _, item := range l.items {
		ops = append(ops, history.Op{ID: len(ops), Read: true, Item: item, Call: end, Return: end, Outcome: history.Value, Value: want(item)})
	}
	started := time.Now()
	result := history.Check(b.topo.Balance, ops, historyBudget)
	t.Logf("history of %d operations, %d of them committed transfers: strictly serialisable: %v (%v) %s",
		len(ops), effects, result.Verdict, time.Since(started).Round(time.Millisecond), result.Reason)
	if result.Verdict == history.No {
		t.Errorf("no serial order explains what clients saw: %s", result.Reason)
		for _, id := range result.Ops {
			t.Logf("  %v to %v: %v", ops[id].Call, ops[id].Return, &ops[id])
		}
	}
	if effects == 0 {
		t.Error("nothing was committed: this run shows nothing")
	}
}
