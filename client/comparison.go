package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"paxbank/client/check"
	"paxbank/client/diff"
	"paxbank/client/report"
)

// comparison is diff.json: what two implementations made of the same test set.
type comparison struct {
	Schema  string       `json:"schema"` // comparisonSchema
	TestSet string       `json:"testset"`
	Order   string       `json:"order"`
	Fault   string       `json:"fault"`
	A       comparedSide `json:"a"`
	B       comparedSide `json:"b"`
	// Classes counts the differences, Causes what they come from.
	Classes     map[diff.Class]int `json:"classes"`
	Causes      map[diff.Class]int `json:"causes"`
	Interrupted bool               `json:"interrupted,omitempty"`
	Sets        []comparedSet      `json:"sets"`
}

// comparisonSchema names the version of diff.json. Fields may be added within a
// version; a change of meaning makes a new one.
const comparisonSchema = "paxbank.diff/1"

type comparedSide struct {
	Name string `json:"name"` // as it was given, or "our server"
	// Run is the run directory beside diff.json; empty when it did not run.
	Run     string        `json:"run,omitempty"`
	Verdict check.Verdict `json:"verdict,omitempty"`
}

type comparedSet struct {
	Set int `json:"set"`
	// A and B are the sides' own verdicts; empty for a set that did not run.
	A           check.Verdict     `json:"a,omitempty"`
	B           check.Verdict     `json:"b,omitempty"`
	Commands    int               `json:"commands"`
	Class       diff.Class        `json:"class,omitempty"` // the gravest of the differences
	Differences []diff.Difference `json:"differences,omitempty"`
}

func (x *comparison) json(w io.Writer) error { return printJSON(w, x) }

// exitCode is 0 where there is no bug, 2 where something cannot be decided.
func (x *comparison) exitCode() int {
	switch {
	case x.Classes[diff.Bug] > 0:
		return check.ExitFail
	case x.Classes[diff.Undecidable] > 0:
		return check.ExitUnknown
	}
	return check.ExitPass
}

const (
	// maxCauses of a set are printed, the gravest first; diff.json has all.
	maxCauses = 40
	// maxPlaces of a cause are named beside the first.
	maxPlaces = 4
)

// print prints the sets, and what their differences come from by class.
func (x *comparison) print(w io.Writer) error {
	fmt.Fprintf(w, "A  %s\nB  %s\n\n", x.A.Name, x.B.Name)
	rows := make([][]string, 0, len(x.Sets))
	for i := range x.Sets {
		s := &x.Sets[i]
		n := map[diff.Class]int{}
		for _, cause := range diff.Groups(s.Differences) {
			n[cause[0].Class]++
		}
		rows = append(rows, []string{strconv.Itoa(s.Set), strconv.Itoa(s.Commands), orNotRun(s.A), orNotRun(s.B),
			strconv.Itoa(n[diff.Bug]), strconv.Itoa(n[diff.Freedom]), strconv.Itoa(n[diff.Undecidable])})
	}
	if err := report.PrintTable(w, []string{">Set", ">Commands", "A", "B", ">Bugs", ">Permitted", ">Undecidable"}, rows); err != nil {
		return err
	}
	for i := range x.Sets {
		if err := x.Sets[i].print(w); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "\n%s, differences: %s, %s, %s\n", x.TestSet,
		x.counted(diff.Bug, "bug", "bugs"), x.counted(diff.Freedom, "permitted freedom", "permitted freedoms"), x.counted(diff.Undecidable, "undecidable", "undecidable"))
	return err
}

// counted is "2 bugs (in 7 places)".
func (x *comparison) counted(class diff.Class, one, many string) string {
	what := many
	if x.Causes[class] == 1 {
		what = one
	}
	text := fmt.Sprintf("%d %s", x.Causes[class], what)
	if places := x.Classes[class]; places > x.Causes[class] {
		text += fmt.Sprintf(" (in %d places)", places)
	}
	return text
}

func orNotRun(v check.Verdict) string {
	if v == "" {
		return "not run"
	}
	return string(v)
}

func (s *comparedSet) print(w io.Writer) error {
	if len(s.Differences) == 0 {
		return nil
	}
	fmt.Fprintf(w, "\nSet %d\n", s.Set)
	causes := diff.Groups(s.Differences)
	var rows, whys [][]string
	for _, class := range []diff.Class{diff.Bug, diff.Undecidable, diff.Freedom} {
		for _, cause := range causes {
			d := cause[0]
			if d.Class != class || len(rows) == maxCauses {
				continue
			}
			shown := string(class)
			if d.Bug != "" {
				shown += " of " + d.Bug
			}
			rows = append(rows, []string{shown, d.Kind, d.Target, d.A, d.B, strconv.Itoa(len(cause))})
			if class != diff.Freedom {
				whys = append(whys, []string{d.Kind + " " + d.Target, d.Why, alsoIn(cause[1:])})
			}
		}
	}
	if err := report.PrintTable(w, []string{"Class", "What", "Where", "A", "B", ">Places"}, rows); err != nil {
		return err
	}
	for _, why := range whys {
		fmt.Fprintf(w, "%s\n         %s\n", why[0], why[1])
		if why[2] != "" {
			fmt.Fprintf(w, "         also in %s\n", why[2])
		}
	}
	if left := len(causes) - len(rows); left > 0 {
		_, err := fmt.Fprintf(w, "… and %d more in diff.json\n", left)
		return err
	}
	return nil
}

// alsoIn names further places of a cause.
func alsoIn(rest []*diff.Difference) string {
	var names []string
	for i, d := range rest {
		if i == maxPlaces {
			names = append(names, fmt.Sprintf("%d more", len(rest)-i))
			break
		}
		names = append(names, d.Kind+" "+d.Target)
	}
	return strings.Join(names, ", ")
}
