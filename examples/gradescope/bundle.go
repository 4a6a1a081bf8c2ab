package main

import (
	"archive/zip"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"paxbank/client/grade"
)

//go:embed setup.sh run_autograder
var scripts embed.FS

// bundle is what is going to be in the zip.
type bundle struct{ entries []entry }

// entry is one file: one on disk, or its content.
type entry struct {
	name string // in the zip
	path string // "" when content is the file
	data []byte
	mode fs.FileMode
}

func (b *bundle) file(name, path string, mode fs.FileMode) {
	b.entries = append(b.entries, entry{name: filepath.ToSlash(name), path: path, mode: mode})
}

func (b *bundle) content(name string, data []byte, mode fs.FileMode) {
	b.entries = append(b.entries, entry{name: filepath.ToSlash(name), data: data, mode: mode})
}

// addGrader adds the client and the scripts that call it.
func (b *bundle) addGrader(client string) error {
	for _, name := range []string{"setup.sh", "run_autograder"} {
		data, err := scripts.ReadFile(name)
		if err != nil {
			return err
		}
		b.content(name, data, 0o755)
	}
	b.file("client", client, 0o755)
	return nil
}

// addSuite adds a suite with all files that it names, where they lie relative to
// each other, and what results.json is before anything has run; work is a directory
// for the latter.
func (b *bundle) addSuite(s *grade.Suite, work string) error {
	var paths []string
	for _, path := range s.Files() {
		switch _, err := os.Stat(path); {
		case err == nil:
			paths = append(paths, path)
		case !errors.Is(err, fs.ErrNotExist):
			return err
		}
	}
	for _, path := range s.Provide {
		paths = append(paths, path)
	}
	top, err := above(paths)
	if err != nil {
		return err
	}
	named := map[string]bool{} // sections may share a test set
	for _, path := range paths {
		err := filepath.WalkDir(path, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			name, err := below(top, path)
			if err != nil || named[name] {
				return err
			}
			named[name] = true
			info, err := os.Stat(path)
			if err != nil {
				return err
			}
			b.file(filepath.Join("suite", name), path, 0o644|info.Mode()&0o111)
			return nil
		})
		if err != nil {
			return err
		}
	}
	name, err := below(top, s.Path)
	if err != nil {
		return err
	}
	if strings.Contains(name, "'") {
		return fmt.Errorf("the suite's path %s has a quote in it, which the scripts cannot do with", name)
	}
	b.content("bundle.env", fmt.Appendf(nil, "SUITE='suite/%s'\n", filepath.ToSlash(name)), 0o644)
	pending := filepath.Join(work, "pending.json")
	if err := grade.Pending(pending, s, ""); err != nil {
		return err
	}
	data, err := os.ReadFile(pending)
	if err != nil {
		return err
	}
	b.content("pending.json", data, 0o644)
	return nil
}

// above is the innermost directory that has all paths in it.
func above(paths []string) (top string, err error) {
	for i, path := range paths {
		abs, err := filepath.Abs(path)
		if err != nil {
			return "", err
		}
		if i == 0 {
			top = filepath.Dir(abs)
		}
		for top != filepath.Dir(top) && !strings.HasPrefix(abs, top+string(filepath.Separator)) {
			top = filepath.Dir(top)
		}
	}
	return top, nil
}

// below is a path seen from top.
func below(top, path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	return filepath.Rel(top, abs)
}

// write writes the zip in one step. The same files make the same zip.
func (b *bundle) write(path string) (err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".bundle-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close(), os.Remove(f.Name()))
		}
	}()
	w := zip.NewWriter(f)
	slices.SortFunc(b.entries, func(x, y entry) int { return strings.Compare(x.name, y.name) })
	for _, e := range b.entries {
		if err := e.write(w); err != nil {
			return fmt.Errorf("packing %s: %w", e.name, err)
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	if err := f.Chmod(0o644); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return f.Close()
}

func (e *entry) write(w *zip.Writer) error {
	h := &zip.FileHeader{Name: e.name, Method: zip.Deflate}
	h.SetMode(e.mode)
	out, err := w.CreateHeader(h)
	if err != nil {
		return err
	}
	if e.path == "" {
		_, err = out.Write(e.data)
		return err
	}
	in, err := os.Open(e.path)
	if err != nil {
		return err
	}
	defer in.Close()
	_, err = io.Copy(out, in)
	return err
}
