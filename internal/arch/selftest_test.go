package arch

import (
	"strings"
	"testing"
)

// Each rule is tried on something that breaks it and on something that keeps
// it: a check that always passes would be worse than none.

func TestCheckPureFindsWhatItShould(t *testing.T) {
	for _, c := range []struct {
		name, src string
		want      string // part of the only finding, "" for none
	}{
		{name: "clean", src: `package p; func f(a int) int { return a + 1 }`},
		{name: "goroutine", src: `package p; func f() { go f() }`, want: "goroutine"},
		{name: "select", src: `package p; func f() { select {} }`, want: "select"},
		{name: "channel", src: `package p; var c chan int`, want: "channels"},
		{name: "send", src: `package p; func f() { c <- 1 }`, want: "sends"},
		{name: "receive", src: `package p; func f() { <-c }`, want: "receives"},
		{name: "now", src: `package p; import "time"; var t = time.Now()`, want: "time.Now"},
		{name: "now under another name", src: `package p; import clock "time"; var t = clock.Now()`, want: "time.Now"},
		{name: "now as a value", src: `package p; import "time"; var now = time.Now`, want: "time.Now"},
		{name: "sleep", src: `package p; import "time"; func f() { time.Sleep(1) }`, want: "time.Sleep"},
		{name: "duration", src: `package p; import "time"; var d time.Duration = time.Second`},
		{name: "a field called Now", src: `package p; func f(time struct{ Now int }) int { return time.Now }`},
		{name: "global random", src: `package p; import "math/rand/v2"; var n = rand.IntN(3)`, want: "rand.IntN"},
		{name: "global random, old", src: `package p; import "math/rand"; var n = rand.Intn(3)`, want: "rand.Intn"},
		{name: "seeded random", src: `package p; import "math/rand/v2"; var r = rand.New(rand.NewPCG(1, 2))`},
		{name: "syntax error", src: `package p; func {`, want: "expected"},
	} {
		t.Run(c.name, func(t *testing.T) {
			expect(t, checkPure("fixture.go", []byte(c.src)), c.want)
		})
	}
}

func TestCheckShapelessFindsWhatItShould(t *testing.T) {
	for _, c := range []struct{ name, src, want string }{
		{"clean", `package p; const n, s = 3, "next"`, ""},
		{"items", `package p; const n = 9_000`, "9000"},
		{"border", `package p; func f(i int) bool { return i <= 3000 }`, "3000"},
		{"node", `package p; var leader = "n4"`, "n4"},
		{"cluster", `package p; var cluster = "c1"`, "c1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			expect(t, checkShapeless("fixture.go", []byte(c.src)), c.want)
		})
	}
}

func TestCheckImportsFindsWhatItShould(t *testing.T) {
	for _, c := range []struct {
		name string
		pkg  pkg
		want string
	}{
		{"clean", pkg{ImportPath: Module + "/server/bank", Imports: []string{"fmt"}, Deps: []string{"fmt", "os", "sync"}}, ""},
		{"os", pkg{ImportPath: Module + "/server/bank", Imports: []string{"os"}, Deps: []string{"os"}}, "imports os"},
		{"below sync", pkg{ImportPath: Module + "/server/paxos", Imports: []string{"sync/atomic"}}, "imports sync/atomic"},
		{"time", pkg{ImportPath: Module + "/server/twopc", Imports: []string{"time"}}, "imports time"},
		{"time for durations", pkg{ImportPath: Module + "/internal/history", Imports: []string{"time"}}, ""},
		{"grpc by way of another", pkg{ImportPath: Module + "/server/replica", Deps: []string{"google.golang.org/grpc/codes"}}, "depends on google.golang.org/grpc/codes"},
		{"a name that only begins alike", pkg{ImportPath: Module + "/server/bank", Imports: []string{"network"}, Deps: []string{"network"}}, ""},
		{"not a pure package", pkg{ImportPath: Module + "/server/service", Imports: []string{"net", "os"}}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			expect(t, checkImports([]*pkg{&c.pkg}), c.want)
		})
	}
}

func TestCheckArrowsFindsWhatItShould(t *testing.T) {
	for _, c := range []struct {
		name string
		pkg  pkg
		want string
	}{
		{"clean", pkg{ImportPath: Module + "/server/replica", Deps: []string{Module + "/server/paxos", "fmt"}}, ""},
		{"client to server", pkg{ImportPath: Module + "/client/runner", Deps: []string{Module + "/server/ids"}}, "client/runner must not import server/ids"},
		{"client to server in a test", pkg{ImportPath: Module + "/client/runner", XTestImports: []string{Module + "/server/ids"}}, "client/runner must not import server/ids"},
		{"server to client", pkg{ImportPath: Module + "/server", Deps: []string{Module + "/client/testset"}}, "server must not import client/testset"},
		{"paxos to bank", pkg{ImportPath: Module + "/server/paxos", Deps: []string{Module + "/server/bank"}}, "server/paxos must not import server/bank"},
		{"core to shell", pkg{ImportPath: Module + "/server/replica", Deps: []string{Module + "/server/storage"}}, "server/replica must not import server/storage"},
		{"simulator to shell", pkg{ImportPath: Module + "/server/sim/cmd/sim", Deps: []string{Module + "/server/transport"}}, "server/sim/cmd/sim must not import server/transport"},
		{"report reaches session through runner", pkg{ImportPath: Module + "/client/report", Imports: []string{Module + "/client/runner"}, Deps: []string{Module + "/client/runner", Module + "/client/session"}}, ""},
		{"report calls session", pkg{ImportPath: Module + "/client/report", Imports: []string{Module + "/client/session"}}, "client/report must not import client/session"},
		{"proto to anything", pkg{ImportPath: Module + "/proto/paxbank/v1", Deps: []string{Module + "/internal/topology"}}, "must not import internal/topology"},
	} {
		t.Run(c.name, func(t *testing.T) {
			expect(t, checkArrows([]*pkg{&c.pkg}, arrows), c.want)
		})
	}
}

func TestPackageCommentFindsWhatItShould(t *testing.T) {
	for _, c := range []struct {
		name, src string
		want      bool
	}{
		{"none", "package p\n", false},
		{"a comment that is not attached", "// Licence.\n\npackage p\n", false},
		{"only a directive", "//go:build linux\npackage p\n", false},
		{"one", "// Package p is for something.\npackage p\n", true},
		{"generated", "// Code generated by x. DO NOT EDIT.\n\npackage p\n", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := packageComment("fixture.go", []byte(c.src))
			if err != nil || got != c.want {
				t.Errorf("got %v, %v; want %v", got, err, c.want)
			}
		})
	}
}

func TestCheckTextFindsWhatItShould(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"clean", "see results/latest/summary.json and https://example.org/home/x/\n", ""},
		{"home", "cd /ho" + "me/alice/paxbank\n", "fixture:1"},
		{"root", "first\nlog in `/ro" + "ot/x`\n", "fixture:2"},
		{"another repository", "as sha" + "red/NOTES.md says\n", "fixture:1"},
		{"binary", "\x00 /ro" + "ot/x", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			expect(t, checkText("fixture", []byte(c.text)), c.want)
		})
	}
}

// expect wants no finding, or exactly one that contains want.
func expect(t *testing.T, findings []string, want string) {
	t.Helper()
	switch {
	case want == "" && len(findings) > 0:
		t.Errorf("unexpected finding: %s", strings.Join(findings, "; "))
	case want != "" && (len(findings) != 1 || !strings.Contains(findings[0], want)):
		t.Errorf("got findings %q, want one with %q", findings, want)
	}
}
