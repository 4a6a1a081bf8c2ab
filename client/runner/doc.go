// Package runner carries a test set out: it resets the nodes, sets who lives,
// runs the batches between the markers, and brings home what happened. Packages
// check and report only read that.
//
//	r, err := runner.New(runner.Options{Nodes: nodes, …})
//	result, err := r.RunSet(ctx, set) // a SetResult; err: the nodes cannot be used
//
// A marker (F, R, LF) is a barrier. Before it acts, every command has ended,
// unknown outcomes are resolved as far as there is a quorum, and live replicas
// have applied everything; so what a failed node holds can be predicted. Nothing
// here sleeps: all waiting is on conditions that nodes report, with a bound, and
// a wait that runs out becomes a problem of the set, which makes its verdict
// unknown. Nothing is judged here.
//
// The files: runner.go a set from start to end, start.go reset and leaders,
// batch.go the commands between two markers and which may run at once, marker.go
// the markers, wait.go the conditions that are waited for, contract.go what nodes do
// against the contract, collect.go what every node says afterwards, result.go what
// is brought home.
package runner
