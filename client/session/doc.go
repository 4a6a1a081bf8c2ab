// Package session is a client of the bank: it knows the topology, finds each
// cluster's leader, sends a request again with the same (client, timestamp)
// until its deadline, and tells what became of it without ever guessing.
//
// Three things are kept apart here, because the verdict of a run depends on it:
//
//   - an answer that settles the request (committed, insufficient_funds, invalid);
//   - a send that certainly had no effect: the bank said so (aborted,
//     unavailable, not the leader), or it never left this process, or the node
//     refused it before looking at it;
//   - a send that may have had one: no answer, a broken connection, "unknown".
//
// Aborted and unavailable are reported only when every send was of the second
// sort. Otherwise the outcome is Unknown, and Resolve settles it later.
//
// What nodes answer against the contract is noted as well (Nodes.Violations): a
// request that was sent again until it had a proper answer hides it.
//
// The files: session.go the requests and their identities, pursue.go the search
// for a node that answers, answer.go what answers mean, link.go one node's
// connection, stream.go the stream that carries many transfers a message, nodes.go
// all connections, contract.go what answers may not say.
package session
