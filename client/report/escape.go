package report

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Names, messages and outputs come from programs that nobody here wrote. Every
// string of theirs passes visible before it is shown; what else a format takes
// for syntax, it escapes itself.

// Bounds of single strings, in bytes. What is cut off is counted.
const (
	maxName    = 200
	maxCell    = 1_000
	maxMessage = 4_000
	maxOutput  = 16_000 // of one section
)

// safe is text of our own that is printed as it stands, such as colours.
type safe string

// visible shows whatever is no printable character as an escape: control
// characters (and with them ANSI sequences), bidirectional and other formatting
// characters, and bytes that are not UTF-8. Characters in keep stay.
func visible(s, keep string) string {
	if plain(s) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case strconv.IsGraphic(r) || strings.ContainsRune(keep, r):
			b.WriteRune(r)
		default:
			quoted := strconv.QuoteRuneToASCII(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		}
		i += size
	}
	return b.String()
}

// plain reports whether s is printable ASCII, as nearly everything is.
func plain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// cut shortens s to at most limit bytes and says how many are missing.
func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	n := limit
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return fmt.Sprintf("%s… (%d more bytes)", s[:n], len(s)-n)
}

// oneLine is s as a name or a cell can show it.
func oneLine(s string, limit int) string { return visible(cut(s, limit), "") }

// lines is s as a text of several lines can show it.
func lines(s string, limit int) string {
	return visible(cut(strings.ReplaceAll(s, "\r\n", "\n"), limit), "\n\t")
}

// quiet breaks what a log reader of GitHub Actions would carry out as a command
// of ours: "::" at the beginning of a line, and "##[" anywhere.
func quiet(s string) string {
	s = strings.ReplaceAll(s, "##[", `#\#[`)
	out := strings.Split(s, "\n")
	for i, line := range out {
		if text := strings.TrimLeftFunc(line, unicode.IsSpace); strings.HasPrefix(text, "::") {
			out[i] = line[:len(line)-len(text)] + `\` + text
		}
	}
	return strings.Join(out, "\n")
}
