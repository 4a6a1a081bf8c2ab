//go:build unix && !linux

package sandbox

import (
	"os"
	"os/exec"
	"runtime"
	"syscall"
)

// rssUnit of Rusage.Maxrss: Darwin counts in bytes, the others in KiB.
var rssUnit = rssUnitOf(runtime.GOOS)

func rssUnitOf(system string) int64 {
	if system == "darwin" || system == "ios" {
		return 1
	}
	return 1024
}

func (p parts) userNamespace() bool { return false }

// initCommand is the init of a box.
func initCommand(*spec) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	// In a group of its own, a Ctrl-C in the terminal does not reach it.
	return &exec.Cmd{
		Path: self, Args: []string{"client", boxCommand}, Env: []string{}, Dir: "/",
		SysProcAttr: &syscall.SysProcAttr{Setpgid: true},
	}, nil
}

// closeOnExec keeps the init's pipes from the program.
func closeOnExec() {
	syscall.CloseOnExec(controlFD)
	syscall.CloseOnExec(reportFD)
}

func (b *box) enter() error { return nil }

func (b *box) seal() error { return nil }

// fixTasks is not to be had here: the program may raise its limit to the init's.
func (b *box) fixTasks() error { return nil }

func (b *box) programAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{} }

// signal goes to the program's process group.
func (b *box) signal(sig syscall.Signal) {
	_ = syscall.Kill(-b.program, sig) // fails when nobody is left
}

// probe is never asked: there is nothing to find out.
func (b *box) probe() map[string]string { return nil }

// measure finds nothing: only Linux tells what a process uses.
func (b *box) measure() usage { return usage{} }
