// Package doctor examines an implementation of the public contract: it starts
// its nodes (or attaches to them), tries every call in real scenarios, and says
// which are missing, which do not do what docs/protocol.md says, and what that
// costs whoever has the implementation graded.
//
//	report, err := doctor.Examine(ctx, doctor.Options{Command: command, Topology: topology, Dir: dir})
//	err = report.Print(os.Stdout)
//	if !report.Sound() { … }
//
// There are three levels. L0: a healthy bank moves money, answers reads and is
// reset. L1: it is configured, nodes fail and recover, and the driver can see
// what each of them holds. L2: everything that explains more. What is missing
// from L2 is not graded; it is no failure.
//
// Every probe is bounded. One that a failure before it kept from being tried
// says so: it is neither good nor bad.
//
// The files: calls.go the levels, calls and probes; doctor.go the examination
// and its scenarios; bank.go what scenarios do to the bank, nodes.go connections
// to the nodes; level0.go, level1.go, failures.go and level2.go the scenarios; report.go and
// print.go the result.
package doctor
