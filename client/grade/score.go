package grade

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"paxbank/client/check"
)

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// tidy takes off what adding up fractions such as 0.1 leaves behind.
func tidy(points float64) float64 { return math.Round(points*1e6) / 1e6 }

// Max is what a section is worth.
func (s *Section) Max() float64 {
	max := s.Points
	for i := range s.Performance {
		max += s.Performance[i].Points
	}
	return tidy(max)
}

// score fills in what the runs of a section are worth. Every set gets the share
// of its points that the suite's rule makes of its runs, the sets together the
// section's points in proportion; thresholds count only when all of that is
// there. A run that lacks a set got nothing for it.
func (s *Section) score(r *SectionResult) {
	r.Max, r.Visibility, r.Passes = s.Max(), s.Visibility, s.Passes
	r.Sets, r.Thresholds, r.Score, r.Verdict = nil, nil, 0, ""
	if r.Status != Graded {
		return
	}
	var earned, possible float64
	r.Verdict = check.Pass
	for i := range s.plan.Sets {
		number := s.plan.Sets[i].Number
		set := s.setScore(r.Runs, number, s.setMax(number))
		earned, possible = earned+set.Score, possible+set.Max
		r.Verdict = worse(r.Verdict, set.Verdict)
		r.Sets = append(r.Sets, set)
	}
	share := 0.0
	if possible > 0 {
		share = earned / possible
	} else if r.Verdict == check.Pass { // every row is worth nothing
		share = 1
	}
	r.Score = s.Points * share
	correct := r.Verdict == check.Pass
	for i := range s.Performance {
		t := s.threshold(&s.Performance[i], r.Runs, correct, r.Factor)
		r.Score += t.Score
		r.Thresholds = append(r.Thresholds, t)
	}
	r.Score = tidy(r.Score)
}

// setMax are the points that a set is worth in the test set's own terms: those of
// its expected rows, or 1.
func (s *Section) setMax(number int) float64 {
	max, any := 0.0, false
	for i := range s.plan.Expected {
		if e := &s.plan.Expected[i]; e.Applies(number) {
			max, any = max+e.Points, true
		}
	}
	if !any {
		return 1
	}
	return tidy(max)
}

// outcome of one set in one run.
type outcome struct {
	share   float64
	verdict check.Verdict
	note    string
}

func (s *Section) setScore(runs []SectionRun, number int, max float64) SetScore {
	var all []outcome
	for i := range runs {
		o := outcome{0, check.Unknown, "it was not run"}
		if runs[i].Note != "" {
			o.note = runs[i].Note
		}
		if runs[i].NodesFailed {
			o.verdict = check.Fail
		}
		for _, set := range runs[i].Sets {
			if set.Set != number {
				continue
			}
			o = outcome{0, set.Verdict, set.Note}
			switch {
			case set.Max > 0:
				o.share = set.Score / set.Max
			case set.Verdict == check.Pass: // its rows are worth nothing
				o.share = 1
			}
		}
		all = append(all, o)
	}
	// The best first; of equal shares, the better verdict.
	slices.SortStableFunc(all, func(a, b outcome) int {
		if a.share != b.share {
			return int(math.Copysign(1, b.share-a.share))
		}
		return gravity(a.verdict) - gravity(b.verdict)
	})
	o := all[map[string]int{PassesAny: 0, PassesMajority: len(all) / 2, PassesAll: len(all) - 1}[s.Passes]]
	score := SetScore{Set: number, Verdict: o.verdict, Share: tidy(o.share), Score: tidy(max * o.share), Max: max, Note: o.note}
	if bad := slices.IndexFunc(all, func(o outcome) bool { return o.verdict != check.Pass }); bad >= 0 && len(all) > 1 {
		failed := len(all)
		for _, o := range all {
			if o.verdict == check.Pass {
				failed--
			}
		}
		note := all[bad].note
		if o.verdict != check.Pass {
			note = o.note
		}
		score.Note = fmt.Sprintf("passed in %d of %d runs; %s", len(all)-failed, len(all), note)
	}
	return score
}

// threshold holds the median of the runs against what is wanted.
func (s *Section) threshold(t *Threshold, runs []SectionRun, correct bool, factor float64) ThresholdResult {
	r := ThresholdResult{Threshold: t.String(), Max: t.Points}
	values := measured(runs, t.Measure, t.Kind)
	if len(values) > 0 {
		r.Value = tidy(values[len(values)/2]) // the worse of two
	}
	met := len(values) > 0 && compareMeasure(t.Measure, r.Value, t.eased(factor)) <= 0
	switch {
	case !correct:
		r.Note = "performance counts only when the section is correct"
	case !met:
		r.Note = t.missed(r.Value, len(values) > 0, factor)
	default:
		r.Met, r.Score = true, t.Points
	}
	return r
}

// measured are a measure's values in all runs that have one, the best first.
func measured(runs []SectionRun, measure, kind string) []float64 {
	var values []float64
	for i := range runs {
		if v, ok := runs[i].Measured.of(measure, kind); ok {
			values = append(values, v)
		}
	}
	slices.SortFunc(values, func(a, b float64) int { return compareMeasure(measure, a, b) })
	return values
}

// gravity of verdicts, pass first.
func gravity(v check.Verdict) int {
	switch v {
	case check.Pass:
		return 0
	case check.Unknown:
		return 1
	}
	return 2
}

func worse(a, b check.Verdict) check.Verdict {
	if gravity(a) > gravity(b) {
		return a
	}
	return b
}

// score adds the sections up and says what became of the whole.
func (g *Grade) score() {
	g.Score, g.Max = 0, 0
	status := Graded
	failed := len(g.Sections) > 0
	for i := range g.Sections {
		r := &g.Sections[i]
		g.Score, g.Max = g.Score+r.Score, g.Max+r.Max
		failed = failed && r.Status == Failed
		switch {
		case r.Status == Broken:
			status = Broken
		case r.Status == Open && status != Broken:
			status = Open
		}
	}
	if failed {
		status = Failed
	}
	g.Score, g.Max, g.Status = tidy(g.Score), tidy(g.Max), status
}
