package grade

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"paxbank/client/check"
	"paxbank/client/report"
)

// studentFiles are those of a submission's files that are for students.
var studentFiles = []string{report.HTMLFile, report.MarkdownFile, report.JUnitFile}

// shows reports which of words stand in a file.
func shows(t *testing.T, path string, words []string) (found []string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range words {
		if strings.Contains(string(data), w) {
			found = append(found, w)
		}
	}
	return found
}

// secretSuite has a section that all may see and some that not all may see (yet),
// each by a test set of its own.
func secretSuite(t *testing.T) *Suite {
	t.Helper()
	dir := t.TempDir()
	files := map[string]string{"bank.yaml": "clusters: [{id: c1, nodes: [n1], first_item: 1, last_item: 90000}]\n"}
	suite := "node: ./server {id} {listen} {data}\nsections:\n"
	for _, s := range []struct{ name, visibility string }{{"Open", "visible"}, {"Hush", "hidden"}, {"Afterwards", "after_due_date"}, {"Posted", "after_published"}} {
		suite += "  - {name: " + s.name + ", testset: " + strings.ToLower(s.name) + ".csv, topology: bank.yaml, points: 7, visibility: " + s.visibility + "}\n"
		files[strings.ToLower(s.name)+".csv"] = "1,\"(1, 2, 3)\",\n"
	}
	files["suite.yaml"] = suite
	write(t, dir, files)
	s, err := ReadSuite(filepath.Join(dir, "suite.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Nothing of a section that is not visible to all stands in a file that a student
// may be given; staff's have it.
func TestStudentFilesKeepSecrets(t *testing.T) {
	s := secretSuite(t)
	g := &Grade{Schema: Schema, Submission: "alice", Suite: "suite", Containment: "none"}
	for i := range s.Sections {
		name := s.Sections[i].Name
		item := []string{"501", "71002", "71003", "71004"}[i]
		r := SectionResult{
			Name: name, Status: Graded, Verdict: check.Fail, Visibility: s.Sections[i].Visibility, Max: 7,
			Runs: []SectionRun{{Dir: "run-1", Note: "run of " + name, Sets: []SetRun{{
				Set: 1, Verdict: check.Fail, Max: 1, Note: "note of " + name,
				Checks: []check.Check{{
					Source: check.SourceExpected, Check: "balance", Target: item, Expected: "want-" + item, Actual: "got-" + item,
					Verdict: check.Fail, Message: "message about " + item + " of " + name, FirstDifference: "difference-" + item,
				}},
			}}}},
		}
		g.Sections = append(g.Sections, r)
	}
	g.score()
	dir := t.TempDir()
	if err := g.render(s, dir); err != nil {
		t.Fatal(err)
	}
	secrets := []string{"Hush", "hush.csv", "Afterwards", "afterwards.csv", "Posted", "posted.csv", "71002", "71003", "71004", "after_due_date", "after due date", "hidden", "of 28"}
	for _, name := range studentFiles {
		if found := shows(t, filepath.Join(dir, name), secrets); len(found) > 0 {
			t.Errorf("%s, which students read, shows %q", name, found)
		}
		if open := []string{"Open", "want-501"}; len(shows(t, filepath.Join(dir, name), open)) != len(open) {
			t.Errorf("%s shows nothing of the visible section", name)
		}
	}
	for _, name := range []string{StaffFile, report.GradescopeFile} {
		if found := shows(t, filepath.Join(dir, name), []string{"Hush", "71002", "Afterwards", "71003", "Posted", "71004"}); len(found) != 6 {
			t.Errorf("%s, which staff read, shows only %q", name, found)
		}
	}
}

// A grader that breaks over something hidden tells students only that it did.
func TestStudentFilesKeepTheGradersTroubles(t *testing.T) {
	s := secretSuite(t)
	g := &Grade{Schema: Schema, Submission: "alice", Suite: "suite"}
	for i := range s.Sections {
		g.Sections = append(g.Sections, SectionResult{Name: s.Sections[i].Name, Status: Open, Visibility: s.Sections[i].Visibility, Max: 7})
	}
	sub := &submission{grade: g}
	sub.broken(errors.New("hush.csv was changed"))
	g.score()
	dir := t.TempDir()
	if err := g.render(s, dir); err != nil {
		t.Fatal(err)
	}
	for _, name := range append(slices.Clip(studentFiles), report.GradescopeFile) {
		path := filepath.Join(dir, name)
		if found := shows(t, path, []string{"hush.csv was changed"}); len(found) > 0 {
			t.Errorf("%s shows %q", name, found)
		}
		if len(shows(t, path, []string{"the grader failed"})) == 0 {
			t.Errorf("%s does not say that the grader failed", name)
		}
	}
	if len(shows(t, filepath.Join(dir, StaffFile), []string{"hush.csv was changed"})) == 0 {
		t.Errorf("%s does not say why the grader failed", StaffFile)
	}
}
