package report

import (
	"slices"
	"strconv"

	"paxbank/client/check"
	"paxbank/client/runner"
	"paxbank/client/testset"
)

// Schema names the version of summary.json. Fields may be added within a
// version; a change of meaning makes a new one.
const Schema = "paxbank.summary/1"

// SummaryFile is the summary's name in a run directory.
const SummaryFile = "summary.json"

// SideFileThreshold is the number of transactions above which a set's
// transactions and logs are written to side files instead of the summary.
const SideFileThreshold = 10_000

// Names of the side files, beside summary.json. One row a transaction or log
// entry, of every set that is above the threshold.
const (
	TransactionsFile = "transactions.csv"
	LogFile          = "log.csv"
)

// Summary is summary.json: everything about a run, for other programs.
type Summary struct {
	Schema   string        `json:"schema"`
	TestSet  string        `json:"testset"`
	Verdict  check.Verdict `json:"verdict"`
	Score    float64       `json:"score"`
	MaxScore float64       `json:"max_score"`
	Started  string        `json:"started"` // RFC 3339, UTC
	Order    string        `json:"order,omitempty"`
	Fault    string        `json:"fault,omitempty"`
	NodeCmd  string        `json:"node_cmd,omitempty"`
	Args     []string      `json:"args,omitempty"`
	Host     string        `json:"host,omitempty"`
	Commit   string        `json:"commit,omitempty"`
	// Containment says what the nodes were held in, or that nothing held them.
	Containment string `json:"containment,omitempty"`
	// Interrupted and NodesFailed say why sets may be missing.
	Interrupted bool     `json:"interrupted,omitempty"`
	NodesFailed string   `json:"nodes_failed,omitempty"`
	Topology    Topology `json:"topology"`
	Sets        []Set    `json:"sets"`
}

// Topology is the shape of the bank.
type Topology struct {
	Clusters       []Cluster        `json:"clusters"`
	InitialBalance int64            `json:"initial_balance"`
	Balances       map[string]int64 `json:"balances,omitempty"`
}

// Cluster is one cluster. FirstItem and LastItem are the ends of what it owns;
// Ranges lists the pieces when there is more than one.
type Cluster struct {
	ID        string     `json:"id"`
	Nodes     []string   `json:"nodes"`
	FirstItem int64      `json:"first_item"`
	LastItem  int64      `json:"last_item"`
	Ranges    [][2]int64 `json:"ranges,omitempty"`
}

// Set is one set.
type Set struct {
	Set       int           `json:"set"`
	Line      int           `json:"line"`
	Live      []string      `json:"live"`
	LiveAtEnd []string      `json:"live_at_end"`
	Verdict   check.Verdict `json:"verdict"`
	Score     float64       `json:"score"`
	MaxScore  float64       `json:"max_score"`
	Skipped   bool          `json:"skipped,omitempty"`
	Problems  []string      `json:"problems,omitempty"`
	// Topology of the set, where it is not the run's.
	Topology     *Topology     `json:"topology,omitempty"`
	Transactions []Transaction `json:"transactions"`
	// TransactionsFile and LogFile name the side files of a large set.
	TransactionsFile string                      `json:"transactions_file,omitempty"`
	LogFile          string                      `json:"log_file,omitempty"`
	Balances         map[string]map[string]int64 `json:"balances"`
	Logs             map[string][]LogEntry       `json:"logs"`
	Views            []View                      `json:"views"`
	Nodes            []Node                      `json:"nodes"`
	// LocksLeft and UndoRecordsLeft are those of live nodes, added up.
	LocksLeft       int           `json:"locks_left"`
	UndoRecordsLeft int           `json:"undo_records_left"`
	Performance     Performance   `json:"performance"`
	DurationMicros  int64         `json:"duration_us"`
	Checks          []check.Check `json:"checks"`
}

// Transaction is one call, transfers and reads alike.
type Transaction struct {
	Line      int    `json:"line" csv:"line"`
	Batch     int    `json:"batch" csv:"batch"`
	Text      string `json:"text" csv:"text"`
	Kind      string `json:"kind" csv:"kind"`
	From      int64  `json:"from" csv:"from"`
	To        int64  `json:"to" csv:"to"`
	Amount    int64  `json:"amount" csv:"amount"`
	Item      int64  `json:"item" csv:"item"`
	Outcome   string `json:"outcome" csv:"outcome"`
	Value     int64  `json:"value" csv:"value"`
	LatencyUS int64  `json:"latency_us" csv:"latency_us"`
	Attempts  int    `json:"attempts" csv:"attempts"`
	Resolved  bool   `json:"resolved,omitempty" csv:"resolved"`
	Node      string `json:"node,omitempty" csv:"node"`
	Message   string `json:"message,omitempty" csv:"message"`
}

