package main

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

	"paxbank/client/check"
	"paxbank/client/testset"
	"paxbank/internal/topology"
)

// plan is one test set with everything that is read for it, checked.
type plan struct {
	path     string
	file     *testset.File
	sets     []planned
	expected []testset.Expectation
	notes    []string // for the user: what was read without being named
	warnings []string
}

// planned is one set and the bank it runs on.
type planned struct {
	set      testset.Set
	topology *topology.Topology
}

var setTopology = regexp.MustCompile(`^([0-9]+)=(.+)$`)

// shaped reports whether the flags choose a shape by numbers.
func (s *shapeFlags) shaped() bool {
	return s.Clusters != nil || s.NodesPerCluster != nil || s.Items != nil || s.InitialBalance != nil
}

// makePlan reads a test set, its topologies and its expected file, and checks
// all of it. The error lists everything that is wrong.
func (s *shapeFlags) makePlan(path string) (*plan, error) {
	data, err := readFile(path, "test set")
	if err != nil {
		return nil, err
	}
	p := &plan{path: path}
	var errs []error
	var rows testset.Errors // everything that is wrong in the test set itself
	p.file, err = testset.Parse(path, data)
	if err != nil && !errors.As(err, &rows) {
		errs = append(errs, err)
	}
	parsed := err == nil
	common, bySet, err := s.topologies(p)
	if err != nil {
		errs = append(errs, err)
	}
	if p.file != nil && err == nil {
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
	if err := p.readExpected(len(errs) == 0); err != nil {
		errs = append(errs, err)
	}
	if len(errs) > 0 {
		return nil, &exitError{check.ExitUsage, errors.Join(errs...)}
	}
	p.warnings = append(slices.Clone(p.file.Warnings), p.warnings...)
	return p, nil
}

// topologies reads what the flags, or the files beside the test set, say.
func (s *shapeFlags) topologies(p *plan) (common *topology.Topology, bySet map[int]*topology.Topology, err error) {
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
			if bySet[number], err = readTopology(m[2]); err != nil {
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
		stem := strings.TrimSuffix(p.path, filepath.Ext(p.path))
		for _, beside := range []string{stem + ".yaml", stem + ".topology.yaml"} {
			if _, err := os.Stat(beside); err == nil {
				commonFile = beside
				p.notes = append(p.notes, fmt.Sprintf("topology from %s", beside))
				break
			}
		}
	}
	if commonFile != "" {
		common, err = readTopology(commonFile)
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
func (s *shapeFlags) choose(p *plan, common *topology.Topology, bySet map[int]*topology.Topology) (rows testset.Errors, others []error) {
	wanted, err := parseSets(s.Sets)
	if err != nil {
		return nil, []error{err}
	}
	known := map[int]bool{}
	for i := range p.file.Sets {
		set := &p.file.Sets[i]
		known[set.Number] = true
		if wanted != nil && !wanted(set.Number) {
			continue
		}
		t := common
		if own := bySet[set.Number]; own != nil {
			t = own
		}
		for _, e := range p.file.Check(set, t) {
			if e.Warning {
				p.warnings = append(p.warnings, e.Error())
			} else {
				rows = append(rows, e)
			}
		}
		p.sets = append(p.sets, planned{set: *set, topology: t})
	}
	for number := range bySet {
		if !known[number] {
			others = append(others, fmt.Errorf("--topology %d=…: %s has no set %d", number, p.path, number))
		}
	}
	if len(p.sets) == 0 {
		if wanted != nil {
			others = append(others, fmt.Errorf("--sets %s: %s has none of these sets", s.Sets, p.path))
		} else {
			others = append(others, fmt.Errorf("%s: there is no set in it", p.path))
		}
	}
	return rows, others
}

// parseSets reads "1,4-6"; nil means all.
func parseSets(s string) (func(int) bool, error) {
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

// readExpected reads the expected file beside the test set, if there is one.
// sound says that nothing was wrong with the test set and its topologies.
func (p *plan) readExpected(sound bool) error {
	path := strings.TrimSuffix(p.path, filepath.Ext(p.path)) + ".expected.csv"
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("expected file: %w", err)
	}
	if p.expected, err = testset.ParseExpected(path, data); err != nil {
		return err
	}
	p.notes = append(p.notes, fmt.Sprintf("expectations from %s", path))
	// Held against a test set that has errors of its own, it would be blamed for
	// theirs.
	if !sound {
		return nil
	}
	errs := p.file.CheckExpected(path, p.expected, func(set int) *topology.Topology {
		for i := range p.sets {
			if p.sets[i].set.Number == set {
				return p.sets[i].topology
			}
		}
		return nil
	})
	if len(errs) > 0 {
		return testset.Errors(errs)
	}
	return nil
}

func readTopology(path string) (*topology.Topology, error) {
	data, err := readFile(path, "topology")
	if err != nil {
		return nil, err
	}
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
	return nil, usage("%s %s cannot be read: %w", what, path, reason)
}
