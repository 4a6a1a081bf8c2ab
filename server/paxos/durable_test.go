package paxos

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"paxbank/server/ids"
)

// alone returns node n2 of three, live, with its timers far away.
func alone(st Stable) (*Node, ids.Time) {
	now := ids.Time(1_000_000_000)
	cfg := usual
	cfg.Self, cfg.Nodes, cfg.Rand = 2, []ids.Node{1, 2, 3}, rand.New(rand.NewPCG(1, 2))
	n := New(cfg, st, now)
	n.SetLive(now, true)
	return n, now
}

// take ends a step and returns its output.
func take(n *Node, now ids.Time) Output {
	n.Tick(now)
	n.Flush(now)
	out := *n.Output()
	out.Records, out.Sends = slices.Clone(out.Records), slices.Clone(out.Sends)
	n.ClearOutput()
	return out
}

func kinds(records []Record) []RecordKind {
	var list []RecordKind
	for _, r := range records {
		list = append(list, r.Kind)
	}
	return list
}

func frameOf(entries ...Entry) []byte { return AppendEntries(nil, entries) }

var (
	b1 = ids.Ballot{Counter: 1, Node: 1}
	b2 = ids.Ballot{Counter: 2, Node: 3}
)

func app(data string) Entry   { return Entry{Kind: KindApp, Origin: b1, Data: []byte(data)} }
func view(b ids.Ballot) Entry { return Entry{Kind: KindView, Origin: b} }

func newView(b ids.Ballot, first uint64, entries ...Entry) *Accept {
	return &Accept{Ballot: b, NewView: true, FirstIndex: first, ViewFirst: first, CommitIndex: first - 1, Entries: frameOf(entries...)}
}

func TestPromiseWaitsForTheDisk(t *testing.T) {
	n, now := alone(Stable{})
	n.Step(now, 1, &Prepare{Ballot: b1, FirstIndex: 1})
	out := take(n, now)
	if out.Write != 1 || len(out.Records) != 1 || out.Records[0].Kind != RecordPromise || out.Records[0].Ballot != b1 {
		t.Fatalf("recorded %+v as write %d", out.Records, out.Write)
	}
	if len(out.Sends) != 1 || out.Sends[0].After != 1 {
		t.Fatalf("sent %+v, want a Promise after write 1", out.Sends)
	}
	// A duplicate waits as well, until it is on disk.
	n.Step(now, 1, &Prepare{Ballot: b1, FirstIndex: 1})
	if out := take(n, now); out.Write != 0 || len(out.Sends) != 1 || out.Sends[0].After != 1 {
		t.Fatalf("a duplicate gave %+v", out)
	}
	n.Durable(now, 1)
	n.Step(now, 1, &Prepare{Ballot: b1, FirstIndex: 1})
	if out := take(n, now); out.Sends[0].After != 0 {
		t.Fatalf("the promise is on disk, its answer still waits: %+v", out)
	}
	// And a lower ballot is refused.
	b0 := ids.Ballot{Counter: 0, Node: 3}
	for _, m := range []Message{&Prepare{Ballot: b0}, newView(b0, 1, view(b0)), &Heartbeat{Ballot: b0, ViewFirst: 1}} {
		n.Step(now, 3, m)
		out = take(n, now)
		if diff := cmp.Diff([]Send{{To: 3, Message: &Reject{Ballot: b0, Promised: b1}}}, out.Sends); diff != "" {
			t.Fatal(diff)
		}
	}
}

