package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"paxbank/client/check"
	"paxbank/client/drive"
	"paxbank/client/report"
	"paxbank/client/runner"
	"paxbank/client/stats"
)

// campaign is the repeated run of one test set. It is also repeat.json, so its
// field names are part of that file's schema.
type campaign struct {
	Schema    string        `json:"schema"` // campaignSchema
	TestSet   string        `json:"testset"`
	Verdict   check.Verdict `json:"verdict"`
	Requested int           `json:"requested"` // runs
	// FlakeBudget is how many failed runs of a set are tolerated, or "P%" of them.
	FlakeBudget string `json:"flake_budget"`
	// RepeatFailed: after the first run, only the sets that did not pass in it.
	RepeatFailed bool          `json:"repeat_failed"`
	Confidence   float64       `json:"confidence"` // of the intervals
	Started      time.Time     `json:"started"`
	Order        string        `json:"order"`
	Fault        string        `json:"fault"`
	NodeCmd      string        `json:"node_cmd,omitempty"`
	Args         []string      `json:"args,omitempty"`
	Host         string        `json:"host,omitempty"`
	Commit       string        `json:"commit,omitempty"`
	Interrupted  bool          `json:"interrupted,omitempty"`
	NodesFailed  string        `json:"nodes_failed,omitempty"`
	Runs         []string      `json:"runs"` // directories beside repeat.json
	Sets         []repeatedSet `json:"sets"`

	budget stats.Budget
	dir    string
}

// campaignSchema names the version of repeat.json. Fields may be added within a
// version; a change of meaning makes a new one.
const campaignSchema = "paxbank.repeat/1"

// repeatedSet is what the runs of one set came to.
type repeatedSet struct {
	Set int `json:"set"`
	stats.Tally
	// PassRate is the share of the passed in the passed and failed; null when there
	// are none. Interval is its 95 % Wilson interval.
	PassRate *float64       `json:"pass_rate"`
	Interval stats.Interval `json:"interval"`
	Class    stats.Class    `json:"class"`
	Verdict  check.Verdict  `json:"verdict"`
	// Tolerated is how many of its runs may fail.
	Tolerated int `json:"tolerated"`
	// NotPassed are the runs that did not pass, and the first check that says why.
	NotPassed []notPassed `json:"not_passed,omitempty"`
	// Repeat is the command that runs the set once more, without absolute paths;
	// there when some run of it did not pass.
	Repeat string `json:"repeat,omitempty"`

	repeat []string // the same as it can be typed
}

type notPassed struct {
	Run     string        `json:"run"`
	Verdict check.Verdict `json:"verdict"`
	Check   check.Check   `json:"check"`
}

// newRun makes the directory of the i-th run.
func (k *campaign) newRun(i int) (string, error) {
	name := fmt.Sprintf("run-%0*d", len(strconv.Itoa(k.Requested)), i)
	k.Runs = append(k.Runs, name)
	dir := filepath.Join(k.dir, name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", fmt.Errorf("run directory: %w", err)
	}
	return dir, nil
}

// add counts one run and returns the sets that passed in it. A set that the user
// interrupted was not run.
func (k *campaign) add(res *drive.Result, repeat func(set int) []string) (passed []int) {
	r := &res.Run
	k.NodeCmd, k.Args, k.Host, k.Commit = r.NodeCmd, r.Args, r.Host, r.Commit
	k.Interrupted, k.NodesFailed = r.Interrupted, r.NodesFailed
	for i := range res.Verdicts {
		v := &res.Verdicts[i]
		if r.Interrupted && r.Sets[i].Unfinished != "" {
			break
		}
		at := slices.IndexFunc(k.Sets, func(s repeatedSet) bool { return s.Set == v.Set })
		s := &k.Sets[at]
		s.Tally.Add(v.Verdict)
		if v.Verdict == check.Pass {
			passed = append(passed, v.Set)
			continue
		}
		s.NotPassed = append(s.NotPassed, notPassed{k.Runs[len(k.Runs)-1], v.Verdict, worst(v)})
		s.repeat = repeat(v.Set)
		s.Repeat = drive.CommandLine(drive.Unplaced(s.repeat))
	}
	k.judge()
	return passed
}

// worst is the first check that explains the verdict of a set that did not pass.
func worst(v *check.SetVerdict) check.Check {
	i := slices.IndexFunc(v.Checks, func(c check.Check) bool { return c.Verdict == v.Verdict })
	if i < 0 {
		return check.Check{Verdict: v.Verdict}
	}
	return v.Checks[i]
}

