package report

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"paxbank/client/check"
	"paxbank/client/runner"
)

// formats are all renderings of a grade.
var formats = []struct {
	name   string
	render func(io.Writer, *Grade) error
	// valid holds the rendering against what its readers take.
	valid func(tester, *Grade, string)
}{
	{"results.json", Gradescope, validGradescope},
	{"junit.xml", JUnit, validJUnit},
	{"annotations.txt", Annotations, validAnnotations},
	{"step-summary.md", StepSummary, validMarkdown},
	{"classroom.json", Classroom, validClassroom},
	{"report.md", Markdown, validMarkdown},
	{"report.html", HTML, validHTML},
}

func rendered(t *testing.T, render func(io.Writer, *Grade) error, g *Grade) string {
	t.Helper()
	var b bytes.Buffer
	if err := render(&b, g); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// suiteGrade is a submission graded by a suite of all sorts of sections. Its
// checks are made up: they do not follow the judge's wording.
func suiteGrade(t *testing.T) *Grade {
	t.Helper()
	run := sampleResult(t)
	good := check.Check{Source: check.SourceInvariant, Check: "money", Target: "c1", Expected: "170", Actual: "170", Verdict: check.Pass}
	bad := check.Check{Source: check.SourceExpected, Check: "balance", Target: "3", Expected: "80", Actual: "79", Verdict: check.Fail, Points: 2,
		Message: "item 3 on n1: 79, n2: 79, want 80", Lines: []int{3, 5}, FirstDifference: "n1: want 80, got 79"}
	open := check.Check{Source: check.SourceInvariant, Check: "reachable", Target: "n4", Expected: "answers", Verdict: check.Unknown, Message: "n4 could not be asked"}
	set := func(v check.Verdict, checks ...check.Check) GradedSet {
		return GradedSet{SetVerdict: check.SetVerdict{Set: 1, Verdict: v, MaxScore: 3, Checks: checks}, Line: 1}
	}
	failed := set(check.Fail, good, bad)
	failed.Result = &run.Sets[0]
	first, second := set(check.Pass, good), set(check.Fail, good, bad)
	first.Repeat, second.Repeat = 1, 2
	g := &Grade{
		Submission: "alice", Suite: "lab-3", Started: run.Started, Duration: 95 * time.Second, Containment: "own pid, mount and network namespaces", MachineFactor: 1.25,
		Sections: []Section{
			{Name: "Build", Verdict: check.Pass, Score: 1, Max: 1, Duration: 4 * time.Second, Output: "built in 4.0 s"},
			{Name: "Transfers", Number: "2.1", TestSet: "tests/transfers.csv", Verdict: check.Fail, Score: 2.5, Max: 10, Tags: []string{"intra", "cross"}, Sets: []GradedSet{failed}, Duration: 60 * time.Second},
			{Name: "Repeated, one of two", TestSet: "tests/flaky.csv", Verdict: check.Pass, Score: 5, Max: 5, Sets: []GradedSet{first, second}},
			{Name: "Secret", TestSet: "tests/secret.csv", Visibility: Hidden, Verdict: check.Fail, Max: 20, Output: "the secret output", Sets: []GradedSet{set(check.Fail, bad)}},
			{Name: "Later", TestSet: "tests/later.csv", Visibility: AfterPublished, Verdict: check.Pass, Score: 3, Max: 3},
			{Name: "Unclear", TestSet: "tests/unclear.csv", Line: 7, Verdict: check.Unknown, Max: 4, Sets: []GradedSet{set(check.Unknown, good, open)}},
			{Name: "Throughput", TestSet: "tests/bulk.csv", Line: 2, Verdict: check.Unknown, Max: 4, Note: NotRun},
		},
		Leaderboard: []Metric{{Name: "throughput", Value: 1234.56789}, {Name: "p99 (ms)", Value: 20, Ascending: true}, {Name: "none", Value: math.NaN()}},
	}
	g.Total()
	return g
}

func TestFormats(t *testing.T) {
	g := suiteGrade(t)
	for _, f := range formats {
		t.Run(f.name, func(t *testing.T) {
			got := rendered(t, f.render, g)
			golden(t, "grade/"+f.name, got)
			f.valid(t, g, got)
		})
	}
}

// Whatever there is of a run, every format is valid, and what it was made from
// stays as it was.
func TestFormatsOfRuns(t *testing.T) {
	run, verdicts := sampleRun(t)
	planned := []Planned{{Set: 1, Line: 1, Max: 3}, {Set: 7, Line: 7, Max: 1}}
	partial := *run
	partial.Sets = run.Sets[:1]
	ended := partial
	ended.NodesFailed = "n1 ended\nits log:\n::error::x"
	for name, g := range map[string]*Grade{
		"nothing": FromRun(&runner.RunResult{TestSet: "x.csv", Started: run.Started}, nil), "before": FromRun(&runner.RunResult{TestSet: "x.csv"}, nil, planned...),
		"partial": FromRun(&partial, verdicts[:1], planned...), "whole": FromRun(run, verdicts, planned...), "ended": FromRun(&ended, verdicts[:1], planned...),
		"empty": {},
	} {
		for _, f := range formats {
			before, err := json.Marshal(g)
			if err != nil {
				t.Fatal(err)
			}
			got := rendered(t, f.render, g)
			f.valid(t, g, got)
			if again := rendered(t, f.render, g); again != got {
				t.Errorf("%s of %s comes out otherwise a second time", f.name, name)
			}
			if after, err := json.Marshal(g); err != nil || !bytes.Equal(before, after) {
				t.Errorf("%s changed the grade of %s (%v)", f.name, name, err)
			}
		}
	}
}

// A section for each set, with the judge's verdict and points; what was planned
// and did not run is there without points.
func TestFromRun(t *testing.T) {
	run, verdicts := sampleRun(t)
	run.Sets = run.Sets[:1]
	planned := []Planned{{Set: 1, Line: 1, Max: 3}, {Set: 7, Line: 7, Max: 1}}
	g := FromRun(run, verdicts[:1], planned...)
	want := &Grade{Suite: "sample.csv", Started: run.Started, Containment: run.Containment, Duration: us(2_500_000), Verdict: check.Fail, Max: 4, Sections: []Section{
		{Name: "Set 1", Number: "1", TestSet: "sample.csv", Line: 1, Verdict: check.Fail, Max: 3, Duration: us(2_499_990),
			Sets: []GradedSet{{SetVerdict: verdicts[0], Line: 1, Result: &run.Sets[0]}}},
		{Name: "Set 7", Number: "7", TestSet: "sample.csv", Line: 7, Verdict: check.Unknown, Max: 1, Note: NotRun},
	}}
	if diff := cmp.Diff(want, g, cmpopts.IgnoreFields(GradedSet{}, "Result")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if g.Leaderboard != nil {
		t.Error("a run that failed is ranked")
	}

	pass := []check.SetVerdict{{Set: 1, Verdict: check.Pass, Score: 3, MaxScore: 3}}
	if g := FromRun(run, pass, planned...); g.Leaderboard != nil || g.Verdict != check.Unknown || g.Score != 3 || g.Max != 4 {
		t.Errorf("with a set to come: %v, %v of %v, ranked by %v", g.Verdict, g.Score, g.Max, g.Leaderboard)
	}
	if g := FromRun(run, pass, planned[:1]...); g.Verdict != check.Pass || len(g.Leaderboard) != 3 || !g.Leaderboard[1].Ascending {
		t.Errorf("a run that passed: %v, ranked by %v", g.Verdict, g.Leaderboard)
	}
	run.Interrupted = true
	if g := FromRun(run, pass, planned...); g.Note != "interrupted" || g.Sections[1].Note != "not run: interrupted" {
		t.Errorf("interrupted: note %q, of the set that was not run %q", g.Note, g.Sections[1].Note)
	}
}

// The grade is there before the first set, with no points for any, and follows
// after each, whenever the process dies.
func TestRecorderGradesFromTheBeginning(t *testing.T) {
	run, verdicts := sampleRun(t)
	verdicts[0] = check.SetVerdict{Set: 1, Verdict: check.Pass, Score: 3, MaxScore: 3}
	sets := run.Sets
	dir := t.TempDir()
	r := NewRecorder(dir)
	run.Sets = nil
	if err := r.Begin(run, []Planned{{Set: 1, Line: 1, Max: 3}, {Set: 7, Line: 7, Max: 1}}); err != nil {
		t.Fatal(err)
	}
	type test struct {
		Score, Max     float64
		Status, Output string
	}
	read := func() (out []test) {
		var file gradescope
		if err := json.Unmarshal([]byte(contents(t, dir, GradescopeFile)), &file); err != nil {
			t.Fatal(err)
		}
		for _, x := range file.Tests {
			line, _, _ := strings.Cut(x.Output, "\n")
			out = append(out, test{x.Score, x.MaxScore, x.Status, line})
		}
		return out
	}
	want := []test{{0, 3, "failed", NotRun}, {0, 1, "failed", NotRun}}
	if diff := cmp.Diff(want, read()); diff != "" {
		t.Errorf("at the beginning (-want +got):\n%s", diff)
	}
	run.Sets = sets[:1]
	if err := r.Write(run, verdicts[:1]); err != nil {
		t.Fatal(err)
	}
	want[0] = test{3, 3, "passed", "Set 1: pass, 3 of 3 points, 0 of 0 checks passed"}
	if diff := cmp.Diff(want, read()); diff != "" {
		t.Errorf("after a set (-want +got):\n%s", diff)
	}
	run.Sets = sets
	if err := r.Finish(run, verdicts); err != nil {
		t.Fatal(err)
	}
	want[1] = test{0, 1, "failed", "Checks that did not pass"}
	if diff := cmp.Diff(want, read()); diff != "" {
		t.Errorf("in the end (-want +got):\n%s", diff)
	}
	for _, name := range []string{JUnitFile, MarkdownFile, HTMLFile} {
		if !strings.Contains(contents(t, dir, name), "Set 7") {
			t.Errorf("%s does not have set 7", name)
		}
	}
}

func TestJoin(t *testing.T) {
	run, verdicts := sampleRun(t)
	one := FromRun(run, verdicts)
	if Join([]*Grade{one}) != one {
		t.Error("a single grade does not stay as it is")
	}
	run.TestSet, run.Interrupted = "other.csv", true
	all := Join([]*Grade{one, FromRun(run, verdicts)})
	var names []string
	for _, s := range all.Sections {
		names = append(names, s.Number+" "+s.Name)
	}
	if diff := cmp.Diff([]string{"1.1 sample.csv: Set 1", "1.7 sample.csv: Set 7", "2.1 other.csv: Set 1", "2.7 other.csv: Set 7"}, names); diff != "" {
		t.Errorf("sections (-want +got):\n%s", diff)
	}
	if all.Suite != "2 test sets" || all.Max != 2*one.Max || all.Verdict != check.Fail || all.Note != "other.csv: interrupted" || one.Sections[0].Name != "Set 1" {
		t.Errorf("%s: %s, %v points, note %q", all.Suite, all.Verdict, all.Max, all.Note)
	}
	for _, f := range formats {
		f.valid(t, all, rendered(t, f.render, all))
	}
}

// Where everybody reads, nothing is said of sections that are not visible, not
// even by the totals.
func TestPublicFormatsHideSections(t *testing.T) {
	g := suiteGrade(t)
	g.Sections[3].Name, g.Sections[3].TestSet, g.Sections[4].Name = "Sesame", "tests/sesame.csv", "Opensoon"
	for _, f := range []func(io.Writer, *Grade) error{Annotations, StepSummary, Classroom} {
		got := strings.ToLower(rendered(t, f, g))
		for _, word := range []string{"sesame", "opensoon", "secret", "1234"} {
			if strings.Contains(got, word) {
				t.Errorf("%q is in\n%s", word, got)
			}
		}
	}
	p := g.Public()
	if p.Score != 8.5 || p.Max != 24 || len(p.Sections) != 5 || p.Sections[3].Number != "6" {
		t.Errorf("public: %v of %v, %d sections", p.Score, p.Max, len(p.Sections))
	}
	if !strings.Contains(p.Note, "2 sections are not shown here") {
		t.Errorf("public: note %q", p.Note)
	}
	if len(g.Sections) != 7 || g.Max != 47 || g.Leaderboard == nil {
		t.Error("the grade itself changed")
	}
}

// What several runs of a set tolerate is neither failure nor annotation; and a
// section that failed for what no check says has a failure all the same.
func TestChecksDoNotOutweighTheSection(t *testing.T) {
	bad := GradedSet{SetVerdict: check.SetVerdict{Set: 1, Verdict: check.Fail, Checks: []check.Check{{Source: check.SourceInvariant, Check: "money", Verdict: check.Fail, Message: "gone"}}}}
	for _, tc := range []struct {
		section                 Section
		tests, failures, errors int
		annotation              string
	}{
		{Section{Name: "s", Verdict: check.Pass, Sets: []GradedSet{bad}}, 1, 0, 0, ""},
		{Section{Name: "s", Verdict: check.Unknown, Sets: []GradedSet{bad}}, 1, 0, 1, "::warning title=s%3A money::want -, got -%0Agone\n"},
		{Section{Name: "s", Verdict: check.Fail, Sets: []GradedSet{bad}}, 1, 1, 0, "::error title=s%3A money::want -, got -%0Agone\n"},
		{Section{Name: "s", Verdict: check.Fail, Output: "does not build\nx"}, 1, 1, 0, "::error title=s::does not build\n"},
		{Section{Name: "s", Verdict: check.Unknown, Note: NotRun, TestSet: "t.csv", Line: 3}, 1, 0, 1, "::warning file=t.csv,line=3,title=s::not run yet\n"},
	} {
		g := &Grade{Suite: "x", Sections: []Section{tc.section}}
		g.Total()
		s := g.junitSuite(0)
		if s.Tests != tc.tests || s.Failures != tc.failures || s.Errors != tc.errors {
			t.Errorf("%s: %d tests, %d failures, %d errors", tc.section.Verdict, s.Tests, s.Failures, s.Errors)
		}
		if got := rendered(t, Annotations, g); got != tc.annotation {
			t.Errorf("%s: annotations %q, want %q", tc.section.Verdict, got, tc.annotation)
		}
	}
}

func TestGitHub(t *testing.T) {
	dir := t.TempDir()
	env := map[string]string{"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": filepath.Join(dir, "summary"), "GITHUB_OUTPUT": filepath.Join(dir, "output")}
	if h := GitHubFrom(func(string) string { return "" }); h != nil {
		t.Errorf("no step of GitHub's is %v", h)
	}
	h := GitHubFrom(func(name string) string { return env[name] })
	if h == nil || h.Summary != env["GITHUB_STEP_SUMMARY"] || h.Output != env["GITHUB_OUTPUT"] {
		t.Fatalf("step %v", h)
	}
	if err := os.WriteFile(h.Summary, []byte("of an earlier command\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	g := suiteGrade(t)
	var log bytes.Buffer
	if err := h.Begin(&log); err != nil {
		t.Fatal(err)
	}
	token, ok := strings.CutPrefix(strings.TrimSpace(log.String()), "::stop-commands::")
	if !ok || len(token) < 16 {
		t.Fatalf("commands are not stopped: %q", log.String())
	}
	log.Reset()
	if err := h.Finish(&log, g); err != nil {
		t.Fatal(err)
	}
	if want := "\n::" + token + "::\n" + rendered(t, Annotations, g); log.String() != want {
		t.Errorf("log %q, want %q", log.String(), want)
	}
	if got, want := contents(t, dir, "summary"), "of an earlier command\n"+rendered(t, StepSummary, g); got != want {
		t.Errorf("summary -want +got:\n%s", cmp.Diff(want, got))
	}
	encoded, ok := strings.CutPrefix(contents(t, dir, "output"), "result=")
	decoded, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(encoded, "\n"))
	if !ok || err != nil || string(decoded) != rendered(t, Classroom, g) {
		t.Errorf("output %q (%v)", encoded, err)
	}
	if again := GitHubFrom(func(name string) string { return env[name] }); again.Finish(io.Discard, g) != nil {
		t.Error("cannot finish what was not begun")
	}
}

// GitHub shows nothing of a summary above 1 MiB: what is too much is left out by
// whole sections, also when others wrote to the file before.
func TestStepSummaryIsBounded(t *testing.T) {
	g := &Grade{Suite: "big"}
	for i := range 200 {
		g.Sections = append(g.Sections, Section{Name: fmt.Sprintf("Section %d", i), Verdict: check.Fail, Max: 1, Output: strings.Repeat("xy ", 4000)})
	}
	g.Total()
	got := rendered(t, StepSummary, g)
	if len(got) > maxStepSummary || len(got) < maxStepSummary/2 || !strings.HasSuffix(got, "\n```\n\nThe rest is in the files of the run.\n") {
		t.Errorf("%d bytes, ending in %q", len(got), got[max(0, len(got)-80):])
	}
	validMarkdown(t, g, got)
	path := filepath.Join(t.TempDir(), "summary")
	for range 3 {
		if err := appendSummary(path, g); err != nil {
			t.Fatal(err)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Size() > maxStepSummary || info.Size() < int64(len(got)) {
		t.Errorf("the file has %v bytes (%v)", info.Size(), err)
	}
}

func TestAnnotationsAreBounded(t *testing.T) {
	g := &Grade{Suite: "x", Sections: []Section{{Name: "s", Verdict: check.Fail, Sets: []GradedSet{{SetVerdict: check.SetVerdict{Verdict: check.Fail}}}}}}
	for range maxAnnotations + 7 {
		g.Sections[0].Sets[0].Checks = append(g.Sections[0].Sets[0].Checks, check.Check{Check: "balance", Verdict: check.Fail})
	}
	list := strings.Split(strings.TrimSuffix(rendered(t, Annotations, g), "\n"), "\n")
	if len(list) != maxAnnotations+1 || list[maxAnnotations] != "::notice title=paxbank::7 more checks did not pass" {
		t.Errorf("%d lines, the last %q", len(list), list[len(list)-1])
	}
}

func TestFormatsReturnTheErrorOfWriting(t *testing.T) {
	g := suiteGrade(t)
	for _, f := range formats {
		size := len(rendered(t, f.render, g))
		for _, left := range []int{0, size / 2, size - 1} {
			if err := f.render(&brokenWriter{left}, g); err == nil {
				t.Errorf("%s: no error after %d bytes", f.name, left)
			}
		}
	}
	if err := WriteGrade(filepath.Join(t.TempDir(), "missing"), g); err == nil || !strings.Contains(err.Error(), "cannot write results.json") {
		t.Errorf("got %v", err)
	}
	g.Sections[0].Score = math.NaN()
	if err := Gradescope(io.Discard, g); err == nil {
		t.Error("a score that is no number is written")
	}
}

// Equal names are one test to many readers.
func TestJUnitNamesAreUnique(t *testing.T) {
	c := check.Check{Source: check.SourceExpected, Check: "outcome", Target: "(1, 2, 3)", Verdict: check.Pass}
	g := &Grade{Sections: []Section{{Name: "s", Verdict: check.Pass, Sets: []GradedSet{{SetVerdict: check.SetVerdict{Verdict: check.Pass, Checks: []check.Check{c, c, c}}}}}}}
	var names []string
	for _, c := range g.junitSuite(0).Cases {
		names = append(names, c.Name)
	}
	if want := []string{"expected outcome (1, 2, 3)", "expected outcome (1, 2, 3) #2", "expected outcome (1, 2, 3) #3"}; !slices.Equal(names, want) {
		t.Errorf("names %q", names)
	}
}
