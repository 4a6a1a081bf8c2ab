package main

import (
	"time"

	"paxbank/client/bench"
	"paxbank/client/check"
	"paxbank/client/drive"
	"paxbank/client/plan"
)

// benchCommand is `client bench`.
type benchCommand struct {
	bench.Command
	plan.Bank
	nodeFlags
	Results string `default:"results" env:"PAXBANK_RESULTS" placeholder:"DIR" help:"Where runs leave their files (default: results)."`
}

func (c *benchCommand) run(d *driver) (int, error) {
	env := bench.Env{Stdin: d.stdin, Stdout: d.stdout, Stderr: d.stderr, Commit: drive.Commit(), Host: drive.Host()}
	ctx, stop := d.interruptible()
	defer stop()
	if c.EchoServer { // our own child, which needs nothing of all this
		return c.Command.Run(ctx, env)
	}
	var err error
	if env.Topology, err = c.Bank.Choose(bench.DefaultInitialBalance); err != nil {
		return check.ExitUsage, usage("%w", err)
	}
	impl, err := c.implementation(nil)
	if err != nil {
		return check.ExitUsage, err
	}
	env.Command, env.Name, env.Attach = impl.Command, impl.Name, impl.Attach
	if env.Dir, err = drive.RunDir(c.Results, "bench", time.Now()); err != nil {
		return check.ExitUsage, usage("%w", err)
	}
	env.Progress, env.Fleet = progressTo(d.stderr, false), d.setFleet
	code, err := c.Command.Run(ctx, env)
	d.note("results in %s", drive.Shown(env.Dir))
	if err != nil {
		err = &exitError{code, err}
	}
	return code, err
}
