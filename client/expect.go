package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"paxbank/client/check"
	"paxbank/client/oracle"
	"paxbank/client/plan"
	"paxbank/client/report"
)

// expectCommand is `client expect`.
type expectCommand struct {
	TestSets []string `arg:"" name:"testset" placeholder:"TESTSET.csv" help:"Test sets (CSV)."`
	plan.Shape
	Order     string `enum:"conflict,free,serial" default:"conflict" help:"When the commands of a batch start, as for client run."`
	Semantics string `enum:"strict,course" default:"strict" help:"What an implementation may do: strict is the protocol; course also lets it give up on locked items and read without asking a majority."`
	KeepState bool   `help:"The bank's state is carried over from set to set, as for client run."`
	Why       bool   `help:"Print the reasons instead: what every command must or may come to, and why."`
}

// run prints what must come of the test sets, as expected files.
func (c *expectCommand) run(d *driver) (int, error) {
	plans, err := plans(&c.Shape, c.TestSets)
	if err != nil {
		return check.ExitUsage, err
	}
	for _, p := range plans {
		for _, w := range p.Warnings {
			d.note("%s", w)
		}
		fresh := oracle.Options{Order: c.Order, Semantics: c.Semantics}
		opt := fresh
		for i := range p.Sets {
			set := &p.Sets[i]
			// Another topology is another bank, which begins afresh.
			if !c.KeepState || i > 0 && p.Sets[i-1].Topology != set.Topology {
				opt = fresh
			}
			e, err := oracle.Expect(&set.Set, set.Topology, opt)
			if err != nil {
				return check.ExitInternal, fmt.Errorf("%s, set %d: %w", p.Path, set.Number, err)
			}
			opt = e.After()
			if c.Why {
				err = c.reasons(d.stdout, set, e)
			} else {
				_, err = io.WriteString(d.stdout, e.CSV(i == 0))
			}
			if err != nil {
				return check.ExitInternal, fmt.Errorf("printing: %w", err)
			}
		}
	}
	return check.ExitPass, nil
}

// reasons prints one line a command: where it stands, what it is, what it may
// come to and why.
func (c *expectCommand) reasons(w io.Writer, set *plan.Set, e *oracle.Expectation) error {
	var rows [][]string
	for i := range set.Commands {
		cmd := &set.Commands[i]
		may, why := "", ""
		if !cmd.Marker() {
			may, why = mayComeTo(&e.Commands[i]), e.Why(i)
		}
		rows = append(rows, []string{strconv.Itoa(set.Number), strconv.Itoa(cmd.Line), cmd.Text, may, why})
	}
	if len(rows) == 0 {
		return nil
	}
	return report.PrintTable(w, []string{">Set", ">Line", "Command", "May come to", "Why"}, rows)
}

// mayComeTo says what a command may come to, in the words of an expected file.
func mayComeTo(x *oracle.Expected) string {
	var words []string
	for _, o := range x.Outcomes {
		if o == oracle.Value {
			words = append(words, x.Values.String())
		} else {
			words = append(words, string(o))
		}
	}
	return strings.Join(words, " | ")
}
