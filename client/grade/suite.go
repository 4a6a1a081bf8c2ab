package grade

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"paxbank/client/launch"
	"paxbank/client/plan"
	"paxbank/client/runner"
	"paxbank/internal/topology"
)

// Suite is what a class is graded by; docs/grading.md has the file's fields.
type Suite struct {
	Name string
	Path string // as the user named it
	// Build and Node are the commands of submissions that do not bring their own;
	// Build may be empty, Node only when submissions have to bring it.
	Build, Node string
	// Manifest says what becomes of a submission's own paxbank.yaml: allowed,
	// ignored or required.
	Manifest string
	// Provide are files and directories of the suite that are put into the copy of
	// every submission before it is built: name there → path.
	Provide map[string]string
	// Env are further variables of build and nodes, NAME=value.
	Env      []string
	Limits   Limits
	Sections []Section
	// Leaderboard is nil when there is none.
	Leaderboard *Leaderboard
}

// Limits of one submission. Times are those of the reference machine.
type Limits struct {
	Build      time.Duration // one build
	Submission time.Duration // build and all sections
	Bytes      int64         // of the files handed in
	Files      int           // their number
	// Memory of a node, in bytes; 0 leaves it at the sandbox's limit.
	Memory int64 `json:",omitempty"`
}

// Section is one test set with how it is run and what it is worth.
type Section struct {
	Name    string
	TestSet string   // path
	Sets    string   // as for --sets; "" means all
	Shape   []string // topology files, as for --topology
	// Points for correctness; the points of Performance come on top.
	Points     float64
	Visibility string // of Gradescope: visible, hidden, after_due_date, after_published
	// Deadline of one command, Limit of one run of the test set.
	Deadline, Limit time.Duration
	Repeats         int
	// Passes says which of several runs count: all, any or majority.
	Passes       string
	Order, Fault string
	// Randomise item numbers and the order of the sets.
	Randomise   bool
	Performance []Threshold

	plan *plan.Plan
	line int
}

// Threshold is a measurement that earns points when a correct section meets it.
type Threshold struct {
	Measure string // throughput, mean, p50, p95, p99 or max
	Kind    string // of calls: intra, cross or read; "" means all
	// Want in definite outcomes a second (at least), or microseconds (at most).
	Want   float64
	Points float64
}

// Leaderboard says what submissions are compared by.
type Leaderboard struct {
	Section string
	Measure string
	Kind    string
}

// How several runs of a section count; set by set, over the shares of its points
// that the runs got.
const (
	PassesAll      = "all"      // the worst
	PassesAny      = "any"      // the best
	PassesMajority = "majority" // the median, the lower of two
)

// What becomes of a submission's own manifest.
const (
	ManifestAllowed  = "allowed"
	ManifestIgnored  = "ignored"
	ManifestRequired = "required"
)

// Defaults of fields that a suite leaves out.
const (
	defaultBuildLimit = 5 * time.Minute
	defaultTotalLimit = 30 * time.Minute
	defaultRunLimit   = 3 * time.Minute
	defaultBytes      = 256 << 20
	defaultFiles      = 50_000
	maxRepeats        = 100
	maxLimit          = 24 * time.Hour
	// leastRepeats of a section that a leaderboard is made of: of fewer there is
	// hardly an interval.
	leastRepeats = 3
	// maxRandomised items of a topology: the permutation is kept in memory.
	maxRandomised = 1_000_000
)

// sectionName keeps names usable as column heads, directories and labels.
var sectionName = regexp.MustCompile(`^[\p{L}\p{N}][\p{L}\p{N} ._()+/-]{0,59}$`)

// ReadSuite reads a suite and every test set, topology and expected file that it
// names. The error lists everything that is wrong, each with its place.
func ReadSuite(path string) (*Suite, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("suite %s cannot be read: %w", path, reason(err))
	}
	r := &suiteReader{reader: reader{name: path}}
	s := r.suite(data)
	if err := r.err(); err != nil {
		return nil, err
	}
	s.Path = path
	return s, nil
}

