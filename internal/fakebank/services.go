package fakebank

import (
	"context"
	"io"
	"slices"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "paxbank/proto/paxbank/v1"
)

type bankService struct {
	pb.UnimplementedBankServer
	n *Node
}

// enter is what every call of the Bank service begins with.
func (n *Node) enter() (gone chan struct{}, err error) {
	n.bank.mu.Lock()
	defer n.bank.mu.Unlock()
	return n.gone, n.refused()
}

var errHungUp = status.Error(codes.Unavailable, "disconnected while the request was under way")

func (s bankService) Submit(ctx context.Context, q *pb.TransactionRequest) (*pb.TransactionReply, error) {
	gone, err := s.n.enter()
	if err != nil {
		return nil, err
	}
	if reply := s.n.transfer(q); reply != nil {
		return reply, nil
	}
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-gone:
		return nil, errHungUp
	}
}

func (s bankService) SubmitStream(stream grpc.BidiStreamingServer[pb.TransactionRequestBatch, pb.TransactionReplyBatch]) error {
	if s.n.bank.NoStream {
		return s.UnimplementedBankServer.SubmitStream(stream)
	}
	gone, err := s.n.enter()
	if err != nil {
		return err
	}
	var sending sync.Mutex
	ended := make(chan error, 1)
	var wg sync.WaitGroup
	go func() {
		for {
			batch, err := stream.Recv()
			if err != nil {
				ended <- err
				return
			}
			for _, q := range batch.GetRequests() {
				wg.Go(func() {
					reply := s.n.transfer(q)
					if reply == nil {
						return
					}
					sending.Lock()
					defer sending.Unlock()
					// A client that went away needs no answer.
					_ = stream.Send(&pb.TransactionReplyBatch{Replies: []*pb.TransactionReply{reply}})
				})
			}
		}
	}()
	select {
	case err := <-ended:
		wg.Wait()
		if err == io.EOF {
			return nil
		}
		return err
	case <-gone:
		return errHungUp
	}
}

func (s bankService) Read(_ context.Context, q *pb.ReadRequest) (*pb.ReadReply, error) {
	if _, err := s.n.enter(); err != nil {
		return nil, err
	}
	b := s.n.bank
	b.mu.Lock()
	defer b.mu.Unlock()
	if r, leader, epoch := s.n.admit(q.GetEpoch()); r != pb.Result_RESULT_UNSPECIFIED {
		return &pb.ReadReply{Result: r, Leader: leader, Epoch: epoch}, nil
	}
	return &pb.ReadReply{Result: pb.Result_RESULT_COMMITTED, Balance: b.balance(q.GetItem())}, nil
}

func (s bankService) ReadStream(stream grpc.BidiStreamingServer[pb.ReadRequestBatch, pb.ReadReplyBatch]) error {
	if s.n.bank.NoStream {
		return s.UnimplementedBankServer.ReadStream(stream)
	}
	gone, err := s.n.enter()
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- s.reads(stream) }()
	select {
	case err := <-ended:
		return err
	case <-gone:
		return errHungUp
	}
}

// reads answers what comes along a stream, until the client ends it.
func (s bankService) reads(stream grpc.BidiStreamingServer[pb.ReadRequestBatch, pb.ReadReplyBatch]) error {
	for {
		batch, err := stream.Recv()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		out := &pb.ReadReplyBatch{}
		for _, q := range batch.GetReads() {
			reply, err := s.Read(stream.Context(), &pb.ReadRequest{Epoch: batch.GetEpoch(), Topology: batch.GetTopology(), Item: q.GetItem(), DeadlineMs: q.GetDeadlineMs()})
			if err != nil {
				return err
			}
			out.Replies = append(out.Replies, &pb.NumberedReadReply{Number: q.GetNumber(), Reply: reply})
		}
		if err := stream.Send(out); err != nil {
			return err
		}
	}
}

func (s bankService) Resolve(_ context.Context, q *pb.ResolveRequest) (*pb.ResolveReply, error) {
	if _, err := s.n.enter(); err != nil {
		return nil, err
	}
	b := s.n.bank
	b.mu.Lock()
	defer b.mu.Unlock()
	if r, leader, epoch := s.n.admit(q.GetEpoch()); r != pb.Result_RESULT_UNSPECIFIED {
		return &pb.ResolveReply{Result: r, Leader: leader, Epoch: epoch}, nil
	}
	key := [2]uint64{q.GetClientId(), q.GetTimestamp()}
	if _, ok := b.outcomes[key]; !ok {
		b.outcomes[key] = pb.Result_RESULT_ABORTED // the tombstone
	}
	return &pb.ResolveReply{Result: b.outcomes[key], Final: true}, nil
}

type controlService struct {
	pb.UnimplementedControlServer
	n *Node
}

