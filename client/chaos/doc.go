// Package chaos runs a bank of real server processes under load while they are
// killed, frozen and cut off, and then asks whether anything was lost. It has no
// code of its own, only tests; it is a client package because it meets the
// server where every user does: at its program and its gRPC services.
//
//	go test ./client/chaos                     the short run, as in CI
//	CHAOS_TIME=2m go test -timeout 10m ./client/chaos -run TestChaos -v
//	CHAOS_SEED=42 …                            the same faults and transfers again
//
// The simulator (server/sim) explores far more interleavings and repeats them
// from a seed. What only this can show is that the real disk, the real sockets
// and kill -9 do what the simulator believes of them.
//
// The files: fleet_test.go starts and fails nodes, load_test.go is the clients,
// nemesis_test.go chooses faults, judge_test.go looks at what is left,
// chaos_test.go joins these; failover_test.go, durable_test.go, fulldisk_test.go
// and garbage_test.go hold single promises.
package chaos
