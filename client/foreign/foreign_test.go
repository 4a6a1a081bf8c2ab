package foreign

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"paxbank/client/check"
	"paxbank/client/report"
)

// runBound of one run of the client; none takes a tenth of it.
const runBound = 3 * time.Minute

// variant is a row of variants.csv.
type variant struct {
	kind, name    string // right, bug or variation; which
	testset, sets string // of the repository
	exit          int
	usual         bool
	first, words  string // kind of the first check that fails, | between several; what some check that did not pass says
}

const bank = "examples/node-bank"

func variants(t *testing.T, root string) []variant {
	t.Helper()
	f, err := os.Open(filepath.Join(root, bank, "variants.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"kind", "name", "testset", "sets", "exit", "usual", "first", "words"}; len(rows) == 0 || !slices.Equal(rows[0], want) {
		t.Fatalf("the columns of variants.csv are not %q", want)
	}
	var out []variant
	for i, r := range rows[1:] {
		exit, err := strconv.Atoi(r[4])
		if err != nil {
			t.Fatalf("variants.csv:%d: exit code %q is no number", i+2, r[4])
		}
		out = append(out, variant{kind: r[0], name: r[1], testset: r[2], sets: r[3], exit: exit, usual: r[5] == "usual", first: r[6], words: r[7]})
	}
	return out
}

// needNode skips the test where node-bank cannot run.
func needNode(t *testing.T, root string) {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: runs of a whole bank take long")
	}
	if _, err := exec.LookPath("node"); err != nil {
		t.Skip("no Node.js here (node is not in PATH), so node-bank cannot run")
	}
	if _, err := os.Stat(filepath.Join(root, bank, "node_modules")); err != nil {
		t.Skipf("node-bank's packages are not installed; run: npm ci --prefix %s", bank)
	}
}

func TestVariants(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	needNode(t, root)
	client := filepath.Join(t.TempDir(), "client")
	// Without the race detector even when the tests have it: timing is judged too.
	build := exec.Command("go", "build", "-o", client, "paxbank/client")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the client: %v\n%s", err, out)
	}
	all := os.Getenv("FOREIGN") == "all"
	// Runs wait most of the time; three at once keep two cores busy enough.
	slots := make(chan struct{}, 3)
	for _, v := range variants(t, root) {
		name := strings.Trim(v.kind+"-"+v.name, "-") + "-" + strings.TrimSuffix(filepath.Base(v.testset), ".csv")
		t.Run(name, func(t *testing.T) {
			if !v.usual && !all {
				t.Skip("with FOREIGN=all only")
			}
			t.Parallel()
			slots <- struct{}{}
			defer func() { <-slots }()
			// What is unknown, or did not start, is tried again, and nothing else: a
			// machine that is busy with other things makes banks slow, not wrong.
			for again := 2; ; again-- {
				code, wrong, said := v.try(t, root, client)
				if (code == check.ExitUnknown || code == check.ExitNodes) && v.exit != code && again > 0 {
					t.Logf("exit code %d, tried again:\n%s", code, said)
					continue
				}
				if len(wrong) > 0 {
					t.Errorf("%s; what did not pass:\n%s", strings.Join(wrong, "; "), said)
				}
				return
			}
		})
	}
}

// try runs the client on the variant. It returns the exit code, what is not as the
// row wants it, and what the client complained of.
func (v *variant) try(t *testing.T, root, client string) (code int, wrong []string, said string) {
	node := fmt.Sprintf("node %s/node.js --id {id} --listen {listen} --data {data}", bank)
	if v.name != "" {
		node += " --" + v.kind + " " + v.name
	}
	ctx, cancel := context.WithTimeout(t.Context(), runBound)
	defer cancel()
	cmd := exec.CommandContext(ctx, client, "run", v.testset, "--sets", v.sets, "--json", "--results", t.TempDir(), "--node-cmd", node)
	cmd.Dir = root
	// The client ends its nodes when it is told to stop.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 20 * time.Second
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("running the client: %v\n%s", err, stderr.String())
	}
	var summary report.Summary
	if err := json.Unmarshal(out, &summary); err != nil {
		t.Fatalf("the summary cannot be read: %v\n%s", err, stderr.String())
	}
	failed, complaints := complaintsOf(&summary)
	if ctx.Err() != nil {
		t.Fatalf("the run did not end within %s\n%s%s", runBound, stderr.String(), strings.Join(complaints, "\n"))
	}
	code, said = cmd.ProcessState.ExitCode(), strings.Join(complaints, "\n")
	if code > check.ExitUnknown {
		said += stderr.String()
	}
	if code != v.exit {
		wrong = append(wrong, fmt.Sprintf("exit code %d, want %d", code, v.exit))
	}
	if all := summary.Score == summary.MaxScore; all != (v.exit == check.ExitPass) {
		wrong = append(wrong, fmt.Sprintf("%g of %g points", summary.Score, summary.MaxScore))
	}
	if len(failed) > 0 && !slices.Contains(strings.Split(v.first, "|"), failed[0]) {
		wrong = append(wrong, fmt.Sprintf("the first check that fails is %s, want %s", failed[0], v.first))
	}
	if !strings.Contains(said, v.words) {
		wrong = append(wrong, fmt.Sprintf("nothing says %q", v.words))
	}
	return code, wrong, said
}

// complaintsOf are the kinds of the checks that failed, and what those that failed
// or are unknown say, in the order in which people are shown them.
func complaintsOf(s *report.Summary) (failed, said []string) {
	for i := range s.Sets {
		for k := range s.Sets[i].Checks {
			c := &s.Sets[i].Checks[k]
			if c.Verdict == check.Fail {
				failed = append(failed, c.Check)
			}
			if c.Verdict != check.Pass {
				said = append(said, fmt.Sprintf("set %d: %s %s %s: %s", s.Sets[i].Set, c.Verdict, c.Check, c.Target, c.Message))
			}
		}
	}
	return failed, said
}
