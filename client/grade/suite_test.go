package grade

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"paxbank/client/launch"
)

// write puts files into a directory, by name.
func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

// basics is a test set of two sets, with its expectations, on a bank of one node.
var basics = map[string]string{
	"basics.csv":          "Set Number,Transactions,Live Nodes\n1,\"(1, 2, 3)\",\n,(2),\n2,\"(1, 2, 99)\",\n",
	"basics.expected.csv": "Set Number,Check,Target,Expected,Points\n1,balance,2,13,3\n2,outcome,*,insufficient_funds,1\n",
	"basics.yaml":         "clusters: [{id: c1, nodes: [n1], first_item: 1, last_item: 9}]\n",
}

func TestReadSuite(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, basics)
	write(t, dir, map[string]string{"proto/a.proto": "x", "suite.yaml": `
name: Banks
build: make bank
node: ./bank --id {id} --listen {listen} --data {data}
manifest: ignored
provide: {proto: proto}
env: {LEVEL: 3}
limits: {build: 90s, submission: 10m, bytes: 5MiB, files: 100, memory: 64MiB}
sections:
  - {testset: basics.csv}
  - name: Fast
    testset: basics.csv
    sets: 2
    points: 2.5
    visibility: after_due_date
    deadline: 2s
    limit: 40s
    repeats: 3
    passes: majority
    order: serial
    fault: kill
    randomise: true
    performance:
      - {measure: throughput, want: ">=500", points: 3}
      - {measure: p99, kind: intra, want: "<= 20ms"}
leaderboard: {section: Fast, measure: p50}
`})
	s, err := ReadSuite(filepath.Join(dir, "suite.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Sections[0].plan.Sets) != 2 || len(s.Sections[1].plan.Sets) != 1 || len(s.Sections[1].plan.Sets[0].Topology.Nodes()) != 1 {
		t.Errorf("the plans are not those of the files: %+v", s.Sections)
	}
	for i := range s.Sections {
		s.Sections[i].plan, s.Sections[i].line = nil, 0
	}
	testset := filepath.Join(dir, "basics.csv")
	want := &Suite{
		Name: "Banks", Path: filepath.Join(dir, "suite.yaml"), Build: "make bank", Node: "./bank --id {id} --listen {listen} --data {data}",
		Manifest: ManifestIgnored, Provide: map[string]string{"proto": filepath.Join(dir, "proto")}, Env: []string{"LEVEL=3"},
		Limits: Limits{Build: 90 * time.Second, Submission: 10 * time.Minute, Bytes: 5 << 20, Files: 100, Memory: 64 << 20},
		Sections: []Section{
			{Name: "basics", TestSet: testset, Points: 1, Visibility: "visible", Deadline: 5 * time.Second, Limit: defaultRunLimit,
				Repeats: 1, Passes: PassesAll, Order: "conflict", Fault: "pause"},
			{Name: "Fast", TestSet: testset, Sets: "2", Points: 2.5, Visibility: "after_due_date", Deadline: 2 * time.Second, Limit: 40 * time.Second,
				Repeats: 3, Passes: PassesMajority, Order: "serial", Fault: "kill", Randomise: true,
				Performance: []Threshold{{Measure: "throughput", Want: 500, Points: 3}, {Measure: "p99", Kind: "intra", Want: 20_000, Points: 1}}},
		},
		Leaderboard: &Leaderboard{Section: "Fast", Measure: "p50"},
	}
	if diff := cmp.Diff(want, s, cmp.AllowUnexported(Section{})); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if max := s.Sections[1].Max(); max != 6.5 {
		t.Errorf("the section is worth %v, want 6.5", max)
	}
}

