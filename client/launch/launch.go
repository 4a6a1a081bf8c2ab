// Package launch starts the nodes of a bank as processes of their own, kills and
// restarts them, and sees to it that nothing is left behind: neither when the
// driver ends in an orderly way nor when it is killed itself.
//
// A node is any program that takes an id, an address to listen on and a data
// directory, and then serves the Control service there. Nodes of other people can
// be contained (Config.Sandbox; see package sandbox). The files: launch.go the
// fleet, start.go the start of one node, process.go a plain process and boxed.go
// a contained one, address.go where nodes listen, words.go the splitting of
// --node-cmd and what is said of a node that does not start.
package launch

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"paxbank/client/sandbox"
	"paxbank/internal/topology"
)

// The bounds of starting and stopping.
const (
	// DefaultReadyTimeout: a node serves Control.Status so long after its start.
	// Generous, since other people's nodes may be virtual machines' programs.
	DefaultReadyTimeout = 20 * time.Second
	// pollEvery: between two questions whether a starting node is ready.
	pollEvery = 5 * time.Millisecond
	// startTries: a node that ends right after its start (its port was taken) is
	// started again on another port so often in all.
	startTries = 5
	// samePort: a restarted node insists so often on its old port.
	samePortTries = 3
	// stopGrace: between SIGTERM and SIGKILL.
	stopGrace = 3 * time.Second
	// tailLines of a node's log stand in the error when it does not start.
	// tailColumns of each are enough; some programs print a page in a line.
	tailLines   = 8
	tailColumns = 200
)

// Config says what to start.
type Config struct {
	// Topology whose nodes are started. Their addresses are ignored: every node
	// gets one of its own, as Listen says.
	Topology *topology.Topology
	// Command is the program and its arguments, with {id}, {listen} and {data} in
	// them (see Split). Empty: DefaultCommand.
	Command []string
	// LogDir gets ID.log with everything a node prints; DataDir gets a directory
	// ID a node. Both are made. DataDir is removed by Stop.
	LogDir, DataDir string
	// ReadyTimeout bounds the start of every node; 0 means DefaultReadyTimeout.
	ReadyTimeout time.Duration
	// Listen is ListenTCP, which is the default, or ListenUnix.
	Listen string
	// Sandbox, when set, contains every node in a box. What a node may use, as its
	// Limits say, is then each node's. With ListenUnix a node has no network at all;
	// otherwise it shares the driver's (see sandbox.Worker). In a box {data} is
	// sandbox.DataDir.
	Sandbox *sandbox.Policy
}

// Where nodes listen.
const (
	ListenTCP  = "tcp"  // on free ports of 127.0.0.1
	ListenUnix = "unix" // on sockets in a private directory: unix:///…/n1.sock
)

// Fleet is the running nodes.
type Fleet struct {
	cfg     Config
	spawner *spawner

	mu       sync.Mutex
	topology *topology.Topology // with addresses
	nodes    map[string]*node
	places   map[string]place // by node
	sockets  string           // directory of ListenUnix
	stopped  bool
}

type node struct {
	id, address string
	process     process
}

// DefaultCommand starts our own server, which lies beside the running program.
func DefaultCommand() ([]string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("where is this program? %w", err)
	}
	server := filepath.Join(filepath.Dir(self), "server")
	if _, err := os.Stat(server); err != nil {
		return nil, fmt.Errorf("no program named server beside %s: build it (make build) or say --node-cmd", filepath.Base(self))
	}
	return []string{server, "--id", "{id}", "--listen", "{listen}", "--data", "{data}"}, nil
}

// isOwn reports whether a command starts our own server.
func isOwn(command []string) bool {
	own, err := DefaultCommand()
	if err != nil {
		return false
	}
	path, err := exec.LookPath(command[0])
	if err != nil {
		return false
	}
	a, errA := os.Stat(path)
	b, errB := os.Stat(own[0])
	return errA == nil && errB == nil && os.SameFile(a, b)
}

// Start starts all nodes at once and returns when every one of them serves. On
// an error everything that was started has been stopped.
func Start(ctx context.Context, cfg Config) (*Fleet, error) {
	if len(cfg.Command) == 0 {
		var err error
		if cfg.Command, err = DefaultCommand(); err != nil {
			return nil, err
		}
	}
	if cfg.ReadyTimeout == 0 {
		cfg.ReadyTimeout = DefaultReadyTimeout
	}
	// Nodes may change their working directory.
	for _, dir := range []*string{&cfg.LogDir, &cfg.DataDir} {
		abs, err := filepath.Abs(*dir)
		if err != nil {
			return nil, err
		}
		*dir = abs
		if err := os.MkdirAll(abs, 0o755); err != nil {
			return nil, err
		}
	}
	f := &Fleet{cfg: cfg, spawner: newSpawner(environment(os.Environ(), len(cfg.Topology.Clusters), memoryOf(cfg.Command, cfg.Topology))), nodes: map[string]*node{}, places: map[string]place{}}
	ids := cfg.Topology.Nodes()
	if err := f.prepare(len(ids)); err != nil {
		f.Stop()
		return nil, err
	}
	errs := make([]error, len(ids))
	var wg sync.WaitGroup
	for i, n := range ids {
		wg.Go(func() { errs[i] = f.startNode(ctx, n.ID, startTries) })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			f.Stop()
			return nil, err // the first in topology order; the others rarely say more
		}
	}
	f.mu.Lock()
	f.relist()
	f.mu.Unlock()
	return f, nil
}

