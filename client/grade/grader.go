package grade

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"paxbank/client/check"
	"paxbank/client/sandbox"
)

// Options of grading a class.
type Options struct {
	Suite *Suite
	// Submissions are directories; the last part of each path is its name.
	Submissions []string
	// Dir is the class's directory; it is made. What it holds of an earlier grading
	// is not done again.
	Dir string
	// Jobs is how many submissions are graded at the same time.
	Jobs int
	// Budget: when so much time has passed, nothing new is begun. 0: no bound.
	Budget time.Duration
	// Again grades afresh what was graded before.
	Again bool
	// Sandbox says how much containment is wanted.
	Sandbox sandbox.Mode
	// Boxes are the limits of every box of a submission; zero values are defaults.
	Boxes sandbox.Limits
	// Worker is the command that calls Worker.
	Worker []string
	// Speed of this machine, see MeasureSpeed; Machine is what it has, or the zero
	// value.
	Speed   Speed
	Machine Machine
	// Gradescope, when set, is a file that gets results.json of the only submission,
	// anew after every set; see also Pending.
	Gradescope string
	// Progress is told what goes on, in a few words; Note what is worth a line.
	Progress func(string)
	Note     func(format string, args ...any)
}

// Class is what became of a class.
type Class struct {
	Suite       *Suite
	Dir         string
	Grades      []*Grade // in the order of the submissions
	Board       *Board   // nil without a leaderboard
	Interrupted bool
	Spent       bool // the budget
}

// ExitCode is 0 when every submission has its grade, whatever the scores; 130
// after an interrupt, 70 when the grader failed somewhere, and 2 when the budget
// did not do for all.
func (c *Class) ExitCode() int {
	code := check.ExitPass
	for _, g := range c.Grades {
		switch {
		case g.Status == Broken:
			code = check.ExitInternal
		case g.Status == Open && code == check.ExitPass:
			code = check.ExitUnknown
		}
	}
	if c.Interrupted {
		return check.ExitInterrupted
	}
	return code
}

// grader grades one class.
type grader struct {
	Options
	factor  float64
	secret  []byte
	scratch string
	hidden  []string
	started time.Time
	// machine is held by whoever needs it for itself to measure; by the others
	// together.
	machine sync.RWMutex

	mu    sync.Mutex
	spent bool
	state map[string]string // by submission under way, for the progress
	done  int
}

// BusyError: another grader works on the same class.
type BusyError struct{ dir string }

func (e *BusyError) Error() string {
	return fmt.Sprintf("the class in %s is being graded by another process; wait for it, or choose another place with --results", e.dir)
}

// Run grades a class. A submission's failure is its own and no error; an error
// means that grading could not go on. Whatever happens, the grades that there are
// have been written.
func Run(ctx context.Context, o Options) (_ *Class, err error) {
	g := &grader{Options: o, factor: o.Speed.Factor(), started: time.Now(), state: map[string]string{}}
	if g.Progress == nil {
		g.Progress = func(string) {}
	}
	if g.Note == nil {
		g.Note = func(string, ...any) {}
	}
	if err := os.MkdirAll(filepath.Join(o.Dir, "submissions"), 0o755); err != nil {
		return nil, fmt.Errorf("the class directory %s cannot be made: %w", o.Dir, reason(err))
	}
	held, err := lock(o.Dir)
	if err != nil {
		return nil, err
	}
	defer held.Close()
	if g.secret, err = classSecret(o.Dir); err != nil {
		return nil, err
	}
	if g.scratch, err = newScratch(held); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, removeAll(g.scratch)) }()
	if g.hidden, err = g.toHide(); err != nil {
		return nil, err
	}
	if err := g.policy(0).Check(true); err != nil {
		return nil, err
	}
	return g.class(ctx)
}

