package grade

import (
	"fmt"
	"path/filepath"
	"time"
)

// What things take on the reference machine, for the estimate; measured with the
// server of this repository, whose like most submissions are slower than.
const (
	buildEstimate   = 10 * time.Second
	startEstimate   = 2 * time.Second // nine nodes, and stopping them
	setEstimate     = 400 * time.Millisecond
	markerEstimate  = 300 * time.Millisecond
	commandEstimate = 2 * time.Millisecond
)

// Estimate is what grading a class is going to take.
type Estimate struct {
	Submissions, Left int           // all, and those that have anything left to do
	Likely            time.Duration // with Jobs at the same time
	Most              time.Duration // when everything takes as long as it may
	Measured          bool          // Likely comes from submissions that are graded already
}

// Estimate looks at what there is to do and at what earlier gradings of the class
// took.
func (o *Options) Estimate() (Estimate, error) {
	factor := o.Speed.Factor()
	e := Estimate{Submissions: len(o.Submissions)}
	var spent time.Duration
	done := 0
	for _, dir := range o.Submissions {
		g, err := readGrade(filepath.Join(o.Dir, "submissions", filepath.Base(dir), GradeFile))
		if err != nil {
			return e, err
		}
		if g != nil && g.Status.final() && !o.Again {
			spent += seconds(g.Seconds)
			done++
		}
	}
	e.Left = e.Submissions - done
	one, most := o.Suite.estimate()
	one, most = scaled(one, factor), scaled(most, factor)
	if done >= 3 {
		one, e.Measured = spent/time.Duration(done), true
	}
	rounds := (e.Left + o.Jobs - 1) / o.Jobs
	e.Likely, e.Most = one*time.Duration(rounds), most*time.Duration(rounds)
	if o.Budget > 0 {
		e.Most = min(e.Most, o.Budget+most) // what is begun is finished
		e.Likely = min(e.Likely, o.Budget+one)
	}
	return e, nil
}

// estimate of one submission on the reference machine, and what it may take.
func (s *Suite) estimate() (likely, most time.Duration) {
	if s.Build != "" || s.Manifest != ManifestIgnored {
		likely, most = buildEstimate, s.Limits.Build
	}
	for i := range s.Sections {
		sec := &s.Sections[i]
		run := startEstimate
		for _, set := range sec.plan.Sets {
			run += setEstimate
			for _, c := range set.Commands {
				if c.Marker() {
					run += markerEstimate
				} else {
					run += commandEstimate
				}
			}
		}
		likely += run * time.Duration(sec.Repeats)
		most += (sec.Limit + stopGrace) * time.Duration(sec.Repeats)
	}
	return min(likely, s.Limits.Submission), min(most, s.Limits.Submission+stopGrace)
}

// String is the estimate in words.
func (e Estimate) String() string {
	text := fmt.Sprintf("%d submissions", e.Submissions)
	if e.Left < e.Submissions {
		text += fmt.Sprintf(", %d of them graded already", e.Submissions-e.Left)
	}
	if e.Left == 0 {
		return text
	}
	how := "by the size of the suite"
	if e.Measured {
		how = "by what the others took"
	}
	return fmt.Sprintf("%s: about %s %s, at most %s", text, words(e.Likely), how, words(e.Most))
}

// words shows a duration as people say it.
func words(d time.Duration) string {
	switch {
	case d < 90*time.Second:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d < 90*time.Minute:
		return fmt.Sprintf("%.0f min", d.Minutes())
	}
	return fmt.Sprintf("%.1f h", d.Hours())
}
