// Package grpcopts holds the gRPC settings of the bank's connections, so that a
// node and whoever measures what a node could do at best use the same ones.
package grpcopts

import (
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
)

// The settings.
const (
	// MaxMessageBytes is the largest message that is sent or taken: one that holds
	// a whole checkpoint chunk or promise, and room.
	MaxMessageBytes = 64 << 20
	// Window is the flow-control window of a stream and of a connection. Setting it
	// switches gRPC's bandwidth estimator off, which would ping on every burst.
	Window = 4 << 20
	// PingAfter so much silence the other machine is asked whether it is still
	// there, and given up after PingTimeout: only a vanished machine needs that, a
	// killed process closes its sockets.
	PingAfter   = 20 * time.Second
	PingTimeout = 5 * time.Second
	// streamWorkers goroutines serve calls one after the other; calls beyond get one
	// each. A new goroutine has to grow its stack several times on the way through
	// gRPC and a handler, which is a twentieth of what a small call costs.
	streamWorkers = 128
	// MaxReplies is how many answers go into one message of a SubmitStream.
	MaxReplies = 4096
)

// Server returns what a gRPC server that serves a node needs.
func Server() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.ForceServerCodecV2(Codec{}),
		grpc.NumStreamWorkers(streamWorkers),
		grpc.MaxRecvMsgSize(MaxMessageBytes),
		grpc.MaxSendMsgSize(MaxMessageBytes),
		grpc.InitialWindowSize(Window),
		grpc.InitialConnWindowSize(Window),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: PingAfter / 2, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: PingAfter, Timeout: PingTimeout}),
	}
}
