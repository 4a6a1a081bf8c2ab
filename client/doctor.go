package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"paxbank/client/check"
	"paxbank/client/doctor"
	"paxbank/client/drive"
	"paxbank/internal/topology"
)

// doctorCommand is `client doctor`.
type doctorCommand struct {
	nodeFlags
	Topology        string `placeholder:"FILE" help:"Topology file (YAML) of the bank that is examined, instead of the numbers below."`
	Clusters        *int   `placeholder:"N" help:"Number of clusters (default 2)."`
	NodesPerCluster *int   `placeholder:"N" help:"Nodes in a cluster (default 3)."`
	Items           *int64 `placeholder:"N" help:"Number of items (default 600)."`
	InitialBalance  *int64 `placeholder:"N" help:"What every item holds at the start (default 10)."`
	Results         string `default:"results" env:"PAXBANK_RESULTS" placeholder:"DIR" help:"Where the nodes' logs go: DIR/doctor/TIME/nodes (default: results)."`
	JSON            bool   `name:"json" help:"Print the report as JSON."`
}

func (c *doctorCommand) run(d *driver) (int, error) {
	o, err := c.options(d)
	if err != nil {
		return check.ExitUsage, err
	}
	if !o.Attach {
		if o.Dir, err = drive.RunDir(c.Results, "doctor", time.Now()); err != nil {
			return check.ExitUsage, &exitError{check.ExitUsage, err}
		}
		defer func() { d.note("logs in %s/nodes", drive.Shown(o.Dir)) }()
	}
	ctx, stop := d.interruptible()
	defer stop()
	report, err := doctor.Examine(ctx, o)
	o.Progress("")
	switch {
	case ctx.Err() != nil:
		return check.ExitInterrupted, nil
	case err != nil:
		return check.ExitNodes, &exitError{check.ExitNodes, err}
	}
	if c.JSON {
		err = report.JSON(d.stdout)
	} else {
		err = report.Print(d.stdout)
	}
	if err != nil || report.Sound() {
		return check.ExitPass, err
	}
	return check.ExitFail, nil
}

// options of the examination, checked.
func (c *doctorCommand) options(d *driver) (o doctor.Options, err error) {
	if c.Attach && c.NodeCmd != "" {
		return o, usage("--attach and --node-cmd exclude each other: either the nodes run already or they are started")
	}
	if c.Attach && c.Topology == "" {
		return o, usage("--attach: say with --topology FILE where the nodes run")
	}
	if o.Topology, err = c.bank(); err != nil {
		return o, &exitError{check.ExitUsage, err}
	}
	if err := doctor.Suits(o.Topology); err != nil {
		return o, &exitError{check.ExitUsage, err}
	}
	impl, err := c.implementation(nil)
	if err != nil {
		return o, err
	}
	if impl.Attach {
		for _, n := range o.Topology.Nodes() {
			if n.Address == "" {
				return o, usage("--attach: node %s has no address in %s", n.ID, c.Topology)
			}
		}
	}
	o.Command, o.Attach = impl.Command, impl.Attach
	o.Progress, o.Fleet = progressTo(d.stderr, false), d.setFleet
	return o, nil
}

// bank is the topology that the flags say.
func (c *doctorCommand) bank() (*topology.Topology, error) {
	shaped := c.Clusters != nil || c.NodesPerCluster != nil || c.Items != nil || c.InitialBalance != nil
	switch {
	case c.Topology != "" && shaped:
		return nil, fmt.Errorf("--topology %s cannot be combined with --clusters, --nodes-per-cluster, --items or --initial-balance: the file says it all", c.Topology)
	case c.Topology == "":
		return topology.Uniform(orElse(c.Clusters, 2), orElse(c.NodesPerCluster, 3), orElse(c.Items, 600), orElse(c.InitialBalance, 10))
	}
	data, err := os.ReadFile(c.Topology)
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	if err != nil {
		return nil, fmt.Errorf("topology %s cannot be read: %w", c.Topology, err)
	}
	return topology.ParseYAML(c.Topology, data)
}

// orElse is what a flag says, or else, when it was not given, otherwise.
func orElse[T any](flag *T, otherwise T) T {
	if flag != nil {
		return *flag
	}
	return otherwise
}
