package shrink

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"paxbank/client/testset"
	"paxbank/internal/topology"
)

// parsed reads a test set of one set, checked against the default bank.
func parsed(t *testing.T, text string) testset.Set {
	t.Helper()
	file, err := testset.Parse("in.csv", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range file.Check(&file.Sets[0], topology.Default()) {
		t.Fatal(e)
	}
	return file.Sets[0]
}

func texts(set testset.Set) string {
	var out []string
	for _, c := range set.Commands {
		out = append(out, c.Text)
	}
	return strings.Join(out, " ")
}

const busy = `4,"(21, 22, 3)","[n1, n2, n3, n4, n5, n6, n7, n8, n9]"
,"(500, 3500, 7)",
,F(n5),
,(22),
,"(700, 4000, 9)",
,F(n1),
,"(6001, 6002, 1)",
,R(n5),
,"(701, 3500, 2)",
`

// lossy fails like a bank that loses at least so much on its way into c2 while n5
// is not live.
func lossy(least int64) func(testset.Set) (bool, error) {
	return func(set testset.Set) (bool, error) {
		down := set.Live != nil && !slices.Contains(set.Live, "n5")
		for _, c := range set.Commands {
			switch {
			case c.Kind == testset.Fail && c.Node == "n5":
				down = true
			case c.Kind == testset.Recover && c.Node == "n5":
				down = false
			case c.Kind == testset.Transfer && down && c.To > 3000 && c.To <= 6000 && c.Amount >= least:
				return true, nil
			}
		}
		return false, nil
	}
}

func TestSet(t *testing.T) {
	set := parsed(t, busy)
	better := 0
	got, err := Set(set, topology.Default(), Options{Simplify: true, Better: func(testset.Set) { better++ }}, lossy(5))
	if err != nil {
		t.Fatal(err)
	}
	// n5 may as well not be live from the start.
	if texts(got) != "(1, 3001, 5)" || len(got.Live) != 1 || got.Live[0] == "n5" {
		t.Errorf("got %s, live %v", texts(got), got.Live)
	}
	if better < 3 {
		t.Errorf("told %d times of a better set", better)
	}
	if texts(set) != texts(parsed(t, busy)) || len(set.Live) != 9 {
		t.Errorf("the set itself was changed: %s, live %v", texts(set), set.Live)
	}
}

// Where n5 has to live at the start, the marker stays; amounts and items stay
// when they may not change.
func TestSetKeepsWhatIsNeeded(t *testing.T) {
	set := parsed(t, busy)
	set.Live = nil
	got, err := Set(set, topology.Default(), Options{}, func(c testset.Set) (bool, error) {
		failed, _ := lossy(1)(c)
		return failed && len(c.Live) == 9, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if texts(got) != "F(n5) (700, 4000, 9)" || got.Live != nil {
		t.Errorf("got %s, live %v", texts(got), got.Live)
	}
	if c := got.Commands[1]; c.Line != 5 {
		t.Errorf("the transfer is from line %d", c.Line)
	}
}

// Items keep their meaning: what was one item stays one, and what starts with
// another balance is not taken for it.
func TestSetRenamesItems(t *testing.T) {
	top := *topology.Default()
	top.Balances = map[int64]int64{1: 100, 3001: 7}
	set := parsed(t, "1,\"(900, 4000, 2)\",\n,\"(4000, 800, 1)\",\n,(900),\n")
	got, err := Set(set, &top, Options{Simplify: true}, func(c testset.Set) (bool, error) { return len(c.Commands) == 3, nil })
	if err != nil {
		t.Fatal(err)
	}
	if texts(got) != "(2, 3002, 1) (3002, 3, 1) (2)" {
		t.Errorf("got %s", texts(got))
	}
	// Only some can be renamed.
	got, err = Set(set, &top, Options{Simplify: true}, func(c testset.Set) (bool, error) {
		return len(c.Commands) == 3 && c.Commands[1].From == 4000 && c.Commands[0].Amount >= 2, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if texts(got) != "(2, 4000, 2) (4000, 3, 1) (2)" {
		t.Errorf("got %s", texts(got))
	}
}

func TestSetEnds(t *testing.T) {
	enough := errors.New("enough")
	tries := 0
	got, err := Set(parsed(t, busy), topology.Default(), Options{Simplify: true}, func(c testset.Set) (bool, error) {
		if tries++; tries > 3 {
			return false, enough
		}
		return lossy(1)(c)
	})
	if failed, _ := lossy(1)(got); !errors.Is(err, enough) || !failed {
		t.Errorf("left with %s, error %v", texts(got), err)
	}
}

// No candidate that did not fail is run twice.
func TestSetTriesOnce(t *testing.T) {
	seen := map[string]bool{}
	_, err := Set(parsed(t, busy), topology.Default(), Options{Simplify: true}, func(c testset.Set) (bool, error) {
		key := keyOf(&c)
		failed, _ := lossy(3)(c)
		if !failed && seen[key] {
			t.Errorf("tried again: %s", key)
		}
		seen[key] = true
		return failed, nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
