package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"runtime/pprof"
	"time"

	"paxbank/client/launch"
	"paxbank/internal/topology"
	pb "paxbank/proto/paxbank/v1"
)

// The exit codes of Run; the client's page lists all of them.
const (
	exitPass    = 0
	exitFail    = 1
	exitUnknown = 2
	exitUsage   = 64
	exitNodes   = 69
	exitOurs    = 70
	exitStopped = 130
)

// How faults strike.
const (
	faultPause = "pause"
	faultKill  = "kill"
)

// gcPercent is that of the driver, which shares the machine with the nodes: it holds
// little and makes much garbage, a tenth of its time with unary calls if it collects
// as often as is usual.
// Beyond memoryLimit it collects as often as it must. The echo process of the floor
// does the same, for the floor is what is best.
const (
	gcPercent   = 800
	memoryLimit = 1 << 30
)

// Command is `client bench`, filled in by the command line.
type Command struct {
	Preset       string         `arg:"" optional:"" placeholder:"PRESET" help:"A workload with a name: course-200, course-2000, course-30000, course-5x5, smallbank, ycsb-a, ycsb-b, ycsb-c. Flags override it. Default: intra-shard transfers, uniform."`
	Transactions *int64         `placeholder:"N" help:"Measure N transactions."`
	Duration     *time.Duration `placeholder:"10s" help:"Measure for so long (default 10s)."`
	Warmup       *time.Duration `placeholder:"2s" help:"Run for so long before measuring (default 2s, with --transactions 0s)."`
	Clients      *int           `placeholder:"N" help:"Logical clients (default 16)."`
	Inflight     *int           `placeholder:"N" help:"Operations that a client has under way at once (default 256; unary 8; open loop: 16,384 for all clients together)."`
	Rate         float64        `placeholder:"N" help:"Open loop: begin so many operations a second, whatever the bank does. Latency counts from the intended start. Default: closed loop."`
	Arrivals     string         `enum:"poisson,constant" default:"poisson" help:"Open loop: random (poisson) or equal (constant) gaps between operations."`
	Unary        bool           `help:"Submit every transfer, and make every read, by a call of its own instead of on a stream."`
	Read         *float64       `placeholder:"%" help:"Share of reads, in percent."`
	Cross        *float64       `placeholder:"%" help:"Share of the transfers that are cross-shard, in percent."`
	Skew         *float64       `placeholder:"0…1" help:"Zipf exponent of the choice of items in a cluster; 0 is uniform."`
	Hot          string         `placeholder:"80:20" help:"So many percent of the accesses fall on so many percent of the items."`
	Seed         uint64         `default:"1" help:"Every client's transactions follow from it."`
	Repeat       int            `default:"1" help:"Run so often, each time on a fresh bank, and state median and 95 % interval."`
	Fail         []string       `placeholder:"n1@5s" help:"Fail a node so long into the measurement. May be repeated."`
	Recover      []string       `placeholder:"n1@8s" help:"Let it recover."`
	Fault        string         `enum:"pause,kill" default:"pause" help:"How nodes fail: pause (disconnect) or kill (kill -9, restarted from its disk)."`
	Deadline     time.Duration  `default:"5s" help:"How long an operation is tried."`
	Floor        bool           `help:"Measure also what this machine can do at best: fsync, unary calls and streamed messages between two processes."`
	JSON         bool           `name:"json" help:"Print only the result, as JSON."`
	CPUProfile   string         `name:"cpuprofile" placeholder:"FILE" help:"Write a CPU profile of the driver."`
	Profile      string         `placeholder:"DIR" help:"Write CPU, allocation, mutex and block profiles of every node and the driver over the measured time, such as n1.cpu.pprof. Our own server only."`
	EchoServer   bool           `hidden:"" help:"Serve as the echo process of --floor."`
}

