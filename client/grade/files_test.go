package grade

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

func TestScan(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("answers"), 0o644); err != nil {
		t.Fatal(err)
	}
	write(t, dir, map[string]string{"src/main.c": "int main", "run.sh": "#!/bin/sh", ".git/config": "x", "data.txt": "y"})
	if err := errors.Join(os.Symlink("src/main.c", filepath.Join(dir, "inside")), os.Symlink(secret, filepath.Join(dir, "absolute")),
		os.Symlink("../../../../etc/passwd", filepath.Join(dir, "src", "out")), os.Symlink("nowhere", filepath.Join(dir, "dangling")),
		syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o644), os.Chmod(filepath.Join(dir, "data.txt"), 0o600)); err != nil {
		t.Fatal(err)
	}
	limits := Limits{Bytes: 1 << 20, Files: 100}
	h, err := scan(dir, limits)
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, e := range h.entries {
		paths = append(paths, e.path)
	}
	if want := []string{"data.txt", "inside", "run.sh", "src", "src/main.c"}; !slices.Equal(paths, want) {
		t.Errorf("took %q, want %q", paths, want)
	}
	if notices := strings.Join(h.notices, "\n"); len(h.notices) != 4 || !strings.Contains(notices, `"pipe" is left out: neither a file nor a directory`) ||
		!strings.Contains(notices, `"src/out" is left out: a symbolic link that leads out of the submission`) {
		t.Errorf("notices:\n%s", notices)
	}
	to := t.TempDir()
	if err := h.copyTo(dir, to); err != nil {
		t.Fatal(err)
	}
	copied, err := scan(to, limits)
	if err != nil || copied.hash != h.hash || len(copied.notices) != 0 {
		t.Errorf("the copy differs: %v, %v", copied, err)
	}
	info, err := os.Stat(filepath.Join(to, "run.sh"))
	if err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("run.sh cannot be run any more: %v, %v", info, err)
	}

	for what, change := range map[string]func() error{
		"content": func() error { return os.WriteFile(filepath.Join(to, "data.txt"), []byte("z"), 0o644) },
		"mode":    func() error { return os.Chmod(filepath.Join(to, "run.sh"), 0o644) },
		"name":    func() error { return os.Rename(filepath.Join(to, "data.txt"), filepath.Join(to, "data")) },
		"link": func() error {
			return errors.Join(os.Remove(filepath.Join(to, "inside")), os.Symlink("src", filepath.Join(to, "inside")))
		},
	} {
		before, err := scan(to, limits)
		if err != nil {
			t.Fatal(err)
		}
		if err := change(); err != nil {
			t.Fatal(err)
		}
		if after, err := scan(to, limits); err != nil || after.hash == before.hash {
			t.Errorf("a changed %s gives the same hash (%v)", what, err)
		}
	}
	for _, c := range []struct {
		limits Limits
		want   string
	}{
		{Limits{Bytes: 10, Files: 100}, "its files are larger than 10 bytes"},
		{Limits{Bytes: 1 << 20, Files: 2}, "it has more than 2 files"},
	} {
		var no *rejected
		if _, err := scan(dir, c.limits); !errors.As(err, &no) || no.why != c.want {
			t.Errorf("%+v: %v, want %q", c.limits, err, c.want)
		}
	}
}

func TestProvide(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	write(t, from, map[string]string{"proto/v1/a.proto": "ours", "tool": "tool"})
	write(t, to, map[string]string{"proto/v1/a.proto": "theirs", "proto/extra": "theirs", "mine": "theirs"})
	if err := provide(map[string]string{"proto": filepath.Join(from, "proto"), "bin/tool": filepath.Join(from, "tool")}, to); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"proto/v1/a.proto": "ours", "bin/tool": "tool", "mine": "theirs"} {
		if data, err := os.ReadFile(filepath.Join(to, name)); err != nil || string(data) != want {
			t.Errorf("%s: %q, %v; want %q", name, data, err, want)
		}
	}
	if _, err := os.Stat(filepath.Join(to, "proto/extra")); err == nil {
		t.Error("what the submission had under a provided name is still there")
	}
	if info, err := os.Stat(filepath.Join(to, "bin/tool")); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("the tool cannot be run: %v, %v", info, err)
	}
}

// The secret of a class stays, and so do its pseudonyms; nobody else can read it.
func TestSecret(t *testing.T) {
	dir := t.TempDir()
	one, err := classSecret(dir)
	if err != nil {
		t.Fatal(err)
	}
	again, err := classSecret(dir)
	if err != nil || pseudonym(one, "ada") != pseudonym(again, "ada") {
		t.Errorf("the pseudonym changed: %v", err)
	}
	other, err := classSecret(t.TempDir())
	if err != nil || pseudonym(one, "ada") == pseudonym(other, "ada") || pseudonym(one, "ada") == pseudonym(one, "bob") {
		t.Errorf("pseudonyms are not apart: %v", err)
	}
	info, err := os.Stat(filepath.Join(dir, secretFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if err := os.WriteFile(filepath.Join(dir, secretFile), []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := classSecret(dir); err == nil {
		t.Error("a damaged secret was taken")
	}
}

// What would be a formula in a spreadsheet is text.
func TestCell(t *testing.T) {
	for text, want := range map[string]string{"ada": "ada", "=1+1": "'=1+1", "@x": "'@x", "-3": "'-3", "a\x1b[0m": `a\x1b[0m`, "": ""} {
		if got := cell(text); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
}
