package main

import (
	"time"

	"paxbank/client/check"
	"paxbank/client/drive"
	"paxbank/client/launch"
	"paxbank/client/plan"
	"paxbank/client/runner"
)

// nodeFlags say whose nodes are driven.
type nodeFlags struct {
	NodeCmd string `placeholder:"'CMD {id} {listen} {data}'" help:"Program to start as a node instead of our server."`
	Attach  bool   `help:"The nodes run already, at the topology's addresses."`
}

// driveFlags say how test sets are carried out, for every command that does so.
type driveFlags struct {
	nodeFlags
	Order     string        `enum:"conflict,free,serial" default:"conflict" help:"When the commands of a batch start: conflict (a command waits for earlier ones that share an item), free (all at once), serial."`
	Fault     string        `enum:"pause,kill" default:"pause" help:"How F and LF fail a node: pause (disconnect) or kill (kill -9, restarted from its disk)."`
	KeepState bool          `help:"Carry the bank's state over from set to set instead of resetting it."`
	Deadline  time.Duration `default:"5s" help:"How long a command is tried."`
	Results   string        `default:"results" env:"PAXBANK_RESULTS" placeholder:"DIR" help:"Where runs leave their files (default: results)."`
}

// check finds flags that contradict each other.
func (f *driveFlags) check() error {
	switch {
	case f.Attach && f.NodeCmd != "":
		return usage("--attach and --node-cmd exclude each other: either the nodes run already or they are started")
	case f.Attach && f.Fault == runner.FaultKill:
		return usage("--fault kill needs nodes that were started here: leave --attach out, or use --fault pause")
	case f.Deadline < time.Millisecond:
		return usage("--deadline %s is too short", f.Deadline)
	}
	return nil
}

// implementation is what the flags choose. With --attach, every node of the
// plans' topologies has to have an address.
func (f *nodeFlags) implementation(plans []*plan.Plan) (drive.Implementation, error) {
	impl := drive.Implementation{Attach: f.Attach, Name: f.NodeCmd}
	var err error
	switch {
	case f.Attach:
		for _, p := range plans {
			for _, s := range p.Sets {
				for _, n := range s.Topology.Nodes() {
					if n.Address == "" {
						return impl, usage("--attach: node %s has no address; use a --topology file with addresses", n.ID)
					}
				}
			}
		}
	case f.NodeCmd != "":
		if impl.Command, err = launch.ParseCommand(f.NodeCmd); err != nil {
			return impl, usage("%w", err)
		}
	default:
		if impl.Command, err = launch.DefaultCommand(); err != nil {
			return impl, &exitError{check.ExitNodes, err}
		}
	}
	return impl, nil
}

// options of a run by these flags.
func (f *driveFlags) options(impl drive.Implementation, d *driver) drive.Options {
	return drive.Options{
		Implementation: impl, Order: f.Order, Fault: f.Fault, Deadline: f.Deadline, KeepState: f.KeepState, Args: d.args,
		Hooks: drive.Hooks{Fleet: d.setFleet},
	}
}
