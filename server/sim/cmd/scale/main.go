// Command scale counts in the simulator what a transfer costs in banks of many
// shapes, and says from that what a deployment on many machines would do.
//
//	go run ./server/sim/cmd/scale                        1 to 100 clusters of 1 to 7 nodes
//	go run ./server/sim/cmd/scale -clusters 3 -nodes 3   one shape
//	go run ./server/sim/cmd/scale -csv scale.csv         for internal/gen/plots too
//	go run ./server/sim/cmd/scale capacity -cores 4      the capacity model
//
// The counts depend on nothing but the flags. What the capacity model takes from
// measurements are flags, whose defaults are those of docs/performance.md.
//
// It exits 0, 1 when something went wrong, 64 for bad usage.
//
// The files: main.go flags, counts.go what is counted, print.go tables and CSV,
// model.go the capacity model, capacity.go its command.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// errUsage is the command line's fault, and was told already.
var errUsage = errors.New("bad usage")

func run(args []string, stdout, stderr io.Writer) int {
	command := countsCommand
	if len(args) > 0 && args[0] == "capacity" {
		command, args = capacityCommand, args[1:]
	}
	switch err := command(args, stdout, stderr); {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.Is(err, errUsage):
		return 64
	default:
		fmt.Fprintln(stderr, "scale:", err)
		return 1
	}
}

// parse reads a command line without arguments; what is wrong with it goes to
// stderr.
func parse(fs *flag.FlagSet, args []string, stderr io.Writer) error {
	fs.SetOutput(stderr)
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return errUsage
	}
	if fs.NArg() > 0 {
		return badUsage(stderr, "unexpected argument %q; see scale -help", fs.Arg(0))
	}
	return nil
}

func badUsage(stderr io.Writer, format string, args ...any) error {
	fmt.Fprintf(stderr, "scale: "+format+"\n", args...)
	return errUsage
}

// numbers is a flag of whole numbers with commas between them.
type numbers []int

func (n *numbers) String() string {
	texts := make([]string, len(*n))
	for i, v := range *n {
		texts[i] = strconv.Itoa(v)
	}
	return strings.Join(texts, ",")
}

// Set is for package flag.
func (n *numbers) Set(text string) error {
	*n = nil
	for part := range strings.SplitSeq(text, ",") {
		v, err := strconv.Atoi(strings.TrimSpace(part))
		if err != nil {
			return fmt.Errorf("%q is no whole number", part)
		}
		*n = append(*n, v)
	}
	return nil
}
