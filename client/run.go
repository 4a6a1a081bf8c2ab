package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/mattn/go-isatty"

	"paxbank/client/check"
	"paxbank/client/launch"
	"paxbank/client/report"
	"paxbank/client/runner"
	"paxbank/client/session"
	"paxbank/internal/topology"
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
	Results   string        `default:"results" env:"PAXBANK_RESULTS" placeholder:"DIR" help:"Where runs leave their files."`
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
	for _, p := range plans {
		one, err := c.runPlan(ctx, d, p, command)
		code = graver(code, one)
		if err != nil {
			return code, err
		}
		if ctx.Err() != nil {
			return graver(code, check.ExitInterrupted), nil
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

// execution is one run of one test set.
type execution struct {
	*runCommand
	*driver
	plan     *plan
	command  []string
	dir      string
	progress func(string)
	out      io.Writer // tables; discarded with --json
	opts     report.Options

	run      runner.RunResult
	verdicts []check.SetVerdict
}

// runPlan runs one test set and returns its exit code. Whatever happens, what
// was started is stopped and what there is is written.
func (c *runCommand) runPlan(ctx context.Context, d *driver, p *plan, command []string) (code int, err error) {
	dir, err := makeRunDir(c.Results, p.path, time.Now())
	if err != nil {
		return check.ExitUsage, &exitError{check.ExitUsage, err}
	}
	x := &execution{runCommand: c, driver: d, plan: p, command: command, dir: dir, out: d.stdout, opts: c.options(d.stdout)}
	x.progress = progressTo(d.stderr, c.Step)
	if c.JSON {
		x.out = io.Discard
	}
	for _, n := range p.notes {
		d.note("%s", n)
	}
	for _, w := range p.warnings {
		d.note("%s", w)
	}
	x.run = runner.RunResult{
		TestSet: relative(p.path), Started: time.Now(), Topology: p.sets[0].topology, Order: c.Order, Fault: c.Fault,
		NodeCmd: strings.Join(unplaced(strings.Fields(c.NodeCmd)), " "), Args: unplaced(d.args), Host: host(), Commit: commit(),
	}
	defer func() {
		if v := recover(); v != nil {
			d.note("client: internal error: %v\n%s", v, debug.Stack())
			code, err = check.ExitInternal, nil
		}
		x.progress("")
		if writeErr := report.Write(dir, &x.run, x.verdicts); writeErr != nil {
			d.note("client: results could not be written: %v", writeErr)
			code = graver(code, check.ExitInternal)
		}
		d.note("results in %s", shown(dir))
	}()
	err = x.sets(ctx)
	x.progress("")
	x.run.Interrupted = ctx.Err() != nil
	var failed *exitError
	if errors.As(err, &failed) && failed.code == check.ExitNodes && !x.run.Interrupted {
		x.run.NodesFailed = failed.Error()
	} else if x.run.Interrupted {
		err = nil
	}
	verdict := check.Combine(x.verdicts)
	if c.JSON {
		if err := report.JSON(d.stdout, &x.run, x.verdicts); err != nil {
			return check.ExitInternal, err
		}
	} else if err := report.PrintRun(d.stdout, &x.run, &verdict, x.opts); err != nil {
		return check.ExitInternal, err
	}
	code = check.ExitCode(&x.run, verdict)
	return code, err
}

func (c *runCommand) options(out *os.File) report.Options {
	o := report.OptionsFor(out)
	for _, p := range c.Print {
		switch p {
		case "log":
			o.Log = true
		case "status":
			o.Status = true
		case "locks":
			o.Locks = true
		}
	}
	return o
}

// sets runs the sets in file order, on one fleet as long as the topology stays
// the same.
func (x *execution) sets(ctx context.Context) error {
	for i := 0; i < len(x.plan.sets) && ctx.Err() == nil; {
		t := x.plan.sets[i].topology
		n := 1
		for i+n < len(x.plan.sets) && x.plan.sets[i+n].topology == t {
			n++
		}
		quit, err := x.onBank(ctx, t, x.plan.sets[i:i+n])
		if err != nil || quit {
			return err
		}
		i += n
	}
	return nil
}

// onBank starts (or attaches to) a bank and runs sets on it.
func (x *execution) onBank(ctx context.Context, t *topology.Topology, sets []planned) (quit bool, err error) {
	var processes runner.Processes
	if !x.Attach {
		x.progress(fmt.Sprintf("starting %d nodes", len(t.Nodes())))
		fleet, err := launch.Start(ctx, launch.Config{
			Topology: t, Command: x.command,
			LogDir:  filepath.Join(x.dir, "nodes"),
			DataDir: filepath.Join(x.dir, "data"),
		})
		if err != nil {
			return true, &exitError{check.ExitNodes, err}
		}
		x.mu.Lock()
		x.fleet = fleet
		x.mu.Unlock()
		defer func() {
			x.progress("stopping the nodes")
			fleet.Stop()
			x.mu.Lock()
			x.fleet = nil
			x.mu.Unlock()
		}()
		processes, t = fleet, fleet.Topology()
	}
	nodes, err := session.Connect(t)
	if err != nil {
		return true, &exitError{check.ExitNodes, err}
	}
	defer nodes.Close()
	r, err := runner.New(runner.Options{
		Nodes: nodes, Processes: processes, Order: x.Order, Fault: x.Fault, Deadline: x.Deadline,
		KeepState: x.KeepState, Started: x.run.Started, Progress: x.progress,
	})
	if err != nil {
		return true, usage("%w", err)
	}
	for _, s := range sets {
		if ctx.Err() != nil {
			return true, nil
		}
		if x.Step {
			switch x.askBefore(ctx, s.set.Number, len(s.set.Commands)) {
			case answerSkip:
				x.run.Sets = append(x.run.Sets, runner.SetResult{Set: s.set, Topology: t, Skipped: true})
				x.judge("")
				continue
			case answerQuit:
				return true, nil
			}
		}
		result, err := r.RunSet(ctx, s.set)
		x.progress("")
		x.run.Sets = append(x.run.Sets, result)
		switch {
		case ctx.Err() != nil:
			x.judge("the user interrupted it")
		case err != nil:
			x.judge(err.Error())
		default:
			x.judge("")
		}
		last := len(x.run.Sets) - 1
		set, verdict := &x.run.Sets[last], &x.verdicts[last]
		failed := err
		if err := report.PrintSet(x.out, set, verdict, x.opts); err != nil {
			return true, fmt.Errorf("printing: %w", err)
		}
		if x.prints("timeline") {
			x.printTimelines(ctx, r, set)
		}
		if err := report.Write(x.dir, &x.run, x.verdicts); err != nil {
			return true, fmt.Errorf("writing results: %w", err)
		}
		if failed != nil {
			return true, &exitError{check.ExitNodes, failed}
		}
		if x.Step && ctx.Err() == nil {
			x.commands(ctx, r, set)
		}
	}
	return false, nil
}

// judge adds the verdict of the last set. Of one that was not carried out to its
// end (why says so) nothing can be said: what is missing in it is no failure.
func (x *execution) judge(why string) {
	set := &x.run.Sets[len(x.run.Sets)-1]
	v := check.Judge(set, x.plan.expected)
	if why != "" {
		v.Verdict, v.Score = check.Unknown, 0
		v.Checks = []check.Check{{
			Source: check.SourceInvariant, Check: "finished", Target: fmt.Sprintf("set %d", set.Set.Number),
			Expected: "carried out", Actual: "not carried out to its end", Verdict: check.Unknown, Message: why,
		}}
	}
	x.verdicts = append(x.verdicts, v)
}

func (x *execution) prints(what string) bool {
	for _, p := range x.Print {
		if p == what {
			return true
		}
	}
	return false
}

// maxTimelines printed by --print timeline for one set; --step shows any.
const maxTimelines = 20

func (x *execution) printTimelines(ctx context.Context, r *runner.Runner, set *runner.SetResult) {
	printed := 0
	for i := range set.Calls {
		c := &set.Calls[i]
		if c.Kind != "cross" || c.ClientID == 0 {
			continue
		}
		if printed++; printed > maxTimelines {
			fmt.Fprintf(x.out, "… timelines of the first %d cross-shard transfers only\n", maxTimelines)
			return
		}
		x.timeline(ctx, r, c)
	}
}

func (x *execution) timeline(ctx context.Context, r *runner.Runner, c *runner.Call) {
	lines, err := r.Timelines(context.WithoutCancel(ctx), c.ClientID, c.Timestamp)
	if err == nil {
		err = report.PrintTimeline(x.out, c, lines)
	}
	if err != nil {
		x.note("timeline of %s: %v", c.Command.Text, err)
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
