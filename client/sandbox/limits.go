//go:build unix

package sandbox

import (
	"fmt"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// set sets the limits that the kernel watches, for this process and all that it
// starts: no core dumps, open files, size of a file, processor time and, when
// maxTasks is not 0, tasks of the user.
func (l Limits) set(maxTasks int) error {
	limits := []struct {
		what     string
		resource int
		value    int64 // negative: left as it is
	}{
		{"core dumps", unix.RLIMIT_CORE, 0},
		{"open files", unix.RLIMIT_NOFILE, int64(l.OpenFiles)},
		{"the size of files", unix.RLIMIT_FSIZE, l.FileSize},
		{"processor time", unix.RLIMIT_CPU, orNone(int64((l.CPU + time.Second - 1) / time.Second))},
		{"tasks", unix.RLIMIT_NPROC, orNone(int64(maxTasks))},
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
