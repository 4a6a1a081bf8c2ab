// Package drive carries a planned test set out against an implementation: it
// starts the nodes or attaches to them, runs the sets, has each judged as soon as
// it ran, and writes the run directory after every set.
//
//	res, err := drive.Run(ctx, plan, drive.Options{
//		Implementation: drive.Implementation{Command: command},
//		Dir:            dir,
//	})
//	code := res.ExitCode()
//
// Whatever happens, what was started is stopped and what there is is written.
// When the nodes cannot be reset, their processes are replaced before the next
// set, so that a set costs only itself.
package drive

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"paxbank/client/check"
	"paxbank/client/launch"
	"paxbank/client/plan"
	"paxbank/client/report"
	"paxbank/client/runner"
	"paxbank/client/session"
	"paxbank/client/testset"
	"paxbank/internal/topology"
)

// Answer to the question before a set.
type Answer int

// The answers.
const (
	Go Answer = iota
	Skip
	Quit
)

// Hooks let a caller take part. All may be nil.
type Hooks struct {
	// Fleet is told of the processes that run now, and nil when they are gone.
	Fleet func(*launch.Fleet)
	// Before a set: run it, skip it, or end the run.
	Before func(ctx context.Context, set *plan.Set) Answer
	// After a set was judged. It may ask the nodes through r. Quit ends the run.
	After func(ctx context.Context, r *runner.Runner, set *runner.SetResult, v *check.SetVerdict) (Answer, error)
}

// Options of a run.
type Options struct {
	Implementation
	Order, Fault string        // as in package runner; "" means the default there
	Deadline     time.Duration // of a command; 0 means the runner's default
	KeepState    bool          // carry balances over from set to set
	Semantics    string        // what the judge lets an implementation do; "" is strict
	// Dir is the run directory, which exists; see RunDir. Nodes keep their data and
	// logs in it.
	Dir string
	// Args are the command line, for the record.
	Args []string
	// Progress, when set, is told what goes on, in a few words.
	Progress func(string)
	Hooks
}

// Result is what a run came to.
type Result struct {
	Run      runner.RunResult
	Verdicts []check.SetVerdict
	Dir      string
	Quit     bool // Before or After ended it

	planned []report.Planned
}

// Grade is what the run was worth, with a section for each planned set.
func (r *Result) Grade() *report.Grade { return report.FromRun(&r.Run, r.Verdicts, r.planned...) }

// Verdict of the whole run.
func (r *Result) Verdict() check.RunVerdict { return check.Combine(r.Verdicts) }

// ExitCode is what the process should exit with after this run.
func (r *Result) ExitCode() int { return check.ExitCode(&r.Run, r.Verdict()) }

// NodesError: nodes could not be started or reached.
type NodesError struct{ err error }

func (e *NodesError) Error() string { return e.err.Error() }
func (e *NodesError) Unwrap() error { return e.err }

// lostSets in a row for want of nodes that can be reset end a run: the next one
// would be as long a wait, and as vain.
const lostSets = 2

// run is a run under way.
type run struct {
	Options
	plan *plan.Plan
	res  *Result
	bank *bank
	lost int // sets in a row
	// recorder of the run directory.
	recorder *report.Recorder
}

// bank is running nodes and the runner on them.
type bank struct {
	planned  *topology.Topology // as the plan has it, without addresses
	topology *topology.Topology
	fleet    *launch.Fleet // nil with Attach
	nodes    *session.Nodes
	runner   *runner.Runner
}

