// Package gradescope is results.json as Gradescope documents it
// (https://gradescope-autograders.readthedocs.io/en/latest/specs/), strictly: what
// the documentation does not have is an error. Tests hold what we write against it.
package gradescope

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
)

// Results is the file. A pointer is nil where a number is not there.
type Results struct {
	Score            *float64       `json:"score"`
	ExecutionTime    *float64       `json:"execution_time"` // seconds
	Output           string         `json:"output"`
	OutputFormat     string         `json:"output_format"`
	TestOutputFormat string         `json:"test_output_format"`
	TestNameFormat   string         `json:"test_name_format"`
	Visibility       string         `json:"visibility"`
	StdoutVisibility string         `json:"stdout_visibility"`
	ExtraData        map[string]any `json:"extra_data"`
	Tests            []Test         `json:"tests"`
	Leaderboard      []Entry        `json:"leaderboard"`
}

// Test is one that earns points.
type Test struct {
	Score        *float64       `json:"score"`
	MaxScore     *float64       `json:"max_score"`
	Status       string         `json:"status"`
	Name         string         `json:"name"`
	NameFormat   string         `json:"name_format"`
	Number       string         `json:"number"`
	Output       string         `json:"output"`
	OutputFormat string         `json:"output_format"`
	Tags         []string       `json:"tags"`
	Visibility   string         `json:"visibility"`
	ExtraData    map[string]any `json:"extra_data"`
}

// Entry is a column of the leaderboard.
type Entry struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Order string  `json:"order"`
}

// The words that some fields may hold.
var (
	formats      = []string{"text", "html", "simple_format", "md", "ansi"}
	visibilities = []string{"visible", "hidden", "after_due_date", "after_published"}
	statuses     = []string{"passed", "failed"}
	orders       = []string{"", "asc", "desc"}
)

// Parse reads a file of which the whole is there, with all fields that we always
// write. The error lists everything that is wrong.
func Parse(text []byte) (*Results, error) {
	var r Results
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		return nil, fmt.Errorf("results.json: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("results.json: there is more after its value: %v", err)
	}
	var errs []error
	one := func(what, got string, of []string) {
		if !slices.Contains(of, got) {
			errs = append(errs, fmt.Errorf("%s is %q, want one of %q", what, got, of))
		}
	}
	one("output_format", r.OutputFormat, formats)
	one("test_output_format", r.TestOutputFormat, formats)
	one("test_name_format", r.TestNameFormat, formats)
	one("visibility", r.Visibility, visibilities)
	one("stdout_visibility", r.StdoutVisibility, visibilities)
	if r.ExecutionTime == nil || *r.ExecutionTime < 0 {
		errs = append(errs, errors.New("execution_time is not there, or negative"))
	}
	if r.Tests == nil {
		errs = append(errs, errors.New("tests are not there"))
	}
	for i := range r.Tests {
		t := &r.Tests[i]
		what := fmt.Sprintf("tests[%d]", i)
		switch {
		case t.Score == nil || t.MaxScore == nil:
			errs = append(errs, fmt.Errorf("%s has no score or max_score", what))
		case *t.Score < 0 || *t.Score > *t.MaxScore:
			errs = append(errs, fmt.Errorf("%s has %v of %v points", what, *t.Score, *t.MaxScore))
		}
		if t.Name == "" || t.Number == "" {
			errs = append(errs, fmt.Errorf("%s has no name or number", what))
		}
		one(what+".status", t.Status, statuses)
		one(what+".name_format", t.NameFormat, formats)
		one(what+".output_format", t.OutputFormat, formats)
		one(what+".visibility", t.Visibility, visibilities)
	}
	for i, e := range r.Leaderboard {
		if e.Name == "" {
			errs = append(errs, fmt.Errorf("leaderboard[%d] has no name", i))
		}
		one(fmt.Sprintf("leaderboard[%d].order", i), e.Order, orders)
	}
	return &r, errors.Join(errs...)
}
