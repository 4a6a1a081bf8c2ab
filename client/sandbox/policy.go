package sandbox

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Mode says how much containment is wanted.
type Mode string

// The modes.
const (
	// Auto is as much as the system has.
	Auto Mode = "auto"
	// None is a process group and limits only.
	None Mode = "none"
	// Required makes everything that is missing an error.
	Required Mode = "required"
)

// Where things are in a box that has a file system of its own.
const (
	// WorkDir is the policy's Work, and HOME unless it is read-only.
	WorkDir = "/tmp/work"
	// DataDir is the step's Data.
	DataDir = "/tmp/data"
	homeDir = "/tmp/home"
)

// WorkPlace stands for the policy's Work, as the box knows it, in variables.
const WorkPlace = "{work}"

// firstUser is the user of slot 0: above what systems give to people, below what
// they give to containers.
const firstUser = 60_000

// maxSlot keeps users below nobody (65534).
const maxSlot = 5_000

// Policy says how the programs of one submission are contained. It is not
// changed by its use, and may be used by several steps at once.
type Policy struct {
	Mode Mode
	// Slot tells submissions that run at the same time apart, from 0 to 5,000:
	// where the driver is root, every slot has a user of its own.
	Slot int
	// Work is the submission's directory, writable unless WorkReadOnly. In the box
	// it is WorkDir and the working directory. Empty: an empty directory.
	Work         string
	WorkReadOnly bool
	// Hidden are files and directories that the box sees as empty: results, test
	// sets, expected files, other submissions. A Work or Data inside of one is
	// seen nevertheless.
	Hidden []string
	// Visible are files and directories that the box sees, read-only and at their
	// own place, although they lie in something hidden or below /tmp.
	Visible []string
	// Env is KEY=VALUE beside PATH, HOME, LANG and TMPDIR, all that programs get;
	// WorkPlace is filled in.
	Env []string
	// Limits of every box; zero values are those of DefaultLimits.
	Limits Limits
	// Boxes of this policy that may run at the same time; 0 means 1. They share a
	// user, and together may never have more than 2 × Boxes × Limits.Tasks tasks.
	Boxes int
}

// Limits bound one box. Zero means the default.
type Limits struct {
	Memory    int64         // bytes, all processes together
	Tasks     int           // processes and threads together
	OpenFiles int           // of a process
	FileSize  int64         // bytes, of a file
	Disk      int64         // bytes, of all writable directories together
	Files     int           // in all writable directories together
	Temp      int64         // bytes in /tmp and /dev/shm, each; part of memory, in effect
	Output    int64         // bytes that are kept: the first three quarters and the last quarter
	Flood     int64         // bytes of output at which the box is killed
	CPU       time.Duration // of a process; 0 means no limit
}

const (
	mib = 1 << 20
	gib = 1 << 30
)

// DefaultLimits of a box: generous for a node or a build in any language, and far
// from what hurts the machine.
func DefaultLimits() Limits {
	return Limits{
		Memory: 2 * gib, Tasks: 1024, OpenFiles: 4096, FileSize: 1 * gib, Disk: 2 * gib, Files: 500_000,
		Temp: 256 * mib, Output: 1 * mib, Flood: 1 * gib,
	}
}

// orDefaults fills in what is zero.
func (l Limits) orDefaults() Limits {
	d := DefaultLimits()
	l.Memory = cmp.Or(l.Memory, d.Memory)
	l.Tasks = cmp.Or(l.Tasks, d.Tasks)
	l.OpenFiles = cmp.Or(l.OpenFiles, d.OpenFiles)
	l.FileSize = cmp.Or(l.FileSize, d.FileSize)
	l.Disk = cmp.Or(l.Disk, d.Disk)
	l.Files = cmp.Or(l.Files, d.Files)
	l.Temp = cmp.Or(l.Temp, d.Temp)
	l.Output = cmp.Or(l.Output, d.Output)
	l.Flood = cmp.Or(l.Flood, d.Flood)
	return l
}

// HasOwnFiles reports whether boxes of this policy have a file system of their
// own, so that Work is WorkDir and Data is DataDir in them.
func (p *Policy) HasOwnFiles() bool { return p.parts().Mounts }

// Inside is the path that a box knows a path below Work by. Other words stay as
// they are.
func (p *Policy) Inside(path string) string {
	if p.Work == "" || !filepath.IsAbs(path) || !p.HasOwnFiles() {
		return path
	}
	work, err := filepath.Abs(p.Work)
	if err != nil {
		return path
	}
	below, err := filepath.Rel(work, path)
	if err != nil || !filepath.IsLocal(below) {
		return path
	}
	return filepath.Join(WorkDir, below)
}

// parts that boxes of this policy have.
func (p *Policy) parts() parts {
	if p.Mode == None {
		return parts{}
	}
	return probe().parts
}

// Check finds what is wrong with a policy, and with Required what the system
// lacks for it. ownNetwork is as in Step.
func (p *Policy) Check(ownNetwork bool) error {
	switch p.Mode {
	case Auto, None, Required:
	default:
		return fmt.Errorf("sandbox: there is no mode %q: it is auto, none or required", p.Mode)
	}
	if p.Slot < 0 || p.Slot > maxSlot {
		return fmt.Errorf("sandbox: slot %d is not between 0 and %d", p.Slot, maxSlot)
	}
	if !early {
		return fmt.Errorf("sandbox: the program %s cannot be its own box: it does not call sandbox.Early", filepath.Base(os.Args[0]))
	}
	if p.Mode != Required {
		return nil
	}
	if c := p.Describe(ownNetwork); len(c.Missing) > 0 {
		return fmt.Errorf("sandbox: this system lacks what is required: %s (do without with --sandbox auto)", c.missing())
	}
	return nil
}

// user that programs run as; 0 means the driver's own.
func (p *Policy) user() int {
	if p.parts().User && p.barrier() == "" {
		return firstUser + p.Slot
	}
	return 0
}

// hidden paths without links, inner ones first: a Work in something hidden may
// have hidden files itself. Those that do not exist are left out.
func (p *Policy) hidden() ([]string, error) {
	var list []string
	for _, h := range p.Hidden {
		path, err := real(h)
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("sandbox: hiding %s: %w", h, err)
		}
		if path == "/" {
			return nil, fmt.Errorf("sandbox: %s cannot be hidden: it is the root of the file system", h)
		}
		list = append(list, path)
	}
	slices.Sort(list)
	slices.Reverse(list) // what is below a path comes after it in order
	return slices.Compact(list), nil
}

// real is path, absolute and without symbolic links.
func real(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(abs)
}
