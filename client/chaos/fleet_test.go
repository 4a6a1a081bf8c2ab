package chaos

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"

	"paxbank/client/launch"
	"paxbank/client/session"
	"paxbank/internal/topology"
	"paxbank/internal/topologypb"
	pb "paxbank/proto/paxbank/v1"
)

// The bounds of these tests. They are limits for a busy machine; what is
// promised to users is measured and judged by itself.
const (
	// callBound: a control or inspect call to a node that runs.
	callBound = 5 * time.Second
	// settleBound: leaders elected, everything pending ended, once faults stop.
	settleBound = 30 * time.Second
	pollEvery   = 5 * time.Millisecond
	// logTail lines of every node's log are shown when a test fails.
	logTail = 20
)

// program is the server under test, built once.
var program string

func TestMain(m *testing.M) { os.Exit(runTests(m)) }

func runTests(m *testing.M) int {
	dir, err := os.MkdirTemp("", "paxbank-chaos-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	program = filepath.Join(dir, "server")
	// Without the race detector even when the tests have it: the nodes' timing
	// is part of what is tested.
	build := exec.Command("go", "build", "-o", program, "paxbank/server")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building the server: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// bank is nine (or so) running node processes. Its methods fail the test.
type bank struct {
	t     *testing.T
	ctx   context.Context
	topo  *topology.Topology // with addresses
	fleet *launch.Fleet
	nodes *session.Nodes // for control and inspection
	limit *pb.Limits
	logs  string
	// pools are other connections that must learn of new addresses.
	pools []*session.Nodes
}

// start starts a process for every node of topo, configures them and connects
// them. They are gone when the test ends, however it ends: in the cleanup, or
// with this process.
func start(t *testing.T, topo *topology.Topology, limits *pb.Limits) *bank {
	t.Helper()
	return startAs(t, topo, limits, []string{program, "--id", "{id}", "--listen", "{listen}", "--data", "{data}"})
}

// startAs is start with another command for a node.
func startAs(t *testing.T, topo *topology.Topology, limits *pb.Limits, command []string) *bank {
	t.Helper()
	dir := t.TempDir()
	b := &bank{t: t, ctx: t.Context(), limit: limits, logs: filepath.Join(dir, "logs")}
	fleet, err := launch.Start(b.ctx, launch.Config{
		Topology: topo,
		Command:  command,
		LogDir:   b.logs,
		DataDir:  filepath.Join(dir, "data"),
	})
	if err != nil {
		t.Fatal(err)
	}
	b.fleet = fleet
	t.Cleanup(func() {
		if t.Failed() {
			b.showLogs()
		}
		fleet.StopNow()
	})
	b.topo = fleet.Topology()
	b.nodes = b.connect()
	b.configure(b.all()...)
	b.live(true, b.all()...)
	b.leaders()
	return b
}

// connect returns connections of their own to all nodes.
func (b *bank) connect() *session.Nodes {
	b.t.Helper()
	n, err := session.Connect(b.topo)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = n.Close() })
	b.pools = append(b.pools, n)
	return n
}

// session returns a client of the bank.
func (b *bank) session(nodes *session.Nodes) *session.Session {
	b.t.Helper()
	s, err := session.New(nodes)
	if err != nil {
		b.t.Fatal(err)
	}
	s.SetEpoch(1, b.topo.Hash())
	return s
}

func (b *bank) all() []string {
	var ids []string
	for _, n := range b.topo.Nodes() {
		ids = append(ids, n.ID)
	}
	return ids
}

func (b *bank) of(cluster int) []string {
	var ids []string
	for _, n := range b.topo.Clusters[cluster].Nodes {
		ids = append(ids, n.ID)
	}
	return ids
}

// each does something with several nodes at once.
func (b *bank) each(ids []string, do func(ctx context.Context, id string) error) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, callBound)
	defer cancel()
	errs := make([]error, len(ids))
	var wg sync.WaitGroup
	for i, id := range ids {
		wg.Go(func() { errs[i] = do(ctx, id) })
	}
	wg.Wait()
	for i, err := range errs {
		if err != nil {
			b.t.Fatalf("node %s: %v", ids[i], err)
		}
	}
}

var waitForReady = grpc.WaitForReady(true)

// configure tells nodes their bank; they go on, disconnected, from their disk.
func (b *bank) configure(ids ...string) {
	b.t.Helper()
	b.each(ids, func(ctx context.Context, id string) error {
		_, err := b.nodes.Control(id).Configure(ctx, &pb.ConfigureRequest{
			NodeId: id, Topology: topologypb.ToProto(b.topo), Epoch: 1, Limits: b.limit}, waitForReady)
		return err
	})
}

