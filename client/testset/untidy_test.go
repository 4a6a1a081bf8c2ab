package testset

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// Whatever untidiness a file is written with, it is understood as the tidy one.
func TestUntidyFilesMeanTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := drawFile(t)
		testFormat(t, want)
		u := &untidy{T: t}
		data := u.file(want)
		got, err := Parse("untidy.csv", data)
		if err != nil {
			t.Fatalf("refused: %v\n%q", err, data)
		}
		if diff := diffSets(want.Sets, got.Sets); diff != "" {
			t.Fatalf("-tidy +untidy:\n%s\n%q", diff, data)
		}
		testFormat(t, got)
	})
}

// However untidy a file is, an error points at the very text it speaks of.
func TestErrorsPointAtWhatTheySpeakOf(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := drawFile(t)
		last := &f.Sets[len(f.Sets)-1]
		const slip = "7x7"
		last.Commands = append(last.Commands, Command{Kind: Transfer, Text: "(1, 2, " + slip + ")"}, drawCommand(t))
		u := &untidy{T: t}
		data := u.file(f)
		lines := strings.Split(u.text, u.newline)
		if !strings.Contains(u.text, "\n") {
			lines = strings.Split(u.text, "\r")
		}
		want := ""
		for i, line := range lines {
			if before, _, found := strings.Cut(line, slip); found {
				want = fmt.Sprintf("untidy.csv:%d:%d: \"%s\" is not a whole number", i+1, utf8.RuneCountInString(before)+1, slip)
			}
		}
		_, err := Parse("untidy.csv", data)
		if errs, ok := err.(Errors); !ok || len(errs) != 1 || !strings.HasPrefix(errs[0].Error(), want) {
			t.Fatalf("got %v\nwant one error beginning with %s\n%q", err, want, data)
		}
	})
}

// drawFile draws sets with all kinds of commands.
func drawFile(t *rapid.T) *File {
	f := &File{Name: "drawn.csv"}
	for _, number := range rapid.SliceOfNDistinct(rapid.IntRange(0, 30), 1, 4, rapid.ID).Draw(t, "sets") {
		s := Set{Number: number, Live: drawNodes(t, "live")}
		if rapid.IntRange(0, 3).Draw(t, "with contacts") == 0 {
			s.Contacts = drawNodes(t, "contacts")
		}
		for range rapid.IntRange(0, 5).Draw(t, "commands") {
			s.Commands = append(s.Commands, drawCommand(t))
		}
		f.Sets = append(f.Sets, s)
	}
	return f
}

func drawNodes(t *rapid.T, label string) []string {
	if rapid.Bool().Draw(t, label+" all") {
		return nil
	}
	var nodes []string
	for _, n := range rapid.SliceOfNDistinct(rapid.IntRange(1, 25), 1, 9, rapid.ID).Draw(t, label) {
		nodes = append(nodes, fmt.Sprintf("n%d", n))
	}
	return nodes
}

func drawCommand(t *rapid.T) Command {
	item := func() (int64, string) {
		if rapid.IntRange(0, 3).Draw(t, "named") == 0 {
			name := rapid.StringMatching(`[A-Z][a-z0-9]?`).Draw(t, "name")
			return 0, name
		}
		n := rapid.Int64Range(-5, 9000).Draw(t, "item")
		return n, fmt.Sprint(n)
	}
	c := Command{Kind: Kind(rapid.IntRange(int(Transfer), int(LeaderFail)).Draw(t, "kind"))}
	n := rapid.IntRange(1, 12).Draw(t, "number")
	switch c.Kind {
	case Transfer:
		var from, to string
		c.From, from = item()
		c.To, to = item()
		c.Amount = rapid.Int64Range(-1, 1000).Draw(t, "amount")
		c.Text = fmt.Sprintf("(%s, %s, %d)", from, to, c.Amount)
	case Read:
		var text string
		c.Item, text = item()
		c.Text = fmt.Sprintf("(%s)", text)
	case Fail, Recover:
		c.Node = fmt.Sprintf("n%d", n)
		c.Text = fmt.Sprintf("%s(%s)", map[Kind]string{Fail: "F", Recover: "R"}[c.Kind], c.Node)
	case LeaderFail:
		c.Text = "LF"
		if rapid.Bool().Draw(t, "one cluster") {
			c.Cluster = fmt.Sprintf("c%d", n)
			c.Text = fmt.Sprintf("LF(%s)", c.Cluster)
		}
	}
	return c
}

// untidy writes a file as people and spreadsheets do.
type untidy struct {
	*rapid.T
	delimiter, newline string
	text               string // of the file, before it was encoded
}

func (u *untidy) sometimes() bool { return rapid.IntRange(0, 2).Draw(u.T, "sometimes") == 0 }

func (u *untidy) oneOf(list ...string) string { return rapid.SampledFrom(list).Draw(u.T, "one of") }

func (u *untidy) blanks() string { return u.oneOf("", "", " ", "  ", "\u00a0") }

