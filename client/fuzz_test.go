package main

import (
	"strings"
	"testing"
)

// FuzzParseStep: what a person or a pipe types after a set never panics, and a
// name that came out is one that can be looked up.
func FuzzParseStep(f *testing.F) {
	for _, s := range []string{"balance 1001", "PrintBalance(4005);", "timeline (1001, 3001, 10)", "PrintTimeline((1, 2, 3))", "Print", "db ", "()", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		name, arg, ok := parseStep(line)
		switch {
		case !ok && name+arg != "":
			t.Fatalf("%q is not understood and yet %q %q", line, name, arg)
		case ok && (name == "" || name != strings.ToLower(name) || arg != strings.TrimSpace(arg)):
			t.Fatalf("%q gives %q %q", line, name, arg)
		}
	})
}

// FuzzParseSets: --sets takes numbers and spans, and the choice holds at least
// the first number that was named.
func FuzzParseSets(f *testing.F) {
	for _, s := range []string{"1,4-6", " 2 ", "9-9", "6-4", "1,,2", "-3", "1-", "99999999999999999999"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		wanted, err := parseSets(s)
		if err != nil {
			if strings.Contains(s, "\n") {
				return
			}
			if !strings.Contains(err.Error(), s) {
				t.Fatalf("%q: the error does not name it: %v", s, err)
			}
			return
		}
		if (wanted == nil) != (s == "") {
			t.Fatalf("%q: chooses all: %v", s, wanted == nil)
		}
		if wanted != nil {
			wanted(1)
		}
	})
}
