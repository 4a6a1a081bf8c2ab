package main

import (
	"bytes"
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// bound of one command: a verdict on empty handlers is there at once, and a
// busy machine gets patience.
const bound = time.Minute

// build builds a program of this module and returns where it is.
func build(t *testing.T, dir, pkg string) string {
	t.Helper()
	program := filepath.Join(dir, filepath.Base(pkg))
	if out, err := exec.Command("go", "build", "-o", program, pkg).CombinedOutput(); err != nil {
		t.Fatalf("building %s: %v\n%s", pkg, err, out)
	}
	return program
}

// command runs a program to its end.
func command(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), bound)
	defer cancel()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		t.Fatalf("%s did not end within %s\n%s%s", strings.Join(args, " "), bound, out.String(), errs.String())
	case errors.As(err, &exit):
		code = exit.ExitCode()
	case err != nil:
		t.Fatal(err)
	}
	return out.String(), errs.String(), code
}

// The first verdicts, as README.md shows them: neither a crash nor a hang.
func TestFirstVerdicts(t *testing.T) {
	dir := t.TempDir()
	client, node := build(t, dir, "paxbank/client"), build(t, dir, "paxbank/examples/starter-go")
	results, nodeCmd := filepath.Join(dir, "results"), node+" --id {id} --listen {listen} --data {data}"
	for _, c := range []struct {
		args []string
		want []string
	}{
		{[]string{"doctor"}, []string{
			`got   Submit (1, 2, 1): status UNAVAILABLE ("refused: not built yet")`,
			"\nL0: 1 of 4 calls not as the contract says, 2 of 4 calls not tried to the end\n",
			"\nL1: 5 of 5 calls not tried to the end\n",
			"\n 1. L0 Bank.Submit, within a cluster: want RESULT_COMMITTED",
		}},
		{[]string{"run", "first.csv"}, []string{
			"want committed, got unavailable",
			"n3: not built yet",
			"\nSet 1: fail, 0 of ",
		}},
	} {
		args := append([]string{client}, c.args...)
		stdout, stderr, code := command(t, append(args, "--results", results, "--node-cmd", nodeCmd)...)
		if code != 1 {
			t.Errorf("client %s: exit code %d, want 1\n%s", strings.Join(c.args, " "), code, stderr)
		}
		for _, want := range c.want {
			if !strings.Contains(stdout, want) {
				t.Errorf("client %s: no %q in\n%s", strings.Join(c.args, " "), want, stdout)
			}
		}
	}
}
