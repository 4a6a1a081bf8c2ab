package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestRunInBackground lets a child of the test execute itself, and then look at the
// threads that it has.
func TestRunInBackground(t *testing.T) {
	const role = "SCHEDULE_TEST_PID"
	if attr, err := unix.SchedGetAttr(0, 0); os.Getenv(role) == "" && (err != nil || attr.Policy != unix.SCHED_NORMAL) {
		t.Skip("this machine runs the test with a policy of its own")
	}
	for _, c := range []struct {
		processors, slack string
	}{
		{"1", "1000000"},
		{"2", ""}, // as it was
	} {
		if os.Getenv(role) != "" {
			break
		}
		child := exec.Command("sh", "-c", `export `+role+`=$$; exec "$0" "$@"`, os.Args[0], "-test.run=^TestRunInBackground$", "-test.v")
		child.Env = append(os.Environ(), "GOMAXPROCS="+c.processors, "SCHEDULE_TEST_SLACK="+c.slack)
		out, err := child.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "threads looked at") {
			t.Fatalf("GOMAXPROCS=%s: %v\n%s", c.processors, err, out)
		}
	}
	if os.Getenv(role) == "" {
		return
	}
	runtime.LockOSThread() // main has its thread from the beginning
	if err := runInBackground(); err != nil {
		t.Fatal(err)
	}
	if pid := strconv.Itoa(os.Getpid()); pid != os.Getenv(role) {
		t.Fatalf("the process has number %s now, not %s", pid, os.Getenv(role))
	}
	if _, set := os.LookupEnv(executedBy); set {
		t.Errorf("%s is left for the children of this process", executedBy)
	}
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	want := os.Getenv("SCHEDULE_TEST_SLACK")
	for _, task := range tasks {
		tid, err := strconv.Atoi(task.Name())
		if err != nil {
			t.Fatal(err)
		}
		attr, err := unix.SchedGetAttr(tid, 0)
		if err == unix.ESRCH {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if attr.Policy != unix.SCHED_BATCH {
			t.Errorf("thread %d has policy %d, want SCHED_BATCH (%d)", tid, attr.Policy, unix.SCHED_BATCH)
		}
		// Reading another thread's slack takes a privilege.
		if slack, err := os.ReadFile(filepath.Join("/proc", task.Name(), "timerslack_ns")); err == nil && want != "" {
			if got := strings.TrimSpace(string(slack)); got != want {
				t.Errorf("thread %d may be woken %s ns late, want %s", tid, got, want)
			}
		}
	}
	t.Logf("%d threads looked at", len(tasks))
}
