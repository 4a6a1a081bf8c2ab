// Package sim runs whole banks in one thread: many replicas of server/replica
// in one seeded event loop, with a simulated network, disks, clocks and clients.
// The core is the one that the server runs; only what surrounds it is replaced.
//
// One seed decides everything: the shape of the bank, the limits, which faults
// are on and when they strike. A run has two phases. In the safety phase faults
// strike while clients work, and every invariant of the protocol that can be
// seen from outside is checked after every step. In the liveness phase the
// faults stop, everybody comes back, and within a bounded virtual time every
// request must have ended and every replica must be idle and equal.
//
// Where to start reading:
//
//	run.go      Run: one seed from start to verdict
//	plan.go     what a seed decides
//	world.go    the event loop and virtual time
//	node.go     a node: process, queue, clock, step, effects
//	checks.go   what is checked of a node in every step
//	majority.go what takes a majority: to choose an entry, to serve a read
//	disk.go     what is written when
//	crash.go    what a crash leaves of it, and what a restarted node makes of that
//	edges.go    what happens at the bounds of the log, for coverage
//	network.go  delays, loss, duplicates, partitions, resets
//	nemesis.go  the faults and when they strike
//	client.go   clients: retries, duplicates, resolving what is unknown
//	request.go  what a client wants, and its sends
//	call.go     the node's side of a client's call, and the check of its answer
//	truth.go    the checker: one model of every cluster's log, fed by whoever
//	            applies an index first; everybody else has to agree with it
//	finish.go   the liveness phase and the checks at the end
//	history.go  a second opinion on what the clients saw
//	trace.go    the readable trace and its hash
//	scale.go    Measure: what a transfer costs in a bank of any shape, without faults
//	traffic.go  messages, bytes, entries and writes, counted
//
// The checker trusts nothing that the core says about itself except which entry
// was applied with which effect; balances, locks and outcomes are computed here
// a second time, as simply as possible.
package sim
