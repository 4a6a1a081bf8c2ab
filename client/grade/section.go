package grade

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"paxbank/client/launch"
	"paxbank/client/sandbox"
)

// sections runs the open sections in the order of the suite.
func (s *submission) sections(ctx context.Context, how commands) error {
	node, err := launch.Split(how.Node)
	if err != nil {
		return &rejected{"node: " + err.Error()}
	}
	for i := range s.Suite.Sections {
		r := &s.grade.Sections[i]
		switch {
		case r.Status.final():
			continue
		case errors.Is(context.Cause(ctx), errSubmissionTime):
			s.fail(errSubmissionTime.Error())
			return nil
		case s.over(ctx):
			return nil
		}
		if err := s.section(ctx, i, r, how.Node, node); err != nil {
			return err
		}
		s.Suite.Sections[i].score(r)
		if err := s.write(); err != nil {
			return err
		}
	}
	return nil
}

// section runs one section as often as the suite says. It stays open when it was
// interrupted: of the runs that there are, some would count and some not.
func (s *submission) section(ctx context.Context, i int, r *SectionResult, name string, node []string) error {
	sec := &s.Suite.Sections[i]
	if len(sec.Performance) > 0 || s.Suite.Leaderboard != nil && s.Suite.Leaderboard.Section == sec.Name {
		s.machine.Lock()
		defer s.machine.Unlock()
	} else {
		s.machine.RLock()
		defer s.machine.RUnlock()
	}
	for k := 1; k <= sec.Repeats; k++ {
		if s.over(ctx) && context.Cause(ctx) != errSubmissionTime {
			return nil
		}
		run, err := s.one(ctx, i, k, r, name, node)
		switch {
		case err != nil:
			r.Status, r.Note = Broken, "the grader failed: "+sandbox.Escape(err.Error())
			return nil
		case run == nil:
			r.Runs = nil
			return nil
		}
		r.Runs[k-1] = *run
	}
	r.Status = Graded
	return nil
}

// one does one run of a section; nil when it was interrupted.
func (s *submission) one(ctx context.Context, i, k int, r *SectionResult, name string, node []string) (*SectionRun, error) {
	sec := &s.Suite.Sections[i]
	dir := filepath.Join(sec.directory(i), fmt.Sprintf("run-%0*d", len(strconv.Itoa(sec.Repeats)), k))
	j := &job{
		TestSet: abs(sec.TestSet), Sets: sec.Sets, Inputs: hashInputs(sec.plan), Command: node, Name: name, Work: s.work,
		Dir: abs(filepath.Join(s.home(), dir)), Order: sec.Order, Fault: sec.Fault, Deadline: scaled(sec.Deadline, s.factor),
		Randomise: sec.Randomise, Policy: s.policy(s.slot),
	}
	for _, t := range sec.Shape {
		j.Shape = append(j.Shape, abs(t))
	}
	j.Policy.Work, j.Policy.WorkReadOnly = s.work, true
	j.Policy.Env = append(j.Policy.Env, s.Suite.nodeEnv()...)
	j.Policy.Limits.Memory = cmp.Or(s.Suite.Limits.Memory, j.Policy.Limits.Memory)
	run := SectionRun{Dir: filepath.ToSlash(dir)}
	if sec.Randomise {
		j.Seed = seedOf(s.secret, s.grade.Submission, sec.Name, k)
		run.Seed = fmt.Sprintf("%016x", j.Seed)
	}
	if err := errors.Join(os.RemoveAll(j.Dir), os.MkdirAll(j.Dir, 0o755)); err != nil {
		return nil, err
	}
	var err error
	if j.Scratch, err = os.MkdirTemp(s.scratch, "run-"); err != nil {
		return nil, err
	}
	defer removeAll(j.Scratch) // else it goes with the scratch directory
	if err := os.Chmod(j.Scratch, 0o711); err != nil {
		return nil, err
	}
	r.Runs = append(r.Runs[:k-1], run)
	label := fmt.Sprintf("%s %d/%d", sec.Name, k, sec.Repeats)
	s.progress(s.grade.Submission, label)
	start := time.Now()
	var failed error
	limit := scaled(sec.Limit, s.factor)
	e, err := runWorker(ctx, s.Worker, j, limit, func(e *event) {
		if e.Set == nil {
			s.progress(s.grade.Submission, strings.TrimSpace(label+" "+sandbox.Escape(e.Progress)))
			return
		}
		e.Set.Note = oneLine(e.Set.Note)
		run.Sets = append(run.Sets, *e.Set)
		r.Runs[k-1] = run
		failed = errors.Join(failed, s.write())
	})
	run.Seconds = tidy(time.Since(start).Seconds())
	switch {
	case err != nil || failed != nil:
		return nil, errors.Join(err, failed)
	case e != nil:
		run.Measured, run.Order, run.Note, run.NodesFailed = e.Measured, e.Order, oneLine(e.Nodes), e.Nodes != ""
		s.grade.Containment = e.Containment
	case errors.Is(context.Cause(ctx), errSubmissionTime):
		run.Note = errSubmissionTime.Error()
	case ctx.Err() != nil:
		return nil, nil
	default:
		run.Note = fmt.Sprintf("not finished after %s", limit.Round(time.Second))
	}
	return &run, nil
}

var notInDirectories = regexp.MustCompile(`[^\p{L}\p{N}._-]+`)

// directory of the i-th section in that of a submission.
func (s *Section) directory(i int) string {
	return fmt.Sprintf("%02d-%s", i+1, strings.Trim(notInDirectories.ReplaceAllString(s.Name, "-"), "-"))
}

// abs is a path for a process with another working directory. That it fails means
// that there is none, which every other step notices too.
func abs(path string) string {
	if a, err := filepath.Abs(path); err == nil {
		return a
	}
	return path
}

// maxNote runes of what is said about a set are kept.
const maxNote = 600

// oneLine is text that a submission may have had a hand in, safe to show in one
// line.
func oneLine(text string) string {
	text = sandbox.Escape(strings.Join(strings.Fields(text), " "))
	if r := []rune(text); len(r) > maxNote {
		return string(r[:maxNote]) + "…"
	}
	return text
}

// tailBytes of a log are shown.
const tailBytes = 1 << 10

// logTail is the end of a log, for a note.
func logTail(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return ""
	}
	data, err := io.ReadAll(io.NewSectionReader(f, max(0, info.Size()-tailBytes), tailBytes))
	text := strings.TrimSpace(string(data))
	if err != nil || text == "" {
		return ""
	}
	return "; the end of its output: " + oneLine(text)
}
