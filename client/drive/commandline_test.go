package drive

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"paxbank/client/launch"
)

func TestCommandLine(t *testing.T) {
	got := CommandLine([]string{"bin/client", "run", "my sets/course.csv", "--topology", "4=bank.yaml", "--node-cmd", "sh -c 'x {id}'", "", "a=b", "=b", "$HOME", "~"})
	want := `bin/client run 'my sets/course.csv' --topology 4=bank.yaml --node-cmd 'sh -c '\''x {id}'\''' '' a=b '=b' '$HOME' '~'`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// Our own reader of command lines takes them apart again, whatever the words.
func TestCommandLineSplits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOfN(rapid.StringMatching(`[a-z'"\\ $*\n=;&{}~#-]{0,8}`), 1, 6).Draw(t, "words")
		line := CommandLine(words)
		if got, err := launch.Split(line); err != nil || !slices.Equal(got, words) {
			t.Fatalf("%q became %s and then %q, %v", words, line, got, err)
		}
	})
}

// A real shell does too.
func TestCommandLineInAShell(t *testing.T) {
	words := []string{"a b", "it's", `"$HOME"`, "`date`", "*", "~", "#no", "x;y", "", "new\nline", `back\slash`, "{id}"}
	out, err := exec.Command("sh", "-c", `printf '%s\0' `+CommandLine(words)).Output()
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00"); !slices.Equal(got, words) {
		t.Errorf("the shell made of it %q, want %q", got, words)
	}
}
