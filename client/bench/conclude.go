package bench

import (
	"fmt"
	"slices"
	"time"
)

// leastCommitted of a uniform row: below, it measures refusals more than work.
const leastCommitted = 0.99

// result puts a run's figures together and judges it.
func (m *measurement) result(all *recorder, a *audit) *Run {
	e := m.engine
	r := &Run{record: all, begun: m.begun, NotStarted: e.notStarted, Problems: a.problems,
		SettledCommitted: len(e.settler.committed), SettledAborted: e.settler.ended, Unsettled: e.settler.left(),
		MoneyOK: a.money, ReplicasEqual: a.replicas, BalancesOK: a.balances, CommitsOK: a.commits, Faults: m.nemesis.results(),
		CountsByKind: map[string]Counts{}, LatencyMicrosByKind: map[string]*Percentiles{}}
	var sum [outcomes]int64
	joint := newRecorder(0).latency[0]
	for k := range kinds {
		counts := countsOf(&all.counts[k])
		if counts.definite()+counts.Unknown == 0 {
			continue
		}
		r.CountsByKind[kindNames[k]] = counts
		if p := percentiles(all.latency[k]); p != nil {
			r.LatencyMicrosByKind[kindNames[k]] = p
		}
		joint.Merge(all.latency[k])
		for o, n := range all.counts[k] {
			sum[o] += n
		}
	}
	r.Counts = countsOf(&sum)
	r.Unknown, r.LatencyMicros = r.Counts.Unknown, percentiles(joint)
	r.Seconds = e.load.duration.Seconds()
	if e.load.transactions > 0 {
		r.Seconds = time.Duration(e.ended - e.warmEnd).Seconds()
	}
	r.judge(a, e.load.mix.uniform())
	if r.Verdict == Pass {
		r.enterRates(e)
		r.enterUsage(&m.before, &m.after, !m.killed())
	}
	return r
}

// killed reports whether processes ended in between, with their CPU times.
func (m *measurement) killed() bool { return m.nemesis.killer != nil && len(m.nemesis.events) > 0 }

func (r *Run) judge(a *audit, uniform bool) {
	all := r.Counts.definite() + r.Counts.Unknown
	switch {
	case a.failed():
		r.Verdict = Fail
	case !a.passed():
		r.Verdict = Unknown
	case all == 0:
		r.Verdict = Void
		r.Problems = append(r.Problems, "void: no operation ended in the measured window")
	case uniform && float64(r.Counts.Committed) < leastCommitted*float64(all):
		r.Verdict = Void
		r.Problems = append(r.Problems, fmt.Sprintf("void: only %.1f %% of the operations of a uniform mix were committed; under %.0f %% the row says nothing about the bank's speed",
			100*float64(r.Counts.Committed)/float64(all), 100*leastCommitted))
	default:
		r.Verdict = Pass
	}
}

func (r *Run) enterRates(e *engine) {
	rate := func(n int64) *float64 {
		v := float64(n) / r.Seconds
		return &v
	}
	r.CommittedPerS, r.GoodputPerS = rate(r.record.committedInWindow), rate(r.record.committedInWindow)
	r.ThroughputPerS, r.AbortedPerS = rate(r.record.definiteInWindow), rate(r.Counts.Aborted)
	if e.load.rate > 0 {
		r.OfferedPerS = rate(r.Counts.definite() + r.Counts.Unknown)
	}
	if r.record.period == 0 {
		return
	}
	period := time.Duration(r.record.period).Seconds()
	for i := 0; float64(i)*period < r.Seconds; i++ {
		from, h := float64(i)*period, r.record.in(i)
		r.OverTime = append(r.OverTime, Period{FromSeconds: from, LatencyMicros: percentiles(h),
			CommittedPerS: float64(h.TotalCount()) / min(period, r.Seconds-from)})
	}
}

// repeated are the quantities that are stated over all repetitions.
var repeated = []struct {
	name string
	of   func(*Run) *float64
}{
	{"committed_per_s", func(r *Run) *float64 { return r.CommittedPerS }},
	{"latency_p50_us", func(r *Run) *float64 { return r.percentile(func(p *Percentiles) *float64 { return p.P50 }) }},
	{"latency_p99_us", func(r *Run) *float64 { return r.percentile(func(p *Percentiles) *float64 { return p.P99 }) }},
	{"cpu_us_per_commit", func(r *Run) *float64 { return r.CPUMicrosPerCommit }},
	{"fsyncs_per_s", func(r *Run) *float64 { return r.FsyncsPerS }},
}

func (r *Run) percentile(of func(*Percentiles) *float64) *float64 {
	if r.LatencyMicros == nil {
		return nil
	}
	return of(r.LatencyMicros)
}

// conclude chooses the run that the top level shows, and states what all of them
// have in common. REQUIRES: there is a run.
func (r *Result) conclude() {
	worst := slices.IndexFunc(r.Runs, func(run *Run) bool { return run.Verdict != Pass })
	if worst >= 0 {
		r.Run = r.Runs[worst]
		return
	}
	byRate := slices.Clone(r.Runs)
	slices.SortStableFunc(byRate, func(a, b *Run) int {
		switch d := *a.CommittedPerS - *b.CommittedPerS; {
		case d < 0:
			return -1
		case d > 0:
			return 1
		}
		return 0
	})
	r.Run = byRate[(len(byRate)-1)/2]
	if len(r.Runs) < 2 {
		return
	}
	r.Repeated = map[string]Repetition{}
	for _, q := range repeated {
		var values []float64
		for _, run := range r.Runs {
			if v := q.of(run); v != nil {
				values = append(values, *v)
			}
		}
		if len(values) == len(r.Runs) {
			r.Repeated[q.name] = repetition(values)
		}
	}
}

// exitCode of the gravest run.
func (r *Result) exitCode() int {
	code := exitPass
	for _, run := range r.Runs {
		switch run.Verdict {
		case Fail:
			return exitFail
		case Unknown, Void:
			code = exitUnknown
		}
	}
	return code
}
