// Command server is one node of the bank: it stores its part of the money on
// disk, agrees with the other nodes of its cluster on every change, and serves
// the gRPC services Bank, Control and Inspect.
//
//	server --id n1 --listen 127.0.0.1:7001 --data DIR [--topology FILE]
//	       [--metrics ADDR] [--log-level warn] [--log-json]
//
// Without --topology it waits to be configured over gRPC. It exits 0 after a
// signal, 64 when the command line or the topology file is wrong, 69 when it
// cannot listen, and 70 when its data directory cannot be used, its disk fails
// or an invariant does not hold.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc"

	"paxbank/internal/topology"
	"paxbank/server/service"
	"paxbank/server/storage"
	"paxbank/server/transport"
)

// Exit codes, as of sysexits.h.
const (
	exitUsage       = 64
	exitUnavailable = 69
	exitSoftware    = 70
)

// stopTimeout bounds how long calls under way may take when the node is told to
// stop.
const stopTimeout = time.Second

// failure is an error with the exit code that belongs to it.
type failure struct {
	code int
	err  error
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

func fail(code int, format string, args ...any) error {
	return &failure{code, fmt.Errorf(format, args...)}
}

func main() {
	_ = runInBackground() // without it everything works, only slower
	os.Exit(exitCode(run(os.Args[1:], os.Stderr)))
}

// exitCode reports err, if any, in one line.
func exitCode(err error) int {
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return 0
	}
	fmt.Fprintf(os.Stderr, "server: %v\n", err)
	var f *failure
	if errors.As(err, &f) {
		return f.code
	}
	return exitSoftware
}

type options struct {
	id, listen, data  string
	topology, metrics string
	logLevel          slog.Level
	logJSON           bool
}

const usage = `usage: server --id n1 --listen ADDR --data DIR [flags]

One node of the bank. Without --topology it waits until it is configured over gRPC.

  --id NAME         name of this node in the topology
  --listen ADDR     host:port or unix:///path to serve gRPC on
  --data DIR        data directory; made when it is not there
  --topology FILE   configure the node by this file and connect it at once
  --metrics ADDR    serve Prometheus metrics and pprof on host:port; with port 0
                    on a free one, which the log names
  --log-level LEVEL debug, info, warn (default) or error
  --log-json        log JSON lines
`

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	level := "warn"
	fs := flag.NewFlagSet("server", flag.ContinueOnError)
	fs.SetOutput(io.Discard) // one line of ours instead of flag's many
	fs.StringVar(&o.id, "id", "", "")
	fs.StringVar(&o.listen, "listen", "", "")
	fs.StringVar(&o.data, "data", "", "")
	fs.StringVar(&o.topology, "topology", "", "")
	fs.StringVar(&o.metrics, "metrics", "", "")
	fs.StringVar(&level, "log-level", level, "")
	fs.BoolVar(&o.logJSON, "log-json", false, "")
	err := fs.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(stderr, usage)
		return o, err
	case err != nil:
		return o, fail(exitUsage, "%v; see server --help", err)
	case fs.NArg() > 0:
		return o, fail(exitUsage, "unexpected argument %q; see server --help", fs.Arg(0))
	}
	for _, f := range []struct{ name, value string }{{"id", o.id}, {"listen", o.listen}, {"data", o.data}} {
		if f.value == "" {
			return o, fail(exitUsage, "--%s is missing; see server --help", f.name)
		}
	}
	if o.logLevel.UnmarshalText([]byte(level)) != nil {
		return o, fail(exitUsage, "--log-level must be debug, info, warn or error, not %q", level)
	}
	if _, _, err := network(o.listen); err != nil {
		return o, fail(exitUsage, "--listen %s: %v", o.listen, err)
	}
	if o.metrics != "" {
		if kind, _, err := network(o.metrics); err != nil || kind != "tcp" {
			return o, fail(exitUsage, "--metrics must be host:port, not %q", o.metrics)
		}
	}
	return o, nil
}

