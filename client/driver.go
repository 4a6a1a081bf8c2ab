package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/mattn/go-isatty"

	"paxbank/client/check"
	"paxbank/client/launch"
	"paxbank/client/plan"
)

// driver is what the commands share: where they read and write, and what has to
// be stopped when the user insists.
type driver struct {
	stdin          *os.File
	stdout, stderr *os.File
	args           []string
	input          *lineReader // of --step

	mu    sync.Mutex
	fleet *launch.Fleet
}

// setFleet remembers what has to be stopped when the user insists.
func (d *driver) setFleet(f *launch.Fleet) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fleet = f
}

func (d *driver) note(format string, args ...any) { fmt.Fprintf(d.stderr, format+"\n", args...) }

// plans reads and checks all test sets, so that nothing starts when any is wrong.
func plans(shape *plan.Shape, paths []string) ([]*plan.Plan, error) {
	var list []*plan.Plan
	var errs []error
	for _, path := range paths {
		p, err := shape.Read(path)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		list = append(list, p)
	}
	if len(errs) > 0 {
		return nil, &exitError{check.ExitUsage, errors.Join(errs...)}
	}
	return list, nil
}

// interruptible returns a context that ends at the first Ctrl-C (or SIGTERM,
// SIGHUP). The second one stops at once.
func (d *driver) interruptible() (context.Context, func()) {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	// A reader of our output that went away (| head) shall not keep us from
	// cleaning up: with this, the write fails instead.
	pipe := make(chan os.Signal, 1)
	signal.Notify(pipe, syscall.SIGPIPE)
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		select {
		case <-signals:
		case <-done:
			return
		}
		d.note("\nclient: interrupted, cleaning up (again to stop at once)")
		cancel()
		select {
		case <-signals:
		case <-done:
			return
		}
		d.mu.Lock()
		fleet := d.fleet
		d.mu.Unlock()
		if fleet != nil {
			fleet.StopNow()
		}
		os.Exit(check.ExitInterrupted)
	})
	return ctx, func() {
		signal.Stop(signals)
		signal.Stop(pipe)
		close(done)
		wg.Wait()
		cancel()
	}
}

// progressTo prints what goes on over and over on one line of a terminal, and
// nothing at all elsewhere. An empty text clears the line.
func progressTo(f *os.File, step bool) func(string) {
	if !isatty.IsTerminal(f.Fd()) || step {
		return func(string) {}
	}
	return func(text string) { fmt.Fprintf(f, "\r\033[K%s", text) }
}
