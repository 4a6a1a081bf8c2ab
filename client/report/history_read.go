package report

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"paxbank/client/runner"
)

// ErrUnfinished: a history ends before its run did, since the program that wrote
// it did not live to end it. What ReadHistory returns beside it are the sets that
// are whole.
var ErrUnfinished = errors.New("the history stops before the end of its run")

// ErrNoHistory: the first line is not the beginning of a history, or of one that
// holds too little (there was no schema once).
var ErrNoHistory = errors.New("not a history that can be judged")

// ReadHistory reads what History wrote. Besides ErrUnfinished, with what there
// is, and ErrNoHistory, errors name the line that is wrong. A last line that is
// torn belongs to a set that was being written, and is passed over with it.
func ReadHistory(r io.Reader) (*runner.RunResult, error) {
	h := historyReader{in: bufio.NewReaderSize(r, 1<<16)}
	for {
		line, err := h.in.ReadBytes('\n')
		if err == io.EOF {
			return h.end()
		}
		if err != nil {
			return nil, fmt.Errorf("reading the history: %w", err)
		}
		h.number++
		if err := h.line(line); err != nil {
			if h.run == nil {
				return nil, err
			}
			if _, last := h.in.Peek(1); last == io.EOF && errors.As(err, new(*json.SyntaxError)) {
				return h.end()
			}
			return nil, fmt.Errorf("line %d: %w", h.number, err)
		}
	}
}

// historyReader is a history half read.
type historyReader struct {
	in     *bufio.Reader
	number int // of the line
	run    *runner.RunResult
	set    *openSet // nil between sets
	over   bool     // the run's last line was read
}

// openSet is a set of which not all lines were read yet.
type openSet struct {
	runner.SetResult
	rows         []runner.LogRow
	statuses     []runner.StatusRow
	calls        []numbered[runner.Call]
	observations []numbered[runner.Observation]
}

// end is what the history comes to, now that there are no more lines.
func (h *historyReader) end() (*runner.RunResult, error) {
	switch {
	case h.run == nil:
		return nil, fmt.Errorf("it is empty: %w", ErrNoHistory)
	case h.set != nil:
		return h.run, fmt.Errorf("%w, in set %d (line %d)", ErrUnfinished, h.set.Set.Number, h.number)
	case !h.over:
		return h.run, fmt.Errorf("%w, after %d sets (line %d)", ErrUnfinished, len(h.run.Sets), h.number)
	}
	return h.run, nil
}

// lineHead is what all lines begin with.
type lineHead struct {
	Type   string `json:"type"`
	Set    int    `json:"set"`
	Schema string `json:"schema"`
}

func (h *historyReader) line(data []byte) error {
	var head lineHead
	err := json.Unmarshal(data, &head)
	if h.run == nil {
		if err != nil || head.Type != typeRun {
			return fmt.Errorf("it does not begin as one: %w", ErrNoHistory)
		}
		return h.begin(head.Schema, data)
	}
	switch {
	case err != nil:
		return err
	case h.over:
		return errors.New("a line behind the end of the run")
	case head.Type == typeSet && h.set == nil:
		return h.beginSet(data)
	case head.Type == typeRunEnd && h.set == nil:
		return h.endRun(data)
	case h.set == nil || head.Type == typeSet || head.Type == typeRunEnd || head.Type == typeRun:
		return fmt.Errorf("a line of type %q is out of place here", head.Type)
	case head.Set != h.set.Set.Number:
		return fmt.Errorf("a line of set %d among those of set %d", head.Set, h.set.Set.Number)
	case head.Type == typeSetEnd:
		return h.endSet()
	}
	return h.set.line(head.Type, data)
}

func (h *historyReader) begin(schema string, data []byte) error {
	if schema != HistorySchema {
		return fmt.Errorf("%w: %s", ErrNoHistory, schemaProblem(schema))
	}
	var l runLine
	if err := json.Unmarshal(data, &l); err != nil {
		return fmt.Errorf("line 1: %w", err)
	}
	run, err := l.run()
	if err != nil {
		return fmt.Errorf("line 1: %w", err)
	}
	h.run = run
	return nil
}

// schemaProblem says what to do about a schema that is not ours.
func schemaProblem(schema string) string {
	family, version, _ := strings.Cut(HistorySchema, "/")
	theirs, n, _ := strings.Cut(schema, "/")
	ours, _ := strconv.Atoi(version)
	number, err := strconv.Atoi(n)
	switch {
	case schema == "":
		return "it was written by an older program, which kept too little to judge a run by; run the test set again"
	case theirs == family && err == nil && number > ours:
		return fmt.Sprintf("its schema is %s, newer than this program, which reads %s; use the program that wrote it, or a newer one", schema, HistorySchema)
	}
	return fmt.Sprintf("its schema is %q, this program reads %s", schema, HistorySchema)
}

func (h *historyReader) beginSet(data []byte) error {
	var l setLine
	if err := json.Unmarshal(data, &l); err != nil {
		return err
	}
	set, err := l.set()
	if err != nil {
		return err
	}
	h.set = &openSet{SetResult: set}
	return nil
}

func (h *historyReader) endSet() error {
	set, err := h.set.result()
	if err != nil {
		return fmt.Errorf("set %d: %w", set.Set.Number, err)
	}
	h.run.Sets = append(h.run.Sets, set)
	h.set = nil
	return nil
}

func (h *historyReader) endRun(data []byte) error {
	var l runEndLine
	if err := json.Unmarshal(data, &l); err != nil {
		return err
	}
	h.run.Interrupted, h.run.NodesFailed, h.over = l.Interrupted, l.NodesFailed, true
	return nil
}
