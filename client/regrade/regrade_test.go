package regrade

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"paxbank/client/check"
	"paxbank/client/drive"
	"paxbank/client/plan"
	"paxbank/client/report"
	"paxbank/client/runner"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (run the test with -update, then read the file)", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (-want +got; -update rewrites it):\n%s", path, diff)
	}
}

// recorded is a run of two sets, that really was, and its test set.
func recorded(t *testing.T) (*runner.RunResult, []byte) {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "report", "testdata", "recorded.history.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	run, err := report.ReadHistory(f)
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join("testdata", "recorded.csv"))
	if err != nil {
		t.Fatal(err)
	}
	return run, data
}

// directory makes a run directory of the recorded run, with the verdicts that
// change makes of today's.
func directory(t *testing.T, change func(*runner.RunResult, []check.SetVerdict)) string {
	t.Helper()
	run, testset := recorded(t)
	var verdicts []check.SetVerdict
	for i := range run.Sets {
		verdicts = append(verdicts, drive.Judge(&run.Sets[i], nil))
	}
	change(run, verdicts)
	dir := t.TempDir()
	if err := report.Write(dir, run, verdicts); err != nil {
		t.Fatal(err)
	}
	write(t, dir, plan.TestSetInput, string(testset))
	return dir
}

func unchanged(*runner.RunResult, []check.SetVerdict) {}

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func open(t *testing.T, dir, expected string) *Regrade {
	t.Helper()
	r, err := Open(dir, expected)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestNothingChanged(t *testing.T) {
	r := open(t, directory(t, unchanged), "")
	for _, c := range r.Sets() {
		if c.Changed() {
			t.Errorf("changed: %+v", c)
		}
	}
	if code := r.ExitCode(); code != check.ExitPass {
		t.Errorf("exit code %d", code)
	}
	if kept, err := r.Write(); err != nil || len(kept) != 0 {
		t.Errorf("kept %v (%v)", kept, err)
	}
	var b bytes.Buffer
	if err := Print(&b, []*Regrade{r}); err != nil {
		t.Fatal(err)
	}
	if want := r.Dir + ": nothing changed: pass, 2 of 2 points\n"; b.String() != want {
		t.Errorf("printed %q, want %q", b.String(), want)
	}
}

// A judge that was mistaken once: today's verdict replaces its own, which stays
// to be seen, and the exit code is today's.
func TestVerdictIsTodays(t *testing.T) {
	dir := directory(t, func(_ *runner.RunResult, v []check.SetVerdict) {
		v[1].Verdict, v[1].Score = check.Fail, 0
		v[1].Checks = slices.Clone(v[1].Checks)
		v[1].Checks[0].Verdict = check.Fail
	})
	r := open(t, dir, "")
	if was, is := r.OldScore(), r.NewScore(); *was != (Score{check.Fail, 1, 2}) || *is != (Score{check.Pass, 2, 2}) {
		t.Errorf("was %s, is %s", was, is)
	}
	sets := r.Sets()
	if sets[0].Changed() || len(sets[1].Changes) != 1 || sets[1].Changes[0].Old != check.Fail || sets[1].Changes[0].New != check.Pass {
		t.Errorf("changes %+v", sets)
	}
	kept, err := r.Write()
	if err != nil || !slices.Contains(kept, "summary.1.json") {
		t.Fatalf("kept %v (%v)", kept, err)
	}
	if again := open(t, dir, ""); again.OldScore().Verdict != check.Pass || again.Sets()[1].Changed() {
		t.Errorf("after writing, the old verdict is %s", again.OldScore())
	}
}

func TestExpectedFile(t *testing.T) {
	dir := directory(t, unchanged)
	const header = "Set Number,Check,Target,Expected,Points\n"
	another := write(t, t.TempDir(), "another.csv", header+"2,value,(2),23,5\n")
	r := open(t, dir, another)
	if is := r.NewScore(); *is != (Score{check.Fail, 1, 6}) || r.ExitCode() != check.ExitFail {
		t.Errorf("by another file: %s, exit code %d", is, r.ExitCode())
	}
	if _, err := r.Write(); err != nil {
		t.Fatal(err)
	}
	// From now on, it is the run's own.
	if is := open(t, dir, "").NewScore(); *is != (Score{check.Fail, 1, 6}) {
		t.Errorf("by the run's own file: %s", is)
	}
	for _, c := range []struct{ rows, want string }{
		{"3,balance,1,1,1\n", "the test set has no set 3"},
		{"1,value,(4),1,1\n", "the set has no command (4)"},
		{"1,balance,1,x,1\n", "bad.csv:2:"},
	} {
		if _, err := Open(dir, write(t, t.TempDir(), "bad.csv", header+c.rows)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("rows %q: %v, want %s", c.rows, err, c.want)
		}
	}
	if _, err := Open(dir, filepath.Join(dir, "no.csv")); err == nil || !strings.Contains(err.Error(), "no.csv cannot be read: no such file") {
		t.Errorf("no file: %v", err)
	}
}

// A run from which sets are missing does not pass, however good the others are.
func TestRunsThatWereCutShort(t *testing.T) {
	for _, c := range []struct {
		name, want string
		change     func(*runner.RunResult, []check.SetVerdict)
	}{
		{"interrupted", "interrupted", func(r *runner.RunResult, _ []check.SetVerdict) { r.Interrupted = true }},
		{"nodes", "the nodes failed: n1 is gone", func(r *runner.RunResult, _ []check.SetVerdict) { r.NodesFailed = "n1 is gone" }},
	} {
		r := open(t, directory(t, c.change), "")
		if !strings.Contains(r.Short, c.want) || r.ExitCode() != check.ExitUnknown {
			t.Errorf("%s: %q, exit code %d", c.name, r.Short, r.ExitCode())
		}
	}

	dir := directory(t, unchanged)
	path := filepath.Join(dir, report.HistoryFile)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, report.HistoryFile, string(data[:len(data)-40]))
	r := open(t, dir, "")
	if len(r.Verdicts) != 1 || !strings.Contains(r.Short, "stops before the end of its run, in set 2") || r.ExitCode() != check.ExitUnknown {
		t.Errorf("torn: %d sets, %q, exit code %d", len(r.Verdicts), r.Short, r.ExitCode())
	}
	if sets := r.Sets(); len(sets) != 2 || sets[1].New != nil || sets[1].Old == nil {
		t.Errorf("torn: sets %+v", sets)
	}
}

