package grade

import (
	"cmp"
	"math"
	"slices"

	"paxbank/client/check"
)

// Board is the leaderboard of a class. Only who is correct in every section is on
// it, under a pseudonym, so that it can be shown to all.
type Board struct {
	Section, Measure, Kind string
	Rows                   []BoardRow // the best first
	Incorrect              int        // submissions that are not on it
}

// BoardRow is a submission on the leaderboard.
type BoardRow struct {
	// Rank is 1 and the number of those that are better for certain: whose interval
	// does not overlap this one's. So who cannot be told apart shares a rank.
	Rank      int
	Pseudonym string
	// Mean (geometric) over the runs, and its 95 % interval, in the measure's unit.
	Mean, Low, High float64
	Runs            int
}

// board makes the leaderboard; nil when the suite has none.
func (s *Suite) board(grades []*Grade) *Board {
	if s.Leaderboard == nil {
		return nil
	}
	b := &Board{Section: s.Leaderboard.Section, Measure: s.Leaderboard.Measure, Kind: s.Leaderboard.Kind}
	for _, g := range grades {
		values := []float64(nil)
		if g.correct() {
			values = measured(g.section(b.Section).Runs, b.Measure, b.Kind)
		}
		if len(values) < leastRepeats {
			b.Incorrect++
			continue
		}
		row := BoardRow{Pseudonym: g.Pseudonym, Runs: len(values)}
		row.Mean, row.Low, row.High = meanInterval(values)
		b.Rows = append(b.Rows, row)
	}
	b.rank()
	return b
}

// correct reports whether every section passed.
func (g *Grade) correct() bool {
	return !slices.ContainsFunc(g.Sections, func(r SectionResult) bool { return r.Status != Graded || r.Verdict != check.Pass })
}

// rank orders the rows and gives ranks.
func (b *Board) rank() {
	for i := range b.Rows {
		r := &b.Rows[i]
		r.Rank = 1
		for _, other := range b.Rows {
			if better(b.Measure, &other, r) {
				r.Rank++
			}
		}
	}
	slices.SortStableFunc(b.Rows, func(x, y BoardRow) int {
		return cmp.Or(cmp.Compare(x.Rank, y.Rank), compareMeasure(b.Measure, x.Mean, y.Mean), cmp.Compare(x.Pseudonym, y.Pseudonym))
	})
}

// better reports whether all of x's interval is better than all of y's.
func better(measure string, x, y *BoardRow) bool {
	if higher(measure) {
		return x.Low > y.High
	}
	return x.High < y.Low
}

// t975 are the 0.975 quantiles of Student's t distribution with 1, 2, … degrees
// of freedom; beyond them, that of the normal distribution is off by less than
// 4 %.
var t975 = []float64{
	12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
	2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
	2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
}

const z975 = 1.960

// typical is the geometric mean: times and rates scatter by factors.
func typical(values []float64) float64 {
	sum := 0.0
	for _, v := range values {
		sum += math.Log(v)
	}
	return math.Exp(sum / float64(len(values)))
}

// meanInterval is the geometric mean of at least two positive values and its 95 %
// confidence interval, by Student's t over their logarithms (W. S. Gosset, The
// probable error of a mean, 1908).
func meanInterval(values []float64) (mean, low, high float64) {
	n := float64(len(values))
	mean = typical(values)
	squares := 0.0
	for _, v := range values {
		d := math.Log(v / mean)
		squares += d * d
	}
	t := z975
	if freedom := len(values) - 1; freedom <= len(t975) {
		t = t975[freedom-1]
	}
	half := t * math.Sqrt(squares/(n-1)/n)
	return mean, mean / math.Exp(half), mean * math.Exp(half)
}
