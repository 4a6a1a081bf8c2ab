package testset

import (
	"regexp"
	"slices"
	"strings"

	"paxbank/internal/topology"
)

// role is what a column behind the commands is for.
type role int

const (
	byContent role = iota // no header says
	liveColumn
	contactColumn
	noteColumn
	refusedColumn // reported at its header
)

var (
	setNumber     = regexp.MustCompile(`^(?i:(?:test\s*)?(?:set|case|test|scenario)?\s*(?:number|num|no\.?)?\s*(?:[#:-]\s*)?)([0-9]+)(\.0*)?[.:)]?$`)
	minusNumber   = regexp.MustCompile(`^-`)
	looksCommand  = regexp.MustCompile(`^\(|^(?i:F|R|LF|fail|recover)\s*\(|^(?i:LF)$|^-[0-9]+(?:\.0*)?$`)
	holdsData     = regexp.MustCompile(`^["']?[(\[{].*[0-9]|^(?i:F|R|LF|fail|recover)\s*\(|^(?i:LF)$|^-?[0-9]+$`)
	byzantine     = regexp.MustCompile(`(?i)byzant|malicious|attack|adversar|traitor|equivocat`)
	attack        = regexp.MustCompile(`(?i)byzant|malicious|attack|equivocat|^\W*(?:crash|dark|sign|time)\b`)
	contactHeader = regexp.MustCompile(`(?i)contact`)
	liveHeader    = regexp.MustCompile(`(?i)live|active|available`)
	leaderHeader  = regexp.MustCompile(`(?i)leader|coordinator`)
	noteHeader    = regexp.MustCompile(`(?i)note|comment|remark|descri|expla|expect|result|purpose|point|status`)
)

// setNumberOf finds the digits of a set number: 1, Set 1, #1, 1.0.
func setNumberOf(s string) (digits string, ok bool) {
	m := setNumber.FindStringSubmatch(s)
	if m == nil || minusNumber.MatchString(s) {
		return "", false
	}
	return m[1], true
}

// likely reports whether a row looks like one of a test set. By it the delimiter
// is chosen.
func likely(r []cell) bool {
	_, numbered := setNumberOf(r[0].Text)
	return (numbered || r[0].Text == "") && slices.ContainsFunc(r[1:], func(c cell) bool { return holdsData.MatchString(c.Text) })
}

// isWords reports whether a row can be a title or a header: words, whatever they
// are, and nothing that could be a set, a command or a list.
func isWords(r []cell) bool {
	if _, ok := setNumberOf(r[0].Text); ok || r[0].Text == "" && filled(r) < 2 {
		return false
	}
	return !slices.ContainsFunc(r, func(c cell) bool { return c.unreadable() || holdsData.MatchString(c.Text) })
}

// filled counts the cells with text.
func filled(r []cell) (n int) {
	for _, c := range r {
		if c.Text != "" {
			n++
		}
	}
	return n
}

// prologue takes the rows before the first set: titles, and the header that says
// what the columns are for.
func (p *parser) prologue(rows [][]cell) [][]cell {
	n := 0
	for n < len(rows) && isWords(rows[n]) {
		n++
	}
	header := -1
	for i, r := range rows[:n] {
		if filled(r) > 1 {
			header = i
		}
	}
	for i, r := range rows[:n] {
		if i == header {
			p.header = r
			continue
		}
		p.diag.warn(r[0].place(), "row taken for a title (put # in front of what is not part of the test set)")
	}
	for i, c := range p.header {
		p.roles = append(p.roles, p.roleOf(i, c))
	}
	return rows[n:]
}

// roleOf says what a header's cell makes of its column.
func (p *parser) roleOf(i int, c cell) role {
	switch {
	case byzantine.MatchString(c.Text):
		p.diag.add(c.place(), "column %q: Byzantine nodes are not part of this protocol (remove the column)", c.Text)
		return refusedColumn
	case c.Text == "":
		return byContent
	case contactHeader.MatchString(c.Text):
		return contactColumn
	case liveHeader.MatchString(c.Text):
		return liveColumn
	case leaderHeader.MatchString(c.Text):
		return contactColumn
	case noteHeader.MatchString(c.Text):
		return noteColumn
	}
	return byContent
}

// isHeader reports whether a row repeats the header.
func (p *parser) isHeader(r []cell) bool {
	return p.header != nil && slices.EqualFunc(withoutEmpty(p.header), withoutEmpty(r), func(a, b cell) bool { return strings.EqualFold(a.Text, b.Text) })
}

func withoutEmpty(r []cell) []cell {
	return slices.DeleteFunc(slices.Clone(r), func(c cell) bool { return c.Text == "" })
}

// shape brings every row to the four cells set, command, live nodes, contact
// nodes; it reports what stands in further columns.
func (p *parser) shape(rows [][]cell) [][]cell {
	var out [][]cell
	for _, r := range p.prologue(rows) {
		if p.isHeader(r) {
			p.diag.warn(r[0].place(), "the header is repeated here")
			continue
		}
		// A row that begins with its command is a continuation without the comma; one
		// that begins with -2 and goes on has a bad set number.
		if looksCommand.MatchString(r[0].Text) && !(damagedRead.MatchString(r[0].Text) && len(r) > 1 && r[1].Text != "") {
			r = slices.Insert(slices.Clone(r), 0, cell{Line: r[0].Line, Column: r[0].Column})
		}
		for len(r) < 2 {
			r = append(r, r[len(r)-1].behind())
		}
		out = append(out, p.columns(p.splitTransfer(r)))
	}
	return out
}

