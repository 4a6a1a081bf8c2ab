// Command client is the driver and grader of paxbank: it reads test sets, starts
// nodes, drives the test sets through them, prints what happened and judges it.
// Data goes to stdout, everything else to stderr.
//
// The files: main.go the command line and exit codes, driver.go and flags.go what
// the commands share, and one file a command; step.go has the questions of --step,
// repeat.go and campaign.go run --repeat, reproduction.go what shrink leaves
// behind, comparison.go what diff does.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"runtime/debug"
	"strings"

	"github.com/alecthomas/kong"

	"paxbank/client/check"
	"paxbank/client/drive"
	"paxbank/client/grade"
	"paxbank/client/sandbox"
)

// command is one of the client's commands; its exported fields are its flags.
type command interface {
	run(d *driver) (exitCode int, err error)
}

// commandLine is what kong fills in. Every field is a command: a type whose
// pointer has the method of command.
type commandLine struct {
	Run     runCommand     `cmd:"" help:"Run test sets: start nodes, drive the sets through them, print and judge what happened."`
	Shrink  shrinkCommand  `cmd:"" help:"Make a failing test set as small as it can be and still fail."`
	Doctor  doctorCommand  `cmd:"" help:"Probe an implementation call by call: what is missing or not as the contract says, and what that costs."`
	Diff    diffCommand    `cmd:"" help:"Run the same test set on two implementations, and say which differences are bugs."`
	Expect  expectCommand  `cmd:"" help:"Print what must come of test sets, as expected files."`
	Check   checkCommand   `cmd:"" help:"Only read a test set and what belongs to it, and say what is wrong with it."`
	Bench   benchCommand   `cmd:"" help:"Measure throughput and latency under a workload, and check the money afterwards."`
	Grade   gradeCommand   `cmd:"" help:"Grade many submissions by a suite: build, run, judge, and one table of all."`
	Regrade regradeCommand `cmd:"" help:"Judge old runs again from their histories, and say whose score changes and why."`
}

// exitError is an error with the exit code it calls for.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

func usage(format string, args ...any) error {
	return &exitError{check.ExitUsage, fmt.Errorf(format, args...)}
}

func main() {
	sandbox.Early()
	if len(os.Args) == 2 && os.Args[1] == grade.WorkerCommand {
		os.Exit(grade.Worker(os.Stdin, os.Stdout))
	}
	os.Exit(execute(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// execute runs the command line and returns the exit code.
func execute(args []string, stdin *os.File, stdout, stderr *os.File) (code int) {
	defer func() {
		if p := recover(); p != nil {
			fmt.Fprintf(stderr, "client: internal error: %v\n%s", p, debug.Stack())
			code = check.ExitInternal
		}
	}()
	var cl commandLine
	helped := false
	parser, err := kong.New(&cl,
		kong.Name("client"),
		kong.Description("Drives and grades a sharded, replicated bank."),
		kong.UsageOnError(),
		kong.Writers(stdout, stderr),
		kong.Exit(func(int) { helped = true }),
	)
	if err != nil {
		fmt.Fprintf(stderr, "client: %v\n", err)
		return check.ExitInternal
	}
	ctx, err := parser.Parse(args)
	if helped {
		return check.ExitPass
	}
	if err != nil {
		fmt.Fprintf(stderr, "client: %s (client --help lists the commands and flags)\n", plainUsage(err))
		return check.ExitUsage
	}
	d := &driver{stdin: stdin, stdout: stdout, stderr: stderr, args: args}
	chosen := ctx.Selected().Target.Addr().Interface().(command)
	if c, ok := chosen.(privately); ok && c.wantsPrivateNetwork() && !sandbox.Private() {
		if code, done := d.rerun(); done {
			return code
		}
	}
	code, err = chosen.run(d)
	if err != nil {
		say(stderr, err)
		return graver(code, codeOf(err))
	}
	return code
}

// What kong says of a value that is missing or no duration speaks of its parser.
var (
	valueMissing = regexp.MustCompile(`^(--[a-z-]+): expected .* value but got "EOL" \(<EOL>\)$`)
	noDuration   = regexp.MustCompile(`^(--[a-z-]+): expected duration but got ("[^"]*"): .*$`)
	noNumber     = regexp.MustCompile(`^(--[a-z-]+): expected a valid [0-9]+ bit int but got ("[^"]*")$`)
)

// plainUsage words an error in the command line for its user.
func plainUsage(err error) string {
	s := err.Error()
	s = valueMissing.ReplaceAllString(s, "$1 needs a value")
	s = noDuration.ReplaceAllString(s, "$1: $2 is not a duration such as 5s or 500ms")
	return noNumber.ReplaceAllString(s, "$1: $2 is not a whole number")
}

// say prints an error, each of its lines behind the program's name, except for
// lines that begin with a place in a file and the indented ones of a log.
func say(w io.Writer, err error) {
	for line := range strings.Lines(err.Error()) {
		line = strings.TrimRight(line, "\n")
		switch {
		case strings.HasPrefix(line, " ") || placed(line):
			fmt.Fprintln(w, line)
		default:
			fmt.Fprintf(w, "client: %s\n", line)
		}
	}
}

// placed reports whether a line begins with file:line:.
func placed(line string) bool {
	parts := strings.SplitN(line, ":", 3)
	return len(parts) == 3 && parts[1] != "" && strings.Trim(parts[1], "0123456789") == ""
}

// codeOf is the exit code that an error calls for.
func codeOf(err error) int {
	var e *exitError
	var nodes *drive.NodesError
	switch {
	case err == nil:
		return check.ExitPass
	case errors.As(err, &e):
		return e.code
	case errors.As(err, &nodes):
		return check.ExitNodes
	}
	return check.ExitInternal
}

// gravity of exit codes, gravest first. An interrupted run is not finished, so
// that says more than a verdict over a part of it.
var gravity = []int{check.ExitInternal, check.ExitInterrupted, check.ExitNodes, check.ExitUsage, check.ExitFail, check.ExitUnknown, check.ExitPass}

// graver returns the graver of two exit codes.
func graver(a, b int) int {
	for _, g := range gravity {
		if a == g || b == g {
			return g
		}
	}
	return max(a, b)
}
