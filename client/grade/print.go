package grade

import (
	"fmt"
	"io"
	"strconv"

	"paxbank/client/report"
	"paxbank/client/sandbox"
)

// Print prints the class as a table, and the leaderboard.
func (c *Class) Print(w io.Writer) error {
	header := []string{"Submission", "Status", ">Score", ">Max"}
	for i := range c.Suite.Sections {
		header = append(header, ">"+c.Suite.Sections[i].Name)
	}
	header = append(header, ">Time", "Directory", "Note")
	var rows [][]string
	for _, g := range c.Grades {
		row := []string{sandbox.Escape(g.Submission), string(g.Status), number(g.Score), number(g.Max)}
		for i := range g.Sections {
			r := &g.Sections[i]
			switch r.Status {
			case Graded:
				row = append(row, number(r.Score))
			case Failed:
				row = append(row, "0")
			default:
				row = append(row, "-")
			}
		}
		rows = append(rows, append(row, fmt.Sprintf("%.0f s", g.Seconds), sandbox.Escape("submissions/"+g.Submission), shortened(g.note())))
	}
	if err := report.PrintTable(w, header, rows); err != nil {
		return err
	}
	if c.Board == nil {
		return nil
	}
	return c.Board.print(w)
}

// noteColumns of a note are printed; the gradebook has the whole.
const noteColumns = 80

func shortened(text string) string {
	if r := []rune(text); len(r) > noteColumns {
		return string(r[:noteColumns]) + "…"
	}
	return text
}

func (b *Board) print(w io.Writer) error {
	fmt.Fprintf(w, "\nLeaderboard: %s in %s, mean and 95 %% interval; who cannot be told apart shares a rank\n", measureName(b.Measure, b.Kind), b.Section)
	var rows [][]string
	for _, r := range b.Rows {
		rows = append(rows, []string{strconv.Itoa(r.Rank), r.Pseudonym, quantity(b.Measure, tenth(r.Mean)),
			quantity(b.Measure, tenth(r.Low)) + " to " + quantity(b.Measure, tenth(r.High)), strconv.Itoa(r.Runs)})
	}
	if len(rows) > 0 {
		if err := report.PrintTable(w, []string{">Rank", "Pseudonym", ">Mean", "Interval", ">Runs"}, rows); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "%d of %d submissions are on it: those that passed every section\n", len(b.Rows), len(b.Rows)+b.Incorrect)
	return err
}