func (u *untidy) file(f *File) []byte {
	u.delimiter, u.newline = u.oneOf(",", ",", "\t", ";"), u.oneOf("\n", "\r\n", "\r")
	var rows []string
	if u.sometimes() {
		rows = append(rows, "Lab 3, the tests", "")
	}
	if header := u.oneOf("", "Set Number|Transactions|Live Nodes|Contact Servers", "set|what to do|who lives", "No.|(Sender, Receiver, Amount)|Nodes"); header != "" {
		header = strings.ReplaceAll(header, "(Sender, Receiver, Amount)", `"(Sender, Receiver, Amount)"`)
		rows = append(rows, strings.ReplaceAll(header, "|", u.delimiter))
	} else if len(rows) > 0 {
		rows = nil // the delimiter in it makes a title a header
	}
	for i := range f.Sets {
		rows = append(rows, u.set(&f.Sets[i])...)
	}
	text := strings.Join(rows, u.newline) + u.oneOf(u.newline, "")
	u.text = text
	switch u.oneOf("", "bom", "utf16le", "utf16be") {
	case "bom":
		text = "\ufeff" + text
	case "utf16le":
		return encode16("\ufeff"+text, 0)
	case "utf16be":
		return encode16("\ufeff"+text, 1)
	}
	return []byte(text)
}

func encode16(text string, high int) []byte {
	var out []byte
	for _, unit := range utf16.Encode([]rune(text)) {
		pair := [2]byte{}
		pair[high], pair[1-high] = byte(unit), byte(unit>>8)
		out = append(out, pair[:]...)
	}
	return out
}

func (u *untidy) set(s *Set) []string {
	number := fmt.Sprint(s.Number)
	again := "" // the number on further rows
	if u.sometimes() {
		again = number
	}
	if u.sometimes() {
		number = u.oneOf("Set ", "set", " 0", "Test ", "") + number + u.oneOf("", ".0", " ", ".")
	}
	live, contacts := u.nodes(s.Live), u.nodes(s.Contacts)
	cells := u.cells(s.Commands)
	var rows []string
	for i, c := range cells {
		set := number
		if i > 0 {
			set = again
			if !u.sometimes() {
				live, contacts = "", ""
			}
		}
		row := strings.Join([]string{u.blanks() + set, c, live, contacts}, u.delimiter)
		if row = strings.TrimRight(row, u.delimiter); u.sometimes() {
			row += strings.Repeat(u.delimiter, 3)
		}
		rows = append(rows, row)
		if u.sometimes() {
			rows = append(rows, u.oneOf("", "  ", "# a remark, \"such (as\" this", u.delimiter+u.delimiter))
		}
	}
	return rows
}

// cells writes commands into cells, several in one now and then.
func (u *untidy) cells(commands []Command) []string {
	if len(commands) == 0 {
		return []string{""}
	}
	var cells []string
	for i := 0; i < len(commands); i++ {
		text, joined := u.command(commands[i]), false
		for i+1 < len(commands) && u.sometimes() {
			i++
			seps := []string{";", "; "}
			if u.newline != "\r" {
				seps = append(seps, u.newline)
			}
			text, joined = text+u.oneOf(seps...)+u.command(commands[i]), true
		}
		switch {
		case joined || u.sometimes():
			text = `"` + strings.ReplaceAll(text, `"`, `""`) + `"` + u.oneOf("", " ")
		case u.sometimes():
			text = "“" + text + "”"
		}
		cells = append(cells, u.blanks()+text)
	}
	return cells
}

func (u *untidy) command(c Command) string {
	switch c.Kind {
	case Fail, Recover:
		word := map[Kind]string{Fail: u.oneOf("F", "f", "Fail"), Recover: u.oneOf("R", "r", "Recover")}[c.Kind]
		return word + u.oneOf("(", " (", "( ") + u.node(c.Node) + ")"
	case LeaderFail:
		return u.oneOf("LF", "lf") + strings.TrimPrefix(c.Text, "LF")
	case Read:
		if c.Item > 0 && u.sometimes() {
			return u.oneOf("-", "–") + fmt.Sprint(c.Item)
		}
	}
	parts := strings.Split(strings.Trim(c.Text, "()"), ", ")
	for i := range parts {
		quote := u.oneOf("", "", "'")
		parts[i] = u.blanks() + quote + parts[i] + quote + u.blanks()
	}
	return "(" + strings.Join(parts, u.oneOf(",", ", ", "，")) + u.oneOf("", ",") + ")"
}

func (u *untidy) node(id string) string {
	return u.oneOf("n", "N", "S", "s", "", "n0", "Node ") + strings.TrimPrefix(id, "n")
}

func (u *untidy) nodes(nodes []string) string {
	if nodes == nil {
		return u.oneOf("", "", "[]", "All")
	}
	quote := u.oneOf("", "", "'")
	spelled := make([]string, len(nodes))
	for i, id := range nodes {
		spelled[i] = quote + u.node(id) + quote
	}
	list := strings.Join(spelled, u.oneOf(", ", ",", " , ", "; "))
	if quote == "" && u.sometimes() && len(nodes) > 1 {
		list = strings.Join(nodes, " ")
	}
	switch u.oneOf("unquoted", "brackets", "braces", "bare") {
	case "unquoted":
		return "[" + list + "]" + u.blanks()
	case "brackets":
		return `"[` + u.blanks() + list + `]"`
	case "braces":
		return `"{` + list + `}"`
	}
	return `"` + list + `"`
}
