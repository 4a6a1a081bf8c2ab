package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"paxbank/client/check"
	"paxbank/client/drive"
	"paxbank/client/plan"
	"paxbank/client/runner"
	"paxbank/client/shrink"
	"paxbank/client/testset"
)

// shrinkCommand is `client shrink`.
type shrinkCommand struct {
	TestSet string `arg:"" name:"testset" placeholder:"TESTSET.csv" help:"Test set (CSV) with a set that fails; the first that does, or of those that --sets names."`
	plan.Shape
	expectedFlag
	driveFlags
	Check    string        `placeholder:"'TEXT'" help:"The failed check that has to persist: one whose line has this text. Default: the first failed check, and whatever fails in the same check."`
	Attempts int           `default:"3" placeholder:"N" help:"A candidate fails if it fails in one of N runs (default 3)."`
	Budget   time.Duration `default:"5m" help:"How long to search; then the smallest so far is it."`
	Output   string        `short:"o" placeholder:"FILE" help:"Where the smaller test set goes; - for stdout. Default: shrunk.csv in the results."`
}

// verifyRuns of the result say how often it fails.
const verifyRuns = 5

// shrinking is one search.
type shrinking struct {
	*shrinkCommand
	*driver
	impl    drive.Implementation
	plan    *plan.Plan
	dir     string
	set     plan.Set // the set that fails
	failure shrink.Failure
	seen    check.Check // how it failed last
	runs    int         // of candidates
	best    testset.Set
	started time.Time // of the search
}

func (c *shrinkCommand) run(d *driver) (int, error) {
	switch {
	case c.KeepState:
		return check.ExitUsage, usage("--keep-state: a set that is made smaller runs by itself, on a fresh bank; leave the flag out")
	case c.Attempts < 1:
		return check.ExitUsage, usage("--attempts %d: how often is a whole number from 1", c.Attempts)
	case c.Budget <= 0:
		return check.ExitUsage, usage("--budget %s is too short", c.Budget)
	}
	if err := c.driveFlags.check(); err != nil {
		return check.ExitUsage, err
	}
	shape, err := c.expectedFlag.of(c.Shape, []string{c.TestSet})
	if err != nil {
		return check.ExitUsage, err
	}
	plans, err := plans(shape, []string{c.TestSet})
	if err != nil {
		return check.ExitUsage, err
	}
	impl, err := c.implementation(plans)
	if err != nil {
		return check.ExitUsage, err
	}
	ctx, stop := d.interruptible()
	defer stop()
	return c.shrink(ctx, d, plans[0], impl)
}

// shrink finds the set that fails, makes it smaller and says how often the result
// fails.
func (c *shrinkCommand) shrink(ctx context.Context, d *driver, p *plan.Plan, impl drive.Implementation) (int, error) {
	dir, err := drive.RunDir(c.Results, p.Path, time.Now())
	if err != nil {
		return check.ExitUsage, &exitError{check.ExitUsage, err}
	}
	d.notes(p)
	defer d.note("results in %s", drive.Shown(dir))
	s := &shrinking{shrinkCommand: c, driver: d, impl: impl, plan: p, dir: dir}
	found, err := s.find(ctx)
	switch {
	case ctx.Err() != nil:
		return check.ExitInterrupted, nil
	case err != nil || !found:
		return check.ExitUnknown, err
	}
	d.note("set %d fails: %s", s.set.Number, describe(&s.seen))
	s.started = time.Now()
	searchErr := s.search(ctx)
	why := fmt.Sprintf("the budget of %s ended the search", c.Budget)
	switch {
	case searchErr == nil:
		why = "nothing more can be left out"
	case ctx.Err() != nil:
		why = "interrupted"
	case !errors.Is(searchErr, errBudget):
		why = "the search ended early"
	default:
		searchErr = nil
	}
	tally, err := s.finish(ctx, fmt.Sprintf("%d candidate runs in %s, %s", s.runs, time.Since(s.started).Round(time.Second), why))
	if ctx.Err() != nil {
		return check.ExitInterrupted, err
	}
	if err = errors.Join(searchErr, err); err != nil || tally.Fail > 0 {
		return check.ExitPass, err
	}
	d.note("the smaller set did not fail in %d runs: the failure is rare; more --attempts make a search surer", verifyRuns)
	return check.ExitUnknown, nil
}

