package report

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"paxbank/client/check"
	"paxbank/client/runner"
)

// hostile are strings that a submission would like to see taken for something
// else than text. Each has "EVIL" in it, to be found again.
var hostile = []string{
	"EVIL\x1b[2J\x1b]0;title\x07",
	"EVIL\x00nul\x08\x7f\u0085\u2028",
	"EVIL]]><failure message=\"x\"/><![CDATA[",
	"EVIL<script>alert(1)</script><img src=x onerror=alert(1)>",
	"\"><b id=EVIL>' onmouseover=\"alert(1)",
	"EVIL\n::error file=x::forged\n  ::set-output name=a::b\r\n\u00a0::add-mask::x\n##[error]forged",
	"EVIL | a | b |\n|---|\n| pass |",
	"EVIL\n# Report: forged\n```\n````\n</pre>",
	"EVIL [link](https://example.com) ![i](http://example.com/i) www.example.com a@example.com @all",
	"EVIL\xff\xfe\xc0\xaf\xed\xa0\x80",
	"EVIL\u202egnp.exe\u2066\u200b\ufeff",
	"EVIL &amp; &lt; {{.Title}} ${{ secrets.X }} %0A %s %!d(x) `code` **bold** _it_ ~~no~~ $x$",
	"EVIL\nSet 1: pass, 10 of 10 points",
	"\t  EVIL  \r\r\n",
}

// hostileGrade has evil in every string that is not ours.
func hostileGrade(t *testing.T, evil string) *Grade {
	t.Helper()
	run := sampleResult(t)
	set := &run.Sets[0]
	for i := range set.Calls {
		set.Calls[i].Message, set.Calls[i].Node, set.Calls[i].Outcome = evil, evil, runner.Unknown
	}
	for i := range set.Nodes {
		n := &set.Nodes[i]
		n.Leader, n.Ballot, n.LogErr = evil, evil, ""
		n.Log = []runner.LogRow{{Index: 2, Seq: 2, Phase: evil, Role: evil, Kind: evil, TxnID: evil, Text: evil, Status: evil, Effect: evil, Ballot: evil, Origin: evil}}
		n.Statuses = []runner.StatusRow{{Seq: 2, Status: evil, Phase: evil, Text: evil}}
		n.LockTable = []runner.Lock{{Item: 1, TxnID: evil}}
	}
	set.Nodes[1].LogErr, set.Nodes[3].Err = evil, evil
	set.Views = []runner.View{{Cluster: evil, Ballot: evil, Leader: evil, SeenBy: []string{evil}, Entries: set.Nodes[0].Log}}
	set.Problems = []string{evil}
	v := check.SetVerdict{Set: 1, Verdict: check.Fail, MaxScore: 3, Checks: []check.Check{
		{Source: check.SourceInvariant, Check: evil, Target: evil, Expected: evil, Actual: evil, Verdict: check.Fail, Message: evil, FirstDifference: evil, Nodes: []string{evil}},
		{Source: check.SourceInvariant, Check: evil, Target: evil, Expected: evil, Actual: evil, Verdict: check.Unknown, Message: evil},
	}}
	g := &Grade{
		Submission: evil, Suite: evil, Note: evil + "\n" + evil, Containment: evil, Started: run.Started, Duration: time.Second,
		Leaderboard: []Metric{{Name: evil, Value: 1}},
		Sections: []Section{
			{Name: evil, Number: evil, TestSet: evil, Line: 1, Verdict: check.Fail, Max: 3, Output: evil, Note: evil, Tags: []string{evil}, Sets: []GradedSet{{SetVerdict: v, Line: 1, Result: set}}},
			{Name: evil, TestSet: evil, Verdict: check.Unknown, Max: 1, Note: evil},
			{Name: evil, TestSet: evil, Verdict: check.Fail, Max: 1, Output: evil},
		},
	}
	g.Total()
	return g
}

