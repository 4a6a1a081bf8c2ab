package runner

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"paxbank/client/testset"
	"paxbank/internal/fakebank"
	pb "paxbank/proto/paxbank/v1"
)

// TestCarried: a transfer whose outcome is unknown at the end of a set takes
// effect before the next one, which goes on from that, or says what it does not
// know.
func TestCarried(t *testing.T) {
	for _, quorum := range []bool{true, false} {
		b, r := bank(t, Options{Deadline: 300 * time.Millisecond, KeepState: true})
		var late atomic.Bool
		b.Decide = func(string, *pb.TransactionRequest) fakebank.Fate {
			if late.Load() {
				return fakebank.Serve
			}
			return fakebank.Swallow
		}
		lost := false
		r.opt.Progress = func(text string) {
			if strings.Contains(text, "batch 1") && !lost { // it believes that the quorum is gone
				lost = true
				r.live["n2"], r.live["n3"] = false, false
			}
		}
		first := run(t, r, testset.Set{Number: 1, Commands: []testset.Command{transfer(1, 1, 2, 3)}})
		if d := cmp.Diff([]string{"1 (1, 2, 3) intra unknown"}, summary(first)); d != "" {
			t.Fatalf("first set (-want +got):\n%s", d)
		}
		late.Store(true)
		c := &first.Calls[0]
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		reply, err := r.opt.Nodes.Bank("n1").Submit(ctx, &pb.TransactionRequest{
			Epoch: first.Nodes[0].Epoch, ClientId: c.ClientID, Timestamp: c.Timestamp, Transfer: &pb.Transfer{From: 1, To: 2, Amount: 3},
		})
		if err != nil || reply.GetResult() != pb.Result_RESULT_COMMITTED {
			t.Fatalf("the late effect: %v, %v", reply, err)
		}
		second := testset.Set{Number: 2}
		if !quorum {
			b.SetLive(false, "n2", "n3")
			second.Live = []string{"n1", "n4", "n5", "n6"}
			second.Commands = []testset.Command{recovered(3, "n2")}
		}
		res := run(t, r, second)
		if quorum {
			if d := cmp.Diff(map[int64]int64{1: 7, 2: 13}, res.StartBalances); d != "" || len(res.Carried) != 0 {
				t.Errorf("settled at the start: %d are carried; start balances (-want +got):\n%s", len(res.Carried), d)
			}
			continue
		}
		if d := cmp.Diff(map[int64]int64{1: 10, 2: 10}, res.StartBalances); d != "" {
			t.Errorf("not settled at the start: start balances (-want +got):\n%s", d)
		}
		if len(res.Carried) != 1 || res.Carried[0].Command.Text != "(1, 2, 3)" || res.Carried[0].Outcome != Committed || !res.Carried[0].Resolved {
			t.Errorf("carried: %+v", res.Carried)
		}
	}
}