// find runs the test set until a set of it fails, and that set by itself unless
// it ran first.
func (s *shrinking) find(ctx context.Context) (bool, error) {
	last := check.Unknown
	for i := 1; i <= s.Attempts && ctx.Err() == nil; i++ {
		res, err := s.drive(ctx, s.plan, fmt.Sprintf("original-%d", i), false)
		if err != nil {
			return false, err
		}
		last = res.Verdict().Verdict
		for at := range res.Verdicts {
			failure, seen, ok := shrink.FailureOf(&res.Verdicts[at], s.Check)
			if !ok {
				continue
			}
			s.set, s.failure, s.seen = s.plan.Sets[at], failure, seen
			if at == 0 {
				return true, nil
			}
			return s.alone(ctx)
		}
	}
	what := "no set failed"
	if s.Check != "" {
		what = fmt.Sprintf("no check with %q in its line failed", s.Check)
	}
	s.note("%s in %d runs (the last: %s): there is nothing to make smaller", what, s.Attempts, last)
	return false, nil
}

// alone says whether a set that failed after others fails by itself.
func (s *shrinking) alone(ctx context.Context) (bool, error) {
	failed, err := s.fails(ctx, s.set.Set)
	if err == nil && !failed {
		s.note("set %d failed after the sets before it, and not by itself in %d runs: %s", s.set.Number, s.Attempts, describe(&s.seen))
	}
	return failed, err
}

// errBudget ends a search.
var errBudget = errors.New("the budget is used up")

// search makes the set smaller until nothing can be left out, or the budget or
// the user ends it. best is the smallest set that was seen to fail.
func (s *shrinking) search(parent context.Context) error {
	ctx, cancel := context.WithTimeoutCause(parent, s.Budget, errBudget)
	defer cancel()
	if s.failure.Expected() {
		s.note("an expected file's row fails, so amounts and items stay as they are")
	}
	o := shrink.Options{
		Simplify: !s.failure.Expected(),
		Better: func(set testset.Set) {
			s.note("%s: %s", time.Since(s.started).Round(time.Second), sizeOf(&set, &s.set))
		},
	}
	var err error
	s.best, err = shrink.Set(s.set.Set, s.set.Topology, o, func(candidate testset.Set) (bool, error) {
		return s.fails(ctx, candidate)
	})
	return err
}

// sizeOf is the size of a set, in words.
func sizeOf(set *testset.Set, on *plan.Set) string {
	live := len(set.Live)
	if set.Live == nil {
		live = len(on.Topology.Nodes())
	}
	return fmt.Sprintf("%s, %s", count(len(set.Commands), "command"), count(live, "live node"))
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// fails runs a candidate, by itself on fresh processes, up to Attempts times.
func (s *shrinking) fails(ctx context.Context, candidate testset.Set) (bool, error) {
	p := *s.plan
	p.Sets = []plan.Set{{Set: candidate, Topology: s.set.Topology}}
	for range s.Attempts {
		s.runs++
		res, err := s.drive(ctx, &p, "candidate", true)
		if err != nil {
			return false, err
		}
		if seen, ok := s.failure.In(&res.Verdicts[0]); ok {
			s.seen = seen
			return true, nil
		}
	}
	return false, nil
}

// drive runs a plan in a directory of its own under the results, up to the first
// set that fails in the way that counts. The error is also the end of ctx, as its
// cause has it.
func (s *shrinking) drive(ctx context.Context, p *plan.Plan, name string, scratch bool) (*drive.Result, error) {
	o := s.driveFlags.options(s.impl, s.driver)
	o.Dir = filepath.Join(s.dir, name)
	if err := os.Mkdir(o.Dir, 0o755); err != nil {
		return nil, err
	}
	progress := progressTo(s.stderr, false)
	o.Progress = func(text string) {
		if text != "" {
			text = name + ": " + text
		}
		progress(text)
	}
	o.After = func(_ context.Context, _ *runner.Runner, _ *runner.SetResult, v *check.SetVerdict) (drive.Answer, error) {
		if _, _, failed := shrink.FailureOf(v, s.Check); failed {
			return drive.Quit, nil
		}
		return drive.Go, nil
	}
	res, err := drive.Run(ctx, p, o)
	if scratch {
		err = errors.Join(err, os.RemoveAll(o.Dir))
	}
	return res, errors.Join(err, context.Cause(ctx))
}
