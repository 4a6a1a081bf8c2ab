package grade

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"paxbank/client/check"
)

// Schema names the version of grade.json. Fields may be added within a version;
// a change of meaning makes a new one.
const Schema = "paxbank.grade/1"

// GradeFile is the name of a submission's grade in its directory.
const GradeFile = "grade.json"

// Status of a submission or of one of its sections.
type Status string

// The statuses. Only Open and Broken are done again by a grading that resumes.
const (
	// Graded: it ran, and its score is final.
	Graded Status = "graded"
	// Failed: it could not run for a reason of the submission's own (it was not
	// accepted, did not build, ran out of its time). Final; worth nothing.
	Failed Status = "failed"
	// Open: not run yet, because the budget was spent or the user interrupted it.
	Open Status = "not graded"
	// Broken: the grader failed, not the submission.
	Broken Status = "grader error"
)

// final reports whether nothing is left to be done.
func (s Status) final() bool { return s == Graded || s == Failed }

// Grade is grade.json: what one submission came to.
type Grade struct {
	Schema     string  `json:"schema"`
	Submission string  `json:"submission"`
	Pseudonym  string  `json:"pseudonym"`
	Suite      string  `json:"suite"`
	Status     Status  `json:"status"`
	Score      float64 `json:"score"`
	Max        float64 `json:"max_score"`
	// Note says what befell the submission as a whole; it may quote what the
	// submission printed, escaped.
	Note string `json:"note,omitempty"`
	// Notices are what was odd about the files that were handed in.
	Notices     []string `json:"notices,omitempty"`
	Content     string   `json:"content"` // hash of the files that were handed in
	Containment string   `json:"containment"`
	// Factor by which this machine is slower than the reference, at least 1.
	Factor   float64         `json:"machine_factor"`
	Started  time.Time       `json:"started"`
	Seconds  float64         `json:"seconds"` // spent on it, over all gradings
	Build    *Build          `json:"build,omitempty"`
	Sections []SectionResult `json:"sections"`
}

// Build is how the submission was built.
type Build struct {
	Key     string  `json:"key"` // of everything that decides what it comes to
	Command string  `json:"command,omitempty"`
	OK      bool    `json:"ok"`
	How     string  `json:"how,omitempty"` // it ended
	Seconds float64 `json:"seconds"`
	Log     string  `json:"log,omitempty"` // file in the submission's directory
}

// SectionResult is what one section of the suite came to.
type SectionResult struct {
	Name   string `json:"name"`
	Key    string `json:"key"` // of everything that decides what it comes to
	Status Status `json:"status"`
	Note   string `json:"note,omitempty"`
	// Factor that eased its deadlines and thresholds.
	Factor float64 `json:"machine_factor"`
	// Verdict over all runs that count; "" when there was none.
	Verdict    check.Verdict     `json:"verdict,omitempty"`
	Score      float64           `json:"score"`
	Max        float64           `json:"max_score"`
	Visibility string            `json:"visibility"`
	Passes     string            `json:"passes,omitempty"`
	Sets       []SetScore        `json:"sets,omitempty"`
	Thresholds []ThresholdResult `json:"performance,omitempty"`
	Runs       []SectionRun      `json:"runs,omitempty"`
}

// SetScore is what one set came to over all runs.
type SetScore struct {
	Set     int           `json:"set"`
	Verdict check.Verdict `json:"verdict"`
	Share   float64       `json:"share"` // of the set's points, from 0 to 1
	Score   float64       `json:"score"`
	Max     float64       `json:"max_score"`
	Note    string        `json:"note,omitempty"` // why it has not all of them
}

// ThresholdResult is a threshold of performance and what there was.
type ThresholdResult struct {
	Threshold string  `json:"threshold"`
	Value     float64 `json:"value"`
	Met       bool    `json:"met"`
	Score     float64 `json:"score"`
	Max       float64 `json:"max_score"`
	Note      string  `json:"note,omitempty"`
}

// SectionRun is one run of a section.
type SectionRun struct {
	Dir string `json:"dir"` // in the submission's directory
	// Seed of the permutation of items and sets; there when they were randomised.
	Seed    string  `json:"seed,omitempty"`
	Order   []int   `json:"set_order,omitempty"`
	Seconds float64 `json:"seconds"`
	Note    string  `json:"note,omitempty"`
	// NodesFailed: nodes could not be started or reached, so what was not run for
	// that is wrong and not just unknown.
	NodesFailed bool     `json:"nodes_failed,omitempty"`
	Sets        []SetRun `json:"sets"`
	Measured    Measured `json:"measured"`
}

// SetRun is one set in one run.
type SetRun struct {
	Set     int           `json:"set"`
	Verdict check.Verdict `json:"verdict"`
	Score   float64       `json:"score"` // points of the expected file, or of 1
	Max     float64       `json:"max_score"`
	Note    string        `json:"note,omitempty"` // the first check that did not pass
	// Checks, those that did not pass first; of very many, not all.
	Checks []check.Check `json:"checks,omitempty"`
}

// readGrade reads a submission's grade; nil when there is none of this version.
func readGrade(path string) (*Grade, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("the grade %s cannot be read: %w", path, reason(err))
	}
	var g Grade
	if err := json.Unmarshal(data, &g); err != nil {
		return nil, fmt.Errorf("%s is no grade: %w (remove it to grade the submission afresh)", path, err)
	}
	if g.Schema != Schema {
		return nil, nil
	}
	return &g, nil
}

// section of the last grading; nil when it has none.
func (g *Grade) section(name string) *SectionResult {
	if g == nil {
		return nil
	}
	for i := range g.Sections {
		if g.Sections[i].Name == name {
			return &g.Sections[i]
		}
	}
	return nil
}

// write replaces the grade in its directory.
func (g *Grade) write(dir string) error {
	return replace(filepath.Join(dir, GradeFile), 0o644, func(w io.Writer) error {
		e := json.NewEncoder(w)
		e.SetEscapeHTML(false)
		e.SetIndent("", " ")
		return e.Encode(g)
	})
}

// replace writes a file under a temporary name beside it, syncs and renames it, so
// that at every moment there is a whole one or none.
func replace(path string, mode fs.FileMode, write func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", path, reason(err))
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
			err = fmt.Errorf("cannot write %s: %w", path, reason(err))
		}
	}()
	if err := write(f); err != nil {
		return err
	}
	if err := f.Chmod(mode); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
