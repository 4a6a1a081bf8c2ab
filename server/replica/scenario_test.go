package replica

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"paxbank/internal/topology"
	"paxbank/server/ids"
	"paxbank/server/paxos"
)

// TestScenarios plays the stories of testdata/scenarios: a small bank, what is
// done to it, and everything that happens then, by the words of ARCHITECTURE.md.
// Messages take exactly 1 ms, the disk nothing; times count from when the bank
// was ready. Lines with an arrow are messages as they arrive, the others are
// what happens at a node. (lost) and (held) messages do not arrive. After a
// change of the protocol, run with -rewrite and read the difference.
//
//	bank clusters=N nodes=N items=N [balance=B] [checkpoint=N] [ITEM=B …]
//	                                 a new bank with its first leaders; ITEM starts at B
//	fill cN to=I                     cluster N's log grows to index I, untold; times count from here
//	submit NODE CLIENT/TIMESTAMP (FROM, TO, AMOUNT) [deadline=D] [done_below=T]
//	submit NODE                      the same, one request a line, all in one step
//	read NODE ITEM [deadline=D]      a read
//	resolve NODE C/T item=I          what became of the request?
//	deliver [until=MESSAGE]          until no message is under way, or one such was due
//	advance D                        let time pass
//	hold MESSAGE [from=N] [to=N]     keep such messages back from now on; * for all
//	lose MESSAGE [from=N] [to=N]     lose them
//	copy MESSAGE [from=N] [to=N]     let them arrive, and hold a copy back
//	release                          those held arrive in 1 ms; nothing is held or lost any more
//	cut NODES                        nobody hears these nodes and they hear nobody
//	heal                             nothing is held back, lost or cut off from now on
//	crash NODES, restart NODES       kill -9; a new life from disk, connected
//	pause NODES, resume NODES        Control.SetLive
//	reset epoch=E                    Control.Reset of all nodes
//	balance ITEMS, locks, log NODE [from=I], state, idle
//	                                 what the nodes hold; what is left where nothing should be
//
// deliver and advance take the word heartbeats to show those too.
func TestScenarios(t *testing.T) {
	datadriven.Walk(t, "testdata/scenarios", func(t *testing.T, path string) {
		var s *scene
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			if d.Cmd == "bank" {
				s = sceneOf(t, d)
				return s.leaders()
			}
			if s == nil {
				d.Fatalf(t, "begin with bank")
			}
			c := sceneCommands[d.Cmd]
			if c == nil {
				d.Fatalf(t, "unknown command %s", d.Cmd)
			}
			s.heartbeats = d.HasArg("heartbeats")
			s.t = t
			return c(s, d)
		})
	})
}

var sceneCommands = map[string]func(s *scene, d *datadriven.TestData) string{
	"fill": (*scene).cmdFill, "submit": (*scene).cmdSubmit, "read": (*scene).cmdRead, "resolve": (*scene).cmdResolve,
	"deliver": (*scene).cmdDeliver, "advance": (*scene).cmdAdvance,
	"hold": (*scene).cmdRule, "lose": (*scene).cmdRule, "copy": (*scene).cmdRule, "release": (*scene).cmdRelease,
	"cut": (*scene).cmdCut, "heal": (*scene).cmdHeal,
	"crash": (*scene).cmdNodes, "restart": (*scene).cmdNodes, "pause": (*scene).cmdNodes, "resume": (*scene).cmdNodes,
	"reset": (*scene).cmdReset, "balance": (*scene).cmdBalance, "locks": (*scene).cmdLocks, "log": (*scene).cmdLog,
	"state": (*scene).cmdState, "idle": (*scene).cmdIdle,
}

// sceneOf makes the bank that the command describes.
func sceneOf(t *testing.T, d *datadriven.TestData) *scene {
	clusters, nodes, items, balance, lim := 2, 3, 20, 10, sceneLimits()
	d.MaybeScanArgs(t, "clusters", &clusters)
	d.MaybeScanArgs(t, "nodes", &nodes)
	d.MaybeScanArgs(t, "items", &items)
	d.MaybeScanArgs(t, "balance", &balance)
	d.MaybeScanArgs(t, "checkpoint", &lim.CheckpointEvery)
	topo, err := topology.Uniform(clusters, nodes, int64(items), int64(balance))
	if err != nil {
		d.Fatalf(t, "%v", err)
	}
	topo.Balances = map[int64]int64{}
	for _, a := range d.CmdArgs {
		if item, err := strconv.ParseInt(a.Key, 10, 64); err == nil {
			var b int64
			d.ScanArgs(t, a.Key, &b)
			topo.Balances[item] = b
		}
	}
	return newScene(t, topo, lim)
}

