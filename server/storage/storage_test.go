package storage

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"paxbank/server/ids"
	"paxbank/server/paxos"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(sickDir); dir != "" {
		sicken(dir, os.Getenv(sickCase))
	}
	goleak.VerifyTestMain(m)
}

var identity = Identity{NodeID: "n1", Config: []byte("config"), Topology: 77, Epoch: 3}

func open(t *testing.T, dir string, opts Options) *Store {
	t.Helper()
	s, err := Open(dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func load(t *testing.T, s *Store) []paxos.Record {
	t.Helper()
	records, err := s.Load()
	if err != nil {
		t.Fatal(err)
	}
	return records
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func ballot(n uint64) ids.Ballot { return ids.Ballot{Counter: n, Node: 1} }

func promise(n uint64) paxos.Record {
	return paxos.Record{Kind: paxos.RecordPromise, Ballot: ballot(n)}
}

func accepted(n, first, last uint64) paxos.Record {
	return paxos.Record{Kind: paxos.RecordFrame, Ballot: ballot(n), First: first, Last: last, ViewFirst: 1,
		NewView: first == 1, Data: bytes.Repeat([]byte{byte(first)}, 20)}
}

func commit(n uint64) paxos.Record { return paxos.Record{Kind: paxos.RecordCommit, Commit: n} }

func checkpoint(n uint64) paxos.Record {
	return paxos.Record{Kind: paxos.RecordCheckpoint, Commit: n, Data: []byte("state")}
}

func want(t *testing.T, got []paxos.Record, records ...paxos.Record) {
	t.Helper()
	if d := cmp.Diff(append([]paxos.Record{}, records...), append([]paxos.Record{}, got...)); d != "" {
		t.Fatalf("-want +got\n%s", d)
	}
}

func TestReload(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "deep", "n1")
	s := open(t, dir, Options{})
	if _, ok := s.Identity(); ok {
		t.Fatal("an empty directory has an identity")
	}
	check(t, s.Configure(identity))
	check(t, s.Write([]paxos.Record{promise(1)}))
	check(t, s.Write([]paxos.Record{accepted(1, 1, 1), accepted(1, 2, 300)}))
	check(t, s.Write([]paxos.Record{promise(2), commit(9)}))
	check(t, s.Write([]paxos.Record{accepted(2, 200, 256)}))
	check(t, s.Write(nil))
	if s.Syncs() != 5 {
		t.Errorf("%d syncs, want 5: configure and four writes", s.Syncs())
	}
	check(t, s.Close())

	s = open(t, dir, Options{})
	id, ok := s.Identity()
	if d := cmp.Diff(identity, id); !ok || d != "" {
		t.Fatalf("identity: %v\n%s", ok, d)
	}
	want(t, load(t, s), accepted(1, 1, 1), accepted(1, 2, 300), promise(2), commit(9), accepted(2, 200, 256))
	// The numbering goes on where it stopped: a later frame is loaded later.
	check(t, s.Write([]paxos.Record{accepted(2, 257, 257)}))
	want(t, load(t, s), accepted(1, 1, 1), accepted(1, 2, 300), promise(2), commit(9), accepted(2, 200, 256), accepted(2, 257, 257))

	id.Config = []byte("other addresses")
	check(t, s.Amend(id))
	check(t, s.Close())
	s = open(t, dir, Options{})
	if got, _ := s.Identity(); string(got.Config) != "other addresses" || len(load(t, s)) != 6 {
		t.Errorf("after Amend: %+v and %d records, want the new config and all 6", got, len(load(t, s)))
	}
	check(t, s.Close())
}

func TestResetReplacesEverything(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	check(t, s.Configure(identity))
	check(t, s.Write([]paxos.Record{promise(5), accepted(5, 1, 9), commit(9), checkpoint(4)}))
	next := identity
	next.Epoch = 4
	check(t, s.Configure(next))
	want(t, load(t, s))
	check(t, s.Write([]paxos.Record{accepted(1, 1, 1)}))
	check(t, s.Close())
	s = open(t, dir, Options{})
	if id, _ := s.Identity(); id.Epoch != 4 {
		t.Errorf("epoch %d, want 4", id.Epoch)
	}
	want(t, load(t, s), accepted(1, 1, 1))
	check(t, s.Close())
}

func TestCheckpointDropsFrames(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	check(t, s.Configure(identity))
	check(t, s.Write([]paxos.Record{accepted(1, 1, 10), accepted(1, 11, 20), accepted(1, 21, 30)}))
	// A new view re-proposes from 15 on, so frames do not end in ascending order.
	check(t, s.Write([]paxos.Record{accepted(2, 15, 19), accepted(2, 31, 31)}))
	check(t, s.Write([]paxos.Record{checkpoint(20), accepted(2, 32, 32)}))
	left := []paxos.Record{accepted(1, 21, 30), accepted(2, 31, 31), checkpoint(20), accepted(2, 32, 32)}
	want(t, load(t, s), left...)
	check(t, s.Close())
	s = open(t, dir, Options{})
	want(t, load(t, s), left...)
	// The index of frames survived too: the next checkpoint drops the rest.
	check(t, s.Write([]paxos.Record{checkpoint(32)}))
	want(t, load(t, s), checkpoint(32))
	check(t, s.Close())
}

// TestDurable takes a crash clone of the disk, which holds exactly what was
// fsynced, at the moment Write returns: the moment a PROMISE or ACCEPTED may
// leave. The same check must fail when the fsync is left out, or it would show
// nothing.
func TestDurable(t *testing.T) {
	for _, unsynced := range []bool{false, true} {
		fs := vfs.NewCrashableMem()
		s := open(t, "data", Options{FS: fs})
		check(t, s.Configure(identity))
		check(t, s.Close())
		s = open(t, "data", Options{FS: fs, Unsynced: unsynced})
		for _, r := range []paxos.Record{promise(7), accepted(7, 1, 4), commit(4)} {
			check(t, s.Write([]paxos.Record{r}))
			clone := open(t, "data", Options{FS: fs.CrashClone(vfs.CrashCloneCfg{})})
			records := load(t, clone)
			holds := len(records) > 0 && cmp.Equal(records[len(records)-1], r)
			if holds == unsynced {
				t.Errorf("unsynced=%v: after the crash the disk holds record %v: %v", unsynced, r.Kind, holds)
			}
			check(t, clone.Close())
		}
		check(t, s.Close())
	}
}

// TestResetIsDurable: a crash right after Configure finds the new epoch and
// nothing else.
func TestResetIsDurable(t *testing.T) {
	fs := vfs.NewCrashableMem()
	s := open(t, "data", Options{FS: fs})
	check(t, s.Configure(identity))
	check(t, s.Write([]paxos.Record{promise(7), accepted(7, 1, 4)}))
	next := identity
	next.Epoch++
	check(t, s.Configure(next))
	clone := open(t, "data", Options{FS: fs.CrashClone(vfs.CrashCloneCfg{})})
	if id, ok := clone.Identity(); !ok || id.Epoch != next.Epoch {
		t.Errorf("after the crash: %+v %v, want epoch %d", id, ok, next.Epoch)
	}
	want(t, load(t, clone))
	check(t, clone.Close())
	check(t, s.Close())
}

// TestTornWrite: a crash in the middle of a write leaves any part of it on the
// disk. The node must start again, with all finished writes and all or nothing
// of the torn one; that must not be taken for damage. Small writes go where the log
// has zeros already.
func TestTornWrite(t *testing.T) {
	for _, size := range []int{30, 30_000} {
		t.Run(fmt.Sprint(size), func(t *testing.T) { tearWrites(t, size) })
	}
}

// tearWrites tears writes of three records of so many bytes.
func tearWrites(t *testing.T, size int) {
	const perWrite = 3
	fs := vfs.NewCrashableMem()
	var clones []*vfs.MemFS
	var finished []int
	writes, rng := 0, rand.New(rand.NewPCG(1, 2))
	injector := errorfs.InjectorFunc(func(op errorfs.Op) error {
		if writes > 0 && (op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData) && strings.HasSuffix(op.Path, ".log") {
			clones = append(clones, fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: rng}))
			finished = append(finished, writes-1)
		}
		return nil
	})
	s := open(t, "data", Options{FS: errorfs.Wrap(fs, injector)})
	check(t, s.Configure(identity))
	for writes = 1; writes <= 8; writes++ {
		var records []paxos.Record
		for i := range uint64(perWrite) {
			r := accepted(1, uint64(writes)*perWrite+i, uint64(writes)*perWrite+i)
			r.Data = bytes.Repeat([]byte{7}, size)
			records = append(records, r)
		}
		check(t, s.Write(records))
	}
	writes = 0
	check(t, s.Close())
	if len(clones) < 8 {
		t.Fatalf("only %d crashes in 8 writes", len(clones))
	}
	for i, clone := range clones {
		s := open(t, "data", Options{FS: clone})
		if got := len(load(t, s)); got != finished[i]*perWrite && got != (finished[i]+1)*perWrite {
			t.Errorf("crash in write %d: %d records on the disk", finished[i]+1, got)
		}
		check(t, s.Close())
	}
}

