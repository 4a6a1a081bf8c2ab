package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"sync"
	"time"

	"paxbank/client/launch"
)

// profileKinds are what is taken, by the name in the file and under
// /debug/pprof/.
var profileKinds = []struct{ file, path string }{{"cpu", "profile"}, {"allocs", "allocs"}, {"mutex", "mutex"}, {"block", "block"}}

const (
	// profileGrace: a profile arrives so long after its time is over.
	profileGrace = 30 * time.Second
	// lastCollection of garbage so long before the profile of allocations ends.
	lastCollection = 200 * time.Millisecond
	// Of the driver's contention on mutexes one event in driverMutexFraction is
	// recorded, of its other waits one for every driverBlockRate nanoseconds; the
	// same as our server does.
	driverMutexFraction = 10
	driverBlockRate     = 10_000
)

// profiler takes profiles of the nodes and the driver while a load runs.
type profiler struct {
	dir     string
	seconds int
	targets []profileTarget
	client  http.Client
	done    chan error // of the profiles under way; nil when there are none
	driver  *http.Server
}

// profileTarget is a process that serves pprof.
type profileTarget struct{ name, address string }

// profileCommand is the command of our server that serves pprof as well.
func profileCommand(command []string) ([]string, error) {
	if len(command) == 0 {
		var err error
		if command, err = launch.DefaultCommand(); err != nil {
			return nil, err
		}
	}
	return append(append([]string(nil), command...), "--metrics", "127.0.0.1:0"), nil
}

// metricsLine is how our server says where it serves pprof.
var metricsLine = regexp.MustCompile(`(?m)^\S+ serves metrics on (\S+)$`)

// profileAddress finds where a node serves pprof in its log. A node that was
// started more than once says so more than once.
func profileAddress(log string) (string, error) {
	data, err := os.ReadFile(log)
	if err != nil {
		return "", err
	}
	all := metricsLine.FindAllSubmatch(data, -1)
	if len(all) == 0 {
		return "", fmt.Errorf("%s does not say where the node serves profiles", filepath.Base(log))
	}
	return string(all[len(all)-1][1]), nil
}

// newProfiler serves the driver's own profiles, and finds those of the nodes in
// their logs in logDir. It writes to dir, which it makes. Stop it.
func newProfiler(dir string, window time.Duration, logDir string, nodes []*peer) (*profiler, error) {
	p := &profiler{dir: dir, seconds: int(window / time.Second)}
	p.client.Transport = &http.Transport{DisableKeepAlives: true} // it has its own, so that nobody's proxy is asked
	p.client.Timeout = window + profileGrace
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("--profile: %w", err)
	}
	for _, n := range nodes {
		address, err := profileAddress(filepath.Join(logDir, n.id+".log"))
		if err != nil {
			return nil, fmt.Errorf("--profile: node %s: %w", n.id, err)
		}
		p.targets = append(p.targets, profileTarget{n.id, address})
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("--profile: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	p.driver = &http.Server{Handler: mux, ReadHeaderTimeout: callTimeout}
	go func() { _ = p.driver.Serve(l) }() // until stop
	p.targets = append(p.targets, profileTarget{"driver", l.Addr().String()})
	runtime.SetMutexProfileFraction(driverMutexFraction)
	runtime.SetBlockProfileRate(driverBlockRate)
	return p, nil
}

// start begins to take all profiles at once, over the profiler's time from now
// on.
func (p *profiler) start(ctx context.Context) {
	p.done = make(chan error, 1)
	go func() {
		errs := make([]error, len(p.targets)*len(profileKinds))
		var wg sync.WaitGroup
		for i, t := range p.targets {
			for j, kind := range profileKinds {
				wg.Go(func() {
					take := p.take
					if kind.path == "allocs" {
						take = p.takeAllocs
					}
					if err := take(ctx, t, kind.path, filepath.Join(p.dir, t.name+"."+kind.file+".pprof")); err != nil {
						errs[i*len(profileKinds)+j] = fmt.Errorf("--profile: %s profile of %s: %w", kind.file, t.name, err)
					}
				})
			}
		}
		wg.Wait()
		p.done <- errors.Join(errs...)
	}()
}

// take writes one profile.
func (p *profiler) take(ctx context.Context, t profileTarget, path, file string) error {
	data, err := p.get(ctx, t, fmt.Sprintf("%s?seconds=%d", path, p.seconds))
	if err != nil {
		return err
	}
	return os.WriteFile(file, data, 0o644)
}

// takeAllocs is take for allocations. A process knows those up to its last garbage
// collection, so it is told to make one when the time begins, and one shortly
// before it is over.
func (p *profiler) takeAllocs(ctx context.Context, t profileTarget, path, file string) error {
	const collect = "heap?gc=1"
	if _, err := p.get(ctx, t, collect); err != nil {
		return err
	}
	var last error
	var wg sync.WaitGroup
	wg.Go(func() {
		timer := time.NewTimer(time.Duration(p.seconds)*time.Second - lastCollection)
		defer timer.Stop()
		select {
		case <-timer.C:
			_, last = p.get(ctx, t, collect)
		case <-ctx.Done():
			last = ctx.Err()
		}
	})
	err := p.take(ctx, t, path, file)
	wg.Wait()
	return errors.Join(err, last)
}

// get asks for something below /debug/pprof/.
func (p *profiler) get(ctx context.Context, t profileTarget, what string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+t.address+"/debug/pprof/"+what, nil)
	if err != nil {
		return nil, err
	}
	reply, err := p.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer reply.Body.Close()
	data, err := io.ReadAll(reply.Body)
	if err != nil {
		return nil, err
	}
	if reply.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %.200s", reply.Status, data)
	}
	return data, nil
}

// wait returns when all profiles that were begun have been written.
func (p *profiler) wait() error {
	if p.done == nil {
		return nil
	}
	err := <-p.done // every request has a time limit
	p.done = nil
	return err
}

// stop ends what newProfiler began. REQUIRES: wait has returned.
func (p *profiler) stop() {
	_ = p.driver.Close() // nobody asks any more
	runtime.SetMutexProfileFraction(0)
	runtime.SetBlockProfileRate(0)
}