// network splits a listen address into what net.Listen takes.
func network(address string) (kind, name string, err error) {
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		path = strings.TrimPrefix(path, "//")
		if path == "" {
			return "", "", errors.New("the path of the socket is missing")
		}
		return "unix", path, nil
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil || port == "" {
		return "", "", errors.New("it must be host:port or unix:///path")
	}
	if _, err := net.LookupPort("tcp", port); err != nil {
		return "", "", fmt.Errorf("%q is no port", port)
	}
	return "tcp", address, nil
}

// serverListener opens the address, which nobody else may have open.
func serverListener(flagName, address string) (net.Listener, error) {
	kind, name, err := network(address)
	if err != nil {
		return nil, fail(exitUsage, "--%s %s: %v", flagName, address, err)
	}
	if kind == "unix" {
		// A killed node leaves its socket; one that answers is somebody else's.
		if c, err := net.DialTimeout(kind, name, time.Second); err == nil {
			_ = c.Close()
			return nil, fail(exitUnavailable, "cannot listen on %s: another process does; choose another --%s", address, flagName)
		} else if errors.Is(err, syscall.ECONNREFUSED) {
			_ = os.Remove(name)
		}
	}
	l, err := net.Listen(kind, name)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fail(exitUnavailable, "cannot listen on %s: another process does; choose another --%s", address, flagName)
	}
	if err != nil {
		return nil, fail(exitUnavailable, "cannot listen on %s: %v", address, err)
	}
	return l, nil
}

func run(args []string, stderr io.Writer) (err error) {
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	var topo *topology.Topology
	if o.topology != "" {
		data, err := os.ReadFile(o.topology)
		if err != nil {
			return fail(exitUsage, "--topology: %v", err)
		}
		if topo, err = topology.ParseYAML(o.topology, data); err != nil {
			return fail(exitUsage, "%v", err)
		}
		if _, _, ok := topo.Lookup(o.id); !ok {
			return fail(exitUsage, "%s: node %s is not in the topology", o.topology, o.id)
		}
	}
	handler := slog.Handler(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: o.logLevel}))
	if o.logJSON {
		handler = slog.NewJSONHandler(stderr, &slog.HandlerOptions{Level: o.logLevel})
	}
	log := slog.New(handler).With("node", o.id)

	listener, err := serverListener("listen", o.listen)
	if err != nil {
		return err
	}
	defer listener.Close()

	// A node whose disk failed or whose invariants do not hold must not say
	// another word to anybody: it ends here, without the ceremony of run.
	var once sync.Once
	fatal := func(err error) {
		once.Do(func() {
			fmt.Fprintf(stderr, "server: %s: %v\n", o.id, err)
			os.Exit(exitSoftware)
		})
	}
	store, err := storage.Open(o.data, storage.Options{OnFatal: fatal})
	if err != nil {
		return fail(exitSoftware, "%v", err)
	}
	defer func() {
		if e := store.Close(); e != nil && err == nil {
			err = fail(exitSoftware, "data directory %s: %v", o.data, e)
		}
	}()
	node, err := service.New(service.Options{ID: o.id, Store: store, Transport: transport.New(log), Fatal: fatal, Log: log})
	if err != nil {
		return fail(exitSoftware, "%v", err)
	}
	defer node.Close()

	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	if o.metrics != "" {
		address, stop, err := serveMetrics(o.metrics, node)
		if err != nil {
			return err
		}
		defer stop()
		fmt.Fprintf(stderr, "%s serves metrics on %s\n", o.id, address)
	}
	if topo != nil {
		if err := node.Standalone(ctx, topo); err != nil {
			return fail(exitSoftware, "%v", err)
		}
	}
	server := grpc.NewServer(service.ServerOptions()...)
	node.Register(server)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	address := o.listen
	if a, ok := listener.Addr().(*net.TCPAddr); ok {
		address = a.String()
	}
	fmt.Fprintf(stderr, "%s listening on %s\n", o.id, address)

	select {
	case err := <-served:
		return fail(exitUnavailable, "stopped serving on %s: %v", o.listen, err)
	case <-ctx.Done():
	}
	cancel()     // a second signal ends the process at once
	node.Close() // ends the streams between nodes and fails the calls that wait
	force := time.AfterFunc(stopTimeout, server.Stop)
	server.GracefulStop()
	force.Stop()
	return nil
}
