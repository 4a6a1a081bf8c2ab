package launch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"paxbank/client/sandbox"
	"paxbank/internal/grpcopts"
	pb "paxbank/proto/paxbank/v1"
)

// startIn starts three nodes that play a role, in boxes when there is a policy.
func startIn(t *testing.T, role string, policy *sandbox.Policy, listen string) (*Fleet, Config, error) {
	t.Helper()
	dir := t.TempDir()
	cfg := config(filepath.Join(dir, "nodes"), filepath.Join(dir, "data"))
	cfg.Listen = listen
	if policy != nil {
		policy.Env = append(policy.Env, roleVariable+"="+role)
		policy.Hidden = append(policy.Hidden, dir)
		cfg.Sandbox = policy
	} else {
		t.Setenv(roleVariable, role)
	}
	f, err := Start(t.Context(), cfg)
	if err == nil {
		t.Cleanup(f.StopNow)
	}
	return f, cfg, err
}

// eachWay of starting nodes but the plain one.
func eachWay(t *testing.T, test func(t *testing.T, policy *sandbox.Policy, listen string)) {
	t.Run("unix", func(t *testing.T) { test(t, nil, ListenUnix) })
	t.Run("unix in a box", func(t *testing.T) { test(t, &sandbox.Policy{Mode: sandbox.Auto}, ListenUnix) })
	t.Run("tcp in a box", func(t *testing.T) { test(t, &sandbox.Policy{Mode: sandbox.Auto}, ListenTCP) })
	t.Run("tcp in a process group", func(t *testing.T) { test(t, &sandbox.Policy{Mode: sandbox.None}, ListenTCP) })
}

// A killed node comes back at the same place, with its data.
func TestBoxedKillAndRestart(t *testing.T) {
	eachWay(t, func(t *testing.T, policy *sandbox.Policy, listen string) {
		f, cfg, err := startIn(t, "serve", policy, listen)
		if err != nil {
			t.Fatal(err)
		}
		pids := f.PIDs()
		n2 := f.Topology().Nodes()[1]
		if unix := strings.HasPrefix(n2.Address, "unix:///"); unix != (listen == ListenUnix) || len(n2.Address) > 107 {
			t.Errorf("n2 listens on %s", n2.Address)
		}
		if err := f.Kill("n2"); err != nil {
			t.Fatal(err)
		}
		if how := f.Ended()["n2"]; how != "signal: killed" {
			t.Errorf("n2 ended: %s", how)
		}
		address, err := f.Restart(t.Context(), "n2")
		if err != nil || address != n2.Address {
			t.Fatalf("n2 came back at %q, not at %q: %v", address, n2.Address, err)
		}
		if id, err := ask(t, n2.Address, 5*time.Second); id != "n2" || err != nil {
			t.Errorf("n2 after its restarts: %q, %v", id, err)
		}
		if starts, err := os.ReadFile(filepath.Join(cfg.DataDir, "n2", "starts")); err != nil || bytes.Count(starts, []byte("\n")) != 2 {
			t.Errorf("n2's data directory says %q (%v), want two starts", starts, err)
		}
		log, err := os.ReadFile(filepath.Join(cfg.LogDir, "n2.log"))
		if err != nil || !bytes.Contains(log, []byte("node n2, GOGC=400")) {
			t.Errorf("log of n2: %q, %v", log, err)
		}
		f.Stop()
		for _, pid := range pids {
			if alive(pid) {
				t.Errorf("process %d is left behind", pid)
			}
		}
		if f.sockets != "" {
			if _, err := os.Stat(f.sockets); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the sockets are left behind: %v", err)
			}
		}
	})
}

func ask(t *testing.T, address string, timeout time.Duration) (string, error) {
	t.Helper()
	conn, err := grpc.NewClient(grpcopts.Target(address), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	reply, err := pb.NewControlClient(conn).Status(ctx, &pb.StatusRequest{})
	return reply.GetNodeId(), err
}

// A frozen node goes on where it was, and a node is told before it is killed.
func TestBoxedSignals(t *testing.T) {
	f, cfg, err := startIn(t, "polite", &sandbox.Policy{Mode: sandbox.Auto}, ListenUnix)
	if err != nil {
		t.Fatal(err)
	}
	address := f.Topology().Nodes()[0].Address
	if err := f.Signal("n1", syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	// A busy machine takes its time to stop all of its threads.
	for end := time.Now().Add(10 * time.Second); ; {
		if _, err := ask(t, address, 100*time.Millisecond); status.Code(err) == codes.DeadlineExceeded {
			break
		}
		if time.Now().After(end) {
			t.Fatal("a frozen node answers after 10 s")
		}
	}
	if err := f.Signal("n1", syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if id, err := ask(t, address, 10*time.Second); id != "n1" {
		t.Errorf("n1 goes on, and does not answer: %v", err)
	}
	f.Stop()
	log, err := os.ReadFile(filepath.Join(cfg.LogDir, "n1.log"))
	if err != nil || !bytes.Contains(log, []byte("good bye")) {
		t.Errorf("n1 was not told to end: %q, %v", log, err)
	}
}

func TestBoxedNodeThatDies(t *testing.T) {
	_, _, err := startIn(t, "die", &sandbox.Policy{Mode: sandbox.Auto}, ListenTCP)
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"node n1", "exit status 3", `no, \x1b[31mthank you`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not say %q", err, want)
		}
	}
	if _, _, err := startIn(t, "hog", &sandbox.Policy{Mode: sandbox.Auto, Limits: sandbox.Limits{Memory: 96 << 20}}, ListenTCP); err == nil || !strings.Contains(err.Error(), "of 96 MiB memory") {
		t.Errorf("a node that wants too much: %v", err)
	}
}

func TestSocketNames(t *testing.T) {
	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), strings.Repeat("deep", 30)))
	if err := os.Mkdir(os.Getenv("TMPDIR"), 0o755); err != nil {
		t.Fatal(err)
	}
	dir, err := socketDirectory("n1")
	if err != nil || len(dir) > 60 {
		t.Errorf("sockets are in %s, %v", dir, err)
	}
	os.Remove(dir)
	if _, err := socketDirectory(strings.Repeat("n", 100)); err == nil || !strings.Contains(err.Error(), "too long") {
		t.Errorf("a long id: %v", err)
	}
	entries, err := os.ReadDir(os.Getenv("TMPDIR"))
	if err != nil || len(entries) != 0 {
		t.Errorf("%v is left behind, %v", entries, err)
	}
}

// TestFill: what a node is told, with what a box makes of it.
func TestFill(t *testing.T) {
	f := &Fleet{cfg: Config{Command: []string{"./node", "--at={listen}", "{id}", "{data}/x"}}}
	if got := fmt.Sprint(f.fill("n1", "unix:///s/n1.sock", "/d")); got != "[./node --at=unix:///s/n1.sock n1 /d/x]" {
		t.Error(got)
	}
}
