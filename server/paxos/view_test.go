package paxos

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"paxbank/server/ids"
)

// TestEarlierViewEndsNoNewView: a NEW-VIEW comes in parts, one of which ends in
// the VIEW of an earlier leader. What the node accepted from that leader above it
// may be chosen, so it stays, on disk too, until the new leader's own VIEW is here.
func TestEarlierViewEndsNoNewView(t *testing.T) {
	old := []Entry{view(b1), app("x"), app("y")}
	part := func(first uint64, entries ...Entry) *Accept {
		return &Accept{Ballot: b2, NewView: true, FirstIndex: first, ViewFirst: 1, Entries: frameOf(entries...)}
	}
	var disk []Record
	n, now := alone(Stable{})
	for _, step := range []struct {
		from ids.Node
		m    Message
		want []string // promised to the next candidate
	}{
		{1, newView(b1, 1, old...), []string{"1.1 3", "1.1 1 x", "1.1 1 y"}},
		{3, part(1, view(b1)), []string{"2.3 3", "1.1 1 x", "1.1 1 y"}},
		{3, part(2, app("x")), []string{"2.3 3", "2.3 1 x", "1.1 1 y"}},
		{3, part(3, view(b2)), []string{"2.3 3", "2.3 1 x", "2.3 3"}},
	} {
		n.Step(now, step.from, step.m)
		disk = append(disk, take(n, now).Records...)
		st, err := Replay(disk)
		if err != nil {
			t.Fatal(err)
		}
		restarted, _ := alone(st)
		for name, node := range map[string]*Node{"running": n, "restarted": restarted} {
			var got []string
			for _, e := range node.Entries(1) {
				s := ""
				if e.Kind == KindApp {
					s = " " + string(e.Data)
				}
				got = append(got, fmt.Sprintf("%d.%d %d%s", e.Ballot.Counter, e.Ballot.Node, e.Kind, s))
			}
			if diff := cmp.Diff(step.want, got); diff != "" {
				t.Errorf("%s node after %s: want, got:\n%s", name, describe(step.m), diff)
			}
		}
	}
}
