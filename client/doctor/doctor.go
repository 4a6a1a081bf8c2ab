package doctor

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"paxbank/client/launch"
	"paxbank/internal/topology"
)

// Options of an examination.
type Options struct {
	// Command is the program to start as a node, as in package launch; empty when
	// Attach is set.
	Command []string
	// Attach: the nodes run already, at the topology's addresses.
	Attach bool
	// Topology of the bank that is examined. With Attach, with addresses.
	Topology *topology.Topology
	// Dir gets nodes/ID.log for every node that is started; it exists.
	Dir string
	// Progress, when set, is told what goes on, in a few words.
	Progress func(string)
	// Fleet, when set, is told of the processes that run now, and nil when they are
	// gone.
	Fleet func(*launch.Fleet)
}

// spend is what an item must hold for the scenarios of one epoch.
const spend = 8

// exam is an examination under way.
type exam struct {
	Options
	top   *topology.Topology // with addresses
	fleet *launch.Fleet      // nil with Attach
	nodes []*node            // in topology order
	items [][2]int64         // by cluster: two items, of which the first can spend
	// unowned is an item that no cluster owns.
	unowned int64

	mu       sync.Mutex // guards what findings point to
	findings map[id]*Finding

	epoch     uint64 // of the bank that runs
	hash      uint64 // its fingerprint, as the nodes say
	client    uint64
	timestamp uint64 // of the last request
	stuck     bool   // no transfer committed when that alone was tried
}

// scenario is a story with several probes in it.
type scenario struct {
	name   string
	probes []id
	// run returns why those of the probes that it came to no result for were not
	// tried; nil when there are none.
	run func(*exam, context.Context) error
}

var scenarios = []scenario{
	{"before Configure", []id{statusEarly, bankEarly}, (*exam).early},
	{"a fresh bank", []id{configures, fingerprints, leads}, (*exam).begins},
	{"what is offered", nil, (*exam).offered},
	{"transfers", []id{commits, crosses, funds, malformed, twice, contents}, (*exam).transfers},
	{"reads", []id{reads, readsBad, misdirected, otherEpoch}, (*exam).questions},
	{"reset", []id{resets, resetOver}, (*exam).resetting},
	{"configuring", []id{configuresWrong, configuresTwice}, (*exam).configuring},
	{"printing", []id{database, balances}, (*exam).printing},
	{"a minority fails", []id{refuses, answersDown, minority, frozen, recovers}, (*exam).minorityFails},
	{"a majority fails", []id{majority, participantDown}, (*exam).majorityFails},
	{"kill and restart", []id{restarts}, (*exam).restarting},
	{"resolving", []id{resolves, tombstones}, (*exam).resolving},
	{"streams", []id{streams, readStreams}, (*exam).streaming},
	{"explaining", []id{quiet, checksums, logs, rows, views, locks, timelines, performs}, (*exam).explaining},
}

// Suits says why a topology does not do for an examination; nil when it does.
func Suits(t *topology.Topology) error {
	_, err := pickItems(t)
	return err
}

// Examine examines an implementation. The error says that its nodes could not be
// started or reached, or that ctx ended; otherwise everything that is wrong with
// them stands in the report. Whatever happens, what was started is stopped.
func Examine(ctx context.Context, o Options) (*Report, error) {
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	if o.Fleet == nil {
		o.Fleet = func(*launch.Fleet) {}
	}
	e := &exam{Options: o, top: o.Topology, findings: map[id]*Finding{}}
	for i := range probes {
		e.findings[probes[i].id] = &Finding{}
	}
	var err error
	if e.items, err = pickItems(o.Topology); err != nil {
		return nil, err
	}
	ranges := o.Topology.Items.Ranges
	e.unowned = ranges[len(ranges)-1].Last + 1
	var random [8]byte
	if _, err := rand.Read(random[:]); err != nil {
		return nil, fmt.Errorf("random client id: %w", err)
	}
	e.client = binary.BigEndian.Uint64(random[:]) | 1 // not 0
	defer e.close()
	if err := e.open(ctx); err != nil {
		return nil, err
	}
	failed := 0
	for _, s := range scenarios {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		o.Progress(s.name)
		var why error
		if failed < vain {
			why = s.run(e, ctx)
		} else {
			why = errNoStart
		}
		if errors.Is(why, errNoStart) {
			failed++
		} else {
			failed = 0
		}
		if ended := e.ended(); ended != "" && why != nil {
			why = fmt.Errorf("%w; %s", why, ended)
		}
		for _, p := range s.probes {
			if f := e.findings[p]; f.Result == "" {
				f.Result = NotTried
				if why != nil {
					f.Got = why.Error()
				}
			}
		}
	}
	o.Progress("")
	return e.report(), ctx.Err()
}

