package topology

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"sort"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// DefaultBalance is what an item holds when a topology file does not say.
const DefaultBalance = 10

// ParseYAML reads a topology file:
//
//	clusters:
//	  - {id: c1, nodes: [{id: n1, address: 127.0.0.1:7001}], first_item: 1, last_item: 3000}
//	  - {id: c2, nodes: [{id: n2}], items: [{first: 3001, last: 4000}, {first: 5001, last: 6000}]}
//	initial_balance: 10
//	balances: {1001: 100}
//	item_names: {A: 1, B: 2}
//
// Addresses may be left out where somebody else assigns them; a node may be
// written as its id alone. Unknown fields, repeated ones and values of the wrong
// type are errors of the form "name:line: what is wrong". The topology returned
// is valid.
func ParseYAML(name string, data []byte) (*Topology, error) {
	p := yamlFile{name: name}
	root, err := p.document(data)
	if err != nil {
		return nil, err
	}
	return p.topology(root)
}

// yamlFile walks the tree by hand, because the decoder's own errors name Go
// types and the rules of Validate know no lines.
type yamlFile struct{ name string }

func (p yamlFile) errorf(line int, format string, args ...any) error {
	return fmt.Errorf("%s:%d: %s", p.name, line, fmt.Sprintf(format, args...))
}

// yamlLine finds the line number in a syntax error of the library.
var yamlLine = regexp.MustCompile(`\bline (\d+)(?:, column \d+|\.\d+)?:? ?`)

func (p yamlFile) document(data []byte) (*yaml.Node, error) {
	dec := yaml.NewDecoder(strings.NewReader(string(data)))
	var doc yaml.Node
	err := dec.Decode(&doc)
	if errors.Is(err, io.EOF) {
		return nil, p.errorf(1, "the file is empty; it needs `clusters:`")
	}
	if err != nil {
		line, msg := 1, strings.TrimPrefix(strings.ReplaceAll(err.Error(), "\n", " "), "yaml: ")
		if m := yamlLine.FindStringSubmatchIndex(msg); m != nil {
			line, _ = strconv.Atoi(msg[m[2]:m[3]])
			msg = msg[:m[0]] + msg[m[1]:]
		}
		return nil, p.errorf(line, "not YAML: %s", strings.TrimSpace(msg))
	}
	var more yaml.Node
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, p.errorf(max(more.Line, 1), "more than one YAML document in the file")
	}
	if doc.Kind != yaml.DocumentNode || len(doc.Content) != 1 {
		return nil, p.errorf(1, "the file is empty; it needs `clusters:`")
	}
	return doc.Content[0], nil
}

// field is one key of a mapping.
type field struct {
	key   *yaml.Node
	value *yaml.Node
}

// fields returns the entries of a mapping by key. what names it in errors.
func (p yamlFile) fields(n *yaml.Node, what string, known ...string) (map[string]field, error) {
	if n.Kind != yaml.MappingNode {
		return nil, p.errorf(n.Line, "%s must be a mapping with %s", what, strings.Join(known, ", "))
	}
	fields := map[string]field{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], resolveAlias(n.Content[i+1])
		ok := false
		for _, s := range known {
			ok = ok || s == k.Value
		}
		if !ok {
			return nil, p.errorf(k.Line, "%s has no field %q; it may have %s", what, k.Value, strings.Join(known, ", "))
		}
		if _, twice := fields[k.Value]; twice {
			return nil, p.errorf(k.Line, "%s has the field %s twice", what, k.Value)
		}
		fields[k.Value] = field{k, v}
	}
	return fields, nil
}

func resolveAlias(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode && n.Alias != nil {
		n = n.Alias
	}
	return n
}

func (p yamlFile) list(n *yaml.Node, what string) ([]*yaml.Node, error) {
	if n.Kind != yaml.SequenceNode {
		return nil, p.errorf(n.Line, "%s must be a list", what)
	}
	if len(n.Content) == 0 {
		return nil, p.errorf(n.Line, "%s is an empty list", what)
	}
	all := make([]*yaml.Node, len(n.Content))
	for i, c := range n.Content {
		all[i] = resolveAlias(c)
	}
	return all, nil
}

func (p yamlFile) number(n *yaml.Node, what string) (int64, error) {
	if n.Kind == yaml.ScalarNode {
		if v, err := strconv.ParseInt(strings.ReplaceAll(n.Value, "_", ""), 10, 64); err == nil {
			return v, nil
		}
		return 0, p.errorf(n.Line, "%s must be a whole number, got %q", what, n.Value)
	}
	return 0, p.errorf(n.Line, "%s must be a whole number", what)
}

