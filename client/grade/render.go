package grade

import (
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"paxbank/client/check"
	"paxbank/client/report"
)

// StaffFile is the report on everything, hidden sections included.
const StaffFile = "staff.html"

// render writes the grade in the formats that others read, beside grade.json.
// report.html, report.md and junit.xml may be handed to the student and say nothing
// of a section that is not visible to everybody. Gradescope knows by itself who may
// see what.
func (g *Grade) render(s *Suite, dir string) error {
	all := g.model(s)
	shown := g.discreet(all)
	public := shown.Public()
	for _, f := range []struct {
		name  string
		mode  fs.FileMode
		write func(io.Writer, *report.Grade) error
		model *report.Grade
	}{
		{report.GradescopeFile, 0o644, report.Gradescope, shown}, {StaffFile, 0o600, report.HTML, all},
		{report.HTMLFile, 0o644, report.HTML, public}, {report.MarkdownFile, 0o644, report.Markdown, public}, {report.JUnitFile, 0o644, report.JUnit, public},
	} {
		if err := replace(filepath.Join(dir, f.name), f.mode, func(w io.Writer) error { return f.write(w, f.model) }); err != nil {
			return err
		}
	}
	return nil
}

// discreet leaves out why the grader failed: that may name files of the suite.
func (g *Grade) discreet(all *report.Grade) *report.Grade {
	if g.Status != Broken {
		return all
	}
	m := *all
	m.Note = "the grader failed; this grade is not final"
	m.Sections = slices.Clone(all.Sections)
	for i := range m.Sections {
		if s := &m.Sections[i]; g.Sections[i].Status == Broken {
			s.Note, s.Output = "the grader failed", ""
		}
	}
	return &m
}

// model is the grade as package report renders it. What was not run yet has no
// points, so whoever reads it half way sees what is certain.
func (g *Grade) model(s *Suite) *report.Grade {
	m := &report.Grade{
		Submission: g.Submission, Suite: g.Suite, Started: g.Started, Duration: seconds(g.Seconds),
		Containment: g.Containment, MachineFactor: g.Factor, Note: strings.Join(append(g.Notices, g.Note), "\n"),
	}
	for i := range g.Sections {
		m.Sections = append(m.Sections, g.Sections[i].model(&s.Sections[i]))
	}
	m.Total()
	if b := s.Leaderboard; b != nil && g.correct() {
		if values := measured(g.section(b.Section).Runs, b.Measure, b.Kind); len(values) > 0 {
			m.Leaderboard = []report.Metric{{Name: b.column(), Value: b.shown(typical(values)), Ascending: !higher(b.Measure)}}
		}
	}
	return m
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

func (r *SectionResult) model(sec *Section) report.Section {
	m := report.Section{
		Name: r.Name, TestSet: filepath.Base(sec.TestSet), Visibility: report.Visibility(r.Visibility), Verdict: r.Verdict,
		Score: r.Score, Max: r.Max, Note: r.Note,
	}
	switch {
	case r.Status == Failed:
		m.Verdict = check.Fail
	case r.Status == Broken || m.Verdict == "":
		m.Verdict = check.Unknown
	}
	if r.Status == Open && m.Note == "" {
		m.Note = report.NotRun
	}
	var output []string
	for _, t := range r.Thresholds {
		text := fmt.Sprintf("%s: met", t.Threshold)
		if t.Note != "" {
			text = t.Note
		}
		output = append(output, fmt.Sprintf("%s of %s points for %s", number(t.Score), number(t.Max), text))
	}
	for i := range r.Runs {
		run := &r.Runs[i]
		m.Duration += seconds(run.Seconds)
		if run.Note != "" {
			output = append(output, fmt.Sprintf("Run %d: %s", i+1, run.Note))
		}
		for _, set := range run.Sets {
			graded := report.GradedSet{SetVerdict: check.SetVerdict{Set: set.Set, Verdict: set.Verdict, Score: set.Score, MaxScore: set.Max, Checks: set.Checks}}
			if len(r.Runs) > 1 {
				graded.Repeat = i + 1
			}
			m.Sets = append(m.Sets, graded)
		}
	}
	m.Output = strings.Join(output, "\n")
	return m
}
