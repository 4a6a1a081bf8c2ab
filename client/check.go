package main

import (
	"fmt"

	"paxbank/client/check"
	"paxbank/client/plan"
)

// checkCommand is `client check`.
type checkCommand struct {
	TestSets []string `arg:"" name:"testset" placeholder:"TESTSET.csv" help:"Test sets (CSV)."`
	plan.Shape
	expectedFlag
	Quiet bool `short:"q" help:"Only say what is wrong; do not print what was understood."`
}

// run reads the test sets and prints them as they were understood, as a test set
// in the plainest form: one command a row, nodes and items by their names.
func (c *checkCommand) run(d *driver) (int, error) {
	shape, err := c.expectedFlag.of(c.Shape, c.TestSets)
	if err != nil {
		return check.ExitUsage, err
	}
	plans, err := plans(shape, c.TestSets)
	if err != nil {
		return check.ExitUsage, err
	}
	for _, p := range plans {
		for _, w := range p.Warnings {
			d.note("%s", w)
		}
		commands := 0
		for _, s := range p.Sets {
			commands += len(s.Commands)
		}
		d.note("%s: %s, %s, %s, %s", p.Path, count(len(p.Sets), "set"), count(commands, "command"), count(len(p.Expected), "expectation"), count(len(p.Warnings), "warning"))
		if c.Quiet {
			continue
		}
		if err := p.File.Format(d.stdout); err != nil {
			return check.ExitInternal, fmt.Errorf("printing: %w", err)
		}
	}
	return check.ExitPass, nil
}
