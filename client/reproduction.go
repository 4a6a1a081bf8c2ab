package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"paxbank/client/check"
	"paxbank/client/drive"
	"paxbank/client/plan"
	"paxbank/client/shrink"
	"paxbank/client/stats"
)

// reproduction is the result of a search as a test set that can be run.
type reproduction struct {
	*shrinking
	path  string // of the test set; its expected file lies beside it
	how   string // it was found
	tally stats.Tally
}

// finish writes the best set, runs what was written and says what came of it.
func (s *shrinking) finish(ctx context.Context, how string) (stats.Tally, error) {
	r := &reproduction{shrinking: s, path: filepath.Join(s.dir, "shrunk.csv")}
	if s.Output != "" && s.Output != "-" {
		r.path = s.Output
	}
	r.how = fmt.Sprintf("%s, of %s; %s", sizeOf(&s.best, &s.set), sizeOf(&s.set.Set, &s.set), how)
	files, err := r.write()
	if err != nil {
		return r.tally, err
	}
	for _, row := range files.Dropped {
		s.note("the expectation %s is dropped: its command is gone", row)
	}
	// A verification that cannot be carried out leaves a file that is none the
	// worse.
	err = r.verify(ctx)
	files, writeErr := r.write()
	if writeErr == nil {
		writeErr = r.print(files)
	}
	return r.tally, errors.Join(err, writeErr)
}

// write writes the test set, and its expected file if a row of that is what fails.
func (r *reproduction) write() (*shrink.Files, error) {
	head := []string{
		fmt.Sprintf("set %d of %s made smaller: %s", r.set.Number, drive.Relative(r.plan.Path), r.how),
		r.rate() + ": " + describe(&r.seen),
		"to repeat it: " + drive.CommandLine(drive.Unplaced(r.words())),
	}
	expected := r.plan.Expected
	if !r.failure.Expected() {
		expected = nil
	}
	files, err := shrink.Write(r.path, head, r.best, expected, r.set.Topology)
	if err == nil {
		err = os.WriteFile(r.path, files.TestSet, 0o644)
	}
	if err == nil && files.Expected != nil {
		err = os.WriteFile(strings.TrimSuffix(r.path, filepath.Ext(r.path))+".expected.csv", files.Expected, 0o644)
	}
	return files, err
}

// verify runs what was written, as a user would, and counts how often it fails.
// An interrupt ends it.
func (r *reproduction) verify(ctx context.Context) error {
	p, err := r.shape().Read(r.path)
	if err != nil {
		return fmt.Errorf("the smaller set cannot be read back: %w", err)
	}
	for i := 1; i <= verifyRuns && ctx.Err() == nil; i++ {
		res, err := r.drive(ctx, p, fmt.Sprintf("verify-%d", i), false)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		}
		v := &res.Verdicts[0]
		switch seen, failed := r.failure.In(v); {
		case failed:
			r.seen = seen
			r.tally.Add(check.Fail)
		case v.Verdict == check.Unknown:
			r.tally.Add(check.Unknown)
		default: // also when something else failed
			r.tally.Add(check.Pass)
		}
	}
	return nil
}

// rate is how often the result fails, in words.
func (r *reproduction) rate() string {
	if r.tally.Runs() == 0 {
		return "not verified"
	}
	rate := fmt.Sprintf("fails in %d of %d runs (95 %% interval %s)", r.tally.Fail, r.tally.Definite(), stats.Wilson(r.tally.Fail, r.tally.Definite()))
	if r.tally.Unknown > 0 {
		rate += fmt.Sprintf(", %d more are unknown", r.tally.Unknown)
	}
	return rate
}

// print says what came of the search; with -o - stdout gets the test set instead.
func (r *reproduction) print(files *shrink.Files) error {
	to := r.stdout
	if r.Output == "-" {
		if _, err := r.stdout.Write(files.TestSet); err != nil {
			return err
		}
		to = r.stderr
	}
	_, err := fmt.Fprintf(to, "set %d of %s made smaller: %s\n%s: %s\nit is in %s\nto repeat it: %s\n",
		r.set.Number, r.TestSet, r.how, r.rate(), describe(&r.seen), drive.Shown(r.path), drive.CommandLine(r.words()))
	return err
}

// words are the command that runs the result.
func (r *reproduction) words() []string { return runWords(r.path, "", r.shape(), &r.driveFlags) }

var ofOneSet = regexp.MustCompile(`^([0-9]+)=(.+)$`)

// shape is the one that the failing set had, for a file of that set alone, which
// lies elsewhere.
func (r *reproduction) shape() *plan.Shape {
	shape := r.Shape
	shape.Sets, shape.Topology = "", nil
	for _, t := range r.Shape.Topology {
		m := ofOneSet.FindStringSubmatch(t)
		switch {
		case m == nil:
			shape.Topology = append(shape.Topology, t)
		case m[1] == fmt.Sprint(r.set.Number):
			return &plan.Shape{Topology: []string{m[2]}}
		}
	}
	if len(shape.Topology) > 0 || len(shapeWords(&shape)) > 0 {
		return &shape
	}
	stem := strings.TrimSuffix(r.plan.Path, filepath.Ext(r.plan.Path))
	for _, beside := range []string{stem + ".yaml", stem + ".topology.yaml"} {
		if _, err := os.Stat(beside); err == nil {
			shape.Topology = []string{beside}
			break
		}
	}
	return &shape
}
