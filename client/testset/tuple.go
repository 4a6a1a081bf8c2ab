package testset

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"paxbank/internal/topology"
)

var (
	moneyPattern = regexp.MustCompile(`^(?:[$€£]\s*([+-]?[0-9]+(?:\.0*)?)|([+-]?[0-9]+(?:\.0*)?)\s*[$€£])$`)
	wholeDecimal = regexp.MustCompile(`^([+-]?[0-9]+)\.0*$`)
	arrow        = regexp.MustCompile(`\s*(?:[-=]+>|→|⇒)\s*`)
	wordPattern  = regexp.MustCompile(`^[A-Za-z][A-Za-z _-]*$`)
)

// transferParts are the parts of a transfer.
var transferParts = [3]string{"sender", "receiver", "amount"}

// The consistency level that every read and transfer has, and those that people
// write in the hope of another one.
var (
	ourLevels   = []string{"linearizable", "linearisable"}
	otherLevels = []string{"eventual", "causal", "sequential", "serializable", "serialisable", "snapshot", "stale", "strong", "weak", "bounded", "session", "local", "quorum"}
)

// value is a part of a tuple: a number, or the name of an item.
type value struct {
	number int64
	name   string
	piece
}

func (v value) String() string {
	if v.name != "" {
		return v.name
	}
	return strconv.FormatInt(v.number, 10)
}

func (r *commandReader) part(v value) part { return part{v.name, r.at(v.offset)} }

// tuple reads (s) and (s, r, amt), either with a consistency level.
func (r *commandReader) tuple(p piece) []Command {
	s := p.text
	end := strings.IndexByte(s, ')')
	if end < 0 {
		r.bad(p.offset, "%q has no closing parenthesis (write (s, r, amt))", s)
		return nil
	}
	if end+1 < len(s) {
		r.trailing(p, end)
		return nil
	}
	if i := strings.IndexAny(s[1:end], "([{]}"); i >= 0 {
		r.bad(p.offset+1+i, "unexpected %s in %q (write (s, r, amt))", s[1+i:2+i], s)
		return nil
	}
	parts, ok := r.level(p, r.cut(piece{s[1:end], p.offset + 1}))
	if !ok {
		return nil
	}
	values, ok := r.values(p, parts)
	if !ok {
		return nil
	}
	switch len(values) {
	case 1:
		v := values[0]
		return []Command{{Kind: Read, Item: v.number, Text: fmt.Sprintf("(%s)", v), parts: [3]part{r.part(v)}}}
	case len(transferParts):
		from, to, amount := values[0], values[1], values[2]
		if amount.name != "" {
			r.bad(amount.offset, "%q is not a whole number (%s)", amount.name, wholeNumberTip)
			return nil
		}
		return []Command{{Kind: Transfer, From: from.number, To: to.number, Amount: amount.number,
			Text: fmt.Sprintf("(%s, %s, %d)", from, to, amount.number), parts: [3]part{r.part(from), r.part(to), r.part(amount)}}}
	}
	tip := "a transfer has three, (s, r, amt); a read has one, (s)"
	if len(values) > len(transferParts) {
		tip = "a transfer has three, (s, r, amt), without separators of thousands"
	}
	r.bad(p.offset, "%q has %d numbers (%s)", s, len(values), tip)
	return nil
}

// cut splits the inside of a tuple: at commas, at semicolons where there are no
// commas, and at the arrow of (1 -> 2, 3).
func (r *commandReader) cut(inside piece) []piece {
	seps := ","
	if !strings.Contains(inside.text, ",") && strings.Contains(inside.text, ";") {
		seps = ";"
		r.odd(inside.offset, "semicolons in (%s) are read as commas", inside.text)
	}
	parts := inside.split(seps)
	if len(parts) > 1 && parts[len(parts)-1].text == "" { // "(44,)"
		parts = parts[:len(parts)-1]
	}
	first := parts[0]
	if m := arrow.FindStringIndex(first.text); m != nil && m[0] > 0 {
		r.odd(first.offset, "%q is taken for %q (write (s, r, amt))", first.text, first.text[:m[0]]+", "+first.text[m[1]:])
		parts = slices.Insert(parts, 1, piece{first.text[m[1]:], first.offset + m[1]})
		parts[0] = piece{first.text[:m[0]], first.offset}
	}
	return parts
}

// level takes the consistency level off the end. Of two parts, or four, the last
// can be nothing else; of three only a word that is known as one.
func (r *commandReader) level(p piece, parts []piece) ([]piece, bool) {
	n := len(parts)
	if n < 2 {
		return parts, true
	}
	last := parts[n-1].unquote()
	word := strings.ToLower(last.text)
	switch {
	case slices.Contains(ourLevels, word):
		return parts[:n-1], true
	case slices.Contains(otherLevels, word), n > len(transferParts) && wordPattern.MatchString(word):
		r.bad(last.offset, "consistency level %q is not built yet (leave it out, or write linearizable)", last.text)
		return nil, false
	case n == 2 && wordPattern.MatchString(word):
		r.bad(last.offset, "%q is no consistency level, and an amount is missing if it is a receiver (a transfer is (s, r, amt), a read (s) or (s, linearizable))", last.text)
		return nil, false
	}
	return parts, true
}

// values reads the parts of a tuple.
func (r *commandReader) values(p piece, parts []piece) (values []value, ok bool) {
	ok = true
	for _, one := range parts {
		one = one.unquote()
		v := value{piece: one}
		text := one.text
		if m := moneyPattern.FindStringSubmatch(text); m != nil && len(values) == len(transferParts)-1 {
			text = m[1] + m[2]
		}
		if m := wholeDecimal.FindStringSubmatch(text); m != nil {
			text = m[1]
		}
		if text != one.text {
			r.odd(one.offset, "%q is read as %s (%s)", one.text, text, wholeNumberTip)
		}
		number, err := strconv.ParseInt(text, 10, 64)
		switch {
		case text == "":
			r.bad(one.offset, "a number is missing in %q (write (s, r, amt) or (s))", p.text)
			ok = false
		case errors.Is(err, strconv.ErrRange):
			r.bad(one.offset, "number %s is too large (%s)", text, wholeNumberTip)
			ok = false
		case err == nil:
			v.number = number
		case topology.ValidItemName(text):
			v.name = text
		default:
			r.bad(one.offset, "%q is not a whole number (%s)", text, wholeNumberTip)
			ok = false
		}
		values = append(values, v)
	}
	return values, ok
}
