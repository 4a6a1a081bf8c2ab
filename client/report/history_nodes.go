package report

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"paxbank/client/runner"
	"paxbank/internal/topology"
)

// downText is what a balances line says of a node that had failed.
const downText = "down"

// balancesLine is what one node held at the end of the set.
type balancesLine struct {
	Type     string          `json:"type"`
	Set      int             `json:"set"`
	At       microseconds    `json:"start_us"`
	Node     string          `json:"node"`
	Balances map[int64]int64 `json:"balances,omitzero"`
	Text     string          `json:"text,omitzero"`
	Message  string          `json:"message,omitzero"` // why nothing, or not all, is known
}

func balancesLineOf(set *runner.SetResult, n *runner.NodeState) *balancesLine {
	l := &balancesLine{Type: typeBalances, Set: set.Set.Number, At: microseconds(set.Ended), Node: n.ID, Balances: n.Balances, Message: n.Err}
	if !n.Live {
		l.Text = downText
	}
	return l
}

// nodeLine follows a node's balances and says everything else that the node said.
// Log and Statuses are the rows of log and status lines that it holds, in its
// order.
type nodeLine struct {
	Type            string `json:"type"`
	Set             int    `json:"set"`
	Node            string `json:"node"`
	Cluster         string `json:"cluster,omitzero"`
	Reachable       bool   `json:"reachable"`
	Leader          string `json:"leader,omitzero"`
	Ballot          string `json:"ballot,omitzero"`
	Ready           bool   `json:"ready,omitzero"`
	Epoch           uint64 `json:"epoch,omitzero"`
	LastIndex       uint64 `json:"last_index,omitzero"`
	CommitIndex     uint64 `json:"commit_index,omitzero"`
	AppliedIndex    uint64 `json:"applied_index,omitzero"`
	CheckpointIndex uint64 `json:"checkpoint_index,omitzero"`
	Checksum        hexID  `json:"checksum,omitzero"`
	Locks           int    `json:"locks,omitzero"`
	UndoRecords     int    `json:"undo_records,omitzero"`
	Prepared        int    `json:"prepared,omitzero"`
	Decided         int    `json:"decided,omitzero"`
	Elections       uint64 `json:"elections,omitzero"`
	LogErr          string `json:"log_error,omitzero"`
	Log             spans  `json:"log,omitzero"`
	Statuses        spans  `json:"statuses,omitzero"`
	LockTable       []lock `json:"lock_table,omitzero"`
	// Counters are absent where the node does not tell any.
	Counters *counters `json:"counters,omitzero"`
}

// counters are runner.Counters.
type counters struct {
	Committed         uint64       `json:"committed"`
	InsufficientFunds uint64       `json:"insufficient_funds"`
	Aborted           uint64       `json:"aborted"`
	Reads             uint64       `json:"reads"`
	Slowest           microseconds `json:"latency_max_us"`
	LockHeld          microseconds `json:"lock_hold_max_us"`
}

func nodeLineOf(set int, n *runner.NodeState, log, statuses spans) *nodeLine {
	l := &nodeLine{Type: typeNode, Set: set, Node: n.ID, Cluster: n.Cluster, Reachable: n.Reachable, Leader: n.Leader, Ballot: n.Ballot,
		Ready: n.Ready, Epoch: n.Epoch, LastIndex: n.LastIndex, CommitIndex: n.CommitIndex, AppliedIndex: n.AppliedIndex,
		CheckpointIndex: n.CheckpointIndex, Checksum: hexID(n.Checksum), Locks: n.Locks, UndoRecords: n.UndoRecords,
		Prepared: n.Prepared, Decided: n.Decided, Elections: n.Elections, LogErr: n.LogErr, Log: log, Statuses: statuses}
	for _, k := range n.LockTable {
		l.LockTable = append(l.LockTable, lock{k.Item, k.TxnID, hexID(k.ClientID), k.Timestamp, microseconds(k.Held), k.Waiters})
	}
	if k := n.Counters; k != nil {
		l.Counters = &counters{k.Committed, k.InsufficientFunds, k.Aborted, k.Reads, microseconds(k.Slowest), microseconds(k.LockHeld)}
	}
	return l
}

