package grade

import (
	"context"
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"paxbank/client/check"
	"paxbank/client/sandbox"
)

// testBound is for a whole class on a busy machine.
const testBound = 2 * time.Minute

const good = "node: ./server --id {id} --listen {listen} --data {data}\n"

// class is a suite and submissions on disk.
type class struct {
	t           *testing.T
	dir         string
	submissions []string
}

// newClass writes a suite of sections that all run basics.csv.
func newClass(t *testing.T, sections string) *class {
	t.Helper()
	server, err := server()
	if err != nil {
		t.Fatal(err)
	}
	k := &class{t: t, dir: t.TempDir()}
	write(t, k.dir, basics)
	write(t, k.dir, map[string]string{"suite.yaml": "provide: {server: " + server + "}\nlimits: {build: 2s, bytes: 1MiB}\nsections:\n" + sections})
	return k
}

func (k *class) add(name string, files map[string]string) {
	k.t.Helper()
	dir := filepath.Join(k.dir, "handed in", name)
	write(k.t, dir, files)
	k.submissions = append(k.submissions, dir)
}

func (k *class) options() Options {
	k.t.Helper()
	s, err := ReadSuite(filepath.Join(k.dir, "suite.yaml"))
	if err != nil {
		k.t.Fatal(err)
	}
	return Options{
		Suite: s, Submissions: k.submissions, Dir: filepath.Join(k.dir, "class"), Jobs: 2, Sandbox: sandbox.Auto,
		Worker: []string{os.Args[0], WorkerCommand}, Speed: Reference, Note: k.t.Logf,
	}
}

func (k *class) grade(ctx context.Context, o Options) *Class {
	k.t.Helper()
	ctx, cancel := context.WithTimeoutCause(ctx, testBound, fmt.Errorf("the class was not graded within %s", testBound))
	defer cancel()
	c, err := Run(ctx, o)
	if err != nil {
		k.t.Fatal(err)
	}
	if cause := context.Cause(ctx); cause != nil && strings.Contains(cause.Error(), "was not graded") {
		k.t.Fatal(cause)
	}
	return c
}

func find(t *testing.T, c *Class, name string) *Grade {
	t.Helper()
	for _, g := range c.Grades {
		if g.Submission == name {
			return g
		}
	}
	t.Fatalf("%s has no grade", name)
	return nil
}

