package arch

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
)

// pkg is what the rules need of `go list -json`.
type pkg struct {
	ImportPath   string
	Dir          string
	Standard     bool
	GoFiles      []string
	TestGoFiles  []string
	XTestGoFiles []string
	Imports      []string
	TestImports  []string
	XTestImports []string
	Deps         []string
}

// local returns the path below the module, or "" for a package outside it.
func (p *pkg) local() string { return local(p.ImportPath) }

func local(importPath string) string {
	below, ok := strings.CutPrefix(importPath, Module+"/")
	if !ok {
		return ""
	}
	return below
}

// load lists every package of the module at root and all they depend on.
func load(root string) ([]*pkg, error) {
	// -e: a package that does not compile is the compiler's to report.
	cmd := exec.Command("go", "list", "-e", "-deps",
		"-json=ImportPath,Dir,Standard,GoFiles,TestGoFiles,XTestGoFiles,Imports,TestImports,XTestImports,Deps", "./...")
	cmd.Dir = root
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w: %s", err, stderr.String())
	}
	var all []*pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		p := &pkg{}
		if err := dec.Decode(p); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, fmt.Errorf("go list: %w", err)
		}
		all = append(all, p)
	}
}

// checkImports holds pure packages against notImported and notReached.
func checkImports(pkgs []*pkg) (findings []string) {
	for _, p := range pkgs {
		rule, ok := pure[p.local()]
		if !ok {
			continue
		}
		for _, imp := range p.Imports {
			if matchesAny(notImported, imp) || imp == "time" && !rule.durations {
				findings = append(findings, fmt.Sprintf("%s is pure and imports %s", p.local(), imp))
			}
		}
		for _, dep := range p.Deps {
			if matchesAny(notReached, dep) && !rule.distant && !slices.Contains(p.Imports, dep) {
				findings = append(findings, fmt.Sprintf("%s is pure and depends on %s", p.local(), dep))
			}
		}
	}
	return findings
}

// checkArrows holds the module's packages against the arrows.
func checkArrows(pkgs []*pkg, rules []arrow) (findings []string) {
	for _, p := range pkgs {
		if p.local() == "" {
			continue
		}
		for _, r := range rules {
			if !matches(r.from, p.local()) {
				continue
			}
			seen := p.Deps
			if r.direct {
				seen = p.Imports
			}
			if r.tests {
				seen = slices.Concat(seen, p.TestImports, p.XTestImports)
			}
			seen = slices.Clone(seen)
			slices.Sort(seen)
			for _, imp := range slices.Compact(seen) {
				to := local(imp)
				if to == "" || to == p.local() {
					continue
				}
				if r.only != nil && !matchesAny(r.only, to) || matchesAny(r.never, to) {
					findings = append(findings, fmt.Sprintf("%s must not import %s: %s", p.local(), to, r.why))
				}
			}
		}
	}
	return findings
}
