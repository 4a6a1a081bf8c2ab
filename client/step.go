package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"github.com/mattn/go-isatty"

	"paxbank/client/drive"
	"paxbank/client/report"
	"paxbank/client/runner"
)

// lineReader hands out lines, also while somebody waits for an interrupt.
type lineReader struct {
	lines chan string // closed at the end of the input
}

// newLineReader reads in the background: a read from a terminal cannot be
// interrupted, so the goroutine may outlive the run and ends with the process.
func newLineReader(r io.Reader) *lineReader {
	l := &lineReader{lines: make(chan string)}
	go func() {
		defer close(l.lines)
		scanner := bufio.NewScanner(r)
		for scanner.Scan() {
			l.lines <- scanner.Text()
		}
	}()
	return l
}

// next line; false at the end of the input or of ctx.
func (l *lineReader) next(ctx context.Context) (string, bool) {
	select {
	case line, ok := <-l.lines:
		return strings.TrimSpace(line), ok
	case <-ctx.Done():
		return "", false
	}
}

func (d *driver) reader() *lineReader {
	if d.input == nil {
		d.input = newLineReader(d.stdin)
	}
	return d.input
}

// ask prints a prompt, if there is somebody to read it, and returns the answer;
// false at the end of the input or of ctx.
func (d *driver) ask(ctx context.Context, prompt string) (string, bool) {
	terminal := isatty.IsTerminal(d.stdin.Fd())
	if terminal {
		fmt.Fprint(d.stderr, prompt)
	}
	line, ok := d.reader().next(ctx)
	if !ok && terminal {
		fmt.Fprintln(d.stderr)
	}
	return line, ok
}

// askBefore asks what to do with the next set. The end of the input quits.
func (d *driver) askBefore(ctx context.Context, number, commands int) drive.Answer {
	for {
		plural := "s"
		if commands == 1 {
			plural = ""
		}
		line, ok := d.ask(ctx, fmt.Sprintf("set %d, %d command%s: Enter runs it, skip, quit > ", number, commands, plural))
		if !ok {
			return drive.Quit
		}
		switch strings.ToLower(line) {
		case "", "run", "next":
			return drive.Go
		case "skip", "s":
			return drive.Skip
		case "quit", "q", "exit":
			return drive.Quit
		case "help":
			d.note("Enter runs the set, skip leaves it out, quit ends the run. After the set come\n%s", stepHelp)
			continue
		}
		d.note("%q: press Enter to run the set, or type skip or quit", line)
	}
}

const stepHelp = `commands:
  balance 1001    PrintBalance(1001)   the item on every node of its cluster
  db              PrintDB              modified items on all nodes
  log n1          PrintLog(n1)         a node's log; without a node, every node's
  status 3        PrintStatus(3)       sequence number 3 on all nodes; without one, all
  view            PrintView            the new-view messages
  performance     PrintPerformance     throughput and latency
  locks           PrintLocks           locks that are held
  timeline 3      PrintTimeline(3)     the locks of the transfer on line 3 of the file or, when
                                       there is none, of the set's 3rd command; or its text
  next, or an empty line, goes on to the next set
  quit                                 ends the run; sets that are left count as not run`

// commandPattern takes "balance 1001" and "PrintBalance(1001)" apart.
var commandPattern = regexp.MustCompile(`^([A-Za-z]+)\s*(.*)$`)

// commands takes commands about a set that has run, until an empty line, or quit,
// which ends the run.
func (x *execution) commands(ctx context.Context, r *runner.Runner, set *runner.SetResult) {
	for {
		line, ok := x.ask(ctx, fmt.Sprintf("set %d > ", set.Set.Number))
		if !ok {
			return
		}
		switch strings.ToLower(line) {
		case "", "next", "run":
			return
		case "quit", "q", "exit":
			x.quit = true
			return
		}
		if err := x.one(ctx, r, set, line); err != nil {
			x.note("%v", err)
		}
	}
}

