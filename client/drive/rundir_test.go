package drive

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A command line is one argument, and its paths tell of the machine too.
func TestUnplacedLooksIntoCommandLines(t *testing.T) {
	got := Unplaced([]string{
		"--node-cmd", "java -jar /elsewhere/node.jar --id {id} --data={data}",
		`--node-cmd=python3 "/elsewhere/my node.py" '/elsewhere/x' --conf=/elsewhere/c.yaml --attach`,
		"/", "a=b", "",
	})
	want := []string{
		"--node-cmd", "java -jar node.jar --id {id} --data={data}",
		`--node-cmd=python3 "my node.py" 'x' --conf=c.yaml --attach`,
		"/", "a=b", "",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestRunDirectories(t *testing.T) {
	results := t.TempDir()
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	seen := map[string]bool{}
	for range 3 {
		dir, err := RunDir(results, "some/where/course.csv", now)
		if err != nil {
			t.Fatal(err)
		}
		if seen[dir] || filepath.Dir(dir) != filepath.Join(results, "course") {
			t.Errorf("directory %s", dir)
		}
		seen[dir] = true
		latest, err := os.Readlink(filepath.Join(results, "course", "latest"))
		if err != nil || latest != filepath.Base(dir) {
			t.Errorf("latest is %q (%v), want %q", latest, err, filepath.Base(dir))
		}
	}
	entries, err := os.ReadDir(filepath.Join(results, "course"))
	if err != nil || len(entries) != 4 {
		t.Errorf("%d entries (%v), want three runs and latest", len(entries), err)
	}
}

func TestNoAbsolutePathInResults(t *testing.T) {
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Join(Unplaced([]string{"run", filepath.Join(here, "a.csv"), "--results=/somewhere/else", "/other/b.csv", "--step"}), " ")
	if got != "run a.csv --results=else b.csv --step" {
		t.Errorf("arguments %q", got)
	}
}
