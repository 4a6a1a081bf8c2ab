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
	f, err := w.file(w.FS.Create(name, category))
	if err == nil && strings.HasSuffix(name, ".log") {
		f = &logFile{File: f}
	}
	return f, err
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

// logFile is a new write-ahead log, whose end is some zeros away while writes are
// small: a synced write into space that is there already need not sync the file's
// length and extents too, which takes a third to a half of the time. Pebble uses old
// logs again for the same reason, but only once it has some. Its reader takes zeros
// for the end.
type logFile struct {
	vfs.File
	at, end int64
	// Bytes since the last sync, and between that and the one before.
	unsynced, synced int
}

const (
	// zeroedAtOnce is some hundred small writes' worth, and little enough to go
	// unnoticed.
	zeroedAtOnce = 256 << 10
	// smallSync: what more bytes share a sync does not gain by zeros, which are
	// written too.
	smallSync = 16 << 10
)

var zeros [zeroedAtOnce]byte

func (f *logFile) Write(p []byte) (int, error) {
	f.unsynced += len(p)
	if max(f.unsynced, f.synced) <= smallSync && f.at+int64(len(p)) > f.end {
		n, err := f.WriteAt(zeros[:], max(f.at, f.end))
		f.end = max(f.at, f.end) + int64(n)
		if err != nil {
			return 0, err
		}
	}
	n, err := f.File.Write(p)
	f.at += int64(n)
	return n, err
}

func (f *logFile) SyncData() error {
	f.unsynced, f.synced = 0, f.unsynced
	return f.File.SyncData()
}

func (f *logFile) Sync() error {
	f.unsynced, f.synced = 0, f.unsynced
	return f.File.Sync()
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
