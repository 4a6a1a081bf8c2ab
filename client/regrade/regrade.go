// Package regrade judges old runs again from their histories, with the judge of
// today, and says whose score changes and why.
//
//	r, err := regrade.Open("results/course/latest", "") // err: what is wrong with the directory
//	regrade.Print(w, []*regrade.Regrade{r})             // or PrintJSON
//	kept, err := r.Write()                              // summary.json as it would be today
//	os.Exit(r.ExitCode())
//
// Nothing runs: a history holds all that the judge looks at. What the run was
// held against then is the copy of the expected file in its directory; another
// file may be named.
package regrade

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"paxbank/client/check"
	"paxbank/client/drive"
	"paxbank/client/plan"
	"paxbank/client/report"
	"paxbank/client/runner"
	"paxbank/client/testset"
	"paxbank/internal/topology"
)

// Regrade is one run, judged again.
type Regrade struct {
	Dir      string // as the caller named it
	Run      *runner.RunResult
	Verdicts []check.SetVerdict // of today, by position in Run.Sets
	// Old is the summary in the directory; nil when the run died before it wrote
	// one.
	Old *report.Summary
	// Short says why sets may be missing; "" for a run that came to its own end.
	Short string
	// Notes are for the user.
	Notes []string

	expected []byte // of another expected file than the recorded one; nil without
}

// Open reads the run in dir and judges it: by the expected file of that name, or
// by the recorded one when expected is "". Errors are for the user.
func Open(dir, expected string) (*Regrade, error) {
	r := &Regrade{Dir: dir}
	if err := r.readHistory(); err != nil {
		return nil, err
	}
	if err := r.readSummary(); err != nil {
		return nil, err
	}
	rows, err := r.readExpected(expected)
	if err != nil {
		return nil, err
	}
	for i := range r.Run.Sets {
		r.Verdicts = append(r.Verdicts, drive.Judge(&r.Run.Sets[i], rows))
	}
	return r, nil
}

// Verdict of the run today.
func (r *Regrade) Verdict() check.RunVerdict { return check.Combine(r.Verdicts) }

// ExitCode is 0, 1 or 2 by the verdict. A run from which sets may be missing does
// not pass.
func (r *Regrade) ExitCode() int {
	code := check.ExitCode(&runner.RunResult{}, r.Verdict())
	if r.Short != "" && code == check.ExitPass {
		code = check.ExitUnknown
	}
	return code
}

// Write stores today's verdict in the directory. Files that change stay there
// under another name (summary.json as summary.1.json, and so on), which kept
// lists; none means that nothing changed. The history stays as it is.
func (r *Regrade) Write() (kept []string, err error) {
	extra := map[string][]byte{}
	if r.expected != nil {
		extra[plan.ExpectedInput] = r.expected
	}
	return report.Rewrite(r.Dir, r.Run, r.Verdicts, extra)
}

func (r *Regrade) readHistory() error {
	f, err := os.Open(filepath.Join(r.Dir, report.HistoryFile))
	if err != nil {
		return r.noHistory(err)
	}
	defer f.Close()
	run, err := report.ReadHistory(f)
	switch {
	case errors.Is(err, report.ErrUnfinished) && len(run.Sets) > 0:
		r.Short = err.Error()
	case errors.Is(err, report.ErrUnfinished):
		return fmt.Errorf("%s: %w: there is no whole set to judge", filepath.Join(r.Dir, report.HistoryFile), err)
	case err != nil:
		return fmt.Errorf("%s: %w", filepath.Join(r.Dir, report.HistoryFile), err)
	case run.NodesFailed != "":
		r.Short = "the nodes failed: " + run.NodesFailed
	case run.Interrupted:
		r.Short = "the run was interrupted"
	}
	r.Run = run
	return nil
}

// noHistory says what dir is when it has no history to open.
func (r *Regrade) noHistory(err error) error {
	has := func(name string) bool {
		_, err := os.Stat(filepath.Join(r.Dir, name))
		return err == nil
	}
	switch {
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s: %w", r.Dir, plain(err))
	case has(report.SummaryFile):
		return fmt.Errorf("%s: the run has no %s, so it cannot be judged again", r.Dir, report.HistoryFile)
	case has("latest/" + report.HistoryFile):
		return fmt.Errorf("%s: not a run directory (the newest run is %s)", r.Dir, filepath.Join(r.Dir, "latest"))
	case !has("."):
		return fmt.Errorf("%s: there is no such directory", r.Dir)
	}
	return fmt.Errorf("%s: not a run directory (results/NAME/TIME, as client run leaves it)", r.Dir)
}

// plain is an error without the path that the caller names himself.
func plain(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

func (r *Regrade) readSummary() error {
	path := filepath.Join(r.Dir, report.SummaryFile)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		r.Notes = append(r.Notes, fmt.Sprintf("%s: there is no old verdict: the run died before it wrote %s", r.Dir, report.SummaryFile))
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, plain(err))
	}
	old := &report.Summary{}
	if err := json.Unmarshal(data, old); err != nil {
		return fmt.Errorf("%s: not a summary: %w", path, err)
	}
	if old.Schema != report.Schema {
		return fmt.Errorf("%s: its schema is %q, this program reads %s", path, old.Schema, report.Schema)
	}
	r.Old = old
	return nil
}

// readExpected reads the rows that the run is judged by.
func (r *Regrade) readExpected(path string) ([]testset.Expectation, error) {
	named := path != ""
	if !named {
		path = filepath.Join(r.Dir, plan.ExpectedInput)
	}
	data, err := os.ReadFile(path)
	if !named && errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("expected file %s cannot be read: %w", path, plain(err))
	}
	rows, err := testset.ParseExpected(path, data)
	if err != nil {
		return nil, err
	}
	file, err := r.testSet()
	if err != nil {
		return nil, err
	}
	if errs := file.CheckExpected(path, rows, r.topology); len(errs) > 0 {
		return nil, testset.Errors(errs)
	}
	if named {
		r.expected = data
	}
	return rows, nil
}

// testSet is the whole test set as it was read then, for rows may speak of sets
// that did not run. Sets that ran are as the run understood them.
func (r *Regrade) testSet() (*testset.File, error) {
	path := filepath.Join(r.Dir, plan.TestSetInput)
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, plain(err))
	}
	file, err := testset.Parse(path, data)
	if err != nil {
		return nil, fmt.Errorf("the test set of the run is not understood any more: %w", err)
	}
	for i := range file.Sets {
		for j := range r.Run.Sets {
			if file.Sets[i].Number == r.Run.Sets[j].Set.Number {
				file.Sets[i] = r.Run.Sets[j].Set
			}
		}
	}
	return file, nil
}

// topology of a set that ran; nil for others.
func (r *Regrade) topology(set int) *topology.Topology {
	for i := range r.Run.Sets {
		if r.Run.Sets[i].Set.Number == set {
			return r.Run.Sets[i].Topology
		}
	}
	return nil
}
