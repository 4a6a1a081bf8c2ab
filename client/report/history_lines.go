package report

import (
	"errors"
	"fmt"
	"time"

	"paxbank/client/runner"
	"paxbank/client/testset"
)

// The types of lines.
const (
	typeRun         = "run"
	typeSet         = "set"
	typeCommand     = "command"
	typeCall        = "call"
	typeObservation = "observation"
	typeProblem     = "problem"
	typeLog         = "log"
	typeStatus      = "status"
	typeBalances    = "balances"
	typeNode        = "node"
	typeView        = "view"
	typeAudit       = "audit"
	typeSetEnd      = "set_end"
	typeRunEnd      = "run_end"
)

// Lines leave out zero values (omitzero, which keeps an empty list apart from
// none), so that they stay readable. The conversions between them and package
// runner's types stand in pairs here: a field that only one of the two knows is
// found by the round-trip test.

// runLine is the first line.
type runLine struct {
	Type      string            `json:"type"`
	Schema    string            `json:"schema"`
	TestSet   string            `json:"testset"`
	Started   string            `json:"text"` // RFC 3339, UTC
	Order     string            `json:"order,omitzero"`
	Fault     string            `json:"fault,omitzero"`
	NodeCmd   string            `json:"node_cmd,omitzero"`
	Args      []string          `json:"args,omitzero"`
	Host      string            `json:"host,omitzero"`
	Commit    string            `json:"commit,omitzero"`
	Contained string            `json:"containment,omitzero"`
	Topology  *historicTopology `json:"topology,omitzero"`
}

func runLineOf(run *runner.RunResult) *runLine {
	return &runLine{Type: typeRun, Schema: HistorySchema, TestSet: run.TestSet, Started: run.Started.UTC().Format(time.RFC3339Nano),
		Order: run.Order, Fault: run.Fault, NodeCmd: run.NodeCmd, Args: run.Args, Host: run.Host, Commit: run.Commit,
		Contained: run.Containment, Topology: historicTopologyOf(run.Topology)}
}

func (l *runLine) run() (*runner.RunResult, error) {
	started, err := time.Parse(time.RFC3339Nano, l.Started)
	if err != nil {
		return nil, err
	}
	t, err := l.Topology.topology()
	return &runner.RunResult{TestSet: l.TestSet, Started: started, Order: l.Order, Fault: l.Fault, NodeCmd: l.NodeCmd,
		Args: l.Args, Host: l.Host, Commit: l.Commit, Containment: l.Contained, Topology: t}, err
}

// runEndLine is the last line of a run that came to an end, whatever end.
type runEndLine struct {
	Type        string `json:"type"`
	Interrupted bool   `json:"interrupted,omitzero"`
	NodesFailed string `json:"nodes_failed,omitzero"`
}

// skippedText is what a set line says of a set that was not run.
const skippedText = "skipped"

// setLine begins a set.
type setLine struct {
	Type       string            `json:"type"`
	Set        int               `json:"set"`
	Line       int               `json:"line,omitzero"`
	Start      microseconds      `json:"start_us"`
	End        microseconds      `json:"end_us,omitzero"`
	Busy       microseconds      `json:"busy_us,omitzero"`
	Text       string            `json:"text,omitzero"`
	Unfinished string            `json:"unfinished,omitzero"`
	Order      string            `json:"order,omitzero"`
	Fault      string            `json:"fault,omitzero"`
	Deadline   microseconds      `json:"deadline_us,omitzero"`
	Quiet      bool              `json:"quiet_offered,omitzero"`
	Listed     []string          `json:"live_listed,omitzero"`
	ListedLine int               `json:"live_line,omitzero"`
	ListedCol  int               `json:"live_column,omitzero"`
	Contacts   []string          `json:"contacts,omitzero"`
	Live       []string          `json:"live,omitzero"`
	LiveAtEnd  []string          `json:"live_at_end,omitzero"`
	Quorum     []string          `json:"quorum,omitzero"` // clusters with one at the end
	LockHold   histogram         `json:"lock_hold,omitzero"`
	Topology   *historicTopology `json:"topology,omitzero"`
	Balances   map[int64]int64   `json:"balances,omitzero"` // at the start
	Carried    []callLine        `json:"carried,omitzero"`  // from earlier sets
	Semantics  string            `json:"semantics,omitzero"`
	Crashed    map[string]string `json:"crashed,omitzero"`
	Violations []violation       `json:"violations,omitzero"`
	NoViews    bool              `json:"no_views,omitzero"`
}

