package report

import (
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"paxbank/client/runner"
)

// PrintDB prints the items that were modified, or that the set names, on every
// node; nodes that do not hold an item show nothing there, nodes that could not
// be asked a question mark.
func PrintDB(w io.Writer, set *runner.SetResult) error { return printDB(w, set, math.MaxInt) }

func printDB(w io.Writer, set *runner.SetResult, most int) error {
	p := &printer{w: w}
	p.title("PrintDB")
	seen := map[int64]bool{}
	for i := range set.Nodes {
		for item := range set.Nodes[i].Balances {
			seen[item] = true
		}
	}
	items := make([]int64, 0, len(seen))
	for item := range seen {
		items = append(items, item)
	}
	slices.Sort(items)
	if len(items) == 0 {
		p.printf("no item was modified\n")
		return p.err
	}
	t, byCluster := itemTable(set)
	left, odd := 0, 0
	ends := min(excerptRows, most) / 2
	for i, item := range items {
		row, differs := dbRow(set, byCluster, item)
		// Of a long table the ends and what live replicas disagree on.
		if len(items) > most && i >= ends && i < len(items)-ends {
			if !differs {
				left++
				continue
			}
			if odd++; odd > most {
				continue
			}
		}
		t.add(row...)
	}
	p.table(t)
	if odd > most {
		p.printf("… and %d items on whose balance live replicas differ (all are in summary.json)\n", odd-most)
	}
	if left > 0 {
		p.printf("… and %d items on whose balance live replicas agree (all are in summary.json)\n", left)
	}
	return p.err
}

// itemTable is an empty table of items by nodes, and the nodes by cluster.
func itemTable(set *runner.SetResult) (*table, [][]*runner.NodeState) {
	header := []string{">Item"}
	byCluster := nodesOf(set)
	for _, nodes := range byCluster {
		for _, n := range nodes {
			header = append(header, ">"+label(set, n))
		}
	}
	return newTable(header...), byCluster
}

// dbRow is an item's row of PrintDB, and whether live replicas differ.
func dbRow(set *runner.SetResult, byCluster [][]*runner.NodeState, item int64) (row []string, differs bool) {
	row = []string{set.Topology.ItemName(item)}
	owner, _ := set.Topology.Items.Cluster(item)
	first := ""
	for c, nodes := range byCluster {
		for _, n := range nodes {
			cell := ""
			if c == owner {
				cell = balanceOn(set, n, item)
				if slices.Contains(set.LiveAtEnd, n.ID) {
					differs = differs || first != "" && cell != first
					first = cell
				}
			}
			row = append(row, cell)
		}
	}
	return row, differs
}

// balanceOn is what n says of item. Items that were never modified are not
// listed by nodes and hold what they started with.
func balanceOn(set *runner.SetResult, n *runner.NodeState, item int64) string {
	b, ok := n.Balances[item]
	if !n.Reachable || !ok && n.Err != "" {
		return "?"
	}
	if !ok {
		b = set.Topology.Balance(item)
	}
	return strconv.FormatInt(b, 10)
}

// PrintBalance prints one item on the nodes of its cluster: n4 : 8, n5 : 8, n6 : 10.
func PrintBalance(w io.Writer, set *runner.SetResult, item int64) error {
	p := &printer{w: w}
	owner, ok := set.Topology.Items.Cluster(item)
	if !ok {
		p.printf("no cluster owns item %d\n", item)
		return p.err
	}
	var parts []string
	for _, n := range nodesOf(set)[owner] {
		parts = append(parts, n.ID+" : "+balanceOn(set, n, item))
	}
	p.printf("%s\n", strings.Join(parts, ", "))
	return p.err
}

// PrintViews prints every new-view message with all its parameters, one row an
// entry of its log.
func PrintViews(w io.Writer, set *runner.SetResult) error {
	p := &printer{w: w}
	p.title("PrintView")
	if len(set.Views) == 0 {
		p.printf("no new-view message was sent or received\n")
		return p.err
	}
	t := newTable("Cluster", "Ballot", "Leader", ">First index", ">Commit index", ">Entries", "Seen by", ">Index", ">Seq", "Phase", "Entry", "Accepted", "Origin")
	for i := range set.Views {
		v := &set.Views[i]
		head := []string{v.Cluster, v.Ballot, v.Leader, strconv.FormatUint(v.FirstIndex, 10), strconv.FormatUint(v.CommitIndex, 10), strconv.Itoa(len(v.Entries)), strings.Join(v.SeenBy, " ")}
		if len(v.Entries) == 0 {
			t.add(append(head, "", "", "", "", "", "")...)
		}
		for j := range v.Entries {
			e := &v.Entries[j]
			t.add(append(head, uintText(e.Index), uintText(e.Seq), e.Phase, logText(e), e.Ballot, e.Origin)...)
			head = []string{"", "", "", "", "", "", ""}
		}
	}
	p.table(t)
	return p.err
}

