package testset

import (
	"encoding/csv"
	"io"
	"strconv"
	"strings"

	"github.com/gocarina/gocsv"
)

// formattedRow is a row as Format writes it.
type formattedRow struct {
	Set     string `csv:"Set Number"`
	Command string `csv:"Transactions"`
	Live    string `csv:"Live Nodes"`
}

// contactRow is the same for files that have contact nodes. (gocsv does not look
// into an embedded struct that is not exported.)
type contactRow struct {
	Set      string `csv:"Set Number"`
	Command  string `csv:"Transactions"`
	Live     string `csv:"Live Nodes"`
	Contacts string `csv:"Contact Nodes"`
}

// Format writes the file as it was understood: a header, one command a row, and
// nothing that Parse would have to overlook. Parsing that gives the same sets.
func (f *File) Format(w io.Writer) error {
	rows := make([]contactRow, 0, len(f.Sets))
	contacts := false
	for _, s := range f.Sets {
		first := len(rows)
		for _, c := range s.Commands {
			rows = append(rows, contactRow{Command: c.Text})
		}
		if len(s.Commands) == 0 {
			rows = append(rows, contactRow{})
		}
		r := &rows[first]
		r.Set, r.Live, r.Contacts = strconv.Itoa(s.Number), formatNodes(s.Live), formatNodes(s.Contacts)
		contacts = contacts || s.Contacts != nil
	}
	out := gocsv.NewSafeCSVWriter(csv.NewWriter(w))
	if contacts {
		return gocsv.MarshalCSV(rows, out)
	}
	plain := make([]formattedRow, len(rows))
	for i, r := range rows {
		plain[i] = formattedRow{r.Set, r.Command, r.Live}
	}
	return gocsv.MarshalCSV(plain, out)
}

func formatNodes(nodes []string) string {
	if nodes == nil {
		return ""
	}
	return "[" + strings.Join(nodes, ", ") + "]"
}
