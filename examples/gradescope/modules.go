package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// module is one version of a module in the local cache, as `go mod download -json`
// and `go list -m -json` tell.
type module struct {
	Path, Version    string
	Info, GoMod, Zip string // files; Zip is empty when only the go.mod is wanted
	Error            any
}

// server is the program whose modules submissions may use.
const server = "paxbank/server"

// serverModules are the modules that the server is built of, whole, and the go.mod
// files of all others that those know of: the go command wants to read them.
func serverModules() ([]module, error) {
	names, err := serverDeps("{{with .Module}}{{if .Version}}{{.Path}}@{{.Version}}{{end}}{{end}}")
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	names = slices.Compact(names)
	modules, err := modulesOf(append([]string{"mod", "download", "-json"}, names...)...)
	if err != nil {
		return nil, err
	}
	all, err := modulesOf("list", "-m", "-json", "all")
	if err != nil {
		return nil, err
	}
	for _, m := range all {
		if m.GoMod != "" && m.Version != "" && !slices.Contains(names, m.Path+"@"+m.Version) {
			m.Info = strings.TrimSuffix(m.GoMod, ".mod") + ".info"
			modules = append(modules, m)
		}
	}
	return modules, nil
}

// serverDeps shows what the server is built of, in the words of go list -f.
func serverDeps(format string) ([]string, error) {
	out, err := goCommand("list", "-deps", "-f", format, server)
	return strings.Fields(string(out)), err
}

// addWarm adds what setup.sh fills the build cache with: a module that needs the
// same as this one, and the packages of others that the server is built of.
func (b *bundle) addWarm() error {
	packages, err := serverDeps("{{with .Module}}{{if .Version}}{{$.ImportPath}}{{end}}{{end}}")
	if err != nil {
		return err
	}
	mod, err := goCommand("env", "GOMOD")
	if err != nil {
		return err
	}
	root := filepath.Dir(strings.TrimSpace(string(mod)))
	for _, name := range []string{"go.mod", "go.sum"} {
		b.file(filepath.Join("warm", name), filepath.Join(root, name), 0o644)
	}
	b.content("warm/packages", []byte(strings.Join(packages, "\n")+"\n"), 0o644)
	return nil
}

// modulesOf are the modules that a go command prints as JSON.
func modulesOf(args ...string) ([]module, error) {
	out, err := goCommand(args...)
	if err != nil {
		return nil, err
	}
	var all []module
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var m module
		if err := d.Decode(&m); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, fmt.Errorf("go %s: %w", args[0], err)
		}
		if m.Error != nil {
			return nil, fmt.Errorf("module %s %s: %v", m.Path, m.Version, m.Error)
		}
		all = append(all, m)
	}
}

func goCommand(args ...string) ([]byte, error) {
	cmd := exec.Command("go", args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go %s: %w: %s", args[0], err, &stderr)
	}
	return out, nil
}

// addModules adds a module proxy as a directory, which GOPROXY=file://… takes
// (https://go.dev/ref/mod#goproxy-protocol).
func (b *bundle) addModules(modules []module) error {
	versions := map[string][]string{}
	for _, m := range modules {
		dir := filepath.Join("modules", escaped(m.Path), "@v")
		add := func(suffix, path string) { b.file(filepath.Join(dir, escaped(m.Version)+suffix), path, 0o644) }
		add(".mod", m.GoMod)
		if m.Zip != "" {
			add(".zip", m.Zip)
			versions[dir] = append(versions[dir], m.Version)
		}
		if _, err := os.Stat(m.Info); err == nil {
			add(".info", m.Info)
			continue
		}
		// Whoever needed only the go.mod has no more of it.
		info, err := json.Marshal(map[string]string{"Version": m.Version})
		if err != nil {
			return err
		}
		b.content(filepath.Join(dir, escaped(m.Version)+".info"), info, 0o644)
	}
	for dir, list := range versions {
		b.content(filepath.Join(dir, "list"), []byte(strings.Join(list, "\n")+"\n"), 0o644)
	}
	return nil
}

// escaped is a module's path or version as proxies write it: capitals become small
// letters behind an exclamation mark.
func escaped(text string) string {
	var b strings.Builder
	for _, r := range text {
		if 'A' <= r && r <= 'Z' {
			b.WriteByte('!')
			r += 'a' - 'A'
		}
		b.WriteRune(r)
	}
	return b.String()
}
