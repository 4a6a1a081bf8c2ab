// Package sandbox runs programs that other people wrote, so that one that hangs,
// forks without end, floods its output, fills the disk, looks for the answers or
// dies costs only itself.
//
//	func main() {
//		sandbox.Early() // first of all: this program is also its own box
//		…
//	}
//
//	policy := &sandbox.Policy{Mode: sandbox.Auto, Work: dir, Hidden: []string{results}}
//	result, err := sandbox.Run(ctx, sandbox.Step{Policy: policy, Args: []string{"make"}, Log: "build.log", Timeout: time.Minute})
//
// There are two layers.
//
// A box is one program and all that it starts. The driver starts itself again as
// `client __box`, in new namespaces where the system has them. That process, the
// init of the box, makes the file system read-only, hides what has to be hidden,
// mounts a /tmp of its own, sets the limits, starts the program under a user of
// its own with a clean environment, and then waits: it reaps orphans, passes
// signals on, and watches memory, number of processes and disk, which no
// namespace bounds. When the program ends, when a limit is passed, or when the
// pipe to the driver breaks, everything in the box dies with the init. What is
// the program's own doing is no error but part of the Result.
//
// A private network (Worker) is a new network namespace with nothing but a
// loopback, for a driver and all nodes that it starts: they reach each other and
// nobody else. A box whose step says OwnNetwork has one for itself alone.
//
// Which of this is in force depends on the system and on who asks. It is found
// out once, by trying (Describe), and said in the report. With Required, a part
// that is missing is an error; with Auto the box is as tight as it can be; with
// None it is a process group with limits. Outside Linux, None is all there is. Root
// in a container without namespaces still has users to give: what is Hidden is then
// as hidden as its rights say, and Describe says whether they do.
//
// What a box does not do: hide files that its user can read and that Hidden does
// not name; bound the bandwidth of disk or CPU; filter system calls.
//
// The files: policy.go what is wanted, step.go and process.go the driver's side,
// access.go rights where there is nothing else, output.go what is kept of the
// output, describe.go what is in force, escape.go showing what a program printed;
// protocol.go what driver and init say to each other; init.go the init, with
// mounts_linux.go, watch.go, tasks_linux.go and limits.go; network.go the private
// network.
package sandbox
