package bench

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"
)

// clockTick is the unit of CPU times in /proc on every architecture that Go
// runs on (USER_HZ).
const clockTick = time.Second / 100

// processCPU is the CPU time that a process has used; pid 0 is this one. See
// proc_pid_stat(5).
func processCPU(pid int) (used time.Duration, ok bool) {
	path := "/proc/self/stat"
	if pid != 0 {
		path = fmt.Sprintf("/proc/%d/stat", pid)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return 0, false
	}
	// The second field is the program's name in parentheses and may hold anything.
	fields := bytes.Fields(data[bytes.LastIndexByte(data, ')')+1:])
	const utime, stime = 14 - 3, 15 - 3 // by the manual's numbers, which begin at 1
	if len(fields) <= stime {
		return 0, false
	}
	user, err1 := strconv.ParseInt(string(fields[utime]), 10, 64)
	system, err2 := strconv.ParseInt(string(fields[stime]), 10, 64)
	return time.Duration(user+system) * clockTick, err1 == nil && err2 == nil
}