func (s controlService) Configure(_ context.Context, q *pb.ConfigureRequest) (*pb.ConfigureReply, error) {
	b := s.n.bank
	b.mu.Lock()
	defer b.mu.Unlock()
	if q.GetEpoch() != s.n.epoch {
		b.clear()
	}
	s.n.epoch, s.n.configured = q.GetEpoch(), true
	s.n.setLive(false)
	return &pb.ConfigureReply{Epoch: q.GetEpoch(), Topology: b.topology.Hash()}, nil
}

func (s controlService) Reset(_ context.Context, q *pb.ResetRequest) (*pb.ResetReply, error) {
	b := s.n.bank
	b.mu.Lock()
	defer b.mu.Unlock()
	if q.GetEpoch() < s.n.epoch {
		return nil, status.Errorf(codes.FailedPrecondition, "epoch is %d", s.n.epoch)
	}
	b.clear()
	s.n.epoch = q.GetEpoch()
	s.n.setLive(false)
	return &pb.ResetReply{Epoch: q.GetEpoch()}, nil
}

func (s controlService) SetLive(_ context.Context, q *pb.SetLiveRequest) (*pb.SetLiveReply, error) {
	s.n.bank.mu.Lock()
	defer s.n.bank.mu.Unlock()
	s.n.setLive(q.GetLive())
	return &pb.SetLiveReply{}, nil
}

func (s controlService) Status(context.Context, *pb.StatusRequest) (*pb.StatusReply, error) {
	n, b := s.n, s.n.bank
	b.mu.Lock()
	defer b.mu.Unlock()
	st := &pb.StatusReply{
		NodeId: n.id, Cluster: b.topology.Clusters[n.cluster].ID, Configured: n.configured, Epoch: n.epoch, Live: n.live,
		Quiet: !b.NoQuiet, Elections: n.elections,
	}
	if n.configured {
		st.Topology = b.topology.Hash()
	}
	if n.live {
		st.Leader, st.Quorum = b.leader(n.cluster), b.quorum(n.cluster)
		st.Ready = st.Leader == n.id
	}
	index := uint64(len(n.replica().log))
	st.LastIndex, st.CommitIndex, st.AppliedIndex = index, index, index
	return st, nil
}

type inspectService struct {
	pb.UnimplementedInspectServer
	n *Node
}

func (s inspectService) Balance(_ context.Context, q *pb.BalanceRequest) (*pb.BalanceReply, error) {
	b := s.n.bank
	b.mu.Lock()
	defer b.mu.Unlock()
	reply := &pb.BalanceReply{}
	for _, item := range q.GetItems() {
		if c, ok := b.topology.Items.Cluster(item); ok && c == s.n.cluster {
			reply.Items = append(reply.Items, &pb.BalanceReply_Item{Item: item, Balance: s.n.balance(item)})
		}
	}
	return reply, nil
}

func (s inspectService) Database(_ *pb.DatabaseRequest, stream grpc.ServerStreamingServer[pb.DatabaseReply]) error {
	b := s.n.bank
	b.mu.Lock()
	reply := &pb.DatabaseReply{}
	for item := range s.n.replica().balances {
		if c, _ := b.topology.Items.Cluster(item); c == s.n.cluster {
			reply.Items = append(reply.Items, &pb.BalanceReply_Item{Item: item, Balance: s.n.balance(item)})
		}
	}
	b.mu.Unlock()
	return stream.Send(reply)
}

func (s inspectService) Log(_ *pb.LogRequest, stream grpc.ServerStreamingServer[pb.LogReply]) error {
	b := s.n.bank
	b.mu.Lock()
	reply := &pb.LogReply{Entries: slices.Clone(s.n.replica().log)}
	b.mu.Unlock()
	return stream.Send(reply)
}

func (s inspectService) Views(context.Context, *pb.ViewsRequest) (*pb.ViewsReply, error) {
	b := s.n.bank
	return &pb.ViewsReply{Views: []*pb.NewView{{
		Ballot: "1." + b.topology.Clusters[s.n.cluster].Nodes[0].ID, Leader: b.topology.Clusters[s.n.cluster].Nodes[0].ID, FirstIndex: 1,
	}}}, nil
}

func (s inspectService) Performance(context.Context, *pb.PerformanceRequest) (*pb.PerformanceReply, error) {
	return &pb.PerformanceReply{LockHold: &pb.Histogram{
		Count: 2, SumUs: 30, MaxUs: 20, Buckets: []*pb.Bucket{{UpperUs: 10, Count: 1}, {UpperUs: 20, Count: 1}},
	}}, nil
}

func (s inspectService) Timeline(_ context.Context, q *pb.TimelineRequest) (*pb.TimelineReply, error) {
	if s.n.id != s.n.bank.topology.Clusters[s.n.cluster].Nodes[0].ID {
		return &pb.TimelineReply{}, nil
	}
	return &pb.TimelineReply{Timelines: []*pb.Timeline{{TxnId: "t", LockedUs: int64(100 - s.n.cluster), Outcome: "committed"}}}, nil
}
