package sim

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Trim makes the run of a seed smaller than the seed decided, to leave of a
// failure what matters. The zero value changes nothing.
type Trim struct {
	// Requests, Clients, Outstanding are upper bounds; 0: as the seed decided.
	Requests, Clients, Outstanding int
	// Without are faults that do not strike.
	Without []string
	// Sound: the network loses, repeats and delays nothing.
	Sound bool
	// Clocks: all clocks show the same.
	Clocks bool
	// Salt, when set, replaces the chances that the run takes after the seed's plan
	// is made: whatever is left out shifts all that come later, so the same plan is
	// tried with several.
	Salt uint64
}

// String is the form that ParseTrim reads, empty for the zero value.
func (t Trim) String() string {
	var parts []string
	number := func(name string, n uint64) {
		if n != 0 {
			parts = append(parts, fmt.Sprintf("%s=%d", name, n))
		}
	}
	number("requests", uint64(t.Requests))
	number("clients", uint64(t.Clients))
	number("outstanding", uint64(t.Outstanding))
	number("salt", t.Salt)
	if t.Sound {
		parts = append(parts, "sound")
	}
	if t.Clocks {
		parts = append(parts, "clocks")
	}
	for _, f := range t.Without {
		parts = append(parts, "without="+f)
	}
	return strings.Join(parts, ",")
}

// ParseTrim reads what Trim.String wrote.
func ParseTrim(s string) (Trim, error) {
	var t Trim
	for part := range strings.SplitSeq(s, ",") {
		name, value, _ := strings.Cut(part, "=")
		n, err := strconv.ParseUint(value, 10, 31)
		switch name {
		case "sound", "clocks":
			if value != "" {
				return t, fmt.Errorf("trim %q takes no value", name)
			}
			t.Sound = t.Sound || name == "sound"
			t.Clocks = t.Clocks || name == "clocks"
			continue
		case "without":
			if !slices.Contains(Faults(), value) {
				return t, fmt.Errorf("no fault %q; there are %s", value, strings.Join(Faults(), " "))
			}
			t.Without = append(t.Without, value)
			continue
		case "requests":
			t.Requests = int(n)
		case "clients":
			t.Clients = int(n)
		case "outstanding":
			t.Outstanding = int(n)
		case "salt":
			t.Salt = n
		default:
			return t, fmt.Errorf("no trim %q; there are requests=N clients=N outstanding=N salt=N sound clocks without=FAULT", name)
		}
		if err != nil {
			return t, fmt.Errorf("trim %q: want a number, got %q", name, value)
		}
	}
	return t, nil
}

// trim applies t to what the seed decided.
func (p *plan) trim(t Trim) {
	least := func(field *int, bound int) {
		if bound > 0 {
			*field = min(*field, bound)
		}
	}
	least(&p.requests, t.Requests)
	least(&p.clients, t.Clients)
	least(&p.outstanding, t.Outstanding)
	p.faults = slices.DeleteFunc(p.faults, func(f faultPlan) bool {
		return slices.Contains(t.Without, faults[f.kind].name)
	})
	if t.Sound {
		p.net.loss, p.net.dup, p.net.straggle, p.net.echo, p.net.fifo = 0, 0, 0, 0, true
	}
	if t.Clocks {
		p.skewMax, p.driftMax, p.clockJump = 0, 0, 0
	}
}

// saltsPerTrim is how many chances a smaller run gets to fail as well.
const saltsPerTrim = 6

// Shrink looks for a smaller run that fails in the same way as the one of opt
// did: fewer faults, requests and clients, a sound network, equal clocks. It
// plays at most so many runs, fewer when stop says so, and returns the smallest
// failing one that it found (opt itself when there is none).
func Shrink(opt Options, failed Result, runs int, stop func() bool) (Options, Result) {
	opt.Trace = nil
	best := failed
	try := func(t Trim) bool {
		for salt := range uint64(saltsPerTrim) {
			if runs <= 0 || stop() {
				return false
			}
			runs--
			o := opt
			o.Trim = t
			o.Trim.Salt = opt.Trim.Salt
			if salt > 0 {
				o.Trim.Salt = opt.Trim.Salt + salt
			}
			if r := Run(o); r.Failure != nil && r.Failure.Invariant == failed.Failure.Invariant {
				opt, best = o, r
				return true
			}
		}
		return false
	}
	for shrunk := true; shrunk; {
		shrunk = false
		for _, f := range Faults() {
			if !slices.Contains(opt.Trim.Without, f) && strings.Contains(best.Plan, " "+f+"/") {
				t := opt.Trim
				t.Without = append(slices.Clone(t.Without), f)
				shrunk = try(t) || shrunk
			}
		}
		for _, change := range []func(t *Trim) bool{
			func(t *Trim) bool { done := t.Sound; t.Sound = true; return !done },
			func(t *Trim) bool { done := t.Clocks; t.Clocks = true; return !done },
			func(t *Trim) bool { return halve(&t.Outstanding, 8) },
			func(t *Trim) bool { return halve(&t.Clients, 6) },
			func(t *Trim) bool { return halve(&t.Requests, 400) },
		} {
			for t := opt.Trim; change(&t) && try(t); t = opt.Trim {
				shrunk = true
			}
		}
	}
	return opt, best
}

// halve halves a bound that starts at most, and reports whether that is
// possible.
func halve(bound *int, most int) bool {
	if *bound == 0 {
		*bound = most
	}
	*bound /= 2
	return *bound > 0
}
