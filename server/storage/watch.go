package storage

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// watchFS tells failed of every write, sync or new file that the disk refuses.
// Pebble would do one of three things with such an error, depending on where it
// happens: call its logger's Fatalf, which is what we want; panic while it holds
// a lock, which ends the process in pages of stack instead of a line (a new log
// file cannot be made); or try again for ever in the background while memory
// fills and writes stall (a table cannot be written). A node must stop at the
// first of them.
type watchFS struct {
	vfs.FS
	failed func(error)
	armed  atomic.Bool // errors are reported
}

// see reports err, if any, and passes it on.
func (w *watchFS) see(err error) error {
	if err != nil && w.armed.Load() {
		w.failed(err)
	}
	return err
}

func (w *watchFS) file(f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, w.see(err)
	}
	return &watchFile{f, w}, nil
}

func (w *watchFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return w.file(w.FS.Create(name, category))
}

func (w *watchFS) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return w.file(w.FS.ReuseForWrite(oldname, newname, category))
}

func (w *watchFS) OpenReadWrite(name string, category vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return w.file(w.FS.OpenReadWrite(name, category, opts...))
}

// OpenDir opens a directory to sync it.
func (w *watchFS) OpenDir(name string) (vfs.File, error) { return w.file(w.FS.OpenDir(name)) }

func (w *watchFS) Rename(oldname, newname string) error {
	return w.see(w.FS.Rename(oldname, newname))
}

// Unwrap implements vfs.FS.
func (w *watchFS) Unwrap() vfs.FS { return w.FS }

// watchFile is a file that is written. Preallocate is not watched: a file system
// may not know it, and a write tells soon enough.
type watchFile struct {
	vfs.File
	fs *watchFS
}

func (f *watchFile) Write(p []byte) (int, error) {
	n, err := f.File.Write(p)
	return n, f.fs.see(err)
}

func (f *watchFile) WriteAt(p []byte, at int64) (int, error) {
	n, err := f.File.WriteAt(p, at)
	return n, f.fs.see(err)
}

func (f *watchFile) Sync() error { return f.fs.see(f.File.Sync()) }

func (f *watchFile) SyncData() error { return f.fs.see(f.File.SyncData()) }

func (f *watchFile) SyncTo(length int64) (full bool, err error) {
	full, err = f.File.SyncTo(length)
	return full, f.fs.see(err)
}

// logger keeps Pebble quiet, and turns its "exit now" into a failed store.
type logger struct{ s *Store }

func (logger) Infof(string, ...any)  {}
func (logger) Errorf(string, ...any) {}
func (l logger) Fatalf(format string, args ...any) {
	// The cause is already said once by us; Pebble's prefix adds nothing.
	msg := strings.TrimPrefix(fmt.Sprintf(format, args...), "pebble: fatal commit error: ")
	_ = l.s.failed(errors.New(msg))
}