// Everything that is wrong is said at once, each with its line.
func TestReadSuiteErrors(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, basics)
	write(t, dir, map[string]string{"bad.csv": "1,\"(1, 2\",\n", "suite.yaml": `name: [x]
node: ./bank {id} {data}
manifest: maybe
provide: {../out: basics.csv, in: nowhere}
env: {"A B": x}
colour: red
limits: {build: fast, bytes: 5, files: 0, nodes: 3}
sections:
  - {name: A, testset: basics.csv, points: -1, repeats: 0, passes: some}
  - {name: B}
  - {name: "a,b", testset: basics.csv}
  - {name: C, testset: basics.csv, order: free, order: serial, deadline: 1ns}
  - {name: D, testset: bad.csv}
  - {name: E, testset: basics.csv}
  - {name: E, testset: basics.csv}
  - name: F
    testset: basics.csv
    performance:
      - {measure: throughput, want: "<=500"}
      - {measure: p99, want: "<=20"}
      - {measure: speed}
leaderboard: {section: E}
`})
	write(t, dir, map[string]string{"large.csv": "1,(1)\n", "large.yaml": "clusters: [{id: c1, nodes: [n1], first_item: 1, last_item: 1000001}]\n",
		"large suite.yaml": "node: x {id} {listen} {data}\nsections: [{testset: large.csv, randomise: true}]\n"})
	if _, err := ReadSuite(filepath.Join(dir, "large suite.yaml")); err == nil || !strings.Contains(err.Error(), "1000001 items are too many to randomise") {
		t.Errorf("a large bank: %v", err)
	}
	_, err := ReadSuite(filepath.Join(dir, "suite.yaml"))
	if err == nil {
		t.Fatal("the suite was accepted")
	}
	want := []string{
		"suite.yaml:1: name must be a text",
		"suite.yaml:2: node: {listen} is missing",
		"suite.yaml:3: manifest: \"maybe\" is none of allowed, ignored, required",
		"suite.yaml:4: provide: \"../out\" is not a name inside the submission",
		"suite.yaml:4: provide: ", "nowhere cannot be read",
		"suite.yaml:5: env: \"A B\" is not a variable",
		"suite.yaml:6: the suite has no field \"colour\"",
		"suite.yaml:7: limits has no field \"nodes\"",
		"suite.yaml:7: build must be a duration",
		"suite.yaml:7: bytes must be a size with its unit",
		"suite.yaml:7: files must be a whole number from 1",
		"suite.yaml:9: points must be a number of points",
		"suite.yaml:9: repeats must be a whole number from 1 to 100",
		"suite.yaml:9: passes: \"some\" is none of all, any, majority",
		"suite.yaml:10: section 2 has no `testset`",
		"suite.yaml:11: section 3: the name \"a,b\"",
		"suite.yaml:12: section 4 has order twice",
		"suite.yaml:12: deadline must be a duration from 1ms",
		"suite.yaml:13: section D: the test set has errors",
		"bad.csv:1:",
		"suite.yaml:15: section E: the section in line 14 has that name already",
		"suite.yaml:19: want: a throughput is wanted as >=500",
		"suite.yaml:20: want: a latency is wanted as <=20ms",
		"suite.yaml:21: measure: \"speed\" is none of",
		"suite.yaml:21: a row of performance needs measure and want",
		"suite.yaml:22: leaderboard: section E is run 1 times",
	}
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("nothing says %q", w)
		}
	}
	if t.Failed() {
		t.Log(err)
	}
}

