package testset

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"paxbank/internal/topology"
)

var (
	nodePattern  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]*$`)
	numberedNode = regexp.MustCompile(`^(?i:node|server|replica|n|s)?[ _-]?0*([1-9][0-9]*)$`)
	nodeRange    = regexp.MustCompile(`^([A-Za-z]*)0*([1-9][0-9]*)\s*(?:-|\.{2,3}|…|to)\s*([A-Za-z]*)0*([1-9][0-9]*)$`)
	allNodes     = regexp.MustCompile(`^(?i:\*|all(?: live)?(?: nodes| servers)?)$`)
)

const listTip = `write "[n1, n2, n3]"`

// What messages call the lists of a set.
const (
	liveList    = "live list"
	contactList = "contact list"
)

// canonicalNode writes n3, N3, S3 and 3 as n3; other names stay as they are.
// File.Check maps back when a topology names its nodes otherwise.
func canonicalNode(s string) (string, bool) {
	if m := numberedNode.FindStringSubmatch(s); m != nil {
		return "n" + m[1], true
	}
	return s, nodePattern.MatchString(s)
}

// listed is a list of nodes, and where each of them stands.
type listed struct {
	nodes []string // nil means all
	at    []place
}

func (l *listed) add(node string, at place) {
	l.nodes = append(l.nodes, node)
	l.at = append(l.at, at)
}

// equal reports whether both name the same nodes, in whatever order.
func (l listed) equal(other []string) bool {
	a, b := slices.Clone(l.nodes), slices.Clone(other)
	slices.Sort(a)
	slices.Sort(b)
	return (l.nodes == nil) == (other == nil) && slices.Equal(slices.Compact(a), slices.Compact(b))
}

// nodeList reads [n1, n2], or the same with other brackets or none. what calls it
// in messages. ok is false when there was an error; what could be read is in the
// list nevertheless.
func nodeList(c cell, what string, diag *diagnostics) (list listed, ok bool) {
	p, positions := piece{c.Text, 0}.unquote(), c.cursor()
	const opening, closing = "[{(", "]})"
	open := p.text != "" && strings.IndexByte(opening, p.text[0]) >= 0
	closed := p.text != "" && strings.IndexByte(closing, p.text[len(p.text)-1]) >= 0
	round := open && p.text[0] == '('
	if open || closed {
		if !open || !closed || strings.IndexByte(opening, p.text[0]) != strings.IndexByte(closing, p.text[len(p.text)-1]) {
			at := positions.at(p.offset)
			diag.add(at, "%s %q lacks a bracket (%s)", what, p.text, listTip)
			return list, false
		}
		p = piece{p.text[1 : len(p.text)-1], p.offset + 1}
	}
	if p = p.unquote(); p.text == "" || allNodes.MatchString(p.text) {
		return list, true
	}
	parts := p.split(",;\n")
	if len(parts) == 1 {
		parts = wordsOf(parts[0])
	}
	if round && !slices.ContainsFunc(parts, letteredNode) {
		// (1, 2, 3) could be anything, and is a transfer more often than not.
		diag.add(positions.at(p.offset-1), "%q is not a %s (%s; one command a row)", c.Text, what, listTip)
		return list, false
	}
	ok = true
	for i, one := range parts {
		one = one.unquote()
		at := positions.at(one.offset)
		switch node, good := canonicalNode(one.text); {
		case one.text == "" && i > 0 && i == len(parts)-1:
			diag.warn(at, "the %s ends with a comma (%s)", what, listTip)
		case one.text == "":
			diag.add(at, "a node is missing in the %s %q (%s)", what, c.Text, listTip)
			ok = false
		case one.text == "…" || strings.Trim(one.text, ".") == "":
			ok = list.gap(at, one, parts[i+1:], diag) && ok
		case nodeRange.MatchString(one.text):
			ok = list.span(at, one, diag) && ok
		case !good:
			diag.add(at, "%q is not a node (%s)", one.text, listTip)
			ok = false
		default:
			list.add(node, at)
		}
	}
	return list, ok
}

// letteredNode reports whether p is a numbered node with more than its number.
func letteredNode(p piece) bool {
	text := p.unquote().text
	return nodeNumber(text) > 0 && !numberPattern.MatchString(text)
}

// wordsOf splits a list that is separated by blanks, if all of its words are
// numbered nodes.
func wordsOf(p piece) []piece {
	var words []piece
	for i := 0; i < len(p.text); {
		n := strings.IndexAny(p.text[i:], blankRunes)
		if n < 0 {
			n = len(p.text) - i
		}
		if n > 0 {
			word := piece{p.text[i : i+n], p.offset + i}
			if !letteredNode(word) {
				return []piece{p}
			}
			words = append(words, word)
		}
		i += n + 1
	}
	return words
}

// span adds the nodes of n1-n9.
func (l *listed) span(at place, p piece, diag *diagnostics) bool {
	m := nodeRange.FindStringSubmatch(p.text)
	first, errA := strconv.Atoi(m[2])
	last, errB := strconv.Atoi(m[4])
	_, known := canonicalNode(m[1] + m[2])
	if errA != nil || errB != nil || !known || m[3] != "" && !strings.EqualFold(m[1], m[3]) || last <= first || last-first >= topology.MaxNodes {
		diag.add(at, "%q is not a range of nodes (write [n1-n3], or name them one by one)", p.text)
		return false
	}
	diag.warn(at, "%q is taken for n%d to n%d", p.text, first, last)
	for n := first; n <= last; n++ {
		l.add("n"+strconv.Itoa(n), at)
	}
	return true
}

// gap adds the nodes between n3 and n9 in [n1, n2, n3, …, n9].
func (l *listed) gap(at place, p piece, behind []piece, diag *diagnostics) bool {
	before, after := 0, 0
	if n := len(l.nodes); n > 0 {
		before = nodeNumber(l.nodes[n-1])
	}
	if len(behind) > 0 {
		after = nodeNumber(behind[0].unquote().text)
	}
	if before == 0 || after <= before || after-before > topology.MaxNodes {
		diag.add(at, "%q does not stand between two numbered nodes (name the nodes one by one)", p.text)
		return false
	}
	diag.warn(at, "%q is taken for the nodes between n%d and n%d", p.text, before, after)
	for n := before + 1; n < after; n++ {
		l.add("n"+strconv.Itoa(n), at)
	}
	return true
}

// nodeNumber is the number of a numbered node, else 0.
func nodeNumber(s string) int {
	m := numberedNode.FindStringSubmatch(s)
	if m == nil {
		return 0
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		return 0
	}
	return n
}

// nodeName finds the topology's name for a node as Parse wrote it.
func nodeName(node string, t *topology.Topology) (string, bool) {
	if _, _, ok := t.Lookup(node); ok {
		return node, true
	}
	for _, n := range t.Nodes() {
		if canonical, _ := canonicalNode(n.ID); canonical == node {
			return n.ID, true
		}
	}
	return node, false
}

// namesOfNodes names the topology's nodes, briefly.
func namesOfNodes(t *topology.Topology) string {
	nodes := t.Nodes()
	const most = 12
	if len(nodes) > most {
		return fmt.Sprintf("%s to %s", nodes[0].ID, nodes[len(nodes)-1].ID)
	}
	names := make([]string, len(nodes))
	for i, n := range nodes {
		names[i] = n.ID
	}
	return strings.Join(names, ", ")
}
