// Package plan reads what a run is made of: a test set, the topologies that its
// sets run on and its expected file, all of it checked before anything starts.
//
//	p, err := shape.Read("course.csv")   // shape comes from the command line
//	for _, s := range p.Sets { … s.Set … s.Topology … }
//
// An error lists everything that is wrong, each with its place.
package plan

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"paxbank/client/testset"
	"paxbank/internal/topology"
)

// Plan is one test set with everything that is read for it, checked.
type Plan struct {
	Path     string
	File     *testset.File
	Sets     []Set
	Expected []testset.Expectation
	// ExpectedPath is where they were read; "" when there is no expected file.
	ExpectedPath string
	Notes        []string // for the user: what was read without being named
	Warnings     []string
	Inputs       []Input
}

// Input is a file that was read, byte by byte, under the name that its copy has
// in a run directory: testset.csv, topology.yaml, topology-15.yaml for set 15
// alone, expected.csv.
type Input struct {
	Name string
	Data []byte
}

// Names of copies.
const (
	TestSetInput  = "testset.csv"
	ExpectedInput = "expected.csv"
)

// Set is one set and the bank it runs on.
type Set struct {
	testset.Set
	Topology *topology.Topology
}

// Shape chooses the bank that a test set runs on, and which of its sets run. It
// is filled in by the command line.
type Shape struct {
	// ExpectedFile is the expected file; "" takes NAME.expected.csv beside NAME.csv,
	// if there is one. Not every command has a flag for it.
	ExpectedFile string `kong:"-"`

	Topology        []string `placeholder:"[SET=]FILE" sep:"none" help:"Topology file (YAML); with SET= only for that set. May be repeated. Default: NAME.yaml or NAME.topology.yaml beside NAME.csv, else 3 clusters of 3 nodes, items 1 to 9000, balance 10."`
	Clusters        *int     `placeholder:"N" help:"Number of clusters (default 3)."`
	NodesPerCluster *int     `placeholder:"N" help:"Nodes in a cluster (default 3)."`
	Items           *int64   `placeholder:"N" help:"Number of items (default 9000)."`
	InitialBalance  *int64   `placeholder:"N" help:"What every item holds at the start (default 10)."`
	Sets            string   `placeholder:"1,4-6" help:"Only these sets."`
}

var setTopology = regexp.MustCompile(`^([0-9]+)=(.+)$`)

// shaped reports whether the flags choose a shape by numbers.
func (s *Shape) shaped() bool {
	return s.Clusters != nil || s.NodesPerCluster != nil || s.Items != nil || s.InitialBalance != nil
}