// into completes the state that the balances line began.
func (l *nodeLine) into(n *runner.NodeState) {
	n.Cluster, n.Reachable, n.Leader, n.Ballot, n.Ready, n.Epoch = l.Cluster, l.Reachable, l.Leader, l.Ballot, l.Ready, l.Epoch
	n.LastIndex, n.CommitIndex, n.AppliedIndex, n.CheckpointIndex = l.LastIndex, l.CommitIndex, l.AppliedIndex, l.CheckpointIndex
	n.Checksum, n.Locks, n.UndoRecords, n.Prepared, n.Decided = uint64(l.Checksum), l.Locks, l.UndoRecords, l.Prepared, l.Decided
	n.Elections, n.LogErr = l.Elections, l.LogErr
	for _, k := range l.LockTable {
		n.LockTable = append(n.LockTable, runner.Lock{Item: k.Item, TxnID: k.TxnID, ClientID: uint64(k.Client), Timestamp: k.Timestamp,
			Held: time.Duration(k.Held), Waiters: k.Waiters})
	}
	if k := l.Counters; k != nil {
		n.Counters = &runner.Counters{Committed: k.Committed, InsufficientFunds: k.InsufficientFunds, Aborted: k.Aborted, Reads: k.Reads,
			Slowest: time.Duration(k.Slowest), LockHeld: time.Duration(k.LockHeld)}
	}
}

// lock is runner.Lock.
type lock struct {
	Item      int64        `json:"item"`
	TxnID     string       `json:"txn_id,omitzero"`
	Client    hexID        `json:"client,omitzero"`
	Timestamp uint64       `json:"timestamp,omitzero"`
	Held      microseconds `json:"held_us,omitzero"`
	Waiters   int          `json:"waiters,omitzero"`
}

// logLine is one row of logs or of views.
type logLine struct {
	Type string `json:"type"`
	Set  int    `json:"set"`
	Row  int    `json:"row"`
	logRow
}

// logRow is runner.LogRow.
type logRow struct {
	Index     uint64 `json:"index"`
	Seq       uint64 `json:"seq,omitzero"`
	PeerSeq   uint64 `json:"peer_seq,omitzero"`
	Phase     string `json:"phase,omitzero"`
	Role      string `json:"role,omitzero"`
	Kind      string `json:"kind,omitzero"`
	TxnID     string `json:"txn_id,omitzero"`
	Text      string `json:"text,omitzero"`
	Status    string `json:"status,omitzero"`
	Effect    string `json:"effect,omitzero"`
	Ballot    string `json:"ballot,omitzero"`
	Origin    string `json:"origin,omitzero"`
	Client    hexID  `json:"client,omitzero"`
	Timestamp uint64 `json:"timestamp,omitzero"`
	From      int64  `json:"from,omitzero"`
	To        int64  `json:"to,omitzero"`
	Amount    int64  `json:"amount,omitzero"`
}

func logRowOf(r runner.LogRow) logRow {
	return logRow{Index: r.Index, Seq: r.Seq, PeerSeq: r.PeerSeq, Phase: r.Phase, Role: r.Role, Kind: r.Kind, TxnID: r.TxnID,
		Text: r.Text, Status: r.Status, Effect: r.Effect, Ballot: r.Ballot, Origin: r.Origin, Client: hexID(r.ClientID),
		Timestamp: r.Timestamp, From: r.From, To: r.To, Amount: r.Amount}
}

func (r *logRow) row() runner.LogRow {
	return runner.LogRow{Index: r.Index, Seq: r.Seq, PeerSeq: r.PeerSeq, Phase: r.Phase, Role: r.Role, Kind: r.Kind, TxnID: r.TxnID,
		Text: r.Text, Status: r.Status, Effect: r.Effect, Ballot: r.Ballot, Origin: r.Origin, ClientID: uint64(r.Client),
		Timestamp: r.Timestamp, From: r.From, To: r.To, Amount: r.Amount}
}

