package grade

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/gocarina/gocsv"

	"paxbank/client/check"
	"paxbank/client/drive"
	"paxbank/client/plan"
	"paxbank/client/report"
	"paxbank/client/runner"
	"paxbank/client/sandbox"
)

// WorkerCommand is the hidden command under which this program is the worker of
// one run. It reads a job from its standard input, and ends when that ends.
const WorkerCommand = "__grade"

// job is what a worker is to do: one run of one test set against one submission.
// Nothing of it stands in the worker's command line or environment, where nodes
// could see it.
type job struct {
	TestSet, Sets string
	Shape         []string
	Inputs        string // hash of what is read, so that nobody changes it meanwhile
	Command       []string
	Name          string // the command as it was written
	Work          string // the submission's copy, working directory of its nodes
	Scratch       string // where nodes keep data and logs
	Dir           string // the run directory
	Order, Fault  string
	Deadline      time.Duration
	Randomise     bool
	Seed          uint64
	Policy        *sandbox.Policy
}

// event is what a worker tells. One of its fields is set.
type event struct {
	Progress string
	Set      *SetRun
	End      *end
}

// end is how a run ended.
type end struct {
	Measured Measured
	Order    []int  // of the sets, when it was not that of the file
	Nodes    string // why nodes could not be started or reached
	Error    string // what kept the worker from its work
	// Containment of the nodes that was in force.
	Containment string
}

// Worker runs the job on stdin, tells on stdout what comes of it, and returns the
// exit code. It drives a disguised plan in a scratch directory; what it writes
// into the run directory speaks of the items of the file, and is out of the
// nodes' sight.
func Worker(stdin io.Reader, stdout io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	defer stop()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var j job
	in := json.NewDecoder(stdin)
	if err := in.Decode(&j); err != nil {
		fmt.Fprintf(os.Stderr, "%s is how this program grades one run; it is not for use by hand\n", WorkerCommand)
		return check.ExitUsage
	}
	go func() {
		// The grader keeps the pipe open as long as it lives.
		_, _ = io.Copy(io.Discard, in.Buffered())
		_, _ = io.Copy(io.Discard, stdin)
		cancel()
	}()
	w := &worker{job: &j, out: json.NewEncoder(stdout)}
	e := w.run(ctx)
	w.tell(event{End: e})
	if e.Error != "" {
		return check.ExitInternal
	}
	return check.ExitPass
}

type worker struct {
	*job
	out      *json.Encoder
	disguise *disguise
	plan     *plan.Plan // as the file has it
	result   runner.RunResult
	verdicts []check.SetVerdict
	recorder *report.Recorder
}

// tell reports to the grader; one that is gone ends the worker anyway.
func (w *worker) tell(e event) { _ = w.out.Encode(e) }

func (w *worker) run(ctx context.Context) *end {
	impl := w.implementation()
	e := &end{Containment: impl.Containment()}
	failed := func(err error) *end {
		e.Error = err.Error()
		return e
	}
	shape := plan.Shape{Topology: w.Shape, Sets: w.Sets}
	p, err := shape.Read(w.TestSet)
	if err != nil {
		return failed(err)
	}
	if hashInputs(p) != w.Inputs {
		return failed(fmt.Errorf("%s, or what belongs to it, was changed while it was graded by", w.TestSet))
	}
	w.plan, w.disguise = p, newDisguise(p, w.Randomise, w.Seed)
	if err := w.keepInputs(); err != nil {
		return failed(err)
	}
	// Nodes that are not in a box start in the working directory of their driver.
	if err := os.Chdir(w.Work); err != nil {
		return failed(err)
	}
	w.recorder = report.NewRecorder(w.Dir)
	seen := *w.disguise.plan
	seen.Inputs, seen.Expected = nil, nil // judged here, by the file's own items
	res, err := drive.Run(ctx, &seen, w.options())
	w.keepRun(&res.Run)
	for i := len(w.result.Sets); i < len(res.Run.Sets); i++ { // those that never got as far as After
		w.add(&res.Run.Sets[i])
	}
	e.Measured, e.Nodes = measure(w.result.Sets), res.Run.NodesFailed
	if w.Randomise {
		for i := range seen.Sets {
			e.Order = append(e.Order, seen.Sets[i].Number)
		}
	}
	var nodes *drive.NodesError
	if errors.As(err, &nodes) {
		err = nil // the submission's own
	}
	if err = errors.Join(err, w.recorder.Finish(&w.result, w.verdicts), w.keepLogs()); err != nil {
		return failed(err)
	}
	return e
}

func (w *worker) implementation() drive.Implementation {
	return drive.Implementation{Command: w.Command, Name: w.Name, Sandbox: w.Policy}
}

func (w *worker) options() drive.Options {
	return drive.Options{
		Implementation: w.implementation(),
		Order:          w.Order, Fault: w.Fault, Deadline: w.Deadline, Dir: w.Scratch,
		Progress: func(text string) { w.tell(event{Progress: text}) },
		Hooks: drive.Hooks{
			After: func(_ context.Context, r *runner.Runner, set *runner.SetResult, _ *check.SetVerdict) (drive.Answer, error) {
				w.add(set)
				return drive.Go, w.recorder.Write(&w.result, w.verdicts)
			},
		},
	}
}

