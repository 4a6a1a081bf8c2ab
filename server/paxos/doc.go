// Package paxos is one cluster's replicated log: Multi-Paxos with a stable
// leader, as a pure and deterministic state machine. It decides; it never
// waits, writes, sends or asks for the time. To it the data of an entry is
// opaque.
//
// # Driving a Node
//
// The caller owns a Node and calls it from one place:
//
//	n := paxos.New(cfg, stable, now)   // stable: what Replay found on disk
//	n.SetLive(now, true)
//	for each event {
//	        n.Step(now, from, message) // or PeerReset, Durable, Propose, RequestRound
//	        n.Tick(now)
//	        n.Flush(now)
//	        if i, state, ok := n.TakeCheckpoint(); ok { install it }
//	        for e, ok := n.NextCommitted(); ok; e, ok = n.NextCommitted() { apply e }
//	        out := n.Output()
//	        // write out.Records in one atomic, synced batch named out.Write, call
//	        // Durable(out.Write) when it is on disk; each of out.Sends may leave as
//	        // soon as the write it names in After is durable (0: at once)
//	        n.ClearOutput()
//	        // sleep until the next event or n.Wake()
//	}
//
// Records must be written in order and none may be left out, whatever happens
// to the sends of the same batch: the Node already counts on them.
//
// # The protocol in one page
//
// A ballot is (counter, node). A node that hears no leader asks everybody with
// PREVOTE whether a PREPARE would be promised; when a quorum would, it raises its
// own promise and, once that is on disk, sends PREPARE. PROMISEs bring the
// accepted entries above each sender's commit index. The candidate first fetches
// what is already chosen (FETCH, CATCH-UP), then merges the rest: at each index
// the value accepted at the highest ballot, NO-OP where there is none. The merged
// tail, ended by the leader's own VIEW entry, is the NEW-VIEW message; from then
// on the leader proposes with ACCEPT, many entries a message, many messages in
// flight. Followers that a quorum can do without get theirs a little later, those
// of some milliseconds together (Config.SpareAfter).
//
// An acceptor's answers speak of its run: the contiguous entries that it holds
// at the leader's ballot, from the first index of the leader's view on. ACCEPTED
// says how far that run is on disk; what lies above a hole is not stored but
// reported as a gap and sent again. The commit index is what a quorum's runs
// reach, the leader counting itself only for what its own disk has confirmed.
// COMMIT moves a follower only over its run. What a follower lacks below the
// leader's view comes by CATCH-UP, and what the leader no longer holds as a
// CHECKPOINT in chunks; both start at the first answer that shows the need.
//
// Everything that could grow is bounded: what is sent and stored at a time by
// Config, the rest by a constant in limits.go.
//
// Source: Lamport, Paxos Made Simple (2001), section 3; pre-vote and the
// step-down rule as in Ongaro's thesis (2014), sections 6.2 and 9.6; a leader that
// asks only a quorum is called thrifty in Moraru, Andersen, Kaminsky, There Is More
// Consensus in Egalitarian Parliaments (2013).
package paxos
