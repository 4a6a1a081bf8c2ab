package paxbankv1

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// public are the files that other implementations serve. A function, because the
// generated code fills the descriptors in only when the package is initialised.
func public() []protoreflect.FileDescriptor {
	return []protoreflect.FileDescriptor{File_paxbank_v1_bank_proto, File_paxbank_v1_control_proto, File_paxbank_v1_inspect_proto}
}

var quoted = regexp.MustCompile("`([A-Za-z_]+)`")

// page is docs/protocol.md by heading: what is in the first column of the tables
// below it. A heading may name several messages, and they share what follows.
type page struct {
	messages map[string][]string // "#### Name, Name"
	services map[string][]string // "## Name"
}

func readPage(text string) page {
	p := page{map[string][]string{}, map[string][]string{}}
	var at map[string][]string
	var names []string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, "#### "); ok {
			at, names = p.messages, strings.Split(name, ", ")
		} else if name, ok := strings.CutPrefix(line, "## "); ok {
			at, names = p.services, []string{name}
		} else if cell, ok := strings.CutPrefix(line, "| "); ok && at != nil {
			cell, _, _ = strings.Cut(cell, " |")
			for _, m := range quoted.FindAllStringSubmatch(cell, -1) {
				for _, n := range names {
					at[n] = append(at[n], m[1])
				}
			}
			continue
		} else {
			continue
		}
		for _, n := range names {
			if at[n] == nil {
				at[n] = []string{} // the heading is there, even if nothing follows
			}
		}
	}
	return p
}

// compare returns what is missing from the page, and what it says too much.
func (p page) compare(files []protoreflect.FileDescriptor) (findings []string) {
	known := map[string]map[string]bool{} // by heading; messages of one heading share it
	check := func(where map[string][]string, heading string, want []string) {
		have, ok := where[heading]
		if !ok {
			findings = append(findings, "no heading for "+heading)
			return
		}
		if known[heading] == nil {
			known[heading] = map[string]bool{}
		}
		for _, w := range want {
			known[heading][w] = true
			if !slices.Contains(have, w) {
				findings = append(findings, heading+": "+w+" is missing")
			}
		}
	}
	var messages func(protoreflect.MessageDescriptors)
	messages = func(list protoreflect.MessageDescriptors) {
		for i := range list.Len() {
			m := list.Get(i)
			var fields []string
			for j := range m.Fields().Len() {
				fields = append(fields, string(m.Fields().Get(j).Name()))
			}
			check(p.messages, string(m.Name()), fields)
			messages(m.Messages())
		}
	}
	all := map[string]bool{}
	for _, f := range files {
		for i := range f.Services().Len() {
			s := f.Services().Get(i)
			var calls []string
			for j := range s.Methods().Len() {
				calls = append(calls, string(s.Methods().Get(j).Name()))
			}
			check(p.services, string(s.Name()), calls)
		}
		for i := range f.Enums().Len() {
			e := f.Enums().Get(i)
			var values []string
			for j := range e.Values().Len() {
				values = append(values, string(e.Values().Get(j).Name()))
			}
			check(p.messages, string(e.Name()), values)
		}
		messages(f.Messages())
	}
	for _, names := range known {
		for n := range names {
			all[n] = true
		}
	}
	for heading, names := range p.messages {
		if known[heading] == nil {
			findings = append(findings, heading+" is in no public file")
		}
		for _, n := range names {
			if !all[n] {
				findings = append(findings, heading+": "+n+" is in no public message")
			}
		}
	}
	for heading, names := range p.services {
		for _, n := range names {
			if !known[heading][n] {
				findings = append(findings, heading+": there is no call "+n)
			}
		}
	}
	slices.Sort(findings)
	return findings
}

// leveled are the calls in the table below "## Levels", which says what each is
// good for. Fields that have a row of their own there begin with Status.
func leveled(text string) []string {
	_, table, _ := strings.Cut(text, "\n## Levels\n")
	table, _, _ = strings.Cut(table, "\n## ")
	var calls []string
	for _, m := range regexp.MustCompile("(?m)^\\| `((?:Bank|Control|Inspect)\\.[A-Za-z]+)` \\| L[012] \\| .+ \\|$").FindAllStringSubmatch(table, -1) {
		calls = append(calls, m[1])
	}
	slices.Sort(calls)
	return calls
}

func TestEveryCallHasALevel(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "protocol.md"))
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, f := range public() {
		for i := range f.Services().Len() {
			s := f.Services().Get(i)
			for j := range s.Methods().Len() {
				want = append(want, string(s.Name())+"."+string(s.Methods().Get(j).Name()))
			}
		}
	}
	slices.Sort(want)
	if got := leveled(string(text)); !slices.Equal(got, want) {
		t.Errorf("docs/protocol.md, Levels:\nhas  %v\nwant %v", got, want)
	}
}

// The page that other implementations are written from names everything that
// they may be sent or asked for, and nothing else.
func TestProtocolPageIsComplete(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "protocol.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range readPage(string(text)).compare(public()) {
		t.Errorf("docs/protocol.md: %s", f)
	}
	// The comparison can fail, too.
	for _, change := range [][2]string{
		{"| `done_below` |", "| done below |"}, {"| `Resolve` |", "| `Settle` |"}, {"#### NewView", "#### View"},
		{"| `RESULT_NOT_LEADER` |", "| not leader |"}, {"| `held_us` |", "| `held_ms` |"},
		{"| `SetLive` |", "| `SetLive`, `Kill` |"},
	} {
		broken := strings.ReplaceAll(string(text), change[0], change[1])
		if broken == string(text) {
			t.Errorf("%q is not on the page any more: choose another change", change[0])
		} else if len(readPage(broken).compare(public())) == 0 {
			t.Errorf("the page with %q instead of %q is found complete", change[1], change[0])
		}
	}
}
