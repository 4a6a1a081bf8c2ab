package arch

import (
	"bytes"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
)

// private matches paths that mean something on one machine only. Written in
// pieces so that the rule does not find itself.
var private = regexp.MustCompile(`(^|[^A-Za-z0-9_.\-/~])/(root|work|home/[A-Za-z0-9_]+|Users/[A-Za-z0-9_]+)/` + `|\bsha` + `red/`)

// checkText finds references in one text file to what is not in the repository.
func checkText(name string, text []byte) (findings []string) {
	if bytes.IndexByte(text, 0) >= 0 {
		return nil // not text
	}
	for i, line := range strings.Split(string(text), "\n") {
		if m := private.FindString(line); m != "" {
			findings = append(findings, fmt.Sprintf("%s:%d: %q means nothing outside one machine", name, i+1, strings.TrimSpace(m)))
		}
	}
	return findings
}

// repositoryFiles lists the files that are, or are about to be, in version
// control, relative to root.
func repositoryFiles(root string) ([]string, error) {
	cmd := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("git ls-files: %w", err)
	}
	return strings.FieldsFunc(string(out), func(r rune) bool { return r == 0 }), nil
}
