package launch

import (
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"paxbank/client/sandbox"
)

// boxed is a process in a box.
type boxed struct{ *sandbox.Process }

func (p boxed) pid() int                  { return p.PID() }
func (p boxed) ended() <-chan struct{}    { return p.Done() }
func (p boxed) signal(sig syscall.Signal) { p.Signal(sig) }
func (p boxed) kill()                     { p.Kill() }

func (p boxed) how() string {
	r := p.Result()
	return r.String()
}

// prepare makes what all nodes share.
func (f *Fleet) prepare(nodes int) error {
	if f.cfg.Listen == ListenUnix {
		longest := ""
		for _, n := range f.cfg.Topology.Nodes() {
			if len(n.ID) > len(longest) {
				longest = n.ID
			}
		}
		var err error
		if f.sockets, err = socketDirectory(longest); err != nil {
			return err
		}
	}
	if f.cfg.Sandbox == nil {
		return nil
	}
	// The caller's policy stays as it is.
	policy := *f.cfg.Sandbox
	f.cfg.Sandbox = &policy
	if policy.Boxes == 0 {
		policy.Boxes = nodes
	}
	// Wherever the program lies, its nodes may see it.
	if program := f.cfg.Command[0]; filepath.IsAbs(program) {
		if _, err := os.Stat(program); err == nil {
			policy.Visible = append(slices.Clone(policy.Visible), program)
		}
	}
	return policy.Check(f.cfg.Listen == ListenUnix)
}

// startBoxed starts a node's program in a box.
func (f *Fleet) startBoxed(id, address, data, log string) (process, error) {
	inside := data
	if f.cfg.Sandbox.HasOwnFiles() {
		inside = sandbox.DataDir
	}
	args := f.fill(id, address, inside)
	for i := range args {
		args[i] = f.cfg.Sandbox.Inside(args[i])
	}
	p, err := sandbox.Start(sandbox.Step{
		Policy: f.cfg.Sandbox, Args: args, Log: log, Data: data, Sockets: f.sockets,
		Env: nodeEnvironment(os.Environ(), len(f.cfg.Topology.Clusters), memoryOf(f.cfg.Command, f.cfg.Topology)), OwnNetwork: f.cfg.Listen == ListenUnix,
	})
	if err != nil {
		return nil, err
	}
	return boxed{p}, nil
}