// Files are the suite and the files that its sections are made of, without what it
// provides. Expected files and topologies beside a test set are among them whether
// they are there or not.
func (s *Suite) Files() []string {
	files := []string{s.Path}
	for i := range s.Sections {
		sec := &s.Sections[i]
		stem := strings.TrimSuffix(sec.TestSet, filepath.Ext(sec.TestSet))
		files = append(files, sec.TestSet, stem+".expected.csv", stem+".yaml", stem+".topology.yaml")
		files = append(files, sec.Shape...)
	}
	return files
}

// suiteReader reads a suite; paths in it are relative to its directory.
type suiteReader struct{ reader }

func (r *suiteReader) path(p string) string {
	if filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(filepath.Dir(r.name), p)
}

func (r *suiteReader) suite(data []byte) *Suite {
	root := r.document(data)
	if root == nil {
		return nil
	}
	f := r.mapping(root, "the suite", "name", "build", "node", "manifest", "provide", "env", "limits", "sections", "leaderboard")
	s := &Suite{
		Name: strings.TrimSuffix(filepath.Base(r.name), filepath.Ext(r.name)), Manifest: ManifestAllowed,
		Limits: Limits{Build: defaultBuildLimit, Submission: defaultTotalLimit, Bytes: defaultBytes, Files: defaultFiles},
	}
	r.text(f, "name", &s.Name)
	r.choice(f, "manifest", &s.Manifest, ManifestAllowed, ManifestIgnored, ManifestRequired)
	r.commands(f, &s.Build, &s.Node)
	if s.Node == "" && s.Manifest == ManifestIgnored {
		r.bad(root.Line, "the suite needs `node`: it ignores the submissions' own manifests")
	}
	r.provide(f, s)
	r.env(f, s)
	if n := f["limits"]; n != nil {
		l := r.mapping(n, "limits", "build", "submission", "bytes", "files", "memory")
		r.duration(l, "build", &s.Limits.Build, time.Second, maxLimit)
		r.duration(l, "submission", &s.Limits.Submission, time.Second, maxLimit)
		r.size(l, "bytes", &s.Limits.Bytes)
		r.number(l, "files", &s.Limits.Files, 1, 10_000_000)
		r.size(l, "memory", &s.Limits.Memory)
	}
	if f["sections"] == nil {
		r.bad(root.Line, "the suite has no `sections`")
		return s
	}
	where := map[string]int{} // name → line
	for i, n := range r.list(f["sections"], "sections") {
		sec, ok := r.section(n, i+1)
		if !ok {
			continue
		}
		if first, twice := where[sec.Name]; twice {
			r.bad(n.Line, "section %s: the section in line %d has that name already", sec.Name, first)
		}
		where[sec.Name] = n.Line
		s.Sections = append(s.Sections, sec)
	}
	r.leaderboard(f, s)
	return s
}

// commands reads build and node, which suites and manifests have alike.
func (r *reader) commands(f fields, build, node *string) {
	r.text(f, "build", build)
	r.text(f, "node", node)
	if n := f["build"]; n != nil && *build != "" {
		if _, err := launch.Split(*build); err != nil {
			r.bad(n.Line, "build: %v", err)
		}
	}
	if n := f["node"]; n != nil && *node != "" {
		if _, err := launch.Split(*node); err != nil {
			r.bad(n.Line, "node: %v", err)
		}
		for _, place := range []string{"{id}", "{listen}", "{data}"} {
			if !strings.Contains(*node, place) {
				r.bad(n.Line, "node: %s is missing; a node must be told its id, its address and its data directory", place)
			}
		}
	}
}

func (r *suiteReader) provide(f fields, s *Suite) {
	if f["provide"] == nil {
		return
	}
	r.pairs(f["provide"], "provide", "a mapping of names in the submission to paths beside the suite", func(key, value *yaml.Node) {
		if err := s.provideOne(key.Value, r.path(value.Value)); err != nil {
			r.bad(key.Line, "%v", err)
		}
	})
}

func (s *Suite) provideOne(name, path string) error {
	if !filepath.IsLocal(name) || filepath.Clean(name) == "." {
		return fmt.Errorf("provide: %q is not a name inside the submission", name)
	}
	if _, err := os.Stat(path); err != nil {
		return fmt.Errorf("provide: %s cannot be read: %w", path, reason(err))
	}
	if s.Provide == nil {
		s.Provide = map[string]string{}
	}
	s.Provide[filepath.Clean(name)] = path
	return nil
}

