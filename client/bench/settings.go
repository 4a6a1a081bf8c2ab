package bench

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"paxbank/internal/topology"
)

// What is done when nothing else is said.
const (
	defaultDuration = 10 * time.Second
	defaultWarmup   = 2 * time.Second // with a duration; none with a number of transactions
	defaultClients  = 16
	defaultInflight = 256
	// defaultOpen operations of an open loop may be under way at once.
	defaultOpen = 16_384
	// maxSlots bounds clients times inflight: what the three leaders of the default
	// bank take at once.
	maxSlots = 3 * 65_536
)

// plan is a benchmark, checked.
type plan struct {
	load     load
	topology *topology.Topology
	events   []event
	settings Settings
}

// plan holds the flags against each other and the bank.
func (c *Command) plan(env *Env) (*plan, error) {
	chosen := &preset{}
	var err error
	if c.Preset != "" {
		if chosen, err = findPreset(c.Preset); err != nil {
			return nil, err
		}
	}
	p := &plan{topology: env.Topology}
	if p.topology == nil {
		if p.topology, err = chosen.topology(); err != nil {
			return nil, err
		}
	}
	if p.load, err = c.load(chosen); err != nil {
		return nil, err
	}
	items := newLayout(p.topology)
	if err := p.load.mix.check(items); err != nil {
		return nil, err
	}
	known := func(node string) bool { _, _, ok := p.topology.Lookup(node); return ok }
	if p.events, err = parseEvents(c.Fail, c.Recover, known); err != nil {
		return nil, err
	}
	if env.Attach {
		if c.Fault == faultKill && len(p.events) > 0 {
			return nil, errors.New("--fault kill needs nodes that were started here: leave --attach out, or use --fault pause")
		}
		for _, n := range p.topology.Nodes() {
			if n.Address == "" {
				return nil, fmt.Errorf("--attach: node %s has no address; use a --topology file with addresses", n.ID)
			}
		}
	}
	if last := len(p.events) - 1; last >= 0 && p.load.duration > 0 && p.events[last].at >= p.load.duration {
		return nil, fmt.Errorf("--%s %s@%s strikes when the %s of the run are over", p.events[last].what(), p.events[last].node, p.events[last].at, p.load.duration)
	}
	if err := c.checkProfile(env, p); err != nil {
		return nil, err
	}
	p.settings = c.settings(env, p, chosen, items)
	return p, nil
}

// checkProfile holds --profile against the rest.
func (c *Command) checkProfile(env *Env, p *plan) error {
	switch {
	case c.Profile == "":
	case env.Attach || env.Name != "":
		return errors.New("--profile works with our own server only: leave --node-cmd and --attach out")
	case c.CPUProfile != "":
		return errors.New("--profile and --cpuprofile exclude each other: a process has one CPU profile at a time, and --profile takes the driver's too")
	case c.Repeat > 1:
		return errors.New("--profile is for one run: leave --repeat out")
	case c.Fault == faultKill && len(p.events) > 0:
		return errors.New("--profile needs nodes that live through the run: use --fault pause")
	case p.load.duration < time.Second:
		return errors.New("--profile needs a run with a --duration of 1s or more")
	}
	return nil
}

