package grade

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"paxbank/client/sandbox"
)

// The test binary is the box and the worker of the graders in it.
func TestMain(m *testing.M) {
	sandbox.Early()
	if len(os.Args) == 2 && os.Args[1] == WorkerCommand {
		os.Exit(Worker(os.Stdin, os.Stdout))
	}
	code := m.Run()
	if programs != "" {
		os.RemoveAll(programs)
	}
	os.Exit(code)
}

// programs is the directory of what was built for tests.
var programs string

// server is ours, built once: what right submissions are made of.
var server = sync.OnceValues(func() (path string, err error) {
	if programs, err = os.MkdirTemp("", "paxbank-grade-test-"); err != nil {
		return "", err
	}
	path = filepath.Join(programs, "server")
	// Without the race detector even when the tests have it, as users build it.
	if out, err := exec.Command("go", "build", "-o", path, "paxbank/server").CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the server: %w\n%s", err, out)
	}
	return path, nil
})
