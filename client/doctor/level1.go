package doctor

import (
	"context"
	"errors"
	"maps"
	"slices"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "paxbank/proto/paxbank/v1"
)

// configuring: Configure with nonsense, and with what the node has already.
func (e *exam) configuring(ctx context.Context) error {
	_, idle := e.prepare(ctx)
	if errors.Is(idle, errNoStart) {
		return idle
	}
	if e.findings[configures].Result == Missing {
		return errors.New("the nodes offer no Configure")
	}
	if idle == nil {
		if err := e.again(ctx); err != nil {
			return err
		}
	}
	n := e.nodes[0]
	for _, c := range []struct {
		what, id string
		epoch    uint64
	}{
		{"a node id that the topology does not have", "no-such-node", e.epoch + 1},
		{"epoch 0", n.id, 0},
	} {
		if _, err := e.configureAs(ctx, n, c.id, c.epoch); status.Code(err) != codes.InvalidArgument {
			e.wrong(configuresWrong, "Configure of node %s with %s: %s", n.id, c.what, plainOrOK(err))
		}
	}
	e.ok(configuresWrong)
	return idle
}

// again configures every node with what it has already.
func (e *exam) again(ctx context.Context) error {
	if _, err := e.settle(ctx); err != nil {
		return err
	}
	err := each(e.nodes, func(n *node) error {
		_, err := e.configure(ctx, n, e.epoch)
		return err
	})
	if err != nil {
		e.failed(configuresTwice, "Configure with the node's own topology and epoch", err)
	} else {
		e.goesOn(ctx, configuresTwice, e.items[0][0], e.top.Balance(e.items[0][0])-1)
	}
	e.ok(configuresTwice)
	return nil
}

// goesOn expects that disconnected nodes, made live, have gone on with what they
// had: this balance of an item of the first cluster.
func (e *exam) goesOn(ctx context.Context, p id, item, balance int64) {
	for _, n := range e.nodes {
		if st, err := n.status(ctx); err != nil {
			e.failed(p, "Status of node "+n.id, err)
		} else if st.GetLive() || st.GetEpoch() != e.epoch {
			e.wrong(p, "node %s is in epoch %d, live %t; want epoch %d, disconnected", n.id, st.GetEpoch(), st.GetLive(), e.epoch)
		}
	}
	if err := e.connectAll(ctx, e.nodes); err != nil {
		e.failed(p, "SetLive(true)", err)
		return
	}
	if err := e.leaders(ctx); err != nil {
		e.wrong(p, "after SetLive(true): %v", err)
		return
	}
	if d := e.differs(ctx, 0, item, balance); d != "" {
		e.wrong(p, "%s", d)
	}
}

// printing: what Inspect shows of a bank in which something happened.
func (e *exam) printing(ctx context.Context) error {
	if _, err := e.prepare(ctx); err != nil {
		return err
	}
	from, to := e.items[0][0], e.items[0][1]
	changed := map[int64]int64{from: e.top.Balance(from) - 1, to: e.top.Balance(to) + 1}
	if len(e.items) > 1 {
		far := e.items[1][0]
		if _, committed := e.commits1(ctx, crosses, 0, from, far); committed {
			changed[from]--
			changed[far] = e.top.Balance(far) + 1
		}
	}
	if _, err := e.settle(ctx); err != nil {
		return err
	}
	for _, n := range e.nodes {
		e.database(ctx, n, changed)
		e.balances(ctx, n, changed)
	}
	e.ok(database)
	e.ok(balances)
	return nil
}

func (e *exam) database(ctx context.Context, n *node, changed map[int64]int64) {
	ctx, cancel := context.WithTimeout(ctx, callBound)
	defer cancel()
	have := map[int64]int64{}
	stream, err := n.inspect.Database(ctx, &pb.DatabaseRequest{})
	err = drain(stream, err, func(m *pb.DatabaseReply) {
		for _, b := range m.GetItems() {
			have[b.GetItem()] = b.GetBalance()
		}
	})
	if err != nil {
		e.failed(database, "Database of node "+n.id, err)
		return
	}
	for _, item := range slices.Sorted(maps.Keys(changed)) {
		want := changed[item]
		if c, _ := e.top.Items.Cluster(item); c != n.cluster {
			continue
		}
		if b, ok := have[item]; !ok {
			e.wrong(database, "Database of node %s does not list item %d, which a transfer changed", n.id, item)
		} else if b != want {
			e.wrong(database, "Database of node %s: item %d holds %d, want %d", n.id, item, b, want)
		}
	}
}

func (e *exam) balances(ctx context.Context, n *node, changed map[int64]int64) {
	for c := range e.items {
		for _, item := range e.items[c] {
			want, ok := changed[item]
			if !ok {
				want = e.top.Balance(item)
			}
			switch b, held, err := n.balance(ctx, item); {
			case err != nil:
				e.failed(balances, "Balance of node "+n.id, err)
			case held != (c == n.cluster):
				e.wrong(balances, "Balance of node %s, asked for item %d of %s: listed %t", n.id, item, e.top.Clusters[c].ID, held)
			case held && b != want:
				e.wrong(balances, "Balance of node %s: item %d holds %d, want %d", n.id, item, b, want)
			}
		}
	}
}
