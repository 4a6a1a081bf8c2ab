package oracle

import "fmt"

// The orders in which the commands of a batch take effect, in the words of
// client run's --order.
const (
	Conflict = "conflict" // those that share an item: as in the file
	Free     = "free"     // any
	Serial   = "serial"   // as in the file
)

// What an implementation may do.
const (
	// Strict is what docs/protocol.md asks for, and what our server does.
	Strict = "strict"
	// Course leaves more to the implementation: a transfer that meets an item
	// which another transfer of its batch may still have locked may be aborted; a
	// transfer with too little money into a cluster without a quorum may hear of
	// either; a node may answer a read from what it holds without asking a quorum;
	// a cluster that no command has used yet may have no leader.
	Course = "course"
)

// Options of an expectation. The zero value is Conflict order, Strict semantics,
// a fresh bank, and nothing known of any run.
type Options struct {
	Order     string // "" means Conflict
	Semantics string // "" means Strict
	// Start are balances at the start of the set that are not the topology's.
	Start map[int64]int64
	// May are the items of which more than one balance is possible at the start of
	// the set, or whose balance may change in it without any command of it. It goes
	// before Start.
	May map[int64]Values
	// Kept: the set goes on from an earlier one, so that who leads, and what nodes
	// without a quorum hold, is not known at its start.
	Kept bool
	// DiskLags: a node that failed was killed, and never claimed that what it has
	// applied is on its disk. It may show any prefix of what it had.
	DiskLags bool
	// Victims are the nodes that a run saw LF strike, by the position of the LF in
	// the set's commands. An LF that has no entry may strike any possible leader.
	Victims map[int][]string
	// Open are the commands, by position, that a run gave up: their outcome is
	// anything, and a transfer may take effect at any time from then on, or never.
	Open map[int]bool
}

func (o *Options) check() error {
	switch o.Order {
	case "", Conflict, Free, Serial:
	default:
		return fmt.Errorf("order %q: want %s, %s or %s", o.Order, Conflict, Free, Serial)
	}
	switch o.Semantics {
	case "", Strict, Course:
	default:
		return fmt.Errorf("semantics %q: want %s or %s", o.Semantics, Strict, Course)
	}
	return nil
}

// limits are the bounds of what is kept exactly; see the package comment.
type limits struct {
	// worlds: joint balances of the items that depend on each other.
	worlds int
	// states: steps of one search through the orders of a batch's conflicting
	// commands, and searched of all searches of a set together.
	states, searched int
	// lives: ways in which the LFs of a set may have struck one cluster.
	lives int
	// runs: combinations of quorums of all clusters that are played through.
	runs int
}

// usual limits keep everything exact in sets that people write, and a set of
// thousands of conflicting commands below a second.
func usual() limits {
	return limits{worlds: 1024, states: 20_000, searched: 200_000, lives: 256, runs: 16}
}

const (
	// maxOrdered: commands in one search through orders.
	maxOrdered = 16
	// maxValues of one item that are listed; more become a range.
	maxValues = 64
)
