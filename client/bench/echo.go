package bench

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"time"

	"google.golang.org/grpc"

	"paxbank/internal/grpcopts"
	pb "paxbank/proto/paxbank/v1"
)

// The floor's echo server is this program again, started with echoArgs. It
// answers every transfer `committed` at once: the best that any bank on this
// machine, behind these messages, can do.

// echoArgs start the echo server.
var echoArgs = []string{"bench", "--echo-server"}

// echoReady is what the echo server prints before its address.
const echoReady = "listening on "

// echoStart bounds the start of the echo process, echoStop its end.
const (
	echoStart = 10 * time.Second
	echoStop  = 2 * time.Second
)

type echoServer struct{ pb.UnimplementedBankServer }

func echoReply(q *pb.TransactionRequest) *pb.TransactionReply {
	return &pb.TransactionReply{
		ClientId: q.GetClientId(), Timestamp: q.GetTimestamp(), Success: true, Result: pb.Result_RESULT_COMMITTED, Final: true, Epoch: q.GetEpoch(),
	}
}

func (echoServer) Submit(_ context.Context, q *pb.TransactionRequest) (*pb.TransactionReply, error) {
	return echoReply(q), nil
}

func (echoServer) SubmitStream(s pb.Bank_SubmitStreamServer) error {
	for {
		batch, err := s.Recv()
		if err != nil {
			if err == io.EOF {
				return nil
			}
			return err
		}
		replies := make([]*pb.TransactionReply, len(batch.GetRequests()))
		for i, q := range batch.GetRequests() {
			replies[i] = echoReply(q)
		}
		for len(replies) > 0 {
			n := min(len(replies), grpcopts.MaxReplies)
			if err := s.Send(&pb.TransactionReplyBatch{Replies: replies[:n]}); err != nil {
				return err
			}
			replies = replies[n:]
		}
	}
}

// serveEcho serves until in ends, which it does when the driver does.
func serveEcho(in io.Reader, out io.Writer) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := grpc.NewServer(grpcopts.Server()...)
	pb.RegisterBankServer(server, echoServer{})
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	fmt.Fprintf(out, "%s%s\n", echoReady, l.Addr())
	_, err = io.Copy(io.Discard, in)
	server.Stop()
	if e := <-served; err == nil {
		err = e
	}
	return err
}

// echoProcess is a running echo server.
type echoProcess struct {
	cmd     *exec.Cmd
	stdin   io.Closer
	address string
}

// startEcho starts the echo server as a process of its own.
func startEcho(ctx context.Context) (*echoProcess, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("floor: where is this program? %w", err)
	}
	p := &echoProcess{cmd: exec.Command(self, echoArgs...)}
	p.cmd.Stderr = os.Stderr
	stdin, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("floor: %w", err)
	}
	p.stdin = stdin
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("floor: %w", err)
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("floor: the echo server does not start: %w", err)
	}
	first := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(stdout).ReadString('\n') // without an address it did not start
		first <- line
	}()
	timer := time.NewTimer(echoStart)
	defer timer.Stop()
	line := ""
	select {
	case line = <-first:
	case <-timer.C:
	case <-ctx.Done():
	}
	address, ok := strings.CutPrefix(strings.TrimSpace(line), echoReady)
	if !ok {
		p.stop()
		return nil, fmt.Errorf("floor: waited up to %s in vain for the echo server's address", echoStart)
	}
	p.address = address
	return p, nil
}

// stop ends the process and returns when it is gone.
func (p *echoProcess) stop() {
	p.stdin.Close()
	kill := time.AfterFunc(echoStop, func() { _ = p.cmd.Process.Kill() }) // it may have ended
	defer kill.Stop()
	_ = p.cmd.Wait() // how it ends says nothing
}
