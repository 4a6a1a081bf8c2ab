package testset

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Error is one thing wrong with a test set or an expected file.
type Error struct {
	File         string
	Line, Column int // from 1; columns count characters, as editors do
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

// diagnostics collects what is to be said about one file.
type diagnostics struct {
	file     string
	errors   Errors
	warnings Errors
	hashed   place // the first comment that could be a set, such as #3,(7)
}

func (d *diagnostics) add(at place, format string, args ...any) {
	d.errors = append(d.errors, d.make(at, format, args))
}

func (d *diagnostics) warn(at place, format string, args ...any) {
	w := d.make(at, format, args)
	w.Warning = true
	d.warnings = append(d.warnings, w)
}

func (d *diagnostics) make(at place, format string, args []any) Error {
	if format != "%s" { // else the argument is a whole message, clipped where it was made
		args = clip(args)
	}
	return Error{File: d.file, Line: at.line, Column: at.column, Text: fmt.Sprintf(format, args...)}
}

// sorted brings errors into file order.
func sorted(list Errors) Errors {
	slices.SortStableFunc(list, func(a, b Error) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return list
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
