package report

import "io"

// PrintTable prints rows under a header, as all tables of this package look. A
// column whose name begins with ">" is right-aligned. A row that is not as wide
// as the header is a mistake of the caller's, and panics.
func PrintTable(w io.Writer, header []string, rows [][]string) error {
	t := newTable(header...)
	for _, r := range rows {
		t.add(r...)
	}
	return t.render(w)
}

// Points shows a number of points, such as 3 or 0.5.
func Points(v float64) string { return points(v) }
