package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"paxbank/internal/fakebank"
	"paxbank/internal/topology"
	pb "paxbank/proto/paxbank/v1"
)

// TestMain lets the test program be the echo process of the floor, which is the
// running program again.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == echoArgs[0] && os.Args[2] == echoArgs[1] {
		code, err := (&Command{EchoServer: true}).Run(context.Background(), Env{Stdin: os.Stdin, Stdout: os.Stdout})
		if err != nil {
			os.Stderr.WriteString(err.Error() + "\n")
		}
		os.Exit(code)
	}
	goleak.VerifyTestMain(m)
}

func fake(t *testing.T) *fakebank.Bank {
	t.Helper()
	shape, err := topology.Uniform(2, 3, 200, 1000)
	if err != nil {
		t.Fatal(err)
	}
	b, err := fakebank.Start(shape)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Stop)
	return b
}

func ptr[T any](v T) *T { return &v }

// small is a benchmark that ends soon.
func small() *Command {
	return &Command{Transactions: ptr(int64(400)), Clients: ptr(4), Inflight: ptr(8), Arrivals: "poisson", Fault: faultPause,
		Seed: 1, Repeat: 1, Deadline: 5 * time.Second, JSON: true}
}

// benchmark runs c on b and returns the exit code and the JSON output.
func benchmark(t *testing.T, c *Command, b *fakebank.Bank) (int, map[string]any) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var out bytes.Buffer
	code, err := c.Run(ctx, Env{Stdout: &out, Stderr: os.Stderr, Topology: b.Topology(), Attach: true, Dir: t.TempDir(), Host: "test", Commit: "c0ffee"})
	if err != nil {
		t.Fatalf("exit code %d: %v", code, err)
	}
	var result map[string]any
	if err := json.Unmarshal(out.Bytes(), &result); err != nil {
		t.Fatalf("stdout is no JSON: %v\n%s", err, out.String())
	}
	return code, result
}

func at(t *testing.T, v any, path string) any {
	t.Helper()
	for key := range strings.SplitSeq(path, ".") {
		m, ok := v.(map[string]any)
		if !ok {
			t.Fatalf("%s: there is no %s", path, key)
		}
		v = m[key]
	}
	return v
}

func expect(t *testing.T, result map[string]any, want map[string]any) {
	t.Helper()
	for path, w := range want {
		if got := at(t, result, path); got != w {
			t.Errorf("%s is %v, want %v (problems: %v)", path, got, w, result["problems"])
		}
	}
}

func TestEveryWayOfSubmission(t *testing.T) {
	for name, change := range map[string]func(*Command, *fakebank.Bank){
		"stream":            func(*Command, *fakebank.Bank) {},
		"unary":             func(c *Command, _ *fakebank.Bank) { c.Unary = true },
		"no stream offered": func(_ *Command, b *fakebank.Bank) { b.NoStream = true },
		"open loop":         func(c *Command, _ *fakebank.Bank) { c.Rate = 4000 },
		"open unary":        func(c *Command, _ *fakebank.Bank) { c.Rate, c.Unary = 4000, true },
		"quiet not offered": func(_ *Command, b *fakebank.Bank) { b.NoQuiet = true },
		"smallbank":         func(c *Command, _ *fakebank.Bank) { c.Preset, c.Read, c.Cross = "smallbank", nil, nil },
	} {
		t.Run(name, func(t *testing.T) {
			b, c := fake(t), small()
			c.Read, c.Cross = ptr(20.0), ptr(30.0)
			change(c, b)
			code, result := benchmark(t, c, b)
			if code != exitPass {
				t.Errorf("exit code %d, want %d", code, exitPass)
			}
			expect(t, result, map[string]any{"verdict": Pass, "counts.committed": 400.0, "unknown": 0.0, "money_ok": true,
				"replicas_equal": true, "balances_ok": true, "commits_applied": true, "latency_us.count": 400.0})
			if rate, ok := result["committed_per_s"].(float64); !ok || rate <= 0 {
				t.Errorf("committed_per_s is %v", result["committed_per_s"])
			}
		})
	}
}

