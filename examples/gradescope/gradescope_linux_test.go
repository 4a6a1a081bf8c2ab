package main

import (
	"archive/zip"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"paxbank/client/grade"
)

// A submission that builds with a module of the bundle and has a right bank gets
// its points, although it tries for more on the way.
func TestGraded(t *testing.T) {
	t.Parallel()
	attack := "true"
	if os.Geteuid() == 0 { // who is not has nobody else to run submissions as
		attack = `if grep -rq . "$r/source" "$r/results" "$r/submission_metadata.json" "$r/submission/build"; then exit 42; fi
echo '{}' >"$r/results/results.json" && exit 43
mv "$r/results" "$r/source" "$r/mine" && exit 44
rm -rf "$r/results" "$r/source"`
	}
	c := newContainer(t, "set -e; go mod download -x example.com/Answer; test -f go/pkg/mod/example.com/\\!answer@v1.0.0/answer.go; set +e\n"+
		"r=$(dirname \"$TMPDIR\")\n"+attack+"\nexit 0\n")
	_, ended := c.start()
	all, output := c.versions(ended, nil)
	if len(all) < 4 {
		t.Errorf("results.json was seen in %d versions, want one after each of three sets and one before\n%s", len(all), output)
	}
	if first := all[0]; *first.Tests[0].Score != 0 || *first.Tests[1].Score != 0 || !strings.Contains(first.Output, "ended before its time") {
		t.Errorf("at first: %v and %v points, %q", *first.Tests[0].Score, *first.Tests[1].Score, first.Output)
	}
	last := all[len(all)-1]
	if *last.Tests[0].Score != 4 || *last.Tests[1].Score != 6 || last.Tests[0].Status != "passed" || last.Output != "" {
		t.Errorf("in the end: %+v\n%s", last, output)
	}
	if os.Geteuid() == 0 && !strings.Contains(fmt.Sprint(last.ExtraData["containment"]), "user 60000, hidden files that are closed to it") {
		t.Errorf("containment: %v", last.ExtraData["containment"])
	}
	if !strings.Contains(output, "client grade ended with exit code 0\n") || !strings.HasSuffix(output, "\n<nil>") {
		t.Errorf("it printed %s", output)
	}
}

// Whenever it is killed, the file is whole and has every test. What had points
// before it keeps them.
func TestKilled(t *testing.T) {
	for _, versions := range []int{1, 2, 3} {
		t.Run(fmt.Sprint(versions), func(t *testing.T) {
			t.Parallel()
			c := newContainer(t, "exit 0\n")
			cmd, ended := c.start()
			before, output := c.versions(ended, func(seen int) bool { return seen == versions })
			if len(before) != versions {
				t.Fatalf("it ended after %d versions: %s", len(before), output)
			}
			if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			select {
			case <-ended:
			case <-time.After(patience):
				t.Fatalf("it did not end within %s of SIGKILL", patience)
			}
			c.gone()
			_, after := c.results()
			if !strings.Contains(after.Output, "ended before its time") {
				t.Errorf("it says %q", after.Output)
			}
			for i := range after.Tests {
				if score := *after.Tests[i].Score; score < *before[versions-1].Tests[i].Score {
					t.Errorf("%s had %v points before, and %v after", after.Tests[i].Name, *before[versions-1].Tests[i].Score, score)
				}
			}
		})
	}
}

// Where there is no Go, setup.sh says so, or takes the bundle's.
func TestSetupWithoutGo(t *testing.T) {
	t.Parallel()
	c := newContainer(t, "")
	tools := t.TempDir()
	for _, name := range []string{"bash", "chmod", "cp", "mkdir", "tar", "gzip", "rm", "cat"} {
		path, err := exec.LookPath(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(path, filepath.Join(tools, name)); err != nil {
			t.Fatal(err)
		}
	}
	setup := func() string {
		cmd := c.command("source/setup.sh")
		for i, e := range cmd.Env {
			if strings.HasPrefix(e, "PATH=") {
				cmd.Env[i] = "PATH=" + tools
			}
		}
		cmd.Path, cmd.Args = filepath.Join(tools, "bash"), []string{"bash", cmd.Path}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return string(out)
	}
	if out := setup(); !strings.Contains(out, "MISSING: no Go compiler.") || !strings.Contains(out, "MISSING: no Node.js.") {
		t.Errorf("with neither: %s", out)
	}
	c.write("go/bin/go", "#!/usr/bin/env bash\n[ \"$*\" = 'env GOVERSION' ] && echo go1.99\n")
	if out, err := exec.Command("tar", "-C", c.root, "--mode=755", "-czf", filepath.Join(c.root, "source", "go.tar.gz"), "go").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if out := setup(); !strings.Contains(out, "Go: go1.99\n") || strings.Contains(out, "no Go compiler") {
		t.Errorf("with Go in the bundle: %s", out)
	}
}

// A bundle has what the suite names and nothing else, laid out as it was.
func TestBundle(t *testing.T) {
	p, err := build()
	if err != nil {
		t.Fatal(err)
	}
	z, err := zip.OpenReader(p.bundle)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	var names []string
	for _, f := range z.File {
		names = append(names, f.Name)
		if executable := f.Mode()&0o111 != 0; executable != slices.Contains([]string{"client", "run_autograder", "setup.sh"}, f.Name) {
			t.Errorf("%s has mode %v", f.Name, f.Mode())
		}
	}
	want := []string{
		"bundle.env", "client", "modules/example.com/!answer/@v/list", "modules/example.com/!answer/@v/v1.0.0.info", "modules/example.com/!answer/@v/v1.0.0.mod",
		"modules/example.com/!answer/@v/v1.0.0.zip", "pending.json", "run_autograder", "setup.sh",
		"suite/project/suite.yaml", "suite/tests/a.csv", "suite/tests/a.expected.csv", "suite/tests/a.yaml",
	}
	if !slices.Equal(names, want) {
		t.Errorf("in the zip are %q, want %q", names, want)
	}
	again := filepath.Join(t.TempDir(), "again.zip")
	b := &bundle{}
	b.content("x", []byte("y"), 0o755)
	for range 2 {
		if err := b.write(again); err != nil {
			t.Fatal(err)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(again), ".*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

// What our own suite is made of is all there.
func TestShippedSuite(t *testing.T) {
	s, err := grade.ReadSuite("suite.yaml")
	if err != nil {
		t.Fatal(err)
	}
	b := &bundle{}
	if err := b.addSuite(s, t.TempDir()); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range b.entries {
		names = append(names, e.name)
	}
	for _, name := range []string{"suite/examples/gradescope/suite.yaml", "suite/examples/class/tests/basics.csv", "suite/examples/class/tests/basics.expected.csv", "suite/proto/paxbank/v1/bank.proto"} {
		if !slices.Contains(names, name) {
			t.Errorf("%s is missing in %q", name, names)
		}
	}
	smallest := grade.Machine{CPUs: 0.5, Memory: 768 << 20, Quota: true}
	if lacks := smallest.Lacks(s, 1); lacks != "" {
		t.Errorf("in Gradescope's smallest container: %s", lacks)
	}
	smallest.Memory = 512 << 20
	if lacks := smallest.Lacks(s, 1); !strings.Contains(lacks, "there are 512 MiB of memory here, and grading takes 758 MiB: 9 nodes with 56 MiB each (as limits.memory says)") {
		t.Errorf("with less: %q", lacks)
	}
}
