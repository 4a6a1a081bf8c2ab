package grade

import (
	"encoding/csv"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"

	"github.com/gocarina/gocsv"

	"paxbank/client/sandbox"
)

// Files of a class, in its directory.
const (
	GradebookFile   = "gradebook.csv"
	LeaderboardFile = "leaderboard.csv"
)

// write replaces the files of the class.
func (c *Class) write() error {
	c.Board = c.Suite.board(c.Grades)
	if err := replace(filepath.Join(c.Dir, GradebookFile), 0o600, c.gradebook); err != nil {
		return err
	}
	if c.Board == nil {
		return nil
	}
	return replace(filepath.Join(c.Dir, LeaderboardFile), 0o644, c.Board.csv)
}

// gradebook writes a row for each submission: what is fixed, then a column of
// points for each section. Which sections there are is known only now, so the
// row's type is made now.
func (c *Class) gradebook(w io.Writer) error {
	text := reflect.TypeFor[string]()
	heads := []string{"submission", "pseudonym", "status", "score", "max_score"}
	for i := range c.Suite.Sections {
		heads = append(heads, c.Suite.Sections[i].Name)
	}
	heads = append(heads, "seconds", "directory", "note")
	fields := make([]reflect.StructField, len(heads))
	for i, head := range heads {
		fields[i] = reflect.StructField{Name: "Column" + strconv.Itoa(i), Type: text, Tag: reflect.StructTag("csv:" + strconv.Quote(head))}
	}
	rows := reflect.MakeSlice(reflect.SliceOf(reflect.StructOf(fields)), len(c.Grades), len(c.Grades))
	for i, g := range c.Grades {
		cells := []string{cell(g.Submission), g.Pseudonym, string(g.Status), number(g.Score), number(g.Max)}
		for j := range g.Sections {
			r := &g.Sections[j]
			points := number(r.Score)
			if !r.Status.final() {
				points = "" // nobody knows
			}
			cells = append(cells, points)
		}
		cells = append(cells, strconv.FormatFloat(g.Seconds, 'f', 1, 64), cell("submissions/"+g.Submission), cell(g.note()))
		for j, text := range cells {
			rows.Index(i).Field(j).SetString(text)
		}
	}
	return gocsv.MarshalCSV(rows.Interface(), gocsv.NewSafeCSVWriter(csv.NewWriter(w)))
}

// note is what there is to say of a grade in one line.
func (g *Grade) note() string {
	if g.Note != "" || g.Status == Graded && g.Score == g.Max {
		return oneLine(g.Note)
	}
	for i := range g.Sections {
		r := &g.Sections[i]
		if r.Note != "" {
			return r.Name + ": " + oneLine(r.Note)
		}
		for _, set := range r.Sets {
			if set.Note != "" {
				return fmt.Sprintf("%s, set %d: %s", r.Name, set.Set, oneLine(set.Note))
			}
		}
		for _, t := range r.Thresholds {
			if t.Note != "" {
				return r.Name + ": " + t.Note
			}
		}
	}
	return ""
}

// cell is text that a submission may have had a hand in, for a spreadsheet: what
// would be a formula there is made text.
func cell(text string) string {
	text = sandbox.Escape(text)
	if text != "" && strings.ContainsRune("=+-@\t", rune(text[0])) {
		return "'" + text
	}
	return text
}

// number shows points, to the hundredth.
func number(v float64) string { return strconv.FormatFloat(math.Round(v*100)/100, 'f', -1, 64) }

// boardRow is a row of leaderboard.csv.
type boardRow struct {
	Rank      int    `csv:"rank"`
	Pseudonym string `csv:"pseudonym"`
	Measure   string `csv:"measure"`
	Mean      string `csv:"mean"`
	Low       string `csv:"low_95"`
	High      string `csv:"high_95"`
	Runs      int    `csv:"runs"`
}

func (b *Board) csv(w io.Writer) error {
	rows := []boardRow{}
	show := func(v float64) string { return strconv.FormatFloat(v, 'f', 1, 64) }
	for _, r := range b.Rows {
		rows = append(rows, boardRow{r.Rank, r.Pseudonym, b.unit(), show(r.Mean), show(r.Low), show(r.High), r.Runs})
	}
	return gocsv.MarshalCSV(rows, gocsv.NewSafeCSVWriter(csv.NewWriter(w)))
}

// unit names the measure with the unit of its values.
func (b *Board) unit() string {
	if higher(b.Measure) {
		return b.Measure + "_tps"
	}
	return strings.ReplaceAll(measureName(b.Measure, b.Kind), " ", "_") + "_us"
}
