package doctor

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The report speaks of docs/protocol.md, and the page of what the report says.
func TestPageAndReportAgree(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("..", "..", "docs", "protocol.md"))
	if err != nil {
		t.Fatal(err)
	}
	page := string(data)
	headings := regexp.MustCompile("(?m)^#+ (.+)$").FindAllStringSubmatch(page, -1)
	for _, p := range probes {
		if !slices.ContainsFunc(headings, func(m []string) bool { return m[1] == p.page }) {
			t.Errorf("%s, %s: docs/protocol.md has no heading %q", p.call, p.what, p.page)
		}
	}
	_, table, _ := strings.Cut(page, "\n| call | level | without it |\n|---|---|---|\n")
	table, _, _ = strings.Cut(table, "\n\n")
	var want []string
	for _, c := range calls {
		name := "`" + c.name + "`"
		if c.name == process {
			name = "restart of the process"
		}
		want = append(want, "| "+name+" | L"+string('0'+rune(c.level))+" | "+c.missing+" |")
	}
	if got := strings.Split(table, "\n"); !slices.Equal(got, want) {
		t.Errorf("docs/protocol.md, Levels: the table is\n%s\nand the doctor says\n%s", table, strings.Join(want, "\n"))
	}
}

// Every probe belongs to a call, and every call has one; every probe has a
// scenario, and only one.
func TestTablesAreComplete(t *testing.T) {
	played := map[id]int{}
	for _, s := range scenarios {
		for _, p := range s.probes {
			played[p]++
		}
	}
	seen := map[string]bool{}
	for i, p := range probes {
		if !slices.ContainsFunc(calls, func(c call) bool { return c.name == p.call }) {
			t.Errorf("probe %q speaks of %s, which is no call", p.what, p.call)
		}
		seen[p.call] = true
		if played[p.id] != 1 {
			t.Errorf("probe %s, %s is played by %d scenarios", p.call, p.what, played[p.id])
		}
		for _, other := range probes[:i] {
			if other.id == p.id || other.call == p.call && other.what == p.what {
				t.Errorf("two probes %s, %s", p.call, p.what)
			}
		}
	}
	for _, c := range calls {
		if !seen[c.name] {
			t.Errorf("no probe for %s", c.name)
		}
	}
}

func TestVerdicts(t *testing.T) {
	for _, c := range []struct {
		name     string
		findings map[id]Result // the others are OK
		levels   [3]string
		sound    bool
		advice   string
	}{
		{"all well", nil, [3]string{"L0 complete", "L1 complete", "L2 complete"}, true, ""},
		{"one L2 call missing", map[id]Result{locks: Missing},
			[3]string{"L0 complete", "L1 complete", "L2: 1 of 11 calls not graded"}, true, "L2 Inspect.Locks: build it"},
		{"an L2 call that lies", map[id]Result{locks: Wrong},
			[3]string{"L0 complete", "L1 complete", "L2: 1 of 11 calls not as the contract says"}, true, "L2 Inspect.Locks, an idle bank: want an answer without locks"},
		{"what cannot be shown counts for nothing", map[id]Result{restarts: NotHere, crosses: NotHere},
			[3]string{"L0 complete", "L1 complete", "L2 complete"}, true, ""},
		{"one probe of a call that is offered", map[id]Result{frozen: Wrong, balances: NotTried, database: Missing},
			[3]string{"L0 complete", "L1: 1 of 5 calls missing, 1 of 5 calls not as the contract says", "L2 complete"}, false, "L1 Inspect.Database: build it"},
		{"nothing was tried", map[id]Result{resets: NotTried, quiet: Missing},
			[3]string{"L0: 1 of 4 calls not tried to the end", "L1 complete", "L2: 1 of 11 calls not graded"}, false, ""},
	} {
		e := &exam{findings: map[id]*Finding{}}
		for _, p := range probes {
			r, named := c.findings[p.id]
			if !named {
				r = OK
			}
			e.findings[p.id] = &Finding{Result: r}
		}
		r := e.report()
		for l, want := range c.levels {
			if r.Levels[l].Verdict != want {
				t.Errorf("%s: %q, want %q", c.name, r.Levels[l].Verdict, want)
			}
		}
		first := ""
		if len(r.Advice) > 0 {
			first = r.Advice[0]
		}
		if r.Sound() != c.sound || first != c.advice {
			t.Errorf("%s: sound %t, advice %q", c.name, r.Sound(), r.Advice)
		}
	}
}
