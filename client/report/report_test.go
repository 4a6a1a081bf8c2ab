package report

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"paxbank/client/check"
	"paxbank/client/runner"
	"paxbank/client/testset"
	"paxbank/internal/topology"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares got with a file under testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (run the test with -update, then read the file)", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (-want +got; -update rewrites it):\n%s", path, diff)
	}
}

func us(n int) time.Duration { return time.Duration(n) * time.Microsecond }

// sampleRun is a small run that was judged: a set in which n4 fails and a
// transfer across clusters is aborted without being undone, and a set that was
// skipped.
func sampleRun(t *testing.T) (*runner.RunResult, []check.SetVerdict) {
	t.Helper()
	run := sampleResult(t)
	expected, err := testset.ParseExpected("e.csv", []byte("1,balance,3,80,2\n1,outcome,line:5,aborted,1\n"))
	if err != nil {
		t.Fatal(err)
	}
	return run, []check.SetVerdict{check.Judge(&run.Sets[0], expected), check.Judge(&run.Sets[1], expected)}
}

func sampleResult(t *testing.T) *runner.RunResult {
	t.Helper()
	top, err := topology.Uniform(2, 2, 20, 10)
	if err != nil {
		t.Fatal(err)
	}
	top.Balances = map[int64]int64{3: 100}
	file, err := testset.Parse("dir/sample.csv", []byte("1,\"(1, 2, 3)\",\n,(2),\n,\"(3, 12, 20)\",\n,F(n4),\n,\"(3, 13, 1)\",\n,(1),\n7,(1),\"[n1, n2, n3]\"\n"))
	if err != nil {
		t.Fatal(err)
	}
	call := func(i, batch int, kind string, start, end int, o runner.Outcome) runner.Call {
		return runner.Call{Command: file.Sets[0].Commands[i], Batch: batch, Kind: kind, ClientID: 0xabc, Timestamp: uint64(i + 1),
			Start: us(start), End: us(end), Outcome: o, Attempts: 1, Node: "n1"}
	}
	set := runner.SetResult{
		Set: file.Sets[0], Topology: top, Live: []string{"n1", "n2", "n3", "n4"}, LiveAtEnd: []string{"n1", "n2", "n3"}, QuorumAtEnd: []string{"c1"},
		Calls: []runner.Call{
			call(0, 1, "intra", 100, 912, runner.Committed),
			call(1, 1, "read", 920, 1400, runner.Value),
			call(2, 1, "cross", 100, 3100, runner.Committed),
			call(4, 2, "cross", 5000, 2_405_000, runner.Aborted),
			call(5, 2, "read", 5000, 5600, runner.Value),
		},
		LockHold:     runner.Histogram{Count: 2, SumMicros: 5000, MaxMicros: 2600, Upper: []uint64{2399, 2700}, Counts: []uint64{1, 1}},
		Observations: []runner.Observation{{At: us(50), Line: 1, Text: "reset, epoch 2"}, {At: us(4000), Line: 4, Text: "F(n4)"}},
		Busy:         us(2_403_000), Started: us(10), Ended: us(2_500_000),
	}
	set.Calls[1].Value, set.Calls[4].Value = 13, 7
	set.Calls[3].Message, set.Calls[3].Attempts = "c2 has no quorum", 3
	log := []runner.LogRow{
		{Index: 1, Kind: "view", Ballot: "1.n1", Origin: "1.n1", Status: "E"},
		{Index: 2, Seq: 2, Kind: "transfer", Text: "(1, 2, 3)", Status: "E", Effect: "applied", Ballot: "1.n1", Origin: "1.n1", From: 1, To: 2, Amount: 3},
		{Index: 3, Seq: 3, Phase: "P", Role: "coordinator", Kind: "transfer", Status: "E", Effect: "applied", Ballot: "1.n1", Origin: "1.n1", From: 3, To: 12, Amount: 20, TxnID: "abc/3@1.n1#1"},
		{Index: 4, Seq: 3, PeerSeq: 2, Phase: "C", Role: "coordinator", Kind: "transfer", Status: "E", Effect: "applied", Ballot: "1.n1", Origin: "1.n1", From: 3, To: 12, Amount: 20, TxnID: "abc/3@1.n1#1"},
	}
	status := []runner.StatusRow{{Seq: 2, Status: "E", Text: "(1, 2, 3)"}, {Seq: 3, Status: "E", Phase: "C", Text: "(3, 12, 20)"}}
	node := func(id, cluster string, live bool, balances map[int64]int64) runner.NodeState {
		return runner.NodeState{ID: id, Cluster: cluster, Live: live, Reachable: true, Leader: "n1", Ballot: "1.n1", LastIndex: 6, CommitIndex: 6, AppliedIndex: 6,
			Checksum: 0xfeed, Balances: balances}
	}
	set.Nodes = []runner.NodeState{
		node("n1", "c1", true, map[int64]int64{1: 7, 2: 13, 3: 79}),
		node("n2", "c1", true, map[int64]int64{1: 7, 2: 13, 3: 79}),
		node("n3", "c2", true, map[int64]int64{12: 30, 13: 10}),
		node("n4", "c2", false, map[int64]int64{12: 30}),
	}
	set.Nodes[0].Log, set.Nodes[0].Statuses, set.Nodes[0].Ready = log, status, true
	set.Nodes[1].Log, set.Nodes[1].Statuses = log[:2], status[:1]
	set.Nodes[0].Locks, set.Nodes[0].LockTable = 1, []runner.Lock{{Item: 3, TxnID: "abc/5@1.n1#2", Held: us(1200), Waiters: 2}}
	set.Nodes[3].Reachable, set.Nodes[3].Err = false, "connection refused"
	set.Views = []runner.View{{Cluster: "c1", Ballot: "1.n1", Leader: "n1", FirstIndex: 1, SeenBy: []string{"n1", "n2"}, Entries: log[:1]},
		{Cluster: "c2", Ballot: "2.n4", Leader: "n4", FirstIndex: 2, CommitIndex: 1, SeenBy: []string{"n4"},
			Entries: []runner.LogRow{{Index: 2, Seq: 2, Phase: "P", Kind: "transfer", Text: "(3, 12, 20)", Ballot: "1.n3", Origin: "1.n3"}, {Index: 3, Kind: "view", Ballot: "2.n4", Origin: "2.n4"}}}}
	return &runner.RunResult{TestSet: "sample.csv", Started: time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC), Topology: top, Order: "conflict", Fault: "pause", Containment: "user 60000, a /proc of its own; missing: a network namespace (it was refused)",
		Sets: []runner.SetResult{set, {Set: file.Sets[1], Topology: top, Skipped: true}}}
}

