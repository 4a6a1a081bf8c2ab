package main

import (
	"bytes"
	"cmp"
	"encoding/csv"
	"fmt"
	"os"
	"slices"
	"strconv"

	"github.com/gocarina/gocsv"
)

// query says which cells of a file are the points. series may be empty.
type query struct {
	x, y, series, kind string
	where              []cell // what a row has to have besides
}

type cell struct{ column, value string }

func (q *query) wants(row map[string]string) bool {
	for _, c := range q.where {
		if row[c.column] != c.value {
			return false
		}
	}
	return row["kind"] == q.kind
}

// point is one run.
type point struct {
	x, y   float64
	series string
}

// plot is everything that a picture shows.
type plot struct {
	title, xLabel, yLabel, seriesName string
	points                            []point
	// sources are the different machines and commits that the runs name.
	sources []string
}

// read adds the points of one file and returns how many of its rows have no
// number.
func (p *plot) read(path string, q query) (left int, err error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	header, err := csv.NewReader(bytes.NewReader(data)).Read()
	if err != nil {
		return 0, fmt.Errorf("%s: %w", path, err)
	}
	columns := []string{q.x, q.y, q.series, "kind", "verdict", "host", "commit"}
	for _, c := range q.where {
		columns = append(columns, c.column)
	}
	for _, column := range columns {
		if column != "" && !slices.Contains(header, column) {
			return 0, fmt.Errorf("%s: there is no column %s (columns are %v)", path, column, header)
		}
	}
	rows, err := gocsv.CSVToMaps(bytes.NewReader(data))
	if err != nil {
		return 0, fmt.Errorf("%s: %w", path, err)
	}
	for i, row := range rows {
		if !q.wants(row) {
			continue
		}
		if row["verdict"] != "pass" || row[q.x] == "" || row[q.y] == "" {
			left++
			continue
		}
		x, err := strconv.ParseFloat(row[q.x], 64)
		if err != nil {
			return 0, fmt.Errorf("%s: row %d: %s is no number: %q", path, i+1, q.x, row[q.x])
		}
		y, err := strconv.ParseFloat(row[q.y], 64)
		if err != nil {
			return 0, fmt.Errorf("%s: row %d: %s is no number: %q", path, i+1, q.y, row[q.y])
		}
		p.points = append(p.points, point{x, y, row[q.series]})
		source := fmt.Sprintf("%s; commit %s", cmp.Or(row["host"], "machine not known"), cmp.Or(row["commit"], "not known"))
		if !slices.Contains(p.sources, source) {
			p.sources = append(p.sources, source)
		}
	}
	return left, nil
}

// series is one line: its runs, and the median at every x in ascending order.
type series struct {
	name         string
	runs, median []point
}

// lines groups the points: series by value, points by x.
func (p *plot) lines() []series {
	points := slices.Clone(p.points)
	slices.SortStableFunc(points, func(a, b point) int {
		return cmp.Or(compareCells(a.series, b.series), cmp.Compare(a.x, b.x), cmp.Compare(a.y, b.y))
	})
	var all []series
	for at := 0; at < len(points); {
		end := at
		for end < len(points) && points[end].series == points[at].series && points[end].x == points[at].x {
			end++
		}
		if n := len(all); n == 0 || all[n-1].name != points[at].series {
			all = append(all, series{name: points[at].series})
		}
		s := &all[len(all)-1]
		here := points[at:end] // ascending in y
		s.runs = append(s.runs, here...)
		s.median = append(s.median, point{here[0].x, (here[(len(here)-1)/2].y + here[len(here)/2].y) / 2, s.name})
		at = end
	}
	return all
}

// compareCells orders numbers as numbers, and other texts behind them.
func compareCells(a, b string) int {
	x, errA := strconv.ParseFloat(a, 64)
	y, errB := strconv.ParseFloat(b, 64)
	switch {
	case errA == nil && errB == nil:
		return cmp.Compare(x, y)
	case errA == nil:
		return -1
	case errB == nil:
		return 1
	}
	return cmp.Compare(a, b)
}
