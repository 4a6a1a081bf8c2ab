package shrink

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"strconv"
	"strings"

	"github.com/gocarina/gocsv"

	"paxbank/client/testset"
	"paxbank/internal/topology"
)

// Files are a set as a test set that can be run.
type Files struct {
	TestSet []byte
	// Expected is the expected file; nil when no expectation speaks of the set.
	Expected []byte
	// Dropped are the expectations whose target is gone: check, target, expected.
	Dropped []string
}

// expectedRow is a row of an expected file.
type expectedRow struct {
	Set      int    `csv:"Set Number"`
	Check    string `csv:"Check"`
	Target   string `csv:"Target"`
	Expected string `csv:"Expected"`
	Points   string `csv:"Points"`
}

// Write renders a set in the canonical form, one command a row, under head, whose
// lines become comments. Of the expectations those that speak of the set are
// kept; targets that name a line of the original file name the new one, and rows
// whose target is gone are dropped. name is the test set's, for messages.
func Write(name string, head []string, set testset.Set, expected []testset.Expectation, t *topology.Topology) (*Files, error) {
	var b bytes.Buffer
	for _, line := range head {
		fmt.Fprintf(&b, "# %s\n", strings.Join(strings.Fields(line), " "))
	}
	if err := (&testset.File{Name: name, Sets: []testset.Set{set}}).Format(&b); err != nil {
		return nil, err
	}
	files := &Files{TestSet: b.Bytes()}
	lines := map[int]int{} // of the original file → of this one
	for i := len(set.Commands) - 1; i >= 0; i-- {
		lines[set.Commands[i].Line] = len(head) + 2 + i // below the head and the header
	}
	file, err := testset.Parse(name, files.TestSet)
	if err != nil {
		return nil, fmt.Errorf("the smaller set cannot be read back: %w", err)
	}
	for _, e := range file.Check(&file.Sets[0], t) {
		if !e.Warning {
			return nil, fmt.Errorf("the smaller set cannot be read back: %w", e)
		}
	}
	var kept []expectedRow
	for _, e := range expected {
		if !e.Applies(set.Number) {
			continue
		}
		what := fmt.Sprintf("%s %s, %s", e.Check, e.Target, e.Expected)
		if e.TargetLine > 0 {
			e.TargetLine = lines[e.TargetLine] // 0, which no command has, when it is gone
			e.Target = "line:" + strconv.Itoa(e.TargetLine)
		}
		gone := e.Target == "line:0"
		if !gone {
			gone = len(file.CheckExpected(name, []testset.Expectation{e}, func(int) *topology.Topology { return t })) > 0
		}
		if gone {
			files.Dropped = append(files.Dropped, what)
			continue
		}
		kept = append(kept, expectedRow{set.Number, e.Check, e.Target, e.Expected, strconv.FormatFloat(e.Points, 'f', -1, 64)})
	}
	if len(kept) == 0 {
		return files, nil
	}
	var rows bytes.Buffer
	if err := gocsv.MarshalCSV(kept, gocsv.NewSafeCSVWriter(csv.NewWriter(&rows))); err != nil {
		return nil, err
	}
	files.Expected = rows.Bytes()
	return files, nil
}
