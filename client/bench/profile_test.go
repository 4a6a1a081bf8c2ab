package bench

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"paxbank/internal/fakebank"
)

// profiledNodes pretends that the nodes of b serve pprof: their logs name the
// handler's address. It returns the logs' directory.
func profiledNodes(t *testing.T, b *fakebank.Bank, handler http.Handler) (logs string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: handler}
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
	logs = t.TempDir()
	for _, n := range b.Topology().Nodes() {
		// The first line is of an earlier start.
		text := n.ID + " serves metrics on 127.0.0.1:1\n" + n.ID + " serves metrics on " + l.Addr().String() + "\n" + n.ID + " listening on x\n"
		if err := os.WriteFile(filepath.Join(logs, n.ID+".log"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return logs
}

func TestProfilesOfNodesAndDriver(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.URL.String())
	})
	b := fake(t)
	logs := profiledNodes(t, b, handler)
	bank, err := connect(b.Topology())
	if err != nil {
		t.Fatal(err)
	}
	defer bank.close()
	dir := filepath.Join(t.TempDir(), "new", "profiles")
	p, err := newProfiler(dir, 1500*time.Millisecond, logs, bank.nodes)
	if err != nil {
		t.Fatal(err)
	}
	p.start(t.Context())
	err = p.wait()
	p.stop()
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) != 4*(len(bank.nodes)+1) {
		t.Errorf("%d files (%v), want four of each of %d nodes and of the driver", len(files), err, len(bank.nodes))
	}
	for file, want := range map[string]string{"n1.cpu.pprof": "/debug/pprof/profile?seconds=1", "n6.allocs.pprof": "/debug/pprof/allocs?seconds=1",
		"n2.mutex.pprof": "/debug/pprof/mutex?seconds=1", "n3.block.pprof": "/debug/pprof/block?seconds=1"} {
		if got, err := os.ReadFile(filepath.Join(dir, file)); err != nil || string(got) != want {
			t.Errorf("%s holds %q (%v), want the answer to %s", file, got, err, want)
		}
	}
	for _, kind := range profileKinds {
		data, err := os.ReadFile(filepath.Join(dir, "driver."+kind.file+".pprof"))
		if err != nil {
			t.Fatal(err)
		}
		// A profile is compressed protobuf.
		if zip, err := gzip.NewReader(bytes.NewReader(data)); err != nil {
			t.Errorf("the driver's %s profile is none: %v", kind.file, err)
		} else if _, err := io.Copy(io.Discard, zip); err != nil {
			t.Errorf("the driver's %s profile is none: %v", kind.file, err)
		}
	}
}

func TestProfilesThatCannotBeTaken(t *testing.T) {
	b := fake(t)
	bank, err := connect(b.Topology())
	if err != nil {
		t.Fatal(err)
	}
	defer bank.close()
	logs := profiledNodes(t, b, http.NotFoundHandler())
	p, err := newProfiler(t.TempDir(), time.Second, logs, bank.nodes)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	p.start(ctx)
	err = p.wait()
	p.stop()
	if err == nil || !strings.Contains(err.Error(), "--profile: cpu profile of n1: 404") || strings.Contains(err.Error(), "of driver") {
		t.Errorf("got %v, want an error about each node's profiles and none about the driver's", err)
	}
	if err := os.WriteFile(filepath.Join(logs, "n2.log"), []byte("n2 listening on 127.0.0.1:7\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := newProfiler(t.TempDir(), time.Second, logs, bank.nodes); err == nil || !strings.Contains(err.Error(), "node n2: n2.log does not say") {
		t.Errorf("got %v, want an error about the log of n2", err)
	}
}
