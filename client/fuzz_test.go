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
