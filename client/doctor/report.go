package doctor

import (
	"fmt"
	"slices"
	"strings"
)

// Result of a probe.
type Result string

// The results.
const (
	OK       Result = "ok"
	Missing  Result = "missing"   // not offered: UNIMPLEMENTED, or an answer that stays empty
	Wrong    Result = "wrong"     // offered, and not as the contract wants it
	NotTried Result = "not tried" // something before it failed
	NotHere  Result = "not here"  // this bank cannot show it; counts for nothing
)

// Finding is what one probe came to.
type Finding struct {
	Level  int    `json:"level"`
	Call   string `json:"call"`
	Probe  string `json:"probe"`
	Result Result `json:"result"`
	Want   string `json:"want"`
	Got    string `json:"got,omitempty"` // unless OK: what came instead, or why it was not tried
	// Page is the heading of docs/protocol.md that says what is wanted.
	Page string `json:"page"`
	// Cost is what it costs in a graded run; empty when OK.
	Cost string `json:"cost,omitempty"`
}

// Level is the verdict on one level.
type Level struct {
	Level    int    `json:"level"`
	Complete bool   `json:"complete"`
	Verdict  string `json:"verdict"`
}

// Report is the result of an examination. The JSON names are those of
// client doctor --json.
type Report struct {
	Findings []Finding `json:"findings"`
	Levels   []Level   `json:"levels"`
	// Advice says what to do next, most important first.
	Advice []string `json:"advice"`
}

// Sound reports whether L0 and L1 are complete and behave.
func (r *Report) Sound() bool {
	return len(r.Levels) > 1 && r.Levels[0].Complete && r.Levels[1].Complete
}

// report draws the sum of the findings.
func (e *exam) report() *Report {
	r := &Report{}
	absent := map[string]string{}
	for i := range probes {
		if f := e.findings[probes[i].id]; f.Result == Missing {
			absent[probes[i].call] = f.Got
		}
	}
	for i := range probes {
		p, f := &probes[i], e.findings[probes[i].id]
		c := callNamed(p.call)
		if got, ok := absent[p.call]; ok && f.Result == NotTried {
			f.Result, f.Got = Missing, got
		}
		f.Level, f.Call, f.Probe, f.Want, f.Page = c.level, p.call, p.what, p.want, p.page
		switch f.Result {
		case Missing:
			f.Cost = c.missing
		case Wrong, NotTried:
			f.Cost = p.cost
		}
		r.Findings = append(r.Findings, *f)
	}
	for level := range 3 {
		r.Levels = append(r.Levels, r.level(level))
	}
	r.advise()
	return r
}

func callNamed(name string) *call {
	i := slices.IndexFunc(calls, func(c call) bool { return c.name == name })
	return &calls[i]
}

// of are the findings about a call.
func (r *Report) of(name string) []Finding {
	var list []Finding
	for _, f := range r.Findings {
		if f.Call == name {
			list = append(list, f)
		}
	}
	return list
}

// worst is the result that a call as a whole has: one wrong probe makes it wrong.
func worst(list []Finding) Result {
	for _, res := range []Result{Missing, Wrong, NotTried, OK} {
		if slices.ContainsFunc(list, func(f Finding) bool { return f.Result == res }) {
			return res
		}
	}
	return NotHere
}

// level counts calls, not probes: a call is what somebody has to write.
func (r *Report) level(level int) Level {
	count := map[Result]int{}
	total := 0
	for _, c := range calls {
		if c.level != level {
			continue
		}
		if res := worst(r.of(c.name)); res != NotHere {
			count[res]++
			total++
		}
	}
	l := Level{Level: level, Complete: count[OK] == total}
	name := fmt.Sprintf("L%d", level)
	if l.Complete {
		l.Verdict = name + " complete"
		return l
	}
	missing := "missing"
	if level == 2 {
		missing = "not graded"
		if count[Missing] == total {
			l.Verdict = name + ": not graded"
			return l
		}
	}
	var parts []string
	for _, p := range []struct {
		res  Result
		text string
	}{{Missing, missing}, {Wrong, "not as the contract says"}, {NotTried, "not tried to the end"}} {
		if count[p.res] > 0 {
			parts = append(parts, fmt.Sprintf("%d of %d calls %s", count[p.res], total, p.text))
		}
	}
	l.Verdict = name + ": " + strings.Join(parts, ", ")
	return l
}

// advise names what to do, in the order of the calls: every call stands after
// those that it needs.
func (r *Report) advise() {
	r.Advice = []string{}
	for _, c := range calls {
		if c.level == 2 && !r.Sound() {
			return // first things first
		}
		for _, f := range r.of(c.name) {
			switch f.Result {
			case Missing:
				r.Advice = append(r.Advice, fmt.Sprintf("L%d %s: build it", c.level, c.name))
			case Wrong:
				r.Advice = append(r.Advice, fmt.Sprintf("L%d %s, %s: want %s", c.level, c.name, f.Probe, f.Want))
			default:
				continue
			}
			if f.Result == Missing {
				break
			}
		}
	}
}
