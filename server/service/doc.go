// Package service is the shell around a replica: it turns requests and messages
// into events, and effects into writes, messages and answers.
//
// One goroutine, the owner (engine), holds the replica. It drains its queue,
// lets the replica step, hands what must be durable to the writer, sends what
// may leave at once, and answers clients. The writer makes everything that has
// gathered durable with one synced write while the owner goes on; then the
// messages that waited for it leave. Inspections run on the owner between two
// steps. Everything that waits has a deadline.
//
// A configuration or a reset replaces the engine (an incarnation) as a whole,
// so nothing of the time before can reach the time after.
package service
