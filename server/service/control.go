package service

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	pb "paxbank/proto/paxbank/v1"
	"paxbank/server/replica"
)

func (n *Node) stopping() error {
	return status.Errorf(codes.Unavailable, "%s is stopping", n.opts.ID)
}

// Configure implements Control. The same node, topology and epoch go on with
// what is on the disk; a higher epoch replaces everything.
func (n *Node) Configure(ctx context.Context, req *pb.ConfigureRequest) (*pb.ConfigureReply, error) {
	inc, err := n.incarnation(proto.CloneOf(req))
	if err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "%s: %v", n.opts.ID, err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return nil, n.stopping()
	}
	before := n.current.Load()
	switch {
	case before == nil || inc.epoch > before.epoch:
		err = n.replace(inc)
	case inc.epoch < before.epoch:
		return nil, status.Errorf(codes.FailedPrecondition, "%s is in epoch %d; epoch %d is over", n.opts.ID, before.epoch, inc.epoch)
	case inc.hash != before.hash:
		return nil, status.Errorf(codes.FailedPrecondition,
			"%s belongs to another topology (%016x, not %016x) in epoch %d; a higher epoch replaces it and its data", n.opts.ID, before.hash, inc.hash, before.epoch)
	default:
		err = n.resume(ctx, inc, before)
	}
	if err != nil {
		return nil, callError(err)
	}
	return &pb.ConfigureReply{Topology: inc.hash, Epoch: inc.epoch}, nil
}

// Reset implements Control.
func (n *Node) Reset(_ context.Context, req *pb.ResetRequest) (*pb.ResetReply, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return nil, n.stopping()
	}
	before, err := n.configured(codes.FailedPrecondition)
	if err != nil {
		return nil, err
	}
	switch {
	case req.GetEpoch() < before.epoch:
		return nil, status.Errorf(codes.FailedPrecondition, "%s is in epoch %d; epoch %d is over", n.opts.ID, before.epoch, req.GetEpoch())
	case req.GetEpoch() > before.epoch:
		next := proto.CloneOf(before.request)
		next.Epoch = req.GetEpoch()
		inc, err := n.incarnation(next)
		if err != nil {
			return nil, status.Errorf(codes.Internal, "%s: %v", n.opts.ID, err)
		}
		if err := n.replace(inc); err != nil {
			return nil, callError(err)
		}
	}
	return &pb.ResetReply{Epoch: req.GetEpoch()}, nil
}

// SetLive implements Control; it is in force when it is answered.
func (n *Node) SetLive(ctx context.Context, req *pb.SetLiveRequest) (*pb.SetLiveReply, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return nil, n.stopping()
	}
	inc, err := n.configured(codes.FailedPrecondition)
	if err != nil {
		return nil, err
	}
	if err := inc.engine.setLive(ctx, req.GetLive()); err != nil {
		return nil, callError(err)
	}
	return &pb.SetLiveReply{}, nil
}

// Status implements Control.
func (n *Node) Status(ctx context.Context, _ *pb.StatusRequest) (*pb.StatusReply, error) {
	inc := n.current.Load()
	if inc == nil {
		return &pb.StatusReply{NodeId: n.opts.ID}, nil
	}
	var s replica.Status
	if err := inc.engine.do(ctx, "its status", func() {
		s = inc.engine.core.Status()
		s.Quiet = s.Quiet && inc.engine.quiet()
	}); err != nil {
		return nil, callError(err)
	}
	return &pb.StatusReply{
		NodeId: n.opts.ID, Cluster: inc.cluster, Configured: true, Topology: inc.hash, Epoch: inc.epoch,
		Live: s.Live, Ready: s.Ready, Leader: inc.nodeName(s.Leader), Ballot: inc.ballot(s.Ballot), Quorum: s.Quorum,
		LastIndex: s.LastIndex, CommitIndex: s.CommitIndex, AppliedIndex: s.Applied,
		Requests: uint64(s.Requests), Locks: uint64(s.Locks), UndoRecords: uint64(s.UndoRecords),
		Prepared: uint64(s.Prepared), Decided: uint64(s.Decided),
		Quiet: s.Quiet, Checksum: s.Checksum, Elections: s.Elections,
	}, nil
}
