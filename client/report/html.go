package report

import (
	_ "embed" // of the template
	"html/template"
	"io"
)

//go:embed report.html.tmpl
var htmlSource string

var htmlTemplate = template.Must(template.New("report").Parse(htmlSource))

// The parts of report.html. The template escapes all strings.
type (
	htmlPage struct {
		Title    string
		Note     string
		Facts    [][2]string
		Measured [][2]string
		Sections []htmlSection
	}
	htmlSection struct {
		Number, Name, TestSet, Verdict, Points, Output, Note, Brief string
		Sets                                                        []htmlSet
	}
	htmlSet struct {
		Headline, Failures string
		Blocks             []htmlBlock
	}
	htmlBlock struct {
		block
		Header []htmlCell
		Rows   [][]htmlCell
	}
	htmlCell struct {
		Text  string
		Right bool
	}
)

// HTML writes report.html: one page without scripts or anything from elsewhere,
// light or dark as the reader's system is. It shows what Markdown shows.
func HTML(w io.Writer, g *Grade) error {
	page := htmlPage{Title: g.title(), Note: g.note(), Facts: g.facts()}
	for _, m := range g.measured() {
		page.Measured = append(page.Measured, [2]string{oneLine(m.Name, maxName), number(m.Value)})
	}
	for i := range g.Sections {
		s := &g.Sections[i]
		section := htmlSection{
			Number: g.number(i), Name: oneLine(s.Name, maxName), TestSet: oneLine(s.TestSet, maxName), Verdict: string(s.Verdict),
			Points: points(s.Score) + " of " + points(s.Max), Output: lines(s.Output, maxOutput), Note: lines(s.Note, maxMessage),
			Brief: s.brief(),
		}
		for j := range s.Sets {
			set := &s.Sets[j]
			shown := htmlSet{Headline: set.headline(), Failures: lines(set.failures(), maxOutput)}
			for _, b := range set.blocks() {
				shown.Blocks = append(shown.Blocks, htmlOf(b))
			}
			section.Sets = append(section.Sets, shown)
		}
		page.Sections = append(page.Sections, section)
	}
	return htmlTemplate.Execute(w, &page)
}

func htmlOf(b block) htmlBlock {
	out := htmlBlock{block: b}
	out.Text = lines(b.Text, maxOutput)
	if b.Table == nil {
		return out
	}
	row := func(cells []string) []htmlCell {
		row := make([]htmlCell, len(cells))
		for i, c := range cells {
			row[i] = htmlCell{c, b.Table.right[i]}
		}
		return row
	}
	out.Header = row(b.Table.header)
	for _, r := range b.Table.rows {
		out.Rows = append(out.Rows, row(r))
	}
	return out
}
