package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"paxbank/client/check"
	"paxbank/client/drive"
	"paxbank/client/plan"
	"paxbank/client/stats"
)

// repeatFlags ask for pass rates instead of one run.
type repeatFlags struct {
	Repeat       *int    `placeholder:"N" help:"Run the test set N times and print how often each set passes."`
	FlakeBudget  *string `placeholder:"K|P%" help:"With --repeat: so many failed runs of a set, or such a share of its runs, are tolerated and reported as flaky (default 0). A set that never passes fails all the same."`
	RepeatFailed bool    `help:"With --repeat: after the first run, only the sets that did not pass in it."`
}

// checkRepeat finds flags that make no sense together, and reads the budget.
func (c *runCommand) checkRepeat() (stats.Budget, error) {
	var budget stats.Budget
	switch {
	case c.Repeat != nil && *c.Repeat < 1:
		return budget, usage("--repeat %d: how often is a whole number from 1", *c.Repeat)
	case c.Repeat == nil && (c.FlakeBudget != nil || c.RepeatFailed):
		return budget, usage("--flake-budget and --repeat-failed speak of repeated runs: say how many with --repeat N")
	case c.Repeat == nil:
		return budget, nil
	case c.Step:
		return budget, usage("--step and --repeat exclude each other: repeated runs ask nothing")
	case len(c.Print) > 0:
		return budget, usage("--print and --repeat exclude each other: every run's tables are in its summary.txt")
	case c.RepeatFailed && c.KeepState:
		return budget, usage("--repeat-failed and --keep-state exclude each other: a set that goes on from an earlier one cannot be repeated without it")
	}
	if c.FlakeBudget == nil {
		return budget, nil
	}
	budget, err := stats.ParseBudget(*c.FlakeBudget)
	if err != nil {
		return budget, usage("--flake-budget: %w", err)
	}
	return budget, nil
}

// runRepeated runs one test set again and again and returns the exit code. An
// interrupt, or nodes that cannot be started, end it; what there is by then is
// printed and written.
func (c *runCommand) runRepeated(ctx context.Context, d *driver, p *plan.Plan, impl drive.Implementation, budget stats.Budget) (int, error) {
	dir, err := drive.RunDir(c.Results, p.Path, time.Now())
	if err != nil {
		return check.ExitUsage, &exitError{check.ExitUsage, err}
	}
	d.notes(p)
	defer d.note("results in %s", drive.Shown(dir))
	k := &campaign{
		Schema: campaignSchema, TestSet: drive.Relative(p.Path), Requested: *c.Repeat, FlakeBudget: budget.String(), RepeatFailed: c.RepeatFailed,
		Confidence: 0.95, Started: time.Now().UTC(), Order: c.Order, Fault: c.Fault, budget: budget, dir: dir,
	}
	for i := range p.Sets {
		k.Sets = append(k.Sets, repeatedSet{Set: p.Sets[i].Number})
	}
	progress := progressTo(d.stderr, false)
	next := p
	for i := 1; i <= *c.Repeat && len(next.Sets) > 0 && ctx.Err() == nil && err == nil; i++ {
		o := c.driveFlags.options(impl, d)
		if o.Dir, err = k.newRun(i); err != nil {
			break
		}
		o.Progress = func(text string) {
			if text != "" {
				text = fmt.Sprintf("run %d of %d: %s", i, *c.Repeat, text)
			}
			progress(text)
		}
		var res *drive.Result
		res, err = drive.Run(ctx, next, o)
		passed := k.add(res, func(set int) []string { return c.repeatWords(p, set) })
		d.note("run %d of %d: %d of %d sets passed", i, *c.Repeat, len(passed), len(next.Sets))
		err = errors.Join(err, k.write())
		if c.RepeatFailed && i == 1 {
			next = without(p, passed)
		}
	}
	if c.JSON {
		err = errors.Join(err, printJSON(d.stdout, k))
	} else {
		err = errors.Join(err, k.print(d.stdout))
	}
	return k.exitCode(), err
}

// without is the plan without some of its sets.
func without(p *plan.Plan, sets []int) *plan.Plan {
	rest := *p
	rest.Sets = slices.DeleteFunc(slices.Clone(p.Sets), func(s plan.Set) bool { return slices.Contains(sets, s.Number) })
	return &rest
}