func TestDurationAndWarmup(t *testing.T) {
	b, c := fake(t), small()
	c.Transactions, c.Duration, c.Warmup = nil, ptr(300*time.Millisecond), ptr(200*time.Millisecond)
	_, result := benchmark(t, c, b)
	expect(t, result, map[string]any{"verdict": Pass, "seconds": 0.3, "money_ok": true})
	// The nodes were sent the warm-up's transfers too.
	counted := at(t, result, "counts.committed").(float64)
	if sent := float64(b.Requests("n1") + b.Requests("n4")); counted <= 0 || counted >= sent {
		t.Errorf("%g of %g transfers were counted, want some but not the warm-up's", counted, sent)
	}
}

// TestLatencyFromTheIntendedStart: the bank stands still for a while. In an open
// loop everybody who had to come meanwhile is late, not only the one it stood
// still for.
func TestLatencyFromTheIntendedStart(t *testing.T) {
	const stall = 300 * time.Millisecond
	b, c := fake(t), small()
	c.Rate, c.Arrivals, c.Transactions, c.Inflight, c.Clients = 500, "constant", ptr(int64(300)), ptr(1), ptr(1)
	first := true
	b.Decide = func(string, *pb.TransactionRequest) fakebank.Fate {
		if first {
			first = false
			time.Sleep(stall) // what the bank under test does
		}
		return fakebank.Serve
	}
	_, result := benchmark(t, c, b)
	expect(t, result, map[string]any{"verdict": Pass, "counts.committed": 300.0})
	// 150 of the 300 were due during the stall, so at least a tenth of all waited
	// for two thirds of it or more. Counted from the send, one would have.
	if p90 := at(t, result, "latency_us.p90").(float64); p90 < float64((stall / 3).Microseconds()) {
		t.Errorf("p90 is %g µs; nobody was charged for the stall of %s", p90, stall)
	}
}

func TestUnknownOutcomesAreSettled(t *testing.T) {
	for _, unary := range []bool{false, true} {
		for _, fate := range []fakebank.Fate{fakebank.Swallow, fakebank.DoSilently, fakebank.Doubt} {
			b, c := fake(t), small()
			c.Unary, c.Deadline, c.Cross = unary, 100*time.Millisecond, ptr(10.0)
			lost := map[uint64]bool{}
			n := 0
			b.Decide = func(_ string, q *pb.TransactionRequest) fakebank.Fate {
				if n++; n%100 == 50 {
					lost[q.GetClientId()<<16^q.GetTimestamp()] = true
				}
				if lost[q.GetClientId()<<16^q.GetTimestamp()] {
					return fate
				}
				return fakebank.Serve
			}
			code, result := benchmark(t, c, b)
			name := map[fakebank.Fate]string{fakebank.Swallow: "swallowed", fakebank.DoSilently: "done silently", fakebank.Doubt: "doubted"}[fate]
			unknown := at(t, result, "unknown").(float64)
			settled := at(t, result, "settled_committed").(float64) + at(t, result, "settled_aborted").(float64)
			if unknown < 1 || settled != unknown || result["unsettled"] != 0.0 {
				t.Errorf("%s (unary %t): %g unknown, %g settled, %v not", name, unary, unknown, settled, result["unsettled"])
			}
			if done := at(t, result, "settled_committed").(float64); done < 1 && fate == fakebank.DoSilently {
				t.Errorf("%s (unary %t): none settled as committed", name, unary)
			}
			expect(t, result, map[string]any{"money_ok": true, "balances_ok": true})
			if code == exitFail {
				t.Errorf("%s (unary %t): exit code %d", name, unary, code)
			}
		}
	}
}

func TestLeaderIsDiscovered(t *testing.T) {
	for _, unary := range []bool{false, true} {
		b, c := fake(t), small()
		c.Unary, c.Read, c.Cross = unary, ptr(10.0), ptr(20.0)
		c.Transactions, c.Duration, c.Warmup = nil, ptr(time.Second), ptr(time.Duration(0))
		c.Fail, c.Recover = []string{"n1@100ms", "n4@200ms"}, []string{"n1@300ms"}
		code, result := benchmark(t, c, b)
		if code != exitPass {
			t.Errorf("unary %t: exit code %d", unary, code)
		}
		expect(t, result, map[string]any{"verdict": Pass, "money_ok": true, "replicas_equal": true, "balances_ok": true})
		faults, ok := result["faults"].([]any)
		if !ok || len(faults) != 3 {
			t.Fatalf("faults: %v, want three", result["faults"])
		}
		for i, want := range []string{"n1", "n4", "n1"} {
			if got := at(t, faults[i], "node"); got != want {
				t.Errorf("fault %d struck %v, want %s", i, got, want)
			}
			if ms, ok := at(t, faults[i], "first_commit_ms").(float64); !ok || ms <= 0 {
				t.Errorf("unary %t: first commit %v ms after fault %d", unary, at(t, faults[i], "first_commit_ms"), i)
			}
		}
	}
}

