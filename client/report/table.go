package report

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/olekukonko/tablewriter"
	"github.com/olekukonko/tablewriter/renderer"
	"github.com/olekukonko/tablewriter/tw"

	"paxbank/client/check"
)

// Options say how tables look and which optional ones PrintSet adds.
type Options struct {
	Color              bool
	Log, Status, Locks bool
	// MaxRows bounds the rows of the transaction and balance tables; of a longer
	// table a few rows (excerptRows at most) from both ends are shown, and
	// everything unusual. 0 means DefaultMaxRows. All rows are in the files.
	MaxRows int
}

// DefaultMaxRows is the number of rows that a reader still wants to see.
const DefaultMaxRows = 400

// excerptRows of a table that is too long to be shown whole.
const excerptRows = 40

// maxRows returns the bound that counts.
func (o Options) maxRows() int {
	if o.MaxRows > 0 {
		return o.MaxRows
	}
	return DefaultMaxRows
}

// OptionsFor chooses colour for f: on a terminal, unless NO_COLOR is set (to
// anything; see no-color.org) or the terminal is dumb.
func OptionsFor(f *os.File) Options {
	info, err := f.Stat()
	terminal := err == nil && info.Mode()&os.ModeCharDevice != 0
	return Options{Color: terminal && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

// paint colours a verdict. Colour never carries meaning alone.
func (o Options) paint(v check.Verdict) safe {
	code := map[check.Verdict]string{check.Pass: "32", check.Fail: "31", check.Unknown: "33"}[v]
	if !o.Color || code == "" {
		return safe(v)
	}
	return safe("\x1b[" + code + "m" + string(v) + "\x1b[0m")
}

// table collects rows of one width and renders them with tablewriter.
type table struct {
	header []string
	rows   [][]string
	right  map[int]bool // columns of numbers
}

// newTable makes a table; a column whose name begins with ">" is right-aligned.
func newTable(header ...string) *table {
	t := &table{right: map[int]bool{}}
	for i, h := range header {
		name, right := strings.CutPrefix(h, ">")
		t.header, t.right[i] = append(t.header, oneLine(name, maxCell)), right
	}
	return t
}

// add appends a row. tablewriter accepts ragged rows silently, so the width is
// checked here: a wrong one is a mistake in this package. Cells become visible
// and bounded.
func (t *table) add(cells ...string) {
	if len(cells) != len(t.header) {
		panic(fmt.Sprintf("report: row of %d cells in a table of %d columns", len(cells), len(t.header)))
	}
	row := make([]string, len(cells))
	for i, c := range cells {
		row[i] = oneLine(c, maxCell)
	}
	t.rows = append(t.rows, row)
}

// render writes the table, indented by nothing and ruled only under its header.
func (t *table) render(w io.Writer) error {
	align := make([]tw.Align, len(t.header))
	for i := range align {
		align[i] = tw.AlignLeft
		if t.right[i] {
			align[i] = tw.AlignRight
		}
	}
	cell := func() tw.CellConfig {
		return tw.CellConfig{
			Formatting: tw.CellFormatting{AutoWrap: tw.WrapNone, AutoFormat: tw.Off},
			Alignment:  tw.CellAlignment{PerColumn: align},
		}
	}
	var b bytes.Buffer
	out := tablewriter.NewTable(&b,
		tablewriter.WithRenderer(renderer.NewBlueprint(tw.Rendition{
			Symbols:  tw.NewSymbols(tw.StyleASCII),
			Borders:  tw.Border{Left: tw.Off, Right: tw.Off, Top: tw.Off, Bottom: tw.Off},
			Settings: tw.Settings{Separators: tw.Separators{BetweenRows: tw.Off}},
		})),
		tablewriter.WithConfig(tablewriter.Config{Header: cell(), Row: cell(), Behavior: tw.Behavior{TrimSpace: tw.Off}}),
		tablewriter.WithHeaderAutoFormat(tw.Off),
	)
	out.Header(t.header)
	for _, r := range t.rows {
		if err := out.Append(r); err != nil {
			return fmt.Errorf("report: table row: %w", err)
		}
	}
	if err := out.Render(); err != nil {
		return fmt.Errorf("report: table: %w", err)
	}
	for line := range bytes.Lines(b.Bytes()) {
		// tablewriter fills up the last column with blanks.
		if _, err := w.Write(append(bytes.TrimRight(line, " \n"), '\n')); err != nil {
			return err
		}
	}
	return nil
}

// layout is a writer that wants titles and tables as such, not as text.
type layout interface {
	io.Writer
	title(text string)
	table(t *table)
}

// printer writes to w and keeps the first error, so that callers check once.
type printer struct {
	w   io.Writer
	err error
}

// printf makes strings among the arguments visible, on one line; those of type
// safe stay as they are.
func (p *printer) printf(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format, shown(args)...)
	}
}

// shown is args as they may be printed.
func shown(args []any) []any {
	for i, a := range args {
		if s, ok := a.(string); ok {
			args[i] = oneLine(s, maxMessage)
		}
	}
	return args
}

func (p *printer) table(t *table) {
	if p.err != nil {
		return
	}
	if l, ok := p.w.(layout); ok {
		l.table(t)
		return
	}
	p.err = t.render(p.w)
}

// title writes a heading above a table.
func (p *printer) title(format string, args ...any) {
	if l, ok := p.w.(layout); ok {
		l.title(fmt.Sprintf(format, shown(args)...))
		return
	}
	p.printf("\n"+format+"\n", args...)
}

// micros shows a number of microseconds with a unit that suits it.
func micros(us float64) string {
	switch {
	case us < 1000:
		return fmt.Sprintf("%.0f µs", us)
	case us < 1_000_000:
		return fmt.Sprintf("%.2f ms", us/1000)
	}
	return fmt.Sprintf("%.2f s", us/1_000_000)
}

func span(d time.Duration) string { return micros(float64(d) / float64(time.Microsecond)) }

// shorten cuts s to n characters.
func shorten(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n-1]) + "…"
}