// Topology is the fleet's topology with the addresses the nodes listen on.
func (f *Fleet) Topology() *topology.Topology {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.topology
}

// relist rebuilds the topology. REQUIRES: f.mu is held.
func (f *Fleet) relist() {
	t := *f.cfg.Topology
	t.Clusters = nil
	for _, c := range f.cfg.Topology.Clusters {
		nodes := make([]topology.Node, len(c.Nodes))
		for i, n := range c.Nodes {
			nodes[i] = topology.Node{ID: n.ID, Address: f.nodes[n.ID].address}
		}
		t.Clusters = append(t.Clusters, topology.Cluster{ID: c.ID, Nodes: nodes})
	}
	f.topology = &t
}

// Kill kills a node at once (SIGKILL) and returns when it is gone. Its data
// directory stays.
func (f *Fleet) Kill(id string) error {
	n, err := f.node(id)
	if err != nil {
		return err
	}
	n.process.kill()
	return nil
}

// Signal sends a signal to a node and what it started: SIGSTOP freezes it,
// SIGCONT lets it go on.
func (f *Fleet) Signal(id string, sig syscall.Signal) error {
	n, err := f.node(id)
	if err != nil {
		return err
	}
	select {
	case <-n.process.ended():
		return fmt.Errorf("node %s has ended: %s", id, n.process.how())
	default:
	}
	n.process.signal(sig)
	return nil
}

// Restart starts a killed node again from its data directory and returns the
// address it listens on: the old one unless that port was taken meanwhile.
func (f *Fleet) Restart(ctx context.Context, id string) (address string, err error) {
	n, err := f.node(id)
	if err != nil {
		return "", err
	}
	select {
	case <-n.process.ended():
	default:
		return "", fmt.Errorf("node %s still runs", id)
	}
	f.mu.Lock()
	p := f.places[id]
	f.mu.Unlock()
	for range samePortTries {
		var retry bool
		retry, err = f.tryNode(ctx, id, p)
		if err == nil || !retry || ctx.Err() != nil {
			break
		}
		if p.free() {
			break // the port is not the reason
		}
	}
	if err != nil && ctx.Err() == nil && !p.free() {
		f.mu.Lock()
		f.places[id] = nil
		f.mu.Unlock()
		p.release()
		err = f.startNode(ctx, id, startTries)
	}
	if err != nil {
		return "", err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.relist()
	return f.nodes[id].address, nil
}

// PIDs are the process ids of the nodes that run. Where a node is a wrapper that
// started another program, they are the wrapper's; of a contained node, its box's.
func (f *Fleet) PIDs() []int {
	f.mu.Lock()
	defer f.mu.Unlock()
	var pids []int
	for _, n := range f.nodes {
		select {
		case <-n.process.ended():
		default:
			pids = append(pids, n.process.pid())
		}
	}
	return pids
}

// Ended names the nodes whose process has ended, each with how.
func (f *Fleet) Ended() map[string]string {
	f.mu.Lock()
	defer f.mu.Unlock()
	ended := map[string]string{}
	for id, n := range f.nodes {
		select {
		case <-n.process.ended():
			ended[id] = n.process.how()
		default:
		}
	}
	return ended
}

func (f *Fleet) node(id string) (*node, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.nodes[id]
	if n == nil {
		return nil, fmt.Errorf("no node %s was started here", id)
	}
	return n, nil
}

// Stop ends all nodes (SIGTERM, and SIGKILL to those that do not listen),
// removes their data and returns when they are gone. It may be called twice.
func (f *Fleet) Stop() { f.stop(stopGrace) }

// StopNow is Stop without the grace.
func (f *Fleet) StopNow() { f.stop(0) }

func (f *Fleet) stop(grace time.Duration) {
	f.mu.Lock()
	f.stopped = true
	nodes := make([]*node, 0, len(f.nodes))
	for _, n := range f.nodes {
		nodes = append(nodes, n)
	}
	f.mu.Unlock()
	var wg sync.WaitGroup
	for _, n := range nodes {
		wg.Go(func() { stop(n.process, grace) })
	}
	wg.Wait()
	f.spawner.close()
	f.mu.Lock()
	defer f.mu.Unlock()
	for id, p := range f.places {
		if p != nil {
			p.release()
		}
		delete(f.places, id)
	}
	if f.sockets != "" {
		os.RemoveAll(f.sockets)
	}
	if f.cfg.DataDir != "" {
		os.RemoveAll(f.cfg.DataDir) // what cannot be removed is in the run's own directory
	}
}
