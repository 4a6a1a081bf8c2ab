package main

import (
	"time"

	"paxbank/internal/history"
	"paxbank/server/bank"
	"paxbank/server/sim"
)

// historySteps is what the search for an order may take.
const historySteps = 20_000

// serialisable is the simulator's Judge: internal/history, with a budget in steps.
func serialisable(initial func(item int64) int64, ops []sim.Operation) sim.Judgement {
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
		return sim.Judgement{}
	case history.No:
		return sim.Judgement{Refuted: r.Reason}
	}
	return sim.Judgement{Unknown: true}
}
