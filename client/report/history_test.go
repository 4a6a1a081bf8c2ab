package report

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"paxbank/client/check"
	"paxbank/client/runner"
	"paxbank/client/testset"
	"paxbank/internal/topology"
)

// same compares runs. What a parser keeps for itself in a command or a set is of
// no use to a judge.
var same = cmp.Options{
	cmpopts.EquateEmpty(),
	cmpopts.IgnoreUnexported(testset.Command{}, testset.Set{}),
}

// runs generates runs in which any exported field has any value, so that a field
// that somebody adds and the history does not know is found.
func runs(t *testing.T) *rapid.Generator[runner.RunResult] {
	t.Helper()
	shape := rapid.Custom(func(t *rapid.T) *topology.Topology {
		top, err := topology.Uniform(rapid.IntRange(1, 3).Draw(t, "clusters"), rapid.IntRange(1, 3).Draw(t, "nodes"), 100, 10)
		if err != nil {
			t.Fatal(err)
		}
		top.Items.Version = rapid.Uint64().Draw(t, "version")
		if rapid.Bool().Draw(t, "balances") {
			top.Balances = map[int64]int64{3: 100, 70: 0}
			top.ItemNames = map[int64]string{1: "A", 2: "B"}
		}
		if rapid.Bool().Draw(t, "ranges") && len(top.Clusters) > 1 {
			top.Items.Ranges = append(top.Items.Ranges, topology.Range{First: 200, Last: 299, Cluster: 0})
		}
		return top
	})
	cfg := rapid.MakeConfig{
		Types: map[reflect.Type]*rapid.Generator[any]{
			reflect.TypeFor[*topology.Topology](): shape.AsAny(),
			reflect.TypeFor[time.Time](): rapid.Custom(func(t *rapid.T) time.Time {
				return time.Unix(rapid.Int64Range(0, 1<<33).Draw(t, "s"), rapid.Int64Range(0, 999_999_999).Draw(t, "ns"))
			}).AsAny(),
			reflect.TypeFor[testset.Kind](): rapid.IntRange(int(testset.Transfer), int(testset.LeaderFail)).AsAny(),
			reflect.TypeFor[string]():       rapid.StringN(0, 5, -1).AsAny(),
		},
	}
	// Inner lists first: a generator takes what is there when it is made.
	short[string](cfg)
	short[uint64](cfg)
	short[testset.Command](cfg)
	short[runner.Call](cfg)
	short[runner.LogRow](cfg)
	short[runner.StatusRow](cfg)
	short[runner.Lock](cfg)
	short[runner.View](cfg)
	short[runner.NodeState](cfg)
	short[runner.SetResult](cfg)
	return rapid.MakeCustom[runner.RunResult](cfg)
}

// short bounds the lists of V that cfg generates, so that a run stays small.
func short[V any](cfg rapid.MakeConfig) {
	cfg.Types[reflect.TypeFor[[]V]()] = rapid.SliceOfN(rapid.MakeCustom[V](cfg), 0, 2).AsAny()
}

func TestHistoryComesBack(t *testing.T) {
	g := runs(t)
	rapid.Check(t, func(rt *rapid.T) {
		run := g.Draw(rt, "run")
		var b bytes.Buffer
		if err := History(&b, &run); err != nil {
			rt.Fatal(err)
		}
		got, err := ReadHistory(&b)
		if err != nil {
			rt.Fatal(err)
		}
		if diff := cmp.Diff(&run, got, same); diff != "" {
			rt.Fatalf("-written +read:\n%s", diff)
		}
	})
}

