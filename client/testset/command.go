package testset

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

var (
	nodePattern    = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]*$`)
	numberedNode   = regexp.MustCompile(`^[nNsS]?0*([1-9][0-9]*)$`)
	numberedGroup  = regexp.MustCompile(`^[cC]?0*([1-9][0-9]*)$`)
	markerPattern  = regexp.MustCompile(`^([A-Za-z]+)\s*(?:\(\s*([^()]*?)\s*\))?$`)
	damagedRead    = regexp.MustCompile(`^-([0-9]+)$`)
	numberPattern  = regexp.MustCompile(`^[+-]?[0-9]+$`)
	levelPattern   = regexp.MustCompile(`^[A-Za-z][A-Za-z _-]*$`)
	wholeNumberTip = "write whole numbers, e.g. (21, 700, 2)"
)

// offence is what is wrong with a command, and at which byte of it.
type offence struct {
	offset int
	text   string
}

func offend(offset int, format string, args ...any) *offence {
	return &offence{offset, fmt.Sprintf(format, clip(args)...)}
}

// piece is a part of a text and the offset it starts at.
type piece struct {
	text   string
	offset int
}

// split cuts s at any byte of seps that stands outside brackets, and trims.
func split(s, seps string) []piece {
	var out []piece
	depth, start := 0, 0
	cut := func(end int) {
		text := strings.TrimLeft(s[start:end], " \t\r\n\u00a0")
		p := piece{strings.TrimRight(text, " \t\r\n\u00a0"), end - len(text)}
		out = append(out, p)
	}
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '(', '[':
			depth++
		case ')', ']':
			depth--
		default:
			// A newline separates also where a bracket was left open, so that one bad
			// command does not swallow the next one.
			if strings.IndexByte(seps, s[i]) >= 0 && (depth <= 0 || s[i] == '\n') {
				cut(i)
				start, depth = i+1, 0
			}
		}
	}
	cut(len(s))
	return out
}

// parseCommand reads one command. warning is set when the text was odd but
// its meaning is clear.
func parseCommand(s string) (cmd Command, warning string, bad *offence) {
	switch {
	case strings.HasPrefix(s, "("):
		cmd, bad = parseTuple(s)
		return cmd, "", bad
	case damagedRead.MatchString(s):
		item, err := strconv.ParseInt(s[1:], 10, 64)
		if err != nil {
			return cmd, "", offend(0, "number %s is too large (%s)", s, wholeNumberTip)
		}
		cmd = Command{Kind: Read, Item: item, Text: fmt.Sprintf("(%d)", item)}
		return cmd, fmt.Sprintf("%s is taken for %s, which spreadsheets turn into a negative number", s, cmd.Text), nil
	case numberPattern.MatchString(s):
		return cmd, "", offend(0, "%q is not a command (a read is written (%s))", s, s)
	}
	m := markerPattern.FindStringSubmatchIndex(s)
	if m == nil {
		return cmd, "", offend(0, "%q is not a command (write (s, r, amt), (s), F(n3), R(n3) or LF)", s)
	}
	word, arg, argAt := s[m[2]:m[3]], "", len(s)
	if m[4] >= 0 {
		arg, argAt = s[m[4]:m[5]], m[4]
	}
	switch strings.ToUpper(word) {
	case "F", "R":
		cmd.Kind = Fail
		if strings.EqualFold(word, "R") {
			cmd.Kind = Recover
		}
		if arg == "" {
			return cmd, "", offend(0, "%s names no node (write %s(n3))", word, strings.ToUpper(word))
		}
		node, ok := canonicalNode(arg)
		if !ok {
			return cmd, "", offend(argAt, "%q is not one node (write %s(n3), one node each)", arg, strings.ToUpper(word))
		}
		cmd.Node = node
		cmd.Text = fmt.Sprintf("%s(%s)", strings.ToUpper(word), node)
		return cmd, "", nil
	case "LF":
		cmd.Kind, cmd.Text = LeaderFail, "LF"
		if arg != "" {
			cluster, ok := canonicalCluster(arg)
			if !ok {
				return cmd, "", offend(argAt, "%q is not a cluster (write LF for all clusters, or LF(c2))", arg)
			}
			cmd.Cluster, cmd.Text = cluster, fmt.Sprintf("LF(%s)", cluster)
		}
		return cmd, "", nil
	}
	return cmd, "", offend(0, "unknown command %q (write (s, r, amt), (s), F(n3), R(n3) or LF)", s)
}

// parseTuple reads (s), (s, r, amt), either with a consistency level.
func parseTuple(s string) (Command, *offence) {
	var cmd Command
	end := strings.IndexByte(s, ')')
	if end < 0 {
		return cmd, offend(0, "%q has no closing parenthesis (write (s, r, amt))", s)
	}
	if rest := strings.TrimSpace(s[end+1:]); rest != "" {
		return cmd, offend(strings.Index(s[end+1:], rest)+end+1, "%q after a command (one command a row, or separate them with ;)", rest)
	}
	if open := strings.LastIndexByte(s[:end], '('); open > 0 {
		return cmd, offend(open, "unexpected ( in %q (write (s, r, amt))", s)
	}
	parts := split(s[1:end], ",")
	for i := range parts {
		parts[i].offset++
	}
	if len(parts) > 1 && parts[len(parts)-1].text == "" { // "(44,)"
		parts = parts[:len(parts)-1]
	}
	if n := len(parts); n > 1 && levelPattern.MatchString(parts[n-1].text) {
		level := strings.ToLower(strings.TrimSpace(parts[n-1].text))
		if level != "linearizable" && level != "linearisable" {
			return cmd, offend(parts[n-1].offset, "consistency level %q is not built yet (leave it out, or write linearizable)", parts[n-1].text)
		}
		parts = parts[:n-1]
	}
	var numbers []int64
	for _, p := range parts {
		if p.text == "" {
			return cmd, offend(p.offset, "a number is missing in %q (write (s, r, amt) or (s))", s)
		}
		v, err := strconv.ParseInt(p.text, 10, 64)
		switch {
		case errors.Is(err, strconv.ErrRange):
			return cmd, offend(p.offset, "number %s is too large (%s)", p.text, wholeNumberTip)
		case err != nil:
			return cmd, offend(p.offset, "%q is not a whole number (%s)", p.text, wholeNumberTip)
		}
		numbers = append(numbers, v)
	}
	switch len(numbers) {
	case 1:
		cmd = Command{Kind: Read, Item: numbers[0], Text: fmt.Sprintf("(%d)", numbers[0])}
	case 3:
		cmd = Command{Kind: Transfer, From: numbers[0], To: numbers[1], Amount: numbers[2]}
		cmd.Text = fmt.Sprintf("(%d, %d, %d)", cmd.From, cmd.To, cmd.Amount)
	default:
		return cmd, offend(0, "%q has %d numbers (a transfer has three, (s, r, amt); a read has one, (s))", s, len(numbers))
	}
	return cmd, nil
}

// canonicalNode writes n3, N3, S3 and 3 as n3; other names stay as they are.
// File.Check maps back when a topology names its nodes otherwise.
func canonicalNode(s string) (string, bool) {
	if m := numberedNode.FindStringSubmatch(s); m != nil {
		return "n" + m[1], true
	}
	return s, nodePattern.MatchString(s)
}

func canonicalCluster(s string) (string, bool) {
	if m := numberedGroup.FindStringSubmatch(s); m != nil {
		return "c" + m[1], true
	}
	return s, nodePattern.MatchString(s)
}
