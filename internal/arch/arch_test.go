package arch

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
)

// root is the repository, seen from this package.
var root = filepath.Join("..", "..")

var loadOnce = sync.OnceValues(func() ([]*pkg, error) { return load(root) })

// module returns the packages of the module and everything they depend on.
func module(t *testing.T) []*pkg {
	t.Helper()
	touchDirectories(t)
	pkgs, err := loadOnce()
	if err != nil {
		t.Fatal(err)
	}
	return pkgs
}

// touchDirectories opens every directory of the repository, so that a new file
// makes go test run these tests again: it knows what a test opened itself, but
// not what go list and git saw.
func touchDirectories(t *testing.T) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // another process tidied up meanwhile
		}
		if err == nil && d.IsDir() && slices.Contains([]string{".git", "bin", "results"}, d.Name()) {
			return fs.SkipDir
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func report(t *testing.T, findings []string) {
	t.Helper()
	for _, f := range findings {
		t.Error(f)
	}
}

// sources calls f with every non-test file of the packages.
func sources(t *testing.T, want func(p *pkg) bool, f func(p *pkg, name string, src []byte)) {
	t.Helper()
	n := 0
	for _, p := range module(t) {
		if p.local() == "" || !want(p) {
			continue
		}
		for _, file := range p.GoFiles {
			src, err := os.ReadFile(filepath.Join(p.Dir, file))
			if err != nil {
				t.Fatal(err)
			}
			f(p, filepath.Join(p.local(), file), src)
			n++
		}
	}
	if n == 0 {
		t.Fatal("no source file was looked at")
	}
}

func TestPurePackagesExist(t *testing.T) {
	pkgs := module(t)
	for path := range pure {
		if !slices.ContainsFunc(pkgs, func(p *pkg) bool { return p.local() == path && len(p.GoFiles) > 0 }) {
			t.Errorf("pure package %s is not there; was it renamed?", path)
		}
	}
}

func TestPurePackagesImportNoWorld(t *testing.T) {
	report(t, checkImports(module(t)))
}

func TestPurePackagesDoNothingImpure(t *testing.T) {
	isPure := func(p *pkg) bool { _, ok := pure[p.local()]; return ok }
	sources(t, isPure, func(_ *pkg, name string, src []byte) {
		report(t, checkPure(name, src))
	})
}

func TestArrowsPointOneWay(t *testing.T) {
	report(t, checkArrows(module(t), arrows))
}

func TestShapeComesFromTheTopology(t *testing.T) {
	isShapeless := func(p *pkg) bool { return slices.Contains(shapeless, p.local()) }
	sources(t, isShapeless, func(_ *pkg, name string, src []byte) {
		report(t, checkShapeless(name, src))
	})
}

func TestEveryPackageHasAComment(t *testing.T) {
	for _, p := range module(t) {
		if p.local() == "" {
			continue
		}
		files := p.GoFiles
		if len(files) == 0 {
			files = slices.Concat(p.TestGoFiles, p.XTestGoFiles)
		}
		commented := false
		for _, file := range files {
			src, err := os.ReadFile(filepath.Join(p.Dir, file))
			if err != nil {
				t.Fatal(err)
			}
			has, err := packageComment(file, src)
			if err != nil {
				t.Error(err)
			}
			commented = commented || has
		}
		if !commented {
			t.Errorf("package %s has no package comment: say in doc.go what it is for", p.local())
		}
	}
}

func TestTextStandsAlone(t *testing.T) {
	if _, err := os.Stat(filepath.Join(root, ".git")); errors.Is(err, fs.ErrNotExist) {
		t.Skip("not a git checkout")
	}
	touchDirectories(t)
	files, err := repositoryFiles(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		info, err := os.Lstat(filepath.Join(root, name))
		if errors.Is(err, fs.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
			continue // deleted but not yet committed; or a link
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		report(t, checkText(name, text))
	}
}
