package launch

import (
	"slices"
	"strings"
	"testing"
)

// FuzzSplit: no panic, and the words, each in single quotes, are what the shell
// would make of them again.
func FuzzSplit(f *testing.F) {
	for _, s := range []string{
		"./my-node --id {id} --listen {listen} --data {data}", `java -jar "my node.jar" {id}`,
		`sh -c 'exec ./n "$0"' {id}`, `a\ b "c\"d" ''`, `"open`, `end\`, "",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		words, err := Split(line)
		if err != nil {
			return
		}
		quoted := make([]string, len(words))
		for i, w := range words {
			quoted[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
		again, err := Split(strings.Join(quoted, " "))
		if err != nil || !slices.Equal(words, again) {
			t.Fatalf("%q gives %q, which gives %q, %v", line, words, again, err)
		}
	})
}
