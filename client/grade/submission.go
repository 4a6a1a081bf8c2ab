package grade

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"paxbank/client/launch"
	"paxbank/client/sandbox"
)

// errSubmissionTime is the cause of the end of a submission that took too long as
// a whole.
var errSubmissionTime = errors.New("the submission's time was spent")

// submission is one submission on its way through the suite.
type submission struct {
	*grader
	dir   string
	slot  int
	grade *Grade
	work  string // its copy
	kept  bool   // nothing had to be done
}

// blank is a grade with nothing in it but what the last grading left.
func (g *grader) blank(dir string, old *Grade) *Grade {
	name := filepath.Base(dir)
	grade := &Grade{
		Schema: Schema, Submission: name, Pseudonym: pseudonym(g.secret, name), Suite: g.Suite.Name, Factor: tidy(g.factor), Started: g.started.UTC(),
	}
	for i := range g.Suite.Sections {
		sec := &g.Suite.Sections[i]
		r := g.open(sec.Name, "")
		if last := old.section(sec.Name); last != nil && last.Status.final() && !g.Again {
			r = *last
		}
		sec.score(&r)
		grade.Sections = append(grade.Sections, r)
	}
	if old != nil {
		grade.Build, grade.Notices, grade.Content, grade.Note = old.Build, old.Notices, old.Content, old.Note
		grade.Started, grade.Seconds, grade.Factor, grade.Containment = old.Started, old.Seconds, old.Factor, old.Containment
	}
	grade.score()
	return grade
}

// open is a section of which nothing is known yet.
func (g *grader) open(name, key string) SectionResult {
	return SectionResult{Name: name, Key: key, Status: Open, Factor: tidy(g.factor)}
}

func (s *submission) home() string { return s.grader.home(s.dir) }

// write stores the grade as it stands.
func (s *submission) write() error {
	s.grade.score()
	if err := s.grade.write(s.home()); err != nil {
		return err
	}
	if err := s.grade.render(s.Suite, s.home()); err != nil || s.Gradescope == "" {
		return err
	}
	return s.grade.gradescope(s.Suite, s.Gradescope)
}

// run grades the submission. An error is the grader's own, and not about this
// submission.
func (s *submission) run(ctx context.Context) error {
	if err := os.MkdirAll(s.home(), 0o755); err != nil {
		return fmt.Errorf("results: %w", err)
	}
	start, before := time.Now(), s.grade.Seconds
	err := s.grading(ctx)
	var no *rejected
	switch {
	case errors.As(err, &no):
		s.fail(sandbox.Escape(no.why))
	case err != nil:
		s.broken(err)
	}
	if !s.kept {
		s.grade.Seconds = tidy(before + time.Since(start).Seconds())
	}
	return s.write()
}

// fail ends what is open for a reason of the submission's own.
func (s *submission) fail(why string) {
	s.grade.Note = why
	for i := range s.grade.Sections {
		if r := &s.grade.Sections[i]; !r.Status.final() {
			*r = s.open(r.Name, r.Key)
			r.Status, r.Note = Failed, why
			s.Suite.Sections[i].score(r)
		}
	}
}

// broken ends what is open for a fault of ours.
func (s *submission) broken(err error) {
	s.grade.Note = "the grader failed: " + sandbox.Escape(err.Error())
	for i := range s.grade.Sections {
		if r := &s.grade.Sections[i]; !r.Status.final() {
			r.Status, r.Note = Broken, s.grade.Note
		}
	}
}

// grading takes the submission from what was handed in to the last section.
func (s *submission) grading(ctx context.Context) error {
	s.progress(s.grade.Submission, "reading")
	files, err := scan(s.dir, s.Suite.Limits)
	s.grade.Notices = nil
	for _, n := range files.noticesOrNone() {
		s.grade.Notices = append(s.grade.Notices, sandbox.Escape(n))
	}
	if err != nil {
		s.reopen(nil)
		return err
	}
	how, err := s.Suite.commandsOf(s.dir)
	if err != nil {
		s.reopen(nil)
		return err
	}
	s.grade.Content = files.hash
	build, err := s.Suite.buildKey(files.hash, how)
	if err != nil {
		return err
	}
	keys := make([]string, len(s.Suite.Sections))
	for i := range keys {
		keys[i] = s.Suite.Sections[i].key(build, how)
	}
	if !s.reopen(keys) {
		s.kept = true
		return nil
	}
	s.grade.Note = ""
	if s.over(ctx) {
		return nil
	}
	// Of the nodes there is more to say once some run.
	s.grade.Factor, s.grade.Containment = tidy(s.factor), s.policy(s.slot).Describe(true).String()
	limit := scaled(s.Suite.Limits.Submission, s.factor)
	ctx, cancel := context.WithTimeoutCause(ctx, limit, errSubmissionTime)
	defer cancel()
	if err := s.unpack(files); err != nil {
		return err
	}
	defer s.clear()
	if err := s.write(); err != nil {
		return err
	}
	if built, err := s.build(ctx, build, how); err != nil || !built {
		return err
	}
	return s.sections(ctx, how)
}

