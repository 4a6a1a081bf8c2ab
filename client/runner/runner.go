package runner

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"paxbank/client/session"
	"paxbank/client/testset"
	"paxbank/internal/topology"
)

// The orders in which the commands of a batch start.
const (
	OrderConflict = "conflict" // once every earlier one that shares an item has ended
	OrderFree     = "free"     // all at once
	OrderSerial   = "serial"   // one by one
)

// The ways in which F and LF fail a node.
const (
	FaultPause = "pause" // disconnected with Control.SetLive
	FaultKill  = "kill"  // killed, and restarted from its disk
)

// The bounds of the runner's waits.
const (
	// pollEvery: between two looks at the nodes' status.
	pollEvery = 5 * time.Millisecond
	// statusTimeout of one Control call that does little work.
	statusTimeout = 3 * time.Second
	// resetTimeout of a Configure or Reset, which replaces a disk's contents.
	resetTimeout = 30 * time.Second
	// startBound: every cluster with a majority has a ready leader so long after
	// a reset.
	startBound = 10 * time.Second
	// startTries: so many resets until the first live node of every cluster leads.
	startTries = 3
	// quietBound: nodes are quiet so long after the last command ended.
	quietBound = 10 * time.Second
	// recoverBound: a recovered node has caught up.
	recoverBound = 5 * time.Second
	// downBound: nodes without a majority know that they have no leader.
	downBound = 5 * time.Second
	// leaderBound: LF waits so long for a leader to fail.
	leaderBound = 5 * time.Second
	// lingerBetween, lingerEnd: what is prepared or decided while some cluster has
	// no quorum may have to wait for that cluster, and is waited for only so long
	// after the last progress.
	lingerBetween = 500 * time.Millisecond
	lingerEnd     = 2 * time.Second
	// resolveBound of one attempt to settle an unknown outcome.
	resolveBound = 5 * time.Second
	// collectBound: every node has told what it knows.
	collectBound = 30 * time.Second
	// DefaultDeadline of a command.
	DefaultDeadline = 5 * time.Second
	// DefaultOutstanding commands at once.
	DefaultOutstanding = 3000
)

// Processes are the node processes, when the runner may kill them.
type Processes interface {
	// Kill ends a node at once and returns when it is gone.
	Kill(id string) error
	// Restart starts it again from its data directory, and returns its address.
	Restart(ctx context.Context, id string) (address string, err error)
	// Ended names nodes whose process has ended, with how.
	Ended() map[string]string
}

// Options of a runner.
type Options struct {
	Nodes *session.Nodes
	// Processes is nil when the nodes run already (--attach).
	Processes Processes
	Order     string        // "" means OrderConflict
	Fault     string        // "" means FaultPause
	Deadline  time.Duration // of a command; 0 means DefaultDeadline
	// Outstanding is the number of commands under way at once; 0 means
	// DefaultOutstanding.
	Outstanding int
	// KeepState carries the bank's state over from set to set.
	KeepState bool
	// Started is the start of the run, which all offsets count from.
	Started time.Time
	// Progress, when set, is told what goes on, in a few words.
	Progress func(string)
}

// NodesError: nodes could not be reached or configured, so that no set can run.
type NodesError struct{ err error }

func (e *NodesError) Error() string { return e.err.Error() }
func (e *NodesError) Unwrap() error { return e.err }

// Runner runs sets on one bank, one after the other.
type Runner struct {
	opt      Options
	topology *topology.Topology
	session  *session.Session
	// cluster of every node, by position in the topology.
	cluster map[string]int
	nodes   []string // ids in topology order
	epoch   uint64
	hash    uint64
	live    map[string]bool
	ran     bool // a set has run: there is state to keep
	// quietOffered: some node said "quiet" once, so the others can too.
	quietOffered bool
	// open are the calls of the current set, or with KeepState of any set, that
	// are unknown still.
	open []openCall
	// balances after the last set, for KeepState.
	balances map[int64]int64
	// loose are the items whose balance may have changed since.
	loose map[int64]bool
	// ended are processes whose end was reported already.
	ended map[string]bool
}

// openCall is an unknown outcome that is to be resolved.
type openCall struct {
	request session.Request
	cluster int
	call    int // index in the current set's calls; -1: of an earlier set
	carried int // index in what the current set carries, when it does; else -1
	was     Call
}

// New makes a runner. The nodes need not be configured.
func New(opt Options) (*Runner, error) {
	if opt.Order == "" {
		opt.Order = OrderConflict
	}
	if opt.Fault == "" {
		opt.Fault = FaultPause
	}
	if opt.Deadline == 0 {
		opt.Deadline = DefaultDeadline
	}
	if opt.Outstanding == 0 {
		opt.Outstanding = DefaultOutstanding
	}
	if opt.Progress == nil {
		opt.Progress = func(string) {}
	}
	if !slices.Contains([]string{OrderConflict, OrderFree, OrderSerial}, opt.Order) {
		return nil, fmt.Errorf("order %q: want %s, %s or %s", opt.Order, OrderConflict, OrderFree, OrderSerial)
	}
	switch {
	case opt.Fault != FaultPause && opt.Fault != FaultKill:
		return nil, fmt.Errorf("fault %q: want %s or %s", opt.Fault, FaultPause, FaultKill)
	case opt.Fault == FaultKill && opt.Processes == nil:
		return nil, errors.New("nodes that were not started here cannot be killed: use --fault pause with --attach")
	}
	s, err := session.New(opt.Nodes)
	if err != nil {
		return nil, err
	}
	t := opt.Nodes.Topology()
	r := &Runner{opt: opt, topology: t, session: s, cluster: map[string]int{}, live: map[string]bool{}, ended: map[string]bool{}}
	for c, cl := range t.Clusters {
		for _, n := range cl.Nodes {
			r.cluster[n.ID] = c
			r.nodes = append(r.nodes, n.ID)
		}
	}
	return r, nil
}

