package report

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"

	"paxbank/client/check"
)

// The elements of JUnit's XML, as Jenkins and Surefire read it.
type (
	junitSuites struct {
		XMLName  xml.Name     `xml:"testsuites"`
		Name     string       `xml:"name,attr"`
		Time     string       `xml:"time,attr"` // seconds
		Tests    int          `xml:"tests,attr"`
		Failures int          `xml:"failures,attr"`
		Errors   int          `xml:"errors,attr"`
		Suites   []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name       string          `xml:"name,attr"`
		Tests      int             `xml:"tests,attr"`
		Failures   int             `xml:"failures,attr"`
		Errors     int             `xml:"errors,attr"`
		Skipped    int             `xml:"skipped,attr"`
		Time       string          `xml:"time,attr"`
		Timestamp  string          `xml:"timestamp,attr,omitempty"` // UTC
		Properties []junitProperty `xml:"properties>property"`
		Cases      []junitCase     `xml:"testcase"`
	}
	junitProperty struct {
		Name  string `xml:"name,attr"`
		Value string `xml:"value,attr"`
	}
	junitCase struct {
		Name      string       `xml:"name,attr"`
		ClassName string       `xml:"classname,attr"`
		Time      string       `xml:"time,attr"`
		Error     *junitDefect `xml:"error"`
		Failure   *junitDefect `xml:"failure"`
	}
	junitDefect struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr"`
		Text    string `xml:",chardata"`
	}
)

// JUnit writes the grade as JUnit XML: a test suite for each section, a test
// case for each check. What is wrong is a failure; what is unknown, or was not
// run, is an error, since that says nothing about the submission. Nothing is
// "skipped", which some readers count as good.
func JUnit(w io.Writer, g *Grade) error {
	out := junitSuites{Name: g.title(), Time: seconds(g.Duration)}
	for i := range g.Sections {
		s := g.junitSuite(i)
		out.Tests += s.Tests
		out.Failures += s.Failures
		out.Errors += s.Errors
		out.Suites = append(out.Suites, s)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", " ")
	if err := e.Encode(&out); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func (g *Grade) junitSuite(i int) junitSuite {
	s := &g.Sections[i]
	out := junitSuite{Name: oneLine(s.Name, maxName), Time: seconds(s.Duration)}
	if !g.Started.IsZero() {
		out.Timestamp = g.Started.UTC().Format("2006-01-02T15:04:05")
	}
	for _, p := range [][2]string{{"testset", s.TestSet}, {"verdict", string(s.Verdict)}, {"score", points(s.Score)}, {"max_score", points(s.Max)}, {"tags", strings.Join(s.Tags, " ")}, {"containment", g.Containment}} {
		if p[1] != "" {
			out.Properties = append(out.Properties, junitProperty{p[0], oneLine(p[1], maxName)})
		}
	}
	seen := map[string]int{}
	add := func(name string, d *junitDefect, v check.Verdict) {
		name = oneLine(name, maxName)
		if seen[name]++; seen[name] > 1 { // readers take equal names for one test
			name = fmt.Sprintf("%s #%d", name, seen[name])
		}
		c := junitCase{Name: name, ClassName: out.Name, Time: seconds(0)}
		switch v {
		case check.Pass:
		case check.Fail:
			c.Failure = d
			out.Failures++
		default:
			c.Error = d
			out.Errors++
		}
		out.Tests++
		out.Cases = append(out.Cases, c)
	}
	explained := false
	for j := range s.Sets {
		set := &s.Sets[j]
		prefix := ""
		if len(s.Sets) > 1 {
			prefix = fmt.Sprintf("set %d ", set.Set)
		}
		if set.Repeat > 0 {
			prefix += fmt.Sprintf("run %d ", set.Repeat)
		}
		for k := range set.Checks {
			c := &set.Checks[k]
			v, counts := s.counts(c)
			if !counts {
				continue
			}
			explained = explained || v == s.Verdict
			add(strings.TrimSpace(prefix+c.Source+" "+c.Check+" "+c.Target), junitOf(c), v)
		}
	}
	// A section whose verdict no check of it explains (not run, not built, too
	// slow) says so itself; else the file would be greener than the grade.
	if !explained {
		add(out.Name, &junitDefect{Message: oneLine(firstLine(s.Note, s.Output, string(s.Verdict)), maxName), Type: string(s.Verdict), Text: s.text()}, s.Verdict)
	}
	return out
}

func junitOf(c *check.Check) *junitDefect {
	text := c.Message
	if c.FirstDifference != "" {
		text += "\nfirst difference: " + c.FirstDifference
	}
	return &junitDefect{
		Message: oneLine(fmt.Sprintf("want %s, got %s", orDash(c.Expected), orDash(c.Actual)), maxName),
		Type:    oneLine(c.Source+" "+c.Check, maxName), Text: lines(text, maxMessage),
	}
}

// firstLine is the first line of the first text that has one.
func firstLine(texts ...string) string {
	for _, t := range texts {
		if line, _, _ := strings.Cut(strings.TrimSpace(t), "\n"); line != "" {
			return line
		}
	}
	return ""
}

// seconds with milliseconds, as JUnit's attributes want them.
func seconds(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }
