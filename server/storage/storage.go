// Package storage keeps what a node must not forget: who it is, what it
// promised, what it accepted and its last checkpoint. It sits on Pebble, whose
// write-ahead log gives atomic, synced batches; nothing here reads the database
// except when a node starts.
//
// One key holds the identity, one each the promise, the commit index and the
// checkpoint, and every log frame has a key of its own, numbered in the order of
// writing. A frame is stored as it was received, so a batch of entries costs one
// key, whatever it holds. Every value carries a checksum: damage on the disk is
// an error with a name, never a wrong balance.
package storage

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"paxbank/server/paxos"
)

// FormatVersion is the layout of the keys and values that this program writes.
// It refuses directories of a higher one.
const FormatVersion = 1

// Sizes of Pebble's caches. A node reads its log only when it starts, so both
// may be small; nine nodes share one machine. But a mem table should hold more than
// the entries between two checkpoints (50,000, some 10 MB): those that a checkpoint
// drops while they are still in it are never written to a table.
const (
	cacheBytes    = 8 << 20
	memTableBytes = 16 << 20
)

// Identity says whose data a directory holds.
type Identity struct {
	NodeID string
	// Config is the configuration as the caller encodes it (topology, limits).
	Config []byte
	// Topology is the topology's fingerprint.
	Topology uint64
	Epoch    uint64
}

// Options change how a store is opened. The zero value is right for a node.
type Options struct {
	// FS is the file system; nil for the real one.
	FS vfs.FS
	// Unsynced leaves out every fsync. A node that runs so loses what it
	// acknowledged when the machine stops; it exists so that a test can show that
	// the fsync matters, and that a crash test would notice its absence.
	Unsynced bool
	// OnFatal is told when the disk fails for good, possibly on a goroutine of
	// Pebble's; the node must stop then. When nil, the next Write reports it.
	OnFatal func(error)
}

// Store is an open data directory. Write and Configure may not be called at the
// same time; the other methods may be called whenever.
type Store struct {
	dir   string
	db    *pebble.DB
	lock  *pebble.Lock
	wo    *pebble.WriteOptions
	cache *pebble.Cache

	identity   Identity
	configured bool

	next   position // of the next record
	frames []frame  // all frames on disk, in writing order
	syncs  atomic.Uint64

	onFatal   func(error)
	fatalOnce sync.Once
	fatal     atomic.Pointer[error]
}

// frame is what has to be remembered of a log frame to drop it some day.
type frame struct{ seq, last uint64 }

// Open opens the data directory, makes it when it is not there, and locks it
// against other processes. Its errors name the directory and what to do.
func Open(dir string, opts Options) (*Store, error) {
	if opts.FS == nil {
		opts.FS = vfs.Default
	}
	if err := opts.FS.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("data directory %s cannot be made: %w", dir, rootCause(err))
	}
	lock, err := pebble.LockDirectory(dir, opts.FS)
	if err != nil {
		// The lock of another process is a bare errno; a file that cannot be made
		// names its path.
		if path := (*fs.PathError)(nil); errors.As(err, &path) {
			return nil, fmt.Errorf("data directory %s cannot be written: %w", dir, rootCause(err))
		}
		return nil, fmt.Errorf("data directory %s is in use by another process; stop that one or choose another --data", dir)
	}
	s := &Store{dir: dir, lock: lock, onFatal: opts.OnFatal, wo: pebble.Sync}
	if opts.Unsynced {
		s.wo = pebble.NoSync
	}
	if err := s.open(opts.FS); err != nil {
		err = errors.Join(err, s.Close())
		return nil, oneLine(err)
	}
	return s, nil
}

