package runner

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"paxbank/client/session"
	"paxbank/client/testset"
)

// commands runs the set's commands: batches, and the markers between them. An
// interrupt lets no command out: those not sent yet are unknown.
func (s *setRun) commands(ctx context.Context) {
	batch := 0
	for commands := s.res.Set.Commands; len(commands) > 0; {
		if commands[0].Marker() {
			if ctx.Err() == nil {
				s.settle(ctx, lingerBetween)
				s.marker(ctx, commands[0])
			}
			commands = commands[1:]
			continue
		}
		n := slices.IndexFunc(commands, testset.Command.Marker)
		if n < 0 {
			n = len(commands)
		}
		batch++
		s.opt.Progress(fmt.Sprintf("set %d: batch %d, %d commands", s.res.Set.Number, batch, n))
		s.batch(ctx, batch, commands[:n])
		commands = commands[n:]
	}
}

// kindOf says whether a command is a read, or stays in one cluster, or crosses.
func (r *Runner) kindOf(c *testset.Command) string {
	if c.Kind == testset.Read {
		return "read"
	}
	from, _ := r.topology.Items.Cluster(c.From)
	to, _ := r.topology.Items.Cluster(c.To)
	if from != to {
		return "cross"
	}
	return "intra"
}

// order says which commands of a batch wait for which: after[i] are those that
// may start when i has ended, waits[i] the number of those that i waits for.
func order(how string, commands []testset.Command) (after [][]int, waits []int) {
	after = make([][]int, len(commands))
	waits = make([]int, len(commands))
	last := map[int64]int{} // item → last command that names it
	for i := range commands {
		var earlier [2]int
		n := 0
		add := func(j int) {
			if n == 1 && earlier[0] == j {
				return // both items were last named by the same command
			}
			earlier[n] = j
			n++
		}
		switch how {
		case OrderSerial:
			if i > 0 {
				add(i - 1)
			}
		case OrderConflict:
			c := &commands[i]
			items := [2]int64{c.From, c.To}
			if c.Kind == testset.Read {
				items = [2]int64{c.Item, c.Item}
			}
			// It is enough to wait for the last one of each item: that one waited for
			// those before it.
			for k, item := range items {
				if k == 1 && item == items[0] {
					break
				}
				if j, ok := last[item]; ok {
					add(j)
				}
				last[item] = i
			}
		}
		for _, j := range earlier[:n] {
			after[j] = append(after[j], i)
		}
		waits[i] = n
	}
	return after, waits
}

// batch runs commands at once, as far as the order allows, and returns when all
// have ended or been given up.
func (s *setRun) batch(ctx context.Context, number int, commands []testset.Command) {
	base := len(s.res.Calls)
	for i := range commands {
		s.res.Calls = append(s.res.Calls, Call{Command: commands[i], Batch: number, Kind: s.kindOf(&commands[i])})
	}
	calls := s.res.Calls[base:]
	after, waits := order(s.opt.Order, commands)
	startable := make(chan int, len(commands)) // never blocks: each enters once
	missing := make([]atomic.Int32, len(commands))
	for i, w := range waits {
		if missing[i].Store(int32(w)); w == 0 {
			startable <- i
		}
	}
	var left atomic.Int64
	left.Store(int64(len(commands)))
	var mu sync.Mutex // guards s.open
	var wg sync.WaitGroup
	for range min(s.opt.Outstanding, len(commands)) {
		wg.Go(func() {
			for i := range startable {
				s.call(ctx, &calls[i], func(q session.Request, cluster int) {
					mu.Lock()
					defer mu.Unlock()
					s.open = append(s.open, openCall{request: q, cluster: cluster, call: base + i, carried: -1, was: calls[i]})
				})
				for _, j := range after[i] {
					if missing[j].Add(-1) == 0 {
						startable <- j
					}
				}
				if left.Add(-1) == 0 {
					close(startable)
				}
			}
		})
	}
	wg.Wait()
}

// call carries one command out. An unknown outcome is resolved at once when the
// sender's cluster has a quorum, so that what waits for this command sees it
// ended; otherwise keep is told.
func (s *setRun) call(ctx context.Context, c *Call, keep func(session.Request, int)) {
	c.Start = s.now()
	if ctx.Err() != nil {
		c.End, c.Outcome, c.Message = c.Start, Unknown, "interrupted before it was sent"
		return
	}
	cmd := &c.Command
	if cmd.Kind == testset.Read {
		r := s.session.Read(ctx, cmd.Item, s.opt.Deadline)
		c.End = s.now()
		c.Outcome, c.Value, c.Attempts, c.Node, c.Message = Outcome(r.Outcome), r.Value, r.Attempts, r.Node, r.Message
		return
	}
	r := s.session.Transfer(ctx, cmd.From, cmd.To, cmd.Amount, s.opt.Deadline)
	c.End = s.now()
	c.Outcome, c.Attempts, c.Node, c.Message = Outcome(r.Outcome), r.Attempts, r.Node, r.Message
	c.ClientID, c.Timestamp = r.Client, r.Timestamp
	if c.Outcome != Unknown {
		return
	}
	q := session.Request{Client: r.Client, Timestamp: r.Timestamp, Epoch: r.Epoch, From: cmd.From}
	cluster, _ := s.topology.Items.Cluster(cmd.From)
	if !s.quorum(cluster) || !s.resolve(ctx, c, q) {
		keep(q, cluster)
	}
}

// resolve settles a call that is unknown, and reports whether it could.
func (s *setRun) resolve(ctx context.Context, c *Call, q session.Request) bool {
	r := s.session.Resolve(ctx, q, resolveBound)
	if r.Outcome == session.Unknown {
		return false
	}
	if c != nil {
		c.Outcome, c.Resolved, c.ResolvedAt, c.Node = Outcome(r.Outcome), true, s.now(), r.Node
		c.Message += "; settled by Resolve"
	}
	return true
}

// resolveOpen tries again to settle what is unknown still, where the cluster has
// a quorum.
func (s *setRun) resolveOpen(ctx context.Context) {
	if ctx.Err() != nil || len(s.open) == 0 {
		return
	}
	settled := make([]bool, len(s.open))
	next := make(chan int, len(s.open))
	for i, o := range s.open {
		if s.quorum(o.cluster) {
			next <- i
		}
	}
	close(next)
	var wg sync.WaitGroup
	for range min(s.opt.Outstanding, len(s.open)) {
		wg.Go(func() {
			for i := range next {
				var c *Call
				switch o := &s.open[i]; {
				case o.call >= 0:
					c = &s.res.Calls[o.call]
				case o.carried >= 0:
					c = &s.res.Carried[o.carried]
				}
				settled[i] = s.resolve(ctx, c, s.open[i].request)
			}
		})
	}
	wg.Wait()
	var rest []openCall
	for i, o := range s.open {
		if !settled[i] {
			rest = append(rest, o)
		}
	}
	s.open = rest
}