// LogEntry is one row of PrintLog.
type LogEntry struct {
	Index   uint64 `json:"index" csv:"index"`
	Seq     uint64 `json:"seq" csv:"seq"`
	Phase   string `json:"phase" csv:"phase"`
	Role    string `json:"role,omitempty" csv:"role"`
	Kind    string `json:"kind,omitempty" csv:"kind"`
	Text    string `json:"text" csv:"text"`
	Status  string `json:"status" csv:"status"`
	Effect  string `json:"effect,omitempty" csv:"effect"`
	Ballot  string `json:"ballot,omitempty" csv:"ballot"`
	Origin  string `json:"origin,omitempty" csv:"origin"`
	PeerSeq uint64 `json:"peer_seq,omitempty" csv:"peer_seq"`
	TxnID   string `json:"txn_id,omitempty" csv:"txn_id"`
}

// View is one NEW-VIEW message.
type View struct {
	Cluster     string     `json:"cluster"`
	Ballot      string     `json:"ballot"`
	Leader      string     `json:"leader"`
	FirstIndex  uint64     `json:"first_index"`
	CommitIndex uint64     `json:"commit_index"`
	Entries     []LogEntry `json:"entries"`
	SeenBy      []string   `json:"seen_by"`
}

// Node is what one node said of itself at the end of the set.
type Node struct {
	ID           string `json:"id"`
	Cluster      string `json:"cluster"`
	Live         bool   `json:"live"`
	Reachable    bool   `json:"reachable"`
	Error        string `json:"error,omitempty"`
	Leader       string `json:"leader"`
	Ballot       string `json:"ballot"`
	Ready        bool   `json:"ready"`
	LastIndex    uint64 `json:"last_index"`
	CommitIndex  uint64 `json:"commit_index"`
	AppliedIndex uint64 `json:"applied_index"`
	Checksum     string `json:"checksum,omitempty"` // hexadecimal: JSON numbers are too small
	Locks        int    `json:"locks"`
	UndoRecords  int    `json:"undo_records"`
	Prepared     int    `json:"prepared"`
	Decided      int    `json:"decided"`
	Elections    uint64 `json:"elections"`
}

// Performance of a set. Throughput is definite outcomes divided by WallMicros,
// the time with any command in flight.
type Performance struct {
	Transactions  int                  `json:"transactions"`
	Committed     int                  `json:"committed"`
	Outcomes      map[string]int       `json:"outcomes"`
	WallMicros    int64                `json:"wall_us"`
	ThroughputTPS float64              `json:"throughput_tps"`
	LatencyMicros Latency              `json:"latency_us"`
	ByKind        map[string]KindStats `json:"by_kind"`
	LockHold      Latency              `json:"lock_hold_us"`
}

// Latency sums up latencies in microseconds.
type Latency struct {
	Count int     `json:"count"`
	Mean  float64 `json:"mean"`
	P50   float64 `json:"p50"`
	P95   float64 `json:"p95"`
	P99   float64 `json:"p99"`
	Max   float64 `json:"max"`
}

// KindStats is the performance of one kind of call.
type KindStats struct {
	Transactions  int     `json:"transactions"`
	Committed     int     `json:"committed"`
	LatencyMicros Latency `json:"latency_us"`
}

// Kinds of calls, in the order of tables.
var kinds = []string{"intra", "cross", "read"}

// outcomes in the order of tables.
var outcomes = []runner.Outcome{runner.Committed, runner.Value, runner.InsufficientFunds, runner.Aborted, runner.Unavailable, runner.Invalid, runner.Unknown}

// Summarize makes the model of a run. verdicts belong to run.Sets by position.
func Summarize(run *runner.RunResult, verdicts []check.SetVerdict) *Summary {
	rv := check.Combine(verdicts)
	s := &Summary{
		Schema: Schema, TestSet: run.TestSet, Verdict: rv.Verdict, Score: rv.Score, MaxScore: rv.MaxScore,
		Started: run.Started.UTC().Format("2006-01-02T15:04:05.000Z07:00"), Order: run.Order, Fault: run.Fault,
		NodeCmd: run.NodeCmd, Args: run.Args, Host: run.Host, Commit: run.Commit, Containment: run.Containment,
		Interrupted: run.Interrupted, NodesFailed: run.NodesFailed, Sets: []Set{},
	}
	if run.Topology != nil {
		s.Topology = topologyOf(run.Topology)
	}
	for i := range run.Sets {
		v := check.SetVerdict{Set: run.Sets[i].Set.Number, Verdict: check.Unknown}
		if i < len(verdicts) {
			v = verdicts[i]
		}
		set := summarizeSet(&run.Sets[i], &v)
		if t := run.Sets[i].Topology; t != nil && run.Topology != nil && t.Hash() != run.Topology.Hash() {
			own := topologyOf(t)
			set.Topology = &own
		}
		s.Sets = append(s.Sets, set)
	}
	return s
}

func large(set *runner.SetResult) bool { return len(set.Calls) > SideFileThreshold }

