package storage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"paxbank/server/paxos"
)

// The test binary is a node's process whose disk falls sick when these variables
// say so: what is tested is how a process ends.
const sickDir, sickCase = "PAXBANK_SICK_DIR", "PAXBANK_SICK_CASE"

// bulkyRecords of bulkyBytes fill Pebble's memtable several times, so that it
// must make new files. On a disk that is full, its log goes on for a while in
// files that were allocated before.
const (
	bulkyRecords = 100
	bulkyBytes   = 512 << 10
	sickExit     = 70
)

type operations []errorfs.OpKind

var (
	newFile = operations{errorfs.OpCreate, errorfs.OpReuseForWrite}
	write   = append(operations{errorfs.OpFileWrite, errorfs.OpFileWriteAt, errorfs.OpFilePreallocate}, newFile...)
	fsync   = operations{errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo}
)

// sicknesses are what can happen to a disk, to files whose path contains file.
var sicknesses = []struct {
	name string
	file string
	ops  operations
	err  syscall.Errno
}{
	{"full", "", write, syscall.ENOSPC},
	{"no room for the log", ".log", write, syscall.ENOSPC},
	{"no room for tables", ".sst", write, syscall.ENOSPC},
	{"no room for the manifest", "MANIFEST", write, syscall.ENOSPC},
	{"no new files", "", newFile, syscall.ENOSPC},
	{"no new log", ".log", newFile, syscall.EIO},
	{"fsync fails", "", fsync, syscall.EIO},
	{"fsync of the log fails", ".log", fsync, syscall.EIO},
	{"fsync of tables fails", ".sst", fsync, syscall.EIO},
}

// sicken writes records to a store, whose disk falls sick after the first, and
// prints a letter for each that is acknowledged. Like a node, it ends in OnFatal.
func sicken(dir, name string) {
	for _, c := range sicknesses {
		if c.name != name {
			continue
		}
		var sick atomic.Bool
		injector := errorfs.InjectorFunc(func(op errorfs.Op) error {
			for _, kind := range c.ops {
				if sick.Load() && op.Kind == kind && strings.Contains(filepath.Base(op.Path), c.file) {
					return c.err
				}
			}
			return nil
		})
		end := func(err error) {
			fmt.Fprintf(os.Stderr, "server: n1: %v\n", err)
			os.Exit(sickExit)
		}
		s, err := Open(dir, Options{FS: errorfs.Wrap(vfs.Default, injector), OnFatal: end})
		if err == nil {
			err = s.Configure(identity)
		}
		for n := uint64(1); n <= bulkyRecords && err == nil; n++ {
			if err = s.Write([]paxos.Record{bulky(n)}); err == nil {
				fmt.Print("a")
			}
			sick.Store(true)
		}
		fmt.Fprintf(os.Stderr, "%d records are written, and OnFatal was not called: %v\n", bulkyRecords, err)
	}
	os.Exit(1)
}

func bulky(n uint64) paxos.Record {
	r := accepted(1, n, n)
	r.Data = bytes.Repeat([]byte{byte(n)}, bulkyBytes)
	return r
}

// TestSickDisk: whatever a disk refuses, and on whichever goroutine of Pebble's
// that happens, the process ends at once with one line that names the cause;
// and what it acknowledged is there when the disk is well again.
func TestSickDisk(t *testing.T) {
	for _, c := range sicknesses {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			cmd := exec.CommandContext(ctx, os.Args[0])
			cmd.Env = append(os.Environ(), sickDir+"="+dir, sickCase+"="+c.name)
			var stdout, stderr bytes.Buffer
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			err := cmd.Run()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != sickExit {
				t.Errorf("ended with %v, want exit status %d", err, sickExit)
			}
			line := stderr.String()
			if !strings.HasPrefix(line, "server: n1: data directory "+dir+": the disk failed: ") ||
				!strings.Contains(line, c.err.Error()) || strings.Count(line, "\n") != 1 {
				t.Errorf("said %.2000q, want one line with %q", line, c.err)
			}
			acknowledged := strings.Count(stdout.String(), "a")
			if acknowledged < 1 || acknowledged == bulkyRecords {
				t.Errorf("%d records were acknowledged", acknowledged)
			}
			s := open(t, dir, Options{})
			defer s.Close()
			records := load(t, s)
			if len(records) < acknowledged || len(records) > acknowledged+1 {
				t.Fatalf("%d records are there, %d were acknowledged", len(records), acknowledged)
			}
			for i, r := range records {
				if r.Last != uint64(i+1) || !bytes.Equal(r.Data, bulky(r.Last).Data) {
					t.Errorf("record %d is damaged", i+1)
				}
			}
			t.Logf("%d records acknowledged; %s", acknowledged, strings.TrimPrefix(line, "server: n1: data directory "+dir+": "))
		})
	}
}