func (b *bank) live(live bool, ids ...string) {
	b.t.Helper()
	b.each(ids, func(ctx context.Context, id string) error {
		_, err := b.nodes.Control(id).SetLive(ctx, &pb.SetLiveRequest{Live: live}, waitForReady)
		return err
	})
}

// kill kills nodes with SIGKILL, all at once, and returns when they are gone.
func (b *bank) kill(ids ...string) {
	b.t.Helper()
	b.nobodyEnded()
	b.each(ids, func(_ context.Context, id string) error { return b.fleet.Kill(id) })
}

// nobodyEnded fails the test when a node's process ended by itself.
func (b *bank) nobodyEnded() {
	b.t.Helper()
	for id, how := range b.fleet.Ended() {
		b.t.Fatalf("node %s ended by itself: %s", id, how)
	}
}

// reopen starts killed nodes again from their disks, disconnected.
func (b *bank) reopen(ids ...string) {
	b.t.Helper()
	addresses := make([]string, len(ids))
	errs := make([]error, len(ids))
	var wg sync.WaitGroup
	for i, id := range ids {
		wg.Go(func() { addresses[i], errs[i] = b.fleet.Restart(b.ctx, id) })
	}
	wg.Wait()
	moved := false
	for i, id := range ids {
		if errs[i] != nil {
			b.t.Fatal(errs[i])
		}
		moved = moved || addresses[i] != b.address(id)
		for _, n := range b.pools {
			if err := n.Renew(id, addresses[i]); err != nil {
				b.t.Fatal(err)
			}
		}
	}
	b.topo = b.fleet.Topology()
	if !moved {
		return
	}
	// Somebody took a port meanwhile: all the others must learn the new address,
	// which disconnects them for a moment.
	b.t.Logf("%v moved to other ports", ids)
	up := b.all()
	for id := range b.fleet.Ended() {
		up = without(up, id)
	}
	b.configure(up...)
	for _, id := range ids {
		up = without(up, id)
	}
	b.live(true, up...)
}

// restart starts killed nodes again and connects them.
func (b *bank) restart(ids ...string) {
	b.t.Helper()
	b.reopen(ids...)
	b.live(true, ids...)
}

func (b *bank) address(id string) string {
	number, _, _ := b.topo.Lookup(id)
	return b.topo.Nodes()[number-1].Address
}

func (b *bank) signal(sig syscall.Signal, ids ...string) {
	b.t.Helper()
	for _, id := range ids {
		if err := b.fleet.Signal(id, sig); err != nil {
			b.t.Fatal(err)
		}
	}
}

// status of a node; nil when it does not answer.
func (b *bank) status(id string) *pb.StatusReply {
	ctx, cancel := context.WithTimeout(b.ctx, time.Second)
	defer cancel()
	st, err := b.nodes.Control(id).Status(ctx, &pb.StatusRequest{})
	if err != nil {
		return nil
	}
	return st
}

// leader of a cluster that says it is ready; "" when there is none.
func (b *bank) leader(cluster int) string {
	for _, id := range b.of(cluster) {
		if st := b.status(id); st.GetReady() {
			return id
		}
	}
	return ""
}

// leaders waits until every cluster has a ready leader, and names them.
func (b *bank) leaders() []string {
	b.t.Helper()
	found := make([]string, len(b.topo.Clusters))
	b.until("a leader of every cluster", settleBound, func() (bool, string) {
		done := true
		for c := range found {
			found[c] = b.leader(c)
			done = done && found[c] != ""
		}
		return done, fmt.Sprint(found)
	})
	return found
}

// until polls a condition of other processes.
func (b *bank) until(what string, bound time.Duration, f func() (done bool, now string)) {
	b.t.Helper()
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	over := time.After(bound)
	for {
		done, now := f()
		if done {
			return
		}
		select {
		case <-ticker.C:
		case <-over:
			b.t.Fatalf("waited %v for %s; now: %s", bound, what, now)
		case <-b.ctx.Done():
			b.t.Fatalf("interrupted while waiting for %s", what)
		}
	}
}

func (b *bank) showLogs() {
	for _, id := range b.all() {
		data, err := os.ReadFile(filepath.Join(b.logs, id+".log"))
		if err != nil {
			continue
		}
		lines := strings.Split(strings.TrimSpace(string(data)), "\n")
		b.t.Logf("the end of %s's log:\n%s", id, strings.Join(lines[max(0, len(lines)-logTail):], "\n"))
	}
}

func without(ids []string, not string) []string {
	var left []string
	for _, id := range ids {
		if id != not {
			left = append(left, id)
		}
	}
	return left
}
