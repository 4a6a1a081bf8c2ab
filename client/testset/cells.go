package testset

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// cell is one cell of a row and where its text starts in the file. Its text is
// that of the file, character by character; see decode for the few that differ.
type cell struct {
	Text         string // without surrounding blanks
	Line, Column int
	Quoted       bool
}

// unreadable is the text of a cell whose error was reported when it was split
// off. No file can hold it.
const unreadable = "\x00"

func (c cell) unreadable() bool { return c.Text == unreadable }

func (c cell) place() place { return place{c.Line, c.Column} }

// place is a position in a file, from 1; columns count characters.
type place struct{ line, column int }

// cursor tells the place of bytes of a text. Asked for growing positions, it
// goes through the text once.
type cursor struct {
	text  string
	start place // of the text
	i     int
	place // of byte i
}

func newCursor(text string, start place) *cursor {
	return &cursor{text: text, start: start, place: start}
}

// at returns the place of byte i.
func (c *cursor) at(i int) place {
	if i < c.i {
		c.i, c.place = 0, c.start
	}
	between := c.text[c.i:i]
	if n := strings.Count(between, "\n"); n > 0 {
		c.line, c.column = c.line+n, 1
		between = between[strings.LastIndexByte(between, '\n')+1:]
	}
	c.column += utf8.RuneCountInString(between)
	c.i = i
	return c.place
}

// UnmarshalCSV takes the form that rowsReader hands to gocsv, which knows
// neither lines nor columns: "line:column:quoted:text".
func (c *cell) UnmarshalCSV(s string) error {
	parts := strings.SplitN(s, ":", 4)
	if len(parts) != 4 {
		return fmt.Errorf("malformed cell %q", s)
	}
	var err error
	if c.Line, err = strconv.Atoi(parts[0]); err != nil {
		return err
	}
	if c.Column, err = strconv.Atoi(parts[1]); err != nil {
		return err
	}
	if c.Quoted, err = strconv.ParseBool(parts[2]); err != nil {
		return err
	}
	c.Text = parts[3]
	return nil
}

func (c cell) encode() string {
	return strconv.Itoa(c.Line) + ":" + strconv.Itoa(c.Column) + ":" + strconv.FormatBool(c.Quoted) + ":" + c.Text
}

// rowsReader is a gocsv.CSVReader over rows that were already read.
type rowsReader struct {
	rows [][]cell
}

func (r *rowsReader) Read() ([]string, error) {
	if len(r.rows) == 0 {
		return nil, io.EOF
	}
	row := make([]string, len(r.rows[0]))
	for i, c := range r.rows[0] {
		row[i] = c.encode()
	}
	r.rows = r.rows[1:]
	return row, nil
}

func (r *rowsReader) ReadAll() ([][]string, error) {
	all := make([][]string, 0, len(r.rows))
	for {
		row, err := r.Read()
		if err == io.EOF {
			return all, nil
		}
		all = append(all, row)
	}
}

// blankRunes surround what is written anywhere in a cell.
const blankRunes = " \t\r\n"

// trim takes blanks off both ends and keeps the position of what is left.
func (c cell) trim() cell {
	left := strings.TrimLeft(c.Text, blankRunes)
	at := c.cursor().at(len(c.Text) - len(left))
	c.Line, c.Column = at.line, at.column
	c.Text = strings.TrimRight(left, blankRunes)
	return c
}

// cursor finds positions in the cell.
func (c cell) cursor() *cursor { return newCursor(c.Text, c.place()) }

// behind is an empty cell where the row's next one would have stood.
func (c cell) behind() cell {
	return cell{Line: c.Line, Column: c.Column + utf8.RuneCountInString(c.Text)}
}

// piece is a part of a text and the byte it starts at.
type piece struct {
	text   string
	offset int
}

// trim takes blanks off both ends.
func (p piece) trim() piece {
	left := strings.TrimLeft(p.text, blankRunes)
	return piece{strings.TrimRight(left, blankRunes), p.offset + len(p.text) - len(left)}
}

// unquote takes off quotes of any kind around p, such as those in ['n1', "n2"];
// not those around several words of p.
func (p piece) unquote() piece {
	for p = p.trim(); ; p = p.trim() {
		first, n := utf8.DecodeRuneInString(p.text)
		if !strings.ContainsRune(`"'`+string(curly), first) {
			return p
		}
		inside := strings.TrimLeft(p.text, string(first))
		left := len(p.text) - len(inside)
		inside = strings.TrimRight(inside, string(first))
		right := len(p.text) - left - len(inside)
		if right < n || strings.ContainsRune(inside, first) {
			return p
		}
		p = piece{inside, p.offset + left}
	}
}

// split cuts p at any byte of seps that stands outside brackets, and trims. A
// newline also cuts where a bracket was left open, so that one bad command does
// not swallow the next one; (21,⏎700, 2) stays together.
func (p piece) split(seps string) []piece {
	var out []piece
	s, depth, start := p.text, 0, 0
	cut := func(end int) {
		out = append(out, piece{s[start:end], p.offset + start}.trim())
		start, depth = end+1, 0
	}
	for i := range len(s) {
		switch s[i] {
		case '(', '[', '{':
			depth++
		case ')', ']', '}':
			depth--
		default:
			if strings.IndexByte(seps, s[i]) >= 0 && (depth <= 0 || s[i] == '\n' && !closes(s[i:])) {
				cut(i)
			}
		}
	}
	cut(len(s))
	return out
}

// closes reports whether the next bracket closes one.
func closes(s string) bool {
	i := strings.IndexAny(s, "()[]{}")
	return i >= 0 && strings.IndexByte(")]}", s[i]) >= 0
}
