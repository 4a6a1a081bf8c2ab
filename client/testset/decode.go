package testset

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// decode turns a file as spreadsheets and editors save it into plain text with
// \n between lines. Every character of the file stays one character, so lines and
// columns remain those of the file; only a byte order mark goes, which editors do
// not count either. ok is false when data is not text.
func decode(data []byte, diag *diagnostics) (text string, ok bool) {
	switch {
	case bytes.HasPrefix(data, []byte("\xff\xfe\x00\x00")): // UTF-32, which is refused below
	case bytes.HasPrefix(data, []byte("\xff\xfe")):
		text, ok = decodeUTF16(data[2:], binary.LittleEndian, diag)
		return plainText(text, diag), ok
	case bytes.HasPrefix(data, []byte("\xfe\xff")):
		text, ok = decodeUTF16(data[2:], binary.BigEndian, diag)
		return plainText(text, diag), ok
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	if i := bytes.IndexByte(data, 0); i >= 0 {
		// An archive, a spreadsheet, a program: hundreds of bad rows say less.
		diag.add(placeIn(string(data[:i]), i), "file is not text (save it as CSV UTF-8)")
		return "", false
	}
	if utf8.Valid(data) {
		return plainText(string(data), diag), true
	}
	return plainText(decodeWindows(data, diag), diag), true
}

// decodeUTF16 reads what spreadsheets call Unicode text.
func decodeUTF16(data []byte, order binary.ByteOrder, diag *diagnostics) (string, bool) {
	units := make([]uint16, 0, len(data)/2)
	for ; len(data) >= 2; data = data[2:] {
		units = append(units, order.Uint16(data))
	}
	text := string(utf16.Decode(units))
	if i := strings.IndexByte(text, 0); i >= 0 || len(data) > 0 {
		if i < 0 {
			i = len(text)
		}
		at := placeIn(text, i)
		diag.add(at, "file is not UTF-16 text, as its first bytes say (save it as CSV UTF-8)")
		return "", false
	}
	return text, true
}

// windows are the characters of Windows-1252 that matter here and are not at
// their byte's place in Unicode.
var windows = map[byte]rune{0x85: '…', 0x91: '‘', 0x92: '’', 0x93: '“', 0x94: '”', 0x96: '–', 0x97: '—'}

// decodeWindows reads bytes that are not UTF-8 as Windows-1252, byte by byte, so
// that a file that mixes both loses nothing.
func decodeWindows(data []byte, diag *diagnostics) string {
	var b strings.Builder
	warned := false
	for len(data) > 0 {
		r, size := utf8.DecodeRune(data)
		if r == utf8.RuneError && size == 1 {
			if !warned {
				warned = true
				at := placeIn(b.String(), b.Len())
				diag.warn(at, "%s", fmt.Sprintf("byte 0x%02x is not UTF-8 and is read as Windows-1252 (save the file as CSV UTF-8)", data[0]))
			}
			r = rune(data[0])
			if special, ok := windows[data[0]]; ok {
				r = special
			}
		}
		b.WriteRune(r)
		data = data[size:]
	}
	return b.String()
}

// curly stands for every typographic double quote. It is not the plain one,
// because it may stand unescaped inside a quoted cell.
const curly = '“'

// plainText gives typographic characters their plain form, one for one.
func plainText(s string, diag *diagnostics) string {
	if !strings.Contains(s, "\n") {
		s = strings.ReplaceAll(s, "\r", "\n")
	}
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf || s[i] < ' ' && s[i] != '\n' && s[i] != '\t' && s[i] != '\r' {
			return plainRunes(s, diag)
		}
	}
	return s
}

func plainRunes(s string, diag *diagnostics) string {
	var b strings.Builder
	b.Grow(len(s))
	warned, lineStart := false, 0
	for i, r := range s {
		p := plainRune(r)
		b.WriteRune(p)
		if r == '\n' {
			lineStart = i + 1
		}
		if p == r && r != curly || p == ' ' || warned || strings.HasPrefix(strings.TrimLeft(s[lineStart:i], " \t"), "#") {
			continue
		}
		warned = true
		at := placeIn(s, i)
		diag.warn(at, "%s", fmt.Sprintf("typographic characters such as %q are read as their plain forms, such as %q", r, plainForm(p)))
	}
	return b.String()
}

func plainForm(r rune) rune {
	if r == curly {
		return '"'
	}
	return r
}

func plainRune(r rune) rune {
	switch r {
	case '\n', '\t', '\r':
		return r
	case '“', '”', '„', '‟', '«', '»', '″', '〝', '〞':
		return curly
	case '‘', '’', '‚', '‛', '′', '`', '´':
		return '\''
	case '‐', '‑', '‒', '–', '—', '―', '−':
		return '-'
	case '、':
		return ','
	}
	switch {
	case r >= '！' && r <= '～': // full-width forms of ASCII
		return r - '！' + '!'
	case unicode.IsSpace(r), unicode.IsControl(r), unicode.Is(unicode.Cf, r): // no-break and zero-width spaces, marks of direction
		return ' '
	}
	return r
}

// placeIn returns the place of byte i of a whole file.
func placeIn(s string, i int) place { return newCursor(s, place{1, 1}).at(i) }
