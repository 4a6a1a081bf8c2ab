package doctor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"paxbank/internal/grpcopts"
	pb "paxbank/proto/paxbank/v1"
)

// maxMessageBytes is the largest message that a client has to take.
const maxMessageBytes = 64 << 20

// refusedPrefix begins the UNAVAILABLE message of a node that did not look at a
// request.
const refusedPrefix = "refused: "

// node is the doctor's connection to one node. It says nothing that the node was
// not asked to hear: no resends, no search for the leader.
type node struct {
	id, address string
	cluster     int
	conn        *grpc.ClientConn
	control     pb.ControlClient
	bank        pb.BankClient
	inspect     pb.InspectClient
}

func connect(id, address string, cluster int) (*node, error) {
	conn, err := grpc.NewClient(grpcopts.Target(address),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessageBytes), grpc.WaitForReady(true)),
		// Nodes are killed and come back: look for them often.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 10 * time.Millisecond, Multiplier: 1.5, Jitter: 0.2, MaxDelay: 100 * time.Millisecond},
			MinConnectTimeout: 2 * time.Second,
		}),
		grpc.WithNoProxy(),
	)
	if err != nil {
		return nil, fmt.Errorf("node %s: address %s: %w", id, address, err)
	}
	return &node{id: id, address: address, cluster: cluster, conn: conn,
		control: pb.NewControlClient(conn), bank: pb.NewBankClient(conn), inspect: pb.NewInspectClient(conn)}, nil
}

// status asks a node for its status.
func (n *node) status(ctx context.Context) (*pb.StatusReply, error) {
	ctx, cancel := context.WithTimeout(ctx, callBound)
	defer cancel()
	return n.control.Status(ctx, &pb.StatusRequest{})
}

// setLive connects or disconnects a node.
func (n *node) setLive(ctx context.Context, live bool) error {
	ctx, cancel := context.WithTimeout(ctx, callBound)
	defer cancel()
	_, err := n.control.SetLive(ctx, &pb.SetLiveRequest{Live: live})
	return err
}

// balance of one item on this replica; ok is false when the node leaves it out.
func (n *node) balance(ctx context.Context, item int64) (balance int64, ok bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, callBound)
	defer cancel()
	reply, err := n.inspect.Balance(ctx, &pb.BalanceRequest{Items: []int64{item}})
	for _, b := range reply.GetItems() {
		if b.GetItem() == item {
			return b.GetBalance(), true, err
		}
	}
	return 0, false, err
}

// within runs one call of Bank, which has to be answered shortly after its
// deadline.
func within[Q, R any](ctx context.Context, do func(context.Context, Q, ...grpc.CallOption) (R, error), q Q, deadline time.Duration) (R, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline+grace)
	defer cancel()
	return do(ctx, q)
}

// drain reads a server stream to its end.
func drain[M any](stream grpc.ServerStreamingClient[M], err error, each func(*M)) error {
	for err == nil {
		var m *M
		if m, err = stream.Recv(); err == nil {
			each(m)
		}
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

func unimplemented(err error) bool { return status.Code(err) == codes.Unimplemented }

// refused reports whether a call ended as a node ends it that did not look at
// it.
func refused(err error) bool {
	s := status.Convert(err)
	return s.Code() == codes.Unavailable && strings.HasPrefix(s.Message(), refusedPrefix)
}

// plain words an error for people.
func plain(err error) string {
	var st interface{ GRPCStatus() *status.Status }
	if !errors.As(err, &st) {
		return err.Error()
	}
	s := st.GRPCStatus()
	reason := fmt.Sprintf("status %s (%q)", codeNames[s.Code()], s.Message())
	switch {
	case s.Code() == codes.DeadlineExceeded:
		reason = "no answer in time"
	case s.Code() == codes.Unavailable && strings.Contains(s.Message(), "connection refused"):
		reason = "nothing answers at its address"
	}
	if where, _, wrapped := strings.Cut(err.Error(), "rpc error:"); wrapped {
		return where + reason
	}
	return reason
}

// codeNames are the codes as docs/protocol.md and most gRPC libraries spell them.
var codeNames = map[codes.Code]string{
	codes.OK: "OK", codes.Canceled: "CANCELLED", codes.Unknown: "UNKNOWN", codes.InvalidArgument: "INVALID_ARGUMENT",
	codes.DeadlineExceeded: "DEADLINE_EXCEEDED", codes.NotFound: "NOT_FOUND", codes.AlreadyExists: "ALREADY_EXISTS",
	codes.PermissionDenied: "PERMISSION_DENIED", codes.ResourceExhausted: "RESOURCE_EXHAUSTED",
	codes.FailedPrecondition: "FAILED_PRECONDITION", codes.Aborted: "ABORTED", codes.OutOfRange: "OUT_OF_RANGE",
	codes.Unimplemented: "UNIMPLEMENTED", codes.Internal: "INTERNAL", codes.Unavailable: "UNAVAILABLE",
	codes.DataLoss: "DATA_LOSS", codes.Unauthenticated: "UNAUTHENTICATED",
}

// each calls do for every node at once and returns the first error in order,
// with the node's name.
func each(nodes []*node, do func(*node) error) error {
	errs := make([]error, len(nodes))
	var wg sync.WaitGroup
	for i, n := range nodes {
		wg.Go(func() { errs[i] = do(n) })
	}
	wg.Wait()
	for i, err := range errs {
		if err != nil {
			return fmt.Errorf("node %s: %w", nodes[i].id, err)
		}
	}
	return nil
}

// await polls until done says so. After bound it returns an error that says what
// it waited for in vain.
func await(ctx context.Context, bound time.Duration, done func(context.Context) (ok bool, waiting string)) error {
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	waiting := ""
	for {
		ok, text := done(ctx)
		if ok {
			return nil
		}
		// A look that the bound cut short says nothing but that.
		if waiting == "" || ctx.Err() == nil {
			waiting = text
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return ctx.Err()
			}
			return fmt.Errorf("waited %s in vain for %s", bound, waiting)
		}
	}
}