// TestSmallWritesFillALog: small synced writes go into a log that has its length
// already; large ones make it longer as they go.
func TestSmallWritesFillALog(t *testing.T) {
	lengths := func(size int) (lengths map[int64]bool) {
		mem := vfs.NewMem()
		s := open(t, "data", Options{FS: mem})
		check(t, s.Configure(identity))
		lengths = map[int64]bool{}
		for i := range uint64(20) {
			r := accepted(1, i+1, i+1)
			r.Data = bytes.Repeat([]byte{7}, size)
			check(t, s.Write([]paxos.Record{r}))
			lengths[logBytes(t, mem)] = true
		}
		check(t, s.Close())
		return lengths
	}
	if n := lengths(100); len(n) != 1 || !n[zeroedAtOnce] {
		t.Errorf("small writes left logs of %v bytes in all, want always %d", n, zeroedAtOnce)
	}
	if n := lengths(60_000); len(n) < 10 {
		t.Errorf("large writes left logs of %v bytes in all, want a new length with each", n)
	}
}

// logBytes is how long all logs are together.
func logBytes(t *testing.T, fsys vfs.FS) (sum int64) {
	names, err := fsys.List("data")
	check(t, err)
	for _, name := range names {
		if strings.HasSuffix(name, ".log") {
			info, err := fsys.Stat(fsys.PathJoin("data", name))
			check(t, err)
			sum += info.Size()
		}
	}
	return sum
}

