package testset

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/gocarina/gocsv"
)

// MaxCommands bounds the commands of one file, so that a wrong file is refused
// rather than filling the memory.
const MaxCommands = 5_000_000

// row is a row of a test set as gocsv decodes it, by position.
type row struct {
	Set     cell `csv:"Set Number"`
	Command cell `csv:"Transactions"`
	Live    cell `csv:"Live Nodes"`
}

var (
	setNumber = regexp.MustCompile(`^(?i:set\s*)?([0-9]+)$`)
	byzantine = regexp.MustCompile(`(?i)byzant|malicious|attack`)
)

// Parse reads a test set. name is only used in messages. The error, when there
// is one, is of type Errors and lists everything that was not understood, with
// file, line, column and a suggestion. The file then holds what was understood,
// so that Check can add what is wrong with that.
func Parse(name string, data []byte) (*File, error) {
	p := parser{
		file: &File{Name: name},
		errs: errorList{file: filepath.Base(name)},
		seen: map[int]int{},
	}
	rows := p.shape(readCells(data, &p.errs))
	var decoded []row
	if len(rows) > 0 {
		if err := gocsv.UnmarshalCSVWithoutHeaders(&rowsReader{rows}, &decoded); err != nil {
			p.errs.add(rows[0][0].Line, 1, "%v", err)
		}
	}
	for _, r := range decoded {
		p.row(r)
	}
	p.finish()
	if len(p.errs.list) > 0 {
		return p.file, sorted(p.errs.list)
	}
	return p.file, nil
}

type parser struct {
	file     *File
	errs     errorList
	seen     map[int]int // set number → line
	commands int
	orphan   bool // commands before the first set were reported
	badSet   bool // the current set's number was not understood; reported
}

// shape brings every row to the three cells set, command, live list; it drops
// the header and reports what stands in further columns.
func (p *parser) shape(rows [][]cell) [][]cell {
	var out [][]cell
	for i, r := range rows {
		if i == 0 && isHeader(r) {
			for _, c := range r {
				if byzantine.MatchString(c.Text) {
					p.errs.add(c.Line, c.Column, "column %q: Byzantine nodes are not part of this protocol (remove the column)", c.Text)
				}
			}
			continue
		}
		// A row that begins with its command is a continuation without the comma.
		if looksLikeCommand(r[0].Text) {
			r = append([]cell{{Line: r[0].Line, Column: r[0].Column}}, r...)
		}
		for len(r) < 3 {
			last := r[len(r)-1]
			r = append(r, cell{Line: last.Line, Column: last.Column + len(last.Text)})
		}
		out = append(out, []cell{r[0], r[1], p.liveCell(r[2:])})
	}
	return out
}

// liveCell joins the cells that an unquoted bare live list was split into.
func (p *parser) liveCell(cells []cell) cell {
	live := cells[0]
	for _, c := range cells[1:] {
		if c.Text == "" {
			continue
		}
		_, node := canonicalNode(c.Text)
		if _, first := canonicalNode(live.Text); live.Quoted || c.Quoted || !node || !first && !strings.Contains(live.Text, ",") || strings.ContainsAny(live.Text, "[(") {
			p.errs.add(c.Line, c.Column, "unexpected text %q in a further column (a row is: set number, command, live nodes)", c.Text)
			continue
		}
		live.Text += "," + c.Text
	}
	return live
}

// isHeader reports whether the first row is a header: words, whatever they
// are, in at least two columns, and no number or command at its place.
func isHeader(r []cell) bool {
	if len(r) < 2 || r[0].Text == "" || r[1].Text == "" || setNumber.MatchString(r[0].Text) || strings.ContainsAny(r[0].Text, "()[]") {
		return false
	}
	for _, c := range r {
		if looksLikeCommand(c.Text) {
			return false
		}
	}
	return true
}

var commandPattern = regexp.MustCompile(`^\(\s*-?[0-9]|^(?i:F|R|LF)\s*\(|^(?i:LF)$|^-[0-9]+$`)

func looksLikeCommand(s string) bool { return commandPattern.MatchString(s) }

// row takes one row into the file.
func (p *parser) row(r row) {
	started := false
	if r.Set.Text != "" {
		started = p.setCell(r.Set)
	}
	if len(p.file.Sets) == 0 {
		if !p.orphan && !p.badSet && len(p.errs.list) == 0 { // not after an error that may have hidden the set
			p.errs.add(r.Command.Line, r.Command.Column, "command before the first set (begin with a set number, e.g. 1,\"(21, 700, 2)\",\"[n1, n2, n3]\")")
		}
		p.orphan = true
	}
	switch {
	case r.Live.Text == "":
	case r.Set.Text == "" && r.Command.Text == "":
		p.errs.add(r.Live.Line, r.Live.Column, "live nodes %s without a set number (write the number in the first cell, or use F and R to change who lives)", r.Live.Text)
	default:
		p.liveCellOf(r, started)
	}
	if r.Command.Text != "" {
		p.commandCell(r.Command)
	}
}

