package bench

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"paxbank/internal/topologypb"
	pb "paxbank/proto/paxbank/v1"
)

// event is a fault that was asked for.
type event struct {
	node    string
	recover bool
	at      time.Duration // into the measured window
}

func (e *event) what() string {
	if e.recover {
		return "recover"
	}
	return "fail"
}

// parseEvents reads NODE@TIME, in order of time; a node fails before it recovers.
func parseEvents(fail, recover []string, known func(node string) bool) ([]event, error) {
	var events []event
	for i, list := range [][]string{fail, recover} {
		flag := []string{"--fail", "--recover"}[i]
		for _, text := range list {
			node, after, ok := strings.Cut(text, "@")
			at, err := time.ParseDuration(after)
			switch {
			case !ok || err != nil || at < 0:
				return nil, fmt.Errorf("%s %s: want NODE@TIME, as in n1@5s", flag, text)
			case !known(node):
				return nil, fmt.Errorf("%s %s: there is no node %s", flag, text, node)
			}
			events = append(events, event{node: node, recover: i == 1, at: at})
		}
	}
	slices.SortStableFunc(events, func(a, b event) int { return cmp.Compare(a.at, b.at) })
	down := map[string]bool{}
	for i := range events {
		if ev := &events[i]; ev.recover == down[ev.node] {
			down[ev.node] = !ev.recover
		} else if ev.recover {
			return nil, fmt.Errorf("--recover %s@%s: the node has not failed before", ev.node, ev.at)
		} else {
			return nil, fmt.Errorf("--fail %s@%s: the node has failed already", ev.node, ev.at)
		}
	}
	return events, nil
}

// processes are the nodes, when they can be killed.
type processes interface {
	Kill(id string) error
	Restart(ctx context.Context, id string) (address string, err error)
}

// nemesis lets faults strike while a load runs.
type nemesis struct {
	engine *engine
	events []event
	killer processes // nil: nodes are disconnected
	struck []fault
	err    error
}

// run lets each fault strike at its time. It ends with the last of them, or with
// ctx, or when a fault could not be carried out.
func (n *nemesis) run(ctx context.Context) {
	n.struck = make([]fault, len(n.events))
	for i := range n.events {
		ev := &n.events[i]
		if !n.engine.sleepUntil(ctx, n.engine.warmEnd+int64(ev.at), n.engine.drained) {
			return
		}
		p := n.peer(ev.node)
		if err := n.strike(ctx, ev, p); err != nil {
			n.err = fmt.Errorf("node %s could not %s: %w", ev.node, ev.what(), err)
			return
		}
		n.struck[i].at = n.engine.now()
		n.engine.lanes[p.cluster].watch(&n.struck[i])
	}
}

func (n *nemesis) peer(id string) *peer {
	i := slices.IndexFunc(n.engine.bank.nodes, func(p *peer) bool { return p.id == id })
	return n.engine.bank.nodes[i]
}

func (n *nemesis) strike(ctx context.Context, ev *event, p *peer) error {
	b := n.engine.bank
	callCtx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	switch {
	case n.killer == nil:
		return b.setLive(callCtx, p, ev.recover)
	case !ev.recover:
		b.markLive(p, false)
		return n.killer.Kill(p.id)
	}
	address, err := n.killer.Restart(ctx, p.id)
	if err != nil {
		return err
	}
	if err := p.dial(address); err != nil {
		return err
	}
	callCtx, cancel = context.WithTimeout(ctx, resetTimeout)
	defer cancel()
	// Its own epoch: it goes on with what its disk holds.
	request := &pb.ConfigureRequest{NodeId: p.id, Topology: topologypb.ToProto(b.topology), Epoch: b.epoch}
	if _, err := pb.NewControlClient(p.connection()).Configure(callCtx, request); err != nil {
		return fmt.Errorf("not configured: %w", err)
	}
	return b.setLive(callCtx, p, true)
}

// results of the faults that struck. REQUIRES: run and the load have ended.
func (n *nemesis) results() []FaultResult {
	var all []FaultResult
	for i := range n.struck {
		f := &n.struck[i]
		if f.at == 0 {
			continue
		}
		r := FaultResult{What: n.events[i].what(), Node: n.events[i].node, AtSeconds: float64(f.at-n.engine.warmEnd) / float64(time.Second)}
		if f.first != 0 {
			ms := float64(f.first-f.at) / float64(time.Millisecond)
			r.FirstCommitMillis = &ms
		}
		all = append(all, r)
	}
	return all
}
