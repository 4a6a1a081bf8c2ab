package grade

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	pb "paxbank/proto/paxbank/v1"
)

// Speed is how long three things take here that make up the work of a bank.
type Speed struct {
	CPU  time.Duration `json:"cpu_ns"`  // hashing cpuBytes on each of cpuWorkers threads at once
	Sync time.Duration `json:"sync_ns"` // writing 4 KiB and syncing them to disk
	Call time.Duration `json:"call_ns"` // a gRPC call to oneself over the loopback
}

// The work of a measurement.
const (
	cpuWorkers = 2
	cpuBytes   = 4 << 20
	// eachFor: so long each of the three is repeated; the median counts, so that a
	// short disturbance does not.
	eachFor = 600 * time.Millisecond
	// fewest repetitions, however long they take, and the bound of it all: a disk
	// that needs seconds a sync is slow enough after one.
	fewest       = 5
	measureBound = 3 * time.Second
)

// Reference is an ordinary virtual machine with two cores and a local disk. The
// deadlines and thresholds of suites are meant for it.
var Reference = Speed{CPU: 8 * time.Millisecond, Sync: time.Millisecond, Call: 100 * time.Microsecond}

// The parts of the three in the factor: about those they have in a small cross-shard
// transfer, which waits for four synced entries and a dozen calls while other
// processes compete for the processor.
const (
	cpuPart  = 0.5
	syncPart = 0.25
	callPart = 0.25
)

// SlowestFactor is how much slower than the reference a machine may be. Beyond
// that, elections and deadlines inside the submissions themselves would fail, and
// no factor of ours reaches those.
const SlowestFactor = 4

// Factor by which the machine is slower than the reference: 1 when it is not.
func (s Speed) Factor() float64 {
	ratio := func(got, want time.Duration) float64 { return float64(got) / float64(want) }
	f := cpuPart*ratio(s.CPU, Reference.CPU) + syncPart*ratio(s.Sync, Reference.Sync) + callPart*ratio(s.Call, Reference.Call)
	return max(1, f)
}

// String is the speed in words.
func (s Speed) String() string {
	return fmt.Sprintf("hashing %s (reference %s), sync %s (%s), call %s (%s)",
		round(s.CPU), Reference.CPU, round(s.Sync), Reference.Sync, round(s.Call), Reference.Call)
}

func round(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }

// MeasureSpeed measures this machine in about two seconds, three at most. dir is
// on the disk where nodes will keep their data.
func MeasureSpeed(ctx context.Context, dir string) (s Speed, err error) {
	ctx, cancel := context.WithTimeout(ctx, measureBound)
	defer cancel()
	cpus := ReadMachine().CPUs
	if s.CPU, err = median(ctx, cpus, hashing); err != nil {
		return s, fmt.Errorf("measuring the processor: %w", err)
	}
	if s.Sync, err = measureSync(ctx, cpus, dir); err != nil {
		return s, fmt.Errorf("measuring the disk: %w", err)
	}
	if s.Call, err = measureCall(ctx, cpus); err != nil {
		return s, fmt.Errorf("measuring calls: %w", err)
	}
	return s, nil
}

// median time of f over eachFor. A quota stops everything now and then, which a
// median does not show; but in the long run nothing is faster than the processor
// time that it takes, on so many processors.
func median(ctx context.Context, cpus float64, f func() error) (time.Duration, error) {
	var times []time.Duration
	began := processorTime()
	for start := time.Now(); time.Since(start) < eachFor || len(times) < fewest; {
		before := time.Now()
		if err := f(); err != nil {
			return 0, err
		}
		times = append(times, time.Since(before))
		if ctx.Err() != nil {
			break // what there is has to do
		}
	}
	each := (processorTime() - began) / time.Duration(len(times))
	slices.Sort(times)
	return max(times[len(times)/2], time.Duration(float64(each)/cpus)), nil
}

// processorTime that this process has used.
func processorTime() time.Duration {
	var used syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &used) != nil {
		return 0 // then the median has to do
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

func hashing() error {
	block := make([]byte, 64<<10)
	var wg sync.WaitGroup
	for range cpuWorkers {
		wg.Go(func() {
			h := sha256.New()
			for range cpuBytes / len(block) {
				h.Write(block)
			}
		})
	}
	wg.Wait()
	return nil
}

func measureSync(ctx context.Context, cpus float64, dir string) (time.Duration, error) {
	f, err := os.Create(filepath.Join(dir, "speed"))
	if err != nil {
		return 0, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	block := make([]byte, 4<<10)
	return median(ctx, cpus, func() error {
		if _, err := f.Write(block); err != nil {
			return err
		}
		return f.Sync()
	})
}

// measureCall calls a service without methods: its refusal takes the same way as
// an answer.
func measureCall(ctx context.Context, cpus float64) (time.Duration, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	server := grpc.NewServer()
	pb.RegisterControlServer(server, pb.UnimplementedControlServer{})
	var wg sync.WaitGroup
	wg.Go(func() { _ = server.Serve(listener) }) // ends with Stop
	defer wg.Wait()
	defer server.Stop()
	conn, err := grpc.NewClient("passthrough:///"+listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithNoProxy())
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	control := pb.NewControlClient(conn)
	return median(ctx, cpus, func() error {
		_, err := control.Status(ctx, &pb.StatusRequest{})
		if code := status.Code(err); code != codes.Unimplemented && ctx.Err() == nil {
			return err
		}
		return nil
	})
}
