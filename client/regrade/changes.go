package regrade

import (
	"paxbank/client/check"
	"paxbank/client/report"
)

// Absent is the verdict of a check that was not made.
const Absent check.Verdict = ""

// SetChange is what became of one set.
type SetChange struct {
	Set int    `json:"set"`
	Old *Score `json:"old"` // nil: the old summary does not have the set
	New *Score `json:"new"` // nil: the history does not have it
	// Changes are the checks whose verdict or points changed, in today's order and
	// then those that are not made any more.
	Changes []Change `json:"changes"`
}

// Score is a verdict and its points.
type Score struct {
	Verdict  check.Verdict `json:"verdict"`
	Score    float64       `json:"score"`
	MaxScore float64       `json:"max_score"`
}

// Change is one check that is judged otherwise. Old or New is Absent when it was
// made only once.
type Change struct {
	Source    string        `json:"source"`
	Check     string        `json:"check"`
	Target    string        `json:"target"`
	Old       check.Verdict `json:"old"`
	New       check.Verdict `json:"new"`
	OldPoints float64       `json:"old_points"`
	NewPoints float64       `json:"new_points"`
	// Message is today's, or the old one of a check that is not made any more.
	Message string `json:"message"`
}

// Quiet reports whether the change is a check more or less that passes and is
// worth no points.
func (c *Change) Quiet() bool {
	return c.Old == Absent && c.New == check.Pass && c.NewPoints == 0 || c.Old == check.Pass && c.New == Absent && c.OldPoints == 0
}

// Changed reports whether anything did.
func (c *SetChange) Changed() bool {
	return len(c.Changes) > 0 || c.Old == nil || c.New == nil || *c.Old != *c.New
}

// OldScore is the old verdict of the run; nil when there is none.
func (r *Regrade) OldScore() *Score {
	if r.Old == nil {
		return nil
	}
	return &Score{r.Old.Verdict, r.Old.Score, r.Old.MaxScore}
}

// NewScore is today's verdict of the run.
func (r *Regrade) NewScore() *Score {
	rv := r.Verdict()
	return &Score{rv.Verdict, rv.Score, rv.MaxScore}
}

// Sets compares every set of the history, and then those that only the old
// summary has.
func (r *Regrade) Sets() []SetChange {
	var old []report.Set
	if r.Old != nil {
		old = r.Old.Sets
	}
	taken := make([]bool, len(old))
	var out []SetChange
	for i := range r.Verdicts {
		v := &r.Verdicts[i]
		c := SetChange{Set: v.Set, New: &Score{v.Verdict, v.Score, v.MaxScore}, Changes: []Change{}}
		var before []check.Check
		for j := range old {
			if !taken[j] && old[j].Set == v.Set {
				taken[j] = true
				c.Old = &Score{old[j].Verdict, old[j].Score, old[j].MaxScore}
				before = old[j].Checks
				break
			}
		}
		c.Changes = append(c.Changes, changes(before, v.Checks)...)
		out = append(out, c)
	}
	for j := range old {
		if !taken[j] {
			out = append(out, SetChange{Set: old[j].Set, Old: &Score{old[j].Verdict, old[j].Score, old[j].MaxScore}, Changes: changes(old[j].Checks, nil)})
		}
	}
	return out
}

// changes compares the checks of one set. Checks are the same when they have the
// same source, name and target; of several such, the first is held against the
// first, and so on.
func changes(before, now []check.Check) []Change {
	type key struct{ source, check, target string }
	keyOf := func(c *check.Check) key { return key{c.Source, c.Check, c.Target} }
	left := map[key][]*check.Check{}
	for i := range before {
		k := keyOf(&before[i])
		left[k] = append(left[k], &before[i])
	}
	list := []Change{}
	for i := range now {
		n := &now[i]
		c := Change{Source: n.Source, Check: n.Check, Target: n.Target, New: n.Verdict, NewPoints: n.Points, Message: n.Message}
		k := keyOf(n)
		if of := left[k]; len(of) > 0 {
			c.Old, c.OldPoints = of[0].Verdict, of[0].Points
			left[k] = of[1:]
		}
		if c.Old != c.New || c.OldPoints != c.NewPoints {
			list = append(list, c)
		}
	}
	for i := range before {
		b := &before[i]
		if of := left[keyOf(b)]; len(of) > 0 && of[0] == b {
			left[keyOf(b)] = of[1:]
			list = append(list, Change{Source: b.Source, Check: b.Check, Target: b.Target, Old: b.Verdict, OldPoints: b.Points, Message: b.Message})
		}
	}
	return list
}
