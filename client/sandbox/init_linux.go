package sandbox

import (
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// rssUnit of Rusage.Maxrss.
const rssUnit = 1024

// userNamespace reports whether boxes need a user namespace: who is not root has
// no other way to the rest.
func (p parts) userNamespace() bool {
	return os.Geteuid() != 0 && (p.PIDs || p.Mounts || p.Network)
}

// initCommand is the init of a box, in its namespaces.
func initCommand(x *spec) (*exec.Cmd, error) {
	cmd := &exec.Cmd{Path: "/proc/self/exe", Args: []string{"client", boxCommand}, Env: []string{}, Dir: "/"}
	flags := 0
	if x.Parts.PIDs {
		flags |= unix.CLONE_NEWPID | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS
	}
	if x.Parts.Mounts {
		flags |= unix.CLONE_NEWNS
	}
	if x.OwnNetwork {
		flags |= unix.CLONE_NEWNET
	}
	// In a group of its own, a Ctrl-C in the terminal does not reach it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Cloneflags: uintptr(flags)}
	if x.Parts.userNamespace() {
		ownUser(cmd.SysProcAttr, unix.CAP_SYS_ADMIN, unix.CAP_NET_ADMIN, unix.CAP_DAC_OVERRIDE)
	}
	return cmd, nil
}

// ownUser puts a process into a user namespace in which it stays who it is, and
// has these capabilities there.
func ownUser(a *syscall.SysProcAttr, capabilities ...uintptr) {
	a.Cloneflags |= unix.CLONE_NEWUSER
	a.UidMappings = []syscall.SysProcIDMap{{ContainerID: os.Geteuid(), HostID: os.Geteuid(), Size: 1}}
	a.GidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getegid(), HostID: os.Getegid(), Size: 1}}
	a.AmbientCaps = capabilities
}

// fixTasks takes from the program what it may raise its limit of tasks to.
func (b *box) fixTasks() error {
	var r unix.Rlimit
	err := unix.Prlimit(b.program, unix.RLIMIT_NPROC, nil, &r)
	if err == nil {
		lower(&r.Max, int64(b.MaxTasks))
		lower(&r.Cur, int64(b.MaxTasks))
		err = unix.Prlimit(b.program, unix.RLIMIT_NPROC, &r, nil)
	}
	if err != nil && !errors.Is(err, unix.ESRCH) { // it may have ended already
		return fmt.Errorf("limiting the program's tasks: %w", err)
	}
	return nil
}

// closeOnExec keeps all of the init's files from the program, also those that the
// driver itself was started with.
func closeOnExec() {
	if unix.CloseRange(controlFD, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC) == nil {
		return
	}
	entries, _ := os.ReadDir("/proc/self/fd") // without it, the two known ones remain
	for _, e := range entries {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd >= controlFD {
			unix.CloseOnExec(fd)
		}
	}
	unix.CloseOnExec(controlFD)
	unix.CloseOnExec(reportFD)
}

// enter makes the box around the init.
func (b *box) enter() error {
	// When memory is short, the kernel is to take what is in the box first.
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte("1000"), 0)
	if !b.Parts.PIDs {
		// Orphans come to the init, so that it can find and kill them.
		if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
			return fmt.Errorf("becoming the reaper of the box: %w", err)
		}
	} else if err := unix.Sethostname([]byte("box")); err != nil {
		return fmt.Errorf("setting the host name: %w", err)
	}
	if b.OwnNetwork {
		if err := loopbackUp(); err != nil {
			return err
		}
	}
	if b.Parts.Mounts {
		return b.mount()
	}
	return nil
}

// seal takes from this thread, and so from the program, every way to more rights.
func (b *box) seal() error {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("giving up new privileges: %w", err)
	}
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return fmt.Errorf("giving up capabilities: %w", err)
	}
	// The program may have the init's user: it is not to look into it.
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("closing the init's memory: %w", err)
	}
	return nil
}

// programAttributes of the program's process.
func (b *box) programAttributes() *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if b.User != 0 {
		a.Credential = &syscall.Credential{Uid: uint32(b.User), Gid: uint32(b.User)}
	}
	return a
}

// signal goes to everything in the box but the init.
func (b *box) signal(sig syscall.Signal) {
	switch {
	case b.Parts.PIDs:
		// -1 is everybody whom the caller can see, and that is the box.
		_ = unix.Kill(-1, sig) // fails when nobody is left
	case sig == syscall.SIGKILL:
		// Stopped first, so that nobody can have children while they are counted.
		for _, s := range []syscall.Signal{syscall.SIGSTOP, syscall.SIGKILL} {
			for _, pid := range descendants(self()) {
				_ = unix.Kill(pid, s)
			}
		}
	default:
		_ = unix.Kill(-b.program, sig)
	}
}

// probe tries every part and says which are missing, and why. What comes later
// needs what comes earlier.
func (b *box) probe() map[string]string {
	missing := map[string]string{}
	try := func(part string, wanted bool, f func() error) {
		if !wanted {
			return
		}
		if err := f(); err != nil {
			missing[part] = err.Error()
		}
	}
	try(partNetwork, b.OwnNetwork, loopbackUp)
	try(partMounts, b.Parts.Mounts, b.mount)
	if _, failed := missing[partMounts]; !failed {
		try(partProc, b.Parts.Mounts && b.Parts.PIDs, mountProc)
	}
	// Last: the way back is barred.
	try(partUser, b.User != 0, func() error {
		if err := errors.Join(syscall.Setgroups(nil), syscall.Setgid(b.User), syscall.Setuid(b.User)); err != nil {
			return fmt.Errorf("becoming user %d: %w", b.User, err)
		}
		return nil
	})
	return missing
}