func (k *campaign) judge() {
	k.Verdict = check.Pass
	for i := range k.Sets {
		s := &k.Sets[i]
		s.PassRate = nil
		if rate, ok := s.Rate(); ok {
			s.PassRate = &rate
		}
		s.Interval, s.Class, s.Verdict, s.Tolerated = s.Tally.Interval(), s.Tally.Class(), s.Tally.Verdict(k.budget), k.budget.Of(s.Tally.Runs())
		switch {
		case s.Verdict == check.Fail:
			k.Verdict = check.Fail
		case s.Verdict == check.Unknown && k.Verdict == check.Pass:
			k.Verdict = check.Unknown
		}
	}
}

func (k *campaign) exitCode() int {
	return check.ExitCode(&runner.RunResult{Interrupted: k.Interrupted, NodesFailed: k.NodesFailed}, check.RunVerdict{Verdict: k.Verdict})
}

// write replaces repeat.json.
func (k *campaign) write() error {
	return replaceFile(filepath.Join(k.dir, "repeat.json"), func(w io.Writer) error { return printJSON(w, k) })
}

// printJSON prints v as people can read it too.
func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	return e.Encode(v)
}

// replaceFile writes a file under a temporary name beside it and renames it, so
// that at every moment there is a whole one or none.
func replaceFile(path string, write func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
			err = fmt.Errorf("cannot write %s: %w", filepath.Base(path), err)
		}
	}()
	if err := write(f); err != nil {
		return err
	}
	if err := f.Chmod(0o644); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// maxListed runs of a set that did not pass are printed; repeat.json has all.
const maxListed = 3

// print prints the table of pass rates, and what did not pass.
func (k *campaign) print(w io.Writer) error {
	var rows [][]string
	for i := range k.Sets {
		s := &k.Sets[i]
		rate := "-"
		if s.PassRate != nil {
			rate = stats.Percent(*s.PassRate)
		}
		rows = append(rows, []string{strconv.Itoa(s.Set), strconv.Itoa(s.Runs()), strconv.Itoa(s.Pass), strconv.Itoa(s.Fail), strconv.Itoa(s.Unknown),
			rate, s.Interval.String(), string(s.Class), string(s.Verdict)})
	}
	fmt.Fprintf(w, "Pass rates of %s in %d of %d runs\n", k.TestSet, len(k.Runs), k.Requested)
	if err := report.PrintTable(w, []string{">Set", ">Runs", ">Pass", ">Fail", ">Unknown", ">Pass rate", "95 % interval", "Class", "Verdict"}, rows); err != nil {
		return err
	}
	if k.RepeatFailed {
		fmt.Fprintln(w, "\nOnly the sets that did not pass in run 1 were repeated: rates and intervals speak of these, and count the run that chose them.")
	}
	k.printNotPassed(w)
	_, err := fmt.Fprintf(w, "\n%s: %s, %d of %d sets pass, flake budget %s\n", k.TestSet, k.Verdict, k.passing(), len(k.Sets), k.FlakeBudget)
	return err
}

func (k *campaign) printNotPassed(w io.Writer) {
	heading := "\nRuns that did not pass\n"
	for i := range k.Sets {
		s := &k.Sets[i]
		for n, bad := range s.NotPassed {
			if n == maxListed {
				fmt.Fprintf(w, "         set %d: %d more runs, see repeat.json\n", s.Set, len(s.NotPassed)-n)
				break
			}
			fmt.Fprintf(w, "%s%-7s  set %d, %s: %s\n", heading, bad.Verdict, s.Set, bad.Run, describe(&bad.Check))
			heading = ""
		}
		if s.repeat != nil {
			fmt.Fprintf(w, "         to repeat set %d: %s\n", s.Set, drive.CommandLine(s.repeat))
		}
	}
}

// passing counts the sets whose verdict is pass.
func (k *campaign) passing() int {
	n := 0
	for i := range k.Sets {
		if k.Sets[i].Verdict == check.Pass {
			n++
		}
	}
	return n
}

// describe is a check on one line: what was wanted, what was there and where.
func describe(c *check.Check) string {
	name := c.Source + " " + c.Check
	if c.Target != "" {
		name += " " + c.Target
	}
	if c.Message != "" {
		return name + ": " + c.Message
	}
	return fmt.Sprintf("%s: want %s, got %s", name, c.Expected, c.Actual)
}