// parseStep splits a command into its name, lower case and without Print, and
// its argument.
func parseStep(line string) (name, arg string, ok bool) {
	m := commandPattern.FindStringSubmatch(strings.TrimSuffix(strings.TrimSpace(line), ";"))
	if m == nil {
		return "", "", false
	}
	name = strings.ToLower(m[1])
	if rest := strings.TrimPrefix(name, "print"); rest != "" {
		name = rest
	}
	arg = strings.TrimSpace(m[2])
	// PrintBalance(4005), but timeline (1001, 3001, 10) keeps its brackets.
	if strings.HasPrefix(arg, "(") && strings.HasSuffix(arg, ")") {
		if inner := strings.TrimSpace(arg[1 : len(arg)-1]); !strings.Contains(inner, ",") || strings.HasPrefix(inner, "(") {
			arg = inner
		}
	}
	return name, arg, true
}

func (x *execution) one(ctx context.Context, r *runner.Runner, set *runner.SetResult, line string) error {
	name, arg, ok := parseStep(line)
	if !ok {
		return fmt.Errorf("%q is not a command; help lists them", line)
	}
	switch name {
	case "help":
		fmt.Fprintln(x.out, stepHelp)
		return nil
	case "balance":
		item, named := set.Topology.ItemsByName()[arg]
		if !named {
			var err error
			if item, err = strconv.ParseInt(arg, 10, 64); err != nil {
				return fmt.Errorf("balance: say which item, as in balance 1001")
			}
		}
		c, ok := set.Topology.Items.Cluster(item)
		if !ok {
			return fmt.Errorf("balance %d: no cluster owns that item", item)
		}
		return x.balance(ctx, r, set, c, item)
	case "db", "database":
		return report.PrintDB(x.out, set)
	case "log":
		if arg != "" {
			if _, _, ok := set.Topology.Lookup(arg); !ok {
				return fmt.Errorf("log %s: no such node", arg)
			}
		}
		return report.PrintLog(x.out, set, arg)
	case "status":
		var seq uint64
		if arg != "" {
			var err error
			if seq, err = strconv.ParseUint(arg, 10, 64); err != nil || seq == 0 {
				return fmt.Errorf("status: %q is not a sequence number, which starts at 1", arg)
			}
		}
		return report.PrintStatus(x.out, set, seq)
	case "view", "views":
		return report.PrintViews(x.out, set)
	case "performance":
		return report.PrintPerformance(x.out, set)
	case "locks", "lock":
		return report.PrintLocks(x.out, set)
	case "timeline":
		c, err := findCall(set, arg)
		if err != nil {
			return err
		}
		fmt.Fprintf(x.out, "line %d: %s, %s\n", c.Command.Line, c.Command.Text, c.Outcome)
		x.timeline(ctx, r, c)
		return nil
	}
	return fmt.Errorf("%q is not a command; help lists them", line)
}

// balance prints an item that the set may not have touched: then the nodes are
// asked now.
func (x *execution) balance(ctx context.Context, r *runner.Runner, set *runner.SetResult, cluster int, item int64) error {
	for i := range set.Nodes {
		n := &set.Nodes[i]
		if n.Cluster != set.Topology.Clusters[cluster].ID || n.Balances == nil {
			continue
		}
		if _, ok := n.Balances[item]; !ok {
			if b, ok := r.Balance(ctx, n.ID, item); ok {
				n.Balances[item] = b
			}
		}
	}
	return report.PrintBalance(x.out, set, item)
}

// findCall finds the transfer that the user means: by line, else by position, or
// by its text.
func findCall(set *runner.SetResult, arg string) (*runner.Call, error) {
	if n, err := strconv.Atoi(arg); err == nil {
		for i := range set.Calls {
			if set.Calls[i].Command.Line == n {
				return transferOnly(&set.Calls[i])
			}
		}
		if n >= 1 && n <= len(set.Calls) {
			return transferOnly(&set.Calls[n-1])
		}
		return nil, fmt.Errorf("timeline %d: the set has no command on line %d, and only %d commands", n, n, len(set.Calls))
	}
	want := squeeze(arg)
	for i := range set.Calls {
		if want != "" && squeeze(set.Calls[i].Command.Text) == want {
			return transferOnly(&set.Calls[i])
		}
	}
	return nil, fmt.Errorf("timeline: say which transfer: its line in the file, its number in the set, or its text such as (1001, 3001, 10)")
}

func transferOnly(c *runner.Call) (*runner.Call, error) {
	if c.Kind == "read" {
		return nil, fmt.Errorf("line %d: %s is a read, which takes no locks", c.Command.Line, c.Command.Text)
	}
	return c, nil
}

func squeeze(s string) string { return strings.ReplaceAll(s, " ", "") }
