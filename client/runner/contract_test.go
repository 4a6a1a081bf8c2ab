package runner

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"paxbank/client/testset"
	pb "paxbank/proto/paxbank/v1"
)

// found words the violations of a set.
func found(res *SetResult) []string {
	var out []string
	for _, v := range res.Violations {
		out = append(out, v.Node+" "+v.Call+" "+v.Field+": "+v.Got)
	}
	return out
}

// A bank that does as it is told breaks no contract, however its nodes fail.
func TestNoViolations(t *testing.T) {
	for _, fault := range []string{FaultPause, FaultKill} {
		t.Run(fault, func(t *testing.T) {
			_, r := bank(t, Options{Fault: fault})
			res := run(t, r, testset.Set{Number: 1, Commands: []testset.Command{
				transfer(1, 1, 2, 4), failed(2, "n1"), transfer(3, 1, 2, 1), read(4, 1), recovered(5, "n1"), failed(6, "n5"), failed(7, "n6"), transfer(8, 1, 51, 1),
			}})
			if got := found(&res); got != nil {
				t.Errorf("got %q", got)
			}
		})
	}
}

// A node that goes on after SetLive(false) is told on, and so is one that serves.
func TestNodeThatIgnoresItsFailure(t *testing.T) {
	b, r := bank(t, Options{})
	run(t, r, testset.Set{Number: 1, Commands: []testset.Command{transfer(1, 1, 2, 4)}})
	s := &setRun{Runner: r, res: &SetResult{}}
	s.checkFailed(t.Context(), testset.Command{Line: 7, Text: "F(n1)"}, []string{"n1", "n2"})
	want := []string{
		"n1 SetLive live: Status says live true after SetLive(false) was answered (line 7, F(n1))",
		"n2 SetLive live: Status says live true after SetLive(false) was answered (line 7, F(n1))",
		"n1 Read result: Read of item 1 answered with 6 after SetLive(false) was answered (line 7, F(n1))",
	}
	if got := found(s.res); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	b.SetLive(false, "n1", "n2")
	s.res.Violations = nil
	s.checkFailed(t.Context(), testset.Command{Line: 7, Text: "F(n1)"}, []string{"n1", "n2"})
	if got := found(s.res); got != nil {
		t.Errorf("of nodes that are disconnected: %q", got)
	}
}

func TestContradictions(t *testing.T) {
	s := &setRun{res: &SetResult{}}
	items := []*pb.BalanceReply_Item{{Item: 1, Balance: 9}, {Item: 2, Balance: 8}, {Item: 3, Balance: 7}, {Item: 4, Balance: 1}}
	s.contradictions("n1", map[int64]int64{1: 9, 2: 7, 3: 8}, items)
	if len(s.res.Violations) != 1 || s.res.Violations[0].Count != 2 || s.res.Violations[0].Got != "item 2: Balance says 8, Database says 7" {
		t.Errorf("got %+v", s.res.Violations)
	}
	s.contradictions("n2", map[int64]int64{1: 9, 2: 8}, items)
	if len(s.res.Violations) != 1 {
		t.Errorf("what agrees is held against n2: %+v", s.res.Violations[1:])
	}
}

// When a node stops answering, what was wrong before is worth more than that.
func TestVainWaitTellsWhatWasBefore(t *testing.T) {
	_, r := bank(t, Options{})
	looks := 0
	text := r.await(t.Context(), 10*pollEvery, func(ctx context.Context) (bool, string) {
		if looks++; looks == 1 {
			return false, "node n4 to be quiet"
		}
		return false, statusOf + "n4"
	})
	if !strings.HasSuffix(text, "in vain for the status of node n4, and before that for node n4 to be quiet") {
		t.Errorf("got %q", text)
	}
}

// Without Status.quiet, standing still counts: many quick polls, or a few slow ones.
func TestStillness(t *testing.T) {
	var s stillness
	for range stillPolls {
		if s.long() {
			t.Fatalf("%d polls are enough", s.polls)
		}
		s.see("1/1/1")
	}
	if s.see("1/1/1"); !s.long() {
		t.Errorf("%d polls are not enough", s.polls)
	}
	if s.see("2/1/1"); s.long() {
		t.Error("what moved is taken for still")
	}
	s.since = time.Now().Add(-stillTime)
	for range stillPollsLeast - 1 {
		if s.see("2/1/1"); s.long() {
			t.Fatalf("%d polls are enough in %s", s.polls, stillTime)
		}
	}
	if s.see("2/1/1"); !s.long() {
		t.Errorf("%d polls in %s are not enough", s.polls, stillTime)
	}
}
