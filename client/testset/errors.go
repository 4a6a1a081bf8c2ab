package testset

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Error is one thing wrong with a test set or an expected file.
type Error struct {
	File         string
	Line, Column int // from 1; columns count bytes
	Text         string
	// Warning marks an oddity that does not keep the set from running.
	Warning bool
}

func (e Error) Error() string {
	kind := ""
	if e.Warning {
		kind = "warning: "
	}
	return fmt.Sprintf("%s:%d:%d: %s%s", e.File, e.Line, e.Column, kind, e.Text)
}

// Errors is everything that is wrong with a file, in file order.
type Errors []Error

// Error lists all of them, a line each.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i := range e {
		lines[i] = e[i].Error()
	}
	return strings.Join(lines, "\n")
}

// errorList collects errors of one file.
type errorList struct {
	file string
	list Errors
}

func (l *errorList) add(line, column int, format string, args ...any) {
	if format != "%s" { // else the argument is a whole message, clipped where it was made
		args = clip(args)
	}
	l.list = append(l.list, Error{File: l.file, Line: line, Column: column, Text: fmt.Sprintf(format, args...)})
}

// clipRunes of a text are quoted in a message: enough to recognise it, also when
// a whole file became one cell because a quote is missing.
const clipRunes = 200

func clip(args []any) []any {
	out := slices.Clone(args)
	for i, a := range out {
		if s, ok := a.(string); ok && utf8.RuneCountInString(s) > clipRunes {
			out[i] = string([]rune(s)[:clipRunes]) + "…"
		}
	}
	return out
}
