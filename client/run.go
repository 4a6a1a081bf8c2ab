package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"slices"
	"time"

	"paxbank/client/check"
	"paxbank/client/drive"
	"paxbank/client/plan"
	"paxbank/client/report"
	"paxbank/client/runner"
)

// runCommand is `client run`.
type runCommand struct {
	TestSets []string `arg:"" optional:"" name:"testset" placeholder:"TESTSET.csv" help:"Test sets (CSV). Default: the one that PAXBANK_TESTSET names."`
	plan.Shape
	expectedFlag
	driveFlags
	repeatFlags
	Step  bool     `help:"Ask before each set, and take commands after it."`
	Print []string `enum:"log,status,locks,timeline" placeholder:"log,status,locks,timeline" help:"Print these too, for every set."`
	JSON  bool     `name:"json" help:"Print only the summary, as JSON."`
}

// execution is one run of one test set.
type execution struct {
	*runCommand
	*driver
	plan *plan.Plan
	out  io.Writer // tables; discarded with --json
	opts report.Options
	quit bool // the user wants no more commands
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
	switch {
	case c.Step && c.JSON:
		return check.ExitUsage, usage("--step and --json exclude each other: --json prints nothing but the summary")
	case c.JSON && len(paths) > 1:
		return check.ExitUsage, usage("--json prints one summary: give one test set")
	}
	if err := c.driveFlags.check(); err != nil {
		return check.ExitUsage, err
	}
	budget, err := c.checkRepeat()
	if err != nil {
		return check.ExitUsage, err
	}
	shape, err := c.expectedFlag.of(c.Shape, paths)
	if err != nil {
		return check.ExitUsage, err
	}
	c.Shape = *shape
	plans, err := plans(&c.Shape, paths)
	if err != nil {
		return check.ExitUsage, err
	}
	impl, err := c.implementation(plans)
	if err != nil {
		return check.ExitUsage, err
	}
	if impl.Sandbox != nil {
		d.note("sandbox: %s", impl.Sandbox.Describe(impl.OwnNetwork()))
	}
	ctx, stop := d.interruptible()
	defer stop()
	var grades []*report.Grade
	if step := report.GitHubFrom(os.Getenv); step != nil {
		log := d.stdout
		if c.JSON {
			log = d.stderr
		}
		if err := step.Begin(log); err != nil {
			return check.ExitInternal, err
		}
		defer func() {
			if err := step.Finish(log, report.Join(grades)); err != nil {
				d.note("client: the step of GitHub Actions: %v", err)
			}
		}()
	}
	code := check.ExitPass
	for i, p := range plans {
		var one int
		var quit bool
		if c.Repeat != nil {
			one, err = c.runRepeated(ctx, d, p, impl, budget)
		} else {
			one, quit, err = c.runPlan(ctx, d, p, impl, &grades)
		}
		code = graver(code, one)
		if err != nil {
			return code, err
		}
		if ctx.Err() != nil {
			return graver(code, check.ExitInterrupted), nil
		}
		if quit {
			if left := len(plans) - i - 1; left > 0 {
				d.note("quit: %d more test sets (files) were not run", left)
				code = graver(code, check.ExitUnknown)
			}
			break
		}
	}
	return code, nil
}

// runPlan runs one test set and returns its exit code. Whatever happens, what
// was started is stopped and what there is is written.
func (c *runCommand) runPlan(ctx context.Context, d *driver, p *plan.Plan, impl drive.Implementation, grades *[]*report.Grade) (code int, quit bool, err error) {
	dir, err := drive.RunDir(c.Results, p.Path, time.Now())
	if err != nil {
		return check.ExitUsage, false, &exitError{check.ExitUsage, err}
	}
	x := &execution{runCommand: c, driver: d, plan: p, out: d.stdout, opts: c.options(d.stdout)}
	if c.JSON {
		x.out = io.Discard
	}
	d.notes(p)
	defer func() {
		if v := recover(); v != nil {
			d.note("client: internal error: %v\n%s", v, debug.Stack())
			code, err = check.ExitInternal, nil
		}
		d.note("results in %s", drive.Shown(dir))
	}()
	o := c.driveFlags.options(impl, d)
	o.Dir = dir
	o.Progress = progressTo(d.stderr, c.Step)
	if c.Step {
		o.Before = x.before
	}
	o.After = x.after
	res, err := drive.Run(ctx, p, o)
	*grades = append(*grades, res.Grade())
	if left := res.Left(); res.Quit && left > 0 {
		d.note("quit: sets that were not run: %d", left)
	}
	verdict := res.Verdict()
	if c.JSON {
		err = errors.Join(err, report.JSON(d.stdout, &res.Run, res.Verdicts))
	} else {
		err = errors.Join(err, report.PrintRun(d.stdout, &res.Run, &verdict, x.opts))
	}
	return graver(res.ExitCode(), codeOf(err)), res.Quit, err
}

// notes says what was read without being named, and what was odd.
func (d *driver) notes(p *plan.Plan) {
	for _, n := range p.Notes {
		d.note("%s", n)
	}
	for _, w := range p.Warnings {
		d.note("%s", w)
	}
}

// repeatWords are the words of the command that runs the set again.
func (c *runCommand) repeatWords(p *plan.Plan, set int) []string {
	return repeatWords(p, set, &c.Shape, &c.driveFlags)
}

func (x *execution) before(ctx context.Context, set *plan.Set) drive.Answer {
	return x.askBefore(ctx, set.Number, len(set.Commands))
}

// after prints a set that was judged, and takes the user's commands about it.
func (x *execution) after(ctx context.Context, r *runner.Runner, set *runner.SetResult, v *check.SetVerdict) (drive.Answer, error) {
	if err := report.PrintSet(x.out, set, v, x.opts); err != nil {
		return drive.Go, fmt.Errorf("printing: %w", err)
	}
	if v.Verdict != check.Pass {
		fmt.Fprintf(x.out, "To repeat it: %s\n", drive.CommandLine(x.repeatWords(x.plan, v.Set)))
	}
	if x.prints("timeline") {
		x.printTimelines(ctx, r, set)
	}
	if x.Step && ctx.Err() == nil {
		x.commands(ctx, r, set)
	}
	if x.quit {
		return drive.Quit, nil
	}
	return drive.Go, nil
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