// violation is runner.Violation.
type violation struct {
	Node      string `json:"node"`
	Call      string `json:"call"`
	Field     string `json:"field"`
	Got       string `json:"got"`
	Rule      string `json:"rule"`
	Count     int    `json:"count"`
	Client    hexID  `json:"client,omitzero"`
	Timestamp uint64 `json:"timestamp,omitzero"`
}

func setLineOf(s *runner.SetResult) *setLine {
	l := &setLine{Type: typeSet, Set: s.Set.Number, Line: s.Set.Line, Start: microseconds(s.Started), End: microseconds(s.Ended), Busy: microseconds(s.Busy),
		Unfinished: s.Unfinished, Order: s.Order, Fault: s.Fault, Deadline: microseconds(s.Deadline), Quiet: s.QuietOffered, Listed: s.Set.Live, ListedLine: s.Set.LiveLine, ListedCol: s.Set.LiveColumn, Contacts: s.Set.Contacts,
		Live: s.Live, LiveAtEnd: s.LiveAtEnd, Quorum: s.QuorumAtEnd, LockHold: histogram(s.LockHold),
		Topology: historicTopologyOf(s.Topology), Balances: s.StartBalances, Semantics: s.Semantics, Crashed: s.Crashed, NoViews: s.NoViews}
	for _, v := range s.Violations {
		l.Violations = append(l.Violations, violation{v.Node, v.Call, v.Field, v.Got, v.Rule, v.Count, hexID(v.Client), v.Timestamp})
	}
	for i := range s.Carried {
		l.Carried = append(l.Carried, *callLineOf(s.Set.Number, i+1, &s.Carried[i]))
	}
	if s.Skipped {
		l.Text = skippedText
	}
	return l
}

func (l *setLine) set() (runner.SetResult, error) {
	t, err := l.Topology.topology()
	var carried []runner.Call
	for i := range l.Carried {
		c, callErr := l.Carried[i].call()
		carried, err = append(carried, c), errors.Join(err, callErr)
	}
	var violations []runner.Violation
	for _, v := range l.Violations {
		violations = append(violations, runner.Violation{Node: v.Node, Call: v.Call, Field: v.Field, Got: v.Got, Rule: v.Rule, Count: v.Count,
			Client: uint64(v.Client), Timestamp: v.Timestamp})
	}
	return runner.SetResult{
		Set:     testset.Set{Number: l.Set, Line: l.Line, Live: l.Listed, LiveLine: l.ListedLine, LiveColumn: l.ListedCol, Contacts: l.Contacts},
		Started: time.Duration(l.Start), Ended: time.Duration(l.End), Busy: time.Duration(l.Busy),
		Skipped: l.Text == skippedText, Unfinished: l.Unfinished, Live: l.Live, LiveAtEnd: l.LiveAtEnd, QuorumAtEnd: l.Quorum,
		Order: l.Order, Fault: l.Fault, Deadline: time.Duration(l.Deadline), QuietOffered: l.Quiet,
		LockHold: runner.Histogram(l.LockHold), Topology: t, StartBalances: l.Balances, Carried: carried,
		Semantics: l.Semantics, Crashed: l.Crashed, Violations: violations, NoViews: l.NoViews,
	}, err
}

// histogram is runner.Histogram, in microseconds.
type histogram struct {
	Count     uint64   `json:"count"`
	SumMicros uint64   `json:"sum_us"`
	MaxMicros uint64   `json:"max_us"`
	Upper     []uint64 `json:"upper_us,omitzero"`
	Counts    []uint64 `json:"counts,omitzero"`
}

// IsZero lets a set without lock holds say nothing of them.
func (h histogram) IsZero() bool {
	return h.Count == 0 && h.SumMicros == 0 && h.MaxMicros == 0 && h.Upper == nil && h.Counts == nil
}

// setEndLine ends a set.
type setEndLine struct {
	Type string `json:"type"`
	Set  int    `json:"set"`
}

// command is a testset.Command.
type command struct {
	Line    int    `json:"line"`
	Column  int    `json:"column,omitzero"`
	Text    string `json:"command"`
	Op      string `json:"op"` // one of operations
	From    int64  `json:"from,omitzero"`
	To      int64  `json:"to,omitzero"`
	Amount  int64  `json:"amount,omitzero"`
	Item    int64  `json:"item,omitzero"`
	Failing string `json:"marker_node,omitzero"`
	Cluster string `json:"cluster,omitzero"`
}

// operations are the kinds of commands as the history names them.
var operations = map[testset.Kind]string{
	testset.Transfer: "transfer", testset.Read: "read", testset.Fail: "fail", testset.Recover: "recover", testset.LeaderFail: "leader_fail",
}

