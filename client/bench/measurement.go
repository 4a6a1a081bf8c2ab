package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// measurement is one run under way.
type measurement struct {
	*setup
	engine        *engine
	ctx           context.Context
	nemesis       *nemesis
	profiler      *profiler // nil: nobody asked for profiles
	before, after usage
	begun         time.Time
}

func (m *measurement) pids() []int {
	if m.fleet == nil {
		return nil
	}
	return m.fleet.PIDs()
}

// run puts the load on the bank, lets the faults strike and shows how it goes.
func (m *measurement) run(ctx context.Context, title string) error {
	sideCtx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	err := m.engine.run(ctx, hooks{
		started: func() {
			wg.Go(func() { m.show(sideCtx, title) })
			wg.Go(func() { m.nemesis.run(sideCtx) })
		},
		begin: func() {
			m.begun = time.Now()
			m.before = m.engine.measureUsage(ctx, m.pids())
			if m.profiler != nil {
				m.profiler.start(ctx)
			}
		},
		end: func() { m.after = m.engine.measureUsage(ctx, m.pids()) },
	})
	cancel()
	wg.Wait()
	if m.profiler != nil {
		m.profiled = m.profiler.wait()
	}
	return errors.Join(err, m.nemesis.err)
}

// showEvery: so often the progress is shown.
const showEvery = 500 * time.Millisecond

func (m *measurement) show(ctx context.Context, title string) {
	ticker := time.NewTicker(showEvery)
	defer ticker.Stop()
	last, lastAt := int64(0), time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			n := m.engine.completed.Load()
			phase := title
			if m.engine.now() < m.engine.warmEnd {
				phase += ", warm-up"
			}
			m.env.Progress(fmt.Sprintf("%s: %s, %s committed, %s/s, %d under way", phase,
				time.Duration(m.engine.now()).Round(100*time.Millisecond), count(n),
				count(int64(float64(n-last)/now.Sub(lastAt).Seconds())), m.engine.active.Load()))
			last, lastAt = n, now
		}
	}
}
