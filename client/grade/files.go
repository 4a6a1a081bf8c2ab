package grade

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// handedIn is what was found in a submission's directory.
type handedIn struct {
	entries []entry
	hash    string   // of names, contents, links and who may execute
	notices []string // what is left out, and why
}

// entry is a directory, a file or a symbolic link that stays inside.
type entry struct {
	path   string // relative to the submission
	mode   fs.FileMode
	target string // of a link
}

// rejected is a submission that is not taken, for a reason of its own.
type rejected struct{ why string }

func (e *rejected) Error() string { return e.why }

// maxNotices that are listed; of the others only the number is given.
const maxNotices = 20

// leftOut are directories that belong to tools and not to the submission.
var leftOut = map[string]bool{".git": true, ".hg": true, ".svn": true}

// scan reads a submission within its limits. Symbolic links that lead out of it
// and what is neither file nor directory are left out; os.Root keeps every look
// inside.
func scan(dir string, limits Limits) (*handedIn, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, &rejected{fmt.Sprintf("it cannot be read: %v", reason(err))}
	}
	defer root.Close()
	h := &handedIn{}
	sum, bytes, left := sha256.New(), int64(0), 0
	leave := func(path, why string) {
		if left++; left <= maxNotices {
			h.notices = append(h.notices, fmt.Sprintf("%q is left out: %s", path, why))
		}
	}
	err = fs.WalkDir(root.FS(), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return &rejected{fmt.Sprintf("%q cannot be read: %v", path, reason(err))}
		}
		if path == "." {
			return nil
		}
		if d.IsDir() && leftOut[d.Name()] {
			return fs.SkipDir
		}
		if len(h.entries) >= limits.Files {
			return &rejected{fmt.Sprintf("it has more than %d files", limits.Files)}
		}
		e := entry{path: path, mode: d.Type()}
		switch {
		case d.IsDir():
		case d.Type()&fs.ModeSymlink != 0:
			if _, err := root.Stat(path); err != nil {
				leave(path, "a symbolic link that leads out of the submission, or nowhere")
				return nil
			}
			if e.target, err = root.Readlink(path); err != nil {
				return err
			}
		case d.Type().IsRegular():
			info, err := d.Info()
			if err != nil {
				return err
			}
			if bytes += info.Size(); bytes > limits.Bytes {
				return &rejected{fmt.Sprintf("its files are larger than %s", bytesText(limits.Bytes))}
			}
			e.mode = info.Mode().Perm() & 0o111
		default:
			leave(path, "neither a file nor a directory")
			return nil
		}
		h.entries = append(h.entries, e)
		fmt.Fprintf(sum, "%q %v %q\n", e.path, e.mode, e.target)
		if e.mode.IsRegular() {
			return digest(sum, root, path)
		}
		return nil
	})
	if left > maxNotices {
		h.notices = append(h.notices, fmt.Sprintf("%d more are left out", left-maxNotices))
	}
	h.hash = hex.EncodeToString(sum.Sum(nil))
	return h, err
}

// digest adds a file's content.
func digest(sum hash.Hash, root *os.Root, path string) error {
	f, err := root.Open(path)
	if err != nil {
		return &rejected{fmt.Sprintf("%q cannot be read: %v", path, reason(err))}
	}
	defer f.Close()
	n, err := io.Copy(sum, f)
	fmt.Fprintf(sum, "\n%d\n", n) // so that contents cannot pass for names
	return err
}

// copyTo copies what was scanned from dir into an empty directory.
func (h *handedIn) copyTo(dir, to string) error {
	from, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer from.Close()
	root, err := os.OpenRoot(to)
	if err != nil {
		return err
	}
	defer root.Close()
	for _, e := range h.entries {
		switch {
		case e.mode.IsDir():
			err = root.Mkdir(e.path, 0o755)
		case e.mode&fs.ModeSymlink != 0:
			err = root.Symlink(e.target, e.path)
		default:
			err = copyFile(from, e.path, root, e.path, 0o644|e.mode)
		}
		if err != nil {
			return fmt.Errorf("copying the submission: %w", err)
		}
	}
	return nil
}

func copyFile(from *os.Root, path string, to *os.Root, name string, mode fs.FileMode) (err error) {
	in, err := from.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := to.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	_, err = io.Copy(out, in)
	return err
}

// provide puts files of the suite into the copy of a submission, in place of what
// it has under their names.
func provide(files map[string]string, to string) error {
	for _, name := range sortedKeys(files) {
		target := filepath.Join(to, name)
		if err := os.RemoveAll(target); err != nil {
			return err
		}
		info, err := os.Stat(files[name])
		if err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return err
		}
		if info.IsDir() {
			err = os.CopyFS(target, os.DirFS(files[name]))
		} else {
			err = provideFile(files[name], target, info.Mode().Perm())
		}
		if err != nil {
			return fmt.Errorf("providing %s: %w", name, err)
		}
	}
	return nil
}

func provideFile(path, target string, mode fs.FileMode) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return os.WriteFile(target, data, mode)
}

// hashPath adds a file, or all files below a directory.
func hashPath(sum hash.Hash, path string) error {
	return filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(path, p)
		fmt.Fprintf(sum, "%q %d\n", rel, len(data))
		sum.Write(data)
		return err
	})
}

// bytesText shows a size in the unit in which suites write it.
func bytesText(n int64) string {
	for _, u := range []struct {
		name string
		bits uint
	}{{"GiB", 30}, {"MiB", 20}, {"KiB", 10}} {
		if n >= 1<<u.bits && n%(1<<u.bits) == 0 {
			return fmt.Sprintf("%d %s", n>>u.bits, u.name)
		}
	}
	return fmt.Sprintf("%d bytes", n)
}
