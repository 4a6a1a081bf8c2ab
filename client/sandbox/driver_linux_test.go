package sandbox

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// nobody is a user without rights that every system has.
const nobody = 65534

// TestAsNobody runs the other tests as somebody who is not root.
func TestAsNobody(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can become somebody else")
	}
	dir := t.TempDir()
	for _, d := range []string{filepath.Dir(dir), dir} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chown(dir, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	// He may not look into the directory of the test binary.
	binary, err := os.ReadFile(program(t))
	if err != nil {
		t.Fatal(err)
	}
	self := filepath.Join(dir, "sandbox.test")
	if err := os.WriteFile(self, binary, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-test.v", "-test.timeout=2m", "-test.run=^("+strings.Join([]string{
		"TestProgramEnds", "TestEnvironmentIsClean", "TestHiddenFilesAreHidden", "TestNobodyWritesOutside", "TestNoNetworkButLoopback",
		"TestMemoryHog", "TestForkBomb", "TestTasksAreLimited", "TestNobodyIsLeftBehind", "TestSignalsReachTheProgram", "TestDriverIsKilled", "TestWorker",
		"TestRequired",
	}, "|")+")$")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "TMPDIR="+dir, "HOME="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}, Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if passed := bytes.Count(out, []byte("--- PASS")); passed < 10 {
		t.Errorf("only %d tests ran:\n%s", passed, out)
	}
	for line := range bytes.Lines(out) {
		if bytes.Contains(line, []byte("this system has no")) {
			t.Logf("%s", line)
		}
	}
}

func TestDriverIsKilled(t *testing.T) {
	eachMode(t, func(t *testing.T, mode Mode) {
		if mode == None && !watched {
			t.Skip("this system does not tell who has left the process group")
		}
		nap := nap()
		driver := exec.Command("/proc/self/exe", "play", "driver", string(mode), filepath.Join(t.TempDir(), "log"), nap)
		out, err := driver.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := driver.Start(); err != nil {
			t.Fatal(err)
		}
		line, err := bufio.NewReader(out).ReadString('\n')
		if err != nil || line != "started <nil>\n" {
			t.Errorf("the driver said %q, %v", line, err)
		}
		for end := time.Now().Add(10 * time.Second); sleepers(t, nap) < 2; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%d of 2 processes run after 10 s", sleepers(t, nap))
			}
		}
		if err := driver.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = driver.Wait() // killed
		gone(t, nap)
	})
}

func TestWorker(t *testing.T) {
	needs(t, partNetwork)
	cmd := exec.Command("/proc/self/exe", "play", "where")
	release, err := Worker(cmd)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != "lo true\n" {
		t.Errorf("in a private network: %q, %v", out, err)
	}
	cmd = exec.Command("/proc/self/exe", "play", "where")
	if out, err := cmd.CombinedOutput(); err != nil || !strings.HasSuffix(string(out), " false\n") {
		t.Errorf("in the machine's network: %q, %v", out, err)
	}
}

func TestRequired(t *testing.T) {
	p := &Policy{Mode: Required}
	_, err := Start(Step{Policy: p, Args: []string{"true"}, Log: filepath.Join(t.TempDir(), "log")})
	if err == nil || !strings.Contains(err.Error(), "a network namespace (the driver was not started in a private one)") {
		t.Errorf("without a private network: %v", err)
	}
	missing := p.Describe(true).Missing
	_, err = Run(t.Context(), Step{Policy: p, Args: []string{"true"}, OwnNetwork: true, Log: filepath.Join(t.TempDir(), "log")})
	if (err == nil) != (len(missing) == 0) {
		t.Errorf("missing is %v, and it says %v", missing, err)
	}
}

func TestDescribe(t *testing.T) {
	got := (&Policy{Mode: None}).Describe(true).String()
	if !strings.HasPrefix(got, "limits: process group, ") || strings.Contains(got, "missing") {
		t.Errorf("none: %s", got)
	}
	p := &Policy{Mode: Auto, Slot: 7, Limits: Limits{CPU: time.Minute, Memory: 512 << 20}}
	got = p.Describe(true).String()
	contains(t, "limits", got, "output 1 MiB", "1m0s of processor time")
	if os.Geteuid() == 0 && probe().parts.User {
		contains(t, "user", got, "user 60007, ")
	}
	f := lack("no luck")
	f.merge(parts{PIDs: true, Proc: true}, map[string]string{})
	if f.parts.Proc || !f.parts.PIDs || f.missing[partMounts] != "no luck" || f.missing[partPIDs] != "" {
		t.Errorf("half a finding: %+v", f)
	}
}

func TestPolicyIsChecked(t *testing.T) {
	for want, p := range map[string]*Policy{
		`no mode "some"`:          {Mode: "some"},
		"slot 70000 is not":       {Mode: Auto, Slot: 70000},
		"it is the root":          {Mode: Auto, Hidden: []string{"/"}},
		"no such file":            {Mode: Auto, Work: "/no/such/directory"},
		"showing /no/such: lstat": {Mode: Auto, Visible: []string{"/no/such"}},
	} {
		if want == "showing /no/such: lstat" && !p.HasOwnFiles() {
			continue // everything is visible anyway
		}
		_, err := Start(Step{Policy: p, Args: []string{"true"}, Log: filepath.Join(t.TempDir(), "log")})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if _, err := Start(Step{Policy: &Policy{Mode: None}}); err == nil {
		t.Error("no program, no error")
	}
}
