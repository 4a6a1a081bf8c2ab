package sandbox

import (
	"fmt"
	"strings"
	"sync"
)

// Names of parts, in answers to a probe.
const (
	partUser    = "user"
	partPIDs    = "processes"
	partMounts  = "files"
	partProc    = "/proc"
	partNetwork = "network"
)

// Containment says what contains a program.
type Containment struct {
	InForce []string  `json:"in_force"`
	Missing []Missing `json:"missing,omitempty"`
}

// Missing is a part of containment that is not there, and why.
type Missing struct {
	Part string `json:"part"`
	Why  string `json:"why"`
}

// String says it in one line.
func (c Containment) String() string {
	s := strings.Join(c.InForce, ", ")
	if len(c.Missing) > 0 {
		s += "; missing: " + c.missing()
	}
	return s
}

// missing parts by why they are.
func (c Containment) missing() string {
	var reasons []string
	parts := map[string][]string{}
	for _, m := range c.Missing {
		if parts[m.Why] == nil {
			reasons = append(reasons, m.Why)
		}
		parts[m.Why] = append(parts[m.Why], m.Part)
	}
	for i, why := range reasons {
		reasons[i] = fmt.Sprintf("%s (%s)", strings.Join(parts[why], ", "), why)
	}
	return strings.Join(reasons, ", ")
}

// Describe says what is in force in boxes of the policy here; ownNetwork as in
// Step. The system is asked once, by trying.
func (p *Policy) Describe(ownNetwork bool) Containment {
	var c Containment
	if p.Mode == None {
		c.InForce = append(c.InForce, p.limits(parts{}))
		return c
	}
	found := probe()
	add := func(there bool, text, part, name string) {
		if there {
			c.InForce = append(c.InForce, text)
			return
		}
		c.Missing = append(c.Missing, Missing{Part: name, Why: found.missing[part]})
	}
	if barrier := p.barrier(); found.parts.User && barrier != "" {
		c.Missing = append(c.Missing, Missing{"a user of its own", "it could not reach its files: only their owner gets into " + barrier})
	} else {
		add(found.parts.User, fmt.Sprintf("user %d", firstUser+p.Slot), partUser, "a user of its own")
	}
	add(found.parts.PIDs, "process, IPC and host name namespaces", partPIDs, "process namespaces")
	add(found.parts.Mounts, "read-only root, hidden files and a /tmp of its own", partMounts, "a read-only root")
	if !found.parts.Mounts && p.user() != 0 && len(p.Hidden) > 0 {
		if open := p.open(); open == "" {
			c.InForce = append(c.InForce, "hidden files that are closed to it")
		} else {
			c.Missing = append(c.Missing, Missing{"closed hidden files", "everybody may read " + open})
		}
	}
	add(found.parts.Proc, "a /proc of its own", partProc, "a /proc of its own")
	switch {
	case ownNetwork:
		add(found.parts.Network, "no network but a loopback of its own", partNetwork, "a network namespace")
	case private:
		c.InForce = append(c.InForce, "no network but a loopback shared with the driver")
	default:
		why := found.missing[partNetwork]
		if why == "" {
			why = "the driver was not started in a private one"
		}
		c.Missing = append(c.Missing, Missing{Part: "a network namespace", Why: why})
	}
	c.InForce = append(c.InForce, p.limits(found.parts))
	return c
}

// limits in words.
func (p *Policy) limits(have parts) string {
	l := p.Limits.orDefaults()
	list := []string{"process group"}
	if have.PIDs {
		list = nil
	}
	if watched {
		list = append(list, "memory "+size(l.Memory), fmt.Sprintf("%d processes and threads", l.Tasks))
	}
	list = append(list, fmt.Sprintf("%d open files", l.OpenFiles), "files of "+size(l.FileSize), "disk "+size(l.Disk), "output "+size(l.Output))
	if l.CPU > 0 {
		list = append(list, fmt.Sprintf("%s of processor time", l.CPU))
	}
	return "limits: " + strings.Join(list, ", ")
}

// finding is what a system has.
type finding struct {
	parts   parts
	missing map[string]string
}

// probe finds out what the system has.
var probe = sync.OnceValue(find)

// lack is a finding of nothing.
func lack(why string) finding {
	f := finding{missing: map[string]string{}}
	for _, part := range []string{partUser, partPIDs, partMounts, partProc, partNetwork} {
		f.missing[part] = why
	}
	return f
}

// merge adds what one more probe found missing.
func (f *finding) merge(tried parts, missing map[string]string) {
	for _, x := range []struct {
		part  string
		tried bool
		have  *bool
	}{
		{partUser, tried.User, &f.parts.User}, {partPIDs, tried.PIDs, &f.parts.PIDs}, {partMounts, tried.Mounts, &f.parts.Mounts},
		{partProc, tried.Proc, &f.parts.Proc}, {partNetwork, tried.Network, &f.parts.Network},
	} {
		if !x.tried {
			continue
		}
		why, lacks := missing[x.part]
		*x.have = !lacks
		delete(f.missing, x.part)
		if lacks {
			f.missing[x.part] = why
		}
	}
	// A /proc of its own is one of the box's mounts.
	if f.parts.Proc && !(f.parts.Mounts && f.parts.PIDs) {
		f.parts.Proc = false
		f.missing[partProc] = "it needs process namespaces and mounts"
	}
}
