package grade

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"paxbank/client/sandbox"
	"paxbank/internal/gradescope"
)

func parse(t *testing.T, path string) *gradescope.Results {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	r, err := gradescope.Parse(text)
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return r
}

func TestPending(t *testing.T) {
	k := newClass(t, "  - {name: One, testset: basics.csv, sets: 1, points: 3}\n  - {name: Two, testset: basics.csv, visibility: hidden}\n")
	s := k.options().Suite
	path := filepath.Join(k.dir, "results.json")
	for why, want := range map[string]string{"": unfinished, "too little memory": "too little memory"} {
		if err := Pending(path, s, why); err != nil {
			t.Fatal(err)
		}
		r := parse(t, path)
		if len(r.Tests) != 2 || r.Output != want {
			t.Fatalf("%+v", r)
		}
		if x := r.Tests[0]; *x.Score != 0 || *x.MaxScore != 3 || x.Name != "One" || x.Output != "not run yet" {
			t.Errorf("%+v", x)
		}
		if x := r.Tests[1]; *x.Score != 0 || *x.MaxScore != 1 || x.Visibility != "hidden" {
			t.Errorf("%+v", x)
		}
	}
	if err := Pending(filepath.Join(k.dir, "nowhere", "results.json"), s, ""); err == nil || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("nowhere to write: %v", err)
	}
}

// The file is kept up to date set by set, and is out of the submission's sight.
func TestGradescope(t *testing.T) {
	t.Parallel()
	k := newClass(t, "  - {name: One, testset: basics.csv, sets: 1, points: 3}\n  - {name: Two, testset: basics.csv, points: 4}\n")
	o := k.options()
	o.Gradescope = filepath.Join(k.dir, "results.json")
	k.add("peeks", map[string]string{ManifestFile: "build: sh ./peek\n" + good, "peek": "grep -q . '" + o.Gradescope + "' && exit 42; exit 0\n"})
	o.Submissions = k.submissions
	if err := Pending(o.Gradescope, o.Suite, ""); err != nil {
		t.Fatal(err)
	}
	if !(&sandbox.Policy{Mode: o.Sandbox}).HasOwnFiles() {
		t.Skip("this system has no file systems of their own for boxes: what an attack can reach is not tried")
	}
	var seen []float64 // points, each time that progress is told
	o.Progress = func(string) {
		r, sum := parse(t, o.Gradescope), 0.0
		for _, x := range r.Tests {
			sum += *x.Score
		}
		if len(seen) == 0 || seen[len(seen)-1] != sum {
			seen = append(seen, sum)
		}
	}
	k.grade(t.Context(), o)
	r := parse(t, o.Gradescope)
	if *r.Tests[0].Score != 3 || *r.Tests[1].Score != 4 || r.Output != "" {
		t.Errorf("%+v", r)
	}
	if !slices.Equal(seen, []float64{0, 3, 7}) {
		t.Errorf("the points were %v one after the other", seen)
	}
}

func TestAdd(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"x": "", "y": ""})
	s := &Suite{Env: []string{"A=1", "B=2"}}
	if err := s.Add(map[string]string{"lib/x": filepath.Join(dir, "x")}, map[string]string{"A": "{work}/x", "C": ""}); err != nil {
		t.Fatal(err)
	}
	if want := []string{"B=2", "A={work}/x", "C="}; !slices.Equal(s.Env, want) || s.Provide["lib/x"] != filepath.Join(dir, "x") {
		t.Errorf("environment %q, provided %q", s.Env, s.Provide)
	}
	err := s.Add(map[string]string{"../x": dir, "z": filepath.Join(dir, "z")}, map[string]string{"A B": ""})
	for _, want := range []string{`provide: "../x" is not a name inside the submission`, "z cannot be read", `env: "A B" is not a variable`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
	if err := s.Add(map[string]string{"z": filepath.Join(dir, "z")}, nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what is not there: %v", err)
	}
}
