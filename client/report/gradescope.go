package report

import (
	"encoding/json"
	"io"
	"math"
	"strings"

	"paxbank/client/check"
)

// gradescope is results.json in the format of Gradescope's autograders
// (https://gradescope-autograders.readthedocs.io/en/latest/specs/). There is no
// score at the top: that of the tests counts.
type gradescope struct {
	ExecutionTime    float64             `json:"execution_time"` // seconds
	Output           string              `json:"output"`
	OutputFormat     string              `json:"output_format"`
	TestOutputFormat string              `json:"test_output_format"`
	TestNameFormat   string              `json:"test_name_format"`
	Visibility       Visibility          `json:"visibility"`
	StdoutVisibility Visibility          `json:"stdout_visibility"`
	ExtraData        gradescopeExtra     `json:"extra_data"`
	Tests            []gradescopeTest    `json:"tests"`
	Leaderboard      []gradescopeRanking `json:"leaderboard,omitempty"`
}

type gradescopeTest struct {
	Score        float64    `json:"score"`
	MaxScore     float64    `json:"max_score"`
	Status       string     `json:"status"`
	Name         string     `json:"name"`
	NameFormat   string     `json:"name_format"`
	Number       string     `json:"number"`
	Output       string     `json:"output"`
	OutputFormat string     `json:"output_format"`
	Tags         []string   `json:"tags,omitempty"`
	Visibility   Visibility `json:"visibility"`
	// ExtraData keeps the verdict apart: a test that is unknown shows as failed.
	ExtraData gradescopeVerdict `json:"extra_data"`
}

type gradescopeVerdict struct {
	Verdict check.Verdict `json:"verdict"`
}

type gradescopeRanking struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Order string  `json:"order,omitempty"` // "asc"; the largest is first otherwise
}

type gradescopeExtra struct {
	Suite         string        `json:"suite"`
	Verdict       check.Verdict `json:"verdict"`
	Containment   string        `json:"containment,omitempty"`
	MachineFactor float64       `json:"machine_factor,omitempty"`
}

// Gradescope writes results.json for Gradescope: a test for each section, with
// its visibility. What was not run is there with a score of 0, so the file is
// good at any time.
func Gradescope(w io.Writer, g *Grade) error {
	out := gradescope{
		ExecutionTime: math.Round(g.Duration.Seconds()*1000) / 1000, Output: lines(strings.TrimSpace(g.Note), maxOutput),
		OutputFormat: "text", TestOutputFormat: "text", TestNameFormat: "text", Visibility: Visible, StdoutVisibility: Hidden,
		ExtraData: gradescopeExtra{Suite: oneLine(g.Suite, maxName), Verdict: g.Verdict, Containment: oneLine(g.Containment, maxMessage), MachineFactor: g.MachineFactor},
		Tests:     []gradescopeTest{},
	}
	for i := range g.Sections {
		s := &g.Sections[i]
		t := gradescopeTest{
			Score: s.Score, MaxScore: s.Max, Status: "failed", Name: oneLine(s.Name, maxName), NameFormat: "text", Number: g.number(i),
			Output: s.text(), OutputFormat: "text", Visibility: s.Visibility, ExtraData: gradescopeVerdict{s.Verdict},
		}
		if s.Passed() {
			t.Status = "passed"
		}
		if t.Visibility == "" {
			t.Visibility = Visible
		}
		for _, tag := range s.Tags {
			t.Tags = append(t.Tags, oneLine(tag, maxName))
		}
		out.Tests = append(out.Tests, t)
	}
	for _, m := range g.measured() {
		r := gradescopeRanking{Name: oneLine(m.Name, maxName), Value: math.Round(m.Value*1000) / 1000}
		if m.Ascending {
			r.Order = "asc"
		}
		out.Leaderboard = append(out.Leaderboard, r)
	}
	return writeJSON(w, &out)
}

func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", " ")
	return e.Encode(v)
}