func TestAcceptedWaitsForTheDisk(t *testing.T) {
	n, now := alone(Stable{})
	n.Step(now, 1, newView(b1, 1, view(b1)))
	out := take(n, now)
	if diff := cmp.Diff([]RecordKind{RecordPromise, RecordFrame}, kinds(out.Records)); diff != "" {
		t.Fatalf("a frame of a new ballot: %s", diff)
	}
	want := Send{To: 1, Message: &Accepted{Ballot: b1, UpTo: 1}, After: 1}
	if diff := cmp.Diff([]Send{want}, out.Sends); diff != "" {
		t.Fatal(diff)
	}
	// Its duplicate, too.
	n.Step(now, 1, newView(b1, 1, view(b1)))
	if out = take(n, now); out.Write != 0 || out.Sends[0].After != 1 {
		t.Fatalf("a duplicate gave %+v", out)
	}
	// A heartbeat is answered when the promise is on disk, and tells only what is.
	n.Step(now, 1, &Heartbeat{Ballot: b1, Round: 4, Sent: 1, ViewFirst: 1})
	out = take(n, now)
	if diff := cmp.Diff([]Send{{To: 1, Message: &HeartbeatReply{Ballot: b1, Round: 4}, After: 1}}, out.Sends); diff != "" {
		t.Fatal(diff)
	}
	n.Durable(now, 1)
	n.Step(now, 1, &Accept{Ballot: b1, FirstIndex: 2, ViewFirst: 1, CommitIndex: 1, Round: 5, Entries: frameOf(app("a"), app("b"))})
	n.Step(now, 1, &Accept{Ballot: b1, FirstIndex: 4, ViewFirst: 1, CommitIndex: 1, Round: 6, Entries: frameOf(app("c"))})
	n.Step(now, 1, &Heartbeat{Ballot: b1, CommitIndex: 1, Round: 7, Sent: 4, ViewFirst: 1})
	n.Step(now, 1, &Heartbeat{Ballot: b1, CommitIndex: 1, Round: 8, Sent: 6, ViewFirst: 1})
	out = take(n, now)
	if diff := cmp.Diff([]RecordKind{RecordFrame, RecordFrame, RecordCommit}, kinds(out.Records)); diff != "" {
		t.Fatal(diff)
	}
	sends := []Send{
		{To: 1, Message: &Accepted{Ballot: b1, UpTo: 4, CommitIndex: 1, Round: 6}, After: 2}, // one for both
		{To: 1, Message: &HeartbeatReply{Ballot: b1, UpTo: 1, CommitIndex: 1, Round: 7}},
		{To: 1, Message: &HeartbeatReply{Ballot: b1, UpTo: 4, CommitIndex: 1, Round: 8, Gap: true}, After: 2},
	}
	if diff := cmp.Diff(sends, out.Sends); diff != "" {
		t.Fatal(diff)
	}
}

func TestCommitNeedsTheRunAtThatBallot(t *testing.T) {
	n, now := alone(Stable{})
	n.Step(now, 1, newView(b1, 1, view(b1)))
	n.Step(now, 1, &Accept{Ballot: b1, FirstIndex: 2, ViewFirst: 1, Entries: frameOf(app("old"))})
	// Leader 3 has chosen something else at 2; its view starts there.
	n.Step(now, 3, &Heartbeat{Ballot: b2, CommitIndex: 2, Sent: 3, ViewFirst: 2})
	n.Step(now, 3, &Commit{Ballot: b2, CommitIndex: 2})
	if e, ok := n.NextCommitted(); ok {
		t.Fatalf("%+v was taken as chosen, though accepted at another ballot", e)
	}
	n.Step(now, 3, &CatchUp{Ballot: b2, FirstIndex: 1, CommitIndex: 2, Entries: frameOf(view(b1))})
	n.Step(now, 3, newView(b2, 2, app("new"), view(b2)))
	var got []string
	for e, ok := n.NextCommitted(); ok; e, ok = n.NextCommitted() {
		got = append(got, fmt.Sprint(e.Index, " ", string(e.Data), " ", e.Ballot))
	}
	if diff := cmp.Diff([]string{"1  2.n3", "2 new 2.n3"}, got); diff != "" {
		t.Fatal(diff)
	}
}

