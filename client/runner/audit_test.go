package runner

import (
	"slices"
	"testing"

	"paxbank/client/testset"
)

// What the set names is read back where there is a quorum, and counts nowhere.
func TestAudit(t *testing.T) {
	_, r := bank(t, Options{})
	res := run(t, r, testset.Set{Number: 1, Commands: []testset.Command{
		transfer(1, 1, 2, 4), transfer(2, 51, 3, 1), failed(3, "n5"), failed(4, "n6"),
	}})
	want := []AuditRead{{Item: 1, Outcome: Value, Value: 6}, {Item: 2, Outcome: Value, Value: 14}, {Item: 3, Outcome: Value, Value: 11}}
	for i := range res.Audit {
		if res.Audit[i].Node == "" {
			t.Errorf("item %d: nobody answered", res.Audit[i].Item)
		}
		res.Audit[i].Node = ""
	}
	if !slices.Equal(res.Audit, want) {
		t.Errorf("got %+v, want %+v", res.Audit, want)
	}
	if len(res.Calls) != 2 || len(res.Problems) > 0 {
		t.Errorf("%d calls, problems %q", len(res.Calls), res.Problems)
	}
	if res.Order != OrderConflict || res.Fault != FaultPause || res.Deadline != DefaultDeadline {
		t.Errorf("run as %q, %q, %s", res.Order, res.Fault, res.Deadline)
	}
}

func TestSample(t *testing.T) {
	var items []int64
	for i := range int64(1000) {
		items = append(items, 1000-i)
	}
	got := sample(items, 4)
	if want := []int64{1, 251, 501, 751}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := sample(items[:3], 4); len(got) != 3 {
		t.Errorf("got %v of three", got)
	}
}
