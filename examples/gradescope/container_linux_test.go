package main

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"paxbank/client/grade"
	"paxbank/internal/gradescope"
)

// patience is for one run of the autograder on a busy machine.
const patience = 2 * time.Minute

// built are the client and the server, and a bundle of the client with a small
// suite.
type built struct{ client, server, bundle string }

// programs is the directory of what was built for tests.
var programs string

var build = sync.OnceValues(func() (*built, error) {
	dir, err := os.MkdirTemp("", "paxbank-gradescope-test-")
	if err != nil {
		return nil, err
	}
	programs = dir
	p := &built{filepath.Join(dir, "client"), filepath.Join(dir, "server"), filepath.Join(dir, "bundle.zip")}
	// Without the race detector even when the tests have it, as users build them.
	for path, pkg := range map[string]string{p.client: "paxbank/client", p.server: "paxbank/server"} {
		if out, err := exec.Command("go", "build", "-o", path, pkg).CombinedOutput(); err != nil {
			return p, fmt.Errorf("building %s: %w\n%s", pkg, err, out)
		}
	}
	files := map[string]string{
		"tests/a.csv":          "1,\"(1, 2, 3)\",\n2,\"(2, 1, 10)\",\n",
		"tests/a.expected.csv": "Set Number,Check,Target,Expected,Points\n1,balance,1,7,4\n2,balance,1,20,4\n",
		"tests/a.yaml":         "clusters: [{id: c1, nodes: [n1], first_item: 1, last_item: 9}]\n",
		"project/suite.yaml": "name: Small\nmanifest: required\nlimits: {memory: 256MiB}\nsections:\n" +
			"  - {name: First, testset: ../tests/a.csv, sets: 1, points: 4}\n  - {name: Both, testset: ../tests/a.csv, points: 6, visibility: hidden}\n",
		// A module that needs no network.
		"answer/go.mod": "module example.com/Answer\n\ngo 1.26\n", "answer/answer.go": "// Package answer is one.\npackage answer\n",
		"answer.info": `{"Version": "v1.0.0"}`,
	}
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return p, err
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return p, err
		}
	}
	moduleZip := filepath.Join(dir, "answer.zip")
	z := &bundle{}
	for _, name := range []string{"go.mod", "answer.go"} {
		z.file("example.com/Answer@v1.0.0/"+name, filepath.Join(dir, "answer", name), 0o644)
	}
	if err := z.write(moduleZip); err != nil {
		return p, err
	}
	suite, err := grade.ReadSuite(filepath.Join(dir, "project", "suite.yaml"))
	if err != nil {
		return p, err
	}
	b := &bundle{}
	for _, step := range []func() error{
		func() error { return b.addGrader(p.client) },
		func() error { return b.addSuite(suite, dir) },
		func() error {
			return b.addModules([]module{{Path: "example.com/Answer", Version: "v1.0.0", Info: filepath.Join(dir, "answer.info"),
				GoMod: filepath.Join(dir, "answer", "go.mod"), Zip: moduleZip}})
		},
		func() error { return b.write(p.bundle) },
	} {
		if err := step(); err != nil {
			return p, err
		}
	}
	return p, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if programs != "" {
		os.RemoveAll(programs)
	}
	os.Exit(code)
}

// container is a directory laid out like Gradescope's /autograder.
type container struct {
	t    *testing.T
	root string
}

// newContainer has the bundle unpacked, was set up, and has a submission in it
// whose build runs a script.
func newContainer(t *testing.T, script string) *container {
	t.Helper()
	p, err := build()
	if err != nil {
		t.Fatal(err)
	}
	c := &container{t, filepath.Join(t.TempDir(), "autograder")}
	// Everybody gets to /autograder and /tmp; t.TempDir lets only us in.
	for _, dir := range []string{filepath.Dir(filepath.Dir(c.root)), filepath.Dir(c.root)} {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	unzip(t, p.bundle, filepath.Join(c.root, "source"))
	c.write("submission/paxbank.yaml", "build: sh ./build\nnode: ./server --id {id} --listen {listen} --data {data}\n")
	c.write("submission/build", script)
	c.write("submission/go.mod", "module bank\n\ngo 1.26\n\nrequire example.com/Answer v1.0.0\n")
	c.write("submission_metadata.json", `{"users": [{"name": "Somebody"}]}`)
	c.write("tmp/.keep", "")
	if err := os.Link(p.server, filepath.Join(c.root, "submission", "server")); err != nil {
		t.Fatal(err)
	}
	out, err := c.command("source/setup.sh").CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("the grader is ready")) && !bytes.Contains(out, []byte("grading would be refused")) {
		t.Fatalf("setup.sh: %v\n%s", err, out)
	}
	return c
}

