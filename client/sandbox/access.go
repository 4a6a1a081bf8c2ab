package sandbox

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Where boxes have no file system of their own, rights are what keeps a user of
// their own from files, and what lets it come to its own.

// barrier is a directory that keeps a user of its own from Work; "" when there is
// none, or when boxes have a file system of their own.
func (p *Policy) barrier() string {
	if p.Work == "" || p.parts().Mounts {
		return ""
	}
	work, err := real(p.Work)
	if err != nil {
		return "" // it is said where it is used
	}
	return closedAbove(work)
}

// closedAbove is the first directory above path that others than its owner and
// group cannot pass; "" when there is none.
func closedAbove(path string) string {
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		if info, err := os.Stat(dir); err != nil || info.Mode()&0o001 == 0 {
			return dir
		}
		if dir == filepath.Dir(dir) {
			return ""
		}
	}
}

// open is a hidden path that everybody may read; "" when there is none.
func (p *Policy) open() string {
	hidden, err := p.hidden()
	if err != nil {
		return "" // it is said where it is used
	}
	for _, path := range hidden {
		if info, err := os.Stat(path); err == nil && info.Mode()&0o004 != 0 && closedAbove(path) == "" {
			return path
		}
	}
	return ""
}

// lend makes a directory tree, of what a user wrote itself, readable to it and
// nothing more: the driver's user owns it again, and the user is the group. A tree
// that the user does not own is left as it is.
func lend(dir string, user int) error {
	if owner, err := ownerOf(dir); err != nil || owner != user {
		return err
	}
	lent := func(path string, d fs.DirEntry) error {
		info, err := d.Info()
		if err != nil {
			return err
		}
		if info.Mode().IsRegular() && info.Sys().(*syscall.Stat_t).Nlink > 1 {
			return nil // as in give
		}
		if err := os.Lchown(path, os.Geteuid(), user); err != nil || info.Mode()&fs.ModeSymlink != 0 {
			return err
		}
		mode := info.Mode().Perm()
		return os.Chmod(path, mode&0o755&^0o070|mode&0o500>>3)
	}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		return lent(path, d)
	})
	if err != nil {
		return err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	return lent(dir, fs.FileInfoToDirEntry(info)) // last: it says that the others are done
}

// ownerOf a file or directory, not of what a link leads to.
func ownerOf(path string) (int, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return 0, err
	}
	return int(info.Sys().(*syscall.Stat_t).Uid), nil
}
