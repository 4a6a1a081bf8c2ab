package bench

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/gocarina/gocsv"
)

// write leaves the result's files in dir: bench.json, bench.txt (the tables),
// performance.csv, gobench.txt for benchstat and latency.hlog, the histograms.
func (r *Result) write(dir string) error {
	for _, f := range []struct {
		name  string
		write func(io.Writer) error
	}{
		{"performance.csv", r.csv}, {"gobench.txt", r.goBench}, {"latency.hlog", r.histograms}, {"bench.txt", r.print}, {"bench.json", r.json},
	} {
		var b bytes.Buffer
		if err := f.write(&b); err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
		// Renamed into place, so that nobody reads half a file.
		path := filepath.Join(dir, f.name)
		if err := os.WriteFile(path+".new", b.Bytes(), 0o644); err != nil {
			return fmt.Errorf("cannot write %s: %w", f.name, err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			return fmt.Errorf("cannot write %s: %w", f.name, err)
		}
	}
	return nil
}

func (r *Result) json(w io.Writer) error {
	out := json.NewEncoder(w)
	out.SetIndent("", "  ")
	out.SetEscapeHTML(false)
	return out.Encode(r)
}

// csvRow is one run and kind ("all", "intra", "cross", "read", "lock hold").
// Empty cells were left out. Latencies are microseconds.
type csvRow struct {
	Run               int    `csv:"run"`
	Verdict           string `csv:"verdict"`
	Kind              string `csv:"kind"`
	CommittedPerS     string `csv:"committed_per_s"`
	ThroughputPerS    string `csv:"throughput_per_s"`
	AbortedPerS       string `csv:"aborted_per_s"`
	Committed         string `csv:"committed"`
	Aborted           string `csv:"aborted"`
	InsufficientFunds string `csv:"insufficient_funds"`
	Unavailable       string `csv:"unavailable"`
	Invalid           string `csv:"invalid"`
	Unknown           string `csv:"unknown"`
	Count             string `csv:"count"`
	P50               string `csv:"p50_us"`
	P90               string `csv:"p90_us"`
	P95               string `csv:"p95_us"`
	P99               string `csv:"p99_us"`
	P99_9             string `csv:"p99_9_us"`
	Max               string `csv:"max_us"`
	FsyncsPerS        string `csv:"fsyncs_per_s"`
	CPUPerCommit      string `csv:"cpu_us_per_commit"`
	DriverPerCommit   string `csv:"driver_cpu_us_per_commit"`
	FloorShare        string `csv:"floor_share"`
	Mix               string `csv:"mix"`
	CrossPercent      string `csv:"cross_percent"`
	Skew              string `csv:"skew"`
	Seed              uint64 `csv:"seed"`
	Clients           int    `csv:"clients"`
	Inflight          int    `csv:"inflight"`
	Loop              string `csv:"loop"`
	TargetPerS        string `csv:"target_per_s"`
	WarmupSeconds     string `csv:"warmup_s"`
	Commit            string `csv:"commit"`
	Host              string `csv:"host"`
	Fsync             string `csv:"fsync"`
	Clusters          int    `csv:"clusters"`
	Nodes             int    `csv:"nodes"`
	ReadPercent       string `csv:"read_percent"`
	Submission        string `csv:"submission"`
	Reads             string `csv:"reads"`
	DurationSeconds   string `csv:"duration_s"`
}

// csv writes performance.csv.
func (r *Result) csv(w io.Writer) error {
	s := &r.Settings
	number := func(v *float64) string {
		return optional(v, func(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) })
	}
	rows := []csvRow{}
	for i, run := range r.Runs {
		add := func(kind string, c *Counts, p *Percentiles) *csvRow {
			row := csvRow{Run: i + 1, Verdict: run.Verdict, Kind: kind, Mix: s.Mix, CrossPercent: fmt.Sprint(s.CrossPercent), Skew: fmt.Sprint(s.Skew),
				Seed: s.Seed, Clients: s.Clients, Inflight: s.Inflight, Loop: s.Loop, TargetPerS: fmt.Sprint(s.TargetPerS),
				WarmupSeconds: fmt.Sprint(s.WarmupSeconds), Commit: s.Commit, Host: s.Host, Fsync: s.Fsync,
				Clusters: s.Clusters, Nodes: s.Nodes, ReadPercent: fmt.Sprint(s.ReadPercent), Submission: s.Submission, Reads: s.Reads,
				DurationSeconds: fmt.Sprint(s.DurationSeconds)}
			if c != nil {
				row.Committed, row.Aborted, row.InsufficientFunds = fmt.Sprint(c.Committed), fmt.Sprint(c.Aborted), fmt.Sprint(c.InsufficientFunds)
				row.Unavailable, row.Invalid, row.Unknown = fmt.Sprint(c.Unavailable), fmt.Sprint(c.Invalid), fmt.Sprint(c.Unknown)
			}
			if p != nil {
				row.Count, row.Max = fmt.Sprint(p.Count), number(&p.Max)
				row.P50, row.P90, row.P95, row.P99, row.P99_9 = number(p.P50), number(p.P90), number(p.P95), number(p.P99), number(p.P99_9)
			}
			rows = append(rows, row)
			return &rows[len(rows)-1]
		}
		all := add("all", &run.Counts, run.LatencyMicros)
		all.CommittedPerS, all.ThroughputPerS, all.AbortedPerS = number(run.CommittedPerS), number(run.ThroughputPerS), number(run.AbortedPerS)
		all.FsyncsPerS, all.CPUPerCommit, all.DriverPerCommit = number(run.FsyncsPerS), number(run.CPUMicrosPerCommit), number(run.DriverCPUMicrosPerCommit)
		if run.Floor != nil {
			all.FloorShare = number(run.Floor.Share)
		}
		for _, kind := range kindNames {
			if c, ok := run.CountsByKind[kind]; ok {
				add(kind, &c, run.LatencyMicrosByKind[kind])
			}
		}
		if run.LockHoldMicros != nil {
			add("lock hold", nil, run.LockHoldMicros)
		}
	}
	out := gocsv.NewSafeCSVWriter(csv.NewWriter(w))
	if err := gocsv.MarshalCSV(rows, out); err != nil {
		return err
	}
	out.Flush()
	return out.Error()
}

