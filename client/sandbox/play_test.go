package sandbox

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// The test binary is the init of its boxes, and `TEST play ROLE…` a program that
// behaves badly.
func TestMain(m *testing.M) {
	Early()
	if len(os.Args) > 2 && os.Args[1] == "play" {
		play(os.Args[2], os.Args[3:])
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

func play(role string, args []string) {
	switch role {
	case "hog": // memory, until it is stopped
		var all [][]byte
		for {
			piece := make([]byte, 1<<20)
			for i := 0; i < len(piece); i += 4096 {
				piece[i] = 1
			}
			all = append(all, piece)
			if len(all) > 4096 {
				os.Exit(3)
			}
		}
	case "bomb": // processes, until it is stopped
		for {
			_ = exec.Command("sleep", args[0]).Start() // fails when there are too many
		}
	case "tasks": // may there be, and can it raise that?
		var r syscall.Rlimit
		// The init fixes the upper limit when it has started the program.
		for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
			if err := syscall.Getrlimit(unix.RLIMIT_NPROC, &r); err != nil || r.Cur == r.Max {
				break
			}
		}
		fmt.Print(r.Cur, " ", r.Max)
		r.Max++
		r.Cur++
		fmt.Println(", raised:", syscall.Setrlimit(unix.RLIMIT_NPROC, &r))
	case "dial": // exit code 3 when nobody answers
		c, err := net.DialTimeout("tcp", args[0], 2*time.Second)
		if err != nil {
			fmt.Println(err)
			os.Exit(3)
		}
		c.Close()
	case "loopback": // talks to itself
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			fmt.Println(err)
			os.Exit(3)
		}
		c, err := net.DialTimeout("tcp", l.Addr().String(), 5*time.Second)
		if err != nil {
			fmt.Println(err)
			os.Exit(3)
		}
		c.Close()
	case "driver": // starts a box and waits to be killed
		_, err := Start(Step{
			Policy: &Policy{Mode: Mode(args[0])}, Log: args[1],
			Args: []string{"sh", "-c", "setsid sleep " + args[2] + " & sleep " + args[2]},
		})
		fmt.Println("started", err)
		select {}
	case "where": // in which network am I
		names, err := net.Interfaces()
		if err != nil {
			panic(err)
		}
		for _, n := range names {
			fmt.Print(n.Name, " ")
		}
		fmt.Println(Private())
	}
}

// program is the test binary, as a program that a box can start.
func program(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// scene is a submission's directory in front of things it must not see.
type scene struct {
	policy  *Policy
	work    string
	secrets string // hidden directory
	answers string // hidden file
	log     string
}

func newScene(t *testing.T, mode Mode) *scene {
	t.Helper()
	dir := t.TempDir()
	s := &scene{
		work: filepath.Join(dir, "secrets", "work"), secrets: filepath.Join(dir, "secrets"),
		answers: filepath.Join(dir, "answers.csv"), log: filepath.Join(dir, "log"),
	}
	for _, err := range []error{
		os.MkdirAll(s.work, 0o755),
		os.WriteFile(filepath.Join(s.secrets, "expected"), []byte("the answer\n"), 0o644),
		os.WriteFile(s.answers, []byte("the answer\n"), 0o644),
		os.WriteFile(filepath.Join(s.work, "mine"), []byte("my file\n"), 0o644),
		os.WriteFile(filepath.Join(s.work, "key"), []byte("the answer\n"), 0o644),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	s.policy = &Policy{Mode: mode, Work: s.work, Hidden: []string{s.secrets, filepath.Join(s.work, "key"), s.answers, filepath.Join(dir, "nothing")}, Visible: []string{program(t)}}
	return s
}

// run runs a program in the scene; ours changes the step.
func (s *scene) run(t *testing.T, ours func(*Step), args ...string) (Result, string) {
	t.Helper()
	step := Step{Policy: s.policy, Args: args, Log: s.log, OwnNetwork: true, Timeout: 30 * time.Second}
	if ours != nil {
		ours(&step)
	}
	if err := os.RemoveAll(s.log); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r, err := Run(ctx, step)
	if err != nil {
		t.Fatalf("%q: %v", args, err)
	}
	text, err := os.ReadFile(s.log)
	if err != nil {
		t.Fatal(err)
	}
	return r, string(text)
}

func (s *scene) shell(t *testing.T, script string) (Result, string) {
	t.Helper()
	return s.run(t, nil, "sh", "-c", script)
}

// nap is a number of seconds that no other process sleeps, to find who does.
func nap() string { return fmt.Sprintf("3%d.%d", os.Getpid(), time.Now().UnixNano()%1_000_000) }

// sleepers counts the processes that sleep so long.
func sleepers(t *testing.T, nap string) (n int) {
	t.Helper()
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil || len(lines) == 0 {
		t.Fatalf("no /proc to look at: %v", err)
	}
	for _, name := range lines {
		if line, err := os.ReadFile(name); err == nil && strings.Contains(string(line), "sleep\x00"+nap) {
			n++
		}
	}
	return n
}

// gone waits until nobody sleeps so long any more.
func gone(t *testing.T, nap string) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); sleepers(t, nap) > 0; {
		if time.Now().After(end) {
			t.Fatalf("%d processes are left behind after 10 s", sleepers(t, nap))
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// needs skips a test where the system lacks a part.
func needs(t *testing.T, part string) {
	t.Helper()
	if why, missing := probe().missing[part]; missing {
		t.Skipf("this system has no %s of its own for a box: %s", part, why)
	}
}

func contains(t *testing.T, what, text string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(text, want) {
			t.Errorf("%s: %q does not say %q", what, text, want)
		}
	}
}

func quoted(n int64) string { return strconv.FormatInt(n, 10) }
