package sandbox

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"

	"pgregory.net/rapid"
)

func TestEscape(t *testing.T) {
	for text, want := range map[string]string{
		"plain äöü 漢字\n\tline":        "plain äöü 漢字\n\tline",
		"\x1b[31mred\x1b]0;title\x07": `\x1b[31mred\x1b]0;title\x07`,
		"\r\b\x00\x7f\u009b2J":        `\x0d\x08\x00\x7f\x9b2J`,
		"bad\xffutf\xc3":              `bad\xffutf\xc3`,
		"\ufffd":                      "\ufffd",
		"a\u202egnp.exe\u2066\u200b":  `a\x{202e}gnp.exe\x{2066}\x{200b}`,
	} {
		if got := Escape(text); got != want {
			t.Errorf("Escape(%q) = %q, want %q", text, got, want)
		}
	}
	long := Escape(strings.Repeat("x", 100_000))
	if want := strings.Repeat("x", 64<<10) + fmt.Sprintf("… (%d more bytes)", 100_000-64<<10); long != want {
		t.Errorf("%d bytes: …%s", len(long), long[max(len(long)-40, 0):])
	}
}

func TestEscapedIsPrintable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := string(rapid.SliceOf(rapid.Byte()).Draw(t, "text"))
		for _, r := range Escape(text) {
			if r != '\n' && r != '\t' && !unicode.IsPrint(r) {
				t.Fatalf("Escape(%q) has %q", text, r)
			}
		}
	})
}

// Whatever the pieces, the log has the beginning and the end of the output.
func TestKeeper(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	rapid.Check(t, func(t *rapid.T) {
		pieces := rapid.SliceOf(rapid.SliceOfN(rapid.Byte(), 0, 30)).Draw(t, "pieces")
		keep := rapid.IntRange(4, 60).Draw(t, "keep")
		log, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		k := newKeeper(log, int64(keep))
		for _, p := range pieces {
			k.add(p)
		}
		o, err := k.close()
		if err != nil {
			t.Fatal(err)
		}
		all := slices.Concat(pieces...)
		want := string(all)
		if dropped := len(all) - keep; dropped > 0 {
			want = fmt.Sprintf("%s\n[%d bytes of output are left out here]\n%s", all[:keep-keep/4], dropped, all[len(all)-keep/4:])
		}
		got, err := os.ReadFile(path)
		if err != nil || string(got) != want || o.Bytes != int64(len(all)) {
			t.Fatalf("kept %q (%v, %+v), want %q", got, err, o, want)
		}
	})
}
