package testset

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"paxbank/internal/topology"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// read parses a file of testdata and checks all of its sets, against the topology
// beside it if there is one.
func read(t *testing.T, path string) (*File, Errors) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	top := topology.Default()
	if beside, err := os.ReadFile(strings.TrimSuffix(path, ".csv") + ".yaml"); err == nil {
		if top, err = topology.ParseYAML(path, beside); err != nil {
			t.Fatal(err)
		}
	}
	f, err := Parse(path, data)
	errs, _ := err.(Errors)
	if err != nil && len(errs) == 0 {
		t.Fatalf("error %v is not a list of errors", err)
	}
	if len(errs) == 0 {
		testFormat(t, f)
	}
	for i := range f.Sets {
		for _, e := range f.Check(&f.Sets[i], top) {
			if e.Warning {
				f.Warnings = append(f.Warnings, e.Error())
			} else {
				errs = append(errs, e)
			}
		}
	}
	return f, sorted(errs)
}

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (run the test with -update, then read the file)", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (-want +got; -update rewrites it):\n%s", path, diff)
	}
}

// files of a directory of testdata, by name.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", dir, "*.csv"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no files in testdata/%s: %v", dir, err)
	}
	byName := map[string]string{}
	for _, p := range paths {
		byName[strings.TrimSuffix(filepath.Base(p), ".csv")] = p
	}
	return byName
}

// Every untidiness that is accepted, with what is understood and the warnings.
func TestDialects(t *testing.T) {
	for name, path := range files(t, "dialects") {
		t.Run(name, func(t *testing.T) {
			f, errs := read(t, path)
			if len(errs) > 0 {
				t.Fatalf("refused:\n%v", errs)
			}
			var got strings.Builder
			if err := f.Format(&got); err != nil {
				t.Fatal(err)
			}
			for _, w := range f.Warnings {
				got.WriteString("# " + w + "\n")
			}
			golden(t, strings.TrimSuffix(path, ".csv")+".golden", got.String())
		})
	}
}

// Everything that is refused, with all of its errors.
func TestRefused(t *testing.T) {
	for name, path := range files(t, "refused") {
		t.Run(name, func(t *testing.T) {
			_, errs := read(t, path)
			if len(errs) == 0 {
				t.Fatal("accepted")
			}
			golden(t, strings.TrimSuffix(path, ".csv")+".golden", errs.Error()+"\n")
		})
	}
}

// One file may hold sets for banks of different shapes; only the sets that run
// are checked, each against its own.
func TestSetsOfDifferentShapes(t *testing.T) {
	const text = "1,\"(1, 9000, 2)\",\"[n1, n9]\"\n15,\"(1, 25000, 2)\",\"[n1, n25]\"\n,F(n22)\n,LF(c5)\n"
	f, err := Parse("mixed.csv", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	large, err := topology.Uniform(5, 5, 25000, 10)
	if err != nil {
		t.Fatal(err)
	}
	if errs := f.Check(&f.Sets[0], topology.Default()); len(errs) > 0 {
		t.Errorf("set 1 on 3×3: %v", errs)
	}
	if errs := f.Check(&f.Sets[1], large); len(errs) > 0 {
		t.Errorf("set 15 on 5×5: %v", errs)
	}
	var got []string
	for _, e := range f.Check(&f.Sets[1], topology.Default()) {
		got = append(got, e.Error()[:len("mixed.csv:2:11: ")])
	}
	want := []string{"mixed.csv:2:9: (", "mixed.csv:2:26: ", "mixed.csv:3:4: F", "mixed.csv:4:5: L"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("set 15 on 3×3 (-want +got):\n%s", diff)
	}
}

// The names of items that a topology gives are found in commands and expected
// files, and the texts keep them.
func TestItemNames(t *testing.T) {
	f, errs := read(t, filepath.Join("testdata", "dialects", "single-cluster.csv"))
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	if c := f.Sets[0].Commands[0]; c.From != 1 || c.To != 10 || c.Amount != 3 || c.Text != "(A, J, 3)" {
		t.Errorf("got %+v", c)
	}
	if c := f.Sets[1].Commands[3]; c.Kind != Read || c.Item != 1 || c.Text != "(A)" {
		t.Errorf("got %+v", c)
	}
	shape := func(names map[int64]string) *topology.Topology {
		top, err := topology.Uniform(1, 5, 11, 10)
		if err != nil {
			t.Fatal(err)
		}
		top.ItemNames = names
		return top
	}
	names := map[int64]string{1: "A", 10: "J"}
	rows, err := ParseExpected("e.csv", []byte("1,balance,J@n3,13\n1,outcome,\"(A,J,3)\",committed\n2,balance,A,7\n*,balance,K,1\n2,value,(A),7\n1,balance,B@n1,1\n"))
	if err != nil {
		t.Fatal(err)
	}
	got := []string{}
	for _, e := range f.CheckExpected("e.csv", rows, func(int) *topology.Topology { return shape(names) }) {
		got = append(got, e.Error())
	}
	want := []string{"e.csv:4:11: unknown item K (named items are A, J)", "e.csv:6:11: unknown item B (named items are A, J)"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if e := rows[0]; e.Item != 10 || e.Target != "J@n3" || rows[2].Item != 1 {
		t.Errorf("got %+v and %+v", e, rows[2])
	}

	// Two shapes may not mean two items by one name.
	bySet := map[int]*topology.Topology{1: shape(names), 2: shape(map[int64]string{2: "A"})}
	rows, err = ParseExpected("e.csv", []byte("*,balance,A,7\n"))
	if err != nil {
		t.Fatal(err)
	}
	clash := f.CheckExpected("e.csv", rows, func(set int) *topology.Topology { return bySet[set] })
	if len(clash) != 1 || !strings.HasPrefix(clash[0].Error(), "e.csv:1:11: item A is 1 in one set and 2 in another") {
		t.Errorf("got %v", clash)
	}
}

// What an error suggests as a topology is one, and the file runs on it.
func TestSuggestedTopology(t *testing.T) {
	f, errs := read(t, filepath.Join("testdata", "refused", "names-without-topology.csv"))
	if len(errs) != 2 {
		t.Fatalf("got %v, want one error a set", errs)
	}
	text := errs[0].Text[strings.IndexByte(errs[0].Text, '{') : strings.LastIndexByte(errs[0].Text, '}')+1]
	top, err := topology.ParseYAML("suggested.yaml", []byte(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	for i := range f.Sets {
		if errs := f.Check(&f.Sets[i], top); len(errs) > 0 {
			t.Errorf("set %d on the suggested topology: %v", f.Sets[i].Number, errs)
		}
	}
	if to := f.Sets[0].Commands[0].To; to != 10 || top.ItemName(to) != "J" {
		t.Errorf("J is item %d, called %s", to, top.ItemName(to))
	}
}

// The test sets that come with the bank are tidy.
func TestOwnTestSets(t *testing.T) {
	paths, err := filepath.Glob("../../testsets/*.csv")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no test sets: %v", err)
	}
	for _, path := range paths {
		if strings.HasSuffix(path, ".expected.csv") {
			continue
		}
		f, errs := read(t, path)
		if len(errs) > 0 || len(f.Warnings) > 0 {
			t.Errorf("%s: %v %v", path, errs, f.Warnings)
		}
	}
}
