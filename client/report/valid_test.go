package report

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/html"

	"paxbank/client/check"
	documented "paxbank/internal/gradescope"
)

// tester is *testing.T or *rapid.T.
type tester interface {
	Helper()
	Error(...any)
	Errorf(string, ...any)
	Fatal(...any)
	Fatalf(string, ...any)
}

// strictly decodes one JSON value with no unknown fields and nothing behind it.
func strictly(t tester, text string, into any) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	if _, err := d.Token(); err != io.EOF {
		t.Errorf("more after the value: %v", err)
	}
}

// printable: what every string that leaves this package is.
func printable(t tester, what, s string) {
	t.Helper()
	if !utf8.ValidString(s) {
		t.Errorf("%s is not UTF-8: %q", what, s)
	}
	for _, r := range s {
		if r != '\n' && r != '\t' && !strconv.IsGraphic(r) {
			t.Errorf("%s has %U: %q", what, r, s)
			return
		}
	}
}

// validGradescope holds text against the format that Gradescope documents.
func validGradescope(t tester, g *Grade, text string) {
	t.Helper()
	printable(t, "results.json", text)
	file, err := documented.Parse([]byte(text))
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	if len(file.Tests) != len(g.Sections) {
		t.Fatalf("%d tests of %d sections", len(file.Tests), len(g.Sections))
	}
	total := 0.0
	for i, x := range file.Tests {
		what := fmt.Sprintf("tests[%d]", i)
		s := &g.Sections[i]
		if *x.Score != s.Score || *x.MaxScore != s.Max {
			t.Errorf("%s: score of %s is wrong", what, s.Name)
			continue
		}
		total += *x.Score
		if (x.Status == "passed") != (s.Verdict == check.Pass) {
			t.Errorf("%s is %s, the verdict %s", what, x.Status, s.Verdict)
		}
		if s.Visibility != "" && x.Visibility != string(s.Visibility) {
			t.Errorf("%s is %s, not %s", what, x.Visibility, s.Visibility)
		}
		if len(x.Output) > 8*maxOutput {
			t.Errorf("%s: %d bytes of output", what, len(x.Output))
		}
		for _, s := range append([]string{x.Name, x.Number, x.Output}, x.Tags...) {
			printable(t, what, s)
		}
	}
	if math.Abs(total-g.Score) > 1e-6 {
		t.Errorf("the tests add up to %v, the grade says %v", total, g.Score)
	}
	for _, l := range file.Leaderboard {
		printable(t, "leaderboard", l.Name)
	}
}

// validClassroom holds text against what GitHub Classroom's reporter reads, and
// its messages against what it prints: no line is a workflow command.
func validClassroom(t tester, g *Grade, text string) {
	t.Helper()
	printable(t, "classroom", text)
	var file struct {
		Version  int      `json:"version"`
		Status   string   `json:"status"`
		MaxScore *float64 `json:"max_score"`
		Tests    []struct {
			Name          string   `json:"name"`
			Status        string   `json:"status"`
			Score         *float64 `json:"score"`
			Message       string   `json:"message"`
			TestCode      string   `json:"test_code"`
			Filename      string   `json:"filename"`
			LineNo        int      `json:"line_no"`
			ExecutionTime string   `json:"execution_time"`
		} `json:"tests"`
	}
	strictly(t, text, &file)
	statuses := []string{"pass", "fail", "error"}
	if file.Version != 1 || file.MaxScore == nil || !slices.Contains(statuses, file.Status) && len(g.Sections) > 0 || file.Tests == nil {
		t.Errorf("version %d, max_score %v, status %q", file.Version, file.MaxScore, file.Status)
	}
	for _, x := range file.Tests {
		if x.Name == "" || !slices.Contains(statuses, x.Status) || x.Score == nil || x.LineNo < 0 {
			t.Errorf("test %+v", x)
		}
		for _, line := range strings.Split(x.Name+"\n"+x.Message, "\n") {
			if strings.HasPrefix(strings.TrimSpace(line), "::") || strings.Contains(line, "##[") {
				t.Errorf("a message has the workflow command %q", line)
			}
		}
		printable(t, "message", x.Message)
	}
}

var annotation = regexp.MustCompile(`^::(error|warning|notice) ((?:file=[^:,]+,line=[0-9]+,)?title=[^:,]*)::(.*)$`)