// A class in which nearly everybody misbehaves. Everyone gets the own grade.
func TestClass(t *testing.T) {
	t.Parallel()
	k := newClass(t, `
  - {name: Basics, testset: basics.csv, points: 8, limit: 20s, randomise: true, visibility: hidden}
  - {name: Money, testset: basics.csv, sets: 2, points: 2, limit: 20s}
`)
	grades := filepath.Join(k.dir, "class", "submissions")
	attack := fmt.Sprintf(`
for f in '%s' '%s' '%s'; do grep -q . "$f" && exit 42; done 2>/dev/null
echo '{"score": 10}' 2>/dev/null > '%s'
echo x 2>/dev/null > '%s'
exit 0
`, filepath.Join(k.dir, "basics.expected.csv"), filepath.Join(k.dir, "suite.yaml"), filepath.Join(k.dir, "handed in", "good", ManifestFile),
		filepath.Join(grades, "attacks", GradeFile), filepath.Join(grades, "good", GradeFile))
	k.add("good", map[string]string{ManifestFile: good})
	k.add("attacks", map[string]string{ManifestFile: "build: sh ./attack\n" + good, "attack": attack})
	k.add("does not build", map[string]string{ManifestFile: "build: sh ./build\n" + good, "build": "printf '\\033[31mno compiler\\n'; exit 3\n"})
	k.add("builds for ever", map[string]string{ManifestFile: "build: sleep 1000\n" + good})
	k.add("floods", map[string]string{ManifestFile: "build: sh -c 'head -c 30000000 /dev/zero | tr \"\\0\" x'\n" + good})
	k.add("crashes", map[string]string{ManifestFile: "node: sh -c 'echo boom; exit 1' {id} {listen} {data}\n"})
	k.add("is large", map[string]string{ManifestFile: good, "large": strings.Repeat("x", 2<<20)})
	k.add("has no commands", map[string]string{"README": "what?"})
	k.add("=cmd()", map[string]string{ManifestFile: "build: [1]\n"})
	o := k.options()
	c := k.grade(t.Context(), o)
	contained := o.Sandbox != sandbox.None && (&sandbox.Policy{Mode: o.Sandbox}).HasOwnFiles()
	for _, want := range []struct {
		name   string
		status Status
		score  float64
		note   string // part of what is said
	}{
		{"good", Graded, 10, ""},
		{"attacks", Graded, 10, ""},
		{"does not build", Failed, 0, `it did not build: exit status 3; the end of its output: \x1b[31mno compiler`},
		{"builds for ever", Failed, 0, "it did not build: killed: not finished after"},
		{"floods", Graded, 10, ""},
		{"crashes", Graded, 0, "boom"},
		{"is large", Failed, 0, "its files are larger than 1 MiB"},
		{"has no commands", Failed, 0, "neither its paxbank.yaml nor the suite says how a node is started"},
		{"=cmd()", Failed, 0, "paxbank.yaml:1: build must be a text"},
	} {
		if want.name == "attacks" && !contained {
			t.Log("this system has no file systems of their own for boxes: what an attack can reach is not tried")
			continue
		}
		g := find(t, c, want.name)
		if g.Status != want.status || g.Score != want.score || g.Max != 10 || !strings.Contains(g.note(), want.note) {
			t.Errorf("%s: %s, %v of %v, %q; want %s, %v of 10, %q", want.name, g.Status, g.Score, g.Max, g.note(), want.status, want.score, want.note)
		}
		stored, err := readGrade(filepath.Join(grades, want.name, GradeFile))
		if err != nil || stored.Score != want.score || stored.Status != want.status {
			t.Errorf("%s: stored is %+v, %v", want.name, stored, err)
		}
	}
	if code := c.ExitCode(); code != check.ExitPass {
		t.Errorf("exit code %d although every submission has its grade", code)
	}
	if v := find(t, c, "crashes").Sections[0].Verdict; v != check.Fail {
		t.Errorf("nodes that do not start are %s, want fail", v)
	}
	k.reads(grades)
	k.gradebook(len(c.Grades))
	scratch, err := os.ReadFile(filepath.Join(k.dir, "class", ".lock"))
	if err != nil || !strings.HasPrefix(filepath.Base(string(scratch)), scratchPrefix) {
		t.Fatalf("the scratch directory is not noted: %q, %v", scratch, err)
	}
	if _, err := os.Stat(string(scratch)); !os.IsNotExist(err) {
		t.Errorf("left behind: %s (%v)", scratch, err)
	}
}

