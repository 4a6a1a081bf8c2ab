package main

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"paxbank/client/check"
	"paxbank/client/runner"
	"paxbank/client/testset"
	"paxbank/internal/fakebank"
	"paxbank/internal/topology"
	pb "paxbank/proto/paxbank/v1"
)

// The scripts in testdata/script document the command line. Besides client they
// have two programs: `exits CODE PROGRAM…` runs a program and checks its exit
// code, `fakebank [BUG:]FILE PROGRAM…` runs a program while a fake bank serves,
// whose topology it writes to FILE. The bugs are those of the table bugs.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"client":   main,
		"exits":    exits,
		"fakebank": withFakeBank,
	})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: filepath.Join("testdata", "script")})
}

func exits() {
	want, err := strconv.Atoi(os.Args[1])
	if err != nil {
		panic(err)
	}
	if got := runProgram(os.Args[2:]); got != want {
		fmt.Fprintf(os.Stderr, "exit code %d, want %d\n", got, want)
		os.Exit(1)
	}
}

func runProgram(args []string) int {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		panic(err)
	}
	return cmd.ProcessState.ExitCode()
}

// bugs are what a fake bank's receivers get of a transfer.
var bugs = map[string]func(*fakebank.Bank){
	// Money is lost on its way into a cluster that lacks a node.
	"lossy": func(b *fakebank.Bank) {
		b.Credit = func(q *pb.TransactionRequest, _ uint64, down int) int64 {
			if down > 0 {
				return 0
			}
			return q.GetTransfer().GetAmount()
		}
	},
	// The same in every other epoch in which it can happen, from the first on.
	"flaky": func(b *fakebank.Bank) {
		epochs := map[uint64]bool{} // epoch → lossy
		b.Credit = func(q *pb.TransactionRequest, epoch uint64, down int) int64 {
			if down == 0 {
				return q.GetTransfer().GetAmount()
			}
			if _, known := epochs[epoch]; !known {
				epochs[epoch] = len(epochs)%2 == 0
			}
			if epochs[epoch] {
				return 0
			}
			return q.GetTransfer().GetAmount()
		}
	},
	// Every transfer into item 2 loses one.
	"thief": func(b *fakebank.Bank) {
		b.Credit = func(q *pb.TransactionRequest, _ uint64, _ int) int64 {
			if q.GetTransfer().GetTo() == 2 {
				return q.GetTransfer().GetAmount() - 1
			}
			return q.GetTransfer().GetAmount()
		}
	},
	// Of two transfers that come at once, the one into item 3 is second, or first.
	"two-first":   func(b *fakebank.Bank) { oneFirst(b, 2, 3) },
	"three-first": func(b *fakebank.Bank) { oneFirst(b, 3, 2) },
	// Nothing is done, and nothing is answered.
	"mute": func(b *fakebank.Bank) {
		b.Decide = func(string, *pb.TransactionRequest) fakebank.Fate { return fakebank.Swallow }
	},
	// Whatever crosses clusters is aborted.
	"local": func(b *fakebank.Bank) {
		items := b.Topology().Items
		b.Decide = func(_ string, q *pb.TransactionRequest) fakebank.Fate {
			from, _ := items.Cluster(q.GetTransfer().GetFrom())
			if to, _ := items.Cluster(q.GetTransfer().GetTo()); to != from {
				return fakebank.Abort
			}
			return fakebank.Serve
		}
	},
}

// oneFirst does a transfer into one item before one into the other.
func oneFirst(b *fakebank.Bank, first, second int64) {
	done := make(chan struct{})
	b.OnTransfer = func(q *pb.TransactionRequest) func() {
		if q.GetTransfer().GetTo() == second {
			<-done
		}
		return func() {
			if q.GetTransfer().GetTo() == first {
				close(done)
			}
		}
	}
}

