package testset

import (
	"fmt"
	"strings"
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
	l.list = append(l.list, Error{File: l.file, Line: line, Column: column, Text: fmt.Sprintf(format, args...)})
}
