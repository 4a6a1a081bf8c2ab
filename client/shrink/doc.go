// Package shrink makes a failing test set smaller for as long as it goes on
// failing. It runs nothing: the caller says whether a candidate fails.
//
//	failure, seen, ok := shrink.FailureOf(&verdict, "")    // what has to persist
//	best, err := shrink.Set(set, topology, shrink.Options{Simplify: true}, fails)
//	files, err := shrink.Write("small.csv", head, best, expected, topology)
//
// The search is delta debugging (A. Zeller and R. Hildebrandt, Simplifying and
// Isolating Failure-Inducing Input, IEEE Transactions on Software Engineering
// 28(2), 2002): ddmin over the commands, markers among them, then over the live
// nodes, until neither gets shorter; then smaller amounts and lower items. When
// it ends by itself, no single command and no single live node can be left out.
//
// The files: ddmin.go the algorithm, set.go the stages, simplify.go amounts and
// items, failure.go what counts as the same failure, write.go the result as a
// test set that can be run.
package shrink
