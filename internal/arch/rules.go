package arch

import "strings"

// Module is the module path all rooms live under.
const Module = "paxbank"

// purity says what a pure package may not do. Packages are paths below Module.
type purity struct {
	// durations: may import time, for time.Duration. Nobody may ask for the time
	// or wait for it to pass.
	durations bool
	// distant: what it imports may depend on the network, as reading CSV does.
	distant bool
}

// pure lists the packages that decide and never act: no I/O, no clock, no
// goroutines, no hidden state, so that the simulator can repeat every run from
// its seed.
var pure = map[string]purity{
	"internal/topology": {},
	// Calls have offsets on the run's clock, and the search has a budget.
	"internal/history": {durations: true},
	"client/oracle":    {distant: true},
	"server/ids":       {},
	"server/bank":      {},
	"server/paxos":     {},
	"server/twopc":     {},
	"server/replica":   {},
}

// notImported are packages that no pure package imports itself; "x/..." means
// x and everything below it. time is forbidden too, except where durations are
// allowed.
var notImported = []string{
	"context", "net/...", "os/...", "sync/...", "syscall", "unsafe", "log/...", "runtime/...",
	"google.golang.org/grpc/...", "github.com/cockroachdb/pebble/...",
	Module + "/proto/...",
}

// notReached are packages that no pure package depends on even indirectly. (os
// and sync are reached by fmt already.)
var notReached = []string{"net/...", "google.golang.org/grpc/...", "github.com/cockroachdb/pebble/..."}

// arrow is a rule about imports inside the module. Paths are below Module.
type arrow struct {
	from string // the packages it speaks of, "x/..." for a subtree
	// only: all they may import of the module; or never: what they may not.
	only  []string
	never []string
	// direct: speaks of the imports themselves, not of what those import.
	direct bool
	// tests: holds for test files too.
	tests bool
	why   string
}

// arrows is the drawing in ARCHITECTURE.md, "The house".
var arrows = []arrow{
	{from: "client/...", never: []string{"server/..."}, tests: true,
		why: "the driver grades any implementation; it meets the server in proto and internal only"},
	{from: "server/...", never: []string{"client/..."}, tests: true,
		why: "a node knows nothing of the driver"},
	{from: "internal/...", never: []string{"client/...", "server/..."}, tests: true,
		why: "internal is the floor that both stand on"},
	{from: "client/...", never: []string{"internal/fakebank", "internal/arch", "internal/gen/..."},
		why: "fakes and tools are for tests and developers"},
	{from: "server/...", never: []string{"internal/fakebank", "internal/arch", "internal/gen/..."},
		why: "fakes and tools are for tests and developers"},
	{from: "server", never: []string{"internal/history"},
		why: "a node carries no judge; the simulator beside it does"},
	{from: "proto/...", only: []string{},
		why: "the contract depends on nobody"},

	{from: "server/ids", only: []string{}, why: "names depend on nobody"},
	{from: "server/bank", only: []string{"server/ids", "internal/topology"},
		why: "the state machine does not know how its log comes about"},
	{from: "server/paxos", only: []string{"server/ids", "internal/topology"},
		why: "to paxos an entry is opaque"},
	{from: "server/twopc", only: []string{"server/ids", "internal/topology"},
		why: "locks and attempts do not know the log"},
	{from: "server/replica", only: []string{"server/paxos", "server/twopc", "server/bank", "server/ids", "internal/topology"},
		why: "the core joins the three and acts through its effects"},
	{from: "server/storage", never: []string{"server/transport", "server/service", "server/sim/..."},
		why: "the disk knows neither the network nor the services"},
	{from: "server/transport", never: []string{"server/storage", "server/service", "server/sim/..."},
		why: "the network knows neither the disk nor the services"},
	{from: "server/service", never: []string{"server/sim/..."},
		why: "production code does not depend on the simulator"},
	{from: "server/sim/...", never: []string{"server/service", "server/storage"},
		why: "the simulator has a network, a clock and disks of its own"},
	{from: "server/sim", never: []string{"server/transport"},
		why: "the simulator has a network of its own"},
	{from: "server/sim/cmd/sim", never: []string{"server/transport"},
		why: "the simulator has a network of its own; only cmd/scale asks how long a message is on a real one"},
	{from: "server/sim/cmd/mutants", never: []string{"server/transport"},
		why: "the simulator has a network of its own"},

	{from: "client/testset", never: []string{"client/..."},
		why: "a test set is read before anything else is known"},
	{from: "client/plan", only: []string{"client/testset", "internal/topology"},
		why: "what a run is made of is read before anything runs"},
	{from: "client/sandbox", only: []string{},
		why: "what a box holds is none of its business"},
	{from: "client/launch", never: []string{"client/session", "client/runner", "client/check", "client/report", "client/bench"},
		why: "processes are started without knowing what for"},
	{from: "client/stats", never: []string{"client/drive", "client/launch", "client/session", "client/report"}, direct: true,
		why: "pass rates are counted from verdicts, whoever produced them"},
	{from: "client/shrink", never: []string{"client/drive", "client/launch", "client/session", "client/report"}, direct: true,
		why: "shrinking chooses candidates; the caller tries them"},
	{from: "client/diff", never: []string{"client/drive", "client/launch", "client/session", "client/report"}, direct: true,
		why: "comparing reads what two runs produced and calls nobody"},
	{from: "client/drive", never: []string{"client/grade", "client/regrade", "client/diff", "client/shrink", "client/bench", "client/doctor"},
		why: "a run is driven without knowing what it is for"},
	{from: "client/regrade", never: []string{"client/launch", "client/session", "client/sandbox"}, direct: true,
		why: "an old run is judged from its files, and nothing is started for it"},
	{from: "client/grade", never: []string{"client/session", "client/oracle", "client/regrade", "client/bench", "client/doctor"}, direct: true,
		why: "a class is graded through runs that drive carries out; what they come to is for check to say"},
	{from: "client/bench", never: []string{"client/runner", "client/check", "client/report"},
		why: "measuring has its own way to drive and to judge; a test set is not its business"},
	{from: "client/oracle", only: []string{"client/testset", "internal/topology"},
		why: "what must happen follows from the test set and the topology alone"},
	{from: "client/doctor", only: []string{"client/launch", "client/sandbox", "internal/grpcopts", "internal/topology", "internal/topologypb", "proto/..."},
		why: "the doctor examines nodes by the contract alone"},
	{from: "client/session", never: []string{"client/launch", "client/runner", "client/check", "client/report", "client/bench"},
		why: "a bank client knows neither test sets nor processes"},
	{from: "client/runner", never: []string{"client/check", "client/report", "client/bench"},
		why: "carrying out, judging and rendering are three things"},
	{from: "client/report", never: []string{"client/launch", "client/session"}, direct: true,
		why: "rendering reads what the runner produced and calls nobody"},
	{from: "client/check", never: []string{"client/launch", "client/session", "client/report"}, direct: true,
		why: "judging reads what the runner produced and calls nobody"},
}

// shapeless are the packages in which the numbers and names of the default bank
// may not appear: its shape comes from a topology.
var shapeless = []string{"server/bank", "server/paxos", "server/twopc", "server/replica"}

// matches reports whether path is pattern, or below it when pattern ends in
// "/...".
func matches(pattern, path string) bool {
	if sub, ok := strings.CutSuffix(pattern, "/..."); ok {
		return path == sub || strings.HasPrefix(path, sub+"/")
	}
	return path == pattern
}

func matchesAny(patterns []string, path string) bool {
	for _, p := range patterns {
		if matches(p, path) {
			return true
		}
	}
	return false
}