// reads checks what a run directory has for staff.
func (k *class) reads(grades string) {
	k.t.Helper()
	run := filepath.Join(grades, "good", "01-Basics", "run-1")
	for name, part := range map[string]string{
		"testset.csv": "(1, 2, 3)", "expected.csv": "1,balance,2,13,3", "summary.json": `"(1, 2, 3)"`, "history.jsonl": "", "items.csv": "item,sent as",
		"nodes/n1.log": "", "../../results.json": `"visibility": "hidden"`, "../../junit.xml": "<testsuite", "../../report.html": "<html", "../../report.md": "", "../../staff.html": "Basics",
	} {
		data, err := os.ReadFile(filepath.Join(run, name))
		if err != nil || !strings.Contains(string(data), part) {
			k.t.Errorf("%s: %v, or nothing of %q in it", name, err, part)
		}
	}
	// What was in force is on record wherever somebody looks.
	for _, name := range []string{"summary.json", "summary.txt", "history.jsonl", "report.html", "../../report.md", "../../report.html", "../../staff.html", "../../results.json", "../../junit.xml"} {
		if len(shows(k.t, filepath.Join(run, name), []string{"limits: "})) == 0 {
			k.t.Errorf("%s does not say what contained the nodes", name)
		}
	}
	// Basics is hidden; the set that Money runs of the same file is not.
	for _, name := range studentFiles {
		path := filepath.Join(grades, "good", name)
		if found := shows(k.t, path, []string{"Basics", "(1, 2, 3)", "want 13"}); len(found) > 0 {
			k.t.Errorf("%s shows %q of a hidden section", name, found)
		}
		if len(shows(k.t, path, []string{"Money"})) == 0 {
			k.t.Errorf("%s does not show the visible section", name)
		}
	}
	log, err := os.Stat(filepath.Join(grades, "floods", "build.log"))
	if err != nil || log.Size() > 2<<20 {
		k.t.Errorf("the log of the flood: %v, %v", log, err)
	}
}

