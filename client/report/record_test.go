package report

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"paxbank/client/check"
	"paxbank/client/runner"
)

func contents(t *testing.T, dir, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// After every set the directory holds what a run of these sets alone would have
// left, but for the history's last line; and in the end that, too.
func TestRecorderKeepsUp(t *testing.T) {
	run, verdicts := sampleRun(t)
	sets := run.Sets
	dir := t.TempDir()
	r := NewRecorder(dir)
	for n := range sets {
		run.Sets = sets[:n+1]
		if err := r.Write(run, verdicts[:n+1]); err != nil {
			t.Fatal(err)
		}
		whole := written(t, run)
		want := whole[:strings.LastIndex(strings.TrimSuffix(whole, "\n"), "\n")+1]
		if diff := cmp.Diff(want, contents(t, dir, HistoryFile)); diff != "" {
			t.Fatalf("after %d sets (-want +got):\n%s", n+1, diff)
		}
		var s Summary
		if err := json.Unmarshal([]byte(contents(t, dir, SummaryFile)), &s); err != nil || len(s.Sets) != n+1 {
			t.Fatalf("after %d sets the summary has %d (%v)", n+1, len(s.Sets), err)
		}
	}
	run.Interrupted = true
	for range 2 { // whoever finishes twice does no harm
		if err := r.Finish(run, verdicts); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(written(t, run), contents(t, dir, HistoryFile)); diff != "" {
		t.Errorf("in the end (-want +got):\n%s", diff)
	}
}

// What an attempt that failed left behind does not stay in the history.
func TestRecorderRemovesHalfALine(t *testing.T) {
	run, verdicts := sampleRun(t)
	dir := t.TempDir()
	r := NewRecorder(dir)
	sets := run.Sets
	run.Sets = sets[:1]
	if err := r.Write(run, verdicts[:1]); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(filepath.Join(dir, HistoryFile), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"type":"set","set":7,"star`); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	run.Sets = sets
	if err := r.Finish(run, verdicts); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(written(t, run), contents(t, dir, HistoryFile)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// Rewrite never destroys: every summary that was is kept, and no file is touched
// that comes out as it was.
func TestRewriteKeepsWhatWas(t *testing.T) {
	run, verdicts := sampleRun(t)
	dir := t.TempDir()
	if err := Write(dir, run, verdicts); err != nil {
		t.Fatal(err)
	}
	history := contents(t, dir, HistoryFile)
	first := contents(t, dir, SummaryFile)
	kept, err := Rewrite(dir, run, verdicts, nil)
	if err != nil || len(kept) != 0 {
		t.Fatalf("with the same verdicts, kept %v (%v)", kept, err)
	}

	better := slices.Clone(verdicts)
	better[0] = check.SetVerdict{Set: 1, Verdict: check.Pass, Score: 3, MaxScore: 3}
	for _, c := range []struct {
		verdicts []check.SetVerdict
		expected string
		kept     []string
	}{
		{better, "x", []string{"summary.1.txt", "summary.1.json"}}, // there was no expected file to keep
		{verdicts, "xx", []string{"expected.1.csv", "summary.2.txt", "summary.2.json"}},
	} {
		kept, err := Rewrite(dir, run, c.verdicts, map[string][]byte{"expected.csv": []byte(c.expected)})
		if got, want := contents(t, dir, GradescopeFile), fmt.Sprintf(`"score": %v,`, c.verdicts[0].Score); !strings.Contains(got, want) {
			t.Errorf("results.json does not follow the verdict, want %s in\n%s", want, got)
		}
		if diff := cmp.Diff(c.kept, kept); err != nil || diff != "" {
			t.Fatalf("kept (-want +got, error %v):\n%s", err, diff)
		}
	}
	if contents(t, dir, "summary.1.json") != first || contents(t, dir, SummaryFile) != first || contents(t, dir, "summary.2.json") == first {
		t.Error("the summaries are not in their places")
	}
	if contents(t, dir, "expected.1.csv") != "x" || contents(t, dir, "expected.csv") != "xx" {
		t.Error("the expected files are not in their places")
	}
	if contents(t, dir, HistoryFile) != history {
		t.Error("the history changed")
	}
}

// BenchmarkRecorder writes a run of 16 sets of 40 transfers as it goes on.
func BenchmarkRecorder(b *testing.B) {
	set := largeSet(b, 40).Sets[0]
	dir := b.TempDir()
	for b.Loop() {
		run := &runner.RunResult{TestSet: "b.csv", Topology: set.Topology}
		r := Recorder{dir: dir}
		for range 16 {
			run.Sets = append(run.Sets, set)
			if err := r.history(run, false); err != nil {
				b.Fatal(err)
			}
		}
	}
}