// Env is what a benchmark runs in.
type Env struct {
	Stdin          io.Reader // of the echo process
	Stdout, Stderr io.Writer
	// Progress shows what goes on, over and over in one place; "" clears it. It may
	// be nil.
	Progress func(string)
	// Topology is the bank that the user chose, with addresses when Attach is set;
	// nil when he chose none, so that the preset's, or the default one, is used.
	Topology *topology.Topology
	// Command starts a node, with {id}, {listen} and {data} in its arguments; empty
	// for our own server. Name is the command as the user gave it.
	Command []string
	Name    string
	// Attach: the nodes run already.
	Attach bool
	// Dir gets the run's files, the nodes' logs and, while they run, their data. It
	// exists.
	Dir string
	// Commit and Host name the program and the sort of machine.
	Commit, Host string
	// Fleet is told of the processes that run now, and nil when they are gone; it
	// may be nil.
	Fleet func(*launch.Fleet)
}

// Run runs the benchmark and returns the exit code: 0 when every run passed, 1
// when a check found something wrong, 2 when something is unknown or a run is
// void, 64 for wrong usage, 69 when nodes could not be started or reached, 70
// when the driver failed, 130 when ctx ended. The error is one for the user.
func (c *Command) Run(ctx context.Context, env Env) (exitCode int, err error) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
	if c.EchoServer {
		if err := serveEcho(env.Stdin, env.Stdout); err != nil {
			return exitOurs, err
		}
		return exitPass, nil
	}
	if env.Progress == nil {
		env.Progress = func(string) {}
	}
	if c.Repeat < 1 {
		return exitUsage, errors.New("--repeat must be at least 1")
	}
	p, err := c.plan(&env)
	if err != nil {
		return exitUsage, err
	}
	if c.CPUProfile != "" {
		f, err := os.Create(c.CPUProfile)
		if err != nil {
			return exitUsage, fmt.Errorf("--cpuprofile: %w", err)
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return exitOurs, err
		}
		defer pprof.StopCPUProfile()
	}
	s, err := open(ctx, p, env)
	if err != nil {
		return exitNodes, err
	}
	defer s.close()
	result := &Result{Schema: Schema, Started: time.Now().UTC().Truncate(time.Second)}
	for n := range c.Repeat {
		run, err := s.repetition(ctx, c, n)
		if err != nil {
			env.Progress("")
			if ctx.Err() != nil {
				return exitStopped, nil
			}
			return exitNodes, err
		}
		result.Runs = append(result.Runs, run)
	}
	env.Progress("")
	result.Settings = p.settings
	result.conclude()
	code, err := c.report(&env, result)
	if err == nil && s.profiled != nil {
		return exitOurs, s.profiled
	}
	return code, err
}

// report writes the result to where it belongs.
func (c *Command) report(env *Env, r *Result) (exitCode int, err error) {
	if env.Dir != "" {
		if err := r.write(env.Dir); err != nil {
			return exitOurs, err
		}
	}
	if c.JSON {
		err = r.json(env.Stdout)
	} else {
		err = r.print(env.Stdout)
	}
	if err != nil {
		return exitOurs, fmt.Errorf("printing: %w", err)
	}
	return r.exitCode(), nil
}

// setup is a running bank with everything that a repetition needs.
type setup struct {
	plan  *plan
	env   Env
	bank  *bank
	fleet *launch.Fleet
	temp  string // instead of Env.Dir
	dir   string
	// profiled is why a profile is missing, or nil.
	profiled error
}

// logs is where the nodes' logs are.
func (s *setup) logs() string { return filepath.Join(s.dir, "nodes") }

// open starts the nodes, or attaches to them.
func open(ctx context.Context, p *plan, env Env) (s *setup, err error) {
	s = &setup{plan: p, env: env, dir: env.Dir}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.dir == "" {
		if s.temp, err = os.MkdirTemp("", "paxbank-bench-"); err != nil {
			return s, err
		}
		s.dir = s.temp
	}
	t := p.topology
	if !env.Attach {
		env.Progress(fmt.Sprintf("starting %d nodes", len(t.Nodes())))
		command := env.Command
		if p.settings.Profiled {
			if command, err = profileCommand(command); err != nil {
				return s, err
			}
		}
		s.fleet, err = launch.Start(ctx, launch.Config{
			Topology: t, Command: command, LogDir: s.logs(), DataDir: filepath.Join(s.dir, "data"),
		})
		if err != nil {
			return s, err
		}
		s.tell(s.fleet)
		t = s.fleet.Topology()
	}
	if s.bank, err = connect(t); err != nil {
		return s, err
	}
	return s, nil
}

