package sandbox

import (
	"errors"
	"fmt"
	"os"
)

// watched: the init can see what the box's processes use.
const watched = true

// find tries everything at once.
func find() finding {
	f := lack("it was not tried")
	all := parts{PIDs: true, Mounts: true, Network: true}
	missing, err := tryParts(all, firstUser)
	all.Proc, all.User = true, true
	if err == nil {
		f.merge(all, missing)
	} else {
		// Containers often have no namespaces to give; root needs none to become
		// somebody else.
		f = lack("namespaces: " + err.Error())
		if missing, err := tryParts(parts{}, firstUser); err == nil {
			f.merge(parts{User: true}, missing)
		}
	}
	if os.Geteuid() != 0 {
		f.parts.User = false
		f.missing[partUser] = "the driver is not root"
	}
	return f
}

// tryParts starts an init that tries parts and says which are missing. The error
// says why it could not be started in their namespaces.
func tryParts(p parts, user int) (missing map[string]string, err error) {
	if !early {
		return nil, errors.New("the program does not call sandbox.Early")
	}
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return nil, err
	}
	x := &spec{Probe: true, Parts: p, OwnNetwork: p.Network, Limits: DefaultLimits()}
	if os.Geteuid() == 0 {
		x.User = user
	}
	process, err := start(x, null)
	if err != nil {
		return nil, err
	}
	<-process.done
	if process.missing == nil {
		return nil, fmt.Errorf("the trial ended without an answer: %s", process.cmd.ProcessState)
	}
	return process.missing, nil
}
