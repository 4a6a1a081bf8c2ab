package oracle

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"paxbank/client/testset"
	"paxbank/internal/topology"
)

const testsets = "../../testsets"

func load(t testing.TB, name string) *testset.File {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(testsets, name))
	if err != nil {
		t.Fatal(err)
	}
	file, err := testset.Parse(name, data)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func rows(t testing.TB, name string) []testset.Expectation {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(testsets, name))
	if err != nil {
		t.Fatal(err)
	}
	out, err := testset.ParseExpected(name, data)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// bankOf is the topology that a test set of the repository runs on.
func bankOf(t testing.TB, name string) *topology.Topology {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(testsets, strings.TrimSuffix(name, ".csv")+".yaml"))
	if os.IsNotExist(err) {
		return topology.Default()
	}
	if err != nil {
		t.Fatal(err)
	}
	top, err := topology.ParseYAML(name, data)
	if err != nil {
		t.Fatal(err)
	}
	return top
}

func expect(t testing.TB, set *testset.Set, top *topology.Topology, opt Options) *Expectation {
	t.Helper()
	e, err := Expect(set, top, opt)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// Nothing about the commands of the repository's test sets is open, and what was
// derived by hand is what the oracle says.
func TestHandDerivedFiles(t *testing.T) {
	for _, name := range []string{"course.csv", "walkthrough.csv", "shape-4x5.csv", "shape-1x1.csv", "bulk-30000.csv"} {
		t.Run(name, func(t *testing.T) {
			file, top := load(t, name), bankOf(t, name)
			expected := rows(t, strings.TrimSuffix(name, ".csv")+".expected.csv")
			judged := 0
			for i := range file.Sets {
				set := &file.Sets[i]
				e := expect(t, set, top, Options{})
				for k := range set.Commands {
					if _, ok := e.Commands[k].Must(); !ok && !set.Commands[k].Marker() {
						t.Errorf("set %d, line %d: %s is open: %v (%s)", set.Number, set.Commands[k].Line, set.Commands[k].Text, e.Commands[k].Outcomes, e.Why(k))
					}
				}
				for j := range expected {
					if row := &expected[j]; row.Applies(set.Number) {
						judged += agrees(t, e, set, row)
					}
				}
			}
			if judged < len(expected)/2 {
				t.Errorf("only %d of %d rows were compared", judged, len(expected))
			}
		})
	}
}

// agrees holds a hand-derived row against the oracle, and returns how many
// things it compared: all that the oracle allows has to satisfy the row, except
// that which node LF struck second is open.
func agrees(t *testing.T, e *Expectation, set *testset.Set, row *testset.Expectation) int {
	t.Helper()
	n := 0
	where := fmt.Sprintf("set %d: %s %s", set.Number, row.Check, row.Target)
	switch row.Check {
	case testset.CheckOutcome, testset.CheckValue:
		for k, c := range set.Commands {
			if !row.Matches(c) {
				continue
			}
			n++
			must, _ := e.Commands[k].Must()
			if row.Check == testset.CheckOutcome && !row.HoldsWord(string(must)) {
				t.Errorf("%s: by hand %s, the oracle says %v (%s)", where, row.Expected, e.Commands[k].Outcomes, e.Why(k))
			}
			if v, ok := e.Commands[k].Values.Single(); row.Check == testset.CheckValue && !(must == Value && ok && row.Holds(float64(v))) {
				t.Errorf("%s: by hand %s, the oracle says %v", where, row.Expected, e.Commands[k].Values)
			}
		}
	case testset.CheckBalance:
		cluster, _ := e.topology.Items.Cluster(row.Item)
		for _, node := range e.topology.Clusters[cluster].Nodes {
			live, sure := e.Live(node.ID)
			if row.Node != "" && row.Node != node.ID || row.Node == "" && !(live && sure) {
				continue
			}
			n++
			v, known := e.Balance(node.ID, row.Item)
			if single, ok := v.Single(); !known || !ok || !row.Holds(float64(single)) {
				if known && !ok && slices.ContainsFunc(v.List, func(b int64) bool { return row.Holds(float64(b)) }) && !sure {
					continue
				}
				t.Errorf("%s on %s: by hand %s, the oracle says %v (%s)", where, node.ID, row.Expected, v, e.WhyBalance(node.ID))
			}
		}
	}
	return n
}

// What the oracle prints is an expected file that its own test set can meet.
func TestCSVReadsBack(t *testing.T) {
	for _, name := range []string{"course.csv", "walkthrough.csv", "shape-4x5.csv", "shape-1x1.csv"} {
		file, top := load(t, name), bankOf(t, name)
		var out strings.Builder
		for i := range file.Sets {
			out.WriteString(expect(t, &file.Sets[i], top, Options{}).CSV(i == 0))
		}
		back, err := testset.ParseExpected("e.csv", []byte(out.String()))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, e := range file.CheckExpected("e.csv", back, func(int) *topology.Topology { return top }) {
			t.Errorf("%s: %v", name, e)
		}
		if len(back) < 5 {
			t.Errorf("%s: only %d rows", name, len(back))
		}
		for i := range file.Sets {
			e := expect(t, &file.Sets[i], top, Options{})
			for j := range back {
				if back[j].Applies(file.Sets[i].Number) {
					agrees(t, e, &file.Sets[i], &back[j])
				}
			}
		}
	}
}
