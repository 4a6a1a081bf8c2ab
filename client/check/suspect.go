package check

import (
	"fmt"
	"slices"
	"strings"

	"paxbank/client/runner"
)

// maxSuspected bounds the steps of one search for what may have gone wrong.
const maxSuspected = 1 << 16

// suspicion is a way in which transfers go wrong.
type suspicion struct {
	// of are the transfers that may have gone wrong so.
	of func(*runner.Call) bool
	// sender and receiver say how often the amount is in the balances that should
	// not be, with the sign of the side: the sender normally loses it.
	sender, receiver int64
	// words for one transfer.
	words func(*runner.Call) string
}

func wasCommitted(c *runner.Call) bool { return c.Outcome == runner.Committed }

// suspicions, the most usual first.
var suspicions = []suspicion{
	// Before what changes both sides: where the receiver's cluster cannot be asked,
	// both explain the same.
	{func(c *runner.Call) bool { return c.Outcome != runner.Committed }, -1, 0, func(c *runner.Call) string {
		return fmt.Sprintf("had been debited and not undone, although answered %s", c.Outcome)
	}},
	{func(*runner.Call) bool { return true }, -1, 1, func(c *runner.Call) string {
		if c.Outcome == runner.Committed {
			return "had been applied twice"
		}
		return fmt.Sprintf("had been applied, although answered %s", c.Outcome)
	}},
	{wasCommitted, 1, -1, func(*runner.Call) string { return "had been acknowledged and never applied" }},
	{wasCommitted, 2, -2, func(*runner.Call) string { return "had gone from the receiver to the sender" }},
	{wasCommitted, 0, -1, func(*runner.Call) string { return "had never been credited" }},
	{wasCommitted, 1, 0, func(*runner.Call) string { return "had never been debited" }},
	{wasCommitted, -1, 0, func(*runner.Call) string { return "had been debited twice" }},
	{wasCommitted, 0, 1, func(*runner.Call) string { return "had been credited twice" }},
}

// suspect says which transfers, gone wrong in one way, would explain all items
// that are off; "" when none do, or when something is unknown anyway. It begins
// with "; " otherwise. It names no culprit for certain, so it is no check.
func (f *facts) suspect(want, got map[int64]int64, off []int64) string {
	if len(f.unknowns)+len(f.set.Carried) > 0 || len(off) == 0 {
		return ""
	}
	touched := map[int64]bool{}
	for i := range f.set.Calls {
		if c := &f.set.Calls[i]; c.Kind != "read" {
			touched[c.Command.From], touched[c.Command.To] = true, true
		}
	}
	if !slices.ContainsFunc(off, func(item int64) bool { return touched[item] }) {
		return "; it is as if the reset before the set had not given every item its initial balance"
	}
	for _, s := range suspicions {
		lack := map[int64]int64{}
		for _, item := range off {
			lack[item] = got[item] - want[item]
		}
		if calls := s.explain(f, lack, got); len(calls) > 0 {
			return "; it is as if " + s.sentence(calls)
		}
	}
	return ""
}

// explain chooses transfers that account for lack exactly; nil when there are none.
func (s *suspicion) explain(f *facts, lack, got map[int64]int64) []*runner.Call {
	var calls []*runner.Call
	var effects []map[int64]int64
	last := map[int64]int{}
	for i := range f.set.Calls {
		c := &f.set.Calls[i]
		if c.Kind == "read" || !s.of(c) || c.Command.From == c.Command.To {
			continue
		}
		effect := map[int64]int64{}
		for item, d := range map[int64]int64{c.Command.From: s.sender * c.Command.Amount, c.Command.To: s.receiver * c.Command.Amount} {
			if _, asked := got[item]; asked && d != 0 {
				effect[item] = d
			}
		}
		fits := len(effect) > 0
		for item := range effect {
			_, isOff := lack[item]
			fits = fits && isOff
		}
		if !fits {
			continue
		}
		for item := range effect {
			last[item] = len(calls)
		}
		calls, effects = append(calls, c), append(effects, effect)
	}
	for item := range lack {
		if _, ok := last[item]; !ok {
			return nil
		}
	}
	chosen, ok, _ := choose(effects, lack, last, maxSuspected)
	if !ok {
		return nil
	}
	var out []*runner.Call
	for i, yes := range chosen {
		if yes {
			out = append(out, calls[i])
		}
	}
	return out
}

// sentence says what happened to the transfers, those of one fate together.
func (s *suspicion) sentence(calls []*runner.Call) string {
	byFate := map[string][]*runner.Call{}
	var fates []string
	for _, c := range calls {
		fate := s.words(c)
		if byFate[fate] == nil {
			fates = append(fates, fate)
		}
		byFate[fate] = append(byFate[fate], c)
	}
	var parts []string
	for _, fate := range fates {
		list := byFate[fate]
		var names []string
		for i, c := range list {
			if i == 3 {
				names = append(names, fmt.Sprintf("%d more", len(list)-i))
				break
			}
			names = append(names, fmt.Sprintf("line %d %s", c.Command.Line, c.Command.Text))
		}
		parts = append(parts, strings.Join(names, " and ")+" "+fate)
	}
	return strings.Join(parts, ", and ")
}

// choose finds a choice of effects that adds up to lack, item by item. last is, by
// item, the last effect that touches it. It gives up after most steps: tired.
func choose(effects []map[int64]int64, lack map[int64]int64, last map[int64]int, most int) (chosen []bool, ok, tired bool) {
	steps := 0
	chosen = make([]bool, len(effects))
	var try func(i int) bool
	try = func(i int) bool {
		if steps++; steps > most {
			return false
		}
		if i == len(effects) {
			return true
		}
		for _, yes := range [...]bool{false, true} {
			sign := int64(0)
			if yes {
				sign = 1
			}
			fits := true
			for item, d := range effects[i] {
				lack[item] -= sign * d
				if last[item] == i && lack[item] != 0 {
					fits = false
				}
			}
			chosen[i] = yes
			if fits && try(i+1) {
				return true
			}
			for item, d := range effects[i] {
				lack[item] += sign * d
			}
		}
		return false
	}
	ok = try(0)
	return chosen, ok, steps > most
}
