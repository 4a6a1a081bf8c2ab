package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// alwaysHidden is where services of the machine have their sockets, which a
// read-only file system does not close, and where other people's terminals are.
var alwaysHidden = []string{"/run", "/dev/pts"}

// tempInodes bounds the number of files in /tmp.
const tempInodes = 100_000

// mount makes the box's file system: the machine's, read-only, without what is
// hidden, with a /tmp and /dev/shm of its own and with the binds.
func (b *box) mount() error {
	// What is mounted from here on stays in the box.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making mounts private: %w", err)
	}
	// Sources are opened before anything is hidden: they may lie in it.
	sources := make([]int, len(b.Binds))
	for i, m := range b.Binds {
		fd, err := unix.Open(m.Source, unix.O_PATH|unix.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("opening %s: %w", m.Source, err)
		}
		defer unix.Close(fd)
		sources[i] = fd
	}
	for _, path := range append(b.Hidden, alwaysHidden...) {
		if err := hide(path); err != nil {
			return fmt.Errorf("hiding %s: %w", path, err)
		}
	}
	own := []string{"/tmp", "/dev/shm"}
	for _, dir := range own {
		options := fmt.Sprintf("size=%d,nr_inodes=%d,mode=1777", b.Limits.Temp, tempInodes)
		if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, options); err != nil && dir == "/tmp" {
			return fmt.Errorf("mounting %s: %w", dir, err)
		}
	}
	for _, dir := range []string{WorkDir, homeDir} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
		if b.User != 0 {
			if err := os.Chown(dir, b.User, b.User); err != nil {
				return err
			}
		}
	}
	for i, m := range b.Binds {
		if err := makeTarget(sources[i], m.Target); err != nil {
			return fmt.Errorf("making room for %s: %w", m.Target, err)
		}
	}
	if err := b.changeAll(unix.MS_RDONLY | unix.MS_NOSUID); err != nil {
		return fmt.Errorf("making the file system read-only: %w", err)
	}
	for _, dir := range own {
		if err := b.change(dir, unix.MS_NOSUID|unix.MS_NODEV, unix.MS_RDONLY); err != nil && dir == "/tmp" {
			return fmt.Errorf("making %s writable: %w", dir, err)
		}
	}
	for i, m := range b.Binds {
		if err := unix.Mount(fmt.Sprintf("/proc/self/fd/%d", sources[i]), m.Target, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
			return fmt.Errorf("binding %s: %w", m.Target, err)
		}
		if !m.Writable {
			continue
		}
		if err := b.change(m.Target, unix.MS_NOSUID|unix.MS_NODEV, unix.MS_RDONLY); err != nil {
			return fmt.Errorf("making %s writable: %w", m.Target, err)
		}
	}
	if b.Parts.Proc {
		return mountProc()
	}
	return nil
}

// mountProc mounts a /proc that shows only the box.
func mountProc() error {
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mounting /proc: %w", err)
	}
	return nil
}

// hide puts an empty directory or file in the place of one, if it is there.
func hide(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, os.ErrNotExist), errors.Is(err, unix.ENOTDIR):
		return nil // or it lies in something that was hidden already
	case err != nil:
		return err
	case info.Mode()&os.ModeSymlink != 0:
		return nil // what it leads to has a name of its own
	case info.IsDir():
		return unix.Mount("tmpfs", path, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "size=64k,mode=755")
	}
	return unix.Mount("/dev/null", path, "", unix.MS_BIND, "")
}

// makeTarget makes the place where an open file or directory is going to be
// bound. What does not exist yet lies in one of the box's own mounts.
func makeTarget(source int, target string) error {
	var st unix.Stat_t
	if err := unix.Fstat(source, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		return os.MkdirAll(target, 0o755)
	}
	if _, err := os.Lstat(target); err == nil {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	return os.WriteFile(target, nil, 0o644)
}

// attributes of mount_setattr(2) for the flags of mount(2) used here.
func attributes(flags uintptr) (bits uint64) {
	for _, f := range []struct {
		flag uintptr
		bit  uint64
	}{{unix.MS_RDONLY, unix.MOUNT_ATTR_RDONLY}, {unix.MS_NOSUID, unix.MOUNT_ATTR_NOSUID}, {unix.MS_NODEV, unix.MOUNT_ATTR_NODEV}} {
		if flags&f.flag != 0 {
			bits |= f.bit
		}
	}
	return bits
}

// changeAll sets flags of all mounts.
func (b *box) changeAll(set uintptr) error {
	err := error(unix.ENOSYS)
	if !b.OldKernel {
		err = unix.MountSetattr(unix.AT_FDCWD, "/", unix.AT_RECURSIVE, &unix.MountAttr{Attr_set: attributes(set)})
	}
	if !errors.Is(err, unix.ENOSYS) {
		return err
	}
	// Before Linux 5.12: one by one.
	info, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	for _, path := range mountPoints(string(info)) {
		// What another mount lies over cannot be reached, by the box either.
		if err := remount(path, set, 0); err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EINVAL) {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return nil
}

// change sets and clears flags of the mount at path.
func (b *box) change(path string, set, clear uintptr) error {
	err := error(unix.ENOSYS)
	if !b.OldKernel {
		err = unix.MountSetattr(unix.AT_FDCWD, path, 0, &unix.MountAttr{Attr_set: attributes(set), Attr_clr: attributes(clear)})
	}
	if errors.Is(err, unix.ENOSYS) {
		return remount(path, set, clear)
	}
	return err
}

// remount changes flags the old way, which wants all of those that stay.
func remount(path string, set, clear uintptr) error {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return err
	}
	// Statfs has the same bits as mount, but for this one.
	flags := uintptr(st.Flags) & (unix.MS_RDONLY | unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC | unix.MS_NOATIME | unix.MS_NODIRATIME)
	if st.Flags&unix.ST_RELATIME != 0 {
		flags |= unix.MS_RELATIME
	}
	return unix.Mount("", path, "", unix.MS_REMOUNT|unix.MS_BIND|flags&^clear|set, "")
}

// mountPoints of a /proc/PID/mountinfo.
func mountPoints(info string) (paths []string) {
	unescape := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	for line := range strings.Lines(info) {
		if fields := strings.Fields(line); len(fields) > 4 {
			paths = append(paths, unescape.Replace(fields[4]))
		}
	}
	return paths
}
