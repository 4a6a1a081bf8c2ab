package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"paxbank/client/check"
	"paxbank/client/diff"
	"paxbank/client/drive"
	"paxbank/client/plan"
)

// diffCommand is `client diff`.
type diffCommand struct {
	TestSet string `arg:"" name:"testset" placeholder:"TESTSET.csv" help:"Test set (CSV) that both run."`
	plan.Shape
	conductFlags
	A    string `name:"a" placeholder:"'CMD {id} {listen} {data}'" help:"The one implementation; attach:FILE for nodes that run already, at the addresses of a topology file. Default: our server."`
	B    string `name:"b" placeholder:"'CMD {id} {listen} {data}'" help:"The other one, likewise."`
	JSON bool   `name:"json" help:"Print the comparison as JSON."`
}

// attachPrefix marks nodes that run already.
const attachPrefix = "attach:"

// side is one implementation and what it is going to run.
type side struct {
	flag string // --a or --b
	spec string
	plan *plan.Plan
	impl drive.Implementation
	dir  string
	res  *drive.Result
}

func (c *diffCommand) run(d *driver) (int, error) {
	if c.A == "" && c.B == "" {
		return check.ExitUsage, usage("say what to compare our server with: --b 'CMD {id} {listen} {data}', or --a and --b")
	}
	if err := c.conductFlags.check(); err != nil {
		return check.ExitUsage, err
	}
	sides := [2]*side{{flag: "--a", spec: c.A}, {flag: "--b", spec: c.B}}
	for _, s := range sides {
		if err := c.prepare(s); err != nil {
			return check.ExitUsage, err
		}
	}
	if err := sameShape(sides); err != nil {
		return check.ExitUsage, err
	}
	dir, err := drive.RunDir(c.Results, c.TestSet, time.Now())
	if err != nil {
		return check.ExitUsage, &exitError{check.ExitUsage, err}
	}
	d.notes(sides[0].plan)
	defer d.note("results in %s", drive.Shown(dir))
	ctx, stop := d.interruptible()
	defer stop()
	var errs []error
	for _, s := range sides {
		if ctx.Err() == nil {
			errs = append(errs, c.drive(ctx, d, s, dir))
		}
	}
	x := c.compare(sides)
	errs = append(errs, replaceFile(filepath.Join(dir, "diff.json"), x.json))
	if c.JSON {
		errs = append(errs, x.json(d.stdout))
	} else {
		errs = append(errs, x.print(d.stdout))
	}
	if ctx.Err() != nil {
		return check.ExitInterrupted, errors.Join(errs...)
	}
	return x.exitCode(), errors.Join(errs...)
}

// prepare reads what a side is going to run, and chooses its nodes.
func (c *diffCommand) prepare(s *side) error {
	shape, nodes := c.Shape, nodeFlags{NodeCmd: s.spec}
	if file, attached := strings.CutPrefix(s.spec, attachPrefix); attached {
		nodes = nodeFlags{Attach: true}
		if len(shapeWords(&shape)) > 0 {
			return usage("%s %s: the file says the shape of the bank; leave --topology and the numbers out", s.flag, s.spec)
		}
		shape.Topology = []string{file}
		if c.Fault == "kill" {
			return usage("--fault kill needs nodes that are started here: %s names nodes that run already", s.flag)
		}
	}
	plans, err := plans(&shape, []string{c.TestSet})
	if err != nil {
		return err
	}
	s.plan = plans[0]
	if s.impl, err = nodes.implementation(plans); err != nil {
		// The words are those of client run.
		text := strings.ReplaceAll(err.Error(), "--node-cmd", s.flag)
		return &exitError{codeOf(err), errors.New(strings.ReplaceAll(text, "--attach:", s.flag+":"))}
	}
	return nil
}

// sameShape: what differs in shape cannot be compared.
func sameShape(sides [2]*side) error {
	a, b := sides[0].plan, sides[1].plan
	for i := range a.Sets {
		if a.Sets[i].Topology.Hash() != b.Sets[i].Topology.Hash() {
			return usage("set %d: A and B are banks of different shapes: give nodes that run already the same clusters, items and balances, and nodes that are started here the same with --topology", a.Sets[i].Number)
		}
	}
	return nil
}

// drive runs a side. Nodes that cannot be started end it, and leave the other
// side as it is.
func (c *diffCommand) drive(ctx context.Context, d *driver, s *side, dir string) error {
	name := strings.TrimPrefix(s.flag, "--")
	s.dir = filepath.Join(dir, name)
	if err := os.Mkdir(s.dir, 0o755); err != nil {
		return fmt.Errorf("run directory: %w", err)
	}
	o := c.conductFlags.options(s.impl, d)
	o.Dir = s.dir
	progress := progressTo(d.stderr, false)
	o.Progress = func(text string) {
		if text != "" {
			text = strings.ToUpper(name) + ": " + text
		}
		progress(text)
	}
	var err error
	s.res, err = drive.Run(ctx, s.plan, o)
	if err != nil {
		return fmt.Errorf("%s: %w", s.flag, err)
	}
	v := s.res.Verdict()
	d.note("%s (%s): %s", strings.ToUpper(name), orOurs(s.spec), v.Verdict)
	return nil
}

func orOurs(spec string) string {
	if spec == "" {
		return "our server"
	}
	return spec
}

// compare holds the two runs against each other, set by set.
func (c *diffCommand) compare(sides [2]*side) *comparison {
	x := &comparison{Schema: comparisonSchema, TestSet: drive.Relative(c.TestSet), Order: c.Order, Fault: c.Fault, Classes: map[diff.Class]int{}, Causes: map[diff.Class]int{}}
	for i, to := range []*comparedSide{&x.A, &x.B} {
		to.Name = strings.Join(drive.Unplaced([]string{orOurs(sides[i].spec)}), " ")
		if res := sides[i].res; res != nil {
			to.Run, to.Verdict = filepath.Base(sides[i].dir), res.Verdict().Verdict
			x.Interrupted = x.Interrupted || res.Run.Interrupted
		}
	}
	for i := range sides[0].plan.Sets {
		a, b := sides[0].of(i), sides[1].of(i)
		set := comparedSet{Set: sides[0].plan.Sets[i].Number, Differences: diff.Sets(a, b)}
		set.Class = diff.Worst(set.Differences)
		if a.Verdict != nil {
			set.A, set.Commands = a.Verdict.Verdict, len(a.Result.Calls)
		}
		if b.Verdict != nil {
			set.B = b.Verdict.Verdict
		}
		for k := range set.Differences {
			x.Classes[set.Differences[k].Class]++
		}
		for _, cause := range diff.Groups(set.Differences) {
			x.Causes[cause[0].Class]++
		}
		x.Sets = append(x.Sets, set)
	}
	return x
}

// of is what a side made of the i-th set.
func (s *side) of(i int) diff.Side {
	if s.res == nil || i >= len(s.res.Verdicts) {
		return diff.Side{}
	}
	return diff.Side{Result: &s.res.Run.Sets[i], Verdict: &s.res.Verdicts[i]}
}
