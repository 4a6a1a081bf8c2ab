package sandbox

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
)

// What Early looks for in the environment.
const (
	// networkVariable: the program runs in a private network.
	networkVariable = "PAXBANK_PRIVATE_NETWORK"
	// tetherVariable: the descriptor of a pipe that breaks when whoever started the
	// program is gone.
	tetherVariable = "PAXBANK_TETHER"
)

var (
	early   bool // Early was called
	private bool // this process is in a private network
)

// Early has to be the first thing that a program does which uses this package:
// the program is also the init of its boxes, and prepares the private network it
// was started in. It returns only in the program proper.
func Early() {
	early = true
	if len(os.Args) == 2 && os.Args[1] == boxCommand {
		// Not os.Exit: a program with the race detector would wait a second in it.
		syscall.Exit(runInit())
	}
	var err error
	if fd := os.Getenv(tetherVariable); fd != "" {
		os.Unsetenv(tetherVariable)
		err = dieWith(fd)
	}
	if os.Getenv(networkVariable) != "" {
		os.Unsetenv(networkVariable)
		private = true
		err = errors.Join(err, loopbackUp())
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "client: the private network: %v\n", err)
		os.Exit(initExit)
	}
}

// dieWith ends this process when the pipe with that descriptor breaks: nobody
// would hear it any more.
func dieWith(descriptor string) error {
	fd, err := strconv.Atoi(descriptor)
	if err != nil || fd < controlFD {
		return fmt.Errorf("%s=%s is no descriptor", tetherVariable, descriptor)
	}
	syscall.CloseOnExec(fd)
	if err := syscall.SetNonblock(fd, true); err != nil {
		return fmt.Errorf("%s=%s: %w", tetherVariable, descriptor, err)
	}
	pipe := os.NewFile(uintptr(fd), "starter")
	go func() {
		_, _ = pipe.Read(make([]byte, 1)) // nothing ever comes
		syscall.Exit(initExit)
	}()
	return nil
}

// Private reports whether this process is in a private network, with nothing but
// what it started itself.
func Private() bool { return private }

// Worker makes a command that has not been started yet, and that calls Early,
// run in a private network: it and its nodes share a loopback with nobody else.
// The command dies with this process. Release has to be called when it has ended,
// or was not started. The error says why the system has no private networks; the
// command can be started nevertheless. What is in a private network already shares
// that.
func Worker(cmd *exec.Cmd) (release func(), err error) {
	if !private {
		if f := probe(); !f.parts.Network {
			return nil, fmt.Errorf("sandbox: no private network: %s", f.missing[partNetwork])
		}
	}
	theirs, ours, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	if !private {
		isolate(cmd)
	}
	if cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	cmd.Env = append(cmd.Env, networkVariable+"=1", fmt.Sprintf("%s=%d", tetherVariable, controlFD+len(cmd.ExtraFiles)))
	cmd.ExtraFiles = append(cmd.ExtraFiles, theirs)
	return func() {
		theirs.Close()
		ours.Close()
	}, nil
}
