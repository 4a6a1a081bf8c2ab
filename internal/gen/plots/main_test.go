package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// runs are two files: three clients counts, two cross shares, one run that did
// not pass, and rows of another kind.
var runs = []string{
	`run,verdict,kind,committed_per_s,cross_percent,clients,commit,host
1,pass,all,1000,0,1,c0ffee,"linux/amd64, 2 CPUs"
1,pass,intra,,0,1,c0ffee,"linux/amd64, 2 CPUs"
2,pass,all,1200,0,1,c0ffee,"linux/amd64, 2 CPUs"
3,fail,all,,0,1,c0ffee,"linux/amd64, 2 CPUs"
1,pass,all,3500,0,4,c0ffee,"linux/amd64, 2 CPUs"
`,
	`run,verdict,kind,committed_per_s,cross_percent,clients,commit,host
1,pass,all,500,20,1,,
2,pass,all,900.5,20,16,,
`,
}

func files(t *testing.T, texts ...string) []string {
	t.Helper()
	var paths []string
	for i, text := range texts {
		path := filepath.Join(t.TempDir(), string(rune('a'+i))+".csv")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	return paths
}

func TestPlot(t *testing.T) {
	out := filepath.Join(t.TempDir(), "img", "x.svg")
	var stderr bytes.Buffer
	args := []string{"-x", "clients", "-series", "cross_percent", "-title", "Rate & <clients>", "-xlabel", "clients", "-ylabel", "commits/s", "-out", out}
	if err := run(append(args, files(t, runs...)...), &stderr); err != nil {
		t.Fatal(err)
	}
	if want := "plots: rows left out because they have no number: 1\n"; stderr.String() != want {
		t.Errorf("stderr is %q, want %q", stderr.String(), want)
	}
	got, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	for xmlText := xml.NewDecoder(bytes.NewReader(got)); ; {
		if _, err := xmlText.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("the plot is no XML: %v", err)
		}
	}
	path := filepath.Join("testdata", "plot.svg")
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("the plot is not %s any more (go test ./internal/gen/plots -update, after looking):\n%s", path, got)
	}
}

func TestWhere(t *testing.T) {
	q := query{x: "clients", y: "committed_per_s", kind: "all", where: []cell{{"cross_percent", "20"}, {"run", "2"}}}
	var p plot
	for _, path := range files(t, runs...) {
		if _, err := p.read(path, q); err != nil {
			t.Fatal(err)
		}
	}
	if want := []point{{16, 900.5, ""}}; !slices.Equal(p.points, want) {
		t.Errorf("got %v, want %v", p.points, want)
	}
}

func TestMediansInOrder(t *testing.T) {
	p := plot{points: []point{{4, 7, "20"}, {1, 5, "3"}, {1, 1, "3"}, {1, 4, "3"}, {0, 2, "3"}, {0, 4, "3"}, {1, 1, "x"}}}
	var got []string
	for _, s := range p.lines() {
		got = append(got, s.name)
		for _, m := range s.median {
			got = append(got, label(m.x)+":"+label(m.y))
		}
	}
	if want := []string{"3", "0:3", "1:4", "20", "4:7", "x", "1:1"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestScale(t *testing.T) {
	for _, c := range []struct {
		highest float64
		ticks   string
	}{
		{0, "0 0.2 0.4 0.6 0.8 1"}, {0.3, "0 0.05 0.1 0.15 0.2 0.25 0.3"}, {7, "0 2 4 6 8"},
		{1000, "0 200 400 600 800 1,000"}, {123456, "0 50,000 100,000 150,000"},
	} {
		s := newScale(c.highest, 100, 200)
		var labels []string
		for _, v := range s.ticks() {
			labels = append(labels, label(v))
		}
		if got := strings.Join(labels, " "); got != c.ticks || s.at(0) != 100 || s.at(s.high) != 200 {
			t.Errorf("up to %g the ticks are %s (0 at %g, the last at %g), want %s (100, 200)", c.highest, got, s.at(0), s.at(s.high), c.ticks)
		}
	}
}

func TestWrongUse(t *testing.T) {
	good := []string{"-x", "clients", "-title", "t", "-out", filepath.Join(t.TempDir(), "x.svg")}
	for _, c := range []struct {
		args, texts []string
		want        string
	}{
		{good, nil, "no performance.csv named"},
		{[]string{"-title", "t"}, runs, "are needed"},
		{append(good, "-y", "speed"), runs, "there is no column speed"},
		{append(good, "-kind", "cross"), runs, `no row of kind "cross"`},
		{append(good, "-where", "speed=1"), runs, "there is no column speed"},
		{append(good, "-where", "speed"), runs, "want COLUMN=VALUE"},
		{append(good, "-where", "run=3"), runs, `no row of kind "all"`},
		{append(good, "-x", "commit"), runs, `commit is no number: "c0ffee"`},
		{good, []string{""}, "a.csv: EOF"},
		{append(good, "none.csv"), nil, "none.csv"},
	} {
		if err := run(append(slices.Clone(c.args), files(t, c.texts...)...), io.Discard); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want an error with %q", c.args, err, c.want)
		}
	}
}

func TestTable(t *testing.T) {
	var out bytes.Buffer
	q := query{x: "clients", series: "cross_percent", kind: "all"}
	if err := writeTable(&out, files(t, runs...), q, []string{"committed_per_s", "clients"}); err != nil {
		t.Fatal(err)
	}
	want := `| cross_percent | clients | runs | committed_per_s | lowest – highest | clients |
|---|---|---|---|---|---|
| 0 | 1 | 2 | 1,100 | 1,000 – 1,200 | 1 |
| 0 | 4 | 1 | 3,500 | 3,500 – 3,500 | 4 |
| 20 | 1 | 1 | 500 | 500 – 500 | 1 |
| 20 | 16 | 1 | 900 | 900 – 900 | 16 |
`
	if got := out.String(); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	for v, want := range map[float64]string{0.123: "0.12", 12.34: "12.3", 999.6: "1,000", 1234567: "1,234,567", -1234: "-1,234", 0: "0"} {
		if got := number(v); got != want {
			t.Errorf("number(%g) is %q, want %q", v, got, want)
		}
	}
	if err := writeTable(&out, files(t, runs[1]), query{x: "clients", kind: "read"}, []string{"committed_per_s"}); err == nil {
		t.Error("no rows, and no error")
	}
}
