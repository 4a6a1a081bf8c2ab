package main

import (
	"net/http"
	"net/http/pprof"
	"runtime"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"paxbank/server/service"
)

// readHeaderTimeout bounds how long a scraper may take to ask.
const readHeaderTimeout = 5 * time.Second

// Of the contention on mutexes one event in mutexFraction is recorded, of other
// waits one for every blockRate nanoseconds of waiting on average, while a
// profile of them is being taken.
const (
	mutexFraction = 10
	blockRate     = 10_000
)

// serveMetrics serves Prometheus metrics and pprof on the address that it
// returns, until stop is called.
func serveMetrics(address string, node *service.Node) (listening string, stop func(), err error) {
	l, err := serverListener("metrics", address)
	if err != nil {
		return "", nil, err
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(node.Collector(), collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	mux.Handle("/debug/pprof/mutex", whileAsked(pprof.Handler("mutex"), func(on int) { runtime.SetMutexProfileFraction(on * mutexFraction) }))
	mux.Handle("/debug/pprof/block", whileAsked(pprof.Handler("block"), func(on int) { runtime.SetBlockProfileRate(on * blockRate) }))
	server := &http.Server{Handler: mux, ReadHeaderTimeout: readHeaderTimeout}
	go func() { _ = server.Serve(l) }()
	return l.Addr().String(), func() { _ = server.Close() }, nil
}

// whileAsked serves a profile that the runtime records only while somebody asks
// for one over a time (?seconds=10): recording costs every wait a little, and a
// node that is only watched shall not pay for it. record is called with 1 and 0.
func whileAsked(profile http.Handler, record func(on int)) http.Handler {
	var mu sync.Mutex
	asking := 0
	count := func(by int) {
		mu.Lock()
		defer mu.Unlock()
		asking += by
		record(min(asking, 1))
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		count(1)
		defer count(-1)
		profile.ServeHTTP(w, r)
	})
}