func (k *class) gradebook(submissions int) {
	k.t.Helper()
	f, err := os.Open(filepath.Join(k.dir, "class", GradebookFile))
	if err != nil {
		k.t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil || len(rows) != submissions+1 {
		k.t.Fatalf("the gradebook has %d rows: %v", len(rows), err)
	}
	if head := strings.Join(rows[0], ","); head != "submission,pseudonym,status,score,max_score,Basics,Money,seconds,directory,note" {
		k.t.Errorf("head of the gradebook: %s", head)
	}
	for _, row := range rows[1:] {
		if strings.HasPrefix(row[0], "=") {
			k.t.Errorf("a formula came into the gradebook: %s", row[0])
		}
		if row[0] == "good" && (row[3] != "10" || row[5] != "8" || row[6] != "2") {
			k.t.Errorf("the row of good: %v", row)
		}
	}
}

// A submission that hangs costs the time that the suite gives it, of a run and of
// all of it.
func TestHanging(t *testing.T) {
	const hangs = "node: sh -c 'sleep 1000' {id} {listen} {data}\n"
	t.Parallel()
	k := newClass(t, "  - {name: A, testset: basics.csv, limit: 2s}\n  - {name: B, testset: basics.csv, limit: 2s}\n")
	k.add("hangs", map[string]string{ManifestFile: hangs})
	g := k.grade(t.Context(), k.options()).Grades[0]
	if g.Status != Graded || g.Score != 0 || g.note() != "A, set 1: not finished after 2s" || g.Sections[1].Sets[1].Note != "not finished after 2s" {
		t.Errorf("%s, %v points, %q", g.Status, g.Score, g.note())
	}
	o := k.options()
	o.Again = true
	o.Suite.Limits.Submission = time.Second
	g = k.grade(t.Context(), o).Grades[0]
	a, b := g.Sections[0], g.Sections[1]
	if a.Status != Graded || a.Score != 0 || b.Status != Failed || b.Note != errSubmissionTime.Error() || !g.Status.final() {
		t.Errorf("%s; A: %s, %q; B: %s, %q", g.Status, a.Status, a.Note, b.Status, b.Note)
	}
}

// A grading that is interrupted goes on where it was; what has not changed is not
// done again.
func TestResume(t *testing.T) {
	t.Parallel()
	k := newClass(t, "  - {name: One, testset: basics.csv, sets: 1}\n  - {name: Two, testset: basics.csv, sets: 2, points: 3}\n")
	for _, name := range []string{"a", "b", "c"} {
		k.add(name, map[string]string{ManifestFile: good})
	}
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	o := k.options()
	o.Jobs = 1
	var once sync.Once
	o.Progress = func(text string) {
		if strings.Contains(text, "b: Two") {
			once.Do(interrupt)
		}
	}
	c := k.grade(ctx, o)
	if !c.Interrupted || c.ExitCode() != check.ExitInterrupted {
		t.Fatalf("not interrupted: %+v", c)
	}
	b := find(t, c, "b")
	if find(t, c, "a").Status != Graded || b.Status != Open || find(t, c, "c").Status != Open {
		t.Errorf("after the interrupt: %s, %s, %s", c.Grades[0].Status, b.Status, c.Grades[2].Status)
	}
	if b.Sections[0].Status != Graded || b.Sections[1].Status != Open {
		t.Errorf("the sections of b: %s, %s", b.Sections[0].Status, b.Sections[1].Status)
	}
	var begun []string
	grade := func(change func(*Options)) *Class {
		begun = nil
		o := k.options()
		o.Jobs = 1
		o.Progress = func(text string) {
			for _, s := range []string{"a: One", "a: Two", "b: One", "b: Two", "c: One", "c: Two"} {
				if strings.Contains(text, s) && (len(begun) == 0 || begun[len(begun)-1] != s) {
					begun = append(begun, s)
				}
			}
		}
		change(&o)
		return k.grade(t.Context(), o)
	}
	for _, step := range []struct {
		name   string
		change func(*Options)
		want   string
		code   int
		total  float64 // of a
	}{
		{"no budget", func(o *Options) { o.Budget = time.Nanosecond }, "", check.ExitUnknown, 4},
		{"the rest", func(*Options) {}, "b: Two, c: One, c: Two", check.ExitPass, 4},
		{"nothing", func(*Options) {}, "", check.ExitPass, 4},
		{"other points", func(o *Options) { o.Suite.Sections[0].Points = 7 }, "", check.ExitPass, 10},
		{"another deadline", func(o *Options) { o.Suite.Sections[1].Deadline = 4 * time.Second }, "a: Two, b: Two, c: Two", check.ExitPass, 4},
	} {
		c := grade(step.change)
		if got := strings.Join(begun, ", "); got != step.want || c.ExitCode() != step.code || find(t, c, "a").Score != step.total {
			t.Errorf("%s: did %q, exit code %d, %v points; want %q, %d, %v", step.name, got, c.ExitCode(), find(t, c, "a").Score, step.want, step.code, step.total)
		}
	}
	write(t, k.submissions[2], map[string]string{"new": "file"})
	k.submissions = k.submissions[2:]
	if grade(func(*Options) {}); strings.Join(begun, ", ") != "c: One, c: Two" {
		t.Errorf("after a change of c: did %q", begun)
	}
	if grade(func(o *Options) { o.Again = true }); strings.Join(begun, ", ") != "c: One, c: Two" {
		t.Errorf("again: did %q", begun)
	}
}

// A worker that breaks is no failure of the submission, and is tried again.
func TestBrokenGrader(t *testing.T) {
	t.Parallel()
	k := newClass(t, "  - {testset: basics.csv}\n")
	k.add("good", map[string]string{ManifestFile: good})
	o := k.options()
	o.Worker = []string{"sh", "-c", "echo out of memory >&2; exit 1"}
	c := k.grade(t.Context(), o)
	g := c.Grades[0]
	if g.Status != Broken || c.ExitCode() != check.ExitInternal || !strings.Contains(g.note(), "out of memory") {
		t.Errorf("%s, %q, exit code %d", g.Status, g.note(), c.ExitCode())
	}
	if c = k.grade(t.Context(), k.options()); c.Grades[0].Status != Graded || c.Grades[0].Score != 1 {
		t.Errorf("afterwards: %s, %v points", c.Grades[0].Status, c.Grades[0].Score)
	}
}

// Two graders do not work on one class.
func TestBusy(t *testing.T) {
	t.Parallel()
	k := newClass(t, "  - {testset: basics.csv}\n")
	o := k.options()
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	held, err := lock(o.Dir)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	if _, err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "is being graded by another process") {
		t.Errorf("error %v", err)
	}
}
