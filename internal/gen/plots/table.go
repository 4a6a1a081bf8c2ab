package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

// writeTable writes what a plot would show as a table in Markdown: a line for every
// x of every series, with the number of runs, the medians of the columns, and from
// the lowest to the highest of the first column. A column that a file has no number
// in, as a percentile that the sample does not support, is a dash.
func writeTable(w io.Writer, files []string, q query, columns []string) error {
	var table []series // of the first column
	medians := make([]map[point]float64, len(columns))
	for i, column := range columns {
		q.y = column
		var p plot
		for _, path := range files {
			if _, err := p.read(path, q); err != nil {
				return err
			}
		}
		lines := p.lines()
		if i == 0 {
			table = lines
		}
		medians[i] = map[point]float64{}
		for _, s := range lines {
			for _, m := range s.median {
				medians[i][point{x: m.x, series: s.name}] = m.y
			}
		}
	}
	if len(table) == 0 {
		return fmt.Errorf("no row of kind %q has both %s and %s", q.kind, q.x, columns[0])
	}
	head := []string{q.x, "runs", columns[0], "lowest – highest"}
	if q.series != "" {
		head = append([]string{q.series}, head...)
	}
	head = append(head, columns[1:]...)
	fmt.Fprintf(w, "| %s |\n|%s\n", strings.Join(head, " | "), strings.Repeat("---|", len(head)))
	for _, s := range table {
		for _, m := range s.median {
			least, most, runs := m.y, m.y, 0
			for _, r := range s.runs {
				if r.x == m.x {
					least, most, runs = min(least, r.y), max(most, r.y), runs+1
				}
			}
			cells := []string{number(m.x), fmt.Sprint(runs), number(m.y), number(least) + " – " + number(most)}
			if q.series != "" {
				cells = append([]string{s.name}, cells...)
			}
			for i := range columns[1:] {
				text := "–"
				if v, ok := medians[i+1][point{x: m.x, series: s.name}]; ok {
					text = number(v)
				}
				cells = append(cells, text)
			}
			fmt.Fprintf(w, "| %s |\n", strings.Join(cells, " | "))
		}
	}
	return nil
}

// number writes three digits or all before the point, in groups.
func number(v float64) string {
	digits := 0
	switch {
	case v == float64(int64(v)) || v >= 100 || v <= -100:
	case v >= 10 || v <= -10:
		digits = 1
	default:
		digits = 2
	}
	text := strconv.FormatFloat(v, 'f', digits, 64)
	whole, fraction, _ := strings.Cut(text, ".")
	first := strings.TrimPrefix(whole, "-")
	for at := len(first) - 3; at > 0; at -= 3 {
		first = first[:at] + "," + first[at:]
	}
	if strings.HasPrefix(whole, "-") {
		first = "-" + first
	}
	if fraction != "" {
		first += "." + fraction
	}
	return first
}

// tableOf is the command line's -table.
func tableOf(files []string, q query, columns string) error {
	return writeTable(os.Stdout, files, q, strings.Split(columns, ","))
}
