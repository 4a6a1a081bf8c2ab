package sandbox

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Every containment test runs in each of these: whoever the tests are run by, and
// as nobody when that is root (TestAsNobody).
var modes = []Mode{Auto, None}

func eachMode(t *testing.T, test func(t *testing.T, mode Mode)) {
	for _, mode := range modes {
		t.Run(string(mode), func(t *testing.T) { test(t, mode) })
	}
}

func TestProgramEnds(t *testing.T) {
	eachMode(t, func(t *testing.T, mode Mode) {
		s := newScene(t, mode)
		for script, want := range map[string]string{
			"exit 0": "exit status 0", "exit 7": "exit status 7", "kill -SEGV $$": "signal: segmentation fault",
			"cat mine; pwd >&2": "exit status 0",
		} {
			r, text := s.shell(t, script)
			if r.String() != want || r.Success() != (want == "exit status 0") {
				t.Errorf("%s: %s, want %s", script, r.String(), want)
			}
			if strings.HasPrefix(script, "cat") && !strings.HasPrefix(text, "my file\n/") {
				t.Errorf("it printed %q", text)
			}
			if r.Usage.Wall <= 0 || r.Usage.MaxRSS <= 0 {
				t.Errorf("%s: usage %+v", script, r.Usage)
			}
		}
	})
}

func TestProgramIsMissing(t *testing.T) {
	eachMode(t, func(t *testing.T, mode Mode) {
		s := newScene(t, mode)
		if err := os.WriteFile(filepath.Join(s.work, "text"), []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
		for program, want := range map[string]string{
			"no-such-program": "no-such-program cannot be started: no such file",
			"./nothing":       "./nothing cannot be started: no such file",
			"./text":          "./text cannot be started: permission denied",
		} {
			_, err := Run(t.Context(), Step{Policy: s.policy, Args: []string{program}, Log: s.log})
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v", program, err)
			}
		}
		_, err := Run(t.Context(), Step{Policy: s.policy, Args: []string{"true"}, Dir: "sub", Log: s.log})
		if err == nil || !strings.Contains(err.Error(), "there is no directory") {
			t.Errorf("no directory: %v", err)
		}
	})
}

func TestEnvironmentIsClean(t *testing.T) {
	t.Setenv("SECRET", "answer")
	eachMode(t, func(t *testing.T, mode Mode) {
		s := newScene(t, mode)
		s.policy.Env = []string{"GOGC=400"}
		_, text := s.run(t, func(s *Step) { s.Env = []string{"NODE=n1"} }, "env")
		contains(t, "environment", text, "PATH=", "HOME=", "LANG=", "TMPDIR=", "GOGC=400", "NODE=n1")
		if strings.Contains(text, "SECRET") || strings.Count(text, "\n") > 7 { // PWD and _ may be the shell's
			t.Errorf("environment %q", text)
		}
	})
}

func TestHiddenFilesAreHidden(t *testing.T) {
	needs(t, partMounts)
	for _, old := range []bool{false, true} {
		s := newScene(t, Auto)
		oldKernel = old
		r, text := s.shell(t, "cat "+s.answers+"; ls -A "+s.secrets+"; cat "+s.secrets+"/expected; find / -xdev -name expected -newer /proc/1 2>/dev/null; cat mine key; tr '\\0' ' ' </proc/*/cmdline")
		oldKernel = false
		if strings.Contains(text, "answer\n") || !strings.Contains(text, "my file\n") {
			t.Errorf("old kernel %v: %s: %s", old, r.String(), text)
		}
		if strings.Contains(text, "test.") {
			t.Errorf("the driver's command line shows: %s", text)
		}
	}
}

func TestNobodyWritesOutside(t *testing.T) {
	needs(t, partMounts)
	for _, old := range []bool{false, true} {
		oldKernel = old
		s := newScene(t, Auto)
		data := t.TempDir()
		outside := filepath.Join(filepath.Dir(s.log), "outside")
		script := "for f in /etc/x /usr/x /var/tmp/x /x " + outside + "/x " + s.secrets + "/x; do echo 1 >$f && echo wrote $f; done 2>/dev/null;" +
			"chmod 777 /proc/1 2>/dev/null; for f in /tmp/x /tmp/work/x /tmp/data/x /dev/shm/x; do echo 1 >$f && echo may $f; done"
		_, text := s.run(t, func(s *Step) { s.Data = data }, "sh", "-c", script)
		oldKernel = false
		if strings.Contains(text, "wrote") || strings.Count(text, "may") != 4 {
			t.Errorf("old kernel %v: %s", old, text)
		}
		for _, kept := range []string{filepath.Join(s.work, "x"), filepath.Join(data, "x")} {
			if _, err := os.Stat(kept); err != nil {
				t.Errorf("what was written is not there: %v", err)
			}
		}
	}
}

