package launch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"paxbank/internal/grpcopts"
	pb "paxbank/proto/paxbank/v1"
)

// startNode starts a node on its port, or on another one when that is taken.
func (f *Fleet) startNode(ctx context.Context, id string, tries int) error {
	var last error
	for try := range tries {
		f.mu.Lock()
		p := f.places[id]
		f.mu.Unlock()
		if p == nil {
			var err error
			if p, err = f.newPlace(id); err != nil {
				return fmt.Errorf("node %s: %w", id, err)
			}
			f.mu.Lock()
			f.places[id] = p
			f.mu.Unlock()
		}
		retry, err := f.tryNode(ctx, id, p)
		if err == nil {
			return nil
		}
		last = err
		if !retry || ctx.Err() != nil {
			break
		}
		if try+1 < tries {
			f.mu.Lock()
			f.places[id] = nil
			f.mu.Unlock()
			p.release()
		}
	}
	return last
}

// tryNode starts a node once. retry: it ended by itself, so another port may
// help.
func (f *Fleet) tryNode(ctx context.Context, id string, p place) (retry bool, err error) {
	address := p.address()
	data := filepath.Join(f.cfg.DataDir, id)
	if err := os.MkdirAll(data, 0o755); err != nil {
		return false, err
	}
	log := filepath.Join(f.cfg.LogDir, id+".log")
	var before int64 // of the log: what earlier tries wrote is not this one's
	if info, err := os.Stat(log); err == nil {
		before = info.Size()
	}
	p.clear()
	proc, err := f.startProcess(id, address, data, log)
	if err != nil {
		return false, fmt.Errorf("node %s cannot be started: %w", id, err)
	}
	f.mu.Lock()
	if f.stopped {
		f.mu.Unlock()
		proc.kill()
		return false, fmt.Errorf("node %s: the nodes are being stopped", id)
	}
	f.nodes[id] = &node{id: id, address: address, process: proc}
	f.mu.Unlock()

	switch err := awaitReady(ctx, address, proc, f.cfg.ReadyTimeout); {
	case err == nil:
		return false, nil
	case errors.Is(err, errEnded):
		return true, fmt.Errorf("node %s ended right after its start (%s)%s", id, proc.how(), tail(log, before))
	default:
		proc.kill()
		return false, fmt.Errorf("node %s on %s is not ready: %w%s", id, address, err, tail(log, before))
	}
}

// startProcess starts a node's program, in a box when there is to be one.
func (f *Fleet) startProcess(id, address, data, log string) (process, error) {
	if f.cfg.Sandbox != nil {
		return f.startBoxed(id, address, data, log)
	}
	return f.spawner.start(f.fill(id, address, data), log)
}

// fill is the node command with what is known now.
func (f *Fleet) fill(id, address, data string) []string {
	fill := strings.NewReplacer("{id}", id, "{listen}", address, "{data}", data)
	args := make([]string, len(f.cfg.Command))
	for i, a := range f.cfg.Command {
		args[i] = fill.Replace(a)
	}
	return args
}

var errEnded = errors.New("the process ended")

// awaitReady polls Control.Status until it answers.
func awaitReady(ctx context.Context, address string, p process, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	conn, err := grpc.NewClient(grpcopts.Target(address), grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithNoProxy(), quickConnect())
	if err != nil {
		return err
	}
	defer conn.Close()
	// A process that ends is not asked any longer: somebody who holds its port
	// and says nothing would keep the question open.
	callCtx, stopAsking := context.WithCancel(ctx)
	defer stopAsking()
	var watch sync.WaitGroup
	defer watch.Wait()
	defer cancel()
	watch.Go(func() {
		select {
		case <-p.ended():
			stopAsking()
		case <-ctx.Done():
		}
	})
	control := pb.NewControlClient(conn)
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	var last error
	for {
		_, err := control.Status(callCtx, &pb.StatusRequest{})
		if last == nil || status.Code(err) != codes.DeadlineExceeded {
			last = err // that time is up says less than what was the matter before
		}
		if err == nil {
			select {
			case <-p.ended(): // somebody else answers on that port
				return errEnded
			default:
				return nil
			}
		}
		if status.Code(last) == codes.Unimplemented { // waiting does not change that
			return errors.New(why(last))
		}
		select {
		case <-p.ended():
			return errEnded
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return fmt.Errorf("no answer to Control.Status within %s: %s", timeout, why(last))
			}
			return ctx.Err()
		case <-ticker.C:
		}
	}
}
