package service

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"paxbank/server/ids"
	"paxbank/server/paxos"
	"paxbank/server/replica"
)

// fakeCore does what a test tells it.
type fakeCore struct {
	core
	step func(now ids.Time, events []replica.Event, out *replica.Effects)
	out  replica.Effects
}

func (c *fakeCore) Step(now ids.Time, events []replica.Event) {
	c.out = replica.Effects{}
	c.step(now, events, &c.out)
}
func (c *fakeCore) Effects() *replica.Effects { return &c.out }

// fakeNet remembers what was sent.
type fakeNet struct {
	sent chan replica.Send
}

func (n *fakeNet) Send(sends []replica.Send) {
	for _, s := range sends {
		n.sent <- s
	}
}
func (n *fakeNet) SetLive(bool) {}

// fakeDisk lets every write wait for permission.
type fakeDisk struct {
	begun chan int // records of a write that began
	allow chan error
}

func (d *fakeDisk) Write(records []paxos.Record) error {
	d.begun <- len(records)
	return <-d.allow
}

func receive[T any](t *testing.T, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("waited %v for %s", patience, what)
		panic("unreachable")
	}
}

// TestGroupCommit: messages wait for their write and no longer; what gathers
// during a write goes with the next one, together.
func TestGroupCommit(t *testing.T) {
	write := uint64(0)
	var durable []uint64
	c := &fakeCore{step: func(_ ids.Time, events []replica.Event, out *replica.Effects) {
		for _, e := range events {
			switch e.Kind {
			case replica.EventDurable:
				durable = append(durable, e.Write)
			case replica.EventMessage: // one record, one message now and one later
				write++
				out.Write = write
				out.Records = append(out.Records, paxos.Record{Kind: paxos.RecordPromise})
				out.Sends = append(out.Sends, replica.Send{To: 1, Message: "now"}, replica.Send{To: 2, Message: e.Message, After: write})
			}
		}
	}}
	net := &fakeNet{sent: make(chan replica.Send, 100)}
	disk := &fakeDisk{begun: make(chan int, 100), allow: make(chan error)}
	e := newEngine("n1", c, net, disk, clock(), func(err error) { t.Error(err) })
	if err := e.setLive(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	message := func(m string) {
		t.Helper()
		e.deliver([]replica.Event{{Kind: replica.EventMessage, Message: m}})
		if s := receive(t, "the message that waits for nothing", net.sent); s.Message != "now" {
			t.Fatalf("%v left before its write was on disk", s.Message)
		}
	}
	message("first")
	if n := receive(t, "a write", disk.begun); n != 1 {
		t.Errorf("the first write has %d records", n)
	}
	message("second")
	message("third")
	message("fourth")
	var quiet bool
	if err := e.do(t.Context(), "quiet", func() { quiet = e.quiet() }); err != nil || quiet {
		t.Errorf("quiet with a write under way: %v, %v", quiet, err)
	}
	disk.allow <- nil
	if s := receive(t, "the first message", net.sent); s.Message != "first" {
		t.Errorf("%v left with the first write", s.Message)
	}
	if n := receive(t, "a write", disk.begun); n != 3 {
		t.Errorf("the second write has %d records, want the 3 that gathered", n)
	}
	if len(net.sent) != 0 {
		t.Errorf("%v left before its write was on disk", <-net.sent)
	}
	disk.allow <- nil
	for _, want := range []string{"second", "third", "fourth"} {
		if s := receive(t, want, net.sent); s.Message != want {
			t.Errorf("%v left, want %s", s.Message, want)
		}
	}
	until(t, "a quiet shell", func() (bool, string) {
		if err := e.do(t.Context(), "quiet", func() { quiet = e.quiet() }); err != nil {
			t.Fatal(err)
		}
		return quiet, "not quiet"
	})
	e.close()
	if len(durable) != 2 || durable[0] != 1 || durable[1] != 4 {
		t.Errorf("the core was told of the writes %v, want 1 and 4", durable)
	}
}

// TestDiskFailureStops: after a failed write nothing that waited for it leaves.
func TestDiskFailureStops(t *testing.T) {
	c := &fakeCore{step: func(_ ids.Time, events []replica.Event, out *replica.Effects) {
		for _, e := range events {
			if e.Kind == replica.EventDurable {
				t.Error("the core was told that a failed write is on disk")
			}
			if e.Kind == replica.EventMessage {
				out.Write = 1
				out.Records = []paxos.Record{{Kind: paxos.RecordPromise}}
				out.Sends = []replica.Send{{To: 2, Message: "promise", After: 1}}
			}
		}
	}}
	net := &fakeNet{sent: make(chan replica.Send, 100)}
	disk := &fakeDisk{begun: make(chan int, 100), allow: make(chan error)}
	fatal := make(chan error, 1)
	e := newEngine("n1", c, net, disk, clock(), func(err error) { fatal <- err })
	if err := e.setLive(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	e.deliver([]replica.Event{{Kind: replica.EventMessage}})
	receive(t, "a write", disk.begun)
	disk.allow <- errors.New("no space left on device")
	if err := receive(t, "the end", fatal); err.Error() != "no space left on device" {
		t.Errorf("the node stops with %v", err)
	}
	if err := e.setLive(t.Context(), true); err != nil { // the owner has turned since
		t.Fatal(err)
	}
	if len(net.sent) != 0 {
		t.Errorf("%v left although its write failed", <-net.sent)
	}
	e.close()
}

func TestViolationStops(t *testing.T) {
	c := &fakeCore{step: func(_ ids.Time, events []replica.Event, _ *replica.Effects) {
		if len(events) > 0 && events[0].Kind == replica.EventSubmit {
			panic(replica.Violation{Invariant: "no overdraft", Index: 7, Detail: "item 3 holds -1"})
		}
	}}
	fatal := make(chan error, 1)
	e := newEngine("n1", c, &fakeNet{}, &fakeDisk{}, clock(), func(err error) { fatal <- err })
	if err := e.setLive(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	call := newOneCall()
	e.submit(submission{call, []replica.Event{{Kind: replica.EventSubmit}}})
	err := receive(t, "the end", fatal)
	if s := err.Error(); !strings.Contains(s, `"no overdraft" violated at index 7: item 3 holds -1`) || strings.Contains(s, "\n") {
		t.Errorf("the node stops with %q", s)
	}
	if r := receive(t, "the call to fail", call); r.err == nil {
		t.Errorf("the call was answered %+v", r.answer)
	}
	if err := e.do(t.Context(), "its status", func() {}); err == nil {
		t.Error("a stopped owner still works")
	}
	late := newOneCall()
	e.submit(submission{late, make([]replica.Event, 1)})
	if r := receive(t, "a late call to fail", late); r.err == nil {
		t.Errorf("a late call was answered %+v", r.answer)
	}
	e.close()
}

// TestLateTimer: when the owner wakes much too late, what others sent meanwhile
// counts first.
func TestLateTimer(t *testing.T) {
	var mu sync.Mutex
	now := ids.Time(1_000_000_000)
	clock := func() ids.Time { mu.Lock(); defer mu.Unlock(); return now }
	type turn struct {
		now    ids.Time
		events int
	}
	turns := make(chan turn, 10)
	var e *engine
	wake := ids.Time(0)
	c := &fakeCore{step: func(now ids.Time, events []replica.Event, out *replica.Effects) {
		out.Wake = wake
		turns <- turn{now, len(events)}
	}}
	e = newEngine("n1", c, &fakeNet{}, &fakeDisk{}, clock, func(err error) { t.Error(err) })
	wake = now + ids.Time(50*time.Millisecond)
	if err := e.setLive(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	receive(t, "the first turn", turns)
	mu.Lock()
	now += ids.Time(time.Second) // the process got no CPU for a second
	mu.Unlock()
	wake = 0
	e.deliver(make([]replica.Event, 1)) // the first of several messages
	e.deliver(make([]replica.Event, 2))
	if got := receive(t, "the late turn", turns); got.events != 3 {
		t.Errorf("the late timer counted with %d of 3 messages", got.events)
	}
	e.close()
}

// TestImpatientCaller: who goes away leaves nothing that blocks the owner.
func TestImpatientCaller(t *testing.T) {
	asked, answers := make(chan uint64, 1), make(chan uint64, 1)
	c := &fakeCore{step: func(_ ids.Time, events []replica.Event, out *replica.Effects) {
		for _, e := range events {
			if e.Kind == replica.EventSubmit {
				asked <- e.Call
			}
			if e.Kind == replica.EventMessage {
				out.Answers = []replica.Answer{{Call: <-answers}}
			}
		}
	}}
	e := newEngine("n1", c, &fakeNet{}, &fakeDisk{}, clock(), func(err error) { t.Error(err) })
	if err := e.setLive(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	n := &Node{opts: Options{ID: "n1"}, now: clock()}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := n.call(ctx, &incarnation{engine: e}, replica.Event{Kind: replica.EventSubmit, Deadline: n.now() + ids.Time(time.Second)})
	if err == nil {
		t.Error("a call without a caller was answered")
	}
	answers <- receive(t, "the call", asked)
	e.deliver([]replica.Event{{Kind: replica.EventMessage}})
	until(t, "no call waiting", func() (bool, string) {
		open := -1
		if err := e.do(t.Context(), "its calls", func() { open = e.calls.open }); err != nil {
			t.Fatal(err)
		}
		return open == 0, "some"
	})
	e.close()
}

// TestConnectedTwice: who connects a node that is connected loses nothing of what
// is under way at it.
func TestConnectedTwice(t *testing.T) {
	asked := make(chan uint64, 1)
	c := &fakeCore{step: func(_ ids.Time, events []replica.Event, out *replica.Effects) {
		for _, e := range events {
			switch e.Kind {
			case replica.EventSubmit:
				asked <- e.Call
			case replica.EventMessage:
				out.Answers = []replica.Answer{{Call: uint64(e.From)}}
			}
		}
	}}
	e := newEngine("n1", c, &fakeNet{}, &fakeDisk{}, clock(), func(err error) { t.Error(err) })
	defer e.close()
	if err := e.setLive(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	n := &Node{opts: Options{ID: "n1"}, now: clock()}
	result := make(chan error, 1)
	go func() {
		_, err := n.call(t.Context(), &incarnation{engine: e}, replica.Event{Kind: replica.EventSubmit, Deadline: n.now() + ids.Time(10*time.Second)})
		result <- err
	}()
	call := receive(t, "the call", asked)
	if err := e.setLive(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	e.deliver([]replica.Event{{Kind: replica.EventMessage, From: ids.Node(call)}})
	if err := receive(t, "the answer", result); err != nil {
		t.Errorf("the call under way: %v", err)
	}
}
