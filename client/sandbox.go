package main

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/mattn/go-isatty"

	"paxbank/client/check"
	"paxbank/client/launch"
	"paxbank/client/plan"
	"paxbank/client/sandbox"
)

// boxFlags say what nodes that are started here may reach.
type boxFlags struct {
	Sandbox string `enum:"none,auto,required" default:"none" help:"Contain the nodes: auto (as well as the system can: no network but a private loopback, read-only files, hidden test sets and results, limits), required (or do not start), none."`
	Listen  string `enum:"tcp,unix" default:"tcp" help:"Where nodes listen: on ports of a loopback (tcp) or on unix:// sockets."`
}

func (f *boxFlags) boxed() bool {
	return f.Sandbox != "" && f.Sandbox != string(sandbox.None)
}

// words are the flags as they could be typed again.
func (f *boxFlags) words() (words []string) {
	if f.boxed() {
		words = append(words, "--sandbox", f.Sandbox)
	}
	if f.Listen == launch.ListenUnix {
		words = append(words, "--listen", f.Listen)
	}
	return words
}

// policy for nodes of a command that is started here, in the working directory;
// nil when they are not contained. They see neither what the plans were read
// from nor results.
func (f *boxFlags) policy(plans []*plan.Plan, results string) (*sandbox.Policy, error) {
	if !f.boxed() {
		return nil, nil
	}
	here, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	p := &sandbox.Policy{Mode: sandbox.Mode(f.Sandbox), Work: here, WorkReadOnly: true, Hidden: []string{results}}
	for _, read := range plans {
		p.Hidden = append(p.Hidden, read.Path, strings.TrimSuffix(read.Path, filepath.Ext(read.Path))+".expected.csv")
		if read.ExpectedPath != "" {
			p.Hidden = append(p.Hidden, read.ExpectedPath)
		}
	}
	return p, nil
}

// privately is for commands that may want a private network for themselves and
// their nodes.
type privately interface{ wantsPrivateNetwork() bool }

func (f *driveFlags) wantsPrivateNetwork() bool {
	return f.boxed() && f.Listen != launch.ListenUnix && !f.Attach
}

// rerun runs this command line again in a private network. done is false when
// the system has none.
func (d *driver) rerun() (code int, done bool) {
	cmd := exec.Command(os.Args[0], d.args...)
	if self, err := os.Executable(); err == nil {
		cmd.Path = self
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = d.stdin, d.stdout, d.stderr
	release, err := sandbox.Worker(cmd)
	if err != nil {
		return 0, false // what is missing is said, or is an error, where the nodes are started
	}
	defer release()
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)
	if err := cmd.Start(); err != nil {
		say(d.stderr, err)
		return check.ExitInternal, true
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	// A terminal sends Ctrl-C to both.
	terminal := isatty.IsTerminal(d.stdin.Fd()) || isatty.IsTerminal(d.stderr.Fd())
	for {
		select {
		case sig := <-signals:
			if sig != syscall.SIGINT || !terminal {
				_ = cmd.Process.Signal(sig) // fails only when it has ended
			}
		case err := <-ended:
			var exit *exec.ExitError
			switch {
			case err == nil:
				return check.ExitPass, true
			case errors.As(err, &exit) && exit.Exited():
				return exit.ExitCode(), true
			}
			say(d.stderr, err)
			return check.ExitInternal, true
		}
	}
}