// escaped are the escapes of workflow commands.
var escaped = regexp.MustCompile(`%(25|0A|0D|3A|2C)`)

// validAnnotations takes every line apart as GitHub's runner does.
func validAnnotations(t tester, _ *Grade, text string) {
	t.Helper()
	printable(t, "annotations", text)
	if text == "" {
		return
	}
	for _, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		m := annotation.FindStringSubmatch(line)
		if m == nil {
			t.Errorf("no workflow command: %q", line)
			continue
		}
		if rest := escaped.ReplaceAllString(m[2]+m[3], ""); strings.Contains(rest, "%") {
			t.Errorf("a percent sign is not escaped: %q", line)
		}
	}
}

var (
	fence     = regexp.MustCompile("^(`{3,})(text)?$")
	unescaped = regexp.MustCompile(`(^|[^\\])(\\\\)*\|`)
)

// validMarkdown checks the structure: fences close, tables are as wide as their
// rules, headings are the document's own, and no HTML or link is anywhere.
func validMarkdown(t tester, g *Grade, text string) {
	t.Helper()
	printable(t, "Markdown", text)
	closing := ""
	columns := 0
	titles := 0
	for i, line := range strings.Split(text, "\n") {
		if m := fence.FindStringSubmatch(line); closing == "" && m != nil {
			closing = m[1]
			continue
		}
		if closing != "" {
			if line == closing {
				closing = ""
			} else if strings.HasPrefix(line, closing) {
				t.Errorf("line %d ends its fence early: %q", i+1, line)
			}
			continue
		}
		if strings.HasPrefix(line, "|") {
			n := len(unescaped.FindAllString(line, -1))
			if columns == 0 {
				columns = n
			}
			if n != columns {
				t.Errorf("line %d has %d bars, its table %d: %s", i+1, n, columns, line)
			}
		} else {
			columns = 0
		}
		if strings.HasPrefix(line, "# ") {
			titles++
		}
		for _, no := range []string{"<", "](", "![", "://", "@"} {
			if k := strings.Index(line, no); k >= 0 && (k == 0 || line[k-1] != '\\') && (no != "](" || line[k] != '\\') {
				t.Errorf("line %d has %q: %s", i+1, no, line)
			}
		}
	}
	if closing != "" {
		t.Error("a fence does not close")
	}
	if titles != 1 && (titles != 0 || text != "") {
		t.Errorf("%d titles", titles)
	}
}

// htmlAttributes of the template, and their values.
var htmlAttributes = map[string]*regexp.Regexp{
	"id": regexp.MustCompile(`^section-\d+$`), "href": regexp.MustCompile(`^#section-\d+$`), "class": regexp.MustCompile(`^(r|wide|pass|fail|unknown)?$`),
	"scope": regexp.MustCompile(`^row$`), "lang": regexp.MustCompile(`^en$`),
}

// validHTML parses text as browsers do and allows only what the template has.
func validHTML(t tester, g *Grade, text string) {
	t.Helper()
	printable(t, "HTML", text)
	elements := strings.Fields("html head meta title style body h1 h2 h3 h4 p b a pre div table thead tbody tr th td section details summary")
	root, err := html.Parse(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	sections := 0
	for n := range root.Descendants() {
		if n.Type != html.ElementNode {
			if n.Type == html.CommentNode {
				t.Errorf("a comment: %q", n.Data)
			}
			continue
		}
		if !slices.Contains(elements, n.Data) {
			t.Errorf("<%s> is in the page", n.Data)
		}
		if n.Data == "section" {
			sections++
		}
		if n.Data == "meta" {
			continue
		}
		for _, a := range n.Attr {
			if htmlAttributes[a.Key] == nil || !htmlAttributes[a.Key].MatchString(a.Val) {
				t.Errorf("<%s %s=%q>", n.Data, a.Key, a.Val)
			}
		}
	}
	if sections != len(g.Sections) {
		t.Errorf("%d sections of %d", sections, len(g.Sections))
	}
}

// textOf is what a reader of the page sees.
func textOf(t tester, page string) string {
	t.Helper()
	root, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for n := range root.Descendants() {
		if n.Type == html.TextNode {
			b.WriteString(n.Data)
		}
	}
	return b.String()
}
