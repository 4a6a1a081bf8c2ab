package regrade

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"

	"paxbank/client/check"
	"paxbank/client/report"
)

// Schema names the version of what PrintJSON prints.
const Schema = "paxbank.regrade/1"

// Print prints, for each run, whether its verdict or points changed, a table of
// the checks that are judged otherwise, and for several runs a table of all.
func Print(w io.Writer, runs []*Regrade) error {
	for i, r := range runs {
		if i > 0 {
			if _, err := fmt.Fprintln(w); err != nil {
				return err
			}
		}
		if err := r.print(w); err != nil {
			return err
		}
	}
	if len(runs) < 2 {
		return nil
	}
	var rows [][]string
	for _, r := range runs {
		sets := 0
		for _, c := range r.Sets() {
			if c.Changed() {
				sets++
			}
		}
		rows = append(rows, []string{r.Dir, r.OldScore().String(), r.NewScore().String(), strconv.Itoa(sets)})
	}
	if _, err := fmt.Fprintln(w); err != nil {
		return err
	}
	return report.PrintTable(w, []string{"Run", "Old", "New", ">Sets that changed"}, rows)
}

// print prints one run.
func (r *Regrade) print(w io.Writer) error {
	was, is := r.OldScore(), r.NewScore()
	var rows [][]string
	same := 0
	for _, c := range r.Sets() {
		if c.Changed() {
			rows = append(rows, c.rows()...)
		} else {
			same++
		}
	}
	headline := fmt.Sprintf("%s: was %s; is %s", r.Dir, was, is)
	switch {
	case was != nil && *was == *is && len(rows) == 0:
		headline = fmt.Sprintf("%s: nothing changed: %s", r.Dir, is)
	case was != nil && *was == *is:
		headline = fmt.Sprintf("%s: still %s", r.Dir, is)
	}
	if _, err := fmt.Fprintln(w, headline); err != nil {
		return err
	}
	if r.Short != "" {
		short, _, _ := strings.Cut(r.Short, "\n")
		if _, err := fmt.Fprintf(w, "but sets may be missing, so the run does not pass: %s\n", short); err != nil {
			return err
		}
	}
	if len(rows) == 0 {
		return nil
	}
	if _, err := fmt.Fprintln(w); err != nil {
		return err
	}
	if err := report.PrintTable(w, []string{">Set", "Old", "New", "Check", "Was", "Is", "Message"}, rows); err != nil {
		return err
	}
	if same == 0 {
		return nil
	}
	_, err := fmt.Fprintf(w, "sets that did not change: %d\n", same)
	return err
}

// String is such as "fail, 2 of 3 points", or "-" for none.
func (s *Score) String() string {
	if s == nil {
		return "-"
	}
	return fmt.Sprintf("%s, %s of %s points", s.Verdict, report.Points(s.Score), report.Points(s.MaxScore))
}

// rows of the table: the set's scores stand in its first one. Quiet changes
// are counted, not listed.
func (c *SetChange) rows() [][]string {
	var rows [][]string
	more, fewer := 0, 0
	for i := range c.Changes {
		switch ch := &c.Changes[i]; {
		case ch.Quiet() && ch.Old == Absent:
			more++
		case ch.Quiet():
			fewer++
		default:
			message, _, _ := strings.Cut(ch.Message, "\n")
			rows = append(rows, []string{"", "", "", strings.TrimSpace(ch.Source + " " + ch.Check + " " + ch.Target),
				ch.verdict(ch.Old, ch.OldPoints), ch.verdict(ch.New, ch.NewPoints), message})
		}
	}
	if more > 0 {
		rows = append(rows, []string{"", "", "", fmt.Sprintf("(more checks: %d)", more), "-", string(check.Pass), ""})
	}
	if fewer > 0 {
		rows = append(rows, []string{"", "", "", fmt.Sprintf("(fewer checks: %d)", fewer), string(check.Pass), "-", ""})
	}
	if len(rows) == 0 {
		rows = [][]string{{"", "", "", "", "", "", ""}}
	}
	rows[0][0], rows[0][1], rows[0][2] = strconv.Itoa(c.Set), c.Old.String(), c.New.String()
	return rows
}

// verdict shows one of the two verdicts, with its points where they are not the
// same in both.
func (c *Change) verdict(v check.Verdict, points float64) string {
	switch {
	case v == Absent:
		return "-"
	case c.OldPoints != c.NewPoints:
		return fmt.Sprintf("%s (%s points)", v, report.Points(points))
	}
	return string(v)
}

// jsonRun is one run in what PrintJSON prints.
type jsonRun struct {
	Run     string      `json:"run"`
	TestSet string      `json:"testset"`
	Short   string      `json:"sets_may_be_missing,omitzero"`
	Old     *Score      `json:"old"`
	New     *Score      `json:"new"`
	Sets    []SetChange `json:"sets"`
}

// PrintJSON prints all that Print prints, and every change, as one JSON object.
func PrintJSON(w io.Writer, runs []*Regrade) error {
	out := struct {
		Schema string    `json:"schema"`
		Runs   []jsonRun `json:"runs"`
	}{Schema, []jsonRun{}}
	for _, r := range runs {
		out.Runs = append(out.Runs, jsonRun{r.Dir, r.Run.TestSet, r.Short, r.OldScore(), r.NewScore(), r.Sets()})
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	return e.Encode(&out)
}
