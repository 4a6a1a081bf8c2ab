package report

import (
	"encoding/xml"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"paxbank/client/check"
)

// validJUnit parses text strictly and applies the rules of the schemas that
// Jenkins and Surefire publish: which elements stand where, which attributes
// they need, that numbers are numbers and counts add up.
func validJUnit(t tester, g *Grade, text string) {
	t.Helper()
	printable(t, "junit.xml", text)
	children := map[string][]string{
		"": {"testsuites"}, "testsuites": {"testsuite"}, "testsuite": {"properties", "testcase"}, "properties": {"property"},
		"testcase": {"error", "failure"}, "property": {}, "error": {}, "failure": {},
	}
	needed := map[string][]string{
		"testsuites": {"name", "tests", "failures", "errors", "time"}, "testsuite": {"name", "tests", "failures", "errors", "skipped", "time"},
		"testcase": {"name", "classname", "time"}, "property": {"name", "value"}, "error": {"message", "type"}, "failure": {"message", "type"}, "properties": {},
	}
	d := xml.NewDecoder(strings.NewReader(text))
	var open []string
	var attrs []map[string]string
	// counts of elements, for the whole and for the suite that is open.
	all, suite := map[string]int{}, map[string]int{}
	var names map[string]bool // of the suite's test cases
	defects := 0              // of the test case
	for {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		switch x := token.(type) {
		case xml.StartElement:
			parent, name := "", x.Name.Local
			if len(open) > 0 {
				parent = open[len(open)-1]
			}
			if !slices.Contains(children[parent], name) {
				t.Fatalf("<%s> in <%s>", name, parent)
			}
			have := map[string]string{}
			for _, a := range x.Attr {
				have[a.Name.Local] = a.Value
				printable(t, "attribute", a.Value)
			}
			for _, a := range needed[name] {
				if _, ok := have[a]; !ok {
					t.Errorf("<%s> without %s", name, a)
				}
			}
			for a, pattern := range junitAttributes {
				if v, ok := have[a]; ok && !pattern.MatchString(v) {
					t.Errorf("%s=%q", a, v)
				}
			}
			suite[name]++
			all[name]++
			switch name {
			case "testsuite":
				suite, names = map[string]int{}, map[string]bool{}
			case "properties":
				if suite["testcase"] > 0 {
					t.Error("properties stand behind test cases")
				}
			case "testcase":
				if names[have["name"]] {
					t.Errorf("two test cases are called %q", have["name"])
				}
				names[have["name"]], defects = true, 0
			case "error", "failure":
				if defects++; defects > 1 {
					t.Error("a test case has two defects")
				}
			}
			open, attrs = append(open, name), append(attrs, have)
		case xml.EndElement:
			last := len(open) - 1
			counts := map[string]map[string]int{"testsuite": suite, "testsuites": all}[open[last]]
			for attr, element := range map[string]string{"tests": "testcase", "failures": "failure", "errors": "error"} {
				if counts != nil && attrs[last][attr] != strconv.Itoa(counts[element]) {
					t.Errorf("<%s %s=%q>, there are %d", open[last], attr, attrs[last][attr], counts[element])
				}
			}
			open, attrs = open[:last], attrs[:last]
		case xml.CharData:
			printable(t, "text", string(x))
		}
	}
	if len(open) != 0 {
		t.Errorf("open at the end: %v", open)
	}
	if len(g.Sections) > 0 && (g.Verdict == check.Pass) != (all["failure"]+all["error"] == 0) {
		t.Errorf("the verdict is %s, with %d failures and %d errors", g.Verdict, all["failure"], all["error"])
	}
}

var wholeNumber = regexp.MustCompile(`^[0-9]+$`)

// junitAttributes say what those that are no free text look like.
var junitAttributes = map[string]*regexp.Regexp{
	"tests": wholeNumber, "failures": wholeNumber, "errors": wholeNumber, "skipped": wholeNumber,
	"time":      regexp.MustCompile(`^[0-9]+\.[0-9]{3}$`),
	"timestamp": regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$`),
}