// RunSet carries one set out. The error is a *NodesError, and the result then
// holds what there is; everything else that went wrong stands in its Problems.
// When ctx ends, commands that have not ended yet stay unknown, and the state of
// the nodes is still collected.
func (r *Runner) RunSet(ctx context.Context, set testset.Set) (SetResult, error) {
	res := SetResult{Set: set, Topology: r.topology, Started: r.now(), Order: r.opt.Order, Fault: r.opt.Fault, Deadline: r.opt.Deadline}
	res.Live = r.liveNodes(set)
	run := &setRun{Runner: r, res: &res, mute: map[string]bool{}}
	err := run.start(ctx)
	if err == nil {
		run.commands(ctx)
	}
	if err == nil && ctx.Err() == nil {
		r.opt.Progress(fmt.Sprintf("set %d: waiting until the nodes are quiet", set.Number))
		run.resolveOpen(ctx)
		run.settle(ctx, lingerEnd)
		run.audit(ctx)
	}
	if ctx.Err() != nil {
		run.problem("interrupted")
	}
	run.unexpectedEnds()
	res.QuietOffered = r.quietOffered
	for _, id := range r.nodes {
		if r.live[id] {
			res.LiveAtEnd = append(res.LiveAtEnd, id)
		}
	}
	for c, cl := range r.topology.Clusters {
		if r.quorum(c) {
			res.QuorumAtEnd = append(res.QuorumAtEnd, cl.ID)
		}
	}
	// Also after an interrupt: what there is shall be written.
	collectCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), collectBound)
	defer cancel()
	r.opt.Progress(fmt.Sprintf("set %d: collecting what the nodes know", set.Number))
	run.collect(collectCtx)
	run.gatherViolations()
	res.Busy = busy(res.Calls)
	res.Ended = r.now()
	r.ran = true
	var nodes *NodesError
	if errors.As(err, &nodes) {
		run.problem("%v", err)
		return res, err
	}
	return res, nil
}

// setRun is one set under way.
type setRun struct {
	*Runner
	res *SetResult
	// mute are live nodes that did not answer although they were waited for. Once
	// is enough: every further wait would be as long and as vain.
	mute map[string]bool
}

func (r *Runner) now() time.Duration { return time.Since(r.opt.Started) }

// problem notes something that kept the set from being carried out as written.
func (s *setRun) problem(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if !slices.Contains(s.res.Problems, text) {
		s.res.Problems = append(s.res.Problems, text)
	}
}

func (s *setRun) observe(line int, format string, args ...any) {
	s.res.Observations = append(s.res.Observations, Observation{At: s.now(), Line: line, Text: fmt.Sprintf(format, args...)})
}

// liveNodes are the set's live nodes in topology order.
func (r *Runner) liveNodes(set testset.Set) []string {
	if set.Live == nil {
		return slices.Clone(r.nodes)
	}
	var live []string
	for _, id := range r.nodes {
		if slices.Contains(set.Live, id) {
			live = append(live, id)
		}
	}
	return live
}

// quorum reports whether a majority of the cluster's nodes live.
func (r *Runner) quorum(cluster int) bool {
	nodes := r.topology.Clusters[cluster].Nodes
	return len(r.liveIn(cluster)) >= len(nodes)/2+1
}

func (r *Runner) liveIn(cluster int) []string {
	var live []string
	for _, n := range r.topology.Clusters[cluster].Nodes {
		if r.live[n.ID] {
			live = append(live, n.ID)
		}
	}
	return live
}

// allQuorum reports whether every cluster has a majority.
func (r *Runner) allQuorum() bool {
	for c := range r.topology.Clusters {
		if !r.quorum(c) {
			return false
		}
	}
	return true
}

// attending are the live nodes of a cluster that it makes sense to wait for: not
// those whose process ended by itself, nor the mute ones. Both are problems of
// the set already.
func (s *setRun) attending(cluster int) []string {
	return slices.DeleteFunc(s.liveIn(cluster), func(id string) bool { return s.ended[id] || s.mute[id] })
}

// attended reports whether a majority of a cluster's nodes attend, so that it
// can be waited for.
func (s *setRun) attended(cluster int) bool {
	return len(s.attending(cluster)) >= len(s.topology.Clusters[cluster].Nodes)/2+1
}

// unexpectedEnds reports processes that ended by themselves.
func (s *setRun) unexpectedEnds() {
	if s.opt.Processes == nil {
		return
	}
	ended := s.opt.Processes.Ended()
	for _, id := range slices.Sorted(maps.Keys(ended)) {
		if !s.ended[id] {
			s.ended[id] = true
			if s.res.Crashed == nil {
				s.res.Crashed = map[string]string{}
			}
			s.res.Crashed[id] = ended[id]
			s.observe(0, "node %s ended by itself (%s)", id, ended[id])
		}
	}
}

// busy is the time during which any call was under way.
func busy(calls []Call) time.Duration {
	type span struct{ start, end time.Duration }
	spans := make([]span, 0, len(calls))
	for i := range calls {
		if calls[i].Attempts > 0 {
			spans = append(spans, span{calls[i].Start, calls[i].End})
		}
	}
	slices.SortFunc(spans, func(a, b span) int { return int(a.start - b.start) })
	var total, until time.Duration
	for _, sp := range spans {
		if sp.end > until {
			total += sp.end - max(sp.start, until)
			until = sp.end
		}
	}
	return total
}
