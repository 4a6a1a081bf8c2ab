// Package oracle says what must, may and must not come of a test set, from the
// test set and the topology alone. It knows the protocol as ARCHITECTURE.md tells
// it and nothing of any server's code, does no I/O and is deterministic.
//
//	e, err := oracle.Expect(&set, topology, oracle.Options{})
//	e.Commands[i].Outcomes   // what command i may come to; one: it must
//	e.Why(i)                 // for people: "c2 has no quorum: n4 failed at line 5"
//	e.Balance("n3", 1002)    // what n3 may hold of item 1002 at the end
//	e.CSV(false)             // the same as an expected file
//
// # The rules
//
// A marker is a barrier: all that stands before it has ended, and every live
// replica of a cluster with a quorum has applied it. So who lives, and which
// cluster has a quorum, is fixed for every batch. Inside a batch, a transfer is
// invalid if it makes no sense, unavailable if the sender's cluster has no
// quorum, insufficient_funds if the sender has too little when its turn comes,
// aborted if the receiver's cluster has no quorum, and else committed; a read is
// answered if its cluster has a quorum. Under Conflict and Serial order the turns
// are those of the file, since only commands that share an item can see of each
// other; under Free order, any.
//
// A failed node keeps what it held. A node that returns to a cluster with a
// quorum has everything; one that returns to a cluster without may hold any
// prefix from what it had up to what the live ones hold.
//
// # What is open
//
// Some things are not settled by the test set: which node leads after the first
// leader is gone (and so whom LF strikes), the order of what conflicts under Free
// order, what a malformed transfer hears of a cluster without a quorum, and what
// Course semantics leaves to an implementation. A judge can settle more of them:
// Options.Victims says whom LF struck, Options.Open which commands were given up
// at their deadline and may have happened at any time since, or never.
//
// Everything that is possible is allowed; that holds always. The reverse, that
// what is allowed is possible, holds as long as the uncertainty is small: joint
// balances of items that depend on each other, the orders of conflicting commands
// and whom LF may have struck are kept exactly up to the bounds in options.go.
// Beyond them an item has a range of balances of its own, which forgets what
// hangs together, and a cluster may have a quorum or not.
//
// The files: options.go what can be set, liveness.go who lives, holds and leads,
// values.go sets of balances, bank.go what items may hold, ordered.go a batch in
// the order of the file, free.go and estimate.go one in any order, expect.go the
// whole, why.go its reasons, csv.go expected files.
package oracle