var kindOfOperation = func() map[string]testset.Kind {
	kinds := map[string]testset.Kind{}
	for kind, op := range operations {
		kinds[op] = kind
	}
	return kinds
}()

func commandOf(c testset.Command) command {
	return command{Line: c.Line, Column: c.Column, Text: c.Text, Op: operations[c.Kind],
		From: c.From, To: c.To, Amount: c.Amount, Item: c.Item, Failing: c.Node, Cluster: c.Cluster}
}

func (c *command) command() (testset.Command, error) {
	kind, ok := kindOfOperation[c.Op]
	if !ok {
		return testset.Command{}, fmt.Errorf("op %q is unknown to this program", c.Op)
	}
	return testset.Command{Line: c.Line, Column: c.Column, Text: c.Text, Kind: kind,
		From: c.From, To: c.To, Amount: c.Amount, Item: c.Item, Node: c.Failing, Cluster: c.Cluster}, nil
}

// commandLine is one command of the set, as it was read.
type commandLine struct {
	Type string `json:"type"`
	Set  int    `json:"set"`
	command
}

// callLine is one call. Number is its place among the set's calls, from 1.
type callLine struct {
	Type      string       `json:"type"`
	Set       int          `json:"set"`
	Start     microseconds `json:"start_us"`
	End       microseconds `json:"end_us,omitzero"`
	Number    int          `json:"number"`
	Client    hexID        `json:"client"`
	Timestamp uint64       `json:"timestamp,omitzero"`
	Batch     int          `json:"batch,omitzero"`
	command
	Kind     string       `json:"kind,omitzero"`
	Outcome  string       `json:"outcome,omitzero"`
	Value    *int64       `json:"value,omitzero"`
	Node     string       `json:"node,omitzero"`
	Attempts int          `json:"attempts,omitzero"`
	Settled  bool         `json:"resolved,omitzero"`
	Resolved microseconds `json:"resolved_us,omitzero"`
	Message  string       `json:"message,omitzero"`
}

func callLineOf(set, number int, c *runner.Call) *callLine {
	l := &callLine{Type: typeCall, Set: set, Start: microseconds(c.Start), End: microseconds(c.End), Number: number,
		Client: hexID(c.ClientID), Timestamp: c.Timestamp, Batch: c.Batch, command: commandOf(c.Command), Kind: c.Kind,
		Outcome: string(c.Outcome), Node: c.Node, Attempts: c.Attempts, Settled: c.Resolved, Resolved: microseconds(c.ResolvedAt), Message: c.Message}
	if c.Outcome == runner.Value || c.Value != 0 {
		l.Value = &c.Value
	}
	return l
}

func (l *callLine) call() (runner.Call, error) {
	cmd, err := l.command.command()
	c := runner.Call{Command: cmd, Batch: l.Batch, Kind: l.Kind, ClientID: uint64(l.Client), Timestamp: l.Timestamp,
		Start: time.Duration(l.Start), End: time.Duration(l.End), Outcome: runner.Outcome(l.Outcome), Resolved: l.Settled,
		ResolvedAt: time.Duration(l.Resolved), Attempts: l.Attempts, Node: l.Node, Message: l.Message}
	if l.Value != nil {
		c.Value = *l.Value
	}
	return c, err
}

// observationLine is one observation. Number is its place among the set's.
type observationLine struct {
	Type   string       `json:"type"`
	Set    int          `json:"set"`
	At     microseconds `json:"start_us"`
	Number int          `json:"number"`
	Line   int          `json:"line,omitzero"`
	Text   string       `json:"text,omitzero"`
}

// problemLine is one of the set's problems.
type problemLine struct {
	Type string       `json:"type"`
	Set  int          `json:"set"`
	At   microseconds `json:"start_us"`
	Text string       `json:"text"`
}

// auditLine is one read of the audit at the end of the set.
type auditLine struct {
	Type    string `json:"type"`
	Set     int    `json:"set"`
	Item    int64  `json:"item"`
	Outcome string `json:"outcome,omitzero"`
	Value   int64  `json:"value"`
	Node    string `json:"node,omitzero"`
	Message string `json:"message,omitzero"`
}

func auditLineOf(set int, a runner.AuditRead) *auditLine {
	return &auditLine{Type: typeAudit, Set: set, Item: a.Item, Outcome: string(a.Outcome), Value: a.Value, Node: a.Node, Message: a.Message}
}

func (l *auditLine) read() runner.AuditRead {
	return runner.AuditRead{Item: l.Item, Outcome: runner.Outcome(l.Outcome), Value: l.Value, Node: l.Node, Message: l.Message}
}
