package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"paxbank/client/check"
	"paxbank/client/drive"
	"paxbank/client/grade"
	"paxbank/client/sandbox"
)

// gradeCommand is `client grade`.
type gradeCommand struct {
	Submissions   []string          `arg:"" optional:"" name:"submission" placeholder:"DIR" help:"Submissions: a directory each, whose name is the submission's."`
	Suite         string            `required:"" placeholder:"SUITE.yaml" help:"What they are graded by (docs/grading.md)."`
	Check         bool              `help:"Only read the suite, and say whether this machine has room for it and is fast enough."`
	Jobs          *int              `placeholder:"N" help:"So many at the same time. Default: one for every four CPUs, at least one."`
	Budget        time.Duration     `placeholder:"2h" help:"When so much time has passed, begin nothing new; what is left is not graded."`
	Again         bool              `help:"Grade afresh what was graded before."`
	Sandbox       string            `enum:"auto,none,required" default:"auto" help:"How submissions are contained: auto (as much as this system has), none (process group and limits), required (everything, or nothing is graded)."`
	SlowMachineOK bool              `name:"slow-machine-ok" help:"Grade also on a machine that is too slow for fair deadlines."`
	Provide       map[string]string `mapsep:"none" placeholder:"NAME=PATH" help:"Put this into every submission's copy, beside what the suite provides. May be repeated."`
	Env           map[string]string `mapsep:"none" placeholder:"NAME=VALUE" help:"A variable of builds and nodes, beside the suite's; {work} in it is the submission's copy. May be repeated."`
	Gradescope    string            `placeholder:"FILE" help:"Keep results.json for Gradescope in this file, from the start and after every set; for one submission."`
	Results       string            `default:"results" env:"PAXBANK_RESULTS" placeholder:"DIR" help:"Where the class leaves its files: in DIR/class/SUITE (default: results)."`
}

func (c *gradeCommand) run(d *driver) (int, error) {
	submissions, err := c.submissions()
	if err != nil {
		return check.ExitUsage, err
	}
	suite, err := c.suite()
	if err != nil {
		return check.ExitUsage, err
	}
	jobs, why := c.jobs()
	switch {
	case jobs < 1:
		return check.ExitUsage, usage("--jobs %d: how many is a whole number from 1", jobs)
	case c.Budget < 0:
		return check.ExitUsage, usage("--budget %s is less than nothing", c.Budget)
	case len(submissions) == 0 && !c.Check:
		return check.ExitUsage, usage("no submission: say which directories, or --check")
	case len(submissions) > 1 && c.Gradescope != "":
		return check.ExitUsage, usage("--gradescope %s is a file for one submission, and there are %d", c.Gradescope, len(submissions))
	}
	// Before anything else that takes time or can fail: whoever waits for this file
	// has it from now on.
	if err := c.pending(suite, ""); err != nil {
		return check.ExitInternal, err
	}
	self, err := os.Executable()
	if err != nil {
		return check.ExitInternal, fmt.Errorf("where is this program? %w", err)
	}
	ctx, stop := d.interruptible()
	defer stop()
	o := grade.Options{
		Suite: suite, Submissions: submissions, Jobs: jobs, Budget: c.Budget, Again: c.Again, Sandbox: sandbox.Mode(c.Sandbox),
		Dir:    filepath.Join(c.Results, "class", strings.TrimSuffix(filepath.Base(c.Suite), filepath.Ext(c.Suite))),
		Worker: []string{self, grade.WorkerCommand}, Progress: progressTo(d.stderr, false), Note: d.note,
		Machine: grade.ReadMachine(), Gradescope: c.Gradescope,
	}
	if err := c.machine(ctx, d, &o); err != nil {
		return codeOf(err), err
	}
	if len(o.Submissions) == 0 { // with --check: what one would take
		o.Submissions = []string{"submission"}
	}
	estimate, err := o.Estimate()
	if err != nil {
		return check.ExitUsage, &exitError{check.ExitUsage, err}
	}
	d.note("%s", estimate)
	if c.Check {
		return check.ExitPass, nil
	}
	d.note("%d at the same time, %s", jobs, why)
	class, err := grade.Run(ctx, o)
	if class == nil {
		return check.ExitUsage, errors.Join(startError(err), c.pending(suite, notBegun+"the grader cannot begin"))
	}
	err = errors.Join(err, class.Print(d.stdout))
	if class.Spent {
		d.note("the budget of %s is spent: the same command goes on from here", c.Budget)
	}
	d.note("results in %s", drive.Shown(class.Dir))
	return class.ExitCode(), err
}