func (s *setup) tell(f *launch.Fleet) {
	if s.env.Fleet != nil {
		s.env.Fleet(f)
	}
}

// close stops what open started.
func (s *setup) close() {
	if s.bank != nil {
		s.bank.close()
	}
	if s.fleet != nil {
		s.env.Progress("stopping the nodes")
		s.fleet.Stop()
		s.tell(nil)
		s.env.Progress("")
	}
	if s.temp != "" {
		os.RemoveAll(s.temp)
	}
}

// repetition is one run on a fresh bank.
func (s *setup) repetition(ctx context.Context, c *Command, n int) (*Run, error) {
	var floor *Floor
	if c.Floor {
		var err error
		if floor, err = measureFloor(ctx, s.dir, len(s.bank.nodes), s.plan.load, floorFor, s.env.Progress); err != nil {
			return nil, err
		}
	}
	if err := s.revive(ctx); err != nil {
		return nil, err
	}
	s.env.Progress("resetting the nodes")
	if err := s.bank.reset(ctx); err != nil {
		return nil, err
	}
	l := s.plan.load
	if err := s.chooseStreams(ctx, &l); err != nil {
		return nil, err
	}
	e, err := newEngine(l, s.bank)
	if err != nil {
		return nil, err
	}
	before, err := s.bank.applied(ctx)
	if err != nil {
		return nil, err
	}
	m := &measurement{setup: s, engine: e, ctx: ctx, nemesis: &nemesis{engine: e, events: s.plan.events}}
	if c.Fault == faultKill {
		m.nemesis.killer = s.fleet
	}
	if c.Profile != "" {
		if m.profiler, err = newProfiler(c.Profile, l.duration, s.logs(), s.bank.nodes); err != nil {
			return nil, err
		}
		defer m.profiler.stop()
	}
	runErr := m.run(ctx, fmt.Sprintf("run %d of %d", n+1, c.Repeat))
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	s.env.Progress("checking balances and replicas")
	all := e.result()
	a := e.audit(ctx, before, all.commits)
	if runErr != nil {
		a.problems = append(a.problems, runErr.Error())
	}
	run := m.result(all, a)
	if floor != nil {
		floor.enter(run, &l)
		run.Floor = floor
	}
	if run.FsyncsPerS != nil {
		s.plan.settings.Fsync = "synced writes, as the nodes count them"
	}
	return run, nil
}

// chooseStreams turns to calls where the nodes offer no stream.
func (s *setup) chooseStreams(ctx context.Context, l *load) error {
	const none = "unary (no stream is offered)"
	if l.unary {
		return nil
	}
	submits, err := s.bank.offers(ctx, pb.Bank_SubmitStream_FullMethodName)
	if err != nil {
		return err
	}
	if !submits {
		l.unary, s.plan.settings.Submission = true, none
	}
	if !l.mix.reads() {
		return nil
	}
	reads, err := s.bank.offers(ctx, pb.Bank_ReadStream_FullMethodName)
	if err != nil {
		return err
	}
	if !reads || l.unary {
		l.unaryReads, s.plan.settings.Reads = true, none
	}
	return nil
}

// revive starts nodes again that an earlier run left killed.
func (s *setup) revive(ctx context.Context) error {
	if s.fleet == nil {
		return nil
	}
	for id := range s.fleet.Ended() {
		address, err := s.fleet.Restart(ctx, id)
		if err != nil {
			return err
		}
		for _, p := range s.bank.nodes {
			if p.id == id {
				if err := p.dial(address); err != nil {
					return err
				}
			}
		}
	}
	s.bank.topology = s.fleet.Topology()
	return nil
}