var envName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

func (r *suiteReader) env(f fields, s *Suite) {
	if f["env"] == nil {
		return
	}
	r.pairs(f["env"], "env", "a mapping of variables to values", func(key, value *yaml.Node) {
		if value.Kind != yaml.ScalarNode || isNull(value) {
			r.bad(key.Line, "env: %q is not a variable with a value", key.Value)
		} else if err := s.setEnv(key.Value, value.Value); err != nil {
			r.bad(key.Line, "%v", err)
		}
	})
}

func (s *Suite) setEnv(name, value string) error {
	if !envName.MatchString(name) {
		return fmt.Errorf("env: %q is not a variable with a value", name)
	}
	s.Env = append(s.Env, name+"="+value)
	return nil
}

func (r *suiteReader) section(n *yaml.Node, number int) (Section, bool) {
	before := len(r.errs)
	f := r.mapping(n, fmt.Sprintf("section %d", number), "name", "testset", "sets", "topology", "points", "visibility",
		"deadline", "limit", "repeats", "passes", "order", "fault", "randomise", "performance")
	s := Section{
		Points: 1, Visibility: "visible", Deadline: runner.DefaultDeadline, Limit: defaultRunLimit, Repeats: 1, Passes: PassesAll,
		Order: runner.OrderConflict, Fault: runner.FaultPause, line: n.Line,
	}
	r.text(f, "testset", &s.TestSet)
	if f["testset"] == nil && n.Kind == yaml.MappingNode {
		r.bad(n.Line, "section %d has no `testset`", number)
	}
	s.Name = strings.TrimSuffix(filepath.Base(s.TestSet), filepath.Ext(s.TestSet))
	r.text(f, "name", &s.Name)
	if s.TestSet != "" && !sectionName.MatchString(s.Name) {
		r.bad(n.Line, "section %d: the name %q is not made of up to 60 letters, digits, blanks and . _ ( ) + / -", number, s.Name)
	}
	r.text(f, "sets", &s.Sets)
	if top := f["topology"]; top != nil {
		var path string
		r.text(f, "topology", &path)
		s.Shape = []string{r.path(path)}
	}
	r.points(f, "points", &s.Points)
	r.choice(f, "visibility", &s.Visibility, "visible", "hidden", "after_due_date", "after_published")
	r.duration(f, "deadline", &s.Deadline, time.Millisecond, 10*time.Minute)
	r.duration(f, "limit", &s.Limit, time.Second, maxLimit)
	r.number(f, "repeats", &s.Repeats, 1, maxRepeats)
	r.choice(f, "passes", &s.Passes, PassesAll, PassesAny, PassesMajority)
	r.choice(f, "order", &s.Order, runner.OrderConflict, runner.OrderFree, runner.OrderSerial)
	r.choice(f, "fault", &s.Fault, runner.FaultPause, runner.FaultKill)
	r.truth(f, "randomise", &s.Randomise)
	if p := f["performance"]; p != nil {
		for _, t := range r.list(p, "performance") {
			s.Performance = append(s.Performance, r.threshold(t))
		}
	}
	if len(r.errs) > before {
		return s, false
	}
	s.TestSet = r.path(s.TestSet)
	if s.plan = r.plan(&s); s.plan == nil {
		return s, false
	}
	for i := range s.plan.Sets {
		if items := count(s.plan.Sets[i].Topology); s.Randomise && items > maxRandomised {
			r.bad(n.Line, "section %s: %d items are too many to randomise; %d is the most", s.Name, items, maxRandomised)
			return s, false
		}
	}
	return s, true
}

func count(t *topology.Topology) int64 {
	var items int64
	for _, r := range t.Items.Ranges {
		items += r.Last - r.First + 1
	}
	return items
}

// plan reads the section's test set.
func (r *suiteReader) plan(s *Section) *plan.Plan {
	shape := plan.Shape{Topology: s.Shape, Sets: s.Sets}
	p, err := shape.Read(s.TestSet)
	if err != nil {
		r.bad(s.line, "section %s: the test set has errors:\n%v", s.Name, err)
		return nil
	}
	return p
}

// reason is what is wrong with a file, without its path.
func reason(err error) error {
	var pe *os.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}
