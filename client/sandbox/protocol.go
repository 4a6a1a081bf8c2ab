package sandbox

import "time"

// boxCommand is the hidden command under which a program is the init of a box.
const boxCommand = "__box"

// The init's descriptors beside standard input, output and error: the pipe on
// which it is told what to do, a spec and then orders, and the one on which it
// reports. Both carry one JSON value after another.
const (
	controlFD = 3
	reportFD  = 4
)

// parts of containment that a box can have.
type parts struct {
	User    bool // a user of its own
	PIDs    bool // process, IPC and host name namespaces
	Mounts  bool // a file system of its own
	Proc    bool // a /proc that shows only the box
	Network bool // network namespaces can be made
}

// oldKernel makes boxes do without mount_setattr(2), as before Linux 5.12. Tests
// set it.
var oldKernel bool

// spec says what to do in which box.
type spec struct {
	Probe      bool // only try which parts there are
	Parts      parts
	OwnNetwork bool
	OldKernel  bool
	User       int // 0: nobody else's
	Binds      []bind
	Hidden     []string
	Watched    []string // writable directories whose size is bounded
	Limits     Limits
	MaxTasks   int // of the user, in all boxes; 0: not bounded
	Args       []string
	Dir        string
	Env        []string
}

// bind makes a file or directory visible in the box.
type bind struct {
	Source, Target string
	Writable       bool
}

// order is what the driver tells the init of a running box.
type order struct {
	Number int // counts orders
	Signal int // for everything in the box
}

// notice is what the init reports. One of its fields is set.
type notice struct {
	Failed  string            // the box or the program could not be started: why
	Missing map[string]string // answer to a probe: what is not there, and why
	Started int               // the program runs: its process id
	Obeyed  int               // number of the order that was carried out
	Killed  string            // the box is killed: the limit that was passed
	Ended   *ending
}

// ending is how the program ended and what the box used.
type ending struct {
	ExitCode int // -1 when a signal ended it
	Signal   int
	CPU      time.Duration
	MaxRSS   int64 // bytes
}
