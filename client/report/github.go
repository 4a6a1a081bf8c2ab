package report

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"paxbank/client/check"
)

// GitHub is a step of GitHub Actions that this process runs in.
type GitHub struct {
	// Summary and Output are the files that $GITHUB_STEP_SUMMARY and
	// $GITHUB_OUTPUT name; "" for none.
	Summary, Output string
	token           string // that resumes commands
}

// GitHubFrom tells by the environment whether this is a step of GitHub Actions;
// nil when it is none. getenv is os.Getenv.
func GitHubFrom(getenv func(string) string) *GitHub {
	if getenv("GITHUB_ACTIONS") != "true" {
		return nil
	}
	return &GitHub{Summary: getenv("GITHUB_STEP_SUMMARY"), Output: getenv("GITHUB_OUTPUT")}
}

// Begin makes the log reader ignore workflow commands until Finish, since what
// follows shows what other people's programs said. w is where that goes.
func (h *GitHub) Begin(w io.Writer) error {
	h.token = rand.Text()
	_, err := fmt.Fprintf(w, "::stop-commands::%s\n", h.token)
	return err
}

// Finish ends what Begin began, prints annotations to w, adds the summary of the
// step to its file and sets its output "result", for GitHub Classroom's reporter.
func (h *GitHub) Finish(w io.Writer, g *Grade) error {
	if h.token != "" {
		if _, err := fmt.Fprintf(w, "\n::%s::\n", h.token); err != nil {
			return err
		}
		h.token = ""
	}
	err := Annotations(w, g)
	if h.Summary != "" {
		err = errors.Join(err, appendSummary(h.Summary, g))
	}
	if h.Output != "" {
		err = errors.Join(err, appendTo(h.Output, func(w io.Writer) error { return ClassroomOutput(w, g) }))
	}
	return err
}

// ClassroomOutput writes Classroom's result as the line of $GITHUB_OUTPUT that
// its reporter wants: "result=" and base64.
func ClassroomOutput(w io.Writer, g *Grade) error {
	var b bytes.Buffer
	if err := Classroom(&b, g); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "result=%s\n", base64.StdEncoding.EncodeToString(b.Bytes()))
	return err
}

func appendTo(path string, write func(io.Writer) error) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return write(f)
}

// maxAnnotations of a step. GitHub shows 10 of each level; the rest is in the log.
const maxAnnotations = 50

// Annotations writes workflow commands of GitHub Actions, one for each check that
// did not pass: error for what is wrong, warning for what is unknown, at its line
// of the test set. Sections that are not visible are left out.
func Annotations(w io.Writer, g *Grade) error {
	g = g.Public()
	p := &printer{w: w}
	n := 0
	annotate := func(s *Section, line int, v check.Verdict, title, message string) {
		if n++; n > maxAnnotations {
			return
		}
		level := "warning"
		if v == check.Fail {
			level = "error"
		}
		var at []string
		if s.TestSet != "" && line > 0 {
			at = append(at, "file="+property(s.TestSet), fmt.Sprintf("line=%d", line))
		}
		at = append(at, "title="+property(title))
		p.printf("::%s %s::%s\n", level, safe(strings.Join(at, ",")), data(message))
	}
	for i := range g.Sections {
		s := &g.Sections[i]
		if s.Passed() {
			continue
		}
		before := n
		for j := range s.Sets {
			set := &s.Sets[j]
			for k := range set.Checks {
				c := &set.Checks[k]
				if c.Verdict == check.Pass {
					continue
				}
				v, _ := s.counts(c)
				line := set.Line
				if len(c.Lines) > 0 {
					line = c.Lines[0]
				}
				message := fmt.Sprintf("want %s, got %s", orDash(c.Expected), orDash(c.Actual))
				if c.Message != "" {
					message += "\n" + c.Message
				}
				annotate(s, line, v, strings.TrimSpace(fmt.Sprintf("%s: %s %s", s.Name, c.Check, c.Target)), message)
			}
		}
		if n == before {
			annotate(s, s.Line, s.Verdict, s.Name, firstLine(s.Note, s.Output, string(s.Verdict)))
		}
	}
	if n > maxAnnotations {
		p.printf("::notice title=paxbank::%d more checks did not pass\n", n-maxAnnotations)
	}
	return p.err
}

// data escapes the message of a workflow command; a line break is %0A.
func data(s string) safe {
	return safe(strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A").Replace(lines(s, maxMessage)))
}

// property escapes a property of a workflow command.
func property(s string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C").Replace(oneLine(s, maxName))
}

// maxStepSummary is what GitHub takes from one step; beyond it shows nothing.
const maxStepSummary = 1 << 20

// StepSummary writes Markdown for $GITHUB_STEP_SUMMARY: the table of sections and
// what did not pass, 1 MiB at most. Sections that are not visible are left out.
func StepSummary(w io.Writer, g *Grade) error {
	_, err := w.Write(stepSummary(g, maxStepSummary))
	return err
}

func appendSummary(path string, g *Grade) error {
	room := int64(maxStepSummary)
	info, err := os.Stat(path)
	switch {
	case err == nil:
		room -= info.Size()
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	return appendTo(path, func(w io.Writer) error {
		_, err := w.Write(stepSummary(g, int(max(room, 0))))
		return err
	})
}

// stepSummary is cut between sections, so that what is left is whole.
func stepSummary(g *Grade, limit int) []byte {
	g = g.Public()
	const ending = "\nThe rest is in the files of the run.\n"
	var b bytes.Buffer
	m := &markdown{printer{w: &b}}
	m.head(g)
	if b.Len()+len(ending) > limit {
		return nil
	}
	whole := b.Len()
	for i := range g.Sections {
		s := &g.Sections[i]
		if s.Passed() {
			continue
		}
		m.heading(2, s.Name)
		m.fence(s.text())
		if b.Len()+len(ending) > limit {
			b.Truncate(whole)
			b.WriteString(ending)
			break
		}
		whole = b.Len()
	}
	return b.Bytes()
}