// A set that was not carried out to its end is unknown, whatever is missing in it.
func TestUnfinishedSetStaysUnknown(t *testing.T) {
	r := open(t, directory(t, func(run *runner.RunResult, v []check.SetVerdict) {
		run.Sets[1].Unfinished, run.Sets[1].Calls = "the user interrupted it", nil
		v[1] = drive.Judge(&run.Sets[1], nil)
	}), "")
	if v := r.Verdicts[1]; v.Verdict != check.Unknown || len(v.Checks) != 1 || r.Sets()[1].Changed() {
		t.Errorf("verdict %+v", v)
	}
}

func TestUnusableDirectories(t *testing.T) {
	edit := func(name string, f func(string) string) string {
		dir := directory(t, unchanged)
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		write(t, dir, name, f(string(data)))
		return dir
	}
	without := func(name string) string {
		dir := directory(t, unchanged)
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	parent := t.TempDir()
	if err := os.Symlink(directory(t, unchanged), filepath.Join(parent, "latest")); err != nil {
		t.Fatal(err)
	}
	open(t, filepath.Join(parent, "latest"), "")
	for _, c := range []struct{ name, dir, want string }{
		{"nowhere", filepath.Join(parent, "nowhere"), "no such directory"},
		{"empty", t.TempDir(), "not a run directory"},
		{"its parent", parent, "the newest run is " + filepath.Join(parent, "latest")},
		{"a file", filepath.Join(parent, "latest", "summary.json"), "not a directory"},
		{"no history", without("history.jsonl"), "has no history.jsonl"},
		{"older", edit("history.jsonl", func(s string) string { return strings.Replace(s, `"schema":"paxbank.history/1",`, "", 1) }), "older program"},
		{"newer", edit("history.jsonl", func(s string) string { return strings.Replace(s, "history/1", "history/2", 1) }), "newer than this program"},
		{"torn in its first set", edit("history.jsonl", func(s string) string { return s[:len(s)/4] }), "no whole set to judge"},
		{"another summary", edit("summary.json", func(s string) string { return strings.Replace(s, "summary/1", "summary/2", 1) }), `its schema is "paxbank.summary/2"`},
		{"no summary", edit("summary.json", func(string) string { return "no" }), "not a summary"},
	} {
		if _, err := Open(c.dir, ""); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
	}
	if r := open(t, without("summary.json"), ""); r.Old != nil || len(r.Notes) != 1 || r.OldScore() != nil {
		t.Errorf("without a summary: %+v", r.Notes)
	}
}

// What is printed, of changes of all sorts.
func TestPrint(t *testing.T) {
	one := func(name string, v check.Verdict, points float64, message string) check.Check {
		return check.Check{Source: check.SourceExpected, Check: name, Target: "3", Verdict: v, Points: points, Message: message}
	}
	verdict := func(set int, v check.Verdict, score float64, checks ...check.Check) check.SetVerdict {
		return check.SetVerdict{Set: set, Verdict: v, Score: score, MaxScore: 5, Checks: checks}
	}
	regrade := func(dir string, before, now []check.SetVerdict) *Regrade {
		run := &runner.RunResult{TestSet: "course.csv"}
		old := report.Summarize(run, before)
		for _, v := range before {
			old.Sets = append(old.Sets, report.Set{Set: v.Set, Verdict: v.Verdict, Score: v.Score, MaxScore: v.MaxScore, Checks: v.Checks})
		}
		return &Regrade{Dir: dir, Run: run, Old: old, Verdicts: now}
	}
	pass := one("balance", check.Pass, 5, "")
	cut := regrade("results/course/third", []check.SetVerdict{verdict(1, check.Pass, 5, pass), verdict(2, check.Pass, 5, pass)}, []check.SetVerdict{verdict(1, check.Pass, 5, pass)})
	cut.Short = "the history stops before the end of its run, in set 2 (line 60)"
	dead := regrade("results/course/fourth", nil, []check.SetVerdict{verdict(1, check.Pass, 5, pass)})
	dead.Old = nil
	runs := []*Regrade{
		regrade("results/course/first",
			[]check.SetVerdict{
				verdict(1, check.Fail, 0, one("balance", check.Fail, 5, "item 3 on n1: 7, want 8")),
				verdict(2, check.Pass, 5, pass, pass, one("views", check.Pass, 0, ""), one("p99", check.Unknown, 0, "no calls")),
				verdict(3, check.Pass, 5, pass),
				verdict(4, check.Pass, 5, pass),
			},
			[]check.SetVerdict{
				verdict(1, check.Pass, 5, pass),
				verdict(2, check.Fail, 3, pass, one("balance", check.Pass, 3, ""), one("outcome", check.Fail, 1, "line 4: aborted, want committed\nand more"), one("value", check.Pass, 0, "")),
				verdict(3, check.Pass, 5, pass),
				verdict(4, check.Pass, 5, pass, one("value", check.Pass, 0, "")),
			}),
		regrade("results/course/second", []check.SetVerdict{verdict(1, check.Pass, 5, pass)}, []check.SetVerdict{verdict(1, check.Pass, 5, pass)}),
		cut, dead,
	}
	var b bytes.Buffer
	if err := Print(&b, runs); err != nil {
		t.Fatal(err)
	}
	golden(t, "changes.txt", b.String())
	b.Reset()
	if err := PrintJSON(&b, runs); err != nil {
		t.Fatal(err)
	}
	golden(t, "changes.json", b.String())
	if !json.Valid(b.Bytes()) {
		t.Error("not JSON")
	}
}

// The run that is kept as a sample can be judged by whoever reads it.
func TestSample(t *testing.T) {
	r := open(t, filepath.Join("..", "..", "results", "sample"), "")
	if v := r.Verdict(); v.Verdict != check.Pass || v.Score != v.MaxScore || len(v.Sets) != 3 {
		t.Errorf("the sample is judged %s, %v of %v points, in %d sets", v.Verdict, v.Score, v.MaxScore, len(v.Sets))
	}
}