func (s *Store) open(fsys vfs.FS) error {
	if err := checkForeign(s.dir, fsys); err != nil {
		return err
	}
	raw, err := lastWriteInLogs(s.dir, fsys)
	if err != nil {
		return fmt.Errorf("data directory %s cannot be read: %w", s.dir, rootCause(err))
	}
	s.cache = pebble.NewCache(cacheBytes)
	watched := &watchFS{FS: fsys, failed: func(err error) { _ = s.failed(err) }}
	opts := &pebble.Options{
		FS:                    watched,
		Lock:                  s.lock,
		Cache:                 s.cache,
		MemTableSize:          memTableBytes,
		FormatMajorVersion:    pebble.FormatNewest,
		Logger:                logger{s},
		MaxOpenFiles:          64,
		L0CompactionThreshold: 2,
	}
	// The usual scheduler looks ten times a second whether a compaction may
	// start, which nine idle nodes on one machine feel. This one looks when a
	// flush or a compaction ends, and that is when something can have changed.
	opts.Experimental.CompactionScheduler = pebble.NewConcurrencyLimitSchedulerWithNoPeriodicGrantingForTest()
	db, err := pebble.Open(s.dir, opts)
	if err != nil {
		return s.damaged(rootCause(err))
	}
	s.db = db
	if err := s.readIdentity(); err != nil {
		return err
	}
	if err := s.readFrames(); err != nil {
		return err
	}
	// Pebble takes damage near the end of its log for a write that was under way
	// when the process died, and silently drops what follows. But a write begins
	// only when the one before is on disk: where there is something of write k+1,
	// write k was acknowledged and must not be missing.
	if raw > s.next.write {
		return s.damaged(fmt.Errorf("write %d is missing although write %d, which was made later, is there", s.next.write, raw))
	}
	watched.armed.Store(true) // until here errors were Open's to return
	return nil
}

// lastWriteInLogs looks into the write-ahead logs before Pebble cleans them up.
func lastWriteInLogs(dir string, fsys vfs.FS) (last uint64, err error) {
	names, err := fsys.List(dir)
	if err != nil {
		return 0, err
	}
	for _, name := range names {
		if !strings.HasSuffix(name, ".log") {
			continue
		}
		f, err := fsys.Open(fsys.PathJoin(dir, name))
		if err != nil {
			return 0, err
		}
		data, err := io.ReadAll(f)
		if err := errors.Join(err, f.Close()); err != nil {
			return 0, err
		}
		last = max(last, lastWriteIn(data))
	}
	return last, nil
}

// checkForeign refuses a directory that holds something else, or a database
// that has lost the file that everything hangs on: Pebble would start an empty
// one beside the remains, and the node would forget its promises.
func checkForeign(dir string, fsys vfs.FS) error {
	desc, err := pebble.Peek(dir, fsys)
	if err != nil {
		return fmt.Errorf("data directory %s is damaged and cannot be used: %w", dir, rootCause(err))
	}
	if desc.Exists {
		return nil
	}
	names, err := fsys.List(dir)
	if err != nil {
		return fmt.Errorf("data directory %s cannot be read: %w", dir, rootCause(err))
	}
	sort.Strings(names)
	for _, name := range names {
		switch {
		case strings.HasSuffix(name, ".log") || strings.HasSuffix(name, ".sst") || strings.HasSuffix(name, ".blob"):
			return fmt.Errorf("data directory %s is damaged and cannot be used: it holds %s but no MANIFEST", dir, name)
		case name == "LOCK" || strings.HasPrefix(name, "marker.") || strings.HasPrefix(name, "MANIFEST-") ||
			strings.HasPrefix(name, "OPTIONS-") || strings.HasSuffix(name, ".dbtmp"):
			// Left by a process that died while it made the directory.
		default:
			return fmt.Errorf("data directory %s is not one of a server: it holds %s; choose an empty one", dir, name)
		}
	}
	return nil
}

func (s *Store) damaged(err error) error {
	return fmt.Errorf("data directory %s is damaged and cannot be used: %w", s.dir, err)
}

func (s *Store) get(key []byte) ([]byte, error) {
	value, closer, err := s.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, s.damaged(rootCause(err))
	}
	defer closer.Close()
	return bytes.Clone(value), nil
}

