package arch

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	markdownLink = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading      = regexp.MustCompile(`(?m)^#+ (.+)$`)
	notAnchor    = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// anchors are the names under which a page's headings can be linked to.
func anchors(page string) map[string]bool {
	found := map[string]bool{}
	for _, m := range heading.FindAllStringSubmatch(page, -1) {
		name := notAnchor.ReplaceAllString(strings.ToLower(m[1]), "")
		found[strings.ReplaceAll(name, " ", "-")] = true
	}
	return found
}

// brokenLinks returns the links of a page that lead nowhere in the repository.
// read returns a file's content; directories are read as empty files.
func brokenLinks(name, page string, read func(string) (string, error)) (findings []string) {
	for _, m := range markdownLink.FindAllStringSubmatch(page, -1) {
		target, anchor, _ := strings.Cut(m[1], "#")
		if strings.Contains(target, "://") {
			continue
		}
		text, file := page, name
		if target != "" {
			file = path.Join(path.Dir(name), target)
			var err error
			if text, err = read(file); err != nil {
				findings = append(findings, fmt.Sprintf("%s: %s leads nowhere", name, m[1]))
				continue
			}
		}
		if anchor != "" && !anchors(text)[anchor] {
			findings = append(findings, fmt.Sprintf("%s: %s has no heading for #%s", name, file, anchor))
		}
	}
	return findings
}

func TestDocumentsLinkToWhatIsThere(t *testing.T) {
	names, err := repositoryFiles(root)
	if err != nil {
		t.Fatal(err)
	}
	pages := 0
	for _, name := range names {
		if !strings.HasSuffix(name, ".md") {
			continue
		}
		page, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		pages++
		report(t, brokenLinks(name, string(page), func(file string) (string, error) {
			full := filepath.Join(root, filepath.FromSlash(file))
			if st, err := os.Stat(full); err != nil || st.IsDir() {
				return "", err
			}
			text, err := os.ReadFile(full)
			return string(text), err
		}))
	}
	if pages < 4 {
		t.Errorf("only %d pages found", pages)
	}
}

func TestBrokenLinks(t *testing.T) {
	files := map[string]string{"docs/b.md": "# The `Bank`, part 2\n", "docs": ""}
	read := func(file string) (string, error) {
		if text, ok := files[file]; ok {
			return text, nil
		}
		return "", os.ErrNotExist
	}
	good := "## Top\n[a](docs/b.md) [b](docs/b.md#the-bank-part-2) [c](#top) [d](docs/) [e](https://example.org/x#y)"
	if got := brokenLinks("a.md", good, read); len(got) > 0 {
		t.Errorf("good links are called broken: %q", got)
	}
	bad := "[a](b.md) [b](docs/b.md#part-2) [c](#top)"
	if got := brokenLinks("a.md", bad, read); len(got) != 3 {
		t.Errorf("three links are broken, found %q", got)
	}
}
