//go:build unix

package sandbox

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"syscall"
	"time"
)

// How often the init looks at what its box uses.
const (
	watchEvery = 100 * time.Millisecond
	// watchClosely: once half of a limit is used.
	watchClosely = 20 * time.Millisecond
	// diskEvery: the writable directories are measured so often, and less often
	// where they are big: no more than one part in diskShare of the time goes into
	// it.
	diskEvery = time.Second
	diskShare = 50
)

// usage of a box at one moment.
type usage struct {
	memory int64 // bytes
	tasks  int
}

// watch kills the box when it passes a limit that the kernel does not watch.
func (b *box) watch() {
	nextDisk := time.Now()
	for {
		u := b.measure()
		b.mu.Lock()
		b.peak = max(b.peak, u.memory)
		b.mu.Unlock()
		switch {
		case u.memory > b.Limits.Memory:
			b.kill(fmt.Sprintf("used %s of %s memory", size(u.memory), size(b.Limits.Memory)))
			return
		case u.tasks > b.Limits.Tasks:
			b.kill(fmt.Sprintf("had %d of %d processes and threads", u.tasks, b.Limits.Tasks))
			return
		}
		if start := time.Now(); start.After(nextDisk) {
			if why := b.overDisk(); why != "" {
				b.kill(why)
				return
			}
			nextDisk = time.Now().Add(max(diskEvery, diskShare*time.Since(start)))
		}
		if u.memory > b.Limits.Memory/2 || u.tasks > b.Limits.Tasks/2 {
			time.Sleep(watchClosely)
		} else {
			time.Sleep(watchEvery)
		}
	}
}

// overDisk says which limit the writable directories pass together, or "".
func (b *box) overDisk() (why string) {
	var bytes int64
	files := 0
	linked := map[[2]uint64]bool{} // device and number of files with several names
	for _, dir := range b.Watched {
		// What vanishes or cannot be read while we look is not counted.
		_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
			if err != nil {
				return nil
			}
			if files++; files > b.Limits.Files {
				return filepath.SkipAll
			}
			info, err := d.Info()
			if err != nil {
				return nil
			}
			st := info.Sys().(*syscall.Stat_t)
			if id := [2]uint64{uint64(st.Dev), uint64(st.Ino)}; !info.IsDir() && st.Nlink > 1 {
				if linked[id] {
					return nil
				}
				linked[id] = true
			}
			bytes += int64(st.Blocks) * 512
			return nil
		})
	}
	switch {
	case files > b.Limits.Files:
		return fmt.Sprintf("made more than %d files", b.Limits.Files)
	case bytes > b.Limits.Disk:
		return fmt.Sprintf("used %s of %s disk", size(bytes), size(b.Limits.Disk))
	}
	return ""
}