// keepRun takes over what is said of the run as a whole.
func (w *worker) keepRun(run *runner.RunResult) {
	sets := w.result.Sets
	w.result = *run
	w.result.Sets, w.result.Topology, w.result.TestSet = sets, w.plan.Sets[0].Topology, filepath.Base(w.TestSet)
}

// add judges a set that ran, as the file has it.
func (w *worker) add(set *runner.SetResult) {
	if w.result.Topology == nil {
		impl := w.implementation()
		w.keepRun(&runner.RunResult{Started: time.Now(), Order: w.Order, Fault: w.Fault, NodeCmd: w.Name, Host: drive.Host(), Commit: drive.Commit(), Containment: impl.Containment()})
	}
	revealed := w.disguise.reveal(set)
	v := drive.Judge(&revealed, w.plan.Expected)
	w.result.Sets, w.verdicts = append(w.result.Sets, revealed), append(w.verdicts, v)
	w.tell(event{Set: &SetRun{Set: v.Set, Verdict: v.Verdict, Score: v.Score, Max: v.MaxScore, Note: because(&v), Checks: checks(&v)}})
}

// maxChecks of a set are kept in the grade, of each verdict; the run directory has
// all.
const maxChecks = 50

// checks are the checks of a set, those that fail before those that are unknown
// before those that pass. They may quote what nodes said, which is made safe to
// show.
func checks(v *check.SetVerdict) []check.Check {
	var list []check.Check
	for _, verdict := range []check.Verdict{check.Fail, check.Unknown, check.Pass} {
		kept := 0
		for _, c := range v.Checks {
			if c.Verdict != verdict || kept == maxChecks {
				continue
			}
			kept++
			c.Target, c.Expected, c.Actual, c.Message = oneLine(c.Target), oneLine(c.Expected), oneLine(c.Actual), oneLine(c.Message)
			c.FirstDifference = oneLine(c.FirstDifference)
			list = append(list, c)
		}
	}
	return list
}

// because is the first check that explains a verdict, on one line.
func because(v *check.SetVerdict) string {
	i := slices.IndexFunc(v.Checks, func(c check.Check) bool { return c.Verdict == v.Verdict && c.Verdict != check.Pass })
	if i < 0 {
		return ""
	}
	c := &v.Checks[i]
	name := c.Source + " " + c.Check
	if c.Target != "" {
		name += " " + c.Target
	}
	if c.Message != "" {
		return name + ": " + c.Message
	}
	return fmt.Sprintf("%s: want %s, got %s", name, c.Expected, c.Actual)
}

// renamedItem is a row of items.csv.
type renamedItem struct {
	Item int64 `csv:"item"`
	Sent int64 `csv:"sent as"`
}

// keepInputs puts what was read into the run directory, and how its items were
// disguised: what nodes printed speaks of the items that they were sent.
func (w *worker) keepInputs() error {
	for _, in := range w.plan.Inputs {
		if err := os.WriteFile(filepath.Join(w.Dir, in.Name), in.Data, 0o644); err != nil {
			return fmt.Errorf("writing results: %w", err)
		}
	}
	if !w.Randomise {
		return nil
	}
	named := map[int64]int64{}
	for _, set := range w.plan.Sets {
		there := w.disguise.renamed[set.Number].there
		for _, c := range set.Commands {
			for _, item := range []int64{c.From, c.To, c.Item} {
				if to, ok := there[item]; ok {
					named[item] = to
				}
			}
		}
	}
	rows := []renamedItem{}
	for item, sent := range named {
		rows = append(rows, renamedItem{item, sent})
	}
	slices.SortFunc(rows, func(a, b renamedItem) int { return int(a.Item - b.Item) })
	return replace(filepath.Join(w.Dir, "items.csv"), 0o644, func(out io.Writer) error {
		return gocsv.MarshalCSV(rows, gocsv.NewSafeCSVWriter(csv.NewWriter(out)))
	})
}

// maxLog bytes of a node's log are kept, from its beginning.
const maxLog = 4 << 20

// keepLogs moves what nodes printed from the scratch directory to the results.
func (w *worker) keepLogs() error {
	logs, err := filepath.Glob(filepath.Join(w.Scratch, "nodes", "*.log"))
	if err != nil || len(logs) == 0 {
		return err
	}
	to := filepath.Join(w.Dir, "nodes")
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	for _, path := range logs {
		if err := keepLog(path, filepath.Join(to, filepath.Base(path))); err != nil {
			return fmt.Errorf("keeping the nodes' logs: %w", err)
		}
	}
	return nil
}

func keepLog(path, to string) (err error) {
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	if _, err = io.Copy(out, io.LimitReader(in, maxLog)); err != nil {
		return err
	}
	if left := info.Size() - maxLog; left > 0 {
		_, err = fmt.Fprintf(out, "\n… (%d more bytes)\n", left)
	}
	return err
}
