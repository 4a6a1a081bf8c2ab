package report

import (
	"io"
	"math"
	"strconv"
	"strings"
)

// markdown writes GitHub's Markdown. Nothing that a text says is taken for
// syntax.
type markdown struct{ printer }

// Markdown writes the grade in the order of a course report: for each set the
// transactions, PrintBalance as a table of items by nodes, PrintDB, PrintLog,
// PrintStatus, PrintView, performance, and the checks that did not pass.
func Markdown(w io.Writer, g *Grade) error {
	m := &markdown{printer{w: w}}
	m.head(g)
	for i := range g.Sections {
		s := &g.Sections[i]
		m.heading(2, s.Name)
		m.paragraph(s.verdictLine())
		if s.Output != "" {
			m.fence(lines(s.Output, maxOutput))
		}
		if s.Note != "" {
			m.paragraph(escapeMarkdown(lines(s.Note, maxMessage)))
		}
		for j := range s.Sets {
			set := &s.Sets[j]
			m.heading(3, set.headline())
			for _, b := range set.blocks() {
				m.block(&b)
			}
			m.fence(lines(set.failures(), maxOutput))
		}
	}
	return m.err
}

// head is the title, what is known of the whole, and the table of sections.
func (m *markdown) head(g *Grade) {
	m.printf("# Report: %s\n", safe(inline(g.title())))
	m.printf("\n")
	for _, f := range g.facts() {
		m.printf("- %s: %s\n", safe(f[0]), safe(inline(f[1])))
	}
	m.fence(g.note())
	t := newTable(">#", "Section", "Test set", "Verdict", ">Points", "Note")
	for i := range g.Sections {
		s := &g.Sections[i]
		t.add(g.number(i), s.Name, s.TestSet, string(s.Verdict), points(s.Score)+" of "+points(s.Max), s.brief())
	}
	m.table(t)
	if list := g.measured(); len(list) > 0 {
		t := newTable("Measured", ">Value")
		for _, x := range list {
			t.add(x.Name, number(x.Value))
		}
		m.table(t)
	}
}

// verdictLine is "pass, 2 of 2 points".
func (s *Section) verdictLine() string {
	return "**" + string(s.Verdict) + "**, " + points(s.Score) + " of " + points(s.Max) + " points"
}

func (m *markdown) heading(level int, text string) {
	m.printf("\n%s %s\n", safe(strings.Repeat("#", level)), safe(inline(oneLine(text, maxName))))
}

func (m *markdown) paragraph(text string) { m.printf("\n%s\n", safe(text)) }

// fence writes text as it is, between lines of more backticks than it has.
func (m *markdown) fence(text string) {
	if text == "" {
		return
	}
	ticks := "```"
	for strings.Contains(text, ticks) {
		ticks += "`"
	}
	m.printf("\n%s\n%s\n%s\n", safe(ticks+"text"), safe(text), safe(ticks))
}

func (m *markdown) block(b *block) {
	if b.Title != "" {
		m.heading(4, b.Title)
	}
	if b.Text != "" {
		m.paragraph(escapeMarkdown(lines(b.Text, maxOutput)))
	}
	if b.Table != nil {
		m.table(b.Table)
	}
}

func (m *markdown) table(t *table) {
	row := func(cells []string) {
		for _, c := range cells {
			m.printf("| %s ", safe(inline(c)))
		}
		m.printf("|\n")
	}
	m.printf("\n")
	row(t.header)
	for i := range t.header {
		rule := "|---"
		if t.right[i] {
			rule = "|--:"
		}
		m.printf("%s", safe(rule))
	}
	m.printf("|\n")
	for _, r := range t.rows {
		row(r)
	}
}

// markdownSyntax are the characters that mean something within a line, and "@",
// which would call people. The angle brackets are entities, since some readers
// take a backslash before them for a backslash.
var markdownSyntax = strings.NewReplacer(`\`, `\\`, "`", "\\`", "*", `\*`, "_", `\_`, "[", `\[`, "]", `\]`, "|", `\|`,
	"~", `\~`, "$", `\$`, "@", `\@`, "#", `\#`, "!", `\!`, "<", "&lt;", ">", "&gt;", "&", "&amp;", "://", `\://`, "www.", `www\.`)

// inline escapes a text that is visible already for the middle of a line.
func inline(s string) string { return markdownSyntax.Replace(s) }

// escapeMarkdown escapes lines of text. What means something at the beginning of
// a line only (lists, rules, indented code) is broken there.
func escapeMarkdown(s string) string {
	out := strings.Split(inline(s), "\n")
	for i, line := range out {
		line = strings.TrimLeft(line, " \t")
		switch {
		case line == "":
		case strings.ContainsRune("-+=:", rune(line[0])):
			line = `\` + line
		case line[0] >= '0' && line[0] <= '9':
			digits := strings.TrimLeft(line, "0123456789")
			if digits != "" && (digits[0] == '.' || digits[0] == ')') {
				line = line[:len(line)-len(digits)] + `\` + digits
			}
		}
		out[i] = line
	}
	return strings.Join(out, "\n")
}

// number of a measurement, with three decimals at most.
func number(v float64) string {
	return strconv.FormatFloat(math.Round(v*1000)/1000, 'f', -1, 64)
}
