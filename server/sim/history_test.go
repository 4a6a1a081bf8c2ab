package sim

import (
	"maps"
	"strings"
	"testing"
	"time"

	"paxbank/internal/history"
	"paxbank/server/bank"
	"paxbank/server/ids"
	"paxbank/server/replica"
)

// historySteps is what the search for an order may take.
const historySteps = 20_000

// porcupine judges by internal/history.
func porcupine(initial func(item int64) int64, ops []Operation) Judgement {
	outcomes := map[bank.Outcome]history.Outcome{bank.OutcomeNone: history.Indeterminate,
		bank.OutcomeCommitted: history.Committed, bank.OutcomeInsufficientFunds: history.InsufficientFunds}
	list := make([]history.Op, len(ops))
	for i, o := range ops {
		list[i] = history.Op{ID: i, Read: o.Read, Item: o.Item, Value: o.Value,
			From: o.Transfer.From, To: o.Transfer.To, Amount: o.Transfer.Amount,
			Call: time.Duration(o.Call), Return: time.Duration(o.Return), Outcome: outcomes[o.Outcome]}
		if o.Read {
			list[i].Outcome = history.Value
		}
	}
	switch r := history.CheckSteps(initial, list, historySteps); r.Verdict {
	case history.Yes:
		return Judgement{}
	case history.No:
		return Judgement{Refuted: r.Reason}
	}
	return Judgement{Unknown: true}
}

// TestHistories: another judge, who knows only what clients saw, can explain it
// too. Asking it changes nothing of the run, and it says the same thing twice.
func TestHistories(t *testing.T) {
	met := Coverage{}
	for seed := range uint64(8) {
		judged := Run(Options{Seed: seed, Requests: 150, Judge: porcupine})
		if judged.Failure != nil {
			t.Fatalf("seed %d: %v", seed, judged.Failure)
		}
		met.Merge(judged.Coverage)
		if seed%4 != 0 {
			continue
		}
		plain, again := Run(Options{Seed: seed, Requests: 150}), Run(Options{Seed: seed, Requests: 150, Judge: porcupine})
		if judged.Hash != plain.Hash || !maps.Equal(judged.Coverage, again.Coverage) {
			t.Errorf("seed %d: hash %x with a judge and %x without; met %v with it, and then %v", seed, judged.Hash, plain.Hash,
				judged.Coverage, again.Coverage)
		}
	}
	yes, unknown := met["history: explained"], met["history: given up"]
	if yes < 6 || unknown > yes/2 {
		t.Errorf("%d histories were explained, %d given up", yes, unknown)
	}
}

// TestHistoryIsRefuted: a read that lies is seen by what clients saw alone.
func TestHistoryIsRefuted(t *testing.T) {
	lies := lying(func(f *replica.Effects) {
		for i := range f.Answers {
			if a := &f.Answers[i]; a.Outcome == bank.OutcomeCommitted && a.Balance > 0 {
				a.Balance++ // reads only: a transfer's answer has no balance
			}
		}
	})
	const seeds = 40
	for seed := range uint64(seeds) {
		a := Run(Options{Seed: seed, newCore: lies, Judge: porcupine, sabotage: sabotageReads})
		if a.Failure == nil {
			continue
		}
		b := Run(Options{Seed: seed, newCore: lies, Judge: porcupine, sabotage: sabotageReads})
		if a.Failure.Invariant != "strict serialisability" || !strings.Contains(a.Failure.Detail, "by what clients saw") {
			t.Errorf("seed %d: %v, want strict serialisability violated by what clients saw", seed, a.Failure)
		}
		if b.Failure == nil || a.Failure.Error() != b.Failure.Error() {
			t.Errorf("seed %d: %v, and the second time %v", seed, a.Failure, b.Failure)
		}
		t.Logf("seed %d: %v", seed, a.Failure)
		return
	}
	t.Errorf("%d seeds see nothing", seeds)
}

// TestOperations: only what may have had an effect is judged, from when to when.
func TestOperations(t *testing.T) {
	transfer := ids.Transfer{From: 1, To: 2, Amount: 3}
	seen := func(o bank.Outcome, done bool) *request {
		return &request{transfer: transfer, outcome: o, done: done, start: epochStart + 5, end: epochStart + 9}
	}
	read := seen(bank.OutcomeCommitted, true)
	read.read, read.item, read.value, read.transfer = true, 4, 17, ids.Transfer{}
	unserved := seen(bank.OutcomeUnavailable, true)
	unserved.read = true
	malformed := seen(bank.OutcomeInvalid, true)
	malformed.malformed = true
	e := &era{requests: []*request{seen(bank.OutcomeCommitted, true), seen(bank.OutcomeAborted, true),
		seen(bank.OutcomeNone, false), read, unserved, malformed, seen(bank.OutcomeInsufficientFunds, true)}}
	want := []Operation{
		{Transfer: transfer, Outcome: bank.OutcomeCommitted, Call: 5, Return: 9},
		{Transfer: transfer, Outcome: bank.OutcomeNone, Call: 5, Return: 9},
		{Read: true, Item: 4, Value: 17, Outcome: bank.OutcomeCommitted, Call: 5, Return: 9},
		{Transfer: transfer, Outcome: bank.OutcomeInsufficientFunds, Call: 5, Return: 9},
	}
	got := e.operations()
	if len(got) != len(want) {
		t.Fatalf("operations %+v, want %+v", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("operation %d is %+v, want %+v", i, got[i], want[i])
		}
	}
}
