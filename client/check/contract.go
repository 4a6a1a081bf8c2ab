package check

import (
	"fmt"
	"slices"
	"strings"

	"paxbank/client/runner"
)

// contract: what nodes answered and did is what docs/protocol.md allows. A client
// that sends again hides much of it, so the runner keeps it.
// Nodes that break it in the same way are told of together.
func (f *facts) contract() []Check {
	var out []Check
	type kind struct{ call, field, rule string }
	at := map[kind]int{}
	var kinds [][]*runner.Violation
	for i := range f.set.Violations {
		v := &f.set.Violations[i]
		k := kind{v.Call, v.Field, v.Rule}
		j, known := at[k]
		if !known {
			j = len(kinds)
			at[k], kinds = j, append(kinds, nil)
		}
		kinds[j] = append(kinds[j], v)
	}
	for _, list := range kinds {
		v, count := list[0], 0
		var nodes []string
		for _, one := range list {
			count += one.Count
			if !slices.Contains(nodes, one.Node) {
				nodes = append(nodes, one.Node)
			}
		}
		ids := strings.Join(nodes, ",")
		c := invariant("contract", v.Call+"@"+ids, Fail, "as docs/protocol.md says", "not so", "%s of %s, field %s: %s%s", v.Call, ids, v.Field, v.Got, times(count))
		c.Nodes, c.Rule, c.FirstDifference = nodes, v.Rule, fmt.Sprintf("%s: %s: got %s", v.Node, v.Field, v.Got)
		if call := f.callOf(request{v.Client, v.Timestamp}); call != nil {
			c.Lines = []int{call.Command.Line}
			c.Message += fmt.Sprintf(", first on line %d, %s", call.Command.Line, call.Command.Text)
		}
		c.Message += "; docs/protocol.md: " + v.Rule
		out = append(out, c)
	}
	return bounded(out, "ways in which nodes break the contract")
}

func times(n int) string {
	if n <= 1 {
		return ""
	}
	return fmt.Sprintf(" (%d times)", n)
}

// callOf is the transfer of that name; nil for none.
func (f *facts) callOf(q request) *runner.Call {
	if q == (request{}) {
		return nil
	}
	i := slices.IndexFunc(f.set.Calls, func(c runner.Call) bool { return c.Kind != "read" && requestOf(&c) == q })
	if i < 0 {
		return nil
	}
	return &f.set.Calls[i]
}
