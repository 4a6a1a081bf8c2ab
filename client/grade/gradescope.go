package grade

import (
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"paxbank/client/report"
)

// Pending writes results.json for Gradescope, in one step, as it is before anything
// has run: every section with no points. why, when it is not empty, says what keeps
// the suite from being run; otherwise that is about to begin.
func Pending(path string, s *Suite, why string) error {
	g := &Grade{Suite: s.Name, Status: Open, Started: time.Now().UTC(), Note: why}
	for i := range s.Sections {
		r := SectionResult{Name: s.Sections[i].Name, Status: Open}
		s.Sections[i].score(&r)
		g.Sections = append(g.Sections, r)
	}
	g.score()
	return g.gradescope(s, path)
}

// unfinished is what a student reads when the grader was ended from outside.
const unfinished = "Grading is under way. If this is still here when it is over, it was ended before its time: what is not run yet says nothing about the submission."

// gradescope writes results.json for Gradescope at a place of its own.
func (g *Grade) gradescope(s *Suite, path string) error {
	m := *g.discreet(g.model(s))
	if g.Status == Open && g.Note == "" {
		m.Note = strings.TrimSpace(m.Note + "\n" + unfinished)
	}
	return replace(path, 0o644, func(w io.Writer) error { return report.Gradescope(w, &m) })
}

// Add takes over what a place where the suite is used adds to what it provides and
// to the environment; it wins over what the suite itself says. The error lists
// what is wrong.
func (s *Suite) Add(provide, env map[string]string) error {
	var errs []error
	for _, name := range sortedKeys(provide) {
		errs = append(errs, s.provideOne(name, provide[name]))
	}
	for _, name := range sortedKeys(env) {
		s.Env = slices.DeleteFunc(s.Env, func(e string) bool { return strings.HasPrefix(e, name+"=") })
		errs = append(errs, s.setEnv(name, env[name]))
	}
	return errors.Join(errs...)
}
