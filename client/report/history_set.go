package report

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"paxbank/client/runner"
)

// line reads one line of the set.
func (s *openSet) line(kind string, data []byte) error {
	switch kind {
	case typeCommand:
		return read(data, func(l *commandLine) error {
			c, err := l.command.command()
			s.Set.Commands = append(s.Set.Commands, c)
			return err
		})
	case typeCall:
		return read(data, func(l *callLine) error {
			c, err := l.call()
			s.calls = append(s.calls, numbered[runner.Call]{l.Number, c})
			return err
		})
	case typeObservation:
		return read(data, func(l *observationLine) error {
			s.observations = append(s.observations, numbered[runner.Observation]{l.Number, runner.Observation{At: time.Duration(l.At), Line: l.Line, Text: l.Text}})
			return nil
		})
	case typeProblem:
		return read(data, func(l *problemLine) error {
			s.Problems = append(s.Problems, l.Text)
			return nil
		})
	case typeLog:
		return read(data, func(l *logLine) error { return pool(&s.rows, l.Row, l.row()) })
	case typeStatus:
		return read(data, func(l *statusLine) error { return pool(&s.statuses, l.Row, l.row()) })
	case typeBalances:
		return read(data, func(l *balancesLine) error {
			s.Nodes = append(s.Nodes, runner.NodeState{ID: l.Node, Live: l.Text != downText, Balances: l.Balances, Err: l.Message})
			return nil
		})
	case typeNode:
		return read(data, s.node)
	case typeAudit:
		return read(data, func(l *auditLine) error {
			s.Audit = append(s.Audit, l.read())
			return nil
		})
	case typeView:
		return read(data, s.view)
	}
	return fmt.Errorf("lines of type %q are unknown to this program", kind)
}

// read decodes a line and hands it on.
func read[L any](data []byte, use func(*L) error) error {
	l := new(L)
	if err := json.Unmarshal(data, l); err != nil {
		return err
	}
	return use(l)
}

// numbered is a value and its place in a list, from 1. Calls and observations
// stand in the order of time, not in that of their lists.
type numbered[V any] struct {
	number int
	value  V
}

// ordered returns the values in the order of their numbers, all of which have to
// be there.
func ordered[V any](kind string, list []numbered[V]) ([]V, error) {
	slices.SortFunc(list, func(a, b numbered[V]) int { return cmp.Compare(a.number, b.number) })
	var out []V
	for i, n := range list {
		if n.number != i+1 {
			return nil, fmt.Errorf("there are %d lines of type %s, and none of them is number %d, or two are the same", len(list), kind, i+1)
		}
		out = append(out, n.value)
	}
	return out, nil
}

// result is the set, now that all its lines were read.
func (s *openSet) result() (runner.SetResult, error) {
	if s.Topology == nil {
		return s.SetResult, errors.New("it has no topology")
	}
	var err error
	if s.Calls, err = ordered(typeCall, s.calls); err == nil {
		s.Observations, err = ordered(typeObservation, s.observations)
	}
	return s.SetResult, err
}

// pool adds a row; rows come in the order of their numbers.
func pool[R any](rows *[]R, number int, row R) error {
	if number != len(*rows)+1 {
		return fmt.Errorf("row %d follows row %d", number, len(*rows))
	}
	*rows = append(*rows, row)
	return nil
}

func (s *openSet) node(l *nodeLine) error {
	last := len(s.Nodes) - 1
	if last < 0 || s.Nodes[last].ID != l.Node {
		return fmt.Errorf("node %s: its balances do not stand before it", l.Node)
	}
	n := &s.Nodes[last]
	l.into(n)
	var err error
	if n.Log, err = take(s.rows, l.Log); err == nil {
		n.Statuses, err = take(s.statuses, l.Statuses)
	}
	if err != nil {
		return fmt.Errorf("node %s: %w", l.Node, err)
	}
	return nil
}

func (s *openSet) view(l *viewLine) error {
	entries, err := take(s.rows, l.Entries)
	if err != nil {
		return fmt.Errorf("view %s of %s: %w", l.Ballot, l.Cluster, err)
	}
	s.Views = append(s.Views, runner.View{Cluster: l.Cluster, Ballot: l.Ballot, Leader: l.Leader, FirstIndex: l.FirstIndex,
		CommitIndex: l.CommitIndex, Entries: entries, SeenBy: l.SeenBy})
	return nil
}

// take returns the rows that s names. Where they are one run of the pool, they
// are not copied.
func take[R any](rows []R, s spans) ([]R, error) {
	var out []R
	for _, span := range s {
		first, last := span[0], span[1]
		if first < 1 || last < first || last > len(rows) {
			return nil, fmt.Errorf("there are no rows %d to %d before it", first, last)
		}
		if len(s) == 1 {
			return slices.Clip(rows[first-1 : last]), nil
		}
		out = append(out, rows[first-1:last]...)
	}
	return out, nil
}
