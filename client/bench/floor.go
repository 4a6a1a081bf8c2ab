package bench

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"paxbank/internal/topology"
)

// floorFor is how long each part of the floor is measured.
const floorFor = time.Second

// syncBytes is what each fsync of the floor makes durable: a page.
const syncBytes = 4096

// measureFloor measures what the machine can do at best, one part after the
// other and each for so long: syncs in dir, and messages to an echo process, with
// as many transfers under way as the load l has.
func measureFloor(ctx context.Context, dir string, files int, l load, each time.Duration, progress func(string)) (*Floor, error) {
	f := &Floor{Files: files}
	progress("floor: fsync")
	one, err := syncFiles(ctx, dir, 1, each)
	if err != nil {
		return nil, err
	}
	f.FsyncMicros, f.FsyncsPerS = percentiles(one.latency[intra]), one.perSecond()
	many, err := syncFiles(ctx, dir, files, each)
	if err != nil {
		return nil, err
	}
	f.FilesFsyncsPerS = many.perSecond()
	echo, err := startEcho(ctx)
	if err != nil {
		return nil, err
	}
	defer echo.stop()
	progress("floor: unary calls")
	if f.UnaryPerS, _, err = echo.measure(ctx, l, true, each); err != nil {
		return nil, err
	}
	progress("floor: stream")
	if f.StreamTransfersPerS, f.StreamMessagesPerS, err = echo.measure(ctx, l, false, each); err != nil {
		return nil, err
	}
	return f, nil
}

// enter states a run of the load l as a share of the floor. The echo process
// takes transfers only, so a load with reads has no share of its rate.
func (f *Floor) enter(r *Run, l *load) {
	best := f.StreamTransfersPerS
	if l.unary {
		best = f.UnaryPerS
	}
	if r.CommittedPerS != nil && best > 0 && !l.mix.reads() {
		share := *r.CommittedPerS / best
		f.Share = &share
	}
	if r.FsyncsPerS != nil && f.FilesFsyncsPerS > 0 {
		share := *r.FsyncsPerS / f.FilesFsyncsPerS
		f.FsyncShare = &share
	}
}

// syncs are those of one measurement.
type syncs struct {
	*recorder
	took time.Duration
}

func (s *syncs) perSecond() float64 {
	return float64(s.latency[intra].TotalCount()) / s.took.Seconds()
}

// syncFiles appends a page to each of n files and syncs it, over and over, all
// files at once.
func syncFiles(ctx context.Context, dir string, n int, each time.Duration) (*syncs, error) {
	tmp, err := os.MkdirTemp(dir, "fsync-")
	if err != nil {
		return nil, fmt.Errorf("floor: %w", err)
	}
	defer os.RemoveAll(tmp)
	ctx, cancel := context.WithTimeout(ctx, each)
	defer cancel()
	records, errs := make([]*recorder, n), make([]error, n)
	began := time.Now()
	var wg sync.WaitGroup
	for i := range n {
		records[i] = newRecorder(0)
		wg.Go(func() { errs[i] = syncFile(ctx, filepath.Join(tmp, fmt.Sprint(i)), records[i]) })
	}
	wg.Wait()
	all := &syncs{newRecorder(0), time.Since(began)}
	for i := range n {
		if errs[i] != nil {
			return nil, fmt.Errorf("floor: %w", errs[i])
		}
		all.merge(records[i])
	}
	return all, nil
}

func syncFile(ctx context.Context, path string, r *recorder) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	page := make([]byte, syncBytes)
	for ctx.Err() == nil {
		began := time.Now()
		if _, err := file.Write(page); err != nil {
			return err
		}
		if err := syncData(file); err != nil {
			return err
		}
		_ = r.latency[intra].RecordValue(latencyOf(0, int64(time.Since(began)))) // in range
	}
	return nil
}

// echoTopology is a bank of one node that the echo process pretends to be.
func echoTopology(address string) (*topology.Topology, error) {
	t, err := topology.Uniform(1, 1, 1000, 1_000_000)
	if err != nil {
		return nil, err
	}
	t.Clusters[0].Nodes[0].Address = address
	return t, nil
}

// measure puts a load's transfers on the echo process, with as many of them
// under way.
func (p *echoProcess) measure(ctx context.Context, l load, unary bool, each time.Duration) (transfers, messages float64, err error) {
	t, err := echoTopology(p.address)
	if err != nil {
		return 0, 0, err
	}
	b, err := connect(t)
	if err != nil {
		return 0, 0, err
	}
	defer b.close()
	b.epoch, b.hash = 1, t.Hash()
	e, err := newEngine(load{
		clients: l.clients, inflight: l.inflight, unary: unary,
		duration: each, warmup: each / 4, deadline: l.deadline, seed: l.seed,
	}, b)
	if err != nil {
		return 0, 0, err
	}
	var before, after int64
	count := func() int64 { return e.lanes[0].messages.Load() }
	err = e.run(ctx, hooks{begin: func() { before = count() }, end: func() { after = count() }})
	if err != nil {
		return 0, 0, fmt.Errorf("floor: echo: %w", err)
	}
	r := e.result()
	return float64(r.committedInWindow) / each.Seconds(), float64(after-before) / each.Seconds(), nil
}
