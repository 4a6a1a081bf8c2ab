// Command plots draws what benchmarks measured: it reads the performance.csv
// files of client bench and writes one plot as SVG.
//
//	go run ./internal/gen/plots -x clients -y committed_per_s -title 'Throughput by clients' \
//	    -out docs/img/clients.svg results/bench/*/performance.csv
//
// With -table COLUMN,... it prints the medians as a table in Markdown instead.
//
// The axes are columns of the files, under their names or those that -xlabel and
// -ylabel give. Every run is a dot; the line goes through the medians. -series
// COLUMN draws a line for each of its values, and -where COLUMN=VALUE, which may be
// repeated, leaves out all other rows. Runs that did not pass have no
// number and are left out, which stderr says. The plot names machine and commit.
//
// The files: main.go the command line, points.go reading, scale.go axes, svg.go
// drawing, table.go tables.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

func main() {
	if err := run(os.Args[1:], os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "plots:", err)
		os.Exit(1)
	}
}

func run(args []string, stderr io.Writer) error {
	var p plot
	var q query
	fs := flag.NewFlagSet("plots", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.StringVar(&q.x, "x", "", "column of the horizontal axis")
	fs.StringVar(&q.y, "y", "committed_per_s", "column of the vertical axis")
	fs.StringVar(&q.series, "series", "", "column of which every value gets a line of its own")
	fs.StringVar(&q.kind, "kind", "all", "rows of this kind: all, intra, cross, read, lock hold")
	fs.Func("where", "only rows with this `COLUMN=VALUE`", func(text string) error {
		column, value, ok := strings.Cut(text, "=")
		if !ok {
			return errors.New("want COLUMN=VALUE")
		}
		q.where = append(q.where, cell{column, value})
		return nil
	})
	fs.StringVar(&p.title, "title", "", "title of the plot")
	fs.StringVar(&p.xLabel, "xlabel", "", "name of the horizontal axis, with its unit")
	fs.StringVar(&p.yLabel, "ylabel", "", "name of the vertical axis, with its unit")
	out := fs.String("out", "", "SVG file to write")
	table := fs.String("table", "", "print a table of the medians of these `COLUMNS`, comma-separated, and draw nothing")
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	if *table != "" && q.x != "" && fs.NArg() > 0 {
		return tableOf(fs.Args(), q, *table)
	}
	switch {
	case q.x == "" || *out == "" || p.title == "":
		return errors.New("-x, -title and -out are needed; see -help")
	case fs.NArg() == 0:
		return errors.New("no performance.csv named; run client bench first")
	}
	left := 0
	for _, path := range fs.Args() {
		n, err := p.read(path, q)
		if err != nil {
			return err
		}
		left += n
	}
	if left > 0 {
		fmt.Fprintf(stderr, "plots: rows left out because they have no number: %d\n", left)
	}
	if len(p.points) == 0 {
		return fmt.Errorf("no row of kind %q has both %s and %s", q.kind, q.x, q.y)
	}
	if p.xLabel == "" {
		p.xLabel = q.x
	}
	if p.yLabel == "" {
		p.yLabel = q.y
	}
	p.seriesName = q.series
	if err := os.MkdirAll(filepath.Dir(*out), 0o755); err != nil {
		return err
	}
	return os.WriteFile(*out, p.svg(), 0o644)
}