// suite is what submissions are graded by, with what the command line adds to it.
func (c *gradeCommand) suite() (*grade.Suite, error) {
	suite, err := grade.ReadSuite(c.Suite)
	if err != nil {
		return nil, &exitError{check.ExitUsage, err}
	}
	if err := suite.Add(c.Provide, c.Env); err != nil {
		return nil, &exitError{check.ExitUsage, err}
	}
	return suite, nil
}

// notBegun begins the reasons that go to Gradescope when nothing was graded.
const notBegun = "Nothing was graded, which says nothing about the submission: "

// pending writes the file for Gradescope as it is before anything has run. why is
// for students.
func (c *gradeCommand) pending(suite *grade.Suite, why string) error {
	if c.Gradescope == "" {
		return nil
	}
	return grade.Pending(c.Gradescope, suite, why)
}

// machine sees to it that this machine has room for the suite and is fast enough.
func (c *gradeCommand) machine(ctx context.Context, d *driver, o *grade.Options) error {
	refused := func(err error) error {
		return errors.Join(err, c.pending(o.Suite, notBegun+err.Error()))
	}
	if lacks := o.Machine.Lacks(o.Suite, o.Jobs); lacks != "" {
		return refused(&exitError{check.ExitNodes, errors.New(lacks)})
	}
	var err error
	if o.Speed, err = grade.MeasureSpeed(ctx, os.TempDir()); err != nil {
		return refused(fmt.Errorf("measuring this machine: %w", err))
	}
	if o.Machine.Quota {
		d.note("only %s are for us here", o.Machine)
	}
	if err := c.fastEnough(d, o.Speed); err != nil {
		return refused(err)
	}
	return nil
}

// startError is a grading that did not begin.
func startError(err error) error {
	var busy *grade.BusyError
	if errors.As(err, &busy) {
		return &exitError{check.ExitUsage, err}
	}
	return &exitError{check.ExitNodes, err}
}

// submissions are the directories that were named, each under a name of its own.
func (c *gradeCommand) submissions() ([]string, error) {
	var errs []error
	byName := map[string]string{}
	var dirs []string
	for _, path := range c.Submissions {
		dir, err := filepath.Abs(path)
		if err != nil {
			return nil, err
		}
		name := filepath.Base(dir)
		info, err := os.Stat(dir)
		switch other, twice := byName[name]; {
		case err != nil:
			errs = append(errs, usage("submission %s cannot be read: %w", path, err))
		case !info.IsDir():
			errs = append(errs, usage("submission %s is no directory: unpack it, or leave it out", path))
		case twice:
			errs = append(errs, usage("submissions %s and %s have the same name; their grades would be mixed up", other, path))
		}
		byName[name] = path
		dirs = append(dirs, dir)
	}
	if len(errs) > 0 {
		return nil, &exitError{check.ExitUsage, errors.Join(errs...)}
	}
	slices.Sort(dirs)
	return dirs, nil
}

// cpusPerJob: a submission is nine nodes and their driver, which two CPUs have
// their hands full with.
const cpusPerJob = 4

// jobs is how many submissions are graded at once, and why.
func (c *gradeCommand) jobs() (n int, why string) {
	if c.Jobs != nil {
		return *c.Jobs, "as --jobs says"
	}
	n = max(1, runtime.NumCPU()/cpusPerJob)
	return n, fmt.Sprintf("because each is a bank of many processes and this machine has %d CPUs (--jobs)", runtime.NumCPU())
}

// fastEnough says how fast this machine is, and refuses one on which deadlines
// would fail people.
func (c *gradeCommand) fastEnough(d *driver, speed grade.Speed) error {
	factor := speed.Factor()
	if factor > 1 {
		d.note("this machine is %.2f times slower than the reference: %s; deadlines are that much longer", factor, speed)
	}
	switch {
	case factor <= grade.SlowestFactor:
		return nil
	case c.SlowMachineOK:
		d.note("it is too slow for fair grades; you said that this is all right")
		return nil
	}
	return &exitError{check.ExitNodes, fmt.Errorf("this machine is too slow to grade on (%.2f times slower than the reference, %d is the most): what fails here may be right elsewhere; stop what else runs, take another machine, or say --slow-machine-ok",
		factor, grade.SlowestFactor)}
}
