// Command sim plays seeds of server/sim and reports what broke.
//
//	sim -seeds 200              seeds 1 to 200
//	sim -first 1000 -seeds 200  seeds 1000 to 1199
//	sim -seed 4711 -v           one seed, with every line of its trace
//	sim -seed 4711 -shape 3x3   one seed in another shape
//
// It exits 0 when every check held, 1 when one did not, 64 for bad usage.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"time"

	"paxbank/server/sim"
)

func main() { os.Exit(run()) }

type options struct {
	seeds    uint64
	first    uint64
	seed     uint64
	one      bool
	shape    string
	requests int
	lines    int
	parallel int
	verbose  bool
	duration time.Duration
	keepOn   bool
}

func run() int {
	var o options
	flag.Uint64Var(&o.seeds, "seeds", 100, "play so many seeds")
	flag.Uint64Var(&o.first, "first", 1, "the first of them")
	flag.Func("seed", "play only this `seed`", func(s string) error {
		o.one = true
		_, err := fmt.Sscan(s, &o.seed)
		return err
	})
	flag.StringVar(&o.shape, "shape", "", "shape of the bank, such as 3x3 or 1+3+5 (default: the seed decides)")
	flag.IntVar(&o.requests, "requests", 0, "requests in a seed (default: about 350)")
	flag.IntVar(&o.lines, "trace", 150, "lines of the trace that a failure shows")
	flag.IntVar(&o.parallel, "parallel", 2, "seeds played at the same time")
	flag.BoolVar(&o.verbose, "v", false, "with -seed: print the whole trace as it happens")
	flag.DurationVar(&o.duration, "for", 0, "begin no new seed after so long (default: no limit)")
	flag.BoolVar(&o.keepOn, "keep-going", false, "go on after a failure, and show only its summary")
	flag.Parse()
	if flag.NArg() > 0 || o.parallel < 1 || o.requests < 0 {
		fmt.Fprintf(os.Stderr, "sim: unexpected argument; see sim -help\n")
		return 64
	}
	if o.one {
		return playOne(&o)
	}
	return playMany(&o)
}

func (o *options) play(seed uint64) sim.Result {
	return sim.Run(sim.Options{Seed: seed, Shape: o.shape, Requests: o.requests, TraceLines: o.lines})
}

func playOne(o *options) int {
	fmt.Printf("seed %d\n", o.seed)
	opt := sim.Options{Seed: o.seed, Shape: o.shape, Requests: o.requests, TraceLines: o.lines}
	out := bufio.NewWriterSize(os.Stdout, 1<<16)
	if o.verbose {
		opt.Trace = out
	}
	started := time.Now()
	r := sim.Run(opt)
	if err := out.Flush(); err != nil {
		fmt.Fprintf(os.Stderr, "sim: cannot print the trace: %v\n", err)
		return 70
	}
	fmt.Printf("%s\nhash %016x, %d steps, %.1f virtual seconds in %s\n",
		r.Plan, r.Hash, r.Steps, float64(r.Virtual)/1e9, time.Since(started).Round(time.Millisecond))
	if r.Failure != nil {
		report(o, &r, !o.verbose)
		return 1
	}
	fmt.Print(r.Coverage.Table())
	return 0
}

func playMany(o *options) int {
	fmt.Printf("seeds %d to %d\n", o.first, o.first+o.seeds-1)
	var (
		next    atomic.Uint64
		stop    atomic.Bool
		mu      sync.Mutex // guards what is below
		total   = sim.Coverage{}
		done    uint64
		steps   uint64
		virtual float64
		failed  []uint64
		wg      sync.WaitGroup
	)
	interrupt := make(chan os.Signal, 1)
	signal.Notify(interrupt, os.Interrupt)
	go func() {
		<-interrupt
		stop.Store(true)
		signal.Stop(interrupt) // the second Ctrl-C ends the process at once
	}()
	progress := onTerminal(os.Stderr)
	started := time.Now()
	for range o.parallel {
		wg.Go(func() {
			for !stop.Load() && (o.duration == 0 || time.Since(started) < o.duration) {
				i := next.Add(1) - 1
				if i >= o.seeds {
					return
				}
				r := o.play(o.first + i)
				mu.Lock()
				done++
				steps += r.Steps
				virtual += float64(r.Virtual) / 1e9
				total.Merge(r.Coverage)
				if r.Failure != nil {
					failed = append(failed, r.Seed)
					report(o, &r, !o.keepOn)
					if !o.keepOn {
						stop.Store(true)
					}
				}
				if progress {
					fmt.Fprintf(os.Stderr, "\r%d of %d seeds, %d failed ", done, o.seeds, len(failed))
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if progress {
		fmt.Fprintln(os.Stderr)
	}
	took := time.Since(started)
	fmt.Print(total.Table())
	fmt.Printf("%d seeds in %s (%.0f a minute), %d steps, %.0f virtual seconds, %d failed\n",
		done, took.Round(time.Millisecond), float64(done)/took.Minutes(), steps, virtual, len(failed))
	if len(failed) > 0 {
		return 1
	}
	return 0
}

// report prints what broke, and the command that breaks it again.
func report(o *options, r *sim.Result, trace bool) {
	f := r.Failure
	fmt.Printf("\nFAIL seed %d: %s\n  plan: %s\n", r.Seed, f.Error(), r.Plan)
	if trace {
		for _, l := range r.Trace {
			fmt.Println("  " + l)
		}
		if f.Stack != "" {
			fmt.Println("  " + f.Stack)
		}
		fmt.Printf("FAIL seed %d: %s\n", r.Seed, f.Error())
	}
	again := fmt.Sprintf("go run ./server/sim/cmd/sim -seed %d", r.Seed)
	if o.shape != "" {
		again += " -shape " + o.shape
	}
	if o.requests != 0 {
		again += fmt.Sprintf(" -requests %d", o.requests)
	}
	fmt.Printf("  repeat: %s -v\n", again)
}

// onTerminal reports whether f is something that a person looks at.
func onTerminal(f *os.File) bool {
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0
}
