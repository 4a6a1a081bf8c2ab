package sim

import (
	"paxbank/server/bank"
	"paxbank/server/ids"
)

// A second opinion on strict serialisability. The checks in finish.go know when
// every entry was applied, and so the one order that there can be; a Judge knows
// only what the clients saw, and looks for an order itself. It would notice a
// mistake that this package makes in its own bookkeeping.

// Judge decides whether operations can be explained by one serial order that
// respects real time, from the balances that initial gives. It has to be
// deterministic: a budget of its own is one of steps, not of time.
type Judge func(initial func(item int64) int64, ops []Operation) Judgement

// Operation is what a client saw of a transfer or a read that may have had an
// effect.
type Operation struct {
	Read     bool
	Item     int64 // of a read
	Value    int64 // that it returned
	Transfer ids.Transfer
	// Outcome is committed or insufficient_funds; or none: the client never heard,
	// and it may have taken effect at any time from Call on, or not.
	Outcome      bank.Outcome
	Call, Return ids.Duration // since the run began
}

// Judgement is what a Judge came to.
type Judgement struct {
	// Unknown: the budget was spent. That is counted, and never a failure.
	Unknown bool
	// Refuted says why no order explains the operations, naming as few of them as
	// possible; it is empty when one does.
	Refuted string
}

// checkHistory asks for the second opinion on one era.
func (w *world) checkHistory(e *era) {
	if w.opt.Judge == nil {
		return
	}
	switch j := w.opt.Judge(e.truth.topology.Balance, e.operations()); {
	case j.Unknown:
		w.cov.add("history", "given up")
	case j.Refuted != "":
		w.fail("strict serialisability", "by what clients saw: %s", j.Refuted)
	default:
		w.cov.add("history", "explained")
	}
}

// operations lists what clients saw of an era, as far as it can have had an
// effect.
func (e *era) operations() []Operation {
	var ops []Operation
	for _, r := range e.requests {
		op := Operation{Read: r.read, Item: r.item, Value: r.value, Transfer: r.transfer, Outcome: r.outcome,
			Call: ids.Duration(r.start - epochStart), Return: ids.Duration(r.end - epochStart)}
		switch {
		case r.malformed, r.read && (!r.done || r.outcome != bank.OutcomeCommitted):
			continue
		case !r.done:
			op.Outcome = bank.OutcomeNone
		case r.outcome != bank.OutcomeCommitted && r.outcome != bank.OutcomeInsufficientFunds:
			continue // aborted or unavailable: nothing has happened
		}
		ops = append(ops, op)
	}
	return ops
}
