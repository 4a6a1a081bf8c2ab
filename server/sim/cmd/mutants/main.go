// Command mutants builds every planted bug of server/sim/mutants into the
// simulator and plays seeds until an invariant catches it.
//
//	mutants                          all of them
//	mutants -run 'checkpoint|undo'   those whose names match
//	mutants -seeds 5000 -for 2m      a larger budget for each
//
// It has to run inside the module, with the go command at hand. It exits 0 when
// every mutant was caught, 1 when one survived, 64 for bad usage, 70 when a
// mutant could not be built or played.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"paxbank/server/sim/mutants"
)

func main() { os.Exit(run()) }

type hunter struct {
	root, dir string
	first     uint64
	seeds     uint64
	budget    time.Duration
	parallel  int
}

func run() int {
	var (
		h    hunter
		only string
	)
	flag.StringVar(&only, "run", "", "hunt only mutants whose names match this `regexp`")
	flag.Uint64Var(&h.first, "first", 1, "the first seed")
	flag.Uint64Var(&h.seeds, "seeds", 4000, "seeds for a mutant to survive")
	flag.DurationVar(&h.budget, "for", 6*time.Minute, "time for a mutant to survive")
	flag.IntVar(&h.parallel, "parallel", 1, "seeds played at the same time; with 1, the number of seeds needed is exact")
	flag.Parse()
	match, err := regexp.Compile(only)
	if flag.NArg() > 0 || err != nil || h.parallel < 1 || h.seeds < 1 {
		fmt.Fprintf(os.Stderr, "mutants: bad usage (%v); see mutants -help\n", err)
		return 64
	}
	all, err := mutants.All()
	if err != nil {
		fmt.Fprintf(os.Stderr, "mutants: %v\n", err)
		return 70
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	mod, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if root := strings.TrimSpace(string(mod)); err != nil || root == "" || root == os.DevNull {
		fmt.Fprintf(os.Stderr, "mutants: not inside a module (%v)\n", err)
		return 70
	} else {
		h.root = filepath.Dir(root)
	}
	h.dir, err = os.MkdirTemp("", "mutants")
	if err != nil {
		fmt.Fprintf(os.Stderr, "mutants: %v\n", err)
		return 70
	}
	defer os.RemoveAll(h.dir)
	return h.huntAll(ctx, all, match)
}

// huntAll hunts one mutant after the other and prints a row for each, in the
// form of a Markdown table.
func (h *hunter) huntAll(ctx context.Context, all []mutants.Mutant, match *regexp.Regexp) int {
	fmt.Printf("seeds from %d, at most %d or %s a mutant\n\n", h.first, h.seeds, h.budget)
	fmt.Println("| planted bug | caught by | seed | seeds | time |\n|---|---|---|---|---|")
	var caught, survived, broken int
	for i := range all {
		m := &all[i]
		if !match.MatchString(m.Name) {
			continue
		}
		f, err := h.hunt(ctx, m)
		switch {
		case ctx.Err() != nil:
			fmt.Println("interrupted")
			return 70
		case err != nil:
			broken++
			fmt.Fprintf(os.Stderr, "mutants: %s: %v\n", m.Name, err)
		case f.invariant == "":
			survived++
			fmt.Printf("| %s | **survived** | | %d | %s |\n", m.Name, f.seeds, f.took.Round(100*time.Millisecond))
		default:
			caught++
			fmt.Printf("| %s | %s | %d | %d | %s |\n", m.Name, f.invariant, f.seed, f.seeds, f.took.Round(100*time.Millisecond))
		}
	}
	fmt.Printf("\n%d planted bugs: %d caught, %d survived, %d could not be tried\n", caught+survived+broken, caught, survived, broken)
	switch {
	case broken > 0 || caught+survived == 0:
		return 70
	case survived > 0:
		return 1
	}
	return 0
}

// finding is what became of a mutant.
type finding struct {
	invariant string // empty: it survived
	seed      uint64
	seeds     uint64 // played
	took      time.Duration
}

// hang is how much longer than its budget a mutant may take: the last seed has
// to end, and a core that spins inside one step never does.
const hang = time.Minute

func (h *hunter) hunt(ctx context.Context, m *mutants.Mutant) (finding, error) {
	dir, err := os.MkdirTemp(h.dir, m.Name)
	if err != nil {
		return finding{}, err
	}
	overlay, err := m.WriteOverlay(h.root, dir)
	if err != nil {
		return finding{}, err
	}
	program := filepath.Join(dir, "sim")
	build := exec.CommandContext(ctx, "go", "build", "-overlay", overlay, "-o", program, "./server/sim/cmd/sim")
	build.Dir = h.root
	if out, err := build.CombinedOutput(); err != nil {
		return finding{}, fmt.Errorf("it does not build: %w\n%s", err, out)
	}
	defer os.Remove(program) // fifty of them would fill a small disk

	ctx, cancel := context.WithTimeout(ctx, h.budget+hang)
	defer cancel()
	play := exec.CommandContext(ctx, program,
		"-first", strconv.FormatUint(h.first, 10), "-seeds", strconv.FormatUint(h.seeds, 10),
		"-for", h.budget.String(), "-parallel", strconv.Itoa(h.parallel), "-trace", "1", "-shrink", "0", "-coverage=false")
	play.Stderr = os.Stderr
	started := time.Now()
	out, err := play.Output()
	f := finding{took: time.Since(started)}
	exit := (*exec.ExitError)(nil)
	switch {
	case ctx.Err() != nil:
		return f, fmt.Errorf("the simulator did not end within %s", h.budget+hang)
	case err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1):
		return f, fmt.Errorf("the simulator broke: %w\n%s", err, out)
	}
	if err := f.read(string(out)); err != nil {
		return f, err
	}
	if (err != nil) != (f.invariant != "") {
		return f, fmt.Errorf("the simulator ended with %v, but says\n%s", err, out)
	}
	return f, nil
}

var (
	failLine  = regexp.MustCompile(`(?m)^FAIL seed (\d+): (.+?) violated at `)
	totalLine = regexp.MustCompile(`(?m)^(\d+) seeds in `)
)

// read takes the simulator's verdict from what it printed.
func (f *finding) read(out string) error {
	total := totalLine.FindStringSubmatch(out)
	if total == nil {
		return fmt.Errorf("the simulator's output has no total:\n%s", out)
	}
	f.seeds, _ = strconv.ParseUint(total[1], 10, 64) // digits only
	if fail := failLine.FindStringSubmatch(out); fail != nil {
		f.seed, _ = strconv.ParseUint(fail[1], 10, 64)
		f.invariant = fail[2]
	}
	return nil
}
