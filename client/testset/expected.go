package testset

import (
	"fmt"
	"math"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gocarina/gocsv"

	"paxbank/internal/topology"
)

// What an expectation can speak of.
const (
	CheckBalance    = "balance"    // Target: item, or item@node
	CheckOutcome    = "outcome"    // Target: the command's text, line:N, or * for every transfer
	CheckValue      = "value"      // Target: the read's text, line:N, or * for every read
	CheckViews      = "views"      // Target: cluster, or empty for all together
	CheckThroughput = "throughput" // definite outcomes a second
	// Latencies; Target: empty, or a kind (intra, cross, read).
	CheckMean = "mean"
	CheckP50  = "p50"
	CheckP95  = "p95"
	CheckP99  = "p99"
	CheckMax  = "max"
)

var (
	checkNames   = []string{CheckBalance, CheckOutcome, CheckValue, CheckViews, CheckThroughput, CheckMean, CheckP50, CheckP95, CheckP99, CheckMax}
	outcomeNames = []string{"committed", "insufficient_funds", "aborted", "unavailable", "unknown", "invalid", "value"}
	itemTarget   = regexp.MustCompile(`^([0-9]+|\p{L}[\p{L}\p{N}_]*)(?:\s*@\s*(\S+))?$`)
	lineTarget   = regexp.MustCompile(`^line\s*:?\s*([0-9]+)$`)
	condition    = regexp.MustCompile(`^(<=|>=|!=|=|<|>)?\s*(.+)$`)
	quantity     = regexp.MustCompile(`^([+-]?[0-9]+(?:\.[0-9]+)?)\s*(us|µs|μs|ms|s|/s|tps)?$`)
)

// Condition is one alternative of an expectation: a comparison with a number,
// or a word.
type Condition struct {
	Op     string // "=", "!=", "<", "<=", ">" or ">="
	Word   string // an outcome; "" when Number counts
	Number float64
}

// Expectation is one row of an expected file.
type Expectation struct {
	Line, Column int // of the check
	// TargetRow and TargetColumn say where the target stands, for messages.
	TargetRow, TargetColumn int
	AllSets                 bool // Set Number was *
	Set                     int
	Check                   string // one of the Check constants
	Target                  string // canonical
	// The target taken apart, where it has parts. An item that is named has its
	// number only after File.CheckExpected.
	Item       int64
	Node       string
	TargetLine int  // of the command in the test set
	TargetAll  bool // every transfer (outcome) or every read (value) of the set
	Expected   string
	Conditions []Condition // any of them suffices; latencies in microseconds
	Points     float64

	itemName string // of the item, "" when it was written as a number
}

// Applies reports whether the expectation speaks of the set with this number.
func (e *Expectation) Applies(set int) bool { return e.AllSets || e.Set == set }

// Holds reports whether a number meets any of the conditions.
func (e *Expectation) Holds(number float64) bool {
	for _, c := range e.Conditions {
		if c.Word == "" && compare(number, c.Op, c.Number) {
			return true
		}
	}
	return false
}

// HoldsWord is Holds for an outcome.
func (e *Expectation) HoldsWord(word string) bool {
	for _, c := range e.Conditions {
		if c.Word != "" && (c.Word == word) == (c.Op != "!=") {
			return true
		}
	}
	return false
}

func compare(a float64, op string, b float64) bool {
	switch op {
	case "<":
		return a < b
	case "<=":
		return a <= b
	case ">":
		return a > b
	case ">=":
		return a >= b
	case "!=":
		return a != b
	}
	return a == b
}

// expectedRow is a row of an expected file as gocsv decodes it, by position.
type expectedRow struct {
	Set      cell `csv:"Set Number"`
	Check    cell `csv:"Check"`
	Target   cell `csv:"Target"`
	Expected cell `csv:"Expected"`
	Points   cell `csv:"Points"`
}