// Read reads a test set, its topologies and its expected file, and checks all of
// it. The error lists everything that is wrong.
func (s *Shape) Read(path string) (*Plan, error) {
	data, err := readFile(path, "test set")
	if err != nil {
		return nil, err
	}
	p := &Plan{Path: path, Inputs: []Input{{TestSetInput, data}}}
	var errs []error
	var rows testset.Errors // everything that is wrong in the test set itself
	p.File, err = testset.Parse(path, data)
	if err != nil && !errors.As(err, &rows) {
		errs = append(errs, err)
	}
	parsed := err == nil
	common, bySet, err := s.topologies(p)
	if err != nil {
		errs = append(errs, err)
	}
	if p.File != nil && err == nil {
		checked, others := s.choose(p, common, bySet)
		rows = append(rows, checked...)
		if parsed {
			errs = append(errs, others...)
		}
	}
	if len(rows) > 0 {
		slices.SortStableFunc(rows, func(a, b testset.Error) int {
			return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
		})
		errs = slices.Insert(errs, 0, error(rows))
	}
	if err := p.readExpected(s.ExpectedFile, len(errs) == 0); err != nil {
		errs = append(errs, err)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	p.Warnings = append(slices.Clone(p.File.Warnings), p.Warnings...)
	return p, nil
}

// topologies reads what the flags, or the files beside the test set, say.
func (s *Shape) topologies(p *Plan) (common *topology.Topology, bySet map[int]*topology.Topology, err error) {
	bySet = map[int]*topology.Topology{}
	commonFile := ""
	for _, arg := range s.Topology {
		if m := setTopology.FindStringSubmatch(arg); m != nil {
			number, err := strconv.Atoi(m[1])
			if err != nil {
				return nil, nil, fmt.Errorf("--topology %s: bad set number", arg)
			}
			if bySet[number] != nil {
				return nil, nil, fmt.Errorf("--topology: set %d has two topology files", number)
			}
			if bySet[number], err = p.readTopology(m[2], fmt.Sprintf("topology-%d.yaml", number)); err != nil {
				return nil, nil, err
			}
			continue
		}
		if commonFile != "" {
			return nil, nil, fmt.Errorf("--topology: %s and %s are both given for all sets (say SET=FILE)", commonFile, arg)
		}
		commonFile = arg
	}
	if commonFile != "" && s.shaped() {
		return nil, nil, fmt.Errorf("--topology %s cannot be combined with --clusters, --nodes-per-cluster, --items or --initial-balance: the file says it all", commonFile)
	}
	if commonFile == "" && !s.shaped() {
		stem := strings.TrimSuffix(p.Path, filepath.Ext(p.Path))
		for _, beside := range []string{stem + ".yaml", stem + ".topology.yaml"} {
			if _, err := os.Stat(beside); err == nil {
				commonFile = beside
				p.Notes = append(p.Notes, fmt.Sprintf("topology from %s", beside))
				break
			}
		}
	}
	if commonFile != "" {
		common, err = p.readTopology(commonFile, "topology.yaml")
		return common, bySet, err
	}
	common, err = topology.Uniform(or(s.Clusters, 3), or(s.NodesPerCluster, 3), or(s.Items, 9000), or(s.InitialBalance, 10))
	if err != nil {
		return nil, nil, fmt.Errorf("the shape asked for: %w", err)
	}
	return common, bySet, nil
}

// or is what a flag says, or else, when it was not given, otherwise.
func or[T any](flag *T, otherwise T) T {
	if flag != nil {
		return *flag
	}
	return otherwise
}

// choose takes the sets that are going to run and holds them against their
// topologies. rows are errors in the test set, others errors in the choice.
func (s *Shape) choose(p *Plan, common *topology.Topology, bySet map[int]*topology.Topology) (rows testset.Errors, others []error) {
	wanted, err := ParseSets(s.Sets)
	if err != nil {
		return nil, []error{err}
	}
	known := map[int]bool{}
	for i := range p.File.Sets {
		set := &p.File.Sets[i]
		known[set.Number] = true
		if wanted != nil && !wanted(set.Number) {
			continue
		}
		t := common
		if own := bySet[set.Number]; own != nil {
			t = own
		}
		for _, e := range p.File.Check(set, t) {
			if e.Warning {
				p.Warnings = append(p.Warnings, e.Error())
			} else {
				rows = append(rows, e)
			}
		}
		p.Sets = append(p.Sets, Set{Set: *set, Topology: t})
	}
	for number := range bySet {
		if !known[number] {
			others = append(others, fmt.Errorf("--topology %d=…: %s has no set %d", number, p.Path, number))
		}
	}
	if len(p.Sets) == 0 {
		if wanted != nil {
			others = append(others, fmt.Errorf("--sets %s: %s has none of these sets", s.Sets, p.Path))
		} else {
			others = append(others, fmt.Errorf("%s: there is no set in it", p.Path))
		}
	}
	return rows, others
}

// ParseSets reads a choice of sets such as "1,4-6"; nil means all.
func ParseSets(s string) (func(int) bool, error) {
	if s == "" {
		return nil, nil
	}
	type span struct{ first, last int }
	var spans []span
	for part := range strings.SplitSeq(s, ",") {
		first, last, isSpan := strings.Cut(strings.TrimSpace(part), "-")
		if !isSpan {
			last = first
		}
		a, errA := strconv.Atoi(strings.TrimSpace(first))
		b, errB := strconv.Atoi(strings.TrimSpace(last))
		if errA != nil || errB != nil || b < a {
			return nil, fmt.Errorf("--sets %s: %q is neither a set number nor a span such as 4-6", s, strings.TrimSpace(part))
		}
		spans = append(spans, span{a, b})
	}
	return func(n int) bool {
		return slices.ContainsFunc(spans, func(sp span) bool { return sp.first <= n && n <= sp.last })
	}, nil
}

// readExpected reads the expected file that was named, or the one beside the test
// set, if there is one. sound says that nothing was wrong with the test set and its
// topologies.
func (p *Plan) readExpected(named string, sound bool) error {
	path := named
	if named == "" {
		path = strings.TrimSuffix(p.Path, filepath.Ext(p.Path)) + ".expected.csv"
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
	}
	data, err := readFile(path, "expected file")
	if err != nil {
		return err
	}
	p.ExpectedPath = path
	if p.Expected, err = testset.ParseExpected(path, data); err != nil {
		return err
	}
	p.Inputs = append(p.Inputs, Input{ExpectedInput, data})
	if named == "" {
		p.Notes = append(p.Notes, fmt.Sprintf("expectations from %s", path))
	}
	// Held against a test set that has errors of its own, it would be blamed for
	// theirs.
	if !sound {
		return nil
	}
	errs := p.File.CheckExpected(path, p.Expected, func(set int) *topology.Topology {
		for i := range p.Sets {
			if p.Sets[i].Number == set {
				return p.Sets[i].Topology
			}
		}
		return nil
	})
	if len(errs) > 0 {
		return testset.Errors(errs)
	}
	return nil
}

// readTopology reads a topology file; kept is what its copy is called.
func (p *Plan) readTopology(path, kept string) (*topology.Topology, error) {
	data, err := readFile(path, "topology")
	if err != nil {
		return nil, err
	}
	p.Inputs = append(p.Inputs, Input{kept, data})
	return topology.ParseYAML(path, data)
}

// readFile reads a file that the user named; the error is one for the user.
func readFile(path, what string) ([]byte, error) {
	data, err := os.ReadFile(path)
	if err == nil {
		return data, nil
	}
	reason := err
	var pe *fs.PathError
	if errors.As(err, &pe) {
		reason = pe.Err
	}
	return nil, fmt.Errorf("%s %s cannot be read: %w", what, path, reason)
}
