package bench

import (
	"time"
)

// Schema names the form of the JSON output. It changes when a field is renamed
// or means something else.
const Schema = "paxbank.bench/1"

// Verdicts of a run.
const (
	Pass    = "pass"
	Fail    = "fail"    // a check found something wrong
	Unknown = "unknown" // a check could not be made
	Void    = "void"    // all checks passed, but the run does not measure what its row says
)

// Percentiles of a number of values, in the unit that the field's name says.
// What the sample is too small for is left out.
type Percentiles struct {
	Count int64    `json:"count"`
	P50   *float64 `json:"p50,omitempty"`
	P90   *float64 `json:"p90,omitempty"`
	P95   *float64 `json:"p95,omitempty"`
	P99   *float64 `json:"p99,omitempty"`
	P99_9 *float64 `json:"p99_9,omitempty"`
	Max   float64  `json:"max"`
}

type percentileField struct {
	name       string
	percentile float64
	value      **float64
}

func (p *Percentiles) fields() []percentileField {
	return []percentileField{
		{"p50", 50, &p.P50}, {"p90", 90, &p.P90}, {"p95", 95, &p.P95}, {"p99", 99, &p.P99}, {"p99.9", 99.9, &p.P99_9},
	}
}

// Counts of operations by what became of them. A read that got its balance is
// committed.
type Counts struct {
	Committed         int64 `json:"committed"`
	Aborted           int64 `json:"aborted"`
	InsufficientFunds int64 `json:"insufficient_funds"`
	Unavailable       int64 `json:"unavailable"`
	Invalid           int64 `json:"invalid"`
	// Unknown when its client's deadline passed.
	Unknown int64 `json:"unknown"`
}

func countsOf(c *[outcomes]int64) Counts {
	return Counts{c[committed], c[aborted], c[insufficientFunds], c[unavailable], c[invalid], c[unknown]}
}

// definite outcomes.
func (c *Counts) definite() int64 {
	return c.Committed + c.Aborted + c.InsufficientFunds + c.Unavailable + c.Invalid
}

// FaultResult is a fault that struck during a run.
type FaultResult struct {
	What string `json:"what"` // "fail" or "recover"
	Node string `json:"node"`
	// AtSeconds into the measured window it was in force.
	AtSeconds float64 `json:"at_s"`
	// FirstCommitMillis later the first transfer that was sent after it to the
	// node's cluster had committed. Left out when none did.
	FirstCommitMillis *float64 `json:"first_commit_ms,omitempty"`
}

// Period is a part of a long measured window.
type Period struct {
	FromSeconds   float64      `json:"from_s"`
	CommittedPerS float64      `json:"committed_per_s"`
	LatencyMicros *Percentiles `json:"latency_us,omitempty"` // of what committed in it
}

// Run is one repetition.
type Run struct {
	Verdict  string   `json:"verdict"`
	Problems []string `json:"problems,omitempty"`
	// Seconds of the measured window.
	Seconds float64 `json:"seconds"`
	// The rates are left out of a run that did not pass. Throughput counts every
	// definite outcome, goodput what was asked for and done.
	CommittedPerS  *float64          `json:"committed_per_s,omitempty"`
	AbortedPerS    *float64          `json:"aborted_per_s,omitempty"`
	GoodputPerS    *float64          `json:"goodput_per_s,omitempty"`
	ThroughputPerS *float64          `json:"throughput_per_s,omitempty"`
	OfferedPerS    *float64          `json:"offered_per_s,omitempty"` // open loop: began in the window
	Unknown        int64             `json:"unknown"`
	Counts         Counts            `json:"counts"`
	CountsByKind   map[string]Counts `json:"counts_by_kind"`
	// NotStarted operations of an open loop were still waiting for a slot when the
	// window ended.
	NotStarted int64 `json:"not_started"`
	// Of the unknown, the warm-up's included.
	SettledCommitted int `json:"settled_committed"`
	SettledAborted   int `json:"settled_aborted"`
	Unsettled        int `json:"unsettled"`
	// Latencies of what was committed, in microseconds; open loop: from the
	// intended start.
	LatencyMicros       *Percentiles            `json:"latency_us,omitempty"`
	LatencyMicrosByKind map[string]*Percentiles `json:"latency_us_by_kind,omitempty"`
	// LockHoldMicros of all nodes' locks; upper ends of the nodes' buckets.
	LockHoldMicros *Percentiles `json:"lock_hold_us,omitempty"`
	// CPU of all nodes and the driver, for one committed operation.
	CPUMicrosPerCommit       *float64 `json:"cpu_us_per_commit,omitempty"`
	DriverCPUMicrosPerCommit *float64 `json:"driver_cpu_us_per_commit,omitempty"`
	FsyncsPerS               *float64 `json:"fsyncs_per_s,omitempty"`
	// Elections that were won while it was measured; left out when a process ended
	// meanwhile, which takes its count with it.
	Elections *uint64 `json:"elections,omitempty"`
	// What the nodes held afterwards; left out when it could not be determined.
	MoneyOK       *bool         `json:"money_ok,omitempty"`
	ReplicasEqual *bool         `json:"replicas_equal,omitempty"`
	BalancesOK    *bool         `json:"balances_ok,omitempty"`
	CommitsOK     *bool         `json:"commits_applied,omitempty"`
	Faults        []FaultResult `json:"faults,omitempty"`
	Floor         *Floor        `json:"floor,omitempty"`
	// OverTime are the periods of a long window.
	OverTime []Period `json:"over_time,omitempty"`

	record *recorder
	begun  time.Time
}

