package report

import (
	"fmt"
	"strings"

	"paxbank/client/runner"
)

// block is a piece of a printed set: a title, and below it text or a table.
type block struct {
	Title string
	Text  string // lines
	Table *table // nil for none
	// Long ones are folded away where a format can do that.
	Long bool
}

// blocks is a layout that collects what the printing functions print, so that
// Markdown and HTML show what the terminal shows, from the same code.
type blocks struct {
	list []block
	long bool // of what comes next
}

func (b *blocks) title(text string) {
	b.list = append(b.list, block{Title: text, Long: b.long})
}

// last is the block to add to; text before any title has one without.
func (b *blocks) last() *block {
	if len(b.list) == 0 {
		b.title("")
	}
	return &b.list[len(b.list)-1]
}

func (b *blocks) table(t *table) {
	at := b.last()
	if at.Table != nil { // a second one under the same title
		b.title("")
		at = b.last()
	}
	if rest := len(t.rows) - DefaultMaxRows; rest > 0 {
		at.Text += fmt.Sprintf("The first %d of %d rows; all are in summary.txt.\n", DefaultMaxRows, len(t.rows))
		t.rows = t.rows[:DefaultMaxRows]
	}
	at.Table = t
}

// Write takes text. What stands below a table begins a block of its own.
func (b *blocks) Write(p []byte) (int, error) {
	at := b.last()
	if at.Table != nil {
		b.title("")
		at = b.last()
	}
	at.Text += string(p)
	return len(p), nil
}

// logCalls is the number of calls up to which logs and statuses of a set are
// shown in report.md and report.html; summary.txt has those of larger ones.
const logCalls = 100

// blocks are the tables of a set, in the order in which course reports want them.
func (s *GradedSet) blocks() []block {
	set := s.Result
	if set == nil || set.Skipped {
		return nil
	}
	b := &blocks{}
	p := &printer{w: b}
	p.call(func() error { return PrintTransactions(b, set, Options{}) })
	p.balances(set)
	p.call(func() error { return printDB(b, set, DefaultMaxRows) })
	if len(set.Calls) <= logCalls {
		b.long = true
		p.call(func() error { return PrintLog(b, set, "") })
		p.call(func() error { return PrintStatus(b, set, 0) })
		b.long = false
	}
	p.call(func() error { return PrintViews(b, set) })
	p.call(func() error { return PrintPerformance(b, set) })
	for i := range b.list {
		b.list[i].Text = strings.TrimSpace(b.list[i].Text)
	}
	return b.list
}

// balances prints PrintBalance of the items that were read as one table, items
// by nodes.
func (p *printer) balances(set *runner.SetResult) {
	items := readItems(set)
	if len(items) == 0 {
		return
	}
	p.title("PrintBalance")
	t, byCluster := itemTable(set)
	for i, item := range items {
		if i == DefaultMaxRows {
			p.printf("%d more items were read.\n", len(items)-i)
			break
		}
		row, _ := dbRow(set, byCluster, item)
		t.add(row...)
	}
	p.table(t)
}

// failures are the checks that did not pass and the verdict line, as printed.
func (s *GradedSet) failures() string {
	var b strings.Builder
	// Nothing can fail to be written to a strings.Builder.
	_ = printChecks(&b, s.Set, &s.SetVerdict, Options{})
	return strings.TrimSpace(b.String())
}