func TestPrepareWaitsForOneselfAndOwnVoteForTheDisk(t *testing.T) {
	n, now := alone(Stable{Promised: b1})
	now += ids.Time(600 * ms)
	n.late = true
	out := take(n, now)
	if len(out.Sends) != 2 || out.Sends[0].After != 0 {
		t.Fatalf("at its timeout it sent %+v", out.Sends)
	}
	asked := out.Sends[0].Message.(*PreVote).Ballot
	if asked != (ids.Ballot{Counter: 2, Node: 2}) {
		t.Fatalf("it asks for ballot %s", asked)
	}
	n.Step(now, 3, &PreVoteReply{Ballot: asked, Granted: true, Promised: b1})
	out = take(n, now)
	if len(out.Sends) != 2 || out.Sends[0].After != out.Write || out.Write != 1 {
		t.Fatalf("PREPARE: %+v", out)
	}
	n.Step(now, 3, &Promise{Ballot: asked, Accepted: AppendAccepted(nil, nil)})
	if n.IsLeader() {
		t.Fatal("it leads before its own promise is on disk")
	}
	n.Durable(now, 1)
	if !n.IsLeader() || n.Ballot() != asked {
		t.Fatal("a quorum promised, it does not lead")
	}
	out = take(n, now)
	if len(out.Sends) != 2 || out.Sends[0].After != 0 {
		t.Fatalf("ACCEPT goes out in parallel with the own write: %+v", out.Sends)
	}
	n.Step(now, 3, &Accepted{Ballot: asked, UpTo: 1})
	if n.CommitIndex() != 0 {
		t.Fatal("the leader counts itself before its copy is on disk")
	}
	n.Durable(now, 2)
	if n.CommitIndex() != 1 {
		t.Fatalf("a quorum has the VIEW, commit index %d", n.CommitIndex())
	}
	out = take(n, now)
	if diff := cmp.Diff([]Send{{To: 1, Message: &Commit{asked, 1}}, {To: 3, Message: &Commit{asked, 1}}}, out.Sends); diff != "" {
		t.Fatal(diff)
	}
	if out.Write != 0 || n.Settled() {
		t.Fatalf("the commit index is recorded at once (%+v) or forgotten", out)
	}
	now = n.Wake()
	if out = take(n, now); len(out.Records) != 1 || out.Records[0].Commit != 1 {
		t.Fatalf("the commit index is not recorded: %+v", out.Records)
	}
	n.Durable(now, 3)
	if !n.Settled() {
		t.Fatal("nothing is under way, it is not settled")
	}
}

// leading makes n2 the leader with its VIEW chosen; n3 follows, n1 is away.
func leading(t *testing.T) (*Node, ids.Time, ids.Ballot) {
	t.Helper()
	n, now := alone(Stable{Promised: b1})
	now += ids.Time(600 * ms)
	n.late = true
	b := ids.Ballot{Counter: 2, Node: 2}
	take(n, now)
	n.Step(now, 3, &PreVoteReply{Ballot: b, Granted: true})
	take(n, now)
	n.Step(now, 3, &Promise{Ballot: b, Accepted: AppendAccepted(nil, nil)})
	n.Durable(now, 1)
	take(n, now)
	n.Step(now, 3, &Accepted{Ballot: b, UpTo: 1})
	n.Durable(now, 2)
	take(n, now)
	return n, now, b
}

func TestRoundStartsAfterItsRequest(t *testing.T) {
	n, now, b := leading(t)
	first := n.RequestRound()
	if same := n.RequestRound(); same != first {
		t.Fatalf("two reads of one step wait for rounds %d and %d", first, same)
	}
	out := take(n, now)
	if len(out.Sends) != 2 || out.Sends[0].Message.(*Heartbeat).Round != first {
		t.Fatalf("round %d was not started: %+v", first, out.Sends)
	}
	second := n.RequestRound() // while the first is under way
	if second == first {
		t.Fatal("a read waits for a round that had started before it")
	}
	if out = take(n, now); len(out.Sends) != 0 {
		t.Fatalf("the second round starts before the first is confirmed: %+v", out.Sends)
	}
	n.Step(now, 3, &HeartbeatReply{Ballot: b, Round: first, UpTo: 1, CommitIndex: 1})
	if n.ConfirmedRound() != first {
		t.Fatalf("round %d confirmed, want %d", n.ConfirmedRound(), first)
	}
	if out = take(n, now); len(out.Sends) != 2 || out.Sends[1].Message.(*Heartbeat).Round != second {
		t.Fatalf("the second round does not start: %+v", out.Sends)
	}
	// A third, with something proposed, does not wait for the second.
	third := n.RequestRound()
	n.Propose([]byte("x"))
	out = take(n, now)
	if a := out.Sends[0].Message.(*Accept); a.Round != third || len(out.Sends) != 2 {
		t.Fatalf("ACCEPT carries round %d, want %d", a.Round, third)
	}
	n.Step(now, 3, &Accepted{Ballot: ids.Ballot{Counter: 1, Node: 2}, Round: third, UpTo: 2})
	if n.ConfirmedRound() != first {
		t.Fatal("an answer of another ballot confirmed a round")
	}
	n.Step(now, 3, &Accepted{Ballot: b, Round: third, UpTo: 2, CommitIndex: 1})
	if n.ConfirmedRound() != third {
		t.Fatalf("round %d confirmed, want %d", n.ConfirmedRound(), third)
	}
}

