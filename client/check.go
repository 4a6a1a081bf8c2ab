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
}

func (c *checkCommand) run(d *driver) (int, error) {
	plans, err := plans(&c.Shape, c.TestSets)
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
		fmt.Fprintf(d.stdout, "%s: %d sets, %d commands, %d expectations, %d warnings\n", p.Path, len(p.Sets), commands, len(p.Expected), len(p.Warnings))
	}
	return check.ExitPass, nil
}