func withFakeBank() {
	bank, err := fakebank.Start(topology.Default())
	if err != nil {
		panic(err)
	}
	defer bank.Stop()
	file := os.Args[1]
	if bug, name, found := strings.Cut(file, ":"); found {
		bugs[bug](bank)
		file = name
	}
	bank.Keep = true
	if err := os.WriteFile(file, []byte(topologyOf(bank)), 0o644); err != nil {
		panic(err)
	}
	os.Exit(runProgram(os.Args[2:]))
}

// topologyOf is a topology file of a fake bank.
func topologyOf(bank *fakebank.Bank) string {
	t := bank.Topology()
	var b strings.Builder
	b.WriteString("clusters:\n")
	for i, c := range t.Clusters {
		fmt.Fprintf(&b, "  - id: %s\n    first_item: %d\n    last_item: %d\n    nodes:\n", c.ID, t.Items.Ranges[i].First, t.Items.Ranges[i].Last)
		for _, n := range c.Nodes {
			fmt.Fprintf(&b, "      - {id: %s, address: %q}\n", n.ID, n.Address)
		}
	}
	return b.String()
}

func TestGraver(t *testing.T) {
	for _, c := range [][3]int{{0, 2, 2}, {1, 2, 1}, {1, 69, 69}, {69, 70, 70}, {130, 1, 130}, {0, 0, 0}} {
		if got := graver(c[0], c[1]); got != c[2] {
			t.Errorf("graver(%d, %d) = %d, want %d", c[0], c[1], got, c[2])
		}
	}
}

func TestParseStep(t *testing.T) {
	for line, want := range map[string]string{
		"balance 1001":             "balance|1001",
		"PrintBalance(4005)":       "balance|4005",
		"PrintBalance( 4005 );":    "balance|4005",
		"PrintDB":                  "db|",
		"PrintDB()":                "db|",
		"PrintLog(n1)":             "log|n1",
		"printstatus 3":            "status|3",
		"timeline (1, 2, 3)":       "timeline|(1, 2, 3)",
		"PrintTimeline((1, 2, 3))": "timeline|(1, 2, 3)",
		"PrintTimeline(1, 2, 3)":   "timeline|(1, 2, 3)",
		"Performance":              "performance|",
	} {
		name, arg, ok := parseStep(line)
		if got := name + "|" + arg; !ok || got != want {
			t.Errorf("parseStep(%q) = %s, want %s", line, got, want)
		}
	}
	if _, _, ok := parseStep("123"); ok {
		t.Error("a number passed for a command")
	}
}

func TestFindCall(t *testing.T) {
	call := func(line int, text, kind string) runner.Call {
		return runner.Call{Command: testset.Command{Line: line, Text: text}, Kind: kind}
	}
	set := &runner.SetResult{Calls: []runner.Call{
		call(5, "(1, 2, 3)", "intra"), call(6, "(7)", "read"), call(9, "(1, 3001, 3)", "cross"),
	}}
	for arg, line := range map[string]int{"5": 5, "3": 9, "1": 5, "9": 9, "(1,3001,3)": 9, "6": 0, "2": 0, "7": 0, "": 0, "(9, 9, 9)": 0} {
		c, err := findCall(set, arg)
		switch {
		case line == 0 && err == nil:
			t.Errorf("timeline %q found line %d", arg, c.Command.Line)
		case line != 0 && (err != nil || c.Command.Line != line):
			t.Errorf("timeline %q: %v, %v; want line %d", arg, c, err, line)
		}
	}
}

// TestInterrupt: the first signal ends the context, and stop gives signals back.
func TestInterrupt(t *testing.T) {
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	// So that a signal that comes after stop does not end the test.
	guard := make(chan os.Signal, 1)
	signal.Notify(guard, syscall.SIGTERM)
	defer signal.Stop(guard)
	d := &driver{stdout: null, stderr: null}
	ctx, stop := d.interruptible()
	defer stop()
	if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ctx.Done():
	case <-time.After(5 * time.Second):
		t.Fatal("the context did not end within 5 s of the signal")
	}
	if code := check.ExitCode(&runner.RunResult{Interrupted: true}, check.RunVerdict{}); code != 130 {
		t.Errorf("exit code %d", code)
	}
}
