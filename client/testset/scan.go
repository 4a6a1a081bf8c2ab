package testset

import (
	"slices"
	"strings"
)

// scanner splits plain text into rows of cells. encoding/csv cannot do it: it
// takes (21, 700, 2) apart, refuses blanks behind a closing quote, gives up the
// rest of the file at a quote that is never closed, and counts bytes.
type scanner struct {
	*cursor
	delimiter byte
	diag      *diagnostics
	i         int // next byte
}

// readCells splits data into rows of cells. Blank rows and comments are left
// out. good tells a row that makes sense, by which the delimiter is chosen. What
// cannot be read as CSV is reported to diag, and reading goes on behind it.
func readCells(data []byte, diag *diagnostics, good func([]cell) bool) [][]cell {
	text, ok := decode(data, diag)
	if !ok {
		return nil
	}
	s := newScanner(text, 0, diag)
	if s.delimiter = s.directive(); s.delimiter == 0 {
		s.delimiter = chooseDelimiter(text, good)
	}
	var rows [][]cell
	for {
		row, more := s.row()
		if !more {
			return rows
		}
		if len(row) > 0 {
			rows = append(rows, row)
		}
	}
}

func newScanner(text string, delimiter byte, diag *diagnostics) *scanner {
	return &scanner{cursor: newCursor(text, place{1, 1}), delimiter: delimiter, diag: diag}
}

// directive reads the line sep=; by which a spreadsheet is told the delimiter.
func (s *scanner) directive() byte {
	line, _, _ := strings.Cut(s.text, "\n")
	bare := strings.ToLower(strings.Trim(line, "\" \r"))
	if len(bare) == len("sep=")+1 && strings.HasPrefix(bare, "sep=") && strings.Contains(delimiters, bare[4:]) {
		s.i = len(line)
		return bare[4]
	}
	return 0
}

// delimiters that files use, the likeliest first.
const delimiters = ",\t;"

// sampleRows decide about the delimiter.
const sampleRows = 1000

// chooseDelimiter returns the delimiter with which most rows make sense; between
// equals, the one that leaves the fewest quotes out of place, then the most
// frequent one.
func chooseDelimiter(text string, good func([]cell) bool) byte {
	var best byte
	var most [3]int
	for _, d := range []byte(delimiters) {
		trial, sense := &diagnostics{}, 0
		s := newScanner(text, d, trial)
		for range sampleRows {
			row, more := s.row()
			if !more {
				break
			}
			if len(row) > 1 && good(row) {
				sense++
			}
		}
		score := [3]int{sense, -len(trial.errors), strings.Count(text, string(d))}
		if best == 0 || slices.Compare(score[:], most[:]) > 0 {
			best, most = d, score
		}
	}
	return best
}

// blanks returns where the blanks that begin at i end.
func (s *scanner) blanks(i int) int {
	for i < len(s.text) && (s.text[i] == ' ' || s.text[i] == '\r' || s.text[i] == '\t' && s.delimiter != '\t') {
		i++
	}
	return i
}

func (s *scanner) lineEnd(i int) int {
	if n := strings.IndexByte(s.text[i:], '\n'); n >= 0 {
		return i + n
	}
	return len(s.text)
}

// ends reports whether a cell ends at i.
func (s *scanner) ends(i int) bool {
	return i >= len(s.text) || s.text[i] == '\n' || s.text[i] == s.delimiter
}

// row reads one row; it is empty for a blank one and for a comment.
func (s *scanner) row() (row []cell, more bool) {
	if s.i >= len(s.text) {
		return nil, false
	}
	if start := s.blanks(s.i); start < len(s.text) && s.text[start] == '#' {
		s.comment(start)
		return nil, true
	}
	filled := false
	for {
		c := s.cell()
		row = append(row, c)
		filled = filled || c.Text != ""
		if s.i >= len(s.text) || s.text[s.i] == '\n' {
			s.i++
			break
		}
		s.i++ // the delimiter
	}
	if !filled {
		return nil, true
	}
	return row, true
}

// comment passes a comment. One that begins as set number 3 might, written #3,
// is not passed in silence.
func (s *scanner) comment(start int) {
	end := s.lineEnd(start)
	first, rest, delimited := strings.Cut(s.text[start:end], string(s.delimiter))
	first = strings.TrimSpace(first)
	if delimited && strings.Trim(rest, " \r\t,;") != "" && len(first) > 1 && strings.Trim(first[1:], "0123456789") == "" {
		at := s.at(start)
		if s.diag.hashed == (place{}) {
			s.diag.hashed = at
		}
		s.diag.warn(at, "row taken for a comment, as it begins with # (write %s if it is a set)", first[1:])
	}
	s.i = min(end+1, len(s.text))
}