func written(t *testing.T, run *runner.RunResult) string {
	t.Helper()
	var b bytes.Buffer
	if err := History(&b, run); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// A recorded run is judged as it was when it ran, and is written as it was read.
func TestHistoryOfARecordedRun(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("testdata", "recorded.history.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	run, err := ReadHistory(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(data), written(t, run)); diff != "" {
		t.Errorf("-read +written:\n%s", diff)
	}
	for i := range run.Sets {
		if v := check.Judge(&run.Sets[i], nil); v.Verdict != check.Pass {
			t.Errorf("set %d: %+v", v.Set, v)
		}
	}
}

// Whoever lists no node as live says something else than who lists none.
func TestHistoryTellsNobodyLiveFromNoList(t *testing.T) {
	run, _ := sampleRun(t)
	run.Sets = run.Sets[:1]
	for _, listed := range [][]string{nil, {}} {
		run.Sets[0].Set.Live = listed
		got, err := ReadHistory(strings.NewReader(written(t, run)))
		if err != nil {
			t.Fatal(err)
		}
		if live := got.Sets[0].Set.Live; (live == nil) != (listed == nil) {
			t.Errorf("listed %#v, read %#v", listed, live)
		}
	}
}

// Addresses name machines, so they stay away from what is handed on.
func TestHistoryHasNoAddresses(t *testing.T) {
	run, _ := sampleRun(t)
	run.Topology.Clusters[0].Nodes[0].Address = "machine.example:7001"
	if text := written(t, run); strings.Contains(text, "machine") {
		t.Error(text)
	}
}

// Wherever a history is cut off, what is read are the whole sets before. Inside a
// line one place is like the other, so not all are tried.
func TestTornHistory(t *testing.T) {
	run, _ := sampleRun(t)
	text := written(t, run)
	first := strings.Index(text, "\n") + 1
	whole := 0
	for at := 0; at < len(text); {
		line := text[at : at+strings.Index(text[at:], "\n")+1]
		for _, in := range []int{0, 1, len(line) / 2, len(line) - 1} {
			got, err := ReadHistory(strings.NewReader(text[:at+in]))
			if at < first {
				if !errors.Is(err, ErrNoHistory) {
					t.Fatalf("cut at %d: %v", at+in, err)
				}
				continue
			}
			if !errors.Is(err, ErrUnfinished) {
				t.Fatalf("cut at %d: %v", at+in, err)
			}
			if diff := cmp.Diff(run.Sets[:whole], got.Sets, same); diff != "" {
				t.Fatalf("cut at %d (-written +read):\n%s", at+in, diff)
			}
		}
		at += len(line)
		if strings.Contains(line, `"type":"set_end"`) {
			whole++
		}
	}
	if whole != len(run.Sets) {
		t.Fatalf("%d sets ended, want %d", whole, len(run.Sets))
	}
	// A page of zeros where the end was to be, as some file systems leave it.
	if got, err := ReadHistory(strings.NewReader(text[:len(text)-5] + "\x00\x00\x00\n")); !errors.Is(err, ErrUnfinished) || len(got.Sets) != 2 {
		t.Errorf("with zeros at the end: %v", err)
	}
}

func TestHistoryThatIsWrong(t *testing.T) {
	run, _ := sampleRun(t)
	text := written(t, run)
	replace := func(old, new string) string {
		if !strings.Contains(text, old) {
			t.Fatalf("the history has no %s", old)
		}
		return strings.Replace(text, old, new, 1)
	}
	for _, c := range []struct{ name, text, want string }{
		{"nothing", "", "it is empty: not a history"},
		{"no history", "set,line\n1,2\n", "does not begin as one"},
		{"older", replace(`"schema":"paxbank.history/1",`, ""), "older program, which kept too little"},
		{"newer", replace("paxbank.history/1", "paxbank.history/12"), "paxbank.history/12, newer than this program, which reads paxbank.history/1"},
		{"another", replace("paxbank.history/1", "other/1"), `its schema is "other/1"`},
		{"no JSON", replace(`{"type":"command"`, `{{"type":"command"`), "line 3: "},
		{"a type", replace(`"type":"observation"`, `"type":"remark"`), `line 9: lines of type "remark" are unknown`},
		{"an operation", replace(`"op":"read"`, `"op":"write"`), `op "write" is unknown`},
		{"the set", replace(`{"type":"call","set":1`, `{"type":"call","set":2`), "a line of set 2 among those of set 1"},
		{"two the same", replace(`"number":3`, `"number":2`), "none of them is number 3, or two are the same"},
		{"a row", replace(`"log":[[1,4]]`, `"log":[[1,9]]`), "node n1: there are no rows 1 to 9 before it"},
		{"row order", replace(`"row":2`, `"row":3`), "row 3 follows row 1"},
		{"a node", replace(`{"type":"node","set":1,"node":"n2"`, `{"type":"node","set":1,"node":"n3"`), "node n3: its balances do not stand before it"},
		{"a time", replace(`"start_us":50`, `"start_us":50.1234`), "at most three decimals"},
		{"a client", replace(`"client":"0000000000000abc"`, `"client":"xyz"`), "not a hexadecimal number"},
		{"a start", replace(`"text":"2026-11-22T10:00:00Z"`, `"text":"today"`), "line 1: "},
		{"a topology", replace(`"last_item":10`, `"last_item":0`), "topology: "},
		{"the end", text + text, "a line behind the end of the run"},
		{"the order", replace(`{"type":"set_end","set":1}`+"\n", ""), `a line of type "set" is out of place`},
	} {
		if _, err := ReadHistory(strings.NewReader(c.text)); err == nil || !strings.Contains(err.Error(), c.want) || errors.Is(err, ErrUnfinished) {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
	}
}

// A judge may hang on the order of two events in one microsecond.
func TestMicrosecondsAreExact(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0", 812 * time.Microsecond: "812", 812_250: "812.25", 1: "0.001", -1_001: "-1.001", 1<<63 - 1: "9223372036854775.807", -1 << 63: "-9223372036854775.808",
	} {
		b, err := microseconds(d).MarshalJSON()
		var got microseconds
		if err != nil || string(b) != want || got.UnmarshalJSON(b) != nil || time.Duration(got) != d {
			t.Errorf("%d is written %s, read %d (%v)", d, b, got, err)
		}
	}
}

// large is a set of n transfers with the logs of nine nodes.
func largeSet(b *testing.B, n int) *runner.RunResult {
	b.Helper()
	top := topology.Default()
	set := runner.SetResult{Set: testset.Set{Number: 1, Line: 1}, Topology: top, Ended: time.Hour}
	logs := make([][]runner.LogRow, len(top.Clusters))
	for i := range n {
		c := i % len(top.Clusters)
		from := top.Items.Ranges[c].First + int64(i%1000)*2
		cmd := testset.Command{Line: i + 2, Column: 4, Kind: testset.Transfer, From: from, To: from + 1, Amount: 1, Text: fmt.Sprintf("(%d, %d, 1)", from, from+1)}
		set.Set.Commands = append(set.Set.Commands, cmd)
		at := time.Duration(i) * 100 * time.Microsecond
		set.Calls = append(set.Calls, runner.Call{Command: cmd, Batch: 1, Kind: "intra", ClientID: 0x7e59dbc589d81f63, Timestamp: uint64(i + 1), Start: at, End: at + 812_345,
			Outcome: runner.Committed, Attempts: 1, Node: top.Clusters[c].Nodes[0].ID})
		index := uint64(len(logs[c]) + 1)
		logs[c] = append(logs[c], runner.LogRow{Index: index, Seq: index, Kind: "transfer", Text: cmd.Text, Status: "E", Effect: "applied", Ballot: "1.n1", Origin: "1.n1",
			ClientID: 0x7e59dbc589d81f63, Timestamp: uint64(i + 1), From: cmd.From, To: cmd.To, Amount: 1})
	}
	for c, cl := range top.Clusters {
		statuses := make([]runner.StatusRow, 0, len(logs[c]))
		for _, r := range logs[c] {
			statuses = append(statuses, runner.StatusRow{Seq: r.Seq, Status: "E", Text: r.Text, ClientID: r.ClientID, Timestamp: r.Timestamp})
		}
		for _, node := range cl.Nodes {
			set.Nodes = append(set.Nodes, runner.NodeState{ID: node.ID, Cluster: cl.ID, Live: true, Reachable: true, Log: logs[c], Statuses: statuses})
		}
	}
	return &runner.RunResult{TestSet: "large.csv", Topology: top, Sets: []runner.SetResult{set}}
}

func BenchmarkHistory(b *testing.B) {
	run := largeSet(b, 30_000)
	var text bytes.Buffer
	if err := History(&text, run); err != nil {
		b.Fatal(err)
	}
	b.Run("write", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(text.Len()))
		for b.Loop() {
			if err := History(io.Discard, run); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("read", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(text.Len()))
		for b.Loop() {
			if _, err := ReadHistory(bytes.NewReader(text.Bytes())); err != nil {
				b.Fatal(err)
			}
		}
	})
}
