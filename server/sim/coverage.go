package sim

import (
	"fmt"
	"sort"
	"strings"
	"text/tabwriter"
)

// Coverage counts what a run met, by "group: name". A count that stays at zero
// over many seeds shows what the simulator does not reach.
type Coverage map[string]uint64

func (c Coverage) add(group, name string) { c[group+": "+name]++ }

// Merge adds what another run met.
func (c Coverage) Merge(other Coverage) {
	for k, v := range other {
		c[k] += v
	}
}

// Missing lists what every large campaign has to meet and this one did not.
func (c Coverage) Missing() []string {
	var missing []string
	for _, name := range Expected() {
		if c[name] == 0 {
			missing = append(missing, name)
		}
	}
	return missing
}

// Table lists the counts by group, four to a line.
func (c Coverage) Table() string {
	keys := make([]string, 0, len(c))
	for k := range c {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	group, column := "", 0
	for _, k := range keys {
		g, name, _ := strings.Cut(k, ": ")
		switch {
		case g != group:
			if group != "" {
				fmt.Fprintln(t)
			}
			group, column = g, 0
			fmt.Fprintf(t, "%s\t", g)
		case column == 4:
			column = 0
			fmt.Fprint(t, "\n\t")
		}
		column++
		fmt.Fprintf(t, "%s\t%d\t", name, c[k])
	}
	fmt.Fprintln(t)
	t.Flush() // into a strings.Builder, which cannot fail
	return b.String()
}