// sceneLimits are limits of round numbers: tuning those of real nodes changes no
// scenario.
func sceneLimits() Limits {
	lim := DefaultLimits()
	lim.HeartbeatEvery, lim.ElectionMin, lim.FirstElection = 200*Millisecond, 400*Millisecond, 150*Millisecond
	lim.PrepareTimeout, lim.RetryEvery, lim.RetryMax = 2*Second, 100*Millisecond, 1*Second
	lim.AckBound, lim.InquireAfter, lim.NoQuorumAfter = 400*Millisecond, 500*Millisecond, 300*Millisecond
	lim.BackoffMin, lim.BackoffMax = 2*Millisecond, 100*Millisecond
	lim.UrgentAfter, lim.EndAfter = 200*Millisecond, 20*Millisecond
	lim.TellAfter, lim.SpareAfter = 0, 0
	return lim
}

func (s *scene) leaders() string {
	var out strings.Builder
	for n, a := range s.each() {
		if st := a.r.Status(); st.Ready {
			fmt.Fprintf(&out, "n%d leads c%d at %s\n", n, a.r.cluster+1, st.Ballot)
		}
	}
	return out.String()
}

// cmdFill proposes transfers back and forth between a cluster's first two items.
func (s *scene) cmdFill(d *datadriven.TestData) string {
	var to uint64
	d.ScanArgs(s.t, "to", &to)
	for n, a := range s.each() {
		st := a.r.Status()
		if !st.Ready || fmt.Sprintf("c%d", a.r.cluster+1) != d.CmdArgs[0].Key {
			continue
		}
		items := a.r.Balances(true)
		from, other := items[0].Item, items[1].Item
		for i := st.LastIndex + 1; i <= to; i++ {
			s.step(n, s.call(n, "fill", Event{Kind: EventSubmit, Request: ids.Request{Client: 0xf, Timestamp: i},
				DoneBelow: i, Transfer: ids.Transfer{From: from, To: other, Amount: 1}, Deadline: s.now + ids.Time(Second)}))
			from, other = other, from
		}
	}
	s.deliver("")
	s.zero = s.now
	s.clearTrace()
	return ""
}

func (s *scene) cmdSubmit(d *datadriven.TestData) string {
	n := s.node(d, d.CmdArgs[0].Key)
	deadline, doneBelow := s.deadline(d), uint64(0)
	d.MaybeScanArgs(s.t, "done_below", &doneBelow)
	var words []string
	for _, a := range d.CmdArgs[1:] {
		if len(a.Vals) == 0 {
			words = append(words, a.Key)
		}
	}
	requests := strings.Split(strings.TrimSpace(d.Input), "\n")
	if d.Input == "" {
		requests = []string{strings.Join(words, " ")}
	}
	var events []Event
	for _, text := range requests {
		e := Event{Kind: EventSubmit, Deadline: deadline, DoneBelow: doneBelow}
		if _, err := fmt.Sscanf(text, "%d/%d (%d, %d, %d)", &e.Request.Client, &e.Request.Timestamp,
			&e.Transfer.From, &e.Transfer.To, &e.Transfer.Amount); err != nil {
			d.Fatalf(s.t, "%q: %v", text, err)
		}
		events = append(events, s.call(n, e.Request.String(), e))
	}
	s.step(n, events...)
	return s.take()
}

func (s *scene) cmdRead(d *datadriven.TestData) string {
	n := s.node(d, d.CmdArgs[0].Key)
	item, err := strconv.ParseInt(d.CmdArgs[1].Key, 10, 64)
	if err != nil {
		d.Fatalf(s.t, "%v", err)
	}
	s.step(n, s.call(n, fmt.Sprintf("read %d", item), Event{Kind: EventRead, Item: item, Deadline: s.deadline(d)}))
	return s.take()
}

func (s *scene) cmdResolve(d *datadriven.TestData) string {
	n := s.node(d, d.CmdArgs[0].Key)
	e := Event{Kind: EventResolve, Deadline: s.deadline(d)}
	d.ScanArgs(s.t, "item", &e.Item)
	if _, err := fmt.Sscanf(d.CmdArgs[1].Key, "%d/%d", &e.Request.Client, &e.Request.Timestamp); err != nil {
		d.Fatalf(s.t, "%v", err)
	}
	s.step(n, s.call(n, "resolve "+e.Request.String(), e))
	return s.take()
}