// ParseExpected reads an expected file: Set Number,Check,Target,Expected,Points
// with a header row or without. An empty set cell goes on with the set above;
// points are 1 when left out. Errors are as Parse's.
func ParseExpected(name string, data []byte) ([]Expectation, error) {
	diag := diagnostics{file: filepath.Base(name)}
	var rows [][]cell
	checks := func(r []cell) bool { return slices.Contains(checkNames, strings.ToLower(r[1].Text)) }
	for i, r := range readCells(data, &diag, checks) {
		if slices.ContainsFunc(r, cell.unreadable) {
			continue // reported
		}
		if _, numbered := setNumberOf(r[0].Text); i == 0 && len(r) > 1 && r[0].Text != "*" && !numbered && !checks(r) {
			continue // header
		}
		for len(r) < 5 {
			r = append(r, r[len(r)-1].behind())
		}
		for _, c := range r[5:] {
			if c.Text != "" {
				diag.add(c.place(), "unexpected text %q in a further column (a row is: set number, check, target, expected, points)", c.Text)
			}
		}
		rows = append(rows, r[:5])
	}
	var decoded []expectedRow
	if len(rows) > 0 {
		if err := gocsv.UnmarshalCSVWithoutHeaders(&rowsReader{rows}, &decoded); err != nil {
			diag.add(rows[0][0].place(), "%v", err)
		}
	}
	var out []Expectation
	set := cell{}
	for _, r := range decoded {
		if r.Set.Text != "" {
			set = r.Set
		}
		if e, ok := parseExpectation(r, set, &diag); ok {
			out = append(out, e)
		}
	}
	if len(diag.errors) > 0 {
		return nil, sorted(diag.errors)
	}
	return out, nil
}

func parseExpectation(r expectedRow, set cell, diag *diagnostics) (Expectation, bool) {
	before := len(diag.errors)
	e := Expectation{Line: r.Check.Line, Column: r.Check.Column, TargetRow: r.Target.Line, TargetColumn: r.Target.Column, Expected: r.Expected.Text, Points: 1}
	switch digits, ok := setNumberOf(set.Text); {
	case set.Text == "*":
		e.AllSets = true
	case !ok:
		diag.add(r.Set.place(), "%q is not a set number (write a set's number, or * for every set)", set.Text)
	default:
		n, err := strconv.Atoi(digits)
		if err != nil {
			diag.add(set.place(), "set number %s is too large", set.Text)
		}
		e.Set = n
	}
	e.Check = strings.ToLower(r.Check.Text)
	if !slices.Contains(checkNames, e.Check) {
		diag.add(r.Check.place(), "unknown check %q (checks are %s)", r.Check.Text, strings.Join(checkNames, ", "))
		return e, false
	}
	if why := e.parseTarget(r.Target.Text); why != "" {
		diag.add(r.Target.place(), "%s", why)
	}
	if why := e.parseConditions(r.Expected.Text); why != "" {
		diag.add(r.Expected.place(), "%s", why)
	}
	if r.Points.Text != "" {
		v, err := strconv.ParseFloat(r.Points.Text, 64)
		if err != nil || v < 0 || math.IsInf(v, 0) || math.IsNaN(v) {
			diag.add(r.Points.place(), "%q is not a number of points (write e.g. 1, or 0.5)", r.Points.Text)
		}
		e.Points = v
	}
	return e, len(diag.errors) == before
}

