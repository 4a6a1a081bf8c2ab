// Package paxbankv1 is the generated code of the gRPC contract.
//
//	bank.proto     submit a transfer, read a balance, resolve    public
//	control.proto  configure, reset, fail, recover, status       public
//	inspect.proto  what the Print tables show                    public
//	replica.proto  Multi-Paxos and two-phase commit              between our nodes only
//
// docs/protocol.md explains the public part to those who implement it. make proto
// generates the code again; this file and the test are written by hand.
package paxbankv1