func (h *handedIn) noticesOrNone() []string {
	if h == nil {
		return nil
	}
	return h.notices
}

// reopen opens the sections whose last result was made of something else, and
// reports whether any is open. Without keys, all are.
func (s *submission) reopen(keys []string) bool {
	open := false
	for i := range s.grade.Sections {
		r := &s.grade.Sections[i]
		if keys == nil || !r.Status.final() || r.Key != keys[i] {
			*r = s.open(r.Name, "")
			if keys != nil {
				r.Key = keys[i]
			}
			s.Suite.Sections[i].score(r)
			open = true
		}
	}
	return open
}

// unpack copies the submission, and what the suite provides, to where it is built.
func (s *submission) unpack(files *handedIn) error {
	s.progress(s.grade.Submission, "copying")
	var err error
	if s.work, err = os.MkdirTemp(s.scratch, "work-"); err != nil {
		return err
	}
	if err := os.Chmod(s.work, 0o755); err != nil {
		return err
	}
	if err := files.copyTo(s.dir, s.work); err != nil {
		return err
	}
	return provide(s.Suite.Provide, s.work)
}

// clear removes the copy. What cannot be removed now goes with the scratch
// directory, or is reported with it.
func (s *submission) clear() { _ = removeAll(s.work) }

// policy of the submission's boxes.
func (g *grader) policy(slot int) *sandbox.Policy {
	return &sandbox.Policy{
		Mode: g.Sandbox, Slot: slot, Hidden: g.hidden, Env: append(g.Machine.env(g.Suite), g.Suite.Env...), Limits: g.Boxes, Boxes: g.Suite.nodes(),
	}
}

// build builds the copy; false when that failed, or was interrupted.
func (s *submission) build(ctx context.Context, key string, how commands) (bool, error) {
	b := &Build{Key: key, Command: how.Build, OK: true}
	s.grade.Build = b
	if how.Build == "" {
		return true, nil
	}
	s.progress(s.grade.Submission, "building")
	s.machine.RLock()
	defer s.machine.RUnlock()
	args, err := launch.Split(how.Build)
	if err != nil {
		return false, &rejected{"build: " + err.Error()}
	}
	b.Log = "build.log"
	log := filepath.Join(s.home(), b.Log)
	if err := os.RemoveAll(log); err != nil {
		return false, err
	}
	policy := s.policy(s.slot)
	policy.Work = s.work
	policy.Env = append(policy.Env, s.Machine.buildEnv(s.Suite)...)
	start := time.Now()
	result, err := sandbox.Run(ctx, sandbox.Step{
		Policy: policy, Args: args, Log: log, OwnNetwork: true, Timeout: scaled(s.Suite.Limits.Build, s.factor),
	})
	b.Seconds = tidy(time.Since(start).Seconds())
	b.OK, b.How = err == nil && result.Success(), sandbox.Escape(result.String())
	switch {
	case errors.Is(context.Cause(ctx), errSubmissionTime):
		s.fail("it did not build: " + errSubmissionTime.Error())
		return false, nil
	case ctx.Err() != nil:
		s.grade.Build = nil
		return false, nil // interrupted: it stays open
	case err != nil:
		b.How = sandbox.Escape(err.Error())
		s.fail("it did not build: " + b.How)
		return false, nil
	case !b.OK:
		s.fail("it did not build: " + b.How + logTail(log))
		return false, nil
	}
	return true, nil
}

// scaled is a time of the reference machine on this one.
func scaled(d time.Duration, factor float64) time.Duration { return time.Duration(float64(d) * factor) }
