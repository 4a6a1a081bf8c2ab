package grade

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"paxbank/client/sandbox"
)

// stopGrace is how long a worker has after its time is up to stop its nodes and
// write what there is, before it is killed.
const stopGrace = 15 * time.Second

// maxErrors bytes of what a worker prints to standard error are kept.
const maxErrors = 16 << 10

// errTimeUp is the cause of the end of a run that passed its limit.
var errTimeUp = errors.New("its time is up")

// runWorker has a worker do a job within limit, and tells each of every event but
// the last, which it returns: nil when the worker was stopped, by the end of ctx or
// of its time. The error is a fault of the grader.
func runWorker(ctx context.Context, command []string, j *job, limit time.Duration, each func(*event)) (*end, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, errTimeUp)
	defer cancel()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopGrace
	// In a group of its own, a Ctrl-C in the terminal reaches only the grader.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if j.Policy.Mode != sandbox.None {
		release, err := sandbox.Worker(cmd)
		switch {
		case err == nil:
			defer release()
		case j.Policy.Mode == sandbox.Required:
			return nil, err
		}
	}
	// The worker ends when this pipe does, so it does not outlive the grader.
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	events := &eventWriter{each: each}
	said := &head{limit: maxErrors}
	cmd.Stdout, cmd.Stderr = events, said
	switch err := cmd.Start(); {
	case ctx.Err() != nil && err != nil:
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("the worker cannot be started: %w", err)
	}
	defer stdin.Close()
	sent := json.NewEncoder(stdin).Encode(j)
	err = cmd.Wait()
	switch {
	case ctx.Err() != nil:
		return nil, nil
	case events.end != nil && events.end.Error != "":
		return nil, errors.New(events.end.Error)
	case events.end != nil:
		return events.end, nil
	}
	return nil, fmt.Errorf("the worker ended without a result (%w)%s", errors.Join(err, sent), said)
}

// eventWriter takes what a worker prints apart.
type eventWriter struct {
	rest []byte // the beginning of a line
	each func(*event)
	end  *end
}

// maxEvent bytes; no event comes near.
const maxEvent = 16 << 20

func (w *eventWriter) Write(p []byte) (int, error) {
	w.rest = append(w.rest, p...)
	if len(w.rest) > maxEvent {
		return 0, errors.New("the worker talks without end")
	}
	for {
		line, rest, found := bytes.Cut(w.rest, []byte("\n"))
		if !found {
			return len(p), nil
		}
		w.rest = rest
		var e event
		if err := json.Unmarshal(line, &e); err != nil {
			return 0, fmt.Errorf("the worker said %q: %w", line, err)
		}
		if e.End != nil {
			w.end = e.End
			continue
		}
		w.each(&e)
	}
}

// head keeps the beginning of what is written to it.
type head struct {
	limit int
	kept  strings.Builder
}

func (h *head) Write(p []byte) (int, error) {
	h.kept.Write(p[:min(len(p), h.limit-h.kept.Len())])
	return len(p), nil
}

// String is what was written, for the end of an error message.
func (h *head) String() string {
	text := strings.TrimSpace(h.kept.String())
	if text == "" {
		return "; it printed nothing"
	}
	return ": " + sandbox.Escape(text)
}
