package testset

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// cell is one cell of a row and where its text starts in the file.
type cell struct {
	Text         string // without surrounding blanks
	Line, Column int
	Quoted       bool
}

// UnmarshalCSV takes the form that cellReader hands to gocsv, which knows
// neither lines nor columns: "line:column:text".
func (c *cell) UnmarshalCSV(s string) error {
	parts := strings.SplitN(s, ":", 3)
	if len(parts) != 3 {
		return fmt.Errorf("malformed cell %q", s)
	}
	var err error
	if c.Line, err = strconv.Atoi(parts[0]); err != nil {
		return err
	}
	if c.Column, err = strconv.Atoi(parts[1]); err != nil {
		return err
	}
	c.Text = parts[2]
	return nil
}

func (c cell) encode() string {
	return strconv.Itoa(c.Line) + ":" + strconv.Itoa(c.Column) + ":" + c.Text
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

// readCells splits data into rows of cells. Blank rows and comments are left
// out. Cells that the comma split inside brackets are put together again.
// What CSV itself forbids is reported to errs, and reading goes on behind it.
func readCells(data []byte, errs *errorList) [][]cell {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	if bytes.HasPrefix(data, []byte("\xff\xfe")) || bytes.HasPrefix(data, []byte("\xfe\xff")) {
		errs.add(1, 1, "file is UTF-16 text (save it as UTF-8)")
		return nil
	}
	if i := bytes.IndexByte(data, 0); i >= 0 {
		// An archive, a spreadsheet, a program: hundreds of bad rows say less.
		errs.add(1+bytes.Count(data[:i], []byte("\n")), i-bytes.LastIndexByte(data[:i], '\n'), "file is not text (save it as CSV)")
		return nil
	}
	if !bytes.Contains(data, []byte("\n")) {
		data = bytes.ReplaceAll(data, []byte("\r"), []byte("\n"))
	}
	data = spacesIntoQuotes(data)
	lines := bytes.Split(data, []byte("\n"))

	r := csv.NewReader(bytes.NewReader(data))
	r.FieldsPerRecord = -1
	r.TrimLeadingSpace = true
	r.Comment = '#'
	var rows [][]cell
	for {
		record, err := r.Read()
		if err == io.EOF {
			return rows
		}
		var bad *csv.ParseError
		switch {
		case errors.As(err, &bad):
			errs.add(csvError(bad, lines))
			continue
		case err != nil: // cannot happen on memory; never drop it silently
			errs.add(1, 1, "%v", err)
			return rows
		}
		row := make([]cell, len(record))
		for i, text := range record {
			line, column := r.FieldPos(i)
			c := cell{Text: text, Line: line, Column: column}
			if src := lines[line-1]; column-1 < len(src) && src[column-1] == '"' {
				c.Quoted = true
				c.Column++
			}
			row[i] = c.trim()
		}
		row = joinBrackets(row, lines)
		if blank(row) || strings.HasPrefix(row[0].Text, "#") && !row[0].Quoted {
			continue
		}
		rows = append(rows, row)
	}
}

// csvError puts what encoding/csv complains about into words.
func csvError(bad *csv.ParseError, lines [][]byte) (line, column int, format string, text any) {
	switch {
	case errors.Is(bad.Err, csv.ErrQuote) && bad.Line >= len(lines)-1 && bad.Line != bad.StartLine:
		return bad.StartLine, 1, "%s", `a quoted cell begins here and is never closed (add the closing ")`
	case errors.Is(bad.Err, csv.ErrQuote):
		return bad.Line, bad.Column, "%s", `text after a closing quote, or a quote that is never closed (put the whole cell in quotes, a quote inside doubled)`
	case errors.Is(bad.Err, csv.ErrBareQuote):
		return bad.Line, bad.Column, "%s", `quote inside an unquoted cell (put the whole cell in quotes)`
	}
	return bad.Line, max(bad.Column, 1), "%v", bad.Err
}

// spacesIntoQuotes moves blanks that follow a closing quote to before it, since
// encoding/csv refuses them there. Every other byte keeps its place, so lines
// and columns stay those of the file.
func spacesIntoQuotes(data []byte) []byte {
	out := bytes.Clone(data)
	const (
		fieldStart = iota
		plain
		quoted
		comment
	)
	state, lineStart := fieldStart, true
	for i := 0; i < len(out); i++ {
		b := out[i]
		if state == quoted {
			if b != '"' {
				continue
			}
			if i+1 < len(out) && out[i+1] == '"' {
				i++
				continue
			}
			end := i + 1
			for end < len(out) && (out[end] == ' ' || out[end] == '\t') {
				end++
			}
			if end == len(out) || out[end] == ',' || out[end] == '\n' || out[end] == '\r' {
				for j := i; j < end-1; j++ {
					out[j] = out[j+1]
				}
				out[end-1] = '"'
				i = end - 1
			}
			state = plain
			continue
		}
		switch {
		case b == '\n':
			state, lineStart = fieldStart, true
			continue
		case state == comment:
		case lineStart && b == '#':
			state = comment
		case b == ',':
			state = fieldStart
		case state == fieldStart && b == '"':
			state = quoted
		case b != ' ' && b != '\t':
			state = plain
		}
		lineStart = false
	}
	return out
}

// trim takes blanks off both ends and keeps the position of what is left.
func (c cell) trim() cell {
	text := strings.TrimLeft(c.Text, " \t\r\n\u00a0")
	cut := c.Text[:len(c.Text)-len(text)]
	if n := strings.Count(cut, "\n"); n > 0 {
		c.Line += n
		c.Column = len(cut) - strings.LastIndexByte(cut, '\n')
	} else {
		c.Column += len(cut)
	}
	c.Text = strings.TrimRight(text, " \t\r\n\u00a0")
	return c
}

// at returns the position of byte offset i of the cell's text.
func (c cell) at(i int) (line, column int) {
	before := c.Text[:i]
	if n := strings.Count(before, "\n"); n > 0 {
		return c.Line + n, i - strings.LastIndexByte(before, '\n')
	}
	return c.Line, c.Column + i
}

func blank(row []cell) bool {
	for _, c := range row {
		if c.Text != "" {
			return false
		}
	}
	return true
}

// joinBrackets puts cells together that belong to one unquoted (…) or […].
func joinBrackets(row []cell, lines [][]byte) []cell {
	out := row[:0:0]
	for i := 0; i < len(row); i++ {
		c := row[i]
		depth := bracketDepth(c.Text)
		if c.Quoted || depth <= 0 {
			out = append(out, c)
			continue
		}
		last := i
		for last+1 < len(row) && depth > 0 && !row[last+1].Quoted && row[last+1].Line == c.Line {
			last++
			depth += bracketDepth(row[last].Text)
		}
		if depth > 0 { // never closed: leave the pieces for the error message
			out = append(out, c)
			continue
		}
		// The source text, blanks included, so that columns stay right.
		end := row[last].Column - 1 + len(row[last].Text)
		c.Text = string(lines[c.Line-1][c.Column-1 : end])
		out = append(out, c.trim())
		i = last
	}
	return out
}

func bracketDepth(s string) int {
	return strings.Count(s, "(") + strings.Count(s, "[") - strings.Count(s, ")") - strings.Count(s, "]")
}
