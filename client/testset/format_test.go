package testset

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// bare takes the places where they stand in their files from sets.
func bare(sets []Set) []Set {
	out := make([]Set, len(sets))
	for i, s := range sets {
		out[i] = Set{Number: s.Number, Live: s.Live, Contacts: s.Contacts, Commands: make([]Command, len(s.Commands))}
		for j, c := range s.Commands {
			c.Line, c.Column, c.parts = 0, 0, [3]part{}
			out[i].Commands[j] = c
		}
	}
	return out
}

// diffSets says how what two files mean differs, "" when it does not.
func diffSets(want, got []Set) string {
	want, got = bare(want), bare(got)
	if reflect.DeepEqual(want, got) {
		return "" // which cmp is slow to find out about 30,000 commands
	}
	return cmp.Diff(want, got, cmpopts.IgnoreUnexported(Set{}, Command{}))
}

// testFormat holds a file against what Parse makes of its formatted form, which
// may not surprise it in any way.
func testFormat(t interface{ Fatalf(string, ...any) }, f *File) string {
	var out bytes.Buffer
	if err := f.Format(&out); err != nil {
		t.Fatalf("Format: %v", err)
	}
	again, err := Parse("formatted.csv", out.Bytes())
	if err != nil {
		t.Fatalf("the formatted form does not parse: %v\n%s", err, out.String())
	}
	if diff := diffSets(f.Sets, again.Sets); diff != "" {
		t.Fatalf("formatting changes the sets (-parsed +formatted and parsed):\n%s\n%s", diff, out.String())
	}
	var twice bytes.Buffer
	if err := again.Format(&twice); err != nil || twice.String() != out.String() {
		t.Fatalf("formatting is not stable (%v):\n%s\nand then\n%s", err, out.String(), twice.String())
	}
	return out.String()
}

func TestFormat(t *testing.T) {
	f, err := Parse("f.csv", []byte("Set,T,L\n9,(A; J; 3),n2;S1\n9,\"lf;F(1,2)\"\n3,(7,),,\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := `Set Number,Transactions,Live Nodes
9,"(A, J, 3)","[n2, n1]"
,LF,
,F(n1),
,F(n2),
3,(7),
`
	if diff := cmp.Diff(want, testFormat(t, f)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