func summarizeSet(r *runner.SetResult, v *check.SetVerdict) Set {
	s := Set{
		Set: r.Set.Number, Line: r.Set.Line, Live: list(r.Live), LiveAtEnd: list(r.LiveAtEnd),
		Verdict: v.Verdict, Score: v.Score, MaxScore: v.MaxScore, Skipped: r.Skipped, Problems: r.Problems,
		Transactions: []Transaction{}, Balances: map[string]map[string]int64{}, Logs: map[string][]LogEntry{},
		Views: []View{}, Nodes: []Node{}, Performance: performanceOf(r),
		DurationMicros: (r.Ended - r.Started).Microseconds(), Checks: v.Checks,
	}
	if s.Checks == nil {
		s.Checks = []check.Check{}
	}
	if large(r) {
		s.TransactionsFile, s.LogFile = TransactionsFile, LogFile
	} else {
		for i := range r.Calls {
			s.Transactions = append(s.Transactions, transactionOf(&r.Calls[i]))
		}
	}
	for i := range r.Nodes {
		n := &r.Nodes[i]
		s.Nodes = append(s.Nodes, nodeOf(n))
		if n.Live {
			s.LocksLeft += n.Locks
			s.UndoRecordsLeft += n.UndoRecords
		}
		if n.Reachable {
			balances := map[string]int64{}
			for item, b := range n.Balances {
				balances[strconv.FormatInt(item, 10)] = b
			}
			s.Balances[n.ID] = balances
			if !large(r) {
				s.Logs[n.ID] = logOf(n.Log)
			}
		}
	}
	for i := range r.Views {
		w := &r.Views[i]
		s.Views = append(s.Views, View{Cluster: w.Cluster, Ballot: w.Ballot, Leader: w.Leader, FirstIndex: w.FirstIndex,
			CommitIndex: w.CommitIndex, Entries: logOf(w.Entries), SeenBy: list(w.SeenBy)})
	}
	return s
}

// list makes an absent list an empty one, so that JSON says [].
func list(s []string) []string {
	if s == nil {
		return []string{}
	}
	return slices.Clone(s)
}

func transactionOf(c *runner.Call) Transaction {
	t := Transaction{Line: c.Command.Line, Batch: c.Batch, Text: c.Command.Text, Kind: c.Kind, Outcome: string(c.Outcome),
		LatencyUS: c.Latency().Microseconds(), Attempts: c.Attempts, Resolved: c.Resolved, Node: c.Node, Message: c.Message}
	if c.Command.Kind == testset.Read {
		t.Item, t.Value = c.Command.Item, c.Value
	} else {
		t.From, t.To, t.Amount = c.Command.From, c.Command.To, c.Command.Amount
	}
	return t
}

func logOf(rows []runner.LogRow) []LogEntry {
	out := make([]LogEntry, len(rows))
	for i := range rows {
		r := &rows[i]
		out[i] = LogEntry{Index: r.Index, Seq: r.Seq, Phase: r.Phase, Role: r.Role, Kind: r.Kind, Text: logText(r), Status: r.Status,
			Effect: r.Effect, Ballot: r.Ballot, Origin: r.Origin, PeerSeq: r.PeerSeq, TxnID: r.TxnID}
	}
	return out
}

// logText is what a log row is about: its transfer, or its kind in capitals.
func logText(r *runner.LogRow) string {
	switch {
	case r.Text != "":
		return r.Text
	case r.From != 0 || r.To != 0:
		return "(" + strconv.FormatInt(r.From, 10) + ", " + strconv.FormatInt(r.To, 10) + ", " + strconv.FormatInt(r.Amount, 10) + ")"
	}
	return r.Kind
}

func nodeOf(n *runner.NodeState) Node {
	out := Node{ID: n.ID, Cluster: n.Cluster, Live: n.Live, Reachable: n.Reachable, Error: n.Err, Leader: n.Leader, Ballot: n.Ballot,
		Ready: n.Ready, LastIndex: n.LastIndex, CommitIndex: n.CommitIndex, AppliedIndex: n.AppliedIndex, Locks: n.Locks,
		UndoRecords: n.UndoRecords, Prepared: n.Prepared, Decided: n.Decided, Elections: n.Elections}
	if n.Checksum != 0 {
		out.Checksum = strconv.FormatUint(n.Checksum, 16)
	}
	return out
}

func performanceOf(r *runner.SetResult) Performance {
	p := Performance{Transactions: len(r.Calls), Outcomes: map[string]int{}, WallMicros: r.Busy.Microseconds(),
		LatencyMicros: Latency(check.Latencies(r, "")), ByKind: map[string]KindStats{}, LockHold: Latency(check.HistogramLatency(&r.LockHold))}
	p.ThroughputTPS, _ = check.Throughput(r)
	for i := range r.Calls {
		c := &r.Calls[i]
		p.Outcomes[string(c.Outcome)]++
		k := p.ByKind[c.Kind]
		k.Transactions++
		if c.Outcome == runner.Committed {
			p.Committed++
			k.Committed++
		}
		p.ByKind[c.Kind] = k
	}
	for kind, k := range p.ByKind {
		k.LatencyMicros = Latency(check.Latencies(r, kind))
		p.ByKind[kind] = k
	}
	return p
}