func TestManifest(t *testing.T) {
	const node = "node: ./mine {id} {listen} {data}\n"
	for _, c := range []struct {
		rule, suiteNode, manifest string
		want                      commands
		wrong                     string
	}{
		{ManifestAllowed, "./suite", "", commands{"make", "./suite"}, ""},
		{ManifestAllowed, "./suite", node, commands{"make", "./mine {id} {listen} {data}"}, ""},
		{ManifestAllowed, "./suite", "build: ./b\n" + node, commands{"./b", "./mine {id} {listen} {data}"}, ""},
		{ManifestIgnored, "./suite", node, commands{"make", "./suite"}, ""},
		{ManifestRequired, "./suite", "", commands{}, "it has no paxbank.yaml"},
		{ManifestAllowed, "", "build: x", commands{}, "says how a node is started"},
		{ManifestAllowed, "./suite", "run: x", commands{}, `paxbank.yaml:1: the manifest has no field "run"`},
		{ManifestAllowed, "./suite", "node: ./x {id}", commands{}, "{listen} is missing"},
		{ManifestAllowed, "./suite", "a: b: c", commands{}, "not YAML"},
	} {
		dir := t.TempDir()
		if c.manifest != "" {
			write(t, dir, map[string]string{ManifestFile: c.manifest})
		}
		s := &Suite{Build: "make", Node: c.suiteNode, Manifest: c.rule}
		got, err := s.commandsOf(dir)
		switch {
		case c.wrong == "" && (err != nil || got != c.want):
			t.Errorf("%s, %q: %+v, %v; want %+v", c.rule, c.manifest, got, err, c.want)
		case c.wrong != "" && (err == nil || !strings.Contains(err.Error(), c.wrong)):
			t.Errorf("%s, %q: error %v, want %q", c.rule, c.manifest, err, c.wrong)
		}
	}
}

// FuzzManifest: whatever a submission's manifest holds, it is understood or
// refused with its line, and a node command that is taken can be carried out.
func FuzzManifest(f *testing.F) {
	for _, s := range []string{good, "build: make\n" + good, "a: &x [*x]", "node: 'x", "{}", "- node", "node: {id}\nnode: y", "\x00", "build: \"a\\\\\""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var c commands
		if err := c.read([]byte(text)); err != nil {
			if !strings.HasPrefix(err.Error(), ManifestFile+":") {
				t.Fatalf("the error names no line: %v", err)
			}
			return
		}
		for _, line := range []string{c.Build, c.Node} {
			if line == "" {
				continue
			}
			if _, err := launch.Split(line); err != nil {
				t.Fatalf("took %q: %v", line, err)
			}
		}
		if c.Node != "" && !strings.Contains(c.Node, "{listen}") {
			t.Fatalf("took the node command %q", c.Node)
		}
	})
}

// The example in this repository can be used.
func TestExample(t *testing.T) {
	s, err := ReadSuite(filepath.Join("..", "..", "examples", "class", "suite.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if s.Leaderboard == nil || len(s.Sections) != 3 {
		t.Errorf("%+v", s)
	}
}

// The estimate knows what is done, and goes by what that took.
func TestEstimate(t *testing.T) {
	s, err := ReadSuite(filepath.Join("..", "..", "examples", "class", "suite.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	o := Options{Suite: s, Dir: dir, Jobs: 1, Speed: Reference, Submissions: []string{"a", "b", "c", "d", "e"}}
	fresh, err := o.Estimate()
	if err != nil || fresh.Left != 5 || fresh.Measured || fresh.Likely <= 0 || fresh.Most <= fresh.Likely {
		t.Errorf("%+v, %v", fresh, err)
	}
	for i, name := range []string{"a", "b", "c"} {
		home := filepath.Join(dir, "submissions", name)
		if err := os.MkdirAll(home, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := (&Grade{Schema: Schema, Status: Graded, Seconds: float64(10 * (i + 1))}).write(home); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		change func()
		want   string
	}{
		{func() {}, "5 submissions, 3 of them graded already: about 40 s by what the others took, at most "},
		{func() { o.Jobs = 2 }, "5 submissions, 3 of them graded already: about 20 s by what the others took, at most "},
		{func() { o.Again = true }, "5 submissions: about "},
		{func() { o.Again, o.Submissions = false, o.Submissions[:3] }, "3 submissions, 3 of them graded already"},
	} {
		c.change()
		if e, err := o.Estimate(); err != nil || !strings.HasPrefix(e.String(), c.want) {
			t.Errorf("%s, %v; want %s…", e, err, c.want)
		}
	}
}