// setCell begins a set, or goes on with the current one when its number is
// repeated. It reports whether a set begins.
func (p *parser) setCell(c cell) bool {
	m := setNumber.FindStringSubmatch(c.Text)
	number, err := 0, error(nil)
	if m != nil {
		number, err = strconv.Atoi(m[1])
	}
	if m == nil || err != nil {
		p.errs.add(c.Line, c.Column, "%q is not a set number (write a whole number, or leave the cell empty to go on with the set above)", c.Text)
		p.badSet = true
		return false
	}
	if n := len(p.file.Sets); n > 0 && p.file.Sets[n-1].Number == number && !p.badSet {
		return false
	}
	p.badSet = false
	if first, dup := p.seen[number]; dup {
		p.errs.add(c.Line, c.Column, "set %d was already begun on line %d (give every set its own number)", number, first)
	} else {
		p.seen[number] = c.Line
	}
	p.file.Sets = append(p.file.Sets, Set{Number: number, Line: c.Line})
	return true
}

func (p *parser) liveCellOf(r row, started bool) {
	nodes, ok := p.parseLive(r.Live)
	if !ok || len(p.file.Sets) == 0 {
		return
	}
	set := &p.file.Sets[len(p.file.Sets)-1]
	if started {
		set.Live, set.LiveLine, set.LiveColumn = nodes, r.Live.Line, r.Live.Column
		return
	}
	// Some files repeat the list on every row of the set.
	if !sameNodes(set.Live, nodes) {
		p.errs.add(r.Live.Line, r.Live.Column, "live nodes %s in the middle of set %d, which began with others (they belong on the set's first row; use F and R to change them)", r.Live.Text, set.Number)
	}
}

// parseLive reads [n1, n2], or the same without brackets. nil means all.
func (p *parser) parseLive(c cell) ([]string, bool) {
	s, offset := c.Text, 0
	if strings.HasPrefix(s, "[") || strings.HasSuffix(s, "]") {
		if !strings.HasPrefix(s, "[") || !strings.HasSuffix(s, "]") || len(s) < 2 {
			p.errs.add(c.Line, c.Column, "live list %q lacks a bracket (write \"[n1, n2, n3]\")", s)
			return nil, false
		}
		s, offset = s[1:len(s)-1], 1
	}
	if strings.TrimSpace(s) == "" {
		return nil, true
	}
	var nodes []string
	ok := true
	for _, part := range split(s, ",;") {
		line, column := c.at(part.offset + offset)
		node, good := canonicalNode(part.text)
		switch {
		case part.text == "":
			p.errs.add(line, column, "a node is missing in the live list %q (write \"[n1, n2, n3]\")", c.Text)
			ok = false
		case !good:
			p.errs.add(line, column, "%q is not a node (write \"[n1, n2, n3]\")", part.text)
			ok = false
		default:
			nodes = append(nodes, node)
		}
	}
	return nodes, ok
}

func sameNodes(a, b []string) bool {
	in := map[string]bool{}
	for _, n := range a {
		in[n] = true
	}
	other := map[string]bool{}
	for _, n := range b {
		if !in[n] {
			return false
		}
		other[n] = true
	}
	return len(in) == len(other)
}

// commandCell reads the commands of a cell: one, or several separated by
// newlines or semicolons.
func (p *parser) commandCell(c cell) {
	if strings.Trim(c.Text, "; \t\n\r\u00a0") == "" {
		p.errs.add(c.Line, c.Column, "%q is not a command (write (s, r, amt), (s), F(n3), R(n3) or LF)", c.Text)
	}
	for _, part := range split(c.Text, ";\n") {
		if part.text == "" {
			continue
		}
		cmd, warning, bad := parseCommand(part.text)
		if bad != nil {
			line, column := c.at(part.offset + bad.offset)
			p.errs.add(line, column, "%s", bad.text)
			continue
		}
		cmd.Line, cmd.Column = c.at(part.offset)
		if warning != "" {
			p.file.Warnings = append(p.file.Warnings, Error{File: p.errs.file, Line: cmd.Line, Column: cmd.Column, Text: warning}.Error())
		}
		p.commands++
		if p.commands > MaxCommands {
			if p.commands == MaxCommands+1 {
				p.errs.add(cmd.Line, cmd.Column, "more than %d commands (split the file)", MaxCommands)
			}
			continue
		}
		if n := len(p.file.Sets); n > 0 {
			p.file.Sets[n-1].Commands = append(p.file.Sets[n-1].Commands, cmd)
		}
	}
}

// finish reports what only the whole file shows.
func (p *parser) finish() {
	if len(p.file.Sets) == 0 && len(p.errs.list) == 0 {
		p.errs.add(1, 1, "no sets in the file (a set is a row such as 1,\"(21, 700, 2)\",\"[n1, n2, n3]\")")
	}
	for _, s := range p.file.Sets {
		if len(s.Commands) == 0 {
			p.file.Warnings = append(p.file.Warnings, fmt.Sprintf("%s:%d:1: set %d has no commands", p.errs.file, s.Line, s.Number))
		}
	}
}
