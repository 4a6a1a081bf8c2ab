package runner

import (
	"strings"
	"testing"
	"time"

	"paxbank/client/testset"
	"paxbank/internal/fakebank"
)

// stricken is a bank whose nodes may die by themselves.
type stricken struct {
	*fakebank.Bank
	ended map[string]string
}

func (s *stricken) Ended() map[string]string { return s.ended }

// A node that dies against the test set's will is told of once; nothing waits for it again, at no later marker and not at the end.
func TestNodeThatDiedIsNotWaitedFor(t *testing.T) {
	b, r := bank(t, Options{})
	s := &stricken{Bank: b}
	r.opt.Processes = s
	r.opt.Progress = func(text string) {
		if strings.Contains(text, "batch 2") {
			if err := b.Kill("n2"); err != nil {
				t.Error(err)
			}
			s.ended = map[string]string{"n2": "signal: killed"}
		}
	}
	began := time.Now()
	res := run(t, r, testset.Set{Number: 1, Commands: []testset.Command{
		transfer(1, 1, 2, 1), failed(2, "n6"), transfer(3, 2, 3, 1), recovered(4, "n6"), transfer(5, 3, 51, 1), failed(6, "n5"), transfer(7, 51, 1, 1),
	}})
	if took := time.Since(began); took >= quietBound {
		t.Errorf("the set took %s, so a dead node was waited for", took)
	}
	for i := range res.Calls {
		if res.Calls[i].Outcome != Committed {
			t.Errorf("%s: %s (%s)", res.Calls[i].Command.Text, res.Calls[i].Outcome, res.Calls[i].Message)
		}
	}
	for _, p := range res.Problems {
		if strings.Contains(p, "waited") || strings.Contains(p, "rpc error") || strings.Contains(p, "transport") {
			t.Errorf("problem: %s", p)
		}
	}
	if len(res.Crashed) != 1 || res.Crashed["n2"] != "signal: killed" {
		t.Errorf("crashed: %v, want n2 alone", res.Crashed)
	}
}
