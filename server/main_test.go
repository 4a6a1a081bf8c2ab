package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"paxbank/internal/grpcopts"
	pb "paxbank/proto/paxbank/v1"
)

// The test binary is the server when it is told so: what is tested is a real
// process with its real exit code.
func TestMain(m *testing.M) {
	if os.Getenv("PAXBANK_TEST_SERVER") == "1" {
		main()
	}
	os.Exit(m.Run())
}

const patience = 20 * time.Second

func command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	t.Cleanup(cancel)
	c := exec.CommandContext(ctx, os.Args[0], args...)
	c.Env = append(os.Environ(), "PAXBANK_TEST_SERVER=1")
	return c
}

// process is a running server.
type process struct {
	t       *testing.T
	cmd     *exec.Cmd
	stderr  *bufio.Reader
	address string
	metrics string // address of --metrics
}

func startProcess(t *testing.T, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: command(t, args...)}
	pipe, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.cmd.Process.Kill() })
	p.stderr = bufio.NewReader(pipe)
	line, err := p.stderr.ReadString('\n')
	if metrics, ok := strings.CutPrefix(strings.TrimSpace(line), "n1 serves metrics on "); ok && err == nil {
		p.metrics = metrics
		line, err = p.stderr.ReadString('\n')
	}
	if err != nil {
		t.Fatalf("the server says %q, %v", line, err)
	}
	id, address, ok := strings.Cut(strings.TrimSpace(line), " listening on ")
	if !ok || id != "n1" {
		t.Fatalf("the server says %q, not that it is ready", line)
	}
	p.address = address
	return p
}

// end waits for the process and returns what it still said, and its exit code.
func (p *process) end() (string, int) {
	p.t.Helper()
	rest, _ := io.ReadAll(p.stderr)
	err := p.cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		p.t.Fatal(err)
	}
	return string(rest), p.cmd.ProcessState.ExitCode()
}

func (p *process) signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

func connect(t *testing.T, address string) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(grpcopts.Target(address), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

const alone = "clusters: [{id: c1, nodes: [{id: n1}], first_item: 1, last_item: 100}]\n"

func TestErrors(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	foreign := filepath.Dir(write(t, "letter.txt", "Dear"))
	good := []string{"--id", "n1", "--listen", "127.0.0.1:0", "--data", data}
	with := func(more ...string) []string { return append(append([]string{}, good...), more...) }
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{nil, 64, "--id is missing"},
		{[]string{"--id", "n1"}, 64, "--listen is missing"},
		{[]string{"--id", "n1", "--listen", "127.0.0.1:0"}, 64, "--data is missing"},
		{with("--colour", "red"), 64, "flag provided but not defined: -colour"},
		{with("now"), 64, `unexpected argument "now"`},
		{with("--log-level", "loud"), 64, "--log-level must be debug, info, warn or error"},
		{with("--listen", "7001"), 64, "--listen 7001: it must be host:port"},
		{with("--listen", "127.0.0.1:http3"), 64, `"http3" is no port`},
		{with("--listen", "127.0.0.1:70000"), 64, `"70000" is no port`},
		{with("--listen", "unix://"), 64, "the path of the socket is missing"},
		{with("--metrics", "unix:///tmp/x"), 64, "--metrics must be host:port"},
		{with("--topology", filepath.Join(dir, "none.yaml")), 64, "none.yaml: no such file"},
		{with("--topology", write(t, "bad.yaml", "clusters:\n  - {id: c1, colour: red}\n")), 64, `bad.yaml:2: cluster number 1 has no field "colour"`},
		{with("--topology", write(t, "other.yaml", strings.Replace(alone, "n1", "n2", 1))), 64, "other.yaml: node n1 is not in the topology"},
		{with("--listen", taken.Addr().String()), 69, "another process does; choose another --listen"},
		{with("--metrics", taken.Addr().String()), 69, "another process does; choose another --metrics"},
		{with("--data", "/dev/null"), 70, "data directory /dev/null cannot be made"},
		{with("--data", foreign), 70, "is not one of a server: it holds letter.txt"},
	} {
		out, err := command(t, c.args...).CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != c.code {
			t.Errorf("%q: %v, want exit %d", c.args, err, c.code)
		}
		text := string(out)
		if !strings.HasPrefix(text, "server: ") || !strings.Contains(text, c.want) || strings.Count(text, "\n") != 1 {
			t.Errorf("%q says %q, want one line with %q", c.args, text, c.want)
		}
	}
	out, err := command(t, "--help").CombinedOutput()
	if err != nil || !bytes.HasPrefix(out, []byte("usage: server --id")) {
		t.Errorf("--help: %v, %q", err, out)
	}
}

