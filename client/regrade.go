package main

import (
	"errors"
	"strings"

	"paxbank/client/check"
	"paxbank/client/regrade"
)

// regradeCommand is `client regrade`.
type regradeCommand struct {
	Runs     []string `arg:"" name:"run_dir" placeholder:"RUN_DIR" help:"Run directories, such as results/course/latest."`
	Expected string   `placeholder:"FILE" help:"Expected file to judge by (default: the run's own copy)."`
	Write    bool     `help:"Store the new verdict in the run directory; files that change are kept as summary.1.json and so on."`
	JSON     bool     `name:"json" help:"Print the comparison as JSON."`
}

func (c *regradeCommand) run(d *driver) (int, error) {
	var runs []*regrade.Regrade
	var errs []error
	for _, dir := range c.Runs {
		r, err := regrade.Open(dir, c.Expected)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		runs = append(runs, r)
	}
	if len(errs) > 0 {
		return check.ExitUsage, &exitError{check.ExitUsage, errors.Join(errs...)}
	}
	code := check.ExitPass
	for _, r := range runs {
		for _, n := range r.Notes {
			d.note("%s", n)
		}
		code = graver(code, r.ExitCode())
	}
	show := regrade.Print
	if c.JSON {
		show = regrade.PrintJSON
	}
	if err := show(d.stdout, runs); err != nil {
		return check.ExitInternal, err
	}
	if c.Write {
		for _, r := range runs {
			kept, err := r.Write()
			if len(kept) > 0 {
				d.note("%s: kept as they were: %s", r.Dir, strings.Join(kept, ", "))
			}
			if err != nil {
				return check.ExitInternal, err
			}
		}
	}
	return code, nil
}