func TestDiskFailure(t *testing.T) {
	for _, kind := range []errorfs.OpKind{errorfs.OpFileSync, errorfs.OpFileWrite} {
		var broken atomic.Bool
		var told atomic.Int32
		injector := errorfs.InjectorFunc(func(op errorfs.Op) error {
			if broken.Load() && (op.Kind == kind || kind == errorfs.OpFileSync && op.Kind == errorfs.OpFileSyncData) &&
				strings.HasSuffix(op.Path, ".log") {
				return errorfs.ErrInjected
			}
			return nil
		})
		s := open(t, "data", Options{
			FS:      errorfs.Wrap(vfs.NewMem(), injector),
			OnFatal: func(error) { told.Add(1) },
		})
		check(t, s.Configure(identity))
		broken.Store(true)
		for range 2 { // and it stays failed
			err := s.Write([]paxos.Record{promise(1)})
			if err == nil || !strings.HasPrefix(err.Error(), "data directory data: the disk failed: ") || strings.Contains(err.Error(), "\n") {
				t.Errorf("write on a broken disk: %v", err)
			}
		}
		if told.Load() != 1 {
			t.Errorf("OnFatal was called %d times, want once", told.Load())
		}
		broken.Store(false)
		_ = s.Close() // reports the failure again; only the goroutines matter here
	}
}

