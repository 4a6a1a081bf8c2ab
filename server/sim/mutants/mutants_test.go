package mutants

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// root is the module, seen from this package.
var root = filepath.Join("..", "..", "..")

// atLeast is how many planted bugs there have to be.
const atLeast = 100

// TestMutantsMatchTheSource: every old text occurs exactly once, so that no
// mutant rots unnoticed when the core changes.
func TestMutantsMatchTheSource(t *testing.T) {
	all, err := All()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < atLeast {
		t.Errorf("%d mutants, want at least %d", len(all), atLeast)
	}
	for _, m := range all {
		if _, err := m.Files(root); err != nil {
			t.Error(err)
		}
	}
}

// TestMutantsBuild compiles two of them, one of them with several replacements
// in several packages. `make mutants` builds all.
func TestMutantsBuild(t *testing.T) {
	wanted := map[string]bool{"undo-applied-twice": true, "follower-skips-undo": true}
	all, err := All()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		if !wanted[m.Name] {
			continue
		}
		delete(wanted, m.Name)
		overlay, err := m.WriteOverlay(root, t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		// Without an output go build only checks that the packages compile.
		build := exec.Command("go", "build", "-overlay", overlay, "./server/replica", "./server/bank")
		build.Dir = root
		if out, err := build.CombinedOutput(); err != nil {
			t.Errorf("mutant %s does not build: %v\n%s", m.Name, err, out)
		}
	}
	if len(wanted) > 0 {
		t.Errorf("no such mutants: %v", wanted)
	}
}

func TestParse(t *testing.T) {
	const good = "why: because\n\n==== file a.go\n==== old\nx\n\ty\n==== new\n==== end\n\n==== file b.go\n==== old\nz\n==== new\n\n==== end\n"
	m, err := parse("m", good)
	if err != nil {
		t.Fatal(err)
	}
	if m.Why != "because" || len(m.Replacements) != 2 || m.Replacements[0] != (Replacement{"a.go", "x\n\ty", ""}) ||
		m.Replacements[1] != (Replacement{"b.go", "z", ""}) {
		t.Errorf("parsed %+v", m)
	}
	for _, tc := range []struct{ text, want string }{
		{"", "needs a why"},
		{"why: x\n", "needs a why"},
		{strings.Replace(good, "why: because", "", 1), "needs a why"},
		{strings.TrimSuffix(good, "==== end\n"), "that end"},
		{strings.Replace(good, "==== new\n", "", 1), "out of place"},
		{strings.Replace(good, "==== old\nz\n", "==== old\n", 1), "changes nothing"},
		{strings.Replace(good, "==== old\nz\n==== new\n\n", "==== old\nz\n==== new\nz\n", 1), "changes nothing"},
		{"stray\n" + good, "belongs to nothing"},
	} {
		if _, err := parse("m", tc.text); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%q: error %v, want one that says %q", tc.text, err, tc.want)
		}
	}
}
