package topology

import (
	"fmt"
	"regexp"
	"strconv"
)

// itemNamePattern: a letter, then letters, digits and underscores, 64 at most. A
// name is never a number, so that a test set's (A, 7, 3) can be read in one way
// only.
var itemNamePattern = regexp.MustCompile(`^\p{L}[\p{L}\p{N}_]{0,63}$`)

// ValidItemName reports whether s can be the name of an item.
func ValidItemName(s string) bool { return itemNamePattern.MatchString(s) }

// ItemName returns what people call item: its name, or its number in decimal.
func (t *Topology) ItemName(item int64) string {
	if name, ok := t.ItemNames[item]; ok {
		return name
	}
	return strconv.FormatInt(item, 10)
}

// ItemsByName returns the items that have a name, by that name. It makes the map
// afresh, so keep it while looking up many names.
func (t *Topology) ItemsByName() map[string]int64 {
	byName := make(map[string]int64, len(t.ItemNames))
	for item, name := range t.ItemNames {
		byName[name] = item
	}
	return byName
}

// validateNames says what is wrong with the items' names, or nil.
func (t *Topology) validateNames() error {
	taken := make(map[string]int64, len(t.ItemNames))
	for _, item := range sortedItems(t.ItemNames) {
		name := t.ItemNames[item]
		if !ValidItemName(name) {
			return fmt.Errorf("%q cannot be the name of item %d: names begin with a letter and go on with letters, digits and _", name, item)
		}
		if _, ok := t.Items.Cluster(item); !ok {
			return fmt.Errorf("name %s of item %d: no cluster owns that item", name, item)
		}
		if other, twice := taken[name]; twice {
			return fmt.Errorf("items %d and %d are both named %s", other, item, name)
		}
		taken[name] = item
	}
	return nil
}