func (p yamlFile) text(n *yaml.Node, what string) (string, error) {
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" || n.Value == "" {
		return "", p.errorf(n.Line, "%s must be a text", what)
	}
	return n.Value, nil
}

func (p yamlFile) topology(root *yaml.Node) (*Topology, error) {
	fields, err := p.fields(root, "the topology", "clusters", "initial_balance", "balances", "item_names")
	if err != nil {
		return nil, err
	}
	t := &Topology{InitialBalance: DefaultBalance, Items: ItemMap{Version: 1}}
	clusters, ok := fields["clusters"]
	if !ok {
		return nil, p.errorf(root.Line, "the topology has no `clusters`")
	}
	if f, ok := fields["initial_balance"]; ok {
		if t.InitialBalance, err = p.number(f.value, "initial_balance"); err != nil {
			return nil, err
		}
		if t.InitialBalance < 0 {
			return nil, p.errorf(f.value.Line, "initial_balance is negative: %d", t.InitialBalance)
		}
	}
	if err := p.clusters(t, clusters.value); err != nil {
		return nil, err
	}
	if f, ok := fields["balances"]; ok && f.value.Tag != "!!null" {
		if err := p.balances(t, f.value); err != nil {
			return nil, err
		}
	}
	if f, ok := fields["item_names"]; ok && f.value.Tag != "!!null" {
		if err := p.itemNames(t, f.value); err != nil {
			return nil, err
		}
	}
	if err := t.Validate(); err != nil {
		return nil, p.errorf(clusters.key.Line, "%v", err)
	}
	return t, nil
}

// lined is a range and where it was written.
type lined struct {
	Range
	line int
}

func (p yamlFile) clusters(t *Topology, n *yaml.Node) error {
	list, err := p.list(n, "clusters")
	if err != nil {
		return err
	}
	var ranges []lined
	where := map[string]int{} // "cluster c1", "node n1", "address :1" → line
	once := func(kind, id string, line int) error {
		key := kind + " " + id
		if first, twice := where[key]; twice {
			return p.errorf(line, "%s is already used in line %d", key, first)
		}
		where[key] = line
		return nil
	}
	for i, cn := range list {
		what := fmt.Sprintf("cluster number %d", i+1)
		f, err := p.fields(cn, what, "id", "nodes", "first_item", "last_item", "items")
		if err != nil {
			return err
		}
		c := Cluster{ID: fmt.Sprintf("c%d", i+1)}
		if id, ok := f["id"]; ok {
			if c.ID, err = p.text(id.value, "id of "+what); err != nil {
				return err
			}
		}
		if err := once("cluster", c.ID, cn.Line); err != nil {
			return err
		}
		what = "cluster " + c.ID
		nodes, ok := f["nodes"]
		if !ok {
			return p.errorf(cn.Line, "%s has no `nodes`", what)
		}
		nodeList, err := p.list(nodes.value, "nodes of "+what)
		if err != nil {
			return err
		}
		for _, nn := range nodeList {
			node, err := p.node(nn, what)
			if err != nil {
				return err
			}
			if err := once("node", node.ID, nn.Line); err != nil {
				return err
			}
			if node.Address != "" {
				if err := once("address", node.Address, nn.Line); err != nil {
					return err
				}
			}
			c.Nodes = append(c.Nodes, node)
		}
		own, err := p.ranges(f, cn, what)
		if err != nil {
			return err
		}
		for _, r := range own {
			r.Cluster = i
			ranges = append(ranges, r)
		}
		t.Clusters = append(t.Clusters, c)
	}
	sort.SliceStable(ranges, func(i, j int) bool { return ranges[i].First < ranges[j].First })
	for i, r := range ranges {
		if i > 0 && r.First <= ranges[i-1].Last {
			prev := ranges[i-1]
			return p.errorf(r.line, "cluster %s: items %d-%d overlap items %d-%d of cluster %s (line %d)",
				t.Clusters[r.Cluster].ID, r.First, r.Last, prev.First, prev.Last, t.Clusters[prev.Cluster].ID, prev.line)
		}
		t.Items.Ranges = append(t.Items.Ranges, r.Range)
	}
	return nil
}

