package drive

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// plainWord is a word that means itself to every shell.
var plainWord = regexp.MustCompile(`^[A-Za-z0-9_@%+:,./-][A-Za-z0-9_@%+=:,./-]*$`)

// CommandLine joins words to one line that a POSIX shell takes apart into the
// same words again: what is not plain stands in single quotes.
func CommandLine(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		if !plainWord.MatchString(w) {
			w = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
		quoted[i] = w
	}
	return strings.Join(quoted, " ")
}

// Program is this program as the user can call it from where he is.
func Program() string {
	if filepath.IsAbs(os.Args[0]) {
		return Shown(os.Args[0])
	}
	return os.Args[0]
}
