package paxos

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"paxbank/server/ids"
)

// TestScenarios plays the exchanges in testdata, readable as text. In them the
// network takes exactly 1 ms, the disk nothing, and heartbeats are not shown
// unless asked for. After a change of the protocol, rewrite them with -rewrite
// and read the difference.
//
//	cluster nodes=N [checkpoint=K] [frame=K]
//	                                 a new cluster of disconnected nodes, with a
//	                                 checkpoint every and frames of K entries
//	live NODES, disconnect NODES     SetLive
//	cut NODES, heal                  nobody hears these nodes; everybody again
//	crash NODES, start NODES         kill -9; a new life from disk, connected
//	lose TYPE from=N to=M            from now on such messages get lost
//	propose VALUES                   at the leader of the highest ballot
//	run DURATION [heartbeats]        let time pass, show what arrives
//	log NODES, views NODE, state     what they hold
func TestScenarios(t *testing.T) {
	datadriven.Walk(t, "testdata/scenarios", func(t *testing.T, path string) {
		var c *cluster
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			var out strings.Builder
			if d.Cmd != "cluster" && c == nil {
				d.Fatalf(t, "begin with cluster")
			}
			switch d.Cmd {
			case "cluster":
				nodes, checkpoint := 3, 0
				d.MaybeScanArgs(t, "nodes", &nodes)
				d.MaybeScanArgs(t, "checkpoint", &checkpoint)
				c = newCluster(t, nodes, 1)
				c.checkpoint = uint64(checkpoint)
				if d.HasArg("frame") {
					c.resize(func(b *Config) { d.ScanArgs(t, "frame", &b.MaxFrameEntries) })
				}
				c.delay, c.disk = [2]ids.Duration{ms, ms}, [2]ids.Duration{0, 0}
			case "live":
				c.live(true, nodesOf(t, d)...)
			case "disconnect":
				c.live(false, nodesOf(t, d)...)
			case "cut":
				for _, id := range nodesOf(t, d) {
					c.isolate(id, true)
				}
			case "heal":
				clear(c.cut)
				c.drop = nil
			case "lose":
				var from, to int
				d.ScanArgs(t, "from", &from)
				d.ScanArgs(t, "to", &to)
				name, before := d.CmdArgs[0].Key, c.drop
				c.drop = func(f, to2 ids.Node, m Message) bool {
					return before != nil && before(f, to2, m) ||
						int(f) == from && int(to2) == to && strings.HasPrefix(describe(m), name+" ")
				}
			case "crash":
				for _, id := range nodesOf(t, d) {
					c.crash(id)
				}
			case "start":
				for _, id := range nodesOf(t, d) {
					c.start(id)
				}
				c.live(true, nodesOf(t, d)...)
			case "propose":
				id := c.leader()
				if id == 0 {
					d.Fatalf(t, "nobody leads")
				}
				for _, a := range d.CmdArgs {
					fmt.Fprintf(&out, "index %d\n", c.px(id).Propose([]byte(a.Key)))
				}
				c.after(c.node(id))
			case "run":
				return play(t, c, d)
			case "log":
				for _, id := range nodesOf(t, d) {
					n := c.px(id)
					fmt.Fprintf(&out, "n%d: checkpoint %d, commit %d, %s\n", id, n.Checkpointed(), n.CommitIndex(), describeEntries(n.Entries(0), true))
				}
			case "views":
				for _, v := range c.px(nodesOf(t, d)[0]).Views() {
					fmt.Fprintf(&out, "%s from %d, commit %d, sent %v, %s\n", v.Ballot, v.FirstIndex, v.CommitIndex, v.Sent, describeEntries(v.Entries, false))
				}
			case "state":
				for _, s := range c.nodes {
					n := s.px
					fmt.Fprintf(&out, "n%d: leads %v, leader n%d, ballot %s, quorum %v, commit %d of %d, settled %v\n",
						s.id, n.IsLeader(), n.Leader(), n.Ballot(), n.Quorum(), n.CommitIndex(), n.LastIndex(), n.Settled())
				}
			default:
				d.Fatalf(t, "unknown command %s", d.Cmd)
			}
			return out.String()
		})
	})
}

// play runs the cluster and returns what arrived, with times from the start of
// the command. The same message to several nodes at once takes one line.
func play(t *testing.T, c *cluster, d *datadriven.TestData) string {
	length, err := time.ParseDuration(d.CmdArgs[0].Key)
	if err != nil {
		d.Fatalf(t, "%v", err)
	}
	type line struct{ at, from, to, what string }
	var lines []line
	begin := c.now
	c.trace = func(from, to ids.Node, m Message) {
		switch m.(type) {
		case *Heartbeat, *HeartbeatReply:
			if !d.HasArg("heartbeats") {
				return
			}
		}
		l := line{fmt.Sprintf("%4d ms", (c.now-begin)/ids.Time(ms)), fmt.Sprintf("n%d", from), fmt.Sprintf("n%d", to), describe(m)}
		for i := range lines {
			if o := &lines[i]; o.at == l.at && o.from == l.from && o.what == l.what {
				o.to += " " + l.to
				return
			}
		}
		lines = append(lines, l)
	}
	c.run(ids.Duration(length))
	c.trace = nil
	var out strings.Builder
	for _, l := range lines {
		fmt.Fprintf(&out, "%s  %s -> %-5s  %s\n", l.at, l.from, l.to, l.what)
	}
	if out.Len() == 0 {
		return "nothing\n"
	}
	return out.String()
}

func nodesOf(t *testing.T, d *datadriven.TestData) []ids.Node {
	var list []ids.Node
	for _, a := range d.CmdArgs {
		var n ids.Node
		if _, err := fmt.Sscanf(a.Key, "n%d", &n); err == nil {
			list = append(list, n)
		}
	}
	if len(list) == 0 {
		d.Fatalf(t, "%s which nodes?", d.Cmd)
	}
	return list
}
