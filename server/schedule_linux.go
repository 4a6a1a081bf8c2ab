package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// timerSlack is how late the kernel may wake a thread that sleeps for a time. The
	// Go runtime's monitor thread sleeps 20 µs at a time while anything runs, which on
	// a virtual machine, where every timer is an exit, took an eighth of what nodes
	// used. With one processor for Go there is nobody to steal work from and no other
	// short sleep; the core's shortest timers are a millisecond or two. The price: it is
	// the monitor that takes the processor away from a thread in a system call, so an
	// fsync holds up its node for two of the monitor's rounds, which are two
	// milliseconds now. A shorter one it held up to its end before, too, or nearly.
	timerSlack = time.Millisecond
	// executedBy holds the number of the process that has executed itself already.
	executedBy = "PAXBANK_EXECUTED_BY"
)

// The first thread is the one that executes the program anew: the signal that ends a
// node when its driver dies (PR_SET_PDEATHSIG) belongs to it alone. Initialisation runs
// on it, and main stays there until runInBackground lets it go.
func init() { runtime.LockOSThread() }

// runInBackground tells the kernel to treat this process as one that works and is
// not waited for by a person, and executes it anew: only what a thread has when the
// program begins is inherited by all threads of the Go runtime. It needs no
// privilege and leaves a policy alone that somebody chose. On success it returns
// only in the new program; after an error the process goes on as it is.
//
// SCHED_BATCH (sched(7)): a thread that wakes takes a processor that is free, but
// pushes no other process off one. On a machine with more busy processes than
// processors each then gets more done in its turn, so that more transfers share a
// frame and a sync; on one with processors to spare nothing changes.
func runInBackground() error {
	defer runtime.UnlockOSThread() // from init
	pid := strconv.Itoa(os.Getpid())
	done := os.Getenv(executedBy) == pid
	if err := os.Unsetenv(executedBy); done || err != nil {
		return err
	}
	attr, err := unix.SchedGetAttr(0, 0)
	if err != nil {
		return fmt.Errorf("sched_getattr: %w", err)
	}
	if attr.Policy == unix.SCHED_NORMAL {
		batch := &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_BATCH, Nice: attr.Nice}
		if err := unix.SchedSetAttr(0, batch, 0); err != nil {
			return fmt.Errorf("sched_setattr: %w", err)
		}
	}
	if runtime.GOMAXPROCS(0) == 1 {
		if err := unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(timerSlack), 0, 0, 0); err != nil {
			return fmt.Errorf("prctl: %w", err)
		}
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return syscall.Exec(self, os.Args, append(os.Environ(), executedBy+"="+pid))
}