func (c *container) write(name, text string) {
	c.t.Helper()
	path := filepath.Join(c.root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		c.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		c.t.Fatal(err)
	}
}

// command runs a script of the bundle with as little environment as Gradescope has,
// and in a process group of its own.
func (c *container) command(name string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(c.root, name))
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "TMPDIR=" + filepath.Join(c.root, "tmp"), "AUTOGRADER_ROOT=" + c.root,
		"AUTOGRADER_TOOLS=" + filepath.Join(c.root, "tools"), "AUTOGRADER_OFFLINE=1", "AUTOGRADER_FLAGS=--slow-machine-ok",
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

// start runs the autograder as root of a container is, who cannot make namespaces;
// where the tests are not run by root, as who runs them. Its output comes when it
// has ended.
func (c *container) start() (cmd *exec.Cmd, ended <-chan string) {
	c.t.Helper()
	cmd = c.command("run_autograder")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	// Of what it starts, what outlives it may hold its output for a moment.
	cmd.WaitDelay = 10 * time.Second
	started, done := make(chan error), make(chan string, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked, so that the thread ends with what it gave up
		if os.Geteuid() == 0 {
			if err := unix.Prctl(unix.PR_CAPBSET_DROP, unix.CAP_SYS_ADMIN, 0, 0, 0); err != nil {
				started <- err
				return
			}
		}
		started <- cmd.Start()
		err := cmd.Wait()
		done <- fmt.Sprintf("%s\n%v", &out, err)
	}()
	if err := <-started; err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { c.gone() })
	return cmd, done
}

// results reads results.json, which is there or not, and always whole.
func (c *container) results() (text []byte, r *gradescope.Results) {
	c.t.Helper()
	text, err := os.ReadFile(filepath.Join(c.root, "results", "results.json"))
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		c.t.Fatal(err)
	}
	if r, err = gradescope.Parse(text); err != nil {
		c.t.Fatalf("%v in\n%s", err, text)
	}
	if len(r.Tests) != 2 || r.Tests[0].Name != "First" || r.Tests[1].Name != "Both" || *r.Tests[0].MaxScore != 4 || *r.Tests[1].MaxScore != 6 || r.Tests[1].Visibility != "hidden" {
		c.t.Fatalf("not every test is in\n%s", text)
	}
	return text, r
}

// versions watches results.json until the autograder has ended or stop says so, and
// returns what it was, one after the other.
func (c *container) versions(ended <-chan string, stop func(seen int) bool) (all []*gradescope.Results, output string) {
	c.t.Helper()
	var last []byte
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	late := time.NewTimer(patience)
	defer late.Stop()
	look := func() {
		if text, r := c.results(); r != nil && !bytes.Equal(text, last) {
			all, last = append(all, r), text
		}
	}
	for {
		select {
		case output = <-ended:
			look()
			return all, output
		case <-late.C:
			c.t.Fatalf("the autograder has not ended after %s; results.json changed %d times", patience, len(all))
		case <-ticker.C:
		}
		if look(); stop != nil && stop(len(all)) {
			return all, ""
		}
	}
}

// gone waits until nothing of what was started here runs any more.
func (c *container) gone() {
	c.t.Helper()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		left := ""
		lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
		for _, name := range lines {
			if line, err := os.ReadFile(name); err == nil && bytes.Contains(line, []byte(c.root+"/")) {
				left = string(bytes.ReplaceAll(line, []byte{0}, []byte{' '}))
			}
		}
		switch {
		case left == "":
			return
		case time.Now().After(end):
			c.t.Errorf("still running after 30 s: %s", left)
			return
		}
	}
}

func unzip(t *testing.T, path, to string) {
	t.Helper()
	z, err := zip.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	for _, f := range z.File {
		in, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(in)
		in.Close()
		name := filepath.Join(to, f.Name)
		if err == nil {
			err = os.MkdirAll(filepath.Dir(name), 0o755)
		}
		if err == nil {
			err = os.WriteFile(name, data, f.Mode())
		}
		if err != nil {
			t.Fatalf("%s: %v", f.Name, err)
		}
	}
}
