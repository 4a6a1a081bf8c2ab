package sandbox

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

var pageSize = int64(os.Getpagesize())

// measure adds up what the box's processes use, without the init. Resident sizes
// count shared pages several times, so a box that seems to use too much is looked
// at again, with every page divided by its users.
func (b *box) measure() (u usage) {
	pids := b.processes()
	residents := make([]int64, len(pids))
	for i, pid := range pids {
		// Fields from the third on; the second is a name and may hold anything.
		stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
		if err != nil {
			continue // it has ended
		}
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if len(fields) < 22 {
			continue
		}
		threads, _ := strconv.Atoi(fields[17]) // what the kernel writes are numbers
		resident, _ := strconv.ParseInt(fields[21], 10, 64)
		u.tasks += threads
		residents[i] = resident * pageSize
		u.memory += residents[i]
	}
	if u.memory > b.Limits.Memory {
		u.memory = 0
		for i, pid := range pids {
			u.memory += proportional(pid, residents[i])
		}
	}
	return u
}

// processes of the box, but for the init.
func (b *box) processes() (pids []int) {
	if !b.Parts.Proc {
		return descendants(self())
	}
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1) // those that could be read
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil && pid != 1 {
			pids = append(pids, pid)
		}
	}
	return pids
}

// self is the number under which /proc knows this process: another one than
// os.Getpid's where /proc is that of an outer namespace.
func self() int {
	name, _ := os.Readlink("/proc/self")
	pid, _ := strconv.Atoi(name) // without /proc, 0, which has no descendants
	return pid
}

// descendants of a process, by the numbers of /proc.
func descendants(pid int) (all []int) {
	tasks, _ := filepath.Glob(filepath.Join("/proc", strconv.Itoa(pid), "task", "*", "children"))
	for _, name := range tasks {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // it has ended
		}
		for _, word := range strings.Fields(string(text)) {
			if child, err := strconv.Atoi(word); err == nil {
				all = append(all, child)
				all = append(all, descendants(child)...)
			}
		}
	}
	return all
}

// proportional set size of a process in bytes. One that does not let itself be
// looked into counts with all that is resident.
func proportional(pid int, resident int64) int64 {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "smaps_rollup"))
	if err != nil {
		return resident
	}
	_, after, found := strings.Cut(string(text), "\nPss:")
	if fields := strings.Fields(after); found && len(fields) > 0 {
		kib, _ := strconv.ParseInt(fields[0], 10, 64) // what the kernel writes are numbers
		return kib << 10
	}
	return resident
}