func printed(t *testing.T, f func(io.Writer) error) string {
	t.Helper()
	var b bytes.Buffer
	if err := f(&b); err != nil {
		t.Fatal(err)
	}
	for i, line := range strings.Split(b.String(), "\n") {
		if strings.Contains(line, "\t") {
			t.Errorf("line %d has a tab: %q", i+1, line)
		}
	}
	return b.String()
}

func TestPrintSet(t *testing.T) {
	run, verdicts := sampleRun(t)
	golden(t, "set.txt", printed(t, func(w io.Writer) error {
		if err := PrintSet(w, &run.Sets[0], &verdicts[0], Options{Log: true, Status: true, Locks: true}); err != nil {
			return err
		}
		return PrintSet(w, &run.Sets[1], &verdicts[1], Options{})
	}))
	rv := check.Combine(verdicts)
	golden(t, "run.txt", printed(t, func(w io.Writer) error { return PrintRun(w, run, &rv, Options{}) }))
}

func TestPrintSingleTables(t *testing.T) {
	run, _ := sampleRun(t)
	set := &run.Sets[0]
	for _, tc := range []struct {
		name, want string
		f          func(io.Writer) error
	}{
		{"balance", "n1 : 79, n2 : 79\n", func(w io.Writer) error { return PrintBalance(w, set, 3) }},
		{"balance never modified", "n1 : 10, n2 : 10\n", func(w io.Writer) error { return PrintBalance(w, set, 9) }},
		{"balance of a silent node", "n3 : 30, n4 : ?\n", func(w io.Writer) error { return PrintBalance(w, set, 12) }},
		{"balance of no item", "no cluster owns item 99\n", func(w io.Writer) error { return PrintBalance(w, set, 99) }},
		{"log of no node", "unknown node n9\n", func(w io.Writer) error { return PrintLog(w, set, "n9") }},
		{"log of a silent node", "\nPrintLog(n4 (down))\nthe node could not be asked: connection refused\n", func(w io.Writer) error { return PrintLog(w, set, "n4") }},
	} {
		if got := printed(t, tc.f); got != tc.want {
			t.Errorf("%s: got %q, want %q", tc.name, got, tc.want)
		}
	}
	one := printed(t, func(w io.Writer) error { return PrintStatus(w, set, 3) })
	if strings.Contains(one, "(1, 2, 3)") || !strings.Contains(one, "(3, 12, 20)") {
		t.Errorf("PrintStatus of 3 prints\n%s", one)
	}
}