func (s *scene) deadline(d *datadriven.TestData) ids.Time {
	text := "5s"
	d.MaybeScanArgs(s.t, "deadline", &text)
	return s.now + ids.Time(duration(s.t, d, text))
}

func duration(t *testing.T, d *datadriven.TestData, text string) ids.Duration {
	length, err := time.ParseDuration(text)
	if err != nil {
		d.Fatalf(t, "%v", err)
	}
	return ids.Duration(length)
}

func (s *scene) cmdDeliver(d *datadriven.TestData) string {
	until := ""
	d.MaybeScanArgs(s.t, "until", &until)
	if !s.deliver(until) {
		d.Fatalf(s.t, "it did not happen within %d s:\n%s", sceneLimit/Second, s.take())
	}
	return s.take()
}

// deliver goes on until a message of that name was due or, without a name,
// until no message but heartbeats is under way.
func (s *scene) deliver(until string) bool {
	busy := func(f flight) bool {
		switch f.m.(type) {
		case *paxos.Heartbeat, *paxos.HeartbeatReply:
			return s.heartbeats
		}
		return true
	}
	if until == "" && !slices.ContainsFunc(s.flights, busy) {
		return true
	}
	return s.advance(s.now+ids.Time(sceneLimit), func(due []flight) bool {
		if until == "" {
			return !slices.ContainsFunc(s.flights, busy)
		}
		return slices.ContainsFunc(due, func(f flight) bool { return messageName(f.m) == until })
	})
}

func (s *scene) cmdAdvance(d *datadriven.TestData) string {
	s.advance(s.now+ids.Time(duration(s.t, d, d.CmdArgs[0].Key)), nil)
	return s.take()
}

func (s *scene) cmdRule(d *datadriven.TestData) string {
	r := rule{name: d.CmdArgs[0].Key, fate: d.Cmd}
	if r.name == "*" {
		r.name = ""
	}
	var from, to string
	if d.MaybeScanArgs(s.t, "from", &from); from != "" {
		r.from = s.node(d, from)
	}
	if d.MaybeScanArgs(s.t, "to", &to); to != "" {
		r.to = s.node(d, to)
	}
	s.rules = append(s.rules, r)
	return ""
}

func (s *scene) cmdRelease(*datadriven.TestData) string {
	s.rules = nil
	for _, f := range s.held {
		f.at = s.now + sceneHop
		s.fly(f)
	}
	s.held = nil
	return ""
}

func (s *scene) cmdHeal(*datadriven.TestData) string {
	s.rules = nil
	return ""
}

func (s *scene) cmdCut(d *datadriven.TestData) string {
	for _, n := range s.nodesIn(d) {
		s.rules = append(s.rules, rule{from: n}, rule{to: n})
	}
	return ""
}

func (s *scene) cmdNodes(d *datadriven.TestData) string {
	for _, n := range s.nodesIn(d) {
		switch d.Cmd {
		case "crash":
			s.crash(n)
		case "restart":
			s.boot(n)
			s.setLive(n, true)
			s.say(n, fmt.Sprintf("back with %d applied", s.nodes[n].r.bank.Applied()))
		case "pause":
			s.say(n, "disconnected")
			s.setLive(n, false)
		case "resume":
			s.setLive(n, true)
			s.say(n, "connected again")
		}
	}
	return s.take()
}

func (s *scene) cmdReset(d *datadriven.TestData) string {
	var epoch uint64
	d.ScanArgs(s.t, "epoch", &epoch)
	s.reset(epoch)
	return s.leaders()
}

func (s *scene) node(d *datadriven.TestData, name string) ids.Node {
	n, err := strconv.Atoi(strings.TrimPrefix(name, "n"))
	if err != nil || n < 1 || n >= len(s.nodes) || !strings.HasPrefix(name, "n") {
		d.Fatalf(s.t, "%q is no node", name)
	}
	return ids.Node(n)
}

func (s *scene) nodesIn(d *datadriven.TestData) []ids.Node {
	var list []ids.Node
	for _, a := range d.CmdArgs {
		list = append(list, s.node(d, a.Key))
	}
	if len(list) == 0 {
		d.Fatalf(s.t, "%s which nodes?", d.Cmd)
	}
	return list
}
