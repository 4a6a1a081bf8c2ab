// Package bench measures banks: `client bench`. It puts a load on one, counts
// what came of it, looks at what the nodes hold afterwards, and states the result
// with everything that it depends on.
//
//	code, err := command.Run(ctx, bench.Env{Stdout: os.Stdout, Command: nodes, Dir: dir})
//
// # The load
//
// Logical clients draw their operations from a seed (workload.go, zipf.go,
// presets.go). In a closed loop each has a number of operations under way and
// begins the next when one has ended. In an open loop (arrivals.go) operations
// begin by a schedule, whatever the bank does, and latency counts from the time
// that the schedule names: when the bank stalls for a second, everybody who would
// have come in that second waits too (coordinated omission is the mistake of
// leaving them out).
//
// The driver shares the machine with the nodes, so what it costs lowers what it
// measures. Transfers of one cluster go over one stream (lane.go): a goroutine
// sends whatever has gathered as one message, another takes the answers of one
// message (answers.go), finds each by index (ring.go), and lets its clients go
// on. Messages are read and written as bytes (wire.go, wireread.go). There is no
// allocation, no goroutine and no map a transfer. Every client has an identity of
// its own in every cluster, so that its timestamps there are consecutive: nodes
// then forget old outcomes one by one. The reads of one cluster go over a stream
// in the same way (readlane.go), found by slot. A read that its stream does not
// answer with a balance, and with --unary everything, is a call of its own
// (caller.go). What ends unknown is settled with Resolve (settle.go).
//
// # What makes a number
//
// After a run the nodes are left to come to rest. Then the balances have to add
// up to what was there before; live replicas have to agree; every item has to
// hold what the committed transfers say; and the nodes have to have applied an
// entry for every commit (audit.go). Where there were only reads, each must have
// returned the initial balance (readcheck.go). A run for which that is not so has
// no rates. Neither has one of a uniform mix of which less than 99 % was
// committed: it is void. Percentiles with fewer than ten samples beyond them are
// left out, and so is the interval of fewer than six repetitions (record.go,
// interval.go).
//
// The floor (floor.go, echo.go) is what the same machine can do at best in the
// same minute: syncs, and the same messages between two processes that do
// nothing with them.
//
// With --profile the nodes and the driver are profiled meanwhile (profile.go).
package bench
