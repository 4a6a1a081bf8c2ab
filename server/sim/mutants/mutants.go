// Package mutants holds planted bugs: small, realistic mistakes in the core, each
// of which the simulator has to find. They are kept as texts and laid over the
// source when a mutant is built (go build -overlay); the core itself has no
// switches. `make mutants` builds and hunts all of them, cmd/mutants says how.
//
// One file is one mutant, named after it:
//
//	why: what is wrong about it, in one line
//
//	==== file server/paxos/election.go
//	==== old
//	text that occurs exactly once in that file
//	==== new
//	what stands there instead
//	==== end
//
// with as many replacements as the mistake needs: where two layers make the same
// check, one alone would change nothing, and the mutant leaves out both.
package mutants

import (
	"embed"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

//go:embed *.txt
var texts embed.FS

// Mutant is one planted bug.
type Mutant struct {
	Name         string
	Why          string
	Replacements []Replacement
}

// Replacement replaces Old, which occurs exactly once in File, by New. File is
// a slash-separated path below the module's root.
type Replacement struct {
	File, Old, New string
}

// All returns the mutants in alphabetical order.
func All() ([]Mutant, error) {
	files, err := texts.ReadDir(".")
	if err != nil {
		return nil, err
	}
	var all []Mutant
	for _, f := range files {
		text, err := texts.ReadFile(f.Name())
		if err != nil {
			return nil, err
		}
		m, err := parse(strings.TrimSuffix(f.Name(), ".txt"), string(text))
		if err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	return all, nil
}

// parse reads the form that the package comment shows.
func parse(name, text string) (Mutant, error) {
	m := Mutant{Name: name}
	bad := func(line int, why string) (Mutant, error) {
		return Mutant{}, fmt.Errorf("%s.txt:%d: %s", name, line+1, why)
	}
	var (
		r       Replacement
		section string // "", "file", "old" or "new": what the last marker began
		block   []string
	)
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		marker, isMarker := strings.CutPrefix(l, "==== ")
		path, isFile := strings.CutPrefix(marker, "file ")
		switch {
		case isMarker && isFile && section == "":
			r, section = Replacement{File: path}, "file"
		case isMarker && marker == "old" && section == "file":
			section, block = "old", nil
		case isMarker && marker == "new" && section == "old":
			r.Old, section, block = strings.Join(block, "\n"), "new", nil
		case isMarker && marker == "end" && section == "new":
			r.New, section = strings.Join(block, "\n"), ""
			if r.Old == "" || r.Old == r.New {
				return bad(i, "the replacement changes nothing")
			}
			m.Replacements = append(m.Replacements, r)
		case isMarker:
			return bad(i, fmt.Sprintf("%q is out of place", l))
		case section == "old" || section == "new":
			block = append(block, l)
		case strings.HasPrefix(l, "why: ") && m.Why == "":
			m.Why = strings.TrimPrefix(l, "why: ")
		case strings.TrimSpace(l) != "":
			return bad(i, fmt.Sprintf("%q belongs to nothing", l))
		}
	}
	if section != "" || m.Why == "" || len(m.Replacements) == 0 {
		return bad(len(lines)-1, "a mutant needs a why, and replacements that end")
	}
	return m, nil
}

// Files returns the mutated sources by their paths, read from the module at root.
// It is an error when an old text does not occur exactly once: then the core has
// moved on, and the mutant has to follow.
func (m *Mutant) Files(root string) (map[string]string, error) {
	files := map[string]string{}
	for _, r := range m.Replacements {
		source, ok := files[r.File]
		if !ok {
			b, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(r.File)))
			if err != nil {
				return nil, fmt.Errorf("mutant %s: %w", m.Name, err)
			}
			source = string(b)
		}
		if n := strings.Count(source, r.Old); n != 1 {
			return nil, fmt.Errorf("mutant %s: this occurs %d times in %s, want once:\n%s", m.Name, n, r.File, r.Old)
		}
		files[r.File] = strings.Replace(source, r.Old, r.New, 1)
	}
	return files, nil
}

// WriteOverlay writes the mutated sources into dir and returns the path of the
// file that go build -overlay takes.
func (m *Mutant) WriteOverlay(root, dir string) (string, error) {
	files, err := m.Files(root)
	if err != nil {
		return "", err
	}
	root, err = filepath.Abs(root)
	if err != nil {
		return "", err
	}
	replace := map[string]string{}
	paths := make([]string, 0, len(files))
	for path := range files {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	for i, path := range paths {
		mutated := filepath.Join(dir, fmt.Sprintf("%d-%s", i, filepath.Base(path)))
		if err := os.WriteFile(mutated, []byte(files[path]), 0o666); err != nil {
			return "", err
		}
		replace[filepath.Join(root, filepath.FromSlash(path))] = mutated
	}
	b, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	overlay := filepath.Join(dir, "overlay.json")
	return overlay, os.WriteFile(overlay, b, 0o666)
}
