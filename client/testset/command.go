package testset

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

var (
	markerPattern  = regexp.MustCompile(`^([A-Za-z][A-Za-z _]*?)\s*(?:([(\[{])([^()\[\]{}]*)[)\]}])?$`)
	spacedMarker   = regexp.MustCompile(`^([A-Za-z]+)\s+([A-Za-z]*[0-9]+)$`)
	damagedRead    = regexp.MustCompile(`^-([0-9]+)(?:\.0*)?$`)
	numberPattern  = regexp.MustCompile(`^[+-]?[0-9]+(?:\.[0-9]*)?$`)
	numberedGroup  = regexp.MustCompile(`^[cC]?0*([1-9][0-9]*)$`)
	wholeNumberTip = "write whole numbers, e.g. (21, 700, 2)"
)

const commandTip = "write (s, r, amt), (s), F(n3), R(n3) or LF"

// markerWords are the spellings of markers, without blanks and in lower case.
var markerWords = map[string]Kind{
	"f": Fail, "fail": Fail, "fails": Fail, "failure": Fail,
	"r": Recover, "recover": Recover, "recovers": Recover, "recovery": Recover,
	"lf": LeaderFail, "leaderfail": LeaderFail, "leaderfails": LeaderFail, "leaderfailure": LeaderFail,
}

// commandReader reads commands out of a cell and reports what it cannot read.
type commandReader struct {
	diag    *diagnostics
	*cursor // of the cell
}

func (r *commandReader) bad(offset int, format string, args ...any) {
	at := r.at(offset)
	r.diag.add(at, format, args...)
}

func (r *commandReader) odd(offset int, format string, args ...any) {
	at := r.at(offset)
	r.diag.warn(at, format, args...)
}

// command reads the text of one command. That is one command, or several for
// F(n1, n2); none when there was an error, which is then reported.
func (r *commandReader) command(p piece) []Command {
	p = p.unquote()
	var all []Command
	switch s := p.text; {
	case strings.HasPrefix(s, "("):
		all = r.tuple(p)
	case damagedRead.MatchString(s):
		item, err := strconv.ParseInt(damagedRead.FindStringSubmatch(s)[1], 10, 64)
		if err != nil {
			r.bad(p.offset, "number %s is too large (%s)", s, wholeNumberTip)
			break
		}
		all = []Command{{Kind: Read, Item: item, Text: fmt.Sprintf("(%d)", item), parts: [3]part{{place: r.at(p.offset)}}}}
		r.odd(p.offset, "%s is taken for %s, which spreadsheets turn into a negative number", s, all[0].Text)
	case numberPattern.MatchString(s):
		r.bad(p.offset, "%q is not a command (a read is written (%s), a transfer \"(s, r, amt)\" in one cell)", s, s)
	case s != "" && strings.IndexByte("[{", s[0]) >= 0:
		r.bad(p.offset, "%q is not a command (put commands in round brackets; live nodes belong in the column behind the command)", s)
	case !strings.ContainsAny(s, "()[]{}") && len(p.split(",")) == len(transferParts):
		if all = r.tuple(piece{"(" + s + ")", p.offset - 1}); len(all) == 1 {
			r.odd(p.offset, "%q is taken for %s (write the parentheses)", s, all[0].Text)
		}
	default:
		all = r.marker(p)
	}
	for i := range all {
		if all[i].Line == 0 {
			at := r.at(p.offset)
			all[i].Line, all[i].Column = at.line, at.column
		}
	}
	return all
}

// marker reads F(n3), R(n3), LF and LF(c2).
func (r *commandReader) marker(p piece) []Command {
	s := p.text
	m := markerPattern.FindStringSubmatchIndex(s)
	if m == nil || m[4] < 0 {
		if sp := spacedMarker.FindStringSubmatchIndex(s); sp != nil && markerWords[strings.ToLower(s[sp[2]:sp[3]])] != 0 {
			r.odd(p.offset, "%q is taken for %s(%s) (write the parentheses)", s, s[sp[2]:sp[3]], s[sp[4]:sp[5]])
			m = []int{0, len(s), sp[2], sp[3], sp[4], sp[4], sp[4], sp[5]}
		}
	}
	if m == nil {
		if end := strings.IndexByte(s, ')'); end >= 0 && markerPattern.MatchString(s[:end+1]) {
			r.trailing(p, end)
			return nil
		}
		r.bad(p.offset, "%q is not a command (%s)", s, commandTip)
		return nil
	}
	word := s[m[2]:m[3]]
	kind := markerWords[strings.ToLower(strings.NewReplacer(" ", "", "_", "").Replace(word))]
	if kind == 0 {
		r.bad(p.offset, "unknown command %q (%s)", word, commandTip)
		return nil
	}
	arg := piece{"", p.offset + len(s)}
	if m[4] >= 0 {
		arg = piece{s[m[6]:m[7]], p.offset + m[6]}.unquote()
		if open := s[m[4]:m[5]]; open == "[" || open == "{" {
			r.odd(p.offset, "%q is read as if its bracket were a round one", s)
		}
	}
	if kind == LeaderFail {
		return r.leaderFail(arg)
	}
	letter := map[Kind]string{Fail: "F", Recover: "R"}[kind]
	if arg.text == "" {
		r.bad(p.offset, "%s names no node (write %s(n3))", word, letter)
		return nil
	}
	var all []Command
	for _, one := range arg.split(",;") {
		one = one.unquote()
		node, ok := canonicalNode(one.text)
		if !ok {
			r.bad(one.offset, "%q is not a node (write %s(n3))", one.text, letter)
			continue
		}
		at := r.at(one.offset)
		c := Command{Kind: kind, Node: node, Text: fmt.Sprintf("%s(%s)", letter, node), parts: [3]part{{place: at}}}
		if len(all) > 0 {
			c.Line, c.Column = at.line, at.column
		}
		all = append(all, c)
	}
	if len(all) > 1 {
		r.odd(p.offset, "%q is taken for %d markers, one a node", s, len(all))
	}
	return all
}

func (r *commandReader) leaderFail(arg piece) []Command {
	c := Command{Kind: LeaderFail, Text: "LF", parts: [3]part{{place: r.at(arg.offset)}}}
	if arg.text != "" {
		cluster, ok := canonicalCluster(arg.text)
		if !ok {
			r.bad(arg.offset, "%q is not a cluster (write LF for all clusters, or LF(c2))", arg.text)
			return nil
		}
		c.Cluster, c.Text = cluster, fmt.Sprintf("LF(%s)", cluster)
	}
	return []Command{c}
}

// trailing reports what stands behind the command that ends at byte end.
func (r *commandReader) trailing(p piece, end int) {
	rest := piece{p.text[end+1:], p.offset + end + 1}.trim()
	if next := strings.TrimLeft(rest.text, ", "); next != "" {
		rest = piece{next, rest.offset + len(rest.text) - len(next)}
	}
	r.bad(rest.offset, "%q after a command (one command a row, or separate them with ;)", rest.text)
}

func canonicalCluster(s string) (string, bool) {
	if m := numberedGroup.FindStringSubmatch(s); m != nil {
		return "c" + m[1], true
	}
	return s, nodePattern.MatchString(s)
}
