// Command sim plays seeds of server/sim and reports what broke.
//
//	sim -seeds 200              seeds 1 to 200
//	sim -first 1000 -seeds 200  seeds 1000 to 1199
//	sim -seed 4711 -v           one seed, with every line of its trace
//	sim -seed 4711 -shape 3x3   one seed in another shape
//	sim -faults rift,crash      every seed with these faults and no others
//
// A campaign of 2,000 seeds or more, with every shape and fault, also has to meet
// everything that sim.Expected lists.
//
// It exits 0 when every check held, 1 when one did not, 64 for bad usage.
package main

import (
	"bufio"
	"cmp"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
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
	faults   *[]string
	trim     sim.Trim
	shrink   time.Duration
	coverage bool
}

// coverageSeeds is from how many seeds on a campaign has to cover everything.
const coverageSeeds = 2000

// shrinkRuns bounds the search for a smaller failing run.
const shrinkRuns = 2000

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
	flag.BoolVar(&o.coverage, "coverage", true, "count what was met; fail when a large campaign misses something")
	flag.Func("faults", "only these, separated by commas; none: no fault strikes\n"+strings.Join(sim.Faults(), " "), func(s string) error {
		names, err := sim.ParseFaults(s)
		o.faults = &names
		return err
	})
	flag.Func("trim", "make the run smaller than the seed decides, as a failure's report says", func(s string) (err error) {
		o.trim, err = sim.ParseTrim(s)
		return err
	})
	flag.DurationVar(&o.shrink, "shrink", 20*time.Second, "look so long for a smaller run that fails in the same way")
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
	return sim.Run(o.simOptions(seed))
}

func (o *options) simOptions(seed uint64) sim.Options {
	return sim.Options{Seed: seed, Shape: o.shape, Faults: o.faults, Requests: o.requests, Trim: o.trim, TraceLines: o.lines, Judge: serialisable}
}

func playOne(o *options) int {
	fmt.Printf("seed %d\n", o.seed)
	opt := o.simOptions(o.seed)
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
	missing := []string(nil)
	if o.coverage {
		fmt.Print(total.Table())
		if done >= coverageSeeds && o.shape == "" && o.faults == nil && o.requests == 0 && o.trim.String() == "" && len(failed) == 0 {
			missing = total.Missing()
		}
	}
	for _, m := range missing {
		fmt.Printf("FAIL coverage: %d seeds have not met %q\n", done, m)
	}
	fmt.Printf("%d seeds in %s (%.0f a minute), %d steps, %.0f virtual seconds, %d failed\n",
		done, took.Round(time.Millisecond), float64(done)/took.Minutes(), steps, virtual, len(failed))
	if len(failed)+len(missing) > 0 {
		return 1
	}
	return 0
}

// report prints what broke, and the command that breaks it again.
func report(o *options, r *sim.Result, trace bool) {
	f := r.Failure
	if trace && o.shrink > 0 {
		fmt.Printf("\nFAIL seed %d: %s\n  plan: %s\n  looking for a smaller run that fails in the same way, for at most %s\n",
			r.Seed, f.Error(), r.Plan, o.shrink)
		until := time.Now().Add(o.shrink)
		opt, small := sim.Shrink(o.simOptions(r.Seed), *r, shrinkRuns, func() bool { return time.Now().After(until) })
		smaller := *o
		smaller.trim, smaller.shrink = opt.Trim, 0
		report(&smaller, &small, true)
		return
	}
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
	if o.faults != nil {
		again += " -faults " + cmp.Or(strings.Join(*o.faults, ","), "none")
	}
	if t := o.trim.String(); t != "" {
		again += " -trim " + t
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