func TestPrintTimeline(t *testing.T) {
	run, _ := sampleRun(t)
	at := func(n int) time.Time { return run.Started.Add(us(n)) }
	c := runner.Timeline{Node: "n1", Role: "coordinator", TxnID: "abc/3@1.n1#1", Text: "(3, 12, 20)", Outcome: "committed", Item: 3, Seq: 3, PeerSeq: 2,
		Locked: at(100), PrepareSent: at(105), PrepareChosen: at(900), ParticipantPrepared: at(1300), DecisionChosen: at(2000), Acknowledged: at(2600), Released: at(2610),
		BalanceBefore: 100, BalancePrepared: 80, BalanceAfter: 80}
	p := runner.Timeline{Node: "n3", Role: "participant", TxnID: "abc/3@1.n1#1", Text: "(3, 12, 20)", Outcome: "committed", Item: 12, Seq: 2, PeerSeq: 3,
		Locked: at(300), PrepareChosen: at(1200), DecisionChosen: at(2500), Released: at(2500), BalanceBefore: 10, BalancePrepared: 30, BalanceAfter: 30}
	first := runner.Timeline{Node: "n1", Role: "coordinator", TxnID: "abc/3@1.n1#0", Outcome: "aborted", Reason: "conflict", Item: 3, Seq: 2, Locked: at(0), DecisionChosen: at(50), Released: at(60),
		BalanceBefore: 100, BalancePrepared: 80, BalanceAfter: 100}
	golden(t, "timeline.txt", printed(t, func(w io.Writer) error {
		return PrintTimeline(w, &run.Sets[0].Calls[2], []runner.Timeline{first, p, c})
	}))
	none := printed(t, func(w io.Writer) error { return PrintTimeline(w, &run.Sets[0].Calls[0], nil) })
	if !strings.Contains(none, "no node has one") {
		t.Errorf("got %q", none)
	}
}

func TestFiles(t *testing.T) {
	run, verdicts := sampleRun(t)
	dir := t.TempDir()
	for range 2 { // a second time over the first
		if err := Write(dir, run, verdicts); err != nil {
			t.Fatal(err)
		}
	}
	var names []string
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		golden(t, e.Name(), string(data))
	}
	if diff := cmp.Diff([]string{"history.jsonl", "junit.xml", "performance.csv", "report.html", "report.md", "results.json", "summary.json", "summary.txt"}, names); diff != "" {
		t.Errorf("files -want +got:\n%s", diff)
	}
	var b bytes.Buffer
	if err := JSON(&b, run, verdicts); err != nil {
		t.Fatal(err)
	}
	var s Summary
	d := json.NewDecoder(&b)
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Summarize(run, verdicts), &s); diff != "" {
		t.Errorf("summary.json does not come back as it went (-want +got):\n%s", diff)
	}
}

func TestWriteSaysWhatItCannotWrite(t *testing.T) {
	run, verdicts := sampleRun(t)
	err := Write(filepath.Join(t.TempDir(), "missing"), run, verdicts)
	if err == nil || !strings.Contains(err.Error(), "cannot write history.jsonl") {
		t.Errorf("got %v", err)
	}
}