// TestLife follows a node that stands alone: it works, is killed, comes back
// from its disk, refuses a second process and a changed identity, and stops when
// it is told to.
func TestLife(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	topo := write(t, "alone.yaml", alone)
	args := []string{"--id", "n1", "--listen", "127.0.0.1:0", "--data", data, "--topology", topo}
	p := startProcess(t, append(args, "--metrics", "127.0.0.1:0")...)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	submit := func(p *process, timestamp uint64) *pb.TransactionReply {
		t.Helper()
		client := pb.NewBankClient(connect(t, p.address))
		for {
			r, err := client.Submit(ctx, &pb.TransactionRequest{Epoch: 1, ClientId: 1, Timestamp: timestamp,
				Transfer: &pb.Transfer{From: 1, To: 2, Amount: 3}, DeadlineMs: 5000}, grpc.WaitForReady(true))
			if err != nil {
				t.Fatal(err)
			}
			// Until it has elected itself.
			if r.Result != pb.Result_RESULT_UNAVAILABLE && r.Result != pb.Result_RESULT_NOT_LEADER {
				return r
			}
		}
	}
	if r := submit(p, 1); !r.Success {
		t.Fatal(r)
	}
	if body := get(t, "http://"+p.metrics+"/metrics"); !strings.Contains(body, `paxbank_live{node="n1"} 1`) ||
		!strings.Contains(body, `paxbank_answers_total{node="n1",outcome="committed"} 1`) {
		t.Errorf("metrics:\n%s", body)
	}
	// A compressed protobuf message.
	if body := get(t, "http://"+p.metrics+"/debug/pprof/block?seconds=1"); !strings.HasPrefix(body, "\x1f\x8b") {
		t.Errorf("the block profile is %q", body)
	}

	expect := func(want string, args ...string) {
		t.Helper()
		out, err := command(t, args...).CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 70 || !strings.Contains(string(out), want) || strings.Count(string(out), "\n") != 1 {
			t.Errorf("%q: %v, %q; want exit 70 and one line with %q", args, err, out, want)
		}
	}
	expect("is in use by another process", args...)

	p.signal(syscall.SIGKILL)
	if _, code := p.end(); code != -1 {
		t.Errorf("exit code %d after a kill", code)
	}
	expect("belongs to node n1, this is n2", "--id", "n2", "--listen", "127.0.0.1:0", "--data", data)
	expect("belongs to a bank of another shape", append(args, "--topology", write(t, "larger.yaml", strings.Replace(alone, "100", "101", 1)))...)

	p = startProcess(t, args...)
	if r := submit(p, 1); !r.Success { // answered from its session
		t.Error(r)
	}
	balance, err := pb.NewInspectClient(connect(t, p.address)).Balance(ctx, &pb.BalanceRequest{Items: []int64{1, 2}})
	if err != nil || len(balance.Items) != 2 || balance.Items[0].Balance != 7 || balance.Items[1].Balance != 13 {
		t.Errorf("balances after a kill: %v, %v; want 7 and 13", balance, err)
	}
	// A call that waits does not hold up the end.
	stream, err := pb.NewBankClient(connect(t, p.address)).SubmitStream(ctx)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	p.signal(syscall.SIGTERM)
	out, code := p.end()
	if code != 0 || out != "" {
		t.Errorf("after SIGTERM: exit %d, %q", code, out)
	}
	if d := time.Since(start); d > 2*time.Second {
		t.Errorf("it took %v to stop, want at most 2 s", d)
	}
	if _, err := stream.Recv(); err == nil {
		t.Error("the stream of a stopped server goes on")
	}
}

func TestUnixSocket(t *testing.T) {
	dir := t.TempDir()
	address := "unix://" + filepath.Join(dir, "s")
	args := []string{"--id", "n1", "--listen", address, "--data", filepath.Join(dir, "data")}
	p := startProcess(t, args...)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	status := func() {
		t.Helper()
		st, err := pb.NewControlClient(connect(t, p.address)).Status(ctx, &pb.StatusRequest{}, grpc.WaitForReady(true))
		if err != nil || st.NodeId != "n1" || st.Configured {
			t.Errorf("status: %v, %v", st, err)
		}
	}
	status()
	other := append(append([]string{}, args...), "--data", filepath.Join(dir, "other"))
	if out, err := command(t, other...).CombinedOutput(); err == nil || !strings.Contains(string(out), "another process does") {
		t.Errorf("a second server on the socket: %v, %q", err, out)
	}
	p.signal(syscall.SIGKILL) // leaves the socket behind
	p.end()
	p = startProcess(t, args...)
	status()
	p.signal(os.Interrupt)
	if out, code := p.end(); code != 0 || out != "" {
		t.Errorf("after an interrupt: exit %d, %q", code, out)
	}
}

func get(t *testing.T, url string) string {
	t.Helper()
	client := http.Client{Timeout: patience}
	resp, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatal(fmt.Errorf("%s: %d, %w", url, resp.StatusCode, err))
	}
	return string(body)
}
