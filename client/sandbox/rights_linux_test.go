package sandbox

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestWithoutNamespaces runs other tests as root of an ordinary container is: able
// to become another user, and not to make namespaces.
func TestWithoutNamespaces(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can have users without namespaces")
	}
	cmd := exec.Command(program(t), "-test.v", "-test.timeout=2m", "-test.run=^("+strings.Join([]string{
		"TestProgramEnds", "TestTimeUp", "TestNobodyIsLeftBehind", "TestSignalsReachTheProgram", "TestRightsAlone", "TestRightsAreTold",
	}, "|")+")$")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	type ended struct {
		out []byte
		err error
	}
	done := make(chan ended)
	go func() {
		runtime.LockOSThread() // and never unlocked, so that the thread ends with what it gave up
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, unix.CAP_SYS_ADMIN, 0, 0, 0); err != nil {
			done <- ended{err: err}
			return
		}
		out, err := cmd.CombinedOutput()
		done <- ended{out, err}
	}()
	e := <-done
	if e.err != nil {
		t.Fatalf("%v\n%s", e.err, e.out)
	}
	for _, name := range []string{"TestRightsAlone", "TestRightsAreTold", "TestProgramEnds/auto"} {
		if !strings.Contains(string(e.out), "--- PASS: "+name) {
			t.Errorf("%s did not pass:\n%s", name, e.out)
		}
	}
}

// rightsOnly skips a test unless a user of its own is what a box has, without files
// of its own.
func rightsOnly(t *testing.T) {
	t.Helper()
	if have := probe().parts; have.Mounts || !have.User {
		t.Skip("this system has more than rights, or less")
	}
}

// openScene is a scene in a directory that everybody gets into.
func openScene(t *testing.T) *scene {
	t.Helper()
	s := newScene(t, Auto)
	dir := filepath.Dir(s.log)
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func TestRightsAlone(t *testing.T) {
	rightsOnly(t)
	s := openScene(t)
	closed := filepath.Join(filepath.Dir(s.log), "closed")
	results := filepath.Join(closed, "results.json")
	for _, err := range []error{os.Mkdir(closed, 0o700), os.WriteFile(results, []byte("0 points\n"), 0o644), os.Chmod(s.answers, 0o600)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	s.policy.Hidden = []string{closed, s.answers}
	// It builds in its directory, and cannot come near anything else.
	attack := "id -u; umask 077; mkdir made; echo built >made/it; cat " + s.answers + " " + results + "; ls " + closed + "; echo 100 >" + results +
		"; rm -rf " + closed + "; chmod 777 " + closed + "; echo x >" + filepath.Join(filepath.Dir(s.log), "outside") + "; kill -9 " + quoted(int64(os.Getpid())) + "; true"
	r, text := s.shell(t, attack)
	if !r.Success() || !strings.HasPrefix(text, "60000\n") || strings.Contains(text, "answer\n") || strings.Contains(text, "points\n") {
		t.Errorf("%s: %s", r.String(), text)
	}
	if data, err := os.ReadFile(results); err != nil || string(data) != "0 points\n" {
		t.Errorf("the results are now %q, %v", data, err)
	}
	// What it built it can read afterwards, and not change.
	s.policy.WorkReadOnly = true
	data := t.TempDir()
	if err := os.Chmod(filepath.Dir(data), 0o755); err != nil {
		t.Fatal(err)
	}
	r, text = s.run(t, func(s *Step) { s.Data = data }, "sh", "-c", "cat made/it mine; rm made/it mine; echo more >made/it; echo more >made/new; chmod 777 made .; echo mine >"+data+"/x")
	if !r.Success() || !strings.HasPrefix(text, "built\nmy file\n") {
		t.Errorf("%s: %s", r.String(), text)
	}
	if made, err := os.ReadFile(filepath.Join(s.work, "made", "it")); err != nil || string(made) != "built\n" {
		t.Errorf("what was built is now %q, %v", made, err)
	}
	if _, err := os.Stat(filepath.Join(data, "x")); err != nil {
		t.Errorf("its data: %v", err)
	}
}

func TestRightsAreTold(t *testing.T) {
	rightsOnly(t)
	s := openScene(t)
	contains(t, "open secrets", s.policy.Describe(true).String(), "user 60000", "closed hidden files (everybody may read "+s.work+"/key)")
	s.policy.Hidden = []string{filepath.Join(t.TempDir(), "nothing"), s.answers}
	if err := os.Chmod(s.answers, 0o640); err != nil {
		t.Fatal(err)
	}
	contains(t, "closed secrets", s.policy.Describe(true).String(), "user 60000, hidden files that are closed to it")
	if err := os.Chmod(s.secrets, 0o700); err != nil {
		t.Fatal(err)
	}
	// One reason for many parts is said once.
	contains(t, "no namespaces", s.policy.Describe(true).String(), "process namespaces, a read-only root, a /proc of its own, a network namespace (namespaces: ")
	contains(t, "closed work", s.policy.Describe(true).String(), "missing: a user of its own (it could not reach its files: only their owner gets into "+s.secrets)
	if r, text := s.shell(t, "id -u; cat mine"); !r.Success() || text != "0\nmy file\n" {
		t.Errorf("%s: %s", r.String(), text)
	}
}