// goBench writes a line for every run that has a number, in the format of
// `go test -bench`, for benchstat.
func (r *Result) goBench(w io.Writer) error {
	s := &r.Settings
	p := &printer{w: w}
	p.line("goos: %s\ngoarch: %s\npkg: paxbank/client/bench", runtime.GOOS, runtime.GOARCH)
	name := s.Preset
	if name == "" {
		name = "transfers"
	}
	word := strings.NewReplacer(" ", "_", "/", "_", "(", "", ")", "")
	name = fmt.Sprintf("Benchmark%s%s/cross=%g/skew=%g/loop=%s/%s", strings.ToUpper(name[:1]), name[1:], s.CrossPercent, s.Skew,
		word.Replace(s.Loop), word.Replace(s.Submission))
	for _, run := range r.Runs {
		if run.CommittedPerS == nil || *run.CommittedPerS == 0 {
			continue
		}
		p.line("%s", goBenchLine(name, run))
	}
	return p.err
}

func goBenchLine(name string, run *Run) string {
	line := fmt.Sprintf("%s\t%d\t%.1f ns/op\t%.1f committed/s", name, run.Counts.Committed, 1e9 / *run.CommittedPerS, *run.CommittedPerS)
	metric := func(v *float64, unit string) {
		if v != nil {
			line += fmt.Sprintf("\t%.1f %s", *v, unit)
		}
	}
	if run.LatencyMicros != nil {
		for _, f := range run.LatencyMicros.fields() {
			metric(*f.value, f.name+"-µs")
		}
	}
	metric(run.CPUMicrosPerCommit, "cpu-µs/op")
	metric(run.FsyncsPerS, "fsyncs/s")
	return line
}

// histograms writes the latencies of every run and kind as an HdrHistogram log,
// in microseconds, tagged RUN-KIND.
func (r *Result) histograms(w io.Writer) error {
	log := hdrhistogram.NewHistogramLogWriter(w)
	if err := log.OutputLogFormatVersion(); err != nil {
		return err
	}
	if err := log.OutputStartTime(r.Started.UnixMilli()); err != nil {
		return err
	}
	if err := log.OutputLegend(); err != nil {
		return err
	}
	for i, run := range r.Runs {
		for k, h := range run.record.latency {
			if h.TotalCount() == 0 {
				continue
			}
			tagged := h.Clone()
			tagged.SetTag(fmt.Sprintf("%d-%s", i+1, kindNames[k]))
			tagged.SetStartTimeMs(run.begun.UnixMilli())
			tagged.SetEndTimeMs(run.begun.Add(time.Duration(run.Seconds * float64(time.Second))).UnixMilli())
			if err := log.OutputIntervalHistogram(tagged); err != nil {
				return err
			}
		}
	}
	return nil
}
