package report

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// FuzzReadHistory: whatever is read without an error is written and read again
// as the same history.
func FuzzReadHistory(f *testing.F) {
	for _, name := range []string{"history.jsonl", "recorded.history.jsonl"} {
		data, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
		f.Add(data[:len(data)/2])
		lines := bytes.SplitAfter(data, []byte("\n"))
		f.Add(slices.Concat(lines[0], lines[1], []byte(`{"type":"set_end","set":1}`+"\n"+`{"type":"run_end"}`+"\n")))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		run, err := ReadHistory(bytes.NewReader(data))
		if err != nil {
			if run != nil && !errors.Is(err, ErrUnfinished) {
				t.Fatalf("a run beside %v", err)
			}
			return
		}
		first := written(t, run)
		again, err := ReadHistory(strings.NewReader(first))
		if err != nil {
			t.Fatalf("what was written is not read: %v", err)
		}
		if second := written(t, again); first != second {
			t.Fatalf("written first\n%s\nand then\n%s", first, second)
		}
	})
}
