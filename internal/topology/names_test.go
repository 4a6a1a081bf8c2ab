package topology

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func named(names map[int64]string) *Topology {
	return &Topology{
		Clusters:  []Cluster{{ID: "c1", Nodes: []Node{{ID: "n1"}}}},
		Items:     ItemMap{Version: 1, Ranges: []Range{{First: 1, Last: 9}}},
		ItemNames: names,
	}
}

func TestItemNames(t *testing.T) {
	top := named(map[int64]string{1: "A", 2: "B"})
	if err := top.Validate(); err != nil {
		t.Fatal(err)
	}
	if got := top.ItemName(2) + top.ItemName(3); got != "B3" {
		t.Errorf("items 2 and 3 are called %q", got)
	}
	if diff := cmp.Diff(map[string]int64{"A": 1, "B": 2}, top.ItemsByName()); diff != "" {
		t.Error(diff)
	}
	if top.Hash() != named(nil).Hash() {
		t.Error("names change the fingerprint, so nodes would have to know them")
	}
	for want, names := range map[string]map[int64]string{
		"items 1 and 2 are both named A": {1: "A", 2: "A"},
		"no cluster owns that item":      {10: "A"},
		`"7" cannot be the name`:         {1: "7"},
	} {
		if err := named(names).Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: got %v, want %s", names, err, want)
		}
	}
}
