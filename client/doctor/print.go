package doctor

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/olekukonko/tablewriter"
	"github.com/olekukonko/tablewriter/renderer"
	"github.com/olekukonko/tablewriter/tw"
)

// shownAdvice is as much as a person can do before asking again.
const shownAdvice = 5

// Print writes the table, what was wrong in detail, the verdicts and what to do
// next.
func (r *Report) Print(w io.Writer) error {
	if err := r.table(w); err != nil {
		return err
	}
	var b strings.Builder
	for _, f := range r.Findings {
		if f.Result != Wrong {
			continue
		}
		fmt.Fprintf(&b, "\nL%d %s, %s\n", f.Level, f.Call, f.Probe)
		fmt.Fprintf(&b, "  want  %s (%s)\n", f.Want, f.Reference())
		fmt.Fprintf(&b, "  got   %s\n", strings.ReplaceAll(f.Got, "\n", "\n        "))
		fmt.Fprintf(&b, "  cost  %s\n", f.Cost)
	}
	b.WriteString("\n")
	for _, l := range r.Levels {
		b.WriteString(l.Verdict + "\n")
	}
	if len(r.Advice) > 0 {
		b.WriteString("\nNext:\n")
		for i, a := range r.Advice {
			if i == shownAdvice {
				fmt.Fprintf(&b, " … and %d more\n", len(r.Advice)-i)
				break
			}
			fmt.Fprintf(&b, " %d. %s\n", i+1, a)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// JSON writes the report for programs.
func (r *Report) JSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(r)
}

// Reference is the place in docs/protocol.md that says what is wanted.
func (f *Finding) Reference() string { return "docs/protocol.md#" + anchor(f.Page) }

// anchor of a heading, as the usual renderers of Markdown make it.
func anchor(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
			return unicode.ToLower(r)
		}
		return -1
	}, heading)
}

func (r *Report) table(w io.Writer) error {
	var b bytes.Buffer
	plain := tw.CellConfig{
		Formatting: tw.CellFormatting{AutoWrap: tw.WrapNone, AutoFormat: tw.Off},
		Alignment:  tw.CellAlignment{Global: tw.AlignLeft},
	}
	t := tablewriter.NewTable(&b,
		tablewriter.WithRenderer(renderer.NewBlueprint(tw.Rendition{
			Symbols:  tw.NewSymbols(tw.StyleASCII),
			Borders:  tw.Border{Left: tw.Off, Right: tw.Off, Top: tw.Off, Bottom: tw.Off},
			Settings: tw.Settings{Separators: tw.Separators{BetweenRows: tw.Off}},
		})),
		tablewriter.WithConfig(tablewriter.Config{Header: plain, Row: plain, Behavior: tw.Behavior{TrimSpace: tw.Off}}),
		tablewriter.WithHeaderAutoFormat(tw.Off),
	)
	t.Header([]string{"Level", "Call", "Probe", "Result", "What it costs"})
	for i := range r.Findings {
		f := &r.Findings[i]
		last := f.Cost
		if f.Result == NotTried || f.Result == NotHere {
			last = f.Got
		}
		if err := t.Append([]string{fmt.Sprintf("L%d", f.Level), f.Call, f.Probe, f.shown(), last}); err != nil {
			return fmt.Errorf("doctor: table row: %w", err)
		}
	}
	if err := t.Render(); err != nil {
		return fmt.Errorf("doctor: table: %w", err)
	}
	for line := range bytes.Lines(b.Bytes()) {
		// tablewriter fills up the last column with blanks.
		if _, err := w.Write(append(bytes.TrimRight(line, " \n"), '\n')); err != nil {
			return err
		}
	}
	return nil
}

// shown is the result as people read it: what is missing from L2 is no failure.
func (f *Finding) shown() string {
	if f.Level == 2 && f.Result == Missing {
		return "not graded"
	}
	return string(f.Result)
}
