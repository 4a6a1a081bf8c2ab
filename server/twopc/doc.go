// Package twopc holds what only a leader knows of two-phase commit: the lock
// table with its waiters (locks.go), the coordinator's attempts and the
// participant's transactions as state machines (attempt.go), and who leads the
// other clusters (directory.go). messages.go lists what leaders say to each
// other.
//
// It is pure. It decides who gets a lock, who waits and who gives way; when an
// attempt may be committed or must be aborted; and whom to ask next. It neither
// logs nor sends: package replica turns its decisions into log entries and
// messages.
//
// Waiting follows wait-die (Rosenkrantz, Stearns, Lewis, System Level
// Concurrency Control for Distributed Database Systems, 1978): a TwoPCPrepare
// that meets a held lock waits only if it is older than the holder. Whoever
// waits at step 0 holds nothing, so it may wait whatever its age.
package twopc
