package plan

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A plan has every file that it was read from, byte by byte, under the name that
// a run directory gives it.
func TestInputs(t *testing.T) {
	dir := t.TempDir()
	files := map[string]string{
		"a.csv":          "\ufeff1,\"(1, 2, 3)\"\r\n2,(1)\r\n",
		"a.yaml":         "# all sets\nclusters: [{id: c1, nodes: [n1], first_item: 1, last_item: 9}]\n",
		"other.yaml":     "clusters: [{id: c1, nodes: [n1, n2, n3], first_item: 1, last_item: 9}]\n",
		"a.expected.csv": "Set Number,Check,Target,Expected,Points\n2,value,(1),10,1\n",
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	shape := Shape{Topology: []string{"2=" + filepath.Join(dir, "other.yaml")}}
	p, err := shape.Read(filepath.Join(dir, "a.csv"))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, in := range p.Inputs {
		got[in.Name] = string(in.Data)
	}
	want := map[string]string{
		TestSetInput: files["a.csv"], "topology.yaml": files["a.yaml"], "topology-2.yaml": files["other.yaml"], ExpectedInput: files["a.expected.csv"],
	}
	if diff := cmp.Diff(want, got); diff != "" || len(p.Inputs) != len(want) {
		t.Errorf("%d inputs, -want +got:\n%s", len(p.Inputs), diff)
	}
}