func (s *Store) readIdentity() error {
	value, err := s.get(keyIdentity)
	if err != nil || value == nil {
		return err
	}
	version, id, err := decodeIdentity(value)
	if version > FormatVersion {
		return fmt.Errorf("data directory %s has format %d, this program knows only %d; use a newer server", s.dir, version, FormatVersion)
	}
	if err != nil {
		return s.damaged(err)
	}
	s.identity, s.configured = id.Identity, true
	s.next = position{id.write + 1, id.seq}
	return nil
}

// readFrames fills the index of frames, and finds the next record number. It
// checks every record on the way, so damage shows when the node starts.
func (s *Store) readFrames() error {
	return s.each(func(at position, r *paxos.Record) {
		s.next.write = max(s.next.write, at.write+1)
		s.next.seq = max(s.next.seq, at.seq+1)
		if r.Kind == paxos.RecordFrame {
			s.frames = append(s.frames, frame{at.seq, r.Last})
		}
	})
}

// each calls f for every record, in the order of keys. The record's Data is
// valid during the call.
func (s *Store) each(f func(at position, r *paxos.Record)) (err error) {
	it, err := s.db.NewIter(nil)
	if err != nil {
		return s.damaged(rootCause(err))
	}
	defer func() {
		if e := it.Close(); e != nil && err == nil {
			err = s.damaged(rootCause(e))
		}
	}()
	for ok := it.First(); ok; ok = it.Next() {
		key := it.Key()
		if bytes.Equal(key, keyIdentity) {
			continue
		}
		value, err := it.ValueAndErr()
		if err != nil {
			return s.damaged(rootCause(err))
		}
		at, r, err := decodeRecord(key, value)
		if err != nil {
			return s.damaged(err)
		}
		f(at, &r)
	}
	return nil
}

// Identity returns whose data the directory holds; false when it is empty.
func (s *Store) Identity() (Identity, bool) { return s.identity, s.configured }

// Dir returns the directory.
func (s *Store) Dir() string { return s.dir }

// Syncs returns how many synced writes were made.
func (s *Store) Syncs() uint64 { return s.syncs.Load() }

// Load returns everything on disk in the order in which it was written.
func (s *Store) Load() ([]paxos.Record, error) {
	type numbered struct {
		seq uint64
		paxos.Record
	}
	var all []numbered
	err := s.each(func(at position, r *paxos.Record) {
		r.Data = bytes.Clone(r.Data)
		all = append(all, numbered{at.seq, *r})
	})
	if err != nil {
		return nil, err
	}
	sort.Slice(all, func(i, j int) bool { return all[i].seq < all[j].seq })
	records := make([]paxos.Record, len(all))
	for i := range all {
		records[i] = all[i].Record
	}
	return records, nil
}

// Configure durably replaces everything in the directory, in one step, by a new
// identity with nothing promised and nothing accepted. That is a reset.
func (s *Store) Configure(id Identity) error {
	if err := s.identify(id, true); err != nil {
		return err
	}
	s.frames = nil
	return nil
}

// Amend durably replaces the identity alone: addresses and limits may change
// while the data stay.
func (s *Store) Amend(id Identity) error { return s.identify(id, false) }

func (s *Store) identify(id Identity, wipe bool) error {
	id.Config = bytes.Clone(id.Config)
	b := s.db.NewBatch()
	if wipe {
		if err := b.DeleteRange([]byte{0}, keyEnd, nil); err != nil {
			return s.failed(err)
		}
	}
	if err := b.Set(keyIdentity, encodeIdentity(FormatVersion, stamped{id, s.next}), nil); err != nil {
		return s.failed(err)
	}
	if err := s.commit(b); err != nil {
		return err
	}
	s.identity, s.configured = id, true
	return nil
}