func TestLargeSet(t *testing.T) {
	run, _ := sampleRun(t)
	set := &run.Sets[0]
	example := set.Calls[0]
	set.Calls, set.Set.Commands = nil, nil
	for i := range SideFileThreshold + 1 {
		c := example
		c.Command.Line = i + 1
		c.Command.Text = fmt.Sprintf("(%d, 2, 3)", i)
		if i == 7000 {
			c.Outcome, c.Message = runner.Unavailable, "c1 has no leader"
		}
		set.Calls = append(set.Calls, c)
	}
	v := check.SetVerdict{Set: 1, Verdict: check.Pass}
	got := printed(t, func(w io.Writer) error { return PrintTransactions(w, set, Options{}) })
	golden(t, "large.txt", got)

	dir := t.TempDir()
	if err := Write(dir, run, []check.SetVerdict{v, v}); err != nil {
		t.Fatal(err)
	}
	s := Summarize(run, []check.SetVerdict{v, v})
	if s.Sets[0].TransactionsFile != TransactionsFile || s.Sets[0].LogFile != LogFile || len(s.Sets[0].Transactions) != 0 || len(s.Sets[0].Logs) != 0 {
		t.Errorf("a large set is in the summary: %d transactions, file %q", len(s.Sets[0].Transactions), s.Sets[0].TransactionsFile)
	}
	for name, want := range map[string]struct {
		rows   int
		header string
	}{
		TransactionsFile: {SideFileThreshold + 1, "set,line,batch,text,kind,from,to,amount,item,outcome,value,latency_us,attempts,resolved,node,message"},
		LogFile:          {6, "set,node,index,seq,phase,role,kind,text,status,effect,ballot,origin,peer_seq,txn_id"},
	} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
		if lines[0] != want.header || len(lines)-1 != want.rows {
			t.Errorf("%s: %d rows under %q, want %d under %q", name, len(lines)-1, lines[0], want.rows, want.header)
		}
	}
}

// Of a long balance table the ends are shown and what replicas disagree on, and
// of many reads the first ones: nobody reads hundreds of rows.
func TestLongTablesAreCut(t *testing.T) {
	run, verdicts := sampleRun(t)
	set := &run.Sets[0]
	set.Set.Commands = nil
	for item := int64(1); item <= DefaultMaxRows+100; item++ {
		for i := range set.Nodes {
			if n := &set.Nodes[i]; n.Cluster == set.Topology.Clusters[0].ID {
				n.Balances[item] = 7
			}
		}
		set.Set.Commands = append(set.Set.Commands, testset.Command{Kind: testset.Read, Item: item})
	}
	set.Nodes[0].Balances[250] = 8
	got := printed(t, func(w io.Writer) error { return PrintSet(w, set, &verdicts[0], Options{}) })
	_, db, _ := strings.Cut(got, "\nPrintDB\n")
	db, reads, _ := strings.Cut(db, "\nPrintBalance")
	rows := strings.Split(strings.TrimSpace(db), "\n")
	// Header, rule, both ends, the odd one, what was left out.
	if want := 2 + excerptRows + 1 + 1; len(rows) != want {
		t.Errorf("PrintDB has %d lines, want %d:\n%s", len(rows), want, db)
	}
	if !strings.Contains(db, "  250 |") || !strings.Contains(rows[len(rows)-1], "live replicas agree") {
		t.Errorf("the item that replicas disagree on is missing:\n%s", db)
	}
	if n := strings.Count(reads, "PrintBalance") + 1; n != excerptRows || !strings.Contains(reads, fmt.Sprintf("… %d more items were read", DefaultMaxRows+100-excerptRows)) {
		t.Errorf("%d balances printed, want %d", n, excerptRows)
	}
	all := printed(t, func(w io.Writer) error { return PrintDB(w, set) })
	if n := strings.Count(all, "\n"); n < DefaultMaxRows+100 {
		t.Errorf("PrintDB by itself prints %d lines, want all items", n)
	}
}

func TestColour(t *testing.T) {
	if got := (Options{}).paint(check.Fail); got != "fail" {
		t.Errorf("got %q without colour", got)
	}
	if got := (Options{Color: true}).paint(check.Fail); got != "\x1b[31mfail\x1b[0m" {
		t.Errorf("got %q with colour", got)
	}
	f, err := os.Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if OptionsFor(f).Color {
		t.Error("a file gets colour")
	}
	t.Setenv("NO_COLOR", "1")
	t.Setenv("TERM", "xterm")
	if tty, err := os.OpenFile("/dev/null", os.O_WRONLY, 0); err == nil { // a character device
		defer tty.Close()
		if OptionsFor(tty).Color {
			t.Error("NO_COLOR is not honoured")
		}
	}
}

type brokenWriter struct{ left int }

func (b *brokenWriter) Write(p []byte) (int, error) {
	if b.left -= len(p); b.left < 0 {
		return 0, io.ErrClosedPipe
	}
	return len(p), nil
}

func TestPrintingReturnsTheErrorOfWriting(t *testing.T) {
	run, verdicts := sampleRun(t)
	for _, left := range []int{0, 10, 200, 2000} {
		if err := PrintSet(&brokenWriter{left}, &run.Sets[0], &verdicts[0], Options{Log: true}); err == nil {
			t.Errorf("no error after %d bytes", left)
		}
	}
}