// uintText shows 0, which means "none" for indexes and sequence numbers, as
// nothing.
func uintText(v uint64) string {
	if v == 0 {
		return ""
	}
	return strconv.FormatUint(v, 10)
}

// PrintLog prints the log of one node, or of every node when node is empty.
// NO-OP, VIEW and END entries are left out.
func PrintLog(w io.Writer, set *runner.SetResult, node string) error {
	p := &printer{w: w}
	found := false
	for i := range set.Nodes {
		n := &set.Nodes[i]
		if node != "" && n.ID != node {
			continue
		}
		found = true
		p.title("PrintLog(%s)", label(set, n))
		if n.CheckpointIndex > 0 {
			p.printf("entries up to index %d are in a checkpoint\n", n.CheckpointIndex)
		}
		switch {
		case n.LogErr != "":
			p.printf("the log could not be read: %s\n", n.LogErr)
			continue
		case !n.Reachable:
			p.printf("the node could not be asked: %s\n", orDash(n.Err))
			continue
		}
		t := newTable(">Index", ">Seq", "Phase", "Role", "Transfer", "Status", "Effect", "Ballot", "Origin", ">Peer seq")
		for j := range n.Log {
			r := &n.Log[j]
			switch r.Kind {
			case "no-op", "view", "end":
				continue
			}
			text := logText(r)
			if r.Kind != "" && r.Kind != "transfer" {
				text = strings.TrimSpace(r.Kind + " " + strings.TrimPrefix(text, r.Kind))
			}
			t.add(uintText(r.Index), uintText(r.Seq), r.Phase, r.Role, text, r.Status, r.Effect, r.Ballot, r.Origin, uintText(r.PeerSeq))
		}
		if len(t.rows) == 0 {
			p.printf("empty\n")
			continue
		}
		p.table(t)
	}
	if !found {
		p.printf("unknown node %s\n", node)
	}
	return p.err
}

// PrintStatus prints how far transactions got on every node of their cluster,
// by sequence number: A accepted, C committed, E executed, X nothing. seq 0
// stands for all.
func PrintStatus(w io.Writer, set *runner.SetResult, seq uint64) error {
	p := &printer{w: w}
	for c, nodes := range nodesOf(set) {
		if len(nodes) == 0 {
			continue
		}
		header := []string{">Seq"}
		byNode := make([]map[uint64]*runner.StatusRow, len(nodes))
		var seqs []uint64
		for i, n := range nodes {
			header = append(header, label(set, n))
			byNode[i] = map[uint64]*runner.StatusRow{}
			for j := range n.Statuses {
				r := &n.Statuses[j]
				byNode[i][r.Seq] = r
				if seq == 0 || r.Seq == seq {
					seqs = append(seqs, r.Seq)
				}
			}
		}
		if seq != 0 {
			seqs = append(seqs, seq)
		}
		slices.Sort(seqs)
		seqs = slices.Compact(seqs)
		p.title("PrintStatus, cluster %s", set.Topology.Clusters[c].ID)
		if len(seqs) == 0 {
			p.printf("no transactions\n")
			continue
		}
		t := newTable(append(header, "Phase", "Transfer")...)
		for _, s := range seqs {
			row := []string{uintText(s)}
			phase, text := "", ""
			for i, n := range nodes {
				cell := "X"
				if !n.Reachable {
					cell = "?"
				}
				if r := byNode[i][s]; r != nil {
					cell = r.Status
					phase, text = later(phase, r.Phase), r.Text
				}
				row = append(row, cell)
			}
			t.add(append(row, phase, text)...)
		}
		p.table(t)
	}
	return p.err
}

// later returns the phase that comes later in a transaction's life.
func later(a, b string) string {
	rank := map[string]int{"": 0, "P": 1, "C": 2, "A": 2}
	if rank[b] >= rank[a] {
		return b
	}
	return a
}

// PrintLocks prints the locks that leaders hold.
func PrintLocks(w io.Writer, set *runner.SetResult) error {
	p := &printer{w: w}
	p.title("Locks")
	t := newTable("Node", ">Item", "Transaction", ">Held", ">Waiters")
	for i := range set.Nodes {
		n := &set.Nodes[i]
		for _, l := range n.LockTable {
			t.add(label(set, n), set.Topology.ItemName(l.Item), l.TxnID, span(l.Held), strconv.Itoa(l.Waiters))
		}
	}
	if len(t.rows) == 0 {
		p.printf("no locks are held\n")
		return p.err
	}
	p.table(t)
	return p.err
}
