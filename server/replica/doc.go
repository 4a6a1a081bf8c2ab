// Package replica is one node's mind. It joins the replicated log (package
// paxos), the state machine (package bank) and two-phase commit (package twopc)
// and knows nothing of disks, networks, clocks and goroutines: events go in,
// effects come out.
//
//	for {
//		r.Step(now, events)          // deterministic
//		e := r.Effects()
//		// write e.Records as one batch, number e.Write; send what waits for no
//		// write; answer clients; when a write is on disk, send what waited for it
//		// and feed EventDurable back; call Step again at e.Wake at the latest
//	}
//
// The files: replica.go the step and its order; client.go requests and their
// answers; coordinator.go and participant.go the two sides of a cross-shard
// transfer; leader.go what happens when leadership is won or lost; timer.go
// waiting; inspect.go what a node says of itself; limits.go every bound;
// api.go the types at the border.
package replica