// errNoStart: a scenario could not bring the bank into its first state.
var errNoStart = errors.New("no bank could be set up")

// vain scenarios in a row that could not begin: the next one would be as long a
// wait.
const vain = 2

// pickItems chooses two items of every cluster, the first of which can spend.
func pickItems(t *topology.Topology) ([][2]int64, error) {
	items := make([][2]int64, len(t.Clusters))
	for c, cl := range t.Clusters {
		var rich, other int64
		for _, r := range t.Items.Ranges {
			for item := r.First; r.Cluster == c && item <= r.Last && (rich == 0 || other == 0); item++ {
				switch {
				case rich == 0 && t.Balance(item) >= spend:
					rich = item
				case other == 0:
					other = item
				}
			}
		}
		if rich == 0 || other == 0 {
			return nil, fmt.Errorf("cluster %s needs two items, one of them with a balance of %d or more, for the doctor's transfers", cl.ID, spend)
		}
		items[c] = [2]int64{rich, other}
	}
	return items, nil
}

// open starts the nodes, or connects to those that run.
func (e *exam) open(ctx context.Context) error {
	if !e.Attach {
		e.Progress(fmt.Sprintf("starting %d nodes", len(e.top.Nodes())))
		fleet, err := launch.Start(ctx, launch.Config{
			Topology: e.top, Command: e.Command,
			LogDir: filepath.Join(e.Dir, "nodes"), DataDir: filepath.Join(e.Dir, "data"),
		})
		if err != nil {
			return err
		}
		e.fleet, e.top = fleet, fleet.Topology()
		e.Options.Fleet(fleet)
	}
	for c, cl := range e.top.Clusters {
		for _, tn := range cl.Nodes {
			n, err := connect(tn.ID, tn.Address, c)
			if err != nil {
				return err
			}
			e.nodes = append(e.nodes, n)
		}
	}
	return nil
}

func (e *exam) close() {
	for _, n := range e.nodes {
		n.conn.Close()
	}
	if e.fleet != nil {
		e.fleet.Stop()
		e.Options.Fleet(nil)
	}
}

// ended names the processes that have ended by themselves; "" when none has.
func (e *exam) ended() string {
	if e.fleet == nil {
		return ""
	}
	ended := e.fleet.Ended()
	var parts []string
	for _, id := range slices.Sorted(maps.Keys(ended)) {
		parts = append(parts, fmt.Sprintf("node %s ended by itself (%s): see nodes/%s.log", id, ended[id], id))
	}
	return strings.Join(parts, "; ")
}

// set enters a result, unless there is one already that is not OK.
func (e *exam) set(p id, r Result, got string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if f := e.findings[p]; f.Result == "" || f.Result == OK {
		f.Result, f.Got = r, got
	}
}

func (e *exam) ok(p id) { e.set(p, OK, "") }

func (e *exam) wrong(p id, format string, args ...any) {
	got := fmt.Sprintf(format, args...)
	if ended := e.ended(); ended != "" {
		got += "\n" + ended
	}
	e.set(p, Wrong, got)
}

func (e *exam) notHere(why string, ps ...id) {
	for _, p := range ps {
		e.set(p, NotHere, why)
	}
}

// failed enters a call's error: missing when the node says so, else wrong. what
// was called stands in the text.
func (e *exam) failed(p id, what string, err error) {
	if unimplemented(err) {
		e.set(p, Missing, what+": UNIMPLEMENTED")
		return
	}
	e.wrong(p, "%s: %s", what, plain(err))
}
