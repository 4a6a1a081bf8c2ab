// Package github has the workflow for GitHub Actions, and carries it out in its test.
package github

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"
)

// workflow is what we use of the syntax of workflows.
type workflow struct {
	Name        string            `yaml:"name"`
	On          map[string]any    `yaml:"on"`
	Permissions map[string]string `yaml:"permissions"`
	Env         map[string]string `yaml:"env"`
	Jobs        map[string]struct {
		RunsOn         string `yaml:"runs-on"`
		TimeoutMinutes int    `yaml:"timeout-minutes"`
		Steps          []step `yaml:"steps"`
	} `yaml:"jobs"`
}

type step struct {
	Name string            `yaml:"name"`
	ID   string            `yaml:"id"`
	If   string            `yaml:"if"`
	Uses string            `yaml:"uses"`
	Run  string            `yaml:"run"`
	Env  map[string]string `yaml:"env"`
	With map[string]string `yaml:"with"`
}

func read(t *testing.T) (w workflow, steps []step) {
	t.Helper()
	data, err := os.ReadFile("classroom.yml")
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Load(data, &w, yaml.WithKnownFields()); err != nil {
		t.Fatal(err)
	}
	job, ok := w.Jobs["bank"]
	if !ok || len(w.Jobs) != 1 || job.RunsOn == "" || job.TimeoutMinutes == 0 || len(w.On) == 0 {
		t.Fatalf("the workflow is %+v", w)
	}
	return w, job.Steps
}

func TestReporter(t *testing.T) {
	_, steps := read(t)
	for i, s := range steps {
		if s.Name == "" || (s.Uses == "") == (s.Run == "") {
			t.Errorf("step %d is %+v", i+1, s)
		}
	}
	at := slices.IndexFunc(steps, func(s step) bool {
		return strings.HasPrefix(s.Uses, "classroom-resources/autograding-grading-reporter@")
	})
	if at < 0 {
		t.Fatal("nobody reports to GitHub Classroom")
	}
	reporter := steps[at]
	runner := reporter.With["runners"]
	if !slices.ContainsFunc(steps[:at], func(s step) bool { return s.ID == runner && s.Run != "" }) {
		t.Errorf("the reporter waits for the step %q, which is not there", runner)
	}
	if got, want := reporter.Env[strings.ToUpper(runner)+"_RESULTS"], "${{ steps."+runner+".outputs.result }}"; got != want {
		t.Errorf("the reporter gets %q, want %q", got, want)
	}
	if reporter.If == "" {
		t.Error("the reporter does not run when the bank fails")
	}
}

// TestSteps carries out what the workflow runs, in a repository whose bank is our
// server.
func TestSteps(t *testing.T) {
	w, steps := read(t)
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range strings.Fields(w.Env["TESTSETS"]) {
		if _, err := os.Stat(filepath.Join(root, name)); err != nil {
			t.Errorf("TESTSETS: %v", err)
		}
	}
	repository := t.TempDir()
	// The grader's repository, but for its bin.
	grader := filepath.Join(repository, ".paxbank")
	if err := os.Mkdir(grader, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"go.mod", "go.sum", "client", "server", "internal", "proto"} {
		if err := os.Symlink(filepath.Join(root, name), filepath.Join(grader, name)); err != nil {
			t.Fatal(err)
		}
	}
	files := map[string]string{
		"a.csv": "1,\"(1, 2, 3)\",\n", "a.yaml": "clusters: [{id: c1, nodes: [n1], first_item: 1, last_item: 9}]\n",
		"a.expected.csv": "Set Number,Check,Target,Expected,Points\n1,balance,1,8,5\n",
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(grader, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	summary, output := filepath.Join(repository, "summary"), filepath.Join(repository, "output")
	environment := append(os.Environ(), "GITHUB_ACTIONS=true", "GITHUB_STEP_SUMMARY="+summary, "GITHUB_OUTPUT="+output,
		"BUILD=go build -C .paxbank -o ../bank ./server", "NODE="+w.Env["NODE"], "TESTSETS=a.csv")
	for _, s := range steps {
		if s.Run == "" {
			continue
		}
		// As GitHub's runners start it.
		cmd := exec.Command("bash", "-eo", "pipefail", "-c", s.Run)
		cmd.Dir, cmd.Env, cmd.WaitDelay = repository, environment, 10*time.Second
		out, err := cmd.CombinedOutput()
		if s.ID == "" && err != nil {
			t.Fatalf("%s: %v\n%s", s.Name, err, out)
		}
		if s.ID == "" {
			continue
		}
		// One row of its expected file is wrong, so it fails and says where.
		if cmd.ProcessState.ExitCode() != 1 || !strings.Contains(string(out), "::error file=") {
			t.Errorf("%s: %v\n%s", s.Name, err, out)
		}
	}
	if text, err := os.ReadFile(summary); err != nil || !strings.Contains(string(text), "Set 1") {
		t.Errorf("the summary of the step: %v\n%s", err, text)
	}
	text, err := os.ReadFile(output)
	if err != nil {
		t.Fatal(err)
	}
	encoded, found := strings.CutPrefix(strings.TrimSpace(string(text)), "result=")
	data, err := base64.StdEncoding.DecodeString(encoded)
	var result struct {
		Version  int
		Status   string
		MaxScore float64 `json:"max_score"`
		Tests    []struct{ Score float64 }
	}
	if err == nil {
		err = json.Unmarshal(data, &result)
	}
	if err != nil || !found || result.Version != 1 || result.Status != "fail" || result.MaxScore != 5 || len(result.Tests) != 1 || result.Tests[0].Score != 0 {
		t.Errorf("the output of the step is %s, %v: %+v", data, err, result)
	}
	if runs, err := filepath.Glob(filepath.Join(repository, "graded", "*")); err != nil || len(runs) == 0 {
		t.Errorf("nothing is kept: %v", err)
	}
}