// Nothing that a submission says becomes syntax of any format, and nothing of
// it is lost.
func TestHostileContent(t *testing.T) {
	for i, evil := range hostile {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			g := hostileGrade(t, evil)
			for _, f := range formats {
				got := rendered(t, f.render, g)
				f.valid(t, g, got)
				if !strings.Contains(got, "EVIL") {
					t.Errorf("%s does not show it", f.name)
				}
			}
			if page, want := textOf(t, rendered(t, HTML, g)), lines(evil, maxOutput); !strings.Contains(page, want) {
				t.Errorf("the page does not show %q", want)
			}
			var file gradescope
			if err := json.Unmarshal([]byte(rendered(t, Gradescope, g)), &file); err != nil || file.Tests[2].Output != lines(evil, maxOutput) {
				t.Errorf("results.json has %q (%v)", file.Tests[2].Output, err)
			}
			var suites junitSuites
			if err := xml.Unmarshal([]byte(rendered(t, JUnit, g)), &suites); err != nil || suites.Suites[2].Cases[0].Failure.Text != lines(evil, maxOutput) {
				t.Errorf("junit.xml has %q (%v)", suites.Suites[2].Cases[0].Failure.Text, err)
			}
		})
	}
}

// The tables on the terminal are no way to its escape sequences either, and a
// message cannot pass for a line of ours.
func TestHostileContentOnTheTerminal(t *testing.T) {
	for _, evil := range hostile {
		g := hostileGrade(t, evil)
		s := &g.Sections[0].Sets[0]
		run := &runner.RunResult{TestSet: evil, NodesFailed: evil, Sets: []runner.SetResult{*s.Result}}
		rv := check.Combine([]check.SetVerdict{s.SetVerdict})
		for _, f := range []func(io.Writer) error{
			func(w io.Writer) error {
				return PrintSet(w, s.Result, &s.SetVerdict, Options{Log: true, Status: true, Locks: true})
			},
			func(w io.Writer) error { return PrintRun(w, run, &rv, Options{}) },
			func(w io.Writer) error {
				return PrintTimeline(w, &s.Result.Calls[0], []runner.Timeline{{Node: evil, Role: evil, TxnID: evil, Text: evil, Outcome: evil, Reason: evil}})
			},
		} {
			var b strings.Builder
			if err := f(&b); err != nil {
				t.Fatal(err)
			}
			printable(t, "the terminal", b.String())
			list := strings.Split(b.String(), "\n")
			if slices.ContainsFunc(list, func(l string) bool { return strings.HasPrefix(l, "Set 1: pass") }) {
				t.Errorf("a forged verdict in\n%s", b.String())
			}
		}
	}
}

// What is too long is cut, and says by how much.
func TestLongContentIsCut(t *testing.T) {
	long := "é" + strings.Repeat("0123456789", 100_000)
	g := hostileGrade(t, long)
	for _, f := range formats {
		got := rendered(t, f.render, g)
		f.valid(t, g, got)
		if len(got) > 1<<20 {
			t.Errorf("%s has %d bytes", f.name, len(got))
		}
		if want := fmt.Sprintf("(%d more bytes)", len(long)-maxName); !strings.Contains(strings.ReplaceAll(got, `\`, ""), want) {
			t.Errorf("%s does not say %q", f.name, want)
		}
	}
	if got, want := cut("aéb", 2), "a… (3 more bytes)"; got != want {
		t.Errorf("cut within a character: %q, want %q", got, want)
	}
}

// Any string at all keeps every format valid.
func TestAnyContent(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		parts := rapid.SliceOfN(rapid.OneOf(rapid.String(), rapid.SampledFrom(hostile), rapid.SampledFrom(strings.Split("::|##[|\n|\r|`|```|\\|]]>|<|%|,|\x1b[|\xff|@|://|](|-|#", "|"))), 0, 6).Draw(rt, "parts")
		evil := strings.Join(parts, "")
		if evil == "" {
			rt.Skip("names are not empty")
		}
		g := hostileGrade(t, evil)
		for _, f := range formats {
			f.valid(rt, g, rendered(t, f.render, g))
		}
	})
}

func TestVisible(t *testing.T) {
	for in, want := range map[string]string{
		"plain (1, 2) é ✓ 日本": "plain (1, 2) é ✓ 日本", "a\x1b[1mb": `a\x1b[1mb`, "a\nb\tc": `a\nb\tc`, "a\x00": `a\x00`, "a\xffb": `a\xffb`,
		"\u202ea": `\u202ea`, "\U000e0041": `\U000e0041`, "\ufeff": `\ufeff`, "\u0085": `\u0085`, "'\"": `'"`, "é'\x01": `é'\x01`,
	} {
		if got := visible(in, ""); got != want {
			t.Errorf("%q is shown as %q, want %q", in, got, want)
		}
	}
	if got := visible("é\n\t\r", "\n\t"); got != "é\n\t\\r" {
		t.Errorf("with lines: %q", got)
	}
}