// statusLine is one row of PrintStatus.
type statusLine struct {
	Type string `json:"type"`
	Set  int    `json:"set"`
	Row  int    `json:"row"`
	statusRow
}

// statusRow is runner.StatusRow.
type statusRow struct {
	Seq       uint64 `json:"seq"`
	Status    string `json:"status,omitzero"`
	Phase     string `json:"phase,omitzero"`
	Text      string `json:"text,omitzero"`
	Client    hexID  `json:"client,omitzero"`
	Timestamp uint64 `json:"timestamp,omitzero"`
}

func statusRowOf(r runner.StatusRow) statusRow {
	return statusRow{Seq: r.Seq, Status: r.Status, Phase: r.Phase, Text: r.Text, Client: hexID(r.ClientID), Timestamp: r.Timestamp}
}

func (r *statusRow) row() runner.StatusRow {
	return runner.StatusRow{Seq: r.Seq, Status: r.Status, Phase: r.Phase, Text: r.Text, ClientID: uint64(r.Client), Timestamp: r.Timestamp}
}

// viewLine is one NEW-VIEW message. Entries are rows of log lines.
type viewLine struct {
	Type        string   `json:"type"`
	Set         int      `json:"set"`
	Cluster     string   `json:"cluster,omitzero"`
	Ballot      string   `json:"ballot,omitzero"`
	Leader      string   `json:"leader,omitzero"`
	FirstIndex  uint64   `json:"first_index"`
	CommitIndex uint64   `json:"commit_index"`
	Entries     spans    `json:"entries,omitzero"`
	SeenBy      []string `json:"seen_by,omitzero"`
}

func viewLineOf(set int, v *runner.View, entries spans) *viewLine {
	return &viewLine{Type: typeView, Set: set, Cluster: v.Cluster, Ballot: v.Ballot, Leader: v.Leader, FirstIndex: v.FirstIndex,
		CommitIndex: v.CommitIndex, Entries: entries, SeenBy: v.SeenBy}
}

// historicTopology is a topology in full, but for the addresses of its nodes:
// they are free ports, or name machines.
type historicTopology struct {
	Topology
	ItemMapVersion uint64           `json:"item_map_version,omitzero"`
	ItemNames      map[int64]string `json:"item_names,omitempty"`
}

func historicTopologyOf(t *topology.Topology) *historicTopology {
	if t == nil {
		return nil
	}
	return &historicTopology{Topology: topologyOf(t), ItemMapVersion: t.Items.Version, ItemNames: t.ItemNames}
}

// topology is the topology again. One that is not valid is an error: judging
// relies on it.
func (h *historicTopology) topology() (*topology.Topology, error) {
	if h == nil {
		return nil, nil
	}
	t := &topology.Topology{InitialBalance: h.InitialBalance, Items: topology.ItemMap{Version: h.ItemMapVersion}, ItemNames: maps.Clone(h.ItemNames)}
	for i, c := range h.Clusters {
		cl := topology.Cluster{ID: c.ID}
		for _, id := range c.Nodes {
			cl.Nodes = append(cl.Nodes, topology.Node{ID: id})
		}
		t.Clusters = append(t.Clusters, cl)
		ranges := c.Ranges
		if len(ranges) == 0 && c.LastItem != 0 {
			ranges = [][2]int64{{c.FirstItem, c.LastItem}}
		}
		for _, r := range ranges {
			t.Items.Ranges = append(t.Items.Ranges, topology.Range{First: r[0], Last: r[1], Cluster: i})
		}
	}
	slices.SortFunc(t.Items.Ranges, func(a, b topology.Range) int { return cmp.Compare(a.First, b.First) })
	for text, b := range h.Balances {
		if t.Balances == nil {
			t.Balances = map[int64]int64{}
		}
		var item int64
		if _, err := fmt.Sscan(text, &item); err != nil {
			return nil, fmt.Errorf("topology: %q is not an item", text)
		}
		t.Balances[item] = b
	}
	if err := t.Validate(); err != nil {
		return nil, fmt.Errorf("topology: %w", err)
	}
	return t, nil
}
