package bench

import (
	"bytes"
	"encoding/json"
	"flag"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func golden(t *testing.T, name string, write func(io.Writer) error) {
	t.Helper()
	var b bytes.Buffer
	if err := write(&b); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("%s (-want +got; go test ./client/bench -update, after looking):\n%s", name, diff)
	}
}

// sample is a result with everything in it: a run with faults and floor, and one
// without a number.
func sample() *Result {
	record := newRecorder(3)
	for i := range int64(1000) {
		_ = record.latency[intra].RecordValue(500 + i) // in range
	}
	latency := percentiles(record.latency[intra])
	good := &Run{
		Verdict: Pass, Seconds: 10, CommittedPerS: ptr(123456.7), GoodputPerS: ptr(123456.7), ThroughputPerS: ptr(123460.0), AbortedPerS: ptr(3.3),
		OfferedPerS: ptr(123461.0), Counts: Counts{Committed: 1_234_567, Aborted: 33, InsufficientFunds: 2, Unavailable: 1, Unknown: 4}, Unknown: 4,
		CountsByKind: map[string]Counts{"intra": {Committed: 1_234_567, Aborted: 33, InsufficientFunds: 2, Unavailable: 1, Unknown: 4}},
		NotStarted:   12, SettledCommitted: 3, SettledAborted: 1, LatencyMicros: latency, LatencyMicrosByKind: map[string]*Percentiles{"intra": latency},
		LockHoldMicros:     &Percentiles{Count: 30, P50: ptr(2500.0), Max: 1_500_000},
		CPUMicrosPerCommit: ptr(9.87), DriverCPUMicrosPerCommit: ptr(0.61), FsyncsPerS: ptr(1200.0), Elections: ptr(uint64(1)),
		MoneyOK: ptr(true), ReplicasEqual: ptr(true), BalancesOK: ptr(true), CommitsOK: ptr(true),
		OverTime: []Period{{0, 1234.5, &Percentiles{Count: 74070, P50: ptr(812.0), P99: ptr(2345.0), Max: 9876}}, {60, 0, nil}},
		Faults:   []FaultResult{{"fail", "n1", 5.001, ptr(612.5)}, {"recover", "n1", 8, nil}},
		Floor: &Floor{FsyncMicros: &Percentiles{Count: 4000, P50: ptr(210.0), Max: 900}, FsyncsPerS: 4000, Files: 9, FilesFsyncsPerS: 6000,
			UnaryPerS: 15_000, StreamMessagesPerS: 900, StreamTransfersPerS: 450_000, Share: ptr(0.274), FsyncShare: ptr(0.2)},
		record: record, begun: time.Unix(1_800_000_000, 0),
	}
	bad := &Run{Verdict: Fail, Seconds: 10, Problems: []string{"item 7 on node n1 holds 12, want 11 by the transfers that were committed"},
		Counts: Counts{Committed: 10}, CountsByKind: map[string]Counts{"intra": {Committed: 10}}, MoneyOK: ptr(true), ReplicasEqual: ptr(true), BalancesOK: ptr(false), record: newRecorder(3)}
	return &Result{
		Schema: Schema, Started: time.Unix(1_800_000_000, 0).UTC(), Run: good, Runs: []*Run{good, bad},
		Settings: Settings{Preset: "ycsb-b", Mix: "95 % reads, 5 % transfers", Mapping: ycsbMapping, ReadPercent: 95, CrossPercent: 0, Skew: 0.99, Seed: 1, Clients: 16, Inflight: 256,
			Loop: "open (poisson)", TargetPerS: 125_000, Submission: "stream", Reads: "stream", DurationSeconds: 10, WarmupSeconds: 2, DeadlineSeconds: 5,
			Clusters: 3, Nodes: 9, Items: 9000, InitialBalance: 1_000_000, Repeat: 2, FaultsBy: "pause", Commit: "c0ffee", Host: "linux/amd64, 2 CPUs", Fsync: "synced writes, as the nodes count them"},
		Repeated: map[string]Repetition{"committed_per_s": {2, 123456.7, nil, nil}, "latency_p50_us": {6, 999.5, ptr(990.0), ptr(1010.0)}},
	}
}

