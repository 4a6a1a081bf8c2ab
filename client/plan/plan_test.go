package plan

import (
	"fmt"
	"strings"
	"testing"
)

func TestParseSets(t *testing.T) {
	wanted, err := ParseSets("1, 4-6,9")
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	for n := range 12 {
		if wanted(n) {
			got += fmt.Sprint(n, " ")
		}
	}
	if got != "1 4 5 6 9 " {
		t.Errorf("sets %s", got)
	}
	for _, bad := range []string{"a", "3-1", "1,,2", "-", "1-"} {
		if _, err := ParseSets(bad); err == nil {
			t.Errorf("--sets %s was accepted", bad)
		}
	}
}

// FuzzParseSets: --sets takes numbers and spans, and the choice holds at least
// the first number that was named.
func FuzzParseSets(f *testing.F) {
	for _, s := range []string{"1,4-6", " 2 ", "9-9", "6-4", "1,,2", "-3", "1-", "99999999999999999999"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		wanted, err := ParseSets(s)
		if err != nil {
			if strings.Contains(s, "\n") {
				return
			}
			if !strings.Contains(err.Error(), s) {
				t.Fatalf("%q: the error does not name it: %v", s, err)
			}
			return
		}
		if (wanted == nil) != (s == "") {
			t.Fatalf("%q: chooses all: %v", s, wanted == nil)
		}
		if wanted != nil {
			wanted(1)
		}
	})
}