// Run carries the plan out. The result is never nil; the error is a *NodesError
// when nodes could not be started or reached, and otherwise something of our own
// (a disk that is full, a hook that failed). An interrupt (ctx) is no error: the
// result says so.
func Run(ctx context.Context, p *plan.Plan, o Options) (res *Result, err error) {
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	if o.Hooks.Fleet == nil {
		o.Hooks.Fleet = func(*launch.Fleet) {}
	}
	x := &run{Options: o, plan: p, res: &Result{Dir: o.Dir}, recorder: report.NewRecorder(o.Dir)}
	x.res.Run = runner.RunResult{
		TestSet: Relative(p.Path), Started: time.Now(), Topology: p.Sets[0].Topology, Order: o.Order, Fault: o.Fault,
		NodeCmd: strings.Join(Unplaced(strings.Fields(o.Name)), " "), Args: Unplaced(o.Args), Host: Host(), Commit: Commit(),
		Containment: o.Containment(),
	}
	defer func() {
		x.Progress("")
		if writeErr := x.recorder.Finish(&x.res.Run, x.res.Verdicts); writeErr != nil {
			err = errors.Join(err, fmt.Errorf("results could not be written: %w", writeErr))
		}
	}()
	// Nothing that was started outlives a panic; it is the caller's to report.
	defer x.close()
	if err = x.keepInputs(); err == nil {
		err = x.begin()
	}
	if err == nil {
		err = x.sets(ctx)
	}
	x.res.Run.Interrupted = ctx.Err() != nil
	var nodes *NodesError
	switch {
	case x.res.Run.Interrupted:
		err = nil
	case errors.As(err, &nodes):
		x.res.Run.NodesFailed = nodes.Error()
	}
	return x.res, err
}

// keepInputs copies what was read into the run directory, so that it holds all
// that is needed to repeat the run.
func (x *run) keepInputs() error {
	for _, in := range x.plan.Inputs {
		if err := os.WriteFile(filepath.Join(x.Dir, in.Name), in.Data, 0o644); err != nil {
			return fmt.Errorf("writing results: %w", err)
		}
	}
	return nil
}

// begin writes the grade with no points for any set, for the case that the run
// dies before the first one ended.
func (x *run) begin() error {
	for i := range x.plan.Sets {
		set := &x.plan.Sets[i]
		// What a set is worth is what it would be worth if it were skipped.
		v := check.Judge(&runner.SetResult{Set: set.Set, Topology: set.Topology, Skipped: true}, x.plan.Expected)
		x.res.planned = append(x.res.planned, report.Planned{Set: set.Number, Line: set.Line, Max: v.MaxScore})
	}
	if err := x.recorder.Begin(&x.res.Run, x.res.planned); err != nil {
		return fmt.Errorf("writing results: %w", err)
	}
	return nil
}

// sets runs the sets in file order, on one bank as long as the topology stays
// the same and the nodes are well.
func (x *run) sets(ctx context.Context) error {
	for i := range x.plan.Sets {
		set := &x.plan.Sets[i]
		if ctx.Err() != nil {
			return nil
		}
		if x.Before != nil {
			switch x.Before(ctx, set) {
			case Skip:
				x.skip(set)
				continue
			case Quit:
				if x.res.Quit = ctx.Err() == nil; x.res.Quit {
					x.skipRest(i)
				}
				return nil
			}
		}
		if err := x.open(ctx, set.Topology); err != nil {
			return err
		}
		quit, err := x.one(ctx, set)
		if err != nil {
			return err
		}
		if quit {
			x.res.Quit = true
			x.skipRest(i + 1)
			return nil
		}
	}
	return nil
}

// skip enters a set that is not run: what was not run is not known, so a run
// that was quit early does not count as passed.
func (x *run) skip(set *plan.Set) {
	x.res.Run.Sets = append(x.res.Run.Sets, runner.SetResult{Set: set.Set, Topology: set.Topology, Skipped: true})
	x.judge("")
}

func (x *run) skipRest(from int) {
	for i := range x.plan.Sets[from:] {
		x.skip(&x.plan.Sets[from+i])
	}
}

// Left is the number of planned sets that a user's quit kept from running, and
// those he skipped.
func (r *Result) Left() int {
	n := 0
	for i := range r.Run.Sets {
		if r.Run.Sets[i].Skipped {
			n++
		}
	}
	return n
}

