package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// The driver's patience with a box.
const (
	// setUpTime: an init has made its box and started the program. Generous: many
	// may start at once on a small machine.
	setUpTime = 30 * time.Second
	// killTime: an init that is told to kill its box has done so; then it is killed
	// itself.
	killTime = 3 * time.Second
	// drainTime: the output of a box that has ended ends too. Only where there are
	// no process namespaces can somebody be left who holds it open.
	drainTime = time.Second
)

// Process is a program that runs in a box.
type Process struct {
	cmd     *exec.Cmd // the init
	started time.Time
	control *os.File // orders to the init
	keeper  *keeper
	flood   int64
	pids    bool // the box dies with its init

	late atomic.Bool // Run's time was up

	obeyed chan int // numbers of orders that were carried out

	mu      sync.Mutex // guards control's use and the notices
	closed  bool       // control
	orders  int        // given so far
	killed  string
	ending  *ending
	failed  string
	program int // its process id, as the init sees it
	missing map[string]string

	done   chan struct{}
	result Result // valid once done is closed
	err    error  // of ours; valid once done is closed
}

// Start starts a step and returns once its program runs. The error says why it
// does not.
func Start(s Step) (*Process, error) {
	x, err := s.spec()
	if err != nil {
		return nil, err
	}
	log, err := os.OpenFile(s.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY|syscall.O_NOFOLLOW, 0o644)
	if err != nil {
		return nil, err
	}
	return start(x, log)
}

// start starts the init of a box. The process owns log from now on.
func start(x *spec, log *os.File) (*Process, error) {
	p := &Process{started: time.Now(), keeper: newKeeper(log, x.Limits.Output), flood: x.Limits.Flood, pids: x.Parts.PIDs, obeyed: make(chan int, 1), done: make(chan struct{})}
	// ours and theirs are the two ends' files, in the same order.
	var ours, theirs []*os.File
	closeAll := func(files []*os.File) {
		for _, f := range files {
			f.Close()
		}
	}
	pipe := func(weRead bool) error {
		r, w, err := os.Pipe()
		if err != nil {
			return err
		}
		if !weRead {
			r, w = w, r
		}
		ours, theirs = append(ours, r), append(theirs, w)
		return nil
	}
	err := errors.Join(pipe(true), pipe(false), pipe(true))
	if err == nil {
		p.cmd, err = initCommand(x)
	}
	if err == nil {
		p.cmd.Stdout, p.cmd.Stderr = theirs[0], theirs[0]
		p.cmd.ExtraFiles = theirs[1:] // controlFD, reportFD
		err = p.cmd.Start()
	}
	closeAll(theirs)
	if err != nil {
		closeAll(ours)
		log.Close()
		return nil, fmt.Errorf("sandbox: the box cannot be made: %w", err)
	}
	p.control = ours[1]
	running := make(chan struct{})
	go p.attend(ours[0], ours[2], running)
	if err := json.NewEncoder(p.control).Encode(x); err != nil {
		p.mu.Lock()
		p.failed = fmt.Sprintf("the box cannot be told what to do: %v", err)
		p.mu.Unlock()
		p.Kill()
	}
	timer := time.NewTimer(setUpTime)
	defer timer.Stop()
	select {
	case <-running:
		return p, nil
	case <-p.done:
	case <-timer.C:
		p.Kill()
		return nil, fmt.Errorf("sandbox: the box was not ready within %s", setUpTime)
	}
	// It may have been quick.
	select {
	case <-running:
		return p, nil
	default:
	}
	switch {
	case x.Probe:
		return p, nil
	case p.failed != "":
		return nil, errors.New(p.failed)
	}
	return nil, errors.Join(fmt.Errorf("sandbox: the box ended before its program was started (%s)", p.result.String()), p.err)
}

