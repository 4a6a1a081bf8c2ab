package launch

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"

	"paxbank/internal/topology"
)

// nodeVariables are set for nodes, unless the user set them, when so many of them
// may be busy at the same time: one of each cluster leads. Nodes and driver share a
// small machine: fewer collections, but a bounded heap; and no more threads that
// look for work than there are processors for them, since every message would wake
// one that finds nothing to do.
func nodeVariables(leaders int, memory int64) [][2]string {
	return [][2]string{
		{"GOGC", "400"},
		{"GOMEMLIMIT", fmt.Sprintf("%dMiB", memory>>20)},
		{"GOMAXPROCS", strconv.Itoa(max(1, runtime.NumCPU()/leaders))},
	}
}

// The memory that Go may use in a node before it collects more often. Of our own
// server it is known that it has less than half of ownMemory in use under full load,
// and how much its items take: balances, two checkpoints of them, and what the last
// of these outgrew while it was made. Of somebody else's nothing is known.
const (
	foreignMemory = 512 << 20
	ownMemory     = 112 << 20
	ownItemMemory = 64
)

// memoryOf is what a node that command starts may use in a bank of this shape.
func memoryOf(command []string, t *topology.Topology) int64 {
	if !isOwn(command) {
		return foreignMemory
	}
	items := make([]int64, len(t.Clusters))
	for _, r := range t.Items.Ranges {
		items[r.Cluster] += r.Last - r.First + 1
	}
	return ownMemory + ownItemMemory*slices.Max(items)
}

// process is one running node, contained or not.
type process interface {
	pid() int
	// ended is closed when the process has ended.
	ended() <-chan struct{}
	// how the process ended, in words. REQUIRES: ended is closed.
	how() string
	// signal goes to the process and what it started.
	signal(sig syscall.Signal)
	// kill kills all of them and waits until the process is gone.
	kill()
}

// plain is a process in a group of its own.
type plain struct {
	cmd  *exec.Cmd
	gone chan struct{}
	err  error // how it ended; valid once gone is closed
}

// spawner starts processes from one OS thread that lives as long as they do:
// the kernel sends a child its parent-death signal when the *thread* that
// started it ends (prctl(2), PR_SET_PDEATHSIG), and Go ends threads at will.
type spawner struct {
	env  []string // of the processes
	work chan func()
	done chan struct{}
	once sync.Once
}

func newSpawner(env []string) *spawner {
	s := &spawner{env: env, work: make(chan func()), done: make(chan struct{})}
	go func() {
		runtime.LockOSThread()
		// Unlocked at the end, when no child is left, so that the thread returns to
		// Go instead of being destroyed.
		defer runtime.UnlockOSThread()
		for {
			select {
			case f := <-s.work:
				f()
			case <-s.done:
				return
			}
		}
	}()
	return s
}

func (s *spawner) close() { s.once.Do(func() { close(s.done) }) }

// start starts a program in a process group of its own, appending what it prints
// to the file log.
func (s *spawner) start(args []string, log string) (process, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer out.Close() // the child has its own copy
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Env = s.env
	// A group of its own: Ctrl-C in the terminal reaches only the driver, which
	// then stops the nodes in order, and a node's own children die with it.
	cmd.SysProcAttr = processAttributes()
	started := make(chan error, 1)
	select {
	case s.work <- func() { started <- cmd.Start() }:
	case <-s.done:
		return nil, fmt.Errorf("the nodes are being stopped")
	}
	if err := <-started; err != nil {
		return nil, err
	}
	p := &plain{cmd: cmd, gone: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.gone)
	}()
	return p, nil
}

// environment is env with what nodes need beside it.
func environment(env []string, leaders int, memory int64) []string {
	for _, e := range nodeEnvironment(env, leaders, memory) {
		if !slices.Contains(env, e) {
			env = append(env, e)
		}
	}
	return env
}

// nodeEnvironment is what nodes need: as the user set it in env, or as is best
// here.
func nodeEnvironment(env []string, leaders int, memory int64) []string {
	variables := nodeVariables(leaders, memory)
	needs := make([]string, len(variables))
	for i, kv := range variables {
		needs[i] = kv[0] + "=" + kv[1]
		for _, e := range env {
			if strings.HasPrefix(e, kv[0]+"=") {
				needs[i] = e
			}
		}
	}
	return needs
}

func (p *plain) pid() int { return p.cmd.Process.Pid }

func (p *plain) ended() <-chan struct{} { return p.gone }

func (p *plain) how() string {
	if p.err == nil {
		return "exit status 0"
	}
	return p.err.Error()
}

// signal goes to the whole group.
func (p *plain) signal(sig syscall.Signal) {
	// An error means that nobody is left to hear it.
	_ = syscall.Kill(-p.cmd.Process.Pid, sig)
}

func (p *plain) kill() {
	p.signal(syscall.SIGKILL)
	<-p.gone
}

// stop asks a process to end, and kills it after grace.
func stop(p process, grace time.Duration) {
	select {
	case <-p.ended():
	default:
		if grace > 0 {
			p.signal(syscall.SIGTERM)
			timer := time.NewTimer(grace)
			defer timer.Stop()
			select {
			case <-p.ended():
			case <-timer.C:
			}
		}
	}
	p.kill() // also when it ended by itself: it may have left children
}

// quickConnect looks for a starting node every few milliseconds.
func quickConnect() grpc.DialOption {
	return grpc.WithConnectParams(grpc.ConnectParams{
		Backoff:           backoff.Config{BaseDelay: pollEvery, Multiplier: 1.3, Jitter: 0.2, MaxDelay: 50 * time.Millisecond},
		MinConnectTimeout: 2 * time.Second,
	})
}
