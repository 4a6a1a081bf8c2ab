package runner

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "paxbank/proto/paxbank/v1"
)

// waitForReady makes a call wait for a connection that is being made instead of
// failing with the last error.
var waitForReady = grpc.WaitForReady(true)

// A node that does not offer Status.quiet counts as quiet when its indices stood
// still for stillPolls polls, or for fewer that took stillTime: on a busy machine a
// poll is slow, and a wait of so many would run out.
const (
	stillPolls      = 20
	stillPollsLeast = 5
	stillTime       = time.Second
)

// stillness is how long a node's indices have stood still.
type stillness struct {
	at    string
	polls int
	since time.Time
}

// see enters what a poll found.
func (s *stillness) see(at string) {
	if s.polls++; at != s.at {
		*s = stillness{at: at, since: time.Now()}
	}
}

func (s *stillness) long() bool {
	return s.polls >= stillPolls || s.polls >= stillPollsLeast && time.Since(s.since) >= stillTime
}

// each calls do for every id at once and returns the first error in order.
func (r *Runner) each(ctx context.Context, ids []string, timeout time.Duration, do func(ctx context.Context, i int, id string) error) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	errs := make([]error, len(ids))
	var wg sync.WaitGroup
	for i, id := range ids {
		wg.Go(func() { errs[i] = do(ctx, i, id) })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return plain(err)
		}
	}
	return nil
}

// plain words a gRPC error for people.
func plain(err error) error {
	var st interface{ GRPCStatus() *status.Status }
	if !errors.As(err, &st) {
		return err
	}
	s := st.GRPCStatus()
	text := s.Message()
	switch s.Code() {
	case codes.DeadlineExceeded:
		text = "no answer in time"
	case codes.Unavailable:
		if strings.Contains(text, "connection refused") || strings.Contains(text, "connection reset") || strings.HasSuffix(text, "EOF") {
			text = "nothing answers at its address"
		}
	case codes.Unimplemented:
		text = "not offered by this node"
	}
	where, _, found := strings.Cut(err.Error(), "rpc error:")
	if !found {
		return errors.New(text)
	}
	return errors.New(where + text)
}

// statuses asks nodes for their status, all at once; nil where none came.
func (r *Runner) statuses(ctx context.Context, ids []string) []*pb.StatusReply {
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	replies := make([]*pb.StatusReply, len(ids))
	var wg sync.WaitGroup
	for i, id := range ids {
		wg.Go(func() {
			if st, err := r.opt.Nodes.Control(id).Status(ctx, &pb.StatusRequest{}); err == nil {
				replies[i] = st
			}
		})
	}
	wg.Wait()
	return replies
}

// statusOf begins what await waits for while a node does not answer.
const statusOf = "the status of node "

// await polls until done says so, and returns "" or, after bound, what it waited
// for in vain. Where that is a node's status, it adds what was waited for before.
// An interrupt ends it without complaint.
func (r *Runner) await(ctx context.Context, bound time.Duration, done func(context.Context) (ok bool, waiting string)) string {
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	waiting, before := "", ""
	for {
		ok, text := done(ctx)
		if ok {
			return ""
		}
		// A look that the bound cut short says nothing but that.
		if waiting == "" || !cutShort(ctx) {
			waiting = text
		}
		if !strings.HasPrefix(waiting, statusOf) {
			before = waiting
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return ""
			}
			if before != "" && before != waiting {
				waiting += ", and before that for " + before
			}
			return fmt.Sprintf("waited %s in vain for %s", bound, waiting)
		}
	}
}

// cutShort reports whether a wait is at its end, so that a call that failed just
// now was ended by it. The call may see that a moment before ctx says so.
func cutShort(ctx context.Context) bool {
	end, bounded := ctx.Deadline()
	return ctx.Err() != nil || bounded && time.Until(end) < pollEvery
}