func (p yamlFile) node(n *yaml.Node, what string) (Node, error) {
	if n.Kind == yaml.ScalarNode {
		id, err := p.text(n, "a node of "+what)
		return Node{ID: id}, err
	}
	f, err := p.fields(n, "a node of "+what, "id", "address")
	if err != nil {
		return Node{}, err
	}
	id, ok := f["id"]
	if !ok {
		return Node{}, p.errorf(n.Line, "a node of %s has no `id`", what)
	}
	var node Node
	if node.ID, err = p.text(id.value, "id of a node of "+what); err != nil {
		return Node{}, err
	}
	if a, ok := f["address"]; ok && a.value.Tag != "!!null" && a.value.Value != "" {
		if node.Address, err = p.text(a.value, "address of node "+node.ID); err != nil {
			return Node{}, err
		}
	}
	return node, nil
}

// ranges reads first_item and last_item, or items.
func (p yamlFile) ranges(f map[string]field, n *yaml.Node, what string) ([]lined, error) {
	first, hasFirst := f["first_item"]
	last, hasLast := f["last_item"]
	items, hasItems := f["items"]
	one := func(first, last *yaml.Node, firstName, lastName string) (lined, error) {
		a, err := p.number(first, firstName+" of "+what)
		if err != nil {
			return lined{}, err
		}
		b, err := p.number(last, lastName+" of "+what)
		if err != nil {
			return lined{}, err
		}
		if a < 1 || b < a {
			return lined{}, p.errorf(first.Line, "%s: bad item range %d-%d; items are numbered from 1, first ≤ last", what, a, b)
		}
		return lined{Range{First: a, Last: b}, first.Line}, nil
	}
	switch {
	case hasItems && (hasFirst || hasLast):
		return nil, p.errorf(items.key.Line, "%s has both `items` and `first_item`/`last_item`; keep one", what)
	case hasFirst && hasLast:
		r, err := one(first.value, last.value, "first_item", "last_item")
		return []lined{r}, err
	case hasFirst || hasLast || !hasItems:
		return nil, p.errorf(n.Line, "%s needs first_item and last_item, or items", what)
	}
	list, err := p.list(items.value, "items of "+what)
	if err != nil {
		return nil, err
	}
	var all []lined
	for _, rn := range list {
		rf, err := p.fields(rn, "an item range of "+what, "first", "last")
		if err != nil {
			return nil, err
		}
		a, okA := rf["first"]
		b, okB := rf["last"]
		if !okA || !okB {
			return nil, p.errorf(rn.Line, "an item range of %s needs first and last", what)
		}
		r, err := one(a.value, b.value, "first", "last")
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, nil
}

func (p yamlFile) balances(t *Topology, n *yaml.Node) error {
	if n.Kind != yaml.MappingNode {
		return p.errorf(n.Line, "balances must be a mapping of item: balance")
	}
	t.Balances = make(map[int64]int64, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], resolveAlias(n.Content[i+1])
		item, err := p.number(k, "an item of balances")
		if err != nil {
			return err
		}
		balance, err := p.number(v, fmt.Sprintf("balance of item %d", item))
		if err != nil {
			return err
		}
		if _, twice := t.Balances[item]; twice {
			return p.errorf(k.Line, "balance of item %d is given twice", item)
		}
		if _, ok := t.Items.Cluster(item); !ok {
			return p.errorf(k.Line, "balance of item %d: no cluster owns that item", item)
		}
		if balance < 0 {
			return p.errorf(v.Line, "balance of item %d is negative: %d", item, balance)
		}
		t.Balances[item] = balance
	}
	return nil
}

// itemNames reads name: item. Validate knows the rules too, but not the lines.
func (p yamlFile) itemNames(t *Topology, n *yaml.Node) error {
	if n.Kind != yaml.MappingNode {
		return p.errorf(n.Line, "item_names must be a mapping of name: item, e.g. {A: 1, B: 2}")
	}
	t.ItemNames = make(map[int64]string, len(n.Content)/2)
	names := make(map[string]bool, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], resolveAlias(n.Content[i+1])
		name, err := p.text(k, "a name of item_names")
		if err != nil {
			return err
		}
		if !ValidItemName(name) {
			return p.errorf(k.Line, "%q cannot be the name of an item: names begin with a letter and go on with letters, digits and _", name)
		}
		item, err := p.number(v, "item of the name "+name)
		if err != nil {
			return err
		}
		if names[name] {
			return p.errorf(k.Line, "the name %s is given twice", name)
		}
		if other, twice := t.ItemNames[item]; twice {
			return p.errorf(v.Line, "item %d has two names, %s and %s", item, other, name)
		}
		if _, ok := t.Items.Cluster(item); !ok {
			return p.errorf(v.Line, "name %s of item %d: no cluster owns that item", name, item)
		}
		names[name], t.ItemNames[item] = true, name
	}
	return nil
}