func TestOneFrameAndOneRecordAStep(t *testing.T) {
	n, now, b := leading(t)
	for i := range 100 {
		if got := n.Propose(fmt.Appendf(nil, "v%d", i)); got != uint64(i+2) {
			t.Fatalf("index %d, want %d", got, i+2)
		}
	}
	out := take(n, now)
	if diff := cmp.Diff([]RecordKind{RecordFrame, RecordCommit}, kinds(out.Records)); diff != "" {
		t.Fatal(diff)
	}
	if len(out.Sends) != 2 || out.Sends[0].Message != out.Sends[1].Message {
		t.Fatalf("%d messages, want one shared by both followers", len(out.Sends))
	}
	// What was proposed but not framed disappears with the leadership.
	n.Propose([]byte("never seen"))
	n.Step(now, 3, &Prepare{Ballot: ids.Ballot{Counter: b.Counter + 1, Node: 3}, FirstIndex: 2})
	out = take(n, now)
	list, err := DecodeAccepted(out.Sends[0].Message.(*Promise).Accepted)
	if err != nil || len(list) != 100 || n.LastIndex() != 101 {
		t.Fatalf("it promises %d entries (%v), last index %d", len(list), err, n.LastIndex())
	}
}

func TestSleepyNodeDoesNotCampaignAtOnce(t *testing.T) {
	n, now := alone(Stable{Promised: b1})
	n.Step(now, 1, &Heartbeat{Ballot: b1, ViewFirst: 1})
	take(n, now)
	now += ids.Time(5000 * ms)
	if out := take(n, now); len(out.Sends) != 0 {
		t.Fatalf("after five seconds without CPU it sends %+v", out.Sends)
	}
	now = n.Wake()
	if out := take(n, now); len(out.Sends) != 2 {
		t.Fatalf("with nothing in its queue it does not campaign: %+v", out)
	}
}

func TestDisconnectedNodeIsDeafAndMute(t *testing.T) {
	n, now, b := leading(t)
	n.Propose([]byte("x"))
	n.Flush(now)
	n.SetLive(now, false)
	out := take(n, now)
	if len(out.Sends) != 0 || len(out.Records) == 0 {
		t.Fatalf("sends %d messages and writes %d records; want none, and what it counts on", len(out.Sends), len(out.Records))
	}
	n.Durable(now, out.Write)
	n.Step(now, 3, &Accepted{Ballot: b, UpTo: 2})
	n.Step(now, 3, &Prepare{Ballot: ids.Ballot{Counter: 7, Node: 3}})
	if out = take(n, now+1); len(out.Sends)+len(out.Records) != 0 || n.CommitIndex() != 1 || n.IsLeader() || n.Wake() != 0 {
		t.Fatalf("disconnected, it did something: %+v", out)
	}
}

