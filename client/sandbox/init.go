//go:build unix

package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// initExit is the exit code of an init whose box could not be made or that was
// started by hand. What the program did is in the notices.
const initExit = 70

// lastBreath bounds how long the init waits for what it has killed.
const lastBreath = 2 * time.Second

// initTasks times the tasks that programs may have is how many there may be before
// the init cannot start another thread.
const initTasks = 2

// box is the init's view of its box.
type box struct {
	spec
	report  *json.Encoder
	orders  *json.Decoder
	program int // process id

	mu   sync.Mutex // guards report's use and peak
	peak int64      // of memory, in bytes
}

// runInit is the program `client __box`: the init of a box. It returns its exit
// code.
func runInit() int {
	// What is set for a thread (no new privileges, capabilities) goes to what that
	// thread starts.
	runtime.LockOSThread()
	var st syscall.Stat_t
	if syscall.Fstat(controlFD, &st) != nil || syscall.Fstat(reportFD, &st) != nil {
		fmt.Fprintf(os.Stderr, "%s is how this program contains others; it is not for use by hand\n", boxCommand)
		return initExit
	}
	closeOnExec()
	// Without blocking, they need no threads of their own.
	_ = syscall.SetNonblock(controlFD, true)
	_ = syscall.SetNonblock(reportFD, true)
	b := &box{
		orders: json.NewDecoder(os.NewFile(controlFD, "control")),
		report: json.NewEncoder(os.NewFile(reportFD, "report")),
	}
	if b.orders.Decode(&b.spec) != nil {
		return initExit // the driver is gone
	}
	if b.Probe {
		b.tell(notice{Missing: b.probe()})
		return 0
	}
	if err := b.begin(); err != nil {
		b.tell(notice{Failed: err.Error()})
		return initExit
	}
	b.tell(notice{Started: b.program})
	go b.obey()
	go b.watch()
	b.tell(notice{Ended: b.await()})
	return 0
}

// tell reports to the driver. One that is gone needs no notice: obey sees to the
// rest.
func (b *box) tell(n notice) {
	b.mu.Lock()
	defer b.mu.Unlock()
	_ = b.report.Encode(n)
}

// begin makes the box and starts the program in it.
func (b *box) begin() error {
	if err := b.enter(); err != nil {
		return err
	}
	if err := b.Limits.set(); err != nil {
		return err
	}
	if err := b.seal(); err != nil {
		return err
	}
	if b.MaxTasks == 0 {
		return b.start()
	}
	if b.User != 0 { // its tasks are counted by themselves
		if err := setTasks(b.MaxTasks, b.MaxTasks); err != nil {
			return err
		}
		return b.start()
	}
	// Program and init have one user, so their tasks are counted together, and a Go
	// program that cannot start a thread when it needs one ends at once. So the
	// program reaches its limit when the init is far from its own.
	own := initTasks * b.MaxTasks
	if err := setTasks(b.MaxTasks, own); err != nil {
		return err
	}
	if err := b.start(); err != nil {
		return err
	}
	if err := setTasks(own, own); err != nil {
		return err
	}
	return b.fixTasks() // so that the program cannot raise its limit to the init's
}

// start starts the program in a session of its own, so that it has no terminal.
// Like execvp(3), it goes through PATH with the rights of the program's user.
func (b *box) start() error {
	attributes := b.programAttributes()
	attributes.Setsid = true
	process := &syscall.ProcAttr{Dir: b.Dir, Env: b.Env, Files: []uintptr{0, 1, 2}, Sys: attributes}
	name := b.Args[0]
	if err := os.Chdir(b.Dir); err != nil {
		return fmt.Errorf("%s cannot be started: there is no directory %s", name, b.Dir)
	}
	candidates := []string{name}
	if !strings.Contains(name, "/") {
		candidates = nil
		for _, dir := range filepath.SplitList(lookUp(b.Env, "PATH")) {
			if filepath.IsAbs(dir) {
				candidates = append(candidates, filepath.Join(dir, name))
			}
		}
	}
	failure := error(syscall.ENOENT)
	for _, path := range candidates {
		pid, err := syscall.ForkExec(path, b.Args, process)
		switch {
		case err == nil:
			b.program = pid
			return nil
		case errors.Is(err, syscall.EACCES):
			// It says more than that the others do not exist, unless it speaks of a
			// directory of PATH.
			if _, err := os.Lstat(path); err == nil {
				failure = syscall.EACCES
			}
		case !errors.Is(err, syscall.ENOENT) && !errors.Is(err, syscall.ENOTDIR):
			return fmt.Errorf("%s cannot be started: %w", name, err)
		}
	}
	return fmt.Errorf("%s cannot be started: %w", name, failure)
}

func lookUp(env []string, key string) (value string) {
	for _, e := range env {
		if v, found := strings.CutPrefix(e, key+"="); found {
			value = v // as in a real environment, the last one counts
		}
	}
	return value
}

// obey carries out the driver's orders. When there is nobody left to give any,
// everything ends.
func (b *box) obey() {
	for {
		var o order
		if b.orders.Decode(&o) != nil {
			o.Signal = int(syscall.SIGKILL)
			b.signal(syscall.SIGKILL)
			time.Sleep(lastBreath) // await ends the process before that
			syscall.Exit(initExit)
		}
		b.signal(syscall.Signal(o.Signal))
		b.tell(notice{Obeyed: o.Number})
	}
}

// kill kills the box for a limit that it passed.
func (b *box) kill(why string) {
	b.tell(notice{Killed: why})
	b.signal(syscall.SIGKILL)
}

// await waits for the program, reaping whoever else ends meanwhile, and ends
// what it left behind.
func (b *box) await() *ending {
	e := &ending{ExitCode: -1}
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil {
			break // nobody is left
		}
		if pid != b.program {
			continue
		}
		if status.Signaled() {
			e.Signal = int(status.Signal())
		} else {
			e.ExitCode = status.ExitStatus()
		}
		break
	}
	b.clear()
	var used syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_CHILDREN, &used) == nil {
		e.CPU = time.Duration(used.Utime.Nano() + used.Stime.Nano())
		e.MaxRSS = int64(used.Maxrss) * rssUnit
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	e.MaxRSS = max(e.MaxRSS, b.peak)
	return e
}

// clear kills and reaps what the program left behind.
func (b *box) clear() {
	for end := time.Now().Add(lastBreath); time.Now().Before(end); {
		b.signal(syscall.SIGKILL)
		for {
			pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
			if err != nil && !errors.Is(err, syscall.EINTR) {
				return // nobody is left
			}
			if pid == 0 {
				break
			}
		}
		time.Sleep(time.Millisecond) // killed, and not dead yet
	}
}
