package sandbox

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Step is one program that runs in a box.
type Step struct {
	Policy *Policy
	// Args are the program and its arguments. A program without a slash is looked
	// for in PATH, as the box's user.
	Args []string
	// Dir is the working directory, relative to the policy's Work; "" is Work.
	Dir string
	// Log gets what the program prints, appended to what it holds. It does not lie
	// where the box may write.
	Log string
	// Data, when set, is a directory that the box may write: DataDir in the box, or
	// its own name where boxes have no file system of their own.
	Data string
	// Sockets, when set, is a directory that the box may write, under its own name.
	Sockets string
	// Env is KEY=VALUE beside the policy's.
	Env []string
	// OwnNetwork: the box has no network but a loopback of its own. Otherwise it
	// shares the driver's, which should be a private one (see Worker).
	OwnNetwork bool
	// Timeout of Run; 0 means none but the context's.
	Timeout time.Duration
}

// Result is what became of a program. What it did wrong is in here and is no
// error: an error means that it could not be run.
type Result struct {
	ExitCode int            // -1 when it was ended by a signal
	Signal   syscall.Signal // that ended it; 0 when it ended by itself
	TimedOut bool           // it did not end in time, and was killed
	Killed   string         // the limit that was passed, such as "used 612 MiB of 512 MiB memory"
	Output   Output
	Usage    Usage
}

// Usage is what a program and all that it started used.
type Usage struct {
	CPU, Wall time.Duration
	MaxRSS    int64 // bytes; of its largest process, or of all where that was seen to be more
}

// Success reports whether the program ended by itself, with exit code 0.
func (r *Result) Success() bool { return r.String() == "exit status 0" }

// String says in a few words how the program ended.
func (r *Result) String() string {
	switch {
	case r.Killed != "":
		return "killed: " + r.Killed
	case r.TimedOut:
		return fmt.Sprintf("killed: not finished after %s", r.Usage.Wall.Round(time.Millisecond))
	case r.Signal != 0:
		return "signal: " + r.Signal.String()
	}
	return fmt.Sprintf("exit status %d", r.ExitCode)
}

// Run runs a step to its end. When its time is up, or ctx ends, everything in its
// box is killed; ctx's end is an error, beside the result so far.
func Run(ctx context.Context, s Step) (Result, error) {
	p, err := Start(s)
	if err != nil {
		return Result{ExitCode: -1}, err
	}
	var timeUp <-chan time.Time
	if s.Timeout > 0 {
		timer := time.NewTimer(s.Timeout)
		defer timer.Stop()
		timeUp = timer.C
	}
	select {
	case <-p.Done():
	case <-timeUp:
		p.late.Store(true)
		p.Kill()
	case <-ctx.Done():
		p.Kill()
		return p.Result(), ctx.Err()
	}
	return p.Result(), p.err
}

// spec of the step's box.
func (s *Step) spec() (*spec, error) {
	p := s.Policy
	if len(s.Args) == 0 {
		return nil, fmt.Errorf("sandbox: the step has no program")
	}
	if err := p.Check(s.OwnNetwork); err != nil {
		return nil, err
	}
	x := &spec{OldKernel: oldKernel, Parts: p.parts(), User: p.user(), Limits: p.Limits.orDefaults(), Args: s.Args}
	x.OwnNetwork = s.OwnNetwork && x.Parts.Network
	if x.User != 0 || x.Parts.userNamespace() {
		// Twice what the init allows, so that it is the init that ends a box and can
		// say why.
		x.MaxTasks = 2 * x.Limits.Tasks * max(p.Boxes, 1)
	}
	work, data, err := s.directories(x)
	if err != nil {
		return nil, err
	}
	if x.Hidden, err = p.hidden(); err != nil {
		return nil, err
	}
	home, temp := work, os.TempDir()
	if x.Parts.Mounts {
		temp = "/tmp"
		if p.WorkReadOnly {
			home = homeDir
		}
		for _, v := range p.Visible {
			source, err := real(v)
			if err != nil {
				return nil, fmt.Errorf("sandbox: showing %s: %w", v, err)
			}
			target, err := filepath.Abs(v)
			if err != nil {
				return nil, fmt.Errorf("sandbox: showing %s: %w", v, err)
			}
			x.Binds = append(x.Binds, bind{Source: source, Target: target})
		}
	}
	x.Dir = filepath.Join(work, s.Dir)
	if !p.WorkReadOnly && p.Work != "" {
		x.Watched = append(x.Watched, work)
	}
	if s.Data != "" {
		x.Watched = append(x.Watched, data)
	}
	x.Env = slices.Concat([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + home, "LANG=C.UTF-8", "TMPDIR=" + temp,
	}, p.Env, s.Env)
	for i, e := range x.Env {
		x.Env[i] = strings.ReplaceAll(e, WorkPlace, work)
	}
	return x, nil
}

// directories gives what the box may write to its user, binds it where there are
// binds, and returns the names of work and data in the box.
func (s *Step) directories(x *spec) (work, data string, err error) {
	use := func(dir, target string, writable bool) (string, error) {
		if dir == "" {
			return target, nil
		}
		path, err := real(dir)
		if err != nil {
			return "", fmt.Errorf("sandbox: %w", err)
		}
		if writable && x.User != 0 {
			if err := give(path, x.User); err != nil {
				return "", fmt.Errorf("sandbox: %w", err)
			}
		}
		if !x.Parts.Mounts {
			if !writable && x.User != 0 && dir == s.Policy.Work {
				if err := lend(path, x.User); err != nil {
					return "", fmt.Errorf("sandbox: %w", err)
				}
			}
			return path, nil
		}
		x.Binds = append(x.Binds, bind{Source: path, Target: target, Writable: writable})
		return target, nil
	}
	if _, err = use(s.Sockets, s.Sockets, true); err != nil {
		return "", "", err
	}
	if data, err = use(s.Data, DataDir, true); err != nil {
		return "", "", err
	}
	work = s.Policy.Work
	if work == "" && !x.Parts.Mounts {
		work = os.TempDir()
	}
	work, err = use(work, WorkDir, s.Policy.Work != "" && !s.Policy.WorkReadOnly)
	return work, data, err
}

// give makes a directory tree the user's, unless its root is that already. Links
// are not followed, and files that have other names elsewhere are left alone:
// those could be anybody's.
func give(dir string, user int) error {
	if owner, err := ownerOf(dir); err != nil || owner == user {
		return err
	}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if info.Mode().IsRegular() && info.Sys().(*syscall.Stat_t).Nlink > 1 {
			return nil
		}
		return os.Lchown(path, user, user)
	})
	if err != nil {
		return err
	}
	return os.Lchown(dir, user, user) // last: it says that the others are done
}
