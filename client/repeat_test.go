package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"paxbank/client/check"
	"paxbank/client/drive"
	"paxbank/client/oracle"
	"paxbank/client/plan"
	"paxbank/client/runner"
	"paxbank/client/stats"
	"paxbank/client/testset"
	"paxbank/internal/fakebank"
	"paxbank/internal/topology"
	pb "paxbank/proto/paxbank/v1"
)

// interrupted is a command that runs on a fake bank until, after so many
// transfers, the user interrupts it: ctx ends then.
func interrupted(t *testing.T, transfers int64, testSet string) (ctx context.Context, d *driver, p *plan.Plan, stdout string) {
	t.Helper()
	bank, err := fakebank.Start(topology.Default())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(bank.Stop)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	var seen atomic.Int64
	bank.OnTransfer = func(*pb.TransactionRequest) func() {
		if seen.Add(1) == transfers {
			cancel()
		}
		return func() {}
	}
	// A bug: money is lost whenever it moves.
	bank.Credit = func(*pb.TransactionRequest, uint64, int) int64 { return 0 }
	dir := t.TempDir()
	path := filepath.Join(dir, "set.csv")
	if err := os.WriteFile(path, []byte(testSet), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "set.yaml"), []byte(topologyOf(bank)), 0o644); err != nil {
		t.Fatal(err)
	}
	p, err = (&plan.Shape{}).Read(path) // with the topology beside it
	if err != nil {
		t.Fatal(err)
	}
	stdout = filepath.Join(dir, "stdout")
	d = &driver{stdout: create(t, stdout), stderr: create(t, filepath.Join(dir, "stderr"))}
	return ctx, d, p, stdout
}

func create(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func attached(results string) driveFlags {
	return driveFlags{
		nodeFlags:    nodeFlags{Attach: true},
		conductFlags: conductFlags{Order: runner.OrderConflict, Fault: runner.FaultPause, Deadline: runner.DefaultDeadline, Semantics: oracle.Strict, Results: results},
	}
}

// An interrupt ends repeated runs with what there is, printed and written.
func TestRepeatInterrupted(t *testing.T) {
	const setsPerRun = 2
	ctx, d, p, stdout := interrupted(t, 2*setsPerRun+1, "1,\"(1, 2, 3)\",\n2,\"(1, 3, 3)\",\n")
	times := 10
	c := &runCommand{driveFlags: attached(t.TempDir()), repeatFlags: repeatFlags{Repeat: &times}, JSON: true}
	code, err := c.runRepeated(ctx, d, p, drive.Implementation{Attach: true}, stats.Budget{})
	if code != check.ExitInterrupted || err != nil {
		t.Errorf("exit code %d, error %v", code, err)
	}
	data, err := os.ReadFile(stdout)
	if err != nil {
		t.Fatal(err)
	}
	var got campaign
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	// The set that was interrupted in the third run counts nowhere.
	want := stats.Tally{Fail: 2}
	if !got.Interrupted || len(got.Runs) != 3 || got.Requested != 10 || got.Sets[0].Tally != want || got.Sets[1].Tally != want {
		t.Errorf("got %s", data)
	}
	written, err := os.ReadFile(filepath.Join(c.Results, "set", "latest", "repeat.json"))
	if err != nil || string(written) != string(data) {
		t.Errorf("repeat.json (%v):\n%s", err, written)
	}
}

// An interrupted search leaves the smallest set so far.
func TestShrinkInterrupted(t *testing.T) {
	// The original run makes two transfers, and so does the first candidate, which is
	// the first half; the second candidate makes one.
	ctx, d, p, stdout := interrupted(t, 5, "1,\"(1, 2, 3)\",\"[n1, n2, n3]\"\n,\"(4, 5, 3)\",\n,(1),\n,(2),\n,(4),\n,(5),\n")
	c := &shrinkCommand{TestSet: p.Path, driveFlags: attached(t.TempDir()), Attempts: 1, Budget: time.Minute}
	code, err := c.shrink(ctx, d, p, drive.Implementation{Attach: true})
	if code != check.ExitInterrupted || err != nil {
		t.Errorf("exit code %d, error %v", code, err)
	}
	small, err := (&plan.Shape{}).Read(filepath.Join(c.Results, "set", "latest", "shrunk.csv"))
	if err != nil {
		t.Fatal(err)
	}
	if n := len(small.Sets[0].Commands); n != 3 {
		t.Errorf("%d commands are left", n)
	}
	if info, err := os.Stat(stdout); err != nil || info.Size() == 0 {
		t.Errorf("nothing was printed (%v)", err)
	}
}

// A budget that ends at once leaves the set as it was, and is no error.
func TestShrinkBudget(t *testing.T) {
	ctx, d, p, _ := interrupted(t, 1000, "1,\"(1, 2, 3)\",\"[n1, n2, n3]\"\n,(1),\n,(2),\n")
	c := &shrinkCommand{TestSet: p.Path, driveFlags: attached(t.TempDir()), Attempts: 1, Budget: time.Nanosecond}
	code, err := c.shrink(ctx, d, p, drive.Implementation{Attach: true})
	if code != check.ExitPass || err != nil {
		t.Errorf("exit code %d, error %v", code, err)
	}
	small, err := (&plan.Shape{}).Read(filepath.Join(c.Results, "set", "latest", "shrunk.csv"))
	if err != nil {
		t.Fatal(err)
	}
	if n := len(small.Sets[0].Commands); n != 3 {
		t.Errorf("%d commands are left", n)
	}
}

func TestRepeatWords(t *testing.T) {
	p := &plan.Plan{Path: "my sets/course.csv"}
	for _, n := range []int{2, 3, 4, 5} {
		p.Sets = append(p.Sets, plan.Set{Set: testset.Set{Number: n}})
	}
	four, items := 4, int64(100)
	for _, c := range []struct {
		shape  plan.Shape
		change func(*driveFlags)
		want   string
	}{
		{plan.Shape{}, func(*driveFlags) {}, "--sets 4"},
		{plan.Shape{}, func(f *driveFlags) { f.NodeCmd = "./my-node --id {id} --to {listen} {data}" },
			"--sets 4 --node-cmd './my-node --id {id} --to {listen} {data}'"},
		{plan.Shape{Clusters: &four, Items: &items}, func(f *driveFlags) { f.Fault = runner.FaultKill }, "--sets 4 --clusters 4 --items 100 --fault kill"},
		{plan.Shape{Topology: []string{"a.yaml", "4=b.yaml"}, Sets: "2-5"}, func(f *driveFlags) { f.KeepState = true },
			"--sets 2,3,4 --topology a.yaml --topology 4=b.yaml --keep-state"},
	} {
		f := attached("elsewhere")
		f.Attach = false
		c.change(&f)
		want := drive.CommandLine([]string{drive.Program()}) + " run 'my sets/course.csv' " + c.want
		if got := drive.CommandLine(repeatWords(p, 4, &c.shape, &f)); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}