// splitTransfer refuses a transfer without parentheses that takes three columns.
// Of a number in place of the command, which is refused later, it drops what CSV
// split off.
func (p *parser) splitTransfer(r []cell) []cell {
	number := func(i int) bool { return !r[i].Quoted && numberPattern.MatchString(r[i].Text) }
	last := len(transferParts) // position of the amount, when the sender stands at 1
	if len(r) <= last {
		return r
	}
	for i, c := range r[1 : last+1] {
		name := i+1 < last && topology.ValidItemName(c.Text) && markerWords[strings.ToLower(c.Text)] == 0
		if c.Quoted || !name && !numberPattern.MatchString(c.Text) {
			if number(1) && number(2) && !damagedRead.MatchString(r[1].Text) {
				return r[:2]
			}
			return r
		}
	}
	p.diag.add(r[1].place(), "a transfer in three columns, %s, %s and %s (write \"(%s, %s, %s)\" in one)", r[1].Text, r[2].Text, r[3].Text, r[1].Text, r[2].Text, r[3].Text)
	r = slices.Delete(slices.Clone(r), 2, last+1)
	r[1].Text = unreadable
	return r
}

// columns sorts the cells behind the command by what their columns are for.
func (p *parser) columns(r []cell) []cell {
	behind := r[len(r)-1].behind()
	live, contacts := behind, behind
	for i := 2; i < len(r); i++ {
		c := r[i]
		if c.Text == "" || c.unreadable() {
			continue
		}
		switch p.roleAt(i, c) {
		case liveColumn:
			if live.Text != "" {
				p.diag.add(c.place(), "%q is a second live list in its row (a row is: set number, command, live nodes)", c.Text)
				continue
			}
			live, i = p.joinBare(r, i)
		case contactColumn:
			if contacts.Text != "" {
				p.diag.warn(c.place(), "%s are second contact nodes in their row and are not read", c.Text)
				continue
			}
			contacts = c
			if p.roleFor(i) == byContent {
				p.diag.warn(c.place(), "%s is taken for contact nodes, as no header says what this column is", c.Text)
			}
		case noteColumn:
			p.note(i, c, filled(r) == 1)
		}
	}
	return []cell{r[0], r[1], live, contacts}
}

// roleFor is what the header says about a column.
func (p *parser) roleFor(i int) role {
	if i < len(p.roles) {
		return p.roles[i]
	}
	return byContent
}

// roleAt is what column i is for in a row whose cell there is c.
func (p *parser) roleAt(i int, c cell) role {
	switch has := p.roleFor(i); {
	case has == noteColumn && i == 2 && isNodeList(c): // where live nodes belong, whatever it is called
		return liveColumn
	case has != byContent:
		return has
	case i == 2:
		return liveColumn
	case i == 3 && isNodeList(c):
		return contactColumn
	}
	return noteColumn
}

// isNodeList reports whether a cell is a list of numbered nodes. In brackets,
// a name with a digit will do: it may be misspelt.
func isNodeList(c cell) bool {
	list, ok := nodeList(c, contactList, &diagnostics{})
	if strings.HasPrefix(c.Text, "[") && ok {
		return strings.ContainsAny(c.Text, "0123456789")
	}
	return ok && list.nodes != nil && !slices.ContainsFunc(list.nodes, func(n string) bool { return nodeNumber(n) == 0 })
}

// joinBare puts a live list together that has neither brackets nor quotes, and
// returns the position of its last cell.
func (p *parser) joinBare(r []cell, i int) (live cell, last int) {
	live, last = r[i], i
	bare := func(c cell) bool {
		return !c.Quoted && nodePattern.MatchString(c.Text) && !allNodes.MatchString(c.Text)
	}
	if !bare(live) {
		return live, last
	}
	numbered := nodeNumber(live.Text) > 0
	for last+1 < len(r) && bare(r[last+1]) && (strings.ContainsAny(r[last+1].Text, "0123456789") || !numbered) && p.roleFor(last+1) == byContent {
		last++
		// Blanks in between keep every node as far from the cell's place as it was.
		gap := r[last].Column - live.behind().Column - 1
		live.Text += "," + strings.Repeat(" ", max(gap, 0)) + r[last].Text
	}
	next := last + 1
	if next == len(r) || !bare(r[next]) {
		return live, last
	}
	if list := last > i; list && p.roleFor(next) == contactColumn || !list && p.header != nil && len(r) > len(p.header) {
		p.diag.add(r[next].place(), "%s may be a live node or belong to the next column (write the live nodes as \"[n1, n2, n3]\")", r[next].Text)
	}
	return live, last
}

// note warns about a column that is not read, once and for rows that have nothing
// else, and refuses what does not look like a note.
func (p *parser) note(i int, c cell, only bool) {
	named := p.roleFor(i) == noteColumn
	switch {
	case !named && attack.MatchString(c.Text):
		p.diag.add(c.place(), "%q: Byzantine nodes are not part of this protocol (remove the column)", c.Text)
	case !named && looksCommand.MatchString(c.Text):
		p.diag.add(c.place(), "command %q in a further column (one command a row, or several in one quoted cell with ; between)", c.Text)
	case only || !p.noted[i]:
		p.noted[i] = true
		p.diag.warn(c.place(), "text %q in a further column, which is not read (a row is: set number, command, live nodes, contact nodes)", c.Text)
	}
}
