package sim

import (
	"fmt"
	"io"
	"math/rand/v2"
	"runtime/debug"
	"strings"

	"paxbank/server/bank"
	"paxbank/server/ids"
	"paxbank/server/paxos"
	"paxbank/server/replica"
)

// Options say which run is wanted.
type Options struct {
	Seed uint64
	// Shape fixes the bank's shape, "2x3" for two clusters of three nodes or
	// "1+3+5" for clusters of unequal size. Empty: the seed decides.
	Shape string
	// Faults, when set, are the only faults that strike, and each of them does: some
	// of Faults(), or none. nil: the seed decides. The network and the disks stay
	// those of the seed.
	Faults *[]string
	// Requests is how many requests the clients send; 0: about 350.
	Requests int
	// Trim makes the run smaller than the seed decided.
	Trim Trim
	// Trace, when set, gets every line of the trace as it happens.
	Trace io.Writer
	// TraceLines is how many of the last lines a failure keeps; 0: 400.
	TraceLines int

	// Judge, when set, gives a second opinion on what the clients saw.
	Judge Judge

	// newCore makes a replica; tests put broken ones here. nil: the real one.
	newCore func(cfg replica.Config, st paxos.Stable, now ids.Time) (core, error)
	// sabotage breaks the shell on purpose, to show that the checks see it.
	sabotage sabotage
}

// sabotage names ways to break the shell around the core.
type sabotage uint8

const (
	sabotageNone sabotage = iota
	// sabotageNoSync: writes are reported durable at once and lost by a crash.
	sabotageNoSync
	// sabotageEpoch: messages of another epoch are delivered.
	sabotageEpoch
	// sabotageReads: reads are not compared with the truth; only the Judge sees them.
	sabotageReads
)

// Failure is an invariant that did not hold.
type Failure struct {
	Invariant string
	At        ids.Duration // virtual time since the start of the run
	Node      string       // the node that was stepping, if any
	Detail    string
	Stack     string // of a panic inside the core
}

func (f *Failure) Error() string {
	where := ""
	if f.Node != "" {
		where = " on " + f.Node
	}
	return fmt.Sprintf("%s violated at %s%s: %s", f.Invariant, seconds(f.At), where, f.Detail)
}

// Result is what a run came to.
type Result struct {
	Seed     uint64
	Shape    string       // in the form that Options.Shape takes
	Plan     string       // what the seed decided, in one line
	Hash     uint64       // of the whole trace: equal for equal seeds
	Steps    uint64       // calls of Step
	Virtual  ids.Duration // simulated time
	Coverage Coverage
	Failure  *Failure // nil: every check held
	Trace    []string // the last lines before a failure
}

// Run plays one seed. It never panics: what the core panics with is a Failure.
func Run(opt Options) (res Result) {
	res = Result{Seed: opt.Seed, Coverage: Coverage{}}
	if opt.TraceLines == 0 {
		opt.TraceLines = 400
	}
	if opt.newCore == nil {
		opt.newCore = newReplica
	}
	rng := rand.New(rand.NewPCG(opt.Seed, 0x7061786F73)) // "paxos"
	plan, err := newPlan(opt, rng)
	if err != nil {
		res.Failure = &Failure{Invariant: "setup", Detail: err.Error()}
		return res
	}
	plan.trim(opt.Trim)
	if opt.Trim.Salt != 0 {
		rng = rand.New(rand.NewPCG(opt.Seed, opt.Trim.Salt))
	}
	res.Shape, res.Plan = plan.shape, plan.String()
	w := newWorld(opt, plan, rng, res.Coverage)
	defer func() {
		if p := recover(); p != nil {
			res.Failure = w.failureOf(p, debug.Stack())
			res.Trace = w.trace.lines(opt.TraceLines)
		}
		res.Hash, res.Steps, res.Virtual = w.trace.hash, w.steps, ids.Duration(w.now-epochStart)
	}()
	w.run()
	return res
}

// failureOf turns a panic value into a Failure.
func (w *world) failureOf(p any, stack []byte) *Failure {
	f := &Failure{At: ids.Duration(w.now - epochStart), Node: w.stepping}
	switch p := p.(type) {
	case *Failure:
		p.At, p.Node = f.At, f.Node
		return p
	case replica.Violation:
		f.Invariant, f.Detail = p.Invariant, fmt.Sprintf("index %d: %s", p.Index, p.Detail)
	case bank.Violation:
		f.Invariant, f.Detail = p.Invariant, fmt.Sprintf("index %d: %s", p.Index, p.Detail)
	case paxos.Violation:
		f.Invariant, f.Detail = p.Invariant, fmt.Sprintf("index %d: %s", p.Index, p.Detail)
	default:
		f.Invariant, f.Detail = "no panic", fmt.Sprint(p)
	}
	f.Stack = trimStack(string(stack))
	return f
}

// trimStack drops the frames of the recovery itself and of the event loop.
func trimStack(s string) string {
	if i := strings.LastIndex(s, "panic("); i >= 0 {
		s = s[i:]
	}
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		if strings.Contains(l, "server/sim.(*world).run(") {
			lines = lines[:i]
			break
		}
	}
	if len(lines) > 40 {
		lines = lines[:40]
	}
	return strings.Join(lines, "\n")
}

// seconds prints a virtual duration the way the trace does.
func seconds(d ids.Duration) string {
	return fmt.Sprintf("%d.%06ds", d/replica.Second, d%replica.Second/1000)
}
