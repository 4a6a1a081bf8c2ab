package bench

import (
	"bytes"
	"fmt"
	"io"

	"github.com/olekukonko/tablewriter"
	"github.com/olekukonko/tablewriter/renderer"
	"github.com/olekukonko/tablewriter/tw"
)

// table renders rows below a header, ruled only in between. A column whose name
// begins with ">" is right-aligned.
func table(w io.Writer, header []string, rows [][]string) error {
	align, names := make([]tw.Align, len(header)), make([]string, len(header))
	for i, h := range header {
		align[i], names[i] = tw.AlignLeft, h
		if h[0] == '>' {
			align[i], names[i] = tw.AlignRight, h[1:]
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
	out.Header(names)
	for _, r := range rows {
		// tablewriter accepts ragged rows silently.
		if len(r) != len(header) {
			panic(fmt.Sprintf("bench: row of %d cells in a table of %d columns", len(r), len(header)))
		}
		if err := out.Append(r); err != nil {
			return fmt.Errorf("table row: %w", err)
		}
	}
	if err := out.Render(); err != nil {
		return fmt.Errorf("table: %w", err)
	}
	for line := range bytes.Lines(b.Bytes()) {
		// tablewriter fills up the last column with blanks.
		if _, err := w.Write(append(bytes.TrimRight(line, " \n"), '\n')); err != nil {
			return err
		}
	}
	return nil
}
