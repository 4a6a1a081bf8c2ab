package main

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// scheduleInBatches tells the kernel that this process is not interactive
// (SCHED_BATCH, sched(7)): a thread of it that wakes takes a processor that is
// free, but does not push another process off one. On a machine with more busy
// processes than processors each then gets more done in its turn, so that more
// transfers share a frame and a sync; on one with processors to spare nothing
// changes. Threads that start later inherit it. It needs no privilege, and leaves a
// policy that somebody chose alone.
func scheduleInBatches() error {
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	for _, task := range tasks {
		tid, err := strconv.Atoi(task.Name())
		if err != nil {
			continue
		}
		attr, err := unix.SchedGetAttr(tid, 0)
		if err == nil && attr.Policy == unix.SCHED_NORMAL {
			attr.Policy = unix.SCHED_BATCH
			err = unix.SchedSetAttr(tid, attr, 0)
		}
		if err != nil && err != unix.ESRCH { // a thread may have ended since
			return fmt.Errorf("thread %d: %w", tid, err)
		}
	}
	return nil
}
