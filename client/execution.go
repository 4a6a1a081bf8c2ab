package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"paxbank/client/check"
	"paxbank/client/launch"
	"paxbank/client/report"
	"paxbank/client/runner"
	"paxbank/client/session"
	"paxbank/client/testset"
	"paxbank/internal/topology"
)

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
		if err := x.onBank(ctx, t, x.plan.sets[i:i+n]); err != nil {
			return err
		}
		if x.quit {
			x.skipRest()
			return nil
		}
		i += n
	}
	return nil
}

// skipRest enters the sets that the user quit before as skipped: what was not
// run is not known, so a run that was quit early does not count as passed.
func (x *execution) skipRest() {
	left := x.plan.sets[len(x.run.Sets):]
	for _, s := range left {
		x.skip(s.set, s.topology)
	}
	if len(left) > 0 {
		x.note("quit: sets that were not run: %d", len(left))
	}
}

func (x *execution) skip(set testset.Set, t *topology.Topology) {
	x.run.Sets = append(x.run.Sets, runner.SetResult{Set: set, Topology: t, Skipped: true})
	x.judge("")
}

// onBank starts (or attaches to) a bank and runs sets on it.
func (x *execution) onBank(ctx context.Context, t *topology.Topology, sets []planned) error {
	var processes runner.Processes
	if !x.Attach {
		x.progress(fmt.Sprintf("starting %d nodes", len(t.Nodes())))
		fleet, err := launch.Start(ctx, launch.Config{
			Topology: t, Command: x.command,
			LogDir:  filepath.Join(x.dir, "nodes"),
			DataDir: filepath.Join(x.dir, "data"),
		})
		if err != nil {
			return &exitError{check.ExitNodes, err}
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
		return &exitError{check.ExitNodes, err}
	}
	defer nodes.Close()
	r, err := runner.New(runner.Options{
		Nodes: nodes, Processes: processes, Order: x.Order, Fault: x.Fault, Deadline: x.Deadline,
		KeepState: x.KeepState, Started: x.run.Started, Progress: x.progress,
	})
	if err != nil {
		return usage("%w", err)
	}
	for _, s := range sets {
		if ctx.Err() != nil {
			return nil
		}
		if x.Step {
			switch x.askBefore(ctx, s.set.Number, len(s.set.Commands)) {
			case answerSkip:
				x.skip(s.set, t)
				continue
			case answerQuit:
				x.quit = ctx.Err() == nil
				return nil
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
			return fmt.Errorf("printing: %w", err)
		}
		if x.prints("timeline") {
			x.printTimelines(ctx, r, set)
		}
		if err := report.Write(x.dir, &x.run, x.verdicts); err != nil {
			return fmt.Errorf("writing results: %w", err)
		}
		if failed != nil {
			return &exitError{check.ExitNodes, failed}
		}
		if x.Step && ctx.Err() == nil {
			if x.commands(ctx, r, set); x.quit {
				return nil
			}
		}
	}
	return nil
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

func (x *execution) prints(what string) bool { return slices.Contains(x.Print, what) }

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
