package topology

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseYAML(t *testing.T) {
	const text = `# walkthrough
clusters:
  - id: c2
    nodes: [{id: n4, address: "127.0.0.1:7004"}, n5]
    items: [{first: 3001, last: 4000}, {first: 5001, last: 6000}]
  - {id: c1, nodes: [{id: n1}], first_item: 1, last_item: 3_000}
balances: {1001: 100, 3001: 50}
item_names: {A: 1, y: 2, Émile_2: 3_000}
`
	got, err := ParseYAML("bank.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	want := &Topology{
		Clusters: []Cluster{
			{ID: "c2", Nodes: []Node{{ID: "n4", Address: "127.0.0.1:7004"}, {ID: "n5"}}},
			{ID: "c1", Nodes: []Node{{ID: "n1"}}},
		},
		Items: ItemMap{Version: 1, Ranges: []Range{
			{First: 1, Last: 3000, Cluster: 1}, {First: 3001, Last: 4000, Cluster: 0}, {First: 5001, Last: 6000, Cluster: 0},
		}},
		InitialBalance: 10,
		Balances:       map[int64]int64{1001: 100, 3001: 50},
		ItemNames:      map[int64]string{1: "A", 2: "y", 3000: "Émile_2"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Fatalf("-want +got\n%s", d)
	}
}

func TestParseYAMLErrors(t *testing.T) {
	const good = "clusters: [{id: c1, nodes: [{id: n1}], first_item: 1, last_item: 9}]\n"
	for _, c := range []struct{ text, want string }{
		{"", "f.yaml:1: the file is empty"},
		{"# only a comment\n", "f.yaml:1: the file is empty"},
		{"clusters: [\n", "f.yaml:2: not YAML"},
		{"- 1\n", "f.yaml:1: the topology must be a mapping"},
		{"initial_balance: 3\n", "f.yaml:1: the topology has no `clusters`"},
		{good + "colour: red\n", `f.yaml:2: the topology has no field "colour"; it may have clusters, initial_balance, balances, item_names`},
		{good + "initial_balance: ten\n", `f.yaml:2: initial_balance must be a whole number, got "ten"`},
		{good + "initial_balance: 1.5\n", `f.yaml:2: initial_balance must be a whole number`},
		{good + "initial_balance: -1\n", `f.yaml:2: initial_balance is negative: -1`},
		{good + "balances: {10: 5}\n", "f.yaml:2: balance of item 10: no cluster owns that item"},
		{good + "balances: {9: -5}\n", "f.yaml:2: balance of item 9 is negative: -5"},
		{good + "balances:\n  9: 5\n  09: 6\n", "f.yaml:4: balance of item 9 is given twice"},
		{good + "balances: 7\n", "f.yaml:2: balances must be a mapping"},
		{good + "item_names: [A, B]\n", "f.yaml:2: item_names must be a mapping of name: item"},
		{good + "item_names:\n  A: 1\n  B: ten\n", `f.yaml:4: item of the name B must be a whole number, got "ten"`},
		{good + "item_names:\n  A: 1\n  A: 2\n", "f.yaml:4: "},
		{good + "item_names:\n  A: 1\n  B: 1\n", "f.yaml:4: item 1 has two names, A and B"},
		{good + "item_names:\n  A: 10\n", "f.yaml:3: name A of item 10: no cluster owns that item"},
		{good + "item_names:\n  2: 1\n", `f.yaml:3: "2" cannot be the name of an item`},
		{good + "item_names:\n  A-1: 1\n", `f.yaml:3: "A-1" cannot be the name of an item`},
		{good + "item_names: {[A]: 1}\n", "f.yaml:2: a name of item_names must be a text"},
		{good + "---\n" + good, "more than one YAML document"},
		{"clusters: 7\n", "f.yaml:1: clusters must be a list"},
		{"clusters: []\n", "f.yaml:1: clusters is an empty list"},
		{"clusters:\n- {id: c1, first_item: 1, last_item: 2}\n", "f.yaml:2: cluster c1 has no `nodes`"},
		{"clusters:\n- {id: c1, nodes: [], first_item: 1, last_item: 2}\n", "f.yaml:2: nodes of cluster c1 is an empty list"},
		{"clusters:\n- {id: c1, nodes: [{address: 'x:1'}], first_item: 1, last_item: 2}\n", "f.yaml:2: a node of cluster c1 has no `id`"},
		{"clusters:\n- {id: c1, nodes: [{id: n1, port: 1}], first_item: 1, last_item: 2}\n", `f.yaml:2: a node of cluster c1 has no field "port"`},
		{"clusters:\n- {id: c1, nodes: [n1, n1], first_item: 1, last_item: 2}\n", "f.yaml:2: node n1 is already used in line 2"},
		{"clusters:\n- {id: c1, nodes: [n1], first_item: 1, last_item: 2}\n- {id: c1, nodes: [n2], first_item: 3, last_item: 4}\n", "f.yaml:3: cluster c1 is already used in line 2"},
		{"clusters:\n- {id: c1, nodes: [{id: n1, address: 'h:1'}, {id: n2, address: 'h:1'}], first_item: 1, last_item: 2}\n", "f.yaml:2: address h:1 is already used in line 2"},
		{"clusters:\n- {id: c1, nodes: [n1], first_item: 1, last_item: 5}\n- {id: c2, nodes: [n2], first_item: 5, last_item: 9}\n", "f.yaml:3: cluster c2: items 5-9 overlap items 1-5 of cluster c1 (line 2)"},
		{"clusters:\n- {id: c1, nodes: [n1], first_item: 5, last_item: 1}\n", "f.yaml:2: cluster c1: bad item range 5-1"},
		{"clusters:\n- {id: c1, nodes: [n1], first_item: 5}\n", "f.yaml:2: cluster c1 needs first_item and last_item, or items"},
		{"clusters:\n- {id: c1, nodes: [n1], first_item: 5, last_item: 6, items: []}\n", "f.yaml:2: cluster c1 has both `items` and"},
		{"clusters:\n- {id: c1, nodes: [n1], items: [{first: 5}]}\n", "f.yaml:2: an item range of cluster c1 needs first and last"},
		{"clusters:\n- {id: c1, nodes: [n1], first_item: 1, last_item: 99999999999}\n", "f.yaml:1: topology has more than"},
		{"clusters:\n- {id: c1, id: c2, nodes: [n1], first_item: 1, last_item: 9}\n", "f.yaml:2: "},
	} {
		_, err := ParseYAML("f.yaml", []byte(c.text))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q:\n got error %v\nwant %q", c.text, err, c.want)
		} else if strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: error has several lines: %q", c.text, err)
		}
	}
}

func FuzzParseYAML(f *testing.F) {
	f.Add([]byte("clusters: [{id: c1, nodes: [{id: n1}], first_item: 1, last_item: 9}]\nbalances: {3: 4}\n"))
	f.Add([]byte("a: &a [*a]\nclusters: *a\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		top, err := ParseYAML("f", data)
		if err == nil && top.Validate() != nil {
			t.Fatalf("an invalid topology was accepted: %v", top.Validate())
		}
	})
}
