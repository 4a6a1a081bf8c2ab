// Package bank is the replicated state machine: the balances of one cluster's
// items, the undo records and prepared transactions of two-phase commit, the
// decisions still to be delivered, and the sessions that make every request
// execute at most once.
//
// It is pure: State.Apply(entry) changes the state and says what it did, and
// the same entries give the same state on every replica. It knows neither how
// entries are agreed on (package paxos) nor who sends what to whom (package
// twopc); package replica joins the three.
//
// The rules that look like details are those of ARCHITECTURE.md: undo records
// are written when P is applied, not when it is proposed; an entry whose origin
// is below the highest VIEW applied is void (the fence); a C or A whose
// (seq, txn) is not prepared is void; a first entry whose request already has
// an outcome is void.
package bank