func TestOpenErrors(t *testing.T) {
	refuse := func(t *testing.T, dir, want string) {
		t.Helper()
		s, err := Open(dir, Options{})
		if err == nil {
			_ = s.Close()
			t.Fatalf("opened; want error %q", want)
		}
		if !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), dir) || strings.Contains(err.Error(), "\n") {
			t.Fatalf("got error %q, want one line with %q and the directory", err, want)
		}
	}
	configured := func(t *testing.T) string {
		dir := t.TempDir()
		s := open(t, dir, Options{})
		check(t, s.Configure(identity))
		check(t, s.Write([]paxos.Record{promise(1), accepted(1, 1, 5)}))
		check(t, s.Close())
		return dir
	}
	raw := func(t *testing.T, dir string, key, value []byte) {
		t.Helper()
		db, err := pebble.Open(dir, &pebble.Options{Logger: logger{}, FormatMajorVersion: pebble.FormatNewest})
		check(t, err)
		check(t, db.Set(key, value, pebble.Sync))
		check(t, db.Close())
	}
	glob := func(t *testing.T, pattern string) string {
		t.Helper()
		files, _ := filepath.Glob(pattern)
		if len(files) == 0 {
			t.Fatalf("no file %s", pattern)
		}
		return files[len(files)-1]
	}

	t.Run("locked", func(t *testing.T) {
		dir := configured(t)
		s := open(t, dir, Options{})
		refuse(t, dir, "is in use by another process")
		check(t, s.Close())
		check(t, open(t, dir, Options{}).Close())
	})
	t.Run("a file", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "file")
		check(t, os.WriteFile(file, nil, 0o644))
		refuse(t, file, "cannot be made")
	})
	t.Run("somebody else's directory", func(t *testing.T) {
		dir := t.TempDir()
		check(t, os.WriteFile(filepath.Join(dir, "thesis.tex"), nil, 0o644))
		refuse(t, dir, "holds thesis.tex")
	})
	t.Run("newer format", func(t *testing.T) {
		dir := configured(t)
		raw(t, dir, keyIdentity, encodeIdentity(FormatVersion+1, stamped{Identity: identity}))
		refuse(t, dir, "has format 2, this program knows only 1")
	})
	t.Run("identity damaged", func(t *testing.T) {
		dir := configured(t)
		v := encodeIdentity(FormatVersion, stamped{Identity: identity})
		v[9] ^= 1
		raw(t, dir, keyIdentity, v)
		refuse(t, dir, "is damaged and cannot be used: its identity has the checksum")
	})
	t.Run("unknown key", func(t *testing.T) {
		dir := configured(t)
		raw(t, dir, []byte("zebra"), []byte("?"))
		refuse(t, dir, `is damaged and cannot be used: record "zebra" has only 1 bytes`)
	})
	t.Run("no manifest", func(t *testing.T) {
		dir := configured(t)
		check(t, os.Remove(glob(t, filepath.Join(dir, "MANIFEST-*"))))
		refuse(t, dir, "is damaged and cannot be used")
	})
	t.Run("no marker", func(t *testing.T) {
		dir := configured(t)
		check(t, os.Remove(glob(t, filepath.Join(dir, "marker.manifest*"))))
		refuse(t, dir, "is damaged and cannot be used")
	})
	t.Run("log damaged", func(t *testing.T) {
		dir := configured(t)
		s := open(t, dir, Options{})
		for i := range uint64(20) { // the last write alone could be a torn one
			check(t, s.Write([]paxos.Record{accepted(1, 6+i, 6+i)}))
		}
		check(t, s.Close())
		// Find accepted entries in the write-ahead log and change one byte.
		name := glob(t, filepath.Join(dir, "*.log"))
		data, err := os.ReadFile(name)
		check(t, err)
		i := bytes.Index(data, accepted(1, 6, 6).Data)
		if i < 0 {
			t.Fatalf("%s does not hold the entries", name)
		}
		data[i] ^= 1
		check(t, os.WriteFile(name, data, 0o644))
		refuse(t, dir, "is damaged and cannot be used")
	})
}

func TestDecodeRecordGarbage(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	check(t, s.Configure(identity))
	r := accepted(3, 4, 9)
	check(t, s.Write([]paxos.Record{r}))
	good, err := s.get(frameKey(0))
	check(t, err)
	check(t, s.Close())
	if _, got, err := decodeRecord(frameKey(0), good); err != nil || !cmp.Equal(got, r) {
		t.Fatalf("%+v, %v", got, err)
	}
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 0x40
		if _, _, err := decodeRecord(frameKey(0), bad); err == nil {
			t.Errorf("a change of byte %d went unnoticed", i)
		}
		if _, _, err := decodeRecord(frameKey(0), good[:i]); err == nil {
			t.Errorf("a record cut to %d bytes went unnoticed", i)
		}
	}
	if _, _, err := decodeRecord(frameKey(1), good); err == nil {
		t.Error("a record under another key went unnoticed")
	}
	if _, _, err := decodeRecord(keyPromise, good); err == nil {
		t.Error("a frame as a promise went unnoticed")
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(encodeIdentity(FormatVersion, stamped{Identity: identity}))
	f.Add(bytes.Repeat([]byte{1}, headerSize+3))
	f.Fuzz(func(t *testing.T, data []byte) {
		_, _, _ = decodeRecord(keyPromise, data) // must not panic
		if _, id, err := decodeIdentity(data); err == nil && !bytes.Equal(encodeIdentity(FormatVersion, id), data) {
			t.Fatalf("%x decodes to %+v, which encodes to something else", data, id)
		}
	})
}