// Write makes the records durable, all of them or none: when it returns nil
// they survive a crash of the machine. After an error nothing may be
// acknowledged any more and the node must stop: what the disk holds is unknown.
//
// A lone RecordCommit would do without the fsync, but would then sit in a buffer
// of this process, and a killed node would come back with an older commit index
// than it had; such batches are rare, so they are synced too.
func (s *Store) Write(records []paxos.Record) error {
	if len(records) == 0 {
		return nil
	}
	b := s.db.NewBatch()
	var checkpoint, checkpointSeq uint64
	frames := s.frames
	for i := range records {
		r := &records[i]
		if err := setRecord(b, s.next, r); err != nil {
			return s.failed(err)
		}
		switch r.Kind {
		case paxos.RecordFrame:
			frames = append(frames, frame{s.next.seq, r.Last})
		case paxos.RecordCheckpoint:
			checkpoint, checkpointSeq = r.Commit, s.next.seq
		}
		s.next.seq++
	}
	if err := s.commit(b); err != nil {
		return err
	}
	s.frames = frames
	if checkpoint > 0 {
		return s.truncate(checkpoint, checkpointSeq)
	}
	return nil
}

// truncate drops the frames that the checkpoint at index covers. Those written
// after it stay until the next one, so that the last write always leaves a trace
// (see open). It needs no fsync: a frame that comes back after a crash is below
// the checkpoint.
func (s *Store) truncate(index, before uint64) error {
	covered := func(f frame) bool { return f.last <= index && f.seq < before }
	b := s.db.NewBatch()
	run := 0 // length of the covered run at the front, dropped as one range
	for run < len(s.frames) && covered(s.frames[run]) {
		run++
	}
	var err error
	if run > 0 {
		err = b.DeleteRange(frameKey(0), frameKey(s.frames[run-1].seq+1), nil)
	}
	keep := s.frames[:0]
	for _, f := range s.frames[run:] {
		if covered(f) {
			err = errors.Join(err, b.Delete(frameKey(f.seq), nil))
		} else {
			keep = append(keep, f)
		}
	}
	s.frames = keep
	if err = errors.Join(err, s.db.Apply(b, pebble.NoSync)); err != nil {
		return s.failed(err)
	}
	return s.failure()
}

// commit writes b durably and closes it.
func (s *Store) commit(b *pebble.Batch) error {
	if err := s.failure(); err != nil {
		return err
	}
	s.syncs.Add(1)
	err := s.db.Apply(b, s.wo)
	if failure := s.failure(); failure != nil {
		return failure // says more, and Apply may return nil after it
	}
	if err != nil {
		return s.failed(err)
	}
	s.next.write++
	return b.Close()
}

func (s *Store) failure() error {
	if err := s.fatal.Load(); err != nil {
		return *err
	}
	return nil
}

// failed remembers that the disk failed and tells whoever has to stop the node.
func (s *Store) failed(cause error) error {
	s.fatalOnce.Do(func() {
		err := oneLine(fmt.Errorf("data directory %s: the disk failed: %w", s.dir, rootCause(cause)))
		s.fatal.Store(&err)
		if s.onFatal != nil {
			s.onFatal(err)
		}
	})
	return s.failure()
}

// Close gives the directory free. What was written stays.
func (s *Store) Close() error {
	var err error
	if s.db != nil {
		err = s.db.Close()
		s.db = nil
	}
	if s.cache != nil {
		s.cache.Unref()
		s.cache = nil
	}
	if s.lock != nil {
		err = errors.Join(err, s.lock.Close())
		s.lock = nil
	}
	return err
}

// rootCause drops what Pebble's errors carry beside the message.
func rootCause(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return fmt.Errorf("%s %s: %w", path.Op, filepath.Base(path.Path), path.Err)
	}
	return err
}

// oneLine joins the lines of an error.
func oneLine(err error) error {
	if s := err.Error(); strings.Contains(s, "\n") {
		return errors.New(strings.ReplaceAll(strings.TrimSpace(s), "\n", "; "))
	}
	return err
}

var _ io.Closer = (*Store)(nil)
