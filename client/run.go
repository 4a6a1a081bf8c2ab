package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"github.com/mattn/go-isatty"

	"paxbank/client/check"
	"paxbank/client/launch"
	"paxbank/client/runner"
)

// runCommand is `client run`.
type runCommand struct {
	TestSets []string `arg:"" optional:"" name:"testset" placeholder:"TESTSET.csv" help:"Test sets (CSV). Default: the one that PAXBANK_TESTSET names."`
	shapeFlags
	Order     string        `enum:"conflict,free,serial" default:"conflict" help:"When the commands of a batch start: conflict (a command waits for earlier ones that share an item), free (all at once), serial."`
	Fault     string        `enum:"pause,kill" default:"pause" help:"How F and LF fail a node: pause (disconnect) or kill (kill -9, restarted from its disk)."`
	Step      bool          `help:"Ask before each set, and take commands after it."`
	KeepState bool          `help:"Carry the bank's state over from set to set instead of resetting it."`
	Print     []string      `enum:"log,status,locks,timeline" placeholder:"log,status,locks,timeline" help:"Print these too, for every set."`
	Deadline  time.Duration `default:"5s" help:"How long a command is tried."`
	Results   string        `default:"results" env:"PAXBANK_RESULTS" placeholder:"DIR" help:"Where runs leave their files (default: results)."`
	JSON      bool          `name:"json" help:"Print only the summary, as JSON."`
	NodeCmd   string        `placeholder:"'CMD {id} {listen} {data}'" help:"Program to start as a node instead of our server."`
	Attach    bool          `help:"The nodes run already, at the topology's addresses."`
}

// checkCommand is `client check`.
type checkCommand struct {
	TestSets []string `arg:"" name:"testset" placeholder:"TESTSET.csv" help:"Test sets (CSV)."`
	shapeFlags
}

// driver is what the commands share: where they read and write, and what has to
// be stopped when the user insists.
type driver struct {
	stdin          *os.File
	stdout, stderr *os.File
	args           []string
	input          *lineReader // of --step
	quit           bool        // the user wants no more sets

	mu    sync.Mutex
	fleet *launch.Fleet
}

func (d *driver) note(format string, args ...any) { fmt.Fprintf(d.stderr, format+"\n", args...) }

func (c *checkCommand) run(d *driver) (int, error) {
	plans, err := plans(&c.shapeFlags, c.TestSets)
	if err != nil {
		return check.ExitUsage, err
	}
	for _, p := range plans {
		for _, w := range p.warnings {
			d.note("%s", w)
		}
		commands := 0
		for _, s := range p.sets {
			commands += len(s.set.Commands)
		}
		fmt.Fprintf(d.stdout, "%s: %d sets, %d commands, %d expectations, %d warnings\n", p.path, len(p.sets), commands, len(p.expected), len(p.warnings))
	}
	return check.ExitPass, nil
}

// plans reads and checks all test sets, so that nothing starts when any is wrong.
func plans(shape *shapeFlags, paths []string) ([]*plan, error) {
	var list []*plan
	var errs []error
	for _, path := range paths {
		p, err := shape.makePlan(path)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		list = append(list, p)
	}
	if len(errs) > 0 {
		return nil, &exitError{check.ExitUsage, errors.Join(errs...)}
	}
	return list, nil
}

