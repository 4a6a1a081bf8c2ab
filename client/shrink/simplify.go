package shrink

import (
	"fmt"
	"slices"
	"strings"

	"paxbank/client/testset"
)

// amounts makes amounts smaller: all of them 1 if that fails still, otherwise
// each as small as halving what is left finds it.
func (s *search) amounts() error {
	all := s.with(func(_ int, c *testset.Command) { setAmount(c, min(c.Amount, 1)) })
	if failed, err := s.changed(all); failed || err != nil {
		return err
	}
	for i := range s.best.Commands {
		for step := s.best.Commands[i].Amount - 1; step > 0; {
			smaller := s.best.Commands[i].Amount - step
			failed, err := s.changed(s.with(func(j int, c *testset.Command) {
				if j == i {
					setAmount(c, smaller)
				}
			}))
			if err != nil {
				return err
			}
			if failed {
				step = min(step, smaller-1)
			} else {
				step /= 2
			}
		}
	}
	return nil
}

// setAmount leaves the items of the text as they were written.
func setAmount(c *testset.Command, amount int64) {
	if c.Kind != testset.Transfer {
		return
	}
	c.Amount = amount
	c.Text = fmt.Sprintf("%s, %d)", c.Text[:strings.LastIndex(c.Text, ",")], amount)
}

// items renames items to the lowest ones of their clusters that start with the
// same balance: all of them if that fails still, otherwise one after the other.
func (s *search) items() error {
	names := s.lowest()
	if failed, err := s.changed(s.rename(names)); failed || err != nil {
		return err
	}
	for _, item := range s.named() {
		to := names[item]
		if to >= item || slices.Contains(s.named(), to) {
			continue
		}
		if _, err := s.changed(s.rename(map[int64]int64{item: to})); err != nil {
			return err
		}
	}
	return nil
}

// changed tries a candidate, unless it is the best itself.
func (s *search) changed(candidate testset.Set) (bool, error) {
	if keyOf(&candidate) == keyOf(&s.best) {
		return false, nil
	}
	return s.fails(candidate)
}

// rename gives items other names, all at once.
func (s *search) rename(names map[int64]int64) testset.Set {
	name := func(item int64) int64 {
		if to, ok := names[item]; ok {
			return to
		}
		return item
	}
	return s.with(func(_ int, c *testset.Command) {
		switch c.Kind {
		case testset.Transfer:
			c.From, c.To = name(c.From), name(c.To)
			c.Text = fmt.Sprintf("(%d, %d, %d)", c.From, c.To, c.Amount)
		case testset.Read:
			c.Item = name(c.Item)
			c.Text = fmt.Sprintf("(%d)", c.Item)
		}
	})
}

// named are the items of the best set, in the order in which they come.
func (s *search) named() []int64 {
	var out []int64
	seen := map[int64]bool{}
	for _, c := range s.best.Commands {
		var items []int64
		switch c.Kind {
		case testset.Transfer:
			items = []int64{c.From, c.To}
		case testset.Read:
			items = []int64{c.Item}
		}
		for _, item := range items {
			if !seen[item] {
				seen[item] = true
				out = append(out, item)
			}
		}
	}
	return out
}

// lowest gives every item the lowest name in its cluster that no other got and
// that starts with the same balance.
func (s *search) lowest() map[int64]int64 {
	names, taken := map[int64]int64{}, map[int64]bool{}
	for _, item := range s.named() {
		names[item] = item
		cluster, ok := s.topology.Items.Cluster(item)
		if !ok {
			continue
		}
		if to, found := s.lowestLike(item, cluster, taken); found {
			names[item] = to
			taken[to] = true
		}
	}
	return names
}

// maxLooked bounds the items of a cluster that are looked at for a lower name.
const maxLooked = 10_000

func (s *search) lowestLike(item int64, cluster int, taken map[int64]bool) (int64, bool) {
	looked := 0
	for _, r := range s.topology.Items.Ranges {
		if r.Cluster != cluster {
			continue
		}
		for to := r.First; to <= r.Last && looked < maxLooked; to++ {
			looked++
			if !taken[to] && s.topology.Balance(to) == s.topology.Balance(item) {
				return to, true
			}
		}
	}
	return 0, false
}