func TestRestartKnowsWhatWasCommitted(t *testing.T) {
	records := []Record{
		{Kind: RecordPromise, Ballot: b1},
		{Kind: RecordFrame, Ballot: b1, First: 1, Last: 3, ViewFirst: 1, NewView: true, Data: frameOf(app("a"), app("b"), view(b1))},
		{Kind: RecordFrame, Ballot: b1, First: 4, Last: 5, ViewFirst: 1, Data: frameOf(app("c"), app("ghost"))},
		{Kind: RecordCheckpoint, Commit: 1, Data: []byte("state")},
		{Kind: RecordCommit, Commit: 3},
		{Kind: RecordPromise, Ballot: b2},
		{Kind: RecordFrame, Ballot: b2, First: 4, Last: 4, ViewFirst: 4, NewView: true, Data: frameOf(view(b2))},
		{Kind: RecordFrame, Ballot: b2, First: 8, Last: 8, ViewFirst: 4, Data: frameOf(app("far"))},
	}
	st, err := Replay(records)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range st.Entries {
		got = append(got, fmt.Sprintf("%d %d %q %s", e.Index, e.Kind, e.Data, e.Ballot))
	}
	want := []string{`2 1 "b" 1.n1`, `3 3 "" 1.n1`, `4 3 "" 2.n3`, `8 1 "far" 2.n3`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if st.Promised != b2 || st.Commit != 3 || st.CheckpointIndex != 1 || string(st.Checkpoint) != "state" || len(st.Views) != 2 {
		t.Errorf("replayed %+v", st)
	}
	n, _ := alone(st)
	for _, index := range []uint64{2, 3} {
		if e, ok := n.NextCommitted(); !ok || e.Index != index {
			t.Errorf("entry %d is not offered after the restart: %+v", index, e)
		}
	}
	if e, ok := n.NextCommitted(); ok {
		t.Errorf("%+v was not committed", e)
	}

	for name, damage := range map[string]Record{
		"missing":       {Kind: RecordCommit, Commit: 7},
		"unknown kind":  {Kind: 9},
		"is damaged":    {Kind: RecordFrame, Ballot: b2, First: 5, Last: 6, Data: frameOf(app("one"))},
		"cut short":     {Kind: RecordFrame, Ballot: b2, First: 5, Last: 5, Data: []byte{1, 1}},
		"log before it": {Kind: RecordFrame, Ballot: b2, First: 1 << 50, Last: 1 << 50, Data: frameOf(app("x"))},
	} {
		if _, err := Replay(append(slices.Clone(records), damage)); err == nil || !containsFold(err.Error(), name) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestViolationsStopTheNode(t *testing.T) {
	violated := func(f func()) (v Violation) {
		defer func() { v, _ = recover().(Violation) }()
		f()
		return
	}
	cases := map[string]func(){
		"agreement": func() {
			n, now := alone(Stable{})
			n.Step(now, 1, newView(b1, 1, app("a"), view(b1)))
			n.Step(now, 1, &Commit{Ballot: b1, CommitIndex: 2})
			n.Step(now, 3, &CatchUp{Ballot: b2, FirstIndex: 1, CommitIndex: 3, Entries: frameOf(app("b"), view(b1), view(b2))})
		},
		"a ballot has one value an index": func() {
			n, now := alone(Stable{})
			n.Step(now, 1, newView(b1, 1, app("a"), view(b1)))
			n.Step(now, 1, newView(b1, 1, app("b"), view(b1)))
		},
		"writes become durable in order": func() {
			n, now := alone(Stable{})
			n.Durable(now, 3)
		},
		"only a leader proposes": func() {
			n, _ := alone(Stable{})
			n.Propose(nil)
		},
		"a checkpoint holds applied entries only": func() {
			n, _ := alone(Stable{})
			n.Compact(0, 1, nil)
		},
		"committed entries are on disk": func() { alone(Stable{Commit: 4}) },
	}
	for want, f := range cases {
		if v := violated(f); v.Invariant != want || v.Error() == "" {
			t.Errorf("%s: panicked with %+v", want, v)
		}
	}
}

func TestRecordsSurviveAnOutputThatWasNotTaken(t *testing.T) {
	n, now := alone(Stable{})
	n.Step(now, 1, &Prepare{Ballot: b1, FirstIndex: 1})
	n.ClearOutput()
	if out := take(n, now); len(out.Records) != 1 || out.Write != 1 {
		t.Fatalf("the promise got lost: %+v", out)
	}
}

func TestMalformedMessagesAreIgnored(t *testing.T) {
	n, now := alone(Stable{})
	garbage := []byte{200, 1, 1}
	for _, m := range []Message{
		&Accept{Ballot: b1, FirstIndex: 1, ViewFirst: 1, Entries: garbage},
		&Accept{Ballot: b1, FirstIndex: 1, ViewFirst: 2, Entries: frameOf(app("a"))},
		&Accept{Ballot: b1, FirstIndex: 1, ViewFirst: 1},
		&CatchUp{Ballot: b1, FirstIndex: 1, CommitIndex: 9, Entries: garbage},
		&CatchUp{Ballot: b1, FirstIndex: 1, CommitIndex: 0, Entries: frameOf(app("a"))},
		&Heartbeat{Ballot: b1},
		&Prepare{Ballot: b2},
		&PreVote{Ballot: b2},
	} {
		before := n.Malformed()
		n.Step(now, 1, m)
		if out := take(n, now); n.Malformed() != before+1 || len(out.Records)+len(out.Sends) != 0 {
			t.Errorf("%s: counted %d, did %+v", describe(m), n.Malformed()-before, out)
		}
	}
	n.Step(now, 9, &Prepare{Ballot: ids.Ballot{Counter: 1, Node: 9}})
	if out := take(n, now); len(out.Sends) != 0 {
		t.Errorf("a stranger is answered: %+v", out)
	}
}