// cell reads one cell and stops at what ends it.
func (s *scanner) cell() cell {
	s.i = s.blanks(s.i)
	at := s.at(s.i)
	c := cell{Line: at.line, Column: at.column}
	switch {
	case s.ends(s.i):
	case s.text[s.i] == '"':
		s.quoted(&c)
	case strings.HasPrefix(s.text[s.i:], string(curly)) && s.curlyEnd() > 0:
		s.close(&c, s.i+len(string(curly)), s.curlyEnd(), len(string(curly)))
	default:
		s.bare(&c)
	}
	return c.trim()
}

// curlyEnd finds the typographic quote, on this line and outside brackets, that
// closes the cell that one opened at s.i; 0 when there is none.
func (s *scanner) curlyEnd() int {
	mark := string(curly)
	for i, end := s.i+len(mark), s.lineEnd(s.i); i < end; i = s.step(i) {
		if strings.HasPrefix(s.text[i:end], mark) {
			return i
		}
	}
	return 0
}

// close ends a cell whose text stands in start:end, before a closing quote that
// is width bytes wide.
func (s *scanner) close(c *cell, start, end, width int) {
	s.i = s.blanks(end + width)
	if s.ends(s.i) {
		c.Text, c.Column, c.Quoted = s.text[start:end], c.Column+1, true
		return
	}
	s.diag.add(s.at(s.i), "text %q after a closing quote (put the whole cell in quotes, a quote inside doubled)", s.excerpt(s.i))
	c.Text = unreadable
	for !s.ends(s.i) {
		s.i = s.step(s.i)
	}
}

// quoted reads a cell in quotes. Doubled quotes inside stay doubled, so that
// every character is as far from the cell's place as in the file.
func (s *scanner) quoted(c *cell) {
	open := s.i
	end := open + 1
	for end < len(s.text) {
		if s.text[end] != '"' {
			end++
		} else if end+1 < len(s.text) && s.text[end+1] == '"' {
			end += 2
		} else {
			break
		}
	}
	switch {
	case end >= len(s.text):
		s.unclosed(c, open)
	case !s.ends(s.blanks(end+1)) && s.opens(open, end):
		s.unclosed(c, open)
		if !strings.Contains(s.text[open:end], "\n") {
			s.i = strings.LastIndexByte(s.text[:end], s.delimiter)
		}
	default:
		s.close(c, open+1, end, 1)
	}
}

// unclosed reports the quote at open. The next line is read afresh: the quote
// that would close this cell probably opens another one.
func (s *scanner) unclosed(c *cell, open int) {
	at := s.at(open)
	s.diag.add(at, `a quoted cell begins here and is never closed (add the closing ")`)
	c.Text = unreadable
	s.i = s.lineEnd(open)
}

// opens reports whether the quote at i, of a cell that began at open, stands
// where a cell begins.
func (s *scanner) opens(open, i int) bool {
	before := strings.TrimRight(s.text[open+1:i], " \t\r")
	if s.delimiter == '\t' {
		before = strings.TrimRight(s.text[open+1:i], " \r")
	}
	return before != "" && (before[len(before)-1] == s.delimiter || before[len(before)-1] == '\n')
}

// bare reads a cell without quotes. Brackets keep it together.
func (s *scanner) bare(c *cell) {
	start := s.i
	for !s.ends(s.i) {
		if s.text[s.i] == '"' {
			at := s.at(s.i)
			s.diag.add(at, "quote inside an unquoted cell (put the whole cell in quotes)")
			for !s.ends(s.i) {
				s.i++
			}
			c.Text = unreadable
			return
		}
		s.i = s.step(s.i)
	}
	c.Text = s.text[start:s.i]
}

// step returns what follows the character at i, or the whole bracket at i.
func (s *scanner) step(i int) int {
	if strings.IndexByte("([{", s.text[i]) < 0 {
		return i + 1
	}
	depth := 0
	end := s.lineEnd(i)
	for j := i; j < end; j++ {
		switch s.text[j] {
		case '(', '[', '{':
			depth++
		case ')', ']', '}':
			if depth--; depth == 0 {
				return j + 1
			}
		}
	}
	// Never closed: up to the next cell that begins with a bracket or a quote, so
	// that there is one complaint and not one a piece.
	for j := i + 1; j < end; j++ {
		if s.text[j] == s.delimiter {
			if k := s.blanks(j + 1); k >= end || strings.IndexByte(`"[{`+string(s.delimiter), s.text[k]) >= 0 {
				return j
			}
		}
	}
	return end
}

// excerpt is the text at i up to what ends its cell.
func (s *scanner) excerpt(i int) string {
	end := i
	for !s.ends(end) {
		end++
	}
	return strings.TrimSpace(s.text[i:end])
}