func TestInside(t *testing.T) {
	needs(t, partMounts)
	p := &Policy{Mode: Auto, Work: "/some/work"}
	for path, want := range map[string]string{
		"/some/work/bin/node": "/tmp/work/bin/node", "/some/work": "/tmp/work", "/some/workers": "/some/workers",
		"/some/work/../x": "/some/work/../x", "--id": "--id", "bin/node": "bin/node",
	} {
		if got := p.Inside(path); got != want {
			t.Errorf("%s is %s in the box, want %s", path, got, want)
		}
	}
	p.Mode = None
	if got := p.Inside("/some/work/x"); got != "/some/work/x" {
		t.Errorf("without files of its own, the box knows it as %s", got)
	}
}

func TestWorkReadOnly(t *testing.T) {
	needs(t, partMounts)
	s := newScene(t, Auto)
	s.policy.WorkReadOnly = true
	_, text := s.shell(t, "cat mine; echo 1 >x && echo wrote; echo 1 >~/x && echo home")
	if strings.Contains(text, "wrote") || !strings.Contains(text, "my file") || !strings.Contains(text, "home") {
		t.Errorf("it printed %q", text)
	}
}

func TestNoNetworkButLoopback(t *testing.T) {
	needs(t, partNetwork)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := newScene(t, Auto)
	if r, text := s.run(t, nil, program(t), "play", "dial", l.Addr().String()); r.ExitCode != 3 {
		t.Errorf("it reached the machine's loopback: %s, %s", r.String(), text)
	}
	if r, text := s.run(t, nil, program(t), "play", "loopback"); r.ExitCode != 0 {
		t.Errorf("it did not reach its own loopback: %s, %s", r.String(), text)
	}
	// The same with the network that the driver has.
	shared := func(s *Step) { s.OwnNetwork = false }
	if r, text := s.run(t, shared, program(t), "play", "dial", l.Addr().String()); r.ExitCode != 0 {
		t.Errorf("it did not reach the network that it shares: %s, %s", r.String(), text)
	}
}

func TestMemoryHog(t *testing.T) {
	eachMode(t, func(t *testing.T, mode Mode) {
		if !watched {
			t.Skip("nobody watches memory on this system")
		}
		s := newScene(t, mode)
		s.policy.Limits.Memory = 96 << 20
		r, text := s.run(t, nil, program(t), "play", "hog")
		if !strings.HasPrefix(r.Killed, "used ") || !strings.HasSuffix(r.Killed, " of 96 MiB memory") {
			t.Errorf("%s, %s", r.String(), text)
		}
		if r.Usage.MaxRSS < 96<<20 {
			t.Errorf("it used %d bytes", r.Usage.MaxRSS)
		}
	})
}

func TestForkBomb(t *testing.T) {
	eachMode(t, func(t *testing.T, mode Mode) {
		if !watched {
			t.Skip("nobody watches processes on this system")
		}
		// Several times: whether the init needs a thread when there can be no more
		// tasks is up to the Go runtime.
		for range 4 {
			s := newScene(t, mode)
			s.policy.Limits.Tasks = 100
			nap := nap()
			r, text := s.run(t, nil, program(t), "play", "bomb", nap)
			if !strings.HasSuffix(r.Killed, " of 100 processes and threads") {
				t.Errorf("%s, %s", r.String(), text)
			}
			gone(t, nap)
		}
	})
}

// The kernel stops a program at twice its tasks, and it cannot raise that.
func TestTasksAreLimited(t *testing.T) {
	if !watched {
		t.Skip("the program may raise its limit on this system")
	}
	s := newScene(t, Auto)
	s.policy.Limits.Tasks = 100
	if got := s.policy.parts(); s.policy.user() == 0 && !got.userNamespace() {
		t.Skip("the program's tasks are counted with those of its user outside")
	}
	r, text := s.run(t, nil, program(t), "play", "tasks")
	if want := "200 200, raised: operation not permitted\n"; text != want {
		t.Errorf("%s, %q, want %q", r.String(), text, want)
	}
}

func TestOutputIsCut(t *testing.T) {
	eachMode(t, func(t *testing.T, mode Mode) {
		s := newScene(t, mode)
		s.policy.Limits.Output = 64 << 10
		r, text := s.shell(t, "echo begin; head -c 100000000 /dev/zero; echo end")
		const printed = 100000000 + int64(len("begin\nend\n"))
		if r.Output.Bytes != printed || r.Output.Dropped != printed-64<<10 || !r.Output.Truncated() || r.Output.Path != s.log {
			t.Errorf("%+v", r.Output)
		}
		if !strings.HasPrefix(text, "begin\n") || !strings.HasSuffix(text, "end\n") || len(text) > 65<<10 {
			t.Errorf("%d bytes are kept, %q … %q", len(text), text[:10], text[len(text)-10:])
		}
		contains(t, "log", text, "["+quoted(r.Output.Dropped)+" bytes of output are left out here]")
		s.policy.Limits.Flood = 1 << 20
		if r, _ := s.shell(t, "cat /dev/zero"); r.Killed != "printed more than 1 MiB" {
			t.Errorf("a flood: %s", r.String())
		}
	})
}

