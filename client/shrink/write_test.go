package shrink

import (
	"slices"
	"testing"

	"paxbank/client/check"
	"paxbank/client/testset"
	"paxbank/internal/topology"
)

func TestWrite(t *testing.T) {
	set := parsed(t, busy)
	set.Commands = slices.DeleteFunc(set.Commands, func(c testset.Command) bool { return c.Line != 1 && c.Line != 5 && c.Line != 4 })
	set.Live = []string{"n1", "n4", "n6"}
	expected, err := testset.ParseExpected("in.expected.csv", []byte(`Set Number,Check,Target,Expected,Points
4,outcome,line:5,committed,2
4,outcome,line:9,committed,1
4,outcome,"(500, 3500, 7)",committed,1
4,outcome,"(21, 22, 3)",aborted|committed,0.5
4,value,line:4,13,1
5,balance,1,10,1
*,views,c2,>=2,1
`))
	if err != nil {
		t.Fatal(err)
	}
	files, err := Write("small.csv", []string{"what fails", "how\nto repeat it"}, set, expected, topology.Default())
	if err != nil {
		t.Fatal(err)
	}
	want := `# what fails
# how to repeat it
Set Number,Transactions,Live Nodes
4,"(21, 22, 3)","[n1, n4, n6]"
,(22),
,"(700, 4000, 9)",
`
	if string(files.TestSet) != want {
		t.Errorf("got\n%s\nwant\n%s", files.TestSet, want)
	}
	want = `Set Number,Check,Target,Expected,Points
4,outcome,line:6,committed,2
4,outcome,"(21, 22, 3)",aborted|committed,0.5
4,value,line:5,13,1
4,views,c2,>=2,1
`
	if string(files.Expected) != want {
		t.Errorf("got\n%s\nwant\n%s", files.Expected, want)
	}
	if want := []string{"outcome line:9, committed", "outcome (500, 3500, 7), committed"}; !slices.Equal(files.Dropped, want) {
		t.Errorf("dropped %q, want %q", files.Dropped, want)
	}
	if files, err = Write("small.csv", nil, set, nil, topology.Default()); err != nil || files.Expected != nil {
		t.Errorf("without expectations: %q, %v", files.Expected, err)
	}
}

func TestFailure(t *testing.T) {
	verdict := func(checks ...check.Check) *check.SetVerdict { return &check.SetVerdict{Checks: checks} }
	failed := func(source, name, target, actual, message string) check.Check {
		return check.Check{Source: source, Check: name, Target: target, Actual: actual, Message: message, Verdict: check.Fail}
	}
	money := failed(check.SourceInvariant, "money", "c2", "100", "2 are missing")
	unknown := money
	unknown.Verdict = check.Unknown
	row := failed(check.SourceExpected, "balance", "1", "7", "")
	line := failed(check.SourceExpected, "outcome", "line:9", "aborted", "")
	late := failed(check.SourceExpected, "p99", "", "31ms", "")
	for _, c := range []struct {
		name      string
		of        check.Check
		text      string
		candidate check.Check
		same      bool
	}{
		{"another target of the same check", money, "", failed(check.SourceInvariant, "money", "total", "99", ""), true},
		{"another check", money, "", failed(check.SourceInvariant, "agreement", "c2", "100", ""), false},
		{"another source", money, "", failed(check.SourceOracle, "money", "c2", "100", ""), false},
		{"unknown is no failure", money, "", unknown, false},
		{"the words that were asked for", money, "are missing", failed(check.SourceInvariant, "balance", "2", "1", "9 are missing"), true},
		{"other words", money, "are missing", failed(check.SourceInvariant, "money", "c2", "100", "2 too many"), false},
		{"the row that failed", row, "", row, true},
		{"its value has changed", row, "", failed(check.SourceExpected, "balance", "1", "10", ""), false},
		{"another row", row, "", failed(check.SourceExpected, "balance", "2", "7", ""), false},
		{"the command moved", line, "", failed(check.SourceExpected, "outcome", "line:3", "aborted", ""), true},
		{"a latency is never the same", late, "", failed(check.SourceExpected, "p99", "", "35ms", ""), true},
	} {
		f, seen, ok := FailureOf(verdict(check.Check{Verdict: check.Pass}, unknown, c.of), c.text)
		if !ok || seen.Check != c.of.Check || seen.Target != c.of.Target {
			t.Errorf("%s: the failure is %+v, %v", c.name, f, ok)
			continue
		}
		if _, same := f.In(verdict(check.Check{Verdict: check.Pass}, c.candidate)); same != c.same {
			t.Errorf("%s: counts as the same: %v", c.name, same)
		}
	}
	if _, _, ok := FailureOf(verdict(unknown, check.Check{Verdict: check.Pass}), ""); ok {
		t.Error("a failure of nothing")
	}
	if _, _, ok := FailureOf(verdict(money), "no such text"); ok {
		t.Error("a failure that does not have the text")
	}
}
