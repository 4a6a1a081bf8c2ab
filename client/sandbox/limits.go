//go:build unix

package sandbox

import (
	"fmt"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// set sets the limits that the kernel watches, for this process and all that it
// starts: no core dumps, open files, size of a file and processor time.
func (l Limits) set() error {
	limits := []struct {
		what     string
		resource int
		value    int64 // negative: left as it is
	}{
		{"core dumps", unix.RLIMIT_CORE, 0},
		{"open files", unix.RLIMIT_NOFILE, int64(l.OpenFiles)},
		{"the size of files", unix.RLIMIT_FSIZE, l.FileSize},
		{"processor time", unix.RLIMIT_CPU, orNone(int64((l.CPU + time.Second - 1) / time.Second))},
	}
	for _, x := range limits {
		if x.value < 0 {
			continue
		}
		var r syscall.Rlimit
		if err := syscall.Getrlimit(x.resource, &r); err != nil {
			return fmt.Errorf("limiting %s: %w", x.what, err)
		}
		// Nobody but a privileged process may raise the upper one.
		lower(&r.Max, x.value)
		r.Cur = r.Max
		if err := syscall.Setrlimit(x.resource, &r); err != nil {
			return fmt.Errorf("limiting %s: %w", x.what, err)
		}
	}
	return nil
}

// setTasks limits the tasks of this process' user, for this process and all that it
// starts: now, and what they may raise that to. What is lower already stays.
func setTasks(now, most int) error {
	var r syscall.Rlimit
	if err := syscall.Getrlimit(unix.RLIMIT_NPROC, &r); err != nil {
		return fmt.Errorf("limiting tasks: %w", err)
	}
	lower(&r.Max, int64(most))
	r.Cur = r.Max
	lower(&r.Cur, int64(now))
	if err := syscall.Setrlimit(unix.RLIMIT_NPROC, &r); err != nil {
		return fmt.Errorf("limiting tasks: %w", err)
	}
	return nil
}

func orNone(n int64) int64 {
	if n == 0 {
		return -1
	}
	return n
}

// lower sets a limit, whose type is not the same everywhere, unless it is lower.
func lower[T int64 | uint64](limit *T, to int64) {
	if *limit < 0 || *limit > T(to) {
		*limit = T(to)
	}
}