// open sees to it that a bank of that topology runs.
func (x *run) open(ctx context.Context, t *topology.Topology) error {
	if x.bank != nil && x.bank.planned == t && !x.unwell() {
		return nil
	}
	x.close()
	b := &bank{planned: t, topology: t}
	var processes runner.Processes
	if !x.Attach {
		x.Progress(fmt.Sprintf("starting %d nodes", len(t.Nodes())))
		fleet, err := launch.Start(ctx, launch.Config{
			Topology: t, Command: x.Command, Listen: x.Listen, Sandbox: x.Sandbox,
			LogDir:  filepath.Join(x.Dir, "nodes"),
			DataDir: filepath.Join(x.Dir, "data"),
		})
		if err != nil {
			return &NodesError{err}
		}
		b.fleet, b.topology, processes = fleet, fleet.Topology(), fleet
		x.Hooks.Fleet(fleet)
	}
	x.bank = b
	var err error
	if b.nodes, err = session.Connect(b.topology); err != nil {
		return &NodesError{err}
	}
	b.runner, err = runner.New(runner.Options{
		Nodes: b.nodes, Processes: processes, Order: x.Order, Fault: x.Fault, Deadline: x.Deadline,
		KeepState: x.KeepState, Started: x.res.Run.Started, Progress: x.Progress,
	})
	return err
}

// unwell reports whether the bank's processes have to be replaced: the last set
// could not be carried out on them. (The runner itself restarts those that ended.)
// Nodes that were not started here are left as they are, and so are those that
// have state to keep.
func (x *run) unwell() bool { return x.bank.fleet != nil && x.lost > 0 && !x.KeepState }

func (x *run) close() {
	b := x.bank
	if b == nil {
		return
	}
	x.bank = nil
	if b.nodes != nil {
		b.nodes.Close()
	}
	if b.fleet != nil {
		x.Progress("stopping the nodes")
		b.fleet.Stop()
		x.Hooks.Fleet(nil)
	}
}

// one runs and judges one set.
func (x *run) one(ctx context.Context, set *plan.Set) (quit bool, err error) {
	result, failed := x.bank.runner.RunSet(ctx, set.Set)
	x.Progress("")
	x.res.Run.Sets = append(x.res.Run.Sets, result)
	switch {
	case ctx.Err() != nil:
		x.judge("the user interrupted it")
	case failed != nil:
		x.judge(failed.Error())
	default:
		x.judge("")
	}
	last := len(x.res.Run.Sets) - 1
	if x.After != nil {
		answer, err := x.After(ctx, x.bank.runner, &x.res.Run.Sets[last], &x.res.Verdicts[last])
		if err != nil {
			return false, err
		}
		quit = answer == Quit && ctx.Err() == nil
	}
	if err := x.recorder.Write(&x.res.Run, x.res.Verdicts); err != nil {
		return false, fmt.Errorf("writing results: %w", err)
	}
	if failed == nil {
		x.lost = 0
		return quit, nil
	}
	x.lost++
	if x.lost >= lostSets || x.Attach {
		return false, &NodesError{failed}
	}
	return quit, nil
}

// judge adds the verdict of the last set; why it was not carried out to its end,
// or "".
func (x *run) judge(why string) {
	set := &x.res.Run.Sets[len(x.res.Run.Sets)-1]
	set.Unfinished, set.Semantics = why, x.Semantics
	x.res.Verdicts = append(x.res.Verdicts, Judge(set, x.plan.Expected))
}

// Judge judges one set, right after it ran or from its history. Of one that was
// not carried out to its end nothing can be said: what is missing in it is no
// failure.
func Judge(set *runner.SetResult, expected []testset.Expectation) check.SetVerdict {
	v := check.Judge(set, expected)
	if set.Unfinished != "" {
		v.Verdict, v.Score = check.Unknown, 0
		v.Checks = []check.Check{{
			Source: check.SourceInvariant, Check: "finished", Target: fmt.Sprintf("set %d", set.Set.Number),
			Expected: "carried out", Actual: "not carried out to its end", Verdict: check.Unknown, Message: set.Unfinished,
		}}
	}
	return v
}

// Shown is a directory as the user can use it from where he is.
func Shown(dir string) string {
	here, err := os.Getwd()
	if err != nil || !filepath.IsAbs(dir) {
		return dir
	}
	if rel, err := filepath.Rel(here, dir); err == nil {
		return rel
	}
	return dir
}