// Floor is what the machine could do at best, in the same minute.
type Floor struct {
	// FsyncMicros of a 4 KiB append and fdatasync on one file; FsyncsPerS of it.
	FsyncMicros *Percentiles `json:"fsync_us"`
	FsyncsPerS  float64      `json:"fsyncs_per_s"`
	// Files at once, as many as nodes, and the syncs of all of them.
	Files           int     `json:"files"`
	FilesFsyncsPerS float64 `json:"files_fsyncs_per_s"`
	// Between the driver and one echo process: unary calls, messages of a stream,
	// and the transfers in these.
	UnaryPerS           float64 `json:"unary_calls_per_s"`
	StreamMessagesPerS  float64 `json:"stream_messages_per_s"`
	StreamTransfersPerS float64 `json:"stream_transfers_per_s"`
	// Share of the echo's rate (of unary calls or streamed transfers, as the run
	// submitted them) and of the files' syncs that the run came to. Left out when
	// the run has no number; Share also when it has reads, which the echo lacks.
	Share      *float64 `json:"share,omitempty"`
	FsyncShare *float64 `json:"fsync_share,omitempty"`
}

// Settings are everything that was chosen.
type Settings struct {
	Preset          string   `json:"preset,omitempty"`
	Mix             string   `json:"mix"`
	Mapping         []string `json:"mapping,omitempty"`
	ReadPercent     float64  `json:"read_percent"`
	CrossPercent    float64  `json:"cross_percent"`
	Skew            float64  `json:"skew"`
	Hot             string   `json:"hot,omitempty"`
	Seed            uint64   `json:"seed"`
	Clients         int      `json:"clients"`
	Inflight        int      `json:"inflight"`
	Loop            string   `json:"loop"` // "closed", "open (poisson)" or "open (constant)"
	TargetPerS      float64  `json:"target_per_s,omitempty"`
	Submission      string   `json:"submission"`      // of transfers: "stream" or "unary"
	Reads           string   `json:"reads,omitempty"` // the same of reads, where there are any
	Transactions    int64    `json:"transactions,omitempty"`
	DurationSeconds float64  `json:"duration_s,omitempty"`
	WarmupSeconds   float64  `json:"warmup_s"`
	DeadlineSeconds float64  `json:"deadline_s"`
	Clusters        int      `json:"clusters"`
	Nodes           int      `json:"nodes"`
	Items           int64    `json:"items"`
	InitialBalance  int64    `json:"initial_balance"`
	Repeat          int      `json:"repeat"`
	FaultsBy        string   `json:"faults_by,omitempty"`
	Commit          string   `json:"commit,omitempty"`
	Host            string   `json:"host,omitempty"`
	NodeCommand     string   `json:"node_command,omitempty"`
	// Profiled while it ran, which costs nodes and driver time.
	Profiled bool   `json:"profiled,omitempty"`
	Fsync    string `json:"fsync"`
}

// Repetition is a quantity over all repetitions.
type Repetition struct {
	Runs   int     `json:"runs"`
	Median float64 `json:"median"`
	// Low and High are the ends of the median's 95 % confidence interval, by order
	// statistics. Fewer than six runs have none.
	Low  *float64 `json:"low,omitempty"`
	High *float64 `json:"high,omitempty"`
}

// Result is everything that a benchmark found. Its top level is the run with the
// median rate, or the first that did not pass.
type Result struct {
	Schema   string    `json:"schema"`
	Started  time.Time `json:"started"`
	Settings Settings  `json:"settings"`
	*Run
	Repeated map[string]Repetition `json:"repeated,omitempty"`
	Runs     []*Run                `json:"runs"`
}
