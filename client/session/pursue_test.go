package session

import (
	"context"
	"testing"
	"time"

	"paxbank/internal/fakebank"
	pb "paxbank/proto/paxbank/v1"
)

// A leader that has the request and takes its time, while the others keep naming
// it, is waited for. Going round the cluster meanwhile would send the request
// dozens of times.
func TestBusyLeaderIsWaitedFor(t *testing.T) {
	bank, s := open(t)
	bank.Decide = func(string, *pb.TransactionRequest) fakebank.Fate { return fakebank.Swallow }
	r := s.Transfer(context.Background(), 1, 51, 1, patience+3*recheck)
	want(t, r, Unknown)
	// The leader once, and the two others after patience and after each recheck.
	if most := 1 + 2*4; r.Attempts > most || r.Attempts < 3 {
		t.Errorf("%d attempts, want 3 to %d", r.Attempts, most)
	}
	if n := bank.Requests("n1"); n != 1 {
		t.Errorf("the leader was sent the request %d times, want once", n)
	}
}

// One that hangs is left as soon as the others name a new leader, although it
// still owes its answer.
func TestHangingLeaderIsLeft(t *testing.T) {
	bank, s := open(t)
	bank.Decide = func(node string, _ *pb.TransactionRequest) fakebank.Fate {
		if node == "n1" {
			return fakebank.Swallow
		}
		return fakebank.Serve
	}
	result := make(chan Result, 1)
	go func() { result <- s.Transfer(context.Background(), 1, 2, 1, 3*patience) }()
	deadline := time.After(long)
	for bank.Requests("n2")+bank.Requests("n3") < 2 { // both have named n1
		select {
		case r := <-result:
			t.Fatalf("ended with %s (%s)", r.Outcome, r.Message)
		case <-deadline:
			t.Fatal("the others were not asked")
		case <-time.After(time.Millisecond):
		}
	}
	bank.SetElecting(true, "n1") // it leads no longer; n2 does
	want(t, <-result, Committed)
}