// attend sees a box to its end.
func (p *Process) attend(output, report *os.File, running chan struct{}) {
	defer close(p.done)
	var copied, reported sync.WaitGroup
	copied.Go(func() {
		p.keeper.copy(output, p.flood, func() {
			p.kill(fmt.Sprintf("printed more than %s", size(p.flood)))
		})
	})
	reported.Go(func() { p.listen(report, running) })
	_ = p.cmd.Wait() // the notices say more
	wall := time.Since(p.started)
	// The init held the only other end of the report, and what it wrote is read.
	reported.Wait()
	report.Close()
	if p.ending == nil && p.program != 0 && !p.pids {
		_ = syscall.Kill(-p.program, syscall.SIGKILL) // somebody killed its init
	}
	_ = output.SetReadDeadline(time.Now().Add(drainTime)) // a pipe has deadlines
	copied.Wait()
	output.Close()
	p.mu.Lock()
	p.closed = true
	p.control.Close()
	p.mu.Unlock()

	r := &p.result
	r.Output, p.err = p.keeper.close()
	r.Usage.Wall, r.TimedOut, r.Killed = wall, p.late.Load(), p.killed
	switch e := p.ending; {
	case e != nil:
		r.ExitCode, r.Signal = e.ExitCode, syscall.Signal(e.Signal)
		r.Usage.CPU, r.Usage.MaxRSS = e.CPU, e.MaxRSS
	default:
		// The init was killed, and everything in the box with it.
		r.ExitCode, r.Signal = -1, syscall.SIGKILL
		if status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && !status.Signaled() && p.killed == "" {
			p.err = errors.Join(p.err, fmt.Errorf("sandbox: the init of the box ended without a word: %s", p.cmd.ProcessState))
		}
	}
}

// listen takes the init's notices. running is closed when the program runs.
func (p *Process) listen(report io.Reader, running chan struct{}) {
	for d := json.NewDecoder(report); ; {
		var n notice
		if d.Decode(&n) != nil {
			return // the init is gone
		}
		p.mu.Lock()
		switch {
		case n.Started != 0:
			p.program = n.Started
			close(running)
		case n.Obeyed != 0:
			select { // somebody waits for the last one at most
			case <-p.obeyed:
			default:
			}
			p.obeyed <- n.Obeyed
		case n.Killed != "" && p.killed == "":
			p.killed = n.Killed
		case n.Failed != "":
			p.failed = n.Failed
		case n.Missing != nil:
			p.missing = n.Missing
		case n.Ended != nil:
			p.ending = n.Ended
		}
		p.mu.Unlock()
	}
}

// Done is closed when the program has ended and nothing of it is left.
func (p *Process) Done() <-chan struct{} { return p.done }

// Result waits until the program has ended and returns what became of it.
func (p *Process) Result() Result {
	<-p.done
	return p.result
}

// PID is the process id of the box's init, whose descendants the program is.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Signal sends a signal to everything in the box (where there are no process
// namespaces, to the program's process group; SIGKILL goes to everything there
// too), and returns when it was sent.
func (p *Process) Signal(sig syscall.Signal) {
	number := p.order(sig)
	timer := time.NewTimer(killTime)
	defer timer.Stop()
	for {
		select {
		case n := <-p.obeyed:
			if n >= number {
				return
			}
		case <-p.done:
			return
		case <-timer.C:
			return // an init that cannot answer has more to suffer from than a signal
		}
	}
}

// order tells the init to send a signal, and returns the number of the order. An
// init that is gone needs none.
func (p *Process) order(sig syscall.Signal) (number int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.orders++
	if !p.closed {
		_ = json.NewEncoder(p.control).Encode(order{Number: p.orders, Signal: int(sig)})
	}
	return p.orders
}

// Kill kills everything in the box, and returns when nothing is left.
func (p *Process) Kill() {
	p.order(syscall.SIGKILL)
	timer := time.NewTimer(killTime)
	defer timer.Stop()
	select {
	case <-p.done:
		return
	case <-timer.C:
	}
	_ = p.cmd.Process.Kill() // fails only when it has ended
	<-p.done
}

// kill kills the box for a limit that it passed.
func (p *Process) kill(why string) {
	p.mu.Lock()
	if p.killed == "" {
		p.killed = why
	}
	p.mu.Unlock()
	p.order(syscall.SIGKILL)
}

// size in the largest unit that leaves a whole number or at least three digits.
func size(bytes int64) string {
	switch {
	case bytes >= gib && bytes%gib == 0:
		return fmt.Sprintf("%d GiB", bytes/gib)
	case bytes >= mib:
		return fmt.Sprintf("%d MiB", bytes/mib)
	}
	return fmt.Sprintf("%d bytes", bytes)
}
