// Package diff compares what two implementations, A and B, made of the same sets,
// and says of each difference whether it is a bug of one of them, a freedom that
// the protocol leaves, or nothing that can be decided. It calls nobody.
//
//	d := diff.Sets(diff.Side{Result: &a, Verdict: &va}, diff.Side{Result: &b, Verdict: &vb})
//	diff.Worst(d)  // Bug, Undecidable, Freedom or "" when there is none
//	diff.Groups(d) // the same, by what they come from
//
// What is right is not decided by comparing: each side was judged by itself, and
// its own checks (package check, with the oracle's among them) say what it may
// do. So two sides that do the same wrong thing have a bug both, although they do
// not differ; and where both did what they may, the difference is freedom: who
// leads, whom LF strikes, which of two conflicting transfers comes first.
//
// The files: diff.go the types and the classes, calls.go outcomes, state.go what
// nodes hold, checks.go what the judge said besides, cause.go
// which differences come from the same thing.
package diff