// settle waits until every live node of every cluster with a quorum has applied
// everything and is quiet, and until nothing is locked, prepared or decided any
// more. While some cluster has no quorum the latter may have to wait for it, and
// is given up when nothing moved for linger.
func (s *setRun) settle(ctx context.Context, linger time.Duration) {
	if ctx.Err() != nil {
		return
	}
	s.unexpectedEnds()
	still := map[string]*stillness{}
	for _, id := range s.nodes {
		still[id] = &stillness{}
	}
	var mark string
	var since time.Time
	silent := ""
	waited := s.await(ctx, quietBound, func(ctx context.Context) (bool, string) {
		clean, waiting := true, ""
		var progress strings.Builder
		for c, cl := range s.topology.Clusters {
			if !s.attended(c) {
				continue
			}
			ids := s.attending(c)
			replies := s.statuses(ctx, ids)
			ready := false
			for i, st := range replies {
				if st == nil {
					s.unexpectedEnds()
					if !cutShort(ctx) {
						silent = ids[i]
					}
					return false, statusOf + ids[i]
				}
				ready = ready || st.GetReady()
				s.quietOffered = s.quietOffered || st.GetQuiet()
				at := fmt.Sprintf("%d/%d/%d", st.GetLastIndex(), st.GetCommitIndex(), st.GetAppliedIndex())
				still[ids[i]].see(at)
				fmt.Fprint(&progress, at, " ", st.GetLocks(), " ", st.GetUndoRecords(), " ", st.GetPrepared(), " ", st.GetDecided(), ";")
				if st.GetLocks()+st.GetUndoRecords()+st.GetPrepared()+st.GetDecided() > 0 {
					clean = false
					if waiting == "" {
						waiting = fmt.Sprintf("node %s to finish two-phase commit (%d locks, %d undo records, %d prepared, %d decided)",
							ids[i], st.GetLocks(), st.GetUndoRecords(), st.GetPrepared(), st.GetDecided())
					}
				}
			}
			if slices.Contains(ids, silent) {
				silent = "" // it answers again
			}
			if !ready {
				return false, "a ready leader of " + cl.ID
			}
			for i, st := range replies {
				if st.GetAppliedIndex() != replies[0].GetAppliedIndex() || st.GetAppliedIndex() != st.GetCommitIndex() {
					return false, fmt.Sprintf("node %s to apply what %s has (applied %d, committed %d; %s applied %d)", ids[i], cl.ID,
						st.GetAppliedIndex(), st.GetCommitIndex(), ids[0], replies[0].GetAppliedIndex())
				}
				if !st.GetQuiet() && (s.quietOffered || !still[ids[i]].long()) {
					return false, fmt.Sprintf("node %s to be quiet (last %d, committed %d, applied %d, %d requests)", ids[i],
						st.GetLastIndex(), st.GetCommitIndex(), st.GetAppliedIndex(), st.GetRequests())
				}
			}
		}
		if clean {
			return true, ""
		}
		if now := progress.String(); now != mark || since.IsZero() {
			mark, since = now, time.Now()
		}
		if !s.allQuorum() && time.Since(since) >= linger {
			return true, ""
		}
		return false, waiting
	})
	if waited != "" {
		s.problem("%s", waited)
		if silent != "" {
			s.mute[silent] = true
		}
	}
}

// awaitRecovered waits until a node that came back has what its cluster has.
func (s *setRun) awaitRecovered(ctx context.Context, id string) {
	c := s.cluster[id]
	if s.unexpectedEnds(); !s.attended(c) || s.ended[id] {
		return
	}
	began := time.Now()
	waited := s.await(ctx, recoverBound, func(ctx context.Context) (bool, string) {
		ids := s.attending(c)
		var leader, node *pb.StatusReply
		for i, st := range s.statuses(ctx, ids) {
			if st.GetReady() {
				leader = st
			}
			if ids[i] == id {
				node = st
			}
		}
		switch {
		case leader == nil:
			return false, "a ready leader of " + s.topology.Clusters[c].ID
		case node == nil:
			return false, statusOf + id
		}
		return node.GetAppliedIndex() >= leader.GetCommitIndex() && node.GetLeader() == leader.GetNodeId(),
			fmt.Sprintf("node %s to catch up with %s (applied %d of %d)", id, leader.GetNodeId(), node.GetAppliedIndex(), leader.GetCommitIndex())
	})
	if waited != "" {
		s.problem("%s", waited)
	} else {
		s.observe(0, "node %s has caught up after %s", id, time.Since(began).Round(time.Millisecond))
	}
}