// load is what the flags and the preset say together.
func (c *Command) load(chosen *preset) (load, error) {
	l := load{
		mix: chosen.mix, clients: defaultClients, inflight: defaultInflight, rate: c.Rate, constant: c.Arrivals == "constant", unary: c.Unary,
		transactions: chosen.transactions, deadline: c.Deadline, seed: c.Seed,
	}
	set(&l.clients, c.Clients)
	if l.rate > 0 {
		l.inflight = max(defaultOpen/max(l.clients, 1), 1)
	} else if l.unary {
		l.inflight = 8
	}
	set(&l.inflight, c.Inflight)
	set(&l.transactions, c.Transactions)
	percent := func(to *float64, from *float64) {
		if from != nil {
			*to = *from / 100
		}
	}
	percent(&l.mix.Reads, c.Read)
	percent(&l.mix.Cross, c.Cross)
	set(&l.mix.Theta, c.Skew)
	if c.Hot != "" {
		access, share, ok := strings.Cut(c.Hot, ":")
		a, err1 := strconv.ParseFloat(access, 64)
		b, err2 := strconv.ParseFloat(share, 64)
		if !ok || err1 != nil || err2 != nil || b == 0 {
			return l, fmt.Errorf("--hot %s: want ACCESSES:ITEMS in percent, as in 80:20", c.Hot)
		}
		l.mix.HotAccess, l.mix.HotItems = a/100, b/100
		if c.Skew == nil {
			l.mix.Theta = 0 // the preset's
		}
	}
	if c.Duration != nil {
		if c.Transactions != nil {
			return l, errors.New("--transactions and --duration exclude each other: either says when the run ends")
		}
		l.duration, l.transactions = *c.Duration, 0
	}
	if l.transactions == 0 {
		l.duration = cmp.Or(l.duration, defaultDuration)
		l.warmup = defaultWarmup
	}
	set(&l.warmup, c.Warmup)
	switch {
	case l.clients < 1 || l.inflight < 1:
		return l, errors.New("--clients and --inflight must be at least 1")
	case l.clients > maxSlots || l.inflight > maxSlots || l.slots() > maxSlots:
		return l, fmt.Errorf("%d clients with %d operations each are more than %d at once", l.clients, l.inflight, maxSlots)
	case l.rate < 0 || l.rate > 1e7:
		return l, fmt.Errorf("--rate %g: want operations a second, at most 10,000,000; 0 is a closed loop", l.rate)
	case l.transactions < 0 || l.transactions == 0 && l.duration < 100*time.Millisecond:
		return l, errors.New("--transactions must be positive, and --duration 100ms or more")
	case l.warmup < 0:
		return l, errors.New("--warmup is negative")
	case l.deadline < 10*time.Millisecond:
		return l, fmt.Errorf("--deadline %s is too short", l.deadline)
	case l.mix.SmallBank && c.Read != nil:
		return l, errors.New("--read does not fit the preset smallbank, which has a share of reads of its own")
	}
	return l, nil
}

// set overrides a value by a flag that was given.
func set[T any](value, flag *T) {
	if flag != nil {
		*value = *flag
	}
}

func (c *Command) settings(env *Env, p *plan, chosen *preset, items *layout) Settings {
	l := &p.load
	s := Settings{
		Preset: c.Preset, Mix: l.mix.describe(), Mapping: chosen.mapping,
		ReadPercent: round(100 * l.mix.Reads), CrossPercent: round(100 * l.mix.Cross), Skew: l.mix.Theta, Hot: c.Hot, Seed: l.seed,
		Clients: l.clients, Inflight: l.inflight, Loop: "closed", TargetPerS: l.rate, Submission: "stream",
		Transactions: l.transactions, DurationSeconds: l.duration.Seconds(), WarmupSeconds: l.warmup.Seconds(), DeadlineSeconds: l.deadline.Seconds(),
		Clusters: len(p.topology.Clusters), Nodes: len(p.topology.Nodes()), Items: items.total, InitialBalance: p.topology.InitialBalance,
		Repeat: c.Repeat, Commit: env.Commit, Host: env.Host, NodeCommand: env.Name, Profiled: c.Profile != "", Fsync: "not reported by the nodes",
	}
	if l.rate > 0 {
		s.Loop = "open (" + c.Arrivals + ")"
	}
	if l.unary {
		s.Submission = "unary"
	}
	if l.mix.reads() {
		s.Reads = s.Submission
	}
	if len(p.events) > 0 {
		s.FaultsBy = c.Fault
	}
	return s
}

// round drops what binary fractions add to a percentage.
func round(percent float64) float64 {
	v, err := strconv.ParseFloat(strconv.FormatFloat(percent, 'g', 10, 64), 64)
	if err != nil {
		return percent
	}
	return v
}

// describe says what operations there are, in words.
func (m *mix) describe() string {
	if m.SmallBank {
		return "smallbank"
	}
	switch m.Reads {
	case 0:
		return "transfers"
	case 1:
		return "reads"
	}
	return fmt.Sprintf("%g %% reads, %g %% transfers", round(100*m.Reads), round(100*(1-m.Reads)))
}
