package testset

import (
	"path/filepath"
	"strconv"
	"strings"

	"github.com/gocarina/gocsv"
)

// MaxCommands bounds the commands of one file, so that a wrong file is refused
// rather than filling the memory.
const MaxCommands = 5_000_000

// row is a row of a test set as gocsv decodes it, by position.
type row struct {
	Set      cell `csv:"Set Number"`
	Command  cell `csv:"Transactions"`
	Live     cell `csv:"Live Nodes"`
	Contacts cell `csv:"Contact Nodes"`
}

// Parse reads a test set. name is only used in messages. The error, when there
// is one, is of type Errors and lists everything that was not understood, with
// file, line, column and a suggestion. The file then holds what was understood,
// so that Check can add what is wrong with that.
func Parse(name string, data []byte) (*File, error) {
	p := parser{
		file:  &File{Name: name},
		diag:  diagnostics{file: filepath.Base(name)},
		seen:  map[int]int{},
		noted: map[int]bool{},
	}
	rows := p.shape(readCells(data, &p.diag, likely))
	var decoded []row
	if len(rows) > 0 {
		if err := gocsv.UnmarshalCSVWithoutHeaders(&rowsReader{rows}, &decoded); err != nil {
			p.diag.add(rows[0][0].place(), "%v", err)
		}
	}
	for _, r := range decoded {
		p.row(r)
	}
	p.finish()
	if len(p.diag.errors) > 0 {
		return p.file, sorted(p.diag.errors)
	}
	return p.file, nil
}

type parser struct {
	file     *File
	diag     diagnostics
	header   []cell
	roles    []role       // of the header's columns
	noted    map[int]bool // columns that were warned about
	seen     map[int]int  // set number → line
	commands int
	orphan   bool // commands before the first set were reported
	badSet   bool // the current set's number was not understood; reported
}

// row takes one row into the file.
func (p *parser) row(r row) {
	if r.Set.Text != "" && !p.setCell(r) {
		return
	}
	if len(p.file.Sets) == 0 {
		switch hidden := p.diag.hashed; {
		case p.orphan || p.badSet || len(p.diag.errors) > 0: // an error that may have hidden the set
		case hidden != place{}:
			p.diag.add(hidden, "row taken for a comment, as it begins with #, but the rows below it belong to no set (write the number without #)")
		default:
			p.diag.add(r.Command.place(), "command before the first set (begin with a set number, e.g. 1,\"(21, 700, 2)\",\"[n1, n2, n3]\")")
		}
		p.orphan = true
	}
	switch {
	case r.Live.Text == "":
	case r.Set.Text == "" && r.Command.Text == "":
		p.diag.add(r.Live.place(), "live nodes %s without a set number (write the number in the first cell, or use F and R to change who lives)", r.Live.Text)
	default:
		p.liveCell(r.Live)
	}
	if r.Contacts.Text != "" {
		p.contactCell(r.Contacts)
	}
	if r.Command.Text != "" && !r.Command.unreadable() {
		p.commandCell(r.Command)
	}
}

// setCell begins a set, or goes on with the current one when its number is
// repeated. It returns false when the rest of the row makes no sense either.
func (p *parser) setCell(r row) bool {
	c := r.Set
	if c.unreadable() {
		p.badSet = true
		return true
	}
	digits, ok := setNumberOf(c.Text)
	number, err := 0, error(nil)
	if ok {
		number, err = strconv.Atoi(digits)
	}
	if !ok || err != nil {
		p.diag.add(c.place(), "%q is not a set number (write a whole number, leave the cell empty to go on with the set above, or put # in front of a remark)", c.Text)
		p.badSet = true
		return looksCommand.MatchString(r.Command.Text)
	}
	if strings.Contains(c.Text, ".0") {
		p.diag.warn(c.place(), "set number %s is read as %d", c.Text, number)
	}
	if n := len(p.file.Sets); n > 0 && p.file.Sets[n-1].Number == number && !p.badSet {
		return true
	}
	p.badSet = false
	if first, dup := p.seen[number]; dup {
		p.diag.add(c.place(), "set %d was already begun on line %d (give every set its own number)", number, first)
	} else {
		p.seen[number] = c.Line
	}
	p.file.Sets = append(p.file.Sets, Set{Number: number, Line: c.Line})
	return true
}

// current is the set that rows go into, nil when its number was not understood.
func (p *parser) current() *Set {
	if len(p.file.Sets) == 0 || p.badSet {
		return nil
	}
	return &p.file.Sets[len(p.file.Sets)-1]
}

// liveCell takes the live list of a set. It belongs on the set's first row; files
// that begin a set with its number alone have it on the next, and some repeat it
// on every row.
func (p *parser) liveCell(c cell) {
	list, ok := nodeList(c, liveList, &p.diag)
	set := p.current()
	switch {
	case !ok || set == nil:
	case set.LiveLine == 0 && len(set.Commands) == 0:
		set.Live, set.liveAt = list.nodes, list.at
		set.LiveLine, set.LiveColumn = c.Line, c.Column
	case !list.equal(set.Live):
		p.diag.add(c.place(), "live nodes %s in the middle of set %d, which began with others (they belong on the set's first row; use F and R to change them)", c.Text, set.Number)
	}
}

// contactCell takes the contact nodes of a set.
func (p *parser) contactCell(c cell) {
	list, ok := nodeList(c, contactList, &p.diag)
	set := p.current()
	switch {
	case !ok || set == nil || list.nodes == nil:
	case set.Contacts == nil:
		set.Contacts, set.contactsAt = list.nodes, list.at
	case !list.equal(set.Contacts):
		p.diag.warn(c.place(), "contact nodes %s in the middle of set %d are not read (they are a hint for its start)", c.Text, set.Number)
	}
}

// commandCell reads the commands of a cell: one, or several separated by
// newlines or semicolons.
func (p *parser) commandCell(c cell) {
	if strings.Trim(c.Text, ";"+blankRunes) == "" {
		p.diag.add(c.place(), "%q is not a command (%s)", c.Text, commandTip)
	}
	reader := commandReader{&p.diag, c.cursor()}
	for _, part := range (piece{c.Text, 0}).unquote().split(";\n") {
		if part.text == "" {
			continue
		}
		for _, cmd := range reader.command(part) {
			p.add(cmd)
		}
	}
}

func (p *parser) add(cmd Command) {
	p.commands++
	if p.commands > MaxCommands {
		if p.commands == MaxCommands+1 {
			p.diag.add(place{cmd.Line, cmd.Column}, "more than %d commands (split the file)", MaxCommands)
		}
		return
	}
	if n := len(p.file.Sets); n > 0 {
		p.file.Sets[n-1].Commands = append(p.file.Sets[n-1].Commands, cmd)
	}
}

// finish reports what only the whole file shows.
func (p *parser) finish() {
	if len(p.file.Sets) == 0 && len(p.diag.errors) == 0 {
		p.diag.add(place{1, 1}, "no sets in the file (a set is a row such as 1,\"(21, 700, 2)\",\"[n1, n2, n3]\")")
	}
	for _, s := range p.file.Sets {
		if len(s.Commands) == 0 {
			p.diag.warn(place{s.Line, 1}, "set %d has no commands", s.Number)
		}
	}
	for _, w := range sorted(p.diag.warnings) {
		p.file.Warnings = append(p.file.Warnings, w.Error())
	}
}
