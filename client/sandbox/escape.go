package sandbox

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// escapeLimit bounds what Escape returns, in bytes, but for the note about what
// is left out.
const escapeLimit = 64 << 10

// Escape makes text that a program printed safe to show on a terminal: whatever
// is not printable (control characters and with them all of ANSI's sequences,
// invalid UTF-8, characters that turn the direction of text around or are not
// seen at all) becomes \x… in hexadecimal; newlines and tabs stay. What is longer
// than 64 KiB is cut, with the number of bytes. HTML and XML have escapes of their own, beside this one.
func Escape(s string) string {
	var b strings.Builder
	for i, r := range s {
		if b.Len() >= escapeLimit {
			fmt.Fprintf(&b, "… (%d more bytes)", len(s)-i)
			break
		}
		switch {
		case r == '\n' || r == '\t':
			b.WriteRune(r)
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], string(utf8.RuneError)):
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case unicode.IsPrint(r):
			b.WriteRune(r)
		case r < 0x100:
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			fmt.Fprintf(&b, `\x{%x}`, r)
		}
	}
	return b.String()
}