func TestDiskFiller(t *testing.T) {
	eachMode(t, func(t *testing.T, mode Mode) {
		s := newScene(t, mode)
		s.policy.Limits.Disk = 20 << 20
		r, _ := s.shell(t, "i=0; while :; do head -c 1000000 /dev/zero >file$i || exit 3; i=$((i+1)); [ $i -lt 40 ] || sleep 1; done")
		if !strings.HasPrefix(r.Killed, "used ") || !strings.HasSuffix(r.Killed, " of 20 MiB disk") {
			t.Errorf("many files: %s", r.String())
		}
		s = newScene(t, mode)
		s.policy.Limits.FileSize = 2 << 20
		if r, text := s.run(t, nil, "head", "-c", "10000000", "/dev/zero"); !r.Success() {
			t.Errorf("much output: %s, %.200s", r.String(), text)
		}
		if r, text := s.shell(t, "exec head -c 10000000 /dev/zero >big"); r.Signal != syscall.SIGXFSZ {
			t.Errorf("a big file: %s, %s", r.String(), text)
		}
		s.policy.Limits.Files = 300
		if r, _ := s.shell(t, "i=0; while [ $i -lt 400 ]; do : >empty$i; i=$((i+1)); done; while :; do sleep 1; done"); r.Killed != "made more than 300 files" {
			t.Errorf("many empty files: %s", r.String())
		}
	})
}

func TestNobodyIsLeftBehind(t *testing.T) {
	eachMode(t, func(t *testing.T, mode Mode) {
		if mode == None && !watched {
			t.Skip("this system does not tell who has left the process group")
		}
		s := newScene(t, mode)
		for what, script := range map[string]string{
			"an orphan":            "sleep NAP & exit 0",
			"a session of its own": "setsid sleep NAP & setsid sh -c 'setsid sleep NAP & sleep NAP' & exit 0",
			"a daemon":             "(setsid sh -c '(setsid sleep NAP >/dev/null 2>&1 </dev/null &)' &); exit 0",
		} {
			nap := nap()
			r, _ := s.shell(t, strings.ReplaceAll(script, "NAP", nap))
			if !r.Success() {
				t.Errorf("%s: %s", what, r.String())
			}
			if n := sleepers(t, nap); n > 0 {
				t.Errorf("%s: %d processes outlive the box", what, n)
			}
		}
	})
}

func TestTimeUp(t *testing.T) {
	eachMode(t, func(t *testing.T, mode Mode) {
		s := newScene(t, mode)
		nap := nap()
		r, _ := s.run(t, func(s *Step) { s.Timeout = 300 * time.Millisecond }, "sh", "-c", "trap '' TERM; setsid sleep "+nap+" & sleep "+nap)
		if !r.TimedOut || !strings.HasPrefix(r.String(), "killed: not finished after ") || r.Usage.Wall > 20*time.Second {
			t.Errorf("%+v", r)
		}
		if n := sleepers(t, nap); n > 0 {
			t.Errorf("%d processes outlive the box", n)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		if r, err := Run(ctx, Step{Policy: s.policy, Args: []string{"sleep", nap}, Log: s.log}); !errors.Is(err, context.DeadlineExceeded) || r.TimedOut {
			t.Errorf("the context ended: %+v, %v", r, err)
		}
	})
}

// A box whose init is killed has ended, too.
func TestInitIsKilled(t *testing.T) {
	eachMode(t, func(t *testing.T, mode Mode) {
		s := newScene(t, mode)
		nap := nap()
		p, err := Start(Step{Policy: s.policy, Log: s.log, Args: []string{"sleep", nap}})
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(p.PID(), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if r := p.Result(); r.String() != "signal: killed" {
			t.Errorf("%s", r.String())
		}
		gone(t, nap)
	})
}

func TestSignalsReachTheProgram(t *testing.T) {
	eachMode(t, func(t *testing.T, mode Mode) {
		s := newScene(t, mode)
		p, err := Start(Step{Policy: s.policy, Log: s.log, Args: []string{"sh", "-c", "trap 'exit 42' TERM; : >ready; while :; do sleep 0.01; done"}})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Kill()
		for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
			if _, err := os.Stat(filepath.Join(s.work, "ready")); err == nil {
				break
			}
			if time.Now().After(end) {
				t.Fatal("the program is not ready after 10 s")
			}
		}
		p.Signal(syscall.SIGTERM)
		select {
		case <-p.Done():
		case <-time.After(10 * time.Second):
			t.Fatal("the program did not end within 10 s of SIGTERM")
		}
		if r := p.Result(); r.ExitCode != 42 {
			t.Errorf("%s", r.String())
		}
		p.Signal(syscall.SIGTERM) // to nobody
	})
}