// parseTarget fills the target's parts, or says what is wrong.
func (e *Expectation) parseTarget(s string) string {
	e.Target = s
	switch e.Check {
	case CheckBalance:
		m := itemTarget.FindStringSubmatch(s)
		if m == nil {
			return fmt.Sprintf("%q is not an item (write e.g. 1002, or 1002@n3)", s)
		}
		if topology.ValidItemName(m[1]) {
			e.itemName, e.Target = m[1], m[1]
		} else {
			item, err := strconv.ParseInt(m[1], 10, 64)
			if err != nil {
				return fmt.Sprintf("item %s is too large", m[1])
			}
			e.Item, e.Target = item, strconv.FormatInt(item, 10)
		}
		if m[2] != "" {
			node, ok := canonicalNode(m[2])
			if !ok {
				return fmt.Sprintf("%q is not a node (write e.g. 1002@n3)", m[2])
			}
			e.Node = node
			e.Target += "@" + node
		}
	case CheckOutcome, CheckValue:
		if s == "*" {
			e.TargetAll = true
			return ""
		}
		if m := lineTarget.FindStringSubmatch(s); m != nil {
			n, err := strconv.Atoi(m[1])
			if err != nil || n < 1 {
				return fmt.Sprintf("%q is not a line of the test set", s)
			}
			e.TargetLine, e.Target = n, "line:"+strconv.Itoa(n)
			return ""
		}
		read := (&commandReader{&diagnostics{}, newCursor(s, place{1, 1})}).command(piece{s, 0})
		if len(read) != 1 || read[0].Marker() {
			return fmt.Sprintf("%q is not a command (write it as in the test set, e.g. \"(1005, 1006, 1)\", or line:12, or * for all)", s)
		}
		cmd := read[0]
		if e.Check == CheckValue && cmd.Kind != Read {
			return fmt.Sprintf("%q is not a read (only reads have a value)", s)
		}
		e.Target = cmd.Text
	case CheckViews:
		if s == "" {
			return ""
		}
		cluster, ok := canonicalCluster(s)
		if !ok {
			return fmt.Sprintf("%q is not a cluster (write e.g. c3)", s)
		}
		e.Target = cluster
	case CheckThroughput:
		if s != "" {
			return fmt.Sprintf("throughput has no target, got %q (leave the cell empty)", s)
		}
	default:
		switch s {
		case "", "intra", "cross", "read":
		default:
			return fmt.Sprintf("%q is not a kind (leave the cell empty, or write intra, cross or read)", s)
		}
	}
	return ""
}

// parseConditions reads "a|b", "<=20ms", ">=2". Latencies without a unit are
// milliseconds.
func (e *Expectation) parseConditions(s string) string {
	latency := false
	switch e.Check {
	case CheckMean, CheckP50, CheckP95, CheckP99, CheckMax:
		latency = true
	}
	for _, alternative := range strings.Split(s, "|") {
		alternative = strings.TrimSpace(alternative)
		m := condition.FindStringSubmatch(alternative)
		if m == nil {
			return "nothing is expected (write a value, alternatives with |, or a comparison such as >=2)"
		}
		c := Condition{Op: m[1], Word: ""}
		if c.Op == "" {
			c.Op = "="
		}
		if e.Check == CheckOutcome {
			c.Word = strings.ToLower(m[2])
			if !slices.Contains(outcomeNames, c.Word) {
				return fmt.Sprintf("%q is not an outcome (outcomes are %s)", m[2], strings.Join(outcomeNames, ", "))
			}
			if c.Op != "=" && c.Op != "!=" {
				return fmt.Sprintf("outcomes cannot be compared with %s (use = or !=)", c.Op)
			}
			e.Conditions = append(e.Conditions, c)
			continue
		}
		q := quantity.FindStringSubmatch(m[2])
		if q == nil {
			return fmt.Sprintf("%q is not a number (write e.g. 10, >=2 or <=20ms)", m[2])
		}
		v, err := strconv.ParseFloat(q[1], 64)
		if err != nil || math.IsInf(v, 0) {
			return fmt.Sprintf("%q is not a number that can be used", q[1])
		}
		unit := q[2]
		switch {
		case latency:
			v *= microsPer(unit)
		case unit == "" || e.Check == CheckThroughput && (unit == "/s" || unit == "tps"):
		default:
			return fmt.Sprintf("unexpected unit in %q", m[2])
		}
		if latency && (unit == "/s" || unit == "tps") {
			return fmt.Sprintf("%q is not a duration (write e.g. <=20ms)", m[2])
		}
		c.Number = v
		e.Conditions = append(e.Conditions, c)
	}
	return ""
}

func microsPer(unit string) float64 {
	switch unit {
	case "us", "µs", "μs":
		return 1
	case "s":
		return float64(time.Second / time.Microsecond)
	}
	return float64(time.Millisecond / time.Microsecond)
}
