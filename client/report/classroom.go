package report

import (
	"io"

	"paxbank/client/check"
)

// classroom is the result of one runner of GitHub Classroom's autograding, as
// its reporter (autograding-grading-reporter) reads it, version 1.
type classroom struct {
	Version  int             `json:"version"`
	Status   string          `json:"status"` // pass, fail or error
	MaxScore float64         `json:"max_score"`
	Tests    []classroomTest `json:"tests"`
}

type classroomTest struct {
	Name          string  `json:"name"`
	Status        string  `json:"status"`
	Score         float64 `json:"score"`
	Message       string  `json:"message"`
	TestCode      string  `json:"test_code"`
	Filename      string  `json:"filename"`
	LineNo        int     `json:"line_no"`
	ExecutionTime string  `json:"execution_time"`
}

// Classroom writes the result that GitHub Classroom's reporter reads: sections
// that are visible, unknown as error. The reporter prints messages to the log,
// so nothing in them is a workflow command.
func Classroom(w io.Writer, g *Grade) error {
	g = g.Public()
	status := map[check.Verdict]string{check.Pass: "pass", check.Fail: "fail", check.Unknown: "error"}
	out := classroom{Version: 1, Status: status[g.Verdict], MaxScore: g.Max, Tests: []classroomTest{}}
	for i := range g.Sections {
		s := &g.Sections[i]
		t := classroomTest{Name: quiet(oneLine(s.Name, maxName)), Status: status[s.Verdict], Score: s.Score,
			Filename: oneLine(s.TestSet, maxName), LineNo: s.Line, ExecutionTime: seconds(s.Duration) + "s"}
		if !s.Passed() {
			// All messages together have to fit into one output of a step, 1 MiB.
			t.Message = quiet(cut(s.text(), maxMessage))
		}
		out.Tests = append(out.Tests, t)
	}
	return writeJSON(w, &out)
}
