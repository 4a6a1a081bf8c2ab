package shrink

import (
	"fmt"
	"slices"
	"strings"

	"paxbank/client/testset"
	"paxbank/internal/topology"
)

// Options of a search.
type Options struct {
	// Simplify: amounts and items may change too. Not where expectations speak of
	// them.
	Simplify bool
	// Better, when set, is told of every set that is smaller than the best so far.
	Better func(testset.Set)
}

// Set makes a failing set smaller; set itself is taken to fail. fails runs a
// candidate; its error ends the search, and Set returns it with the best so far.
// A candidate that was not seen to fail is not tried again.
//
// Commands keep their Line and Column, so that they can be told apart and
// expectations that name a line find theirs.
func Set(set testset.Set, t *topology.Topology, o Options, fails func(testset.Set) (bool, error)) (testset.Set, error) {
	s := &search{Options: o, topology: t, run: fails, best: set, tried: map[string]bool{}}
	if s.best.Live == nil {
		for _, n := range t.Nodes() {
			s.best.Live = append(s.best.Live, n.ID)
		}
	}
	err := s.stages()
	if len(s.best.Live) == len(t.Nodes()) {
		s.best.Live = nil
	}
	return s.best, err
}

// search is a search under way.
type search struct {
	Options
	topology *topology.Topology
	run      func(testset.Set) (bool, error)
	best     testset.Set
	tried    map[string]bool // candidates that did not fail
}

func (s *search) stages() error {
	for size := -1; size != s.size(); {
		size = s.size()
		_, err := Minimise(s.best.Commands, func(commands []testset.Command) (bool, error) {
			candidate := s.best
			candidate.Commands = commands
			return s.fails(candidate)
		})
		if err != nil {
			return err
		}
		_, err = Minimise(s.best.Live, func(live []string) (bool, error) {
			candidate := s.best
			candidate.Live = live
			return s.fails(candidate)
		})
		if err != nil {
			return err
		}
	}
	if !s.Simplify {
		return nil
	}
	if err := s.amounts(); err != nil {
		return err
	}
	if len(s.topology.ItemsByName()) > 0 {
		return nil // a name says more than a low number
	}
	return s.items()
}

func (s *search) size() int { return len(s.best.Commands) + len(s.best.Live) }

// fails tries a candidate, and remembers it as the best when it fails.
func (s *search) fails(candidate testset.Set) (bool, error) {
	key := keyOf(&candidate)
	if s.tried[key] {
		return false, nil
	}
	failed, err := s.run(candidate)
	if err != nil {
		return false, err
	}
	if !failed {
		s.tried[key] = true
		return false, nil
	}
	s.best = candidate
	if s.Better != nil {
		s.Better(candidate)
	}
	return true, nil
}

func keyOf(set *testset.Set) string {
	var b strings.Builder
	fmt.Fprint(&b, set.Live)
	for i := range set.Commands {
		fmt.Fprint(&b, ";", set.Commands[i].Line, set.Commands[i].Text)
	}
	return b.String()
}

// with is the best set with its commands changed. A command that changes also
// changes its Text.
func (s *search) with(change func(i int, c *testset.Command)) testset.Set {
	candidate := s.best
	candidate.Commands = slices.Clone(candidate.Commands)
	for i := range candidate.Commands {
		change(i, &candidate.Commands[i])
	}
	return candidate
}