func (c *runCommand) run(d *driver) (int, error) {
	paths := c.TestSets
	if len(paths) == 0 {
		if name := os.Getenv("PAXBANK_TESTSET"); name != "" {
			paths = []string{name}
		} else {
			return check.ExitUsage, usage("no test set: say which, as in client run testsets/course.csv")
		}
	}
	var command []string
	switch {
	case c.Attach && c.NodeCmd != "":
		return check.ExitUsage, usage("--attach and --node-cmd exclude each other: either the nodes run already or they are started")
	case c.Attach && c.Fault == runner.FaultKill:
		return check.ExitUsage, usage("--fault kill needs nodes that were started here: leave --attach out, or use --fault pause")
	case c.Deadline < time.Millisecond:
		return check.ExitUsage, usage("--deadline %s is too short", c.Deadline)
	case c.Step && c.JSON:
		return check.ExitUsage, usage("--step and --json exclude each other: --json prints nothing but the summary")
	case c.JSON && len(paths) > 1:
		return check.ExitUsage, usage("--json prints one summary: give one test set")
	}
	plans, err := plans(&c.shapeFlags, paths)
	if err != nil {
		return check.ExitUsage, err
	}
	if c.Attach {
		for _, p := range plans {
			for _, s := range p.sets {
				for _, n := range s.topology.Nodes() {
					if n.Address == "" {
						return check.ExitUsage, usage("--attach: node %s has no address; use a --topology file with addresses", n.ID)
					}
				}
			}
		}
	} else if c.NodeCmd != "" {
		if command, err = launch.ParseCommand(c.NodeCmd); err != nil {
			return check.ExitUsage, usage("%w", err)
		}
	} else if command, err = launch.DefaultCommand(); err != nil {
		return check.ExitNodes, &exitError{check.ExitNodes, err}
	}

	ctx, stop := d.interruptible()
	defer stop()
	code := check.ExitPass
	for i, p := range plans {
		one, err := c.runPlan(ctx, d, p, command)
		code = graver(code, one)
		if err != nil {
			return code, err
		}
		if ctx.Err() != nil {
			return graver(code, check.ExitInterrupted), nil
		}
		if d.quit {
			if left := len(plans) - i - 1; left > 0 {
				d.note("quit: %d more test sets (files) were not run", left)
				code = graver(code, check.ExitUnknown)
			}
			break
		}
	}
	return code, nil
}

// interruptible returns a context that ends at the first Ctrl-C (or SIGTERM,
// SIGHUP). The second one stops at once.
func (d *driver) interruptible() (context.Context, func()) {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	// A reader of our output that went away (| head) shall not keep us from
	// cleaning up: with this, the write fails instead.
	pipe := make(chan os.Signal, 1)
	signal.Notify(pipe, syscall.SIGPIPE)
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		select {
		case <-signals:
		case <-done:
			return
		}
		d.note("\nclient: interrupted, cleaning up (again to stop at once)")
		cancel()
		select {
		case <-signals:
		case <-done:
			return
		}
		d.mu.Lock()
		fleet := d.fleet
		d.mu.Unlock()
		if fleet != nil {
			fleet.StopNow()
		}
		os.Exit(check.ExitInterrupted)
	})
	return ctx, func() {
		signal.Stop(signals)
		signal.Stop(pipe)
		close(done)
		wg.Wait()
		cancel()
	}
}

// progressTo prints what goes on over and over on one line of a terminal, and
// nothing at all elsewhere. An empty text clears the line.
func progressTo(f *os.File, step bool) func(string) {
	if !isatty.IsTerminal(f.Fd()) || step {
		return func(string) {}
	}
	return func(text string) { fmt.Fprintf(f, "\r\033[K%s", text) }
}

// shown is a directory as the user can use it from where he is.
func shown(dir string) string {
	here, err := os.Getwd()
	if err != nil || !filepath.IsAbs(dir) {
		return dir
	}
	if rel, err := filepath.Rel(here, dir); err == nil {
		return rel
	}
	return dir
}

// host names the sort of machine, not the machine.
func host() string {
	return fmt.Sprintf("%s/%s, %d CPUs, %s", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version())
}

// commit this program was built from, with + when files were changed; "" when
// unknown.
func commit() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	revision, dirty := "", ""
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			revision = s.Value
		case "vcs.modified":
			if s.Value == "true" {
				dirty = "+"
			}
		}
	}
	if revision == "" {
		return ""
	}
	return revision + dirty
}