// class grades all submissions, and writes what is known of the class after each.
func (g *grader) class(ctx context.Context) (*Class, error) {
	c := &Class{Suite: g.Suite, Dir: g.Dir, Grades: make([]*Grade, len(g.Submissions))}
	last := make([]*Grade, len(g.Submissions)) // nil where there is none
	for i, dir := range g.Submissions {
		var err error
		if last[i], err = readGrade(filepath.Join(g.home(dir), GradeFile)); err != nil {
			return nil, err
		}
		c.Grades[i] = g.blank(dir, last[i])
	}
	work := make(chan int)
	var wg sync.WaitGroup
	var mu sync.Mutex // guards c and failure
	var failure error
	for slot := range max(g.Jobs, 1) {
		wg.Go(func() {
			for i := range work {
				s := &submission{grader: g, dir: g.Submissions[i], slot: slot, grade: g.blank(g.Submissions[i], last[i])}
				err := s.run(ctx)
				mu.Lock()
				c.Grades[i] = s.grade
				g.finished(s)
				failure = errors.Join(failure, err, c.write())
				mu.Unlock()
			}
		})
	}
	for i := range g.Submissions {
		work <- i
	}
	close(work)
	wg.Wait()
	g.Progress("")
	c.Interrupted, c.Spent = ctx.Err() != nil, g.spent
	return c, errors.Join(failure, c.write())
}

// home is a submission's directory among the results.
func (g *grader) home(dir string) string {
	return filepath.Join(g.Dir, "submissions", filepath.Base(dir))
}

// over reports whether nothing new is to be begun.
func (g *grader) over(ctx context.Context) bool {
	if ctx.Err() != nil {
		return true
	}
	if g.Budget == 0 || time.Since(g.started) < g.Budget {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.spent = true
	return true
}

// progress shows what goes on with a submission.
func (g *grader) progress(name, text string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if text == "" {
		delete(g.state, name)
	} else {
		g.state[name] = text
	}
	var all []string
	for _, n := range sortedKeys(g.state) {
		all = append(all, sandbox.Escape(n)+": "+g.state[n])
	}
	g.Progress(fmt.Sprintf("%d of %d graded; %s", g.done, len(g.Submissions), strings.Join(all, "; ")))
}

func (g *grader) finished(s *submission) {
	g.progress(s.grade.Submission, "")
	g.mu.Lock()
	if s.grade.Status.final() {
		g.done++
	}
	done := g.done
	g.mu.Unlock()
	g.Progress("")
	text := fmt.Sprintf("%d of %d: %s: %s", done, len(g.Submissions), sandbox.Escape(s.grade.Submission), s.grade.Status)
	if s.grade.Status.final() {
		text += fmt.Sprintf(", %s of %s points", number(s.grade.Score), number(s.grade.Max))
	}
	if s.kept {
		text += " (as it was)"
	}
	g.Note("%s", text)
}

// toHide are the paths that no program of a submission may see: the class, all
// submissions, the suite and every file that its sections are made of.
func (g *grader) toHide() ([]string, error) {
	paths := append([]string{g.Dir, g.scratch}, g.Submissions...)
	paths = append(paths, g.Suite.Files()...)
	if g.Gradescope != "" {
		paths = append(paths, g.Gradescope)
	}
	for i, p := range paths {
		abs, err := filepath.Abs(p)
		if err != nil {
			return nil, err
		}
		paths[i] = abs
	}
	return paths, nil
}

// lock keeps other graders off the class until the file is closed, or this process
// is gone.
func lock(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, ".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("the class directory %s cannot be used: %w", dir, reason(err))
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, &BusyError{dir}
		}
		return nil, fmt.Errorf("locking %s: %w", dir, err)
	}
	return f, nil
}

const scratchPrefix = "paxbank-grade-"

// newScratch makes a directory for copies, data and logs of what is being graded,
// outside of the results. Its name stands in the lock file, so that the next
// grader removes what one that was killed has left.
func newScratch(held *os.File) (string, error) {
	old, err := os.ReadFile(held.Name())
	if err != nil {
		return "", err
	}
	if dir := string(old); strings.HasPrefix(filepath.Base(dir), scratchPrefix) {
		if err := removeAll(dir); err != nil {
			return "", fmt.Errorf("removing what the last grading left: %w", err)
		}
	}
	dir, err := os.MkdirTemp("", scratchPrefix)
	if err != nil {
		return "", err
	}
	// Boxes may have a user of their own, who has to find the way to the files.
	if err := os.Chmod(dir, 0o711); err != nil {
		return "", err
	}
	return dir, os.WriteFile(held.Name(), []byte(dir), 0o600)
}

// removeAll removes a directory also when somebody took away the right to change
// directories in it.
func removeAll(dir string) error {
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			_ = os.Chmod(path, 0o755) // what does not succeed shows below
		}
		return nil
	})
	return os.RemoveAll(dir)
}
