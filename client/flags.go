package main

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"paxbank/client/check"
	"paxbank/client/drive"
	"paxbank/client/launch"
	"paxbank/client/oracle"
	"paxbank/client/plan"
	"paxbank/client/runner"
)

// nodeFlags say whose nodes are driven.
type nodeFlags struct {
	NodeCmd string `placeholder:"'CMD {id} {listen} {data}'" help:"Program to start as a node instead of our server."`
	Attach  bool   `help:"The nodes run already, at the topology's addresses."`
}

// driveFlags say how test sets are carried out on whose nodes.
type driveFlags struct {
	nodeFlags
	boxFlags
	conductFlags
}

// conductFlags say how test sets are carried out, for every command that does so.
type conductFlags struct {
	Order     string        `enum:"conflict,free,serial" default:"conflict" help:"When the commands of a batch start: conflict (a command waits for earlier ones that share an item), free (all at once), serial."`
	Fault     string        `enum:"pause,kill" default:"pause" help:"How F and LF fail a node: pause (disconnect) or kill (kill -9, restarted from its disk)."`
	Semantics string        `enum:"strict,course" default:"strict" help:"What the judge lets an implementation do: strict is the protocol; course also lets it give up on locked items and read without asking a majority."`
	KeepState bool          `help:"Carry the bank's state over from set to set instead of resetting it."`
	Deadline  time.Duration `default:"5s" help:"How long a command is tried."`
	Results   string        `default:"results" env:"PAXBANK_RESULTS" placeholder:"DIR" help:"Where runs leave their files (default: results)."`
}

// expectedFlag names the expected file.
type expectedFlag struct {
	Expected string `placeholder:"FILE" help:"Expected file (default: NAME.expected.csv beside NAME.csv, if there is one)."`
}

// of is a shape with the expected file, for test sets of which only one can have
// it.
func (f *expectedFlag) of(shape plan.Shape, paths []string) (*plan.Shape, error) {
	if f.Expected != "" && len(paths) > 1 {
		return nil, usage("--expected %s belongs to one test set: give one", f.Expected)
	}
	shape.ExpectedFile = f.Expected
	return &shape, nil
}

// check finds flags that contradict each other.
func (f *driveFlags) check() error {
	if err := f.conductFlags.check(); err != nil {
		return err
	}
	switch {
	case f.Attach && f.NodeCmd != "":
		return usage("--attach and --node-cmd exclude each other: either the nodes run already or they are started")
	case f.Attach && (f.boxed() || f.Listen == launch.ListenUnix):
		return usage("--sandbox and --listen need nodes that were started here: leave --attach out")
	case f.Attach && f.Fault == runner.FaultKill:
		return usage("--fault kill needs nodes that were started here: leave --attach out, or use --fault pause")
	}
	return nil
}

func (f *conductFlags) check() error {
	if f.Deadline < time.Millisecond {
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

// implementation is what the flags choose, and how it is contained.
func (f *driveFlags) implementation(plans []*plan.Plan) (drive.Implementation, error) {
	impl, err := f.nodeFlags.implementation(plans)
	if err != nil {
		return impl, err
	}
	impl.Listen = f.Listen
	if impl.Sandbox, err = f.policy(plans, f.Results); err != nil || impl.Sandbox == nil {
		return impl, err
	}
	if err := impl.Sandbox.Check(impl.OwnNetwork()); err != nil {
		return impl, &exitError{check.ExitNodes, err}
	}
	return impl, nil
}

// options of a run by these flags.
func (f *conductFlags) options(impl drive.Implementation, d *driver) drive.Options {
	return drive.Options{
		Implementation: impl, Order: f.Order, Fault: f.Fault, Deadline: f.Deadline, KeepState: f.KeepState, Semantics: f.Semantics, Args: d.args,
		Hooks: drive.Hooks{Fleet: d.setFleet},
	}
}

// words are the flags as they could be typed again; what is at its default is
// left out, and so is where the results go.
func (f *nodeFlags) words() []string {
	switch {
	case f.Attach:
		return []string{"--attach"}
	case f.NodeCmd != "":
		return []string{"--node-cmd", f.NodeCmd}
	}
	return nil
}

func (f *conductFlags) words() []string {
	var words []string
	if f.Order != runner.OrderConflict {
		words = append(words, "--order", f.Order)
	}
	if f.Fault != runner.FaultPause {
		words = append(words, "--fault", f.Fault)
	}
	if f.Semantics != oracle.Strict {
		words = append(words, "--semantics", f.Semantics)
	}
	if f.KeepState {
		words = append(words, "--keep-state")
	}
	if f.Deadline != runner.DefaultDeadline {
		words = append(words, "--deadline", f.Deadline.String())
	}
	return words
}

// shapeWords are the flags that choose the bank and what it is held against, as
// they could be typed again.
func shapeWords(s *plan.Shape) []string {
	var words []string
	for _, t := range s.Topology {
		words = append(words, "--topology", t)
	}
	number := func(flag string, value int64) { words = append(words, flag, strconv.FormatInt(value, 10)) }
	if s.Clusters != nil {
		number("--clusters", int64(*s.Clusters))
	}
	if s.NodesPerCluster != nil {
		number("--nodes-per-cluster", int64(*s.NodesPerCluster))
	}
	if s.Items != nil {
		number("--items", *s.Items)
	}
	if s.InitialBalance != nil {
		number("--initial-balance", *s.InitialBalance)
	}
	if s.ExpectedFile != "" {
		words = append(words, "--expected", s.ExpectedFile)
	}
	return words
}

// repeatWords are the words of the command that runs one set of a plan again; see
// drive.CommandLine. With --keep-state the sets before it belong to it.
func repeatWords(p *plan.Plan, set int, shape *plan.Shape, f *driveFlags) []string {
	sets := strconv.Itoa(set)
	if f.KeepState {
		var all []string
		for i := range p.Sets {
			all = append(all, strconv.Itoa(p.Sets[i].Number))
			if p.Sets[i].Number == set {
				break
			}
		}
		sets = strings.Join(all, ",")
	}
	return runWords(p.Path, sets, shape, f)
}

// runWords are the words of a client run; sets may be empty.
func runWords(path, sets string, shape *plan.Shape, f *driveFlags) []string {
	words := []string{drive.Program(), "run", drive.Shown(path)}
	if sets != "" {
		words = append(words, "--sets", sets)
	}
	return slices.Concat(words, shapeWords(shape), f.conductFlags.words(), f.boxFlags.words(), f.nodeFlags.words())
}