func TestUniformRowOfRefusalsIsVoid(t *testing.T) {
	b, c := fake(t), small()
	n := 0
	b.Decide = func(string, *pb.TransactionRequest) fakebank.Fate {
		if n++; n%10 == 0 {
			return fakebank.Abort
		}
		return fakebank.Serve
	}
	code, result := benchmark(t, c, b)
	if code != exitUnknown {
		t.Errorf("exit code %d, want %d", code, exitUnknown)
	}
	expect(t, result, map[string]any{"verdict": Void, "committed_per_s": nil, "counts.aborted": 40.0, "money_ok": true})
	n = 0
	c.Skew = ptr(0.9)
	_, result = benchmark(t, c, b)
	expect(t, result, map[string]any{"verdict": Pass, "counts.aborted": 40.0})
}

func TestRepeatAndFiles(t *testing.T) {
	b, c := fake(t), small()
	c.Repeat, c.JSON, c.Cross, c.Read = 6, false, ptr(20.0), ptr(10.0)
	dir := t.TempDir()
	var out bytes.Buffer
	code, err := c.Run(context.Background(), Env{Stdout: &out, Stderr: os.Stderr, Topology: b.Topology(), Attach: true, Dir: dir})
	if code != exitPass || err != nil {
		t.Fatalf("exit code %d: %v", code, err)
	}
	for _, want := range []string{"Over all runs", "committed_per_s", "Latency of what was committed, run "} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the output lacks %q:\n%s", want, out.String())
		}
	}
	for name, lines := range map[string]int{"performance.csv": 1 + 6*4, "gobench.txt": 3 + 6, "latency.hlog": 3 + 6*3, "bench.txt": 20, "bench.json": 100} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Error(err)
			continue
		}
		if n := bytes.Count(data, []byte("\n")); n < lines || strings.HasSuffix(name, "csv") && n != lines {
			t.Errorf("%s has %d lines, want %d", name, n, lines)
		}
	}
	data, err := os.ReadFile(filepath.Join(dir, "bench.json"))
	if err != nil {
		t.Fatal(err)
	}
	var result map[string]any
	if err := json.Unmarshal(data, &result); err != nil {
		t.Fatal(err)
	}
	if low, ok := at(t, result, "repeated.committed_per_s.low").(float64); !ok || low <= 0 {
		t.Errorf("six runs, but no interval: %v", result["repeated"])
	}
}

// TestCallersTakeTurns: what waits for a caller goes before what the caller's
// own client does next.
func TestCallersTakeTurns(t *testing.T) {
	b, err := connect(withAddresses(t, topology.Default()))
	if err != nil {
		t.Fatal(err)
	}
	defer b.close()
	e, err := newEngine(load{clients: 2, inflight: 2, unary: true, transactions: 10, seed: 1}, b)
	if err != nil {
		t.Fatal(err)
	}
	e.finish, e.base = 1<<62, time.Now()
	if _, ok := e.callers[0].again(&op{client: 0}, e.staging()); !ok {
		t.Error("nobody waits, but the caller does not go on")
	}
	e.calls <- call{op: op{client: 1}}
	if _, ok := e.callers[0].again(&op{client: 0}, e.staging()); ok || len(e.calls) != 2 {
		t.Errorf("the caller went on (%t) although another client waited; %d wait now, want 2", ok, len(e.calls))
	}
}

func TestInterrupted(t *testing.T) {
	b, c := fake(t), small()
	ctx, cancel := context.WithCancel(context.Background())
	n := 0
	b.Decide = func(string, *pb.TransactionRequest) fakebank.Fate {
		if n++; n == 20 { // of the 32 that begin at once
			cancel()
		}
		return fakebank.Swallow
	}
	c.Deadline = time.Minute
	code, err := c.Run(ctx, Env{Stdout: &bytes.Buffer{}, Topology: b.Topology(), Attach: true, Dir: t.TempDir()})
	cancel()
	if code != exitStopped || err != nil {
		t.Errorf("exit code %d (%v), want %d", code, err, exitStopped)
	}
}
