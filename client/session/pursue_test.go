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

// When the leader has aborted, a node that was asked beside it may still be about
// to say that it did nothing. That leaves nothing open; silence does.
func TestOtherAnswersAreWaitedFor(t *testing.T) {
	said := func(r pb.Result) answer { return answer{at: 1, sort: replied, result: r} }
	for _, tc := range []struct {
		name    string
		comes   []answer
		unclear bool
		result  pb.Result
	}{
		{"it follows", []answer{said(pb.Result_RESULT_NOT_LEADER)}, false, pb.Result_RESULT_ABORTED},
		{"it aborted too", []answer{said(pb.Result_RESULT_ABORTED)}, false, pb.Result_RESULT_ABORTED},
		{"it was not reached", []answer{{at: 1, sort: notTaken}}, false, pb.Result_RESULT_ABORTED},
		{"it broke off", []answer{{at: 1, sort: lost}}, true, pb.Result_RESULT_ABORTED},
		{"it committed", []answer{said(pb.Result_RESULT_COMMITTED)}, false, pb.Result_RESULT_COMMITTED},
		{"it does not know", []answer{said(pb.Result_RESULT_UNKNOWN)}, true, pb.Result_RESULT_ABORTED},
		{"it is silent", nil, false, pb.Result_RESULT_ABORTED}, // whoever asks sees that it owes an answer
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := &call{ctx: t.Context(), answers: make(chan answer, 2)}
			for _, a := range tc.comes {
				c.answers <- a
			}
			e := ending{decided: true, answer: answer{sort: replied, result: pb.Result_RESULT_ABORTED}}
			asked := []bool{false, true}
			came := c.others(&e, asked, func(a *answer) bool {
				return a.result == pb.Result_RESULT_COMMITTED || a.result == pb.Result_RESULT_ABORTED
			})
			if came != len(tc.comes) || e.unclear != tc.unclear || e.answer.result != tc.result || asked[1] != (came == 0) {
				t.Errorf("%d came, unclear %t, %s, owed %v; want %d, %t, %s", came, e.unclear, e.answer.result, asked, len(tc.comes), tc.unclear, tc.result)
			}
		})
	}
}
