package drive

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// RunDir makes RESULTS/NAME/TIME, which no other run has, and lets the link
// RESULTS/NAME/latest point to it. NAME is the test set's without its ending.
func RunDir(results, testset string, now time.Time) (string, error) {
	name := strings.TrimSuffix(filepath.Base(testset), filepath.Ext(testset))
	parent := filepath.Join(results, name)
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return "", noResults(results, err)
	}
	stamp := now.UTC().Format("20060102T150405Z")
	for try := 1; ; try++ {
		base := stamp
		if try > 1 {
			base = fmt.Sprintf("%s-%d", stamp, try)
		}
		dir := filepath.Join(parent, base)
		err := os.Mkdir(dir, 0o755)
		if errors.Is(err, fs.ErrExist) && try < 1000 {
			continue
		}
		if err != nil {
			return "", noResults(results, err)
		}
		// A link is replaced by renaming another one over it, so that at every
		// moment latest is there. That a file system has no links is no reason not
		// to run.
		temporary := filepath.Join(parent, ".latest-"+base)
		if os.Symlink(base, temporary) == nil && os.Rename(temporary, filepath.Join(parent, "latest")) != nil {
			os.Remove(temporary)
		}
		return dir, nil
	}
}

func noResults(results string, err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	return fmt.Errorf("the results directory %s cannot be written: %w (choose another one with --results)", results, err)
}

// Unplaced is a copy of the arguments without absolute paths: results hold none,
// so that they can be handed on and compared. An argument may be a whole command
// line (--node-cmd), so each of its words is looked at.
func Unplaced(args []string) []string {
	clean := make([]string, len(args))
	for i, a := range args {
		words := strings.Split(a, " ")
		for j, w := range words {
			words[j] = unplacedWord(w)
		}
		clean[i] = strings.Join(words, " ")
	}
	return clean
}

// unplacedWord is relative for a word that is a path, or has one behind a quote
// or behind a flag and =.
func unplacedWord(w string) string {
	if flag, value, found := strings.Cut(w, "="); found && !filepath.IsAbs(w) {
		return flag + "=" + unplacedWord(value)
	}
	bare := strings.TrimLeft(w, `"'`)
	return w[:len(w)-len(bare)] + Relative(bare)
}

// Relative is path as seen from the working directory, or its last element when
// it lies elsewhere.
func Relative(path string) string {
	if !filepath.IsAbs(path) {
		return path
	}
	if here, err := os.Getwd(); err == nil {
		if rel, err := filepath.Rel(here, path); err == nil && rel != ".." && !strings.HasPrefix(rel, "../") {
			return rel
		}
	}
	return filepath.Base(path)
}