func TestGolden(t *testing.T) {
	r := sample()
	golden(t, "bench.txt", r.print)
	golden(t, "performance.csv", r.csv)
	golden(t, "bench.json", r.json)
	// Without the machine's own lines.
	golden(t, "gobench.txt", func(w io.Writer) error {
		_, err := io.WriteString(w, goBenchLine("BenchmarkSample/cross=0", r.Run)+"\n")
		return err
	})
}

// TestJSONSchema: what other programs read is there under its name.
func TestJSONSchema(t *testing.T) {
	var b bytes.Buffer
	if err := sample().json(&b); err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"schema", "settings", "verdict", "committed_per_s", "aborted_per_s", "goodput_per_s", "throughput_per_s", "unknown", "latency_us",
		"latency_us_by_kind", "lock_hold_us", "cpu_us_per_commit", "fsyncs_per_s", "money_ok", "replicas_equal", "floor", "faults", "runs"} {
		if _, ok := got[key]; !ok {
			t.Errorf("there is no %s", key)
		}
	}
	for _, path := range []string{"latency_us.p50", "latency_us.p90", "latency_us.p95", "latency_us.p99", "latency_us.max", "latency_us_by_kind.intra.p50", "floor.share"} {
		if _, ok := at(t, got, path).(float64); !ok {
			t.Errorf("%s is %v", path, at(t, got, path))
		}
	}
	if v, ok := at(t, got, "latency_us").(map[string]any)["p99_9"]; ok {
		t.Errorf("p99_9 of 1,000 samples is %v, want it left out", v)
	}
	bad, ok := got["runs"].([]any)[1].(map[string]any)
	if _, has := bad["committed_per_s"]; !ok || has {
		t.Error("a run that failed a check has a number")
	}
}

func TestHistogramLogIsReadable(t *testing.T) {
	var b bytes.Buffer
	if err := sample().histograms(&b); err != nil {
		t.Fatal(err)
	}
	h, err := hdrhistogram.NewHistogramLogReader(&b).NextIntervalHistogram()
	if err != nil {
		t.Fatal(err)
	}
	if h.TotalCount() != 1000 || h.Tag() != "1-intra" || h.Min() != 500 {
		t.Errorf("%d values from %d on, tag %q; want 1000 from 500 on, tag 1-intra", h.TotalCount(), h.Min(), h.Tag())
	}
}

func TestConcludeChoosesTheMedian(t *testing.T) {
	r := &Result{}
	for _, rate := range []float64{50, 10, 40, 20, 30} {
		r.Runs = append(r.Runs, &Run{Verdict: Pass, CommittedPerS: ptr(rate)})
	}
	r.conclude()
	if *r.CommittedPerS != 30 || r.Repeated["committed_per_s"].Median != 30 || r.exitCode() != exitPass {
		t.Errorf("shows %g, median %g, exit code %d; want 30, 30, %d", *r.CommittedPerS, r.Repeated["committed_per_s"].Median, r.exitCode(), exitPass)
	}
	for verdict, code := range map[string]int{Fail: exitFail, Unknown: exitUnknown, Void: exitUnknown} {
		r.Runs[3] = &Run{Verdict: verdict}
		if r.conclude(); r.Run != r.Runs[3] || r.exitCode() != code {
			t.Errorf("%s: shows a run that is %s, exit code %d, want %d", verdict, r.Verdict, r.exitCode(), code)
		}
	}
	if !slices.Equal([]string{count(-1234567), count(999), rate(9.94), duration(1500)}, []string{"-1,234,567", "999", "9.9", "1.50 ms"}) {
		t.Error("numbers are shown otherwise")
	}
}

func TestProcessCPU(t *testing.T) {
	self, ok := processCPU(0)
	if !ok {
		t.Skip("this system does not tell CPU times")
	}
	// Counted by the system in hundredths of a second.
	for until := self + 20*time.Millisecond; self < until; self, _ = processCPU(0) {
	}
	if named, ok := processCPU(os.Getpid()); !ok || named < self {
		t.Errorf("CPU time of process %d is %s (%t), as itself %s", os.Getpid(), named, ok, self)
	}
	if _, ok := processCPU(1 << 30); ok {
		t.Error("a process that does not exist has used CPU time")
	}
}
