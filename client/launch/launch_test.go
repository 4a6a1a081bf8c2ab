package launch

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"paxbank/client/sandbox"
	"paxbank/internal/topology"
	pb "paxbank/proto/paxbank/v1"
)

// The test binary plays the nodes, and a driver that is killed, when this
// variable says so.
const roleVariable = "PAXBANK_LAUNCH_TEST"

func TestMain(m *testing.M) {
	sandbox.Early()
	switch os.Getenv(roleVariable) {
	case "":
		goleak.VerifyTestMain(m)
	case "driver":
		driver()
	default:
		playNode(os.Getenv(roleVariable), os.Args[1:])
	}
}

type control struct {
	pb.UnimplementedControlServer
	id string
}

func (c control) Status(context.Context, *pb.StatusRequest) (*pb.StatusReply, error) {
	return &pb.StatusReply{NodeId: c.id}, nil
}

// playNode is a node: ID LISTEN DATA. Modes: serve, deaf (does not end on
// SIGTERM), polite (says good bye), mute (never serves), die (ends at once),
// die-once, web (hangs up on who speaks gRPC), other (serves gRPC, but not
// Control), hog (wants memory).
func playNode(mode string, args []string) {
	id, listen, data := args[0], args[1], args[2]
	fmt.Printf("node %s, GOGC=%s\n", id, os.Getenv("GOGC"))
	starts := filepath.Join(data, "starts")
	if f, err := os.OpenFile(starts, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err == nil {
		fmt.Fprintln(f, listen)
		f.Close()
	}
	switch mode {
	case "die":
		fmt.Println("no, \x1b[31mthank you")
		os.Exit(3)
	case "die-once":
		if data, _ := os.ReadFile(starts); strings.Count(string(data), "\n") == 1 {
			os.Exit(3)
		}
	case "mute":
		select {}
	case "deaf":
		signal.Ignore(syscall.SIGTERM)
	case "polite":
		told := make(chan os.Signal, 1)
		signal.Notify(told, syscall.SIGTERM)
		go func() {
			<-told
			fmt.Println("good bye")
			os.Exit(0)
		}()
	case "hog":
		all := make([]byte, 200<<20)
		for i := range all {
			all[i] = 1
		}
		select {}
	}
	network, name := "tcp", listen
	if path, ok := strings.CutPrefix(listen, "unix://"); ok {
		network, name = "unix", path
	}
	l, err := net.Listen(network, name)
	if err != nil {
		fmt.Println(err)
		os.Exit(69)
	}
	if mode == "web" {
		for {
			if c, err := l.Accept(); err == nil {
				fmt.Fprint(c, "HTTP/1.0 200 OK\r\n\r\nhello")
				c.Close()
			}
		}
	}
	s := grpc.NewServer()
	if mode == "other" {
		_ = s.Serve(l)
		return
	}
	pb.RegisterControlServer(s, control{id: id})
	if err := s.Serve(l); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// driver starts a fleet, prints the nodes' pids and waits to be killed.
func driver() {
	os.Setenv(roleVariable, "serve")
	f, err := Start(context.Background(), config(os.Args[1], os.Args[2]))
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	for _, n := range f.nodes {
		fmt.Println(n.process.pid())
	}
	fmt.Println("ready")
	select {}
}

func config(logs, data string) Config {
	t, err := topology.Uniform(1, 3, 10, 10)
	if err != nil {
		panic(err)
	}
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return Config{Topology: t, Command: []string{self, "{id}", "{listen}", "{data}"}, LogDir: logs, DataDir: data}
}

func start(t *testing.T, mode string) (*Fleet, Config, error) {
	t.Helper()
	t.Setenv(roleVariable, mode)
	dir := t.TempDir()
	cfg := config(filepath.Join(dir, "nodes"), filepath.Join(dir, "data"))
	if mode == "mute" || mode == "web" {
		cfg.ReadyTimeout = 2 * time.Second
	}
	f, err := Start(t.Context(), cfg)
	if err == nil {
		t.Cleanup(f.StopNow)
	}
	return f, cfg, err
}

// statusOf asks a node who it is.
func statusOf(t *testing.T, address string) (string, error) {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	reply, err := pb.NewControlClient(conn).Status(ctx, &pb.StatusRequest{})
	return reply.GetNodeId(), err
}

func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }

func TestStartAndStop(t *testing.T) {
	for _, mode := range []string{"serve", "deaf"} {
		f, cfg, err := start(t, mode)
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		var pids []int
		for _, n := range f.Topology().Nodes() {
			if id, err := statusOf(t, n.Address); id != n.ID || err != nil {
				t.Errorf("at %s: %q, %v; want %s", n.Address, id, err, n.ID)
			}
			if !strings.HasPrefix(n.Address, "127.0.0.1:") || seen[n.Address] {
				t.Errorf("%s listens on %s", n.ID, n.Address)
			}
			seen[n.Address] = true
			log, err := os.ReadFile(filepath.Join(cfg.LogDir, n.ID+".log"))
			if err != nil || !strings.Contains(string(log), "node "+n.ID) {
				t.Errorf("log of %s: %q, %v", n.ID, log, err)
			}
			pids = append(pids, f.nodes[n.ID].process.pid())
		}
		if len(f.Ended()) != 0 {
			t.Errorf("ended: %v", f.Ended())
		}
		f.stop(50 * time.Millisecond)
		for _, pid := range pids {
			if alive(pid) {
				t.Errorf("%s: process %d is left behind", mode, pid)
			}
		}
		if _, err := os.Stat(cfg.DataDir); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("data directory is left behind: %v", err)
		}
		f.Stop()
	}
}

func TestKillAndRestart(t *testing.T) {
	f, cfg, err := start(t, "serve")
	if err != nil {
		t.Fatal(err)
	}
	before := f.Topology().Nodes()[1]
	if _, err := f.Restart(t.Context(), "n2"); err == nil {
		t.Error("a running node was started a second time")
	}
	if err := f.Kill("n2"); err != nil {
		t.Fatal(err)
	}
	if _, err := statusOf(t, before.Address); err == nil {
		t.Error("n2 answers after kill -9")
	}
	if got := f.Ended(); len(got) != 1 || !strings.Contains(got["n2"], "killed") {
		t.Errorf("ended: %v", got)
	}
	address, err := f.Restart(t.Context(), "n2")
	if err != nil {
		t.Fatal(err)
	}
	if address != before.Address {
		t.Errorf("n2 came back at %s, not at its free port %s", address, before.Address)
	}
	if id, err := statusOf(t, address); id != "n2" || err != nil {
		t.Errorf("n2 after its restart: %q, %v", id, err)
	}
	data, err := os.ReadFile(filepath.Join(cfg.DataDir, "n2", "starts"))
	if err != nil || strings.Count(string(data), "\n") != 2 {
		t.Errorf("n2's data directory says %q (%v), want two starts in one directory", data, err)
	}
	// Its port is taken while it is down: it comes back on another.
	if err := f.Kill("n2"); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	moved, err := f.Restart(t.Context(), "n2")
	if err != nil {
		t.Fatal(err)
	}
	if moved == address || f.Topology().Nodes()[1].Address != moved {
		t.Errorf("n2 moved from %s to %s, the topology says %s", address, moved, f.Topology().Nodes()[1].Address)
	}
}

// untilStopped waits until every thread of a process has stopped: a signal to
// another process has not arrived when kill(2) returns. Only Linux can tell.
func untilStopped(t *testing.T, pid int) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	for {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
		if err != nil || len(threads) == 0 {
			return
		}
		running := ""
		for _, path := range threads {
			stat, err := os.ReadFile(path)
			if _, state, _ := strings.Cut(string(stat), ") "); err == nil && !strings.HasPrefix(state, "T") {
				running = state
			}
		}
		if running == "" {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("process %d has a thread that does not stop within 10 s: %s", pid, running)
		case <-time.After(time.Millisecond):
		}
	}
}

func TestSignal(t *testing.T) {
	f, _, err := start(t, "serve")
	if err != nil {
		t.Fatal(err)
	}
	address := f.Topology().Nodes()[0].Address
	if err := f.Signal("n1", syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	untilStopped(t, f.nodes["n1"].process.pid())
	answered := make(chan error, 1)
	go func() {
		_, err := statusOf(t, address)
		answered <- err
	}()
	select {
	case err := <-answered:
		t.Fatalf("a frozen node answers, %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	if err := f.Signal("n1", syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if err := <-answered; err != nil {
		t.Errorf("n1 goes on, and does not answer: %v", err)
	}
	if err := f.Kill("n1"); err != nil {
		t.Fatal(err)
	}
	if err := f.Signal("n1", syscall.SIGSTOP); err == nil || !strings.Contains(err.Error(), "n1 has ended: signal: killed") {
		t.Errorf("a signal to a dead node: %v", err)
	}
	if err := f.Signal("n9", syscall.SIGSTOP); err == nil {
		t.Error("a signal to nobody")
	}
}

func TestNodeThatDies(t *testing.T) {
	if _, _, err := start(t, "die-once"); err != nil {
		t.Errorf("a node that died once was not started again: %v", err)
	}
	_, _, err := start(t, "die")
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"node n1", "exit status 3", `no, \x1b[31mthank you`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not say %q", err, want)
		}
	}
	// It was started several times, and each says the same.
	if n := strings.Count(err.Error(), `no, \x1b[31mthank you`); n != 1 {
		t.Errorf("error %q repeats itself", err)
	}
}

func TestNodeThatNeverServes(t *testing.T) {
	_, cfg, err := start(t, "mute")
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"node n1 on 127.0.0.1:", "within 2s: nothing listens there", "node n1, GOGC="} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not say %q", err, want)
		}
	}
	if _, err := os.Stat(cfg.DataDir); err == nil {
		t.Error("data directory is left behind")
	}
}

// What is wrong with a program that is no node is said in words that do not ask
// for knowledge of gRPC.
func TestNodeThatIsNone(t *testing.T) {
	for mode, want := range map[string]string{
		"web":   "no answer to Control.Status within 2s: what listens there does not speak gRPC",
		"other": "is not ready: it speaks gRPC but does not offer paxbank.v1.Control",
	} {
		_, _, err := start(t, mode)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "rpc error") {
			t.Errorf("%s: error %v, want %q", mode, err, want)
		}
	}
}

func TestProgramIsMissing(t *testing.T) {
	cfg := config(t.TempDir(), filepath.Join(t.TempDir(), "data"))
	cfg.Command = []string{filepath.Join(t.TempDir(), "nothing")}
	if _, err := Start(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "node n1 cannot be started") {
		t.Errorf("error %v", err)
	}
}

// TestDriverIsKilled: nodes die with a driver that had no time to stop them.
func TestDriverIsKilled(t *testing.T) {
	if !abstractNames {
		t.Skip("only Linux tells children of their parent's death")
	}
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, filepath.Join(dir, "nodes"), filepath.Join(dir, "data"))
	cmd.Env = append(os.Environ(), roleVariable+"=driver")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var pids []int
	for {
		var word string
		if _, err := fmt.Fscanln(out, &word); err != nil {
			t.Fatal(err)
		}
		if word == "ready" {
			break
		}
		var pid int
		if _, err := fmt.Sscan(word, &pid); err != nil {
			t.Fatalf("the driver said %q", word)
		}
		pids = append(pids, pid)
	}
	if len(pids) != 3 {
		t.Fatalf("%d nodes", len(pids))
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	deadline := time.Now().Add(5 * time.Second)
	for _, pid := range pids {
		for running(pid) {
			if time.Now().After(deadline) {
				t.Fatalf("node process %d outlives its driver", pid)
			}
			time.Sleep(time.Millisecond)
		}
	}
}

// running reports whether a process runs; one that nobody has waited for yet
// does not.
func running(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, after, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(after, "Z") && !strings.HasPrefix(after, "X")
}

func TestPortsAreClaimed(t *testing.T) {
	p, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	defer p.release()
	if !p.free() {
		t.Errorf("port %d is not free", p.number)
	}
	if !abstractNames {
		return
	}
	if l, err := net.Listen("unix", fmt.Sprintf("@paxbank-port-%d", p.number)); err == nil {
		l.Close()
		t.Errorf("port %d can be claimed twice", p.number)
	}
}

func TestSplit(t *testing.T) {
	for line, want := range map[string]string{
		`server --id {id}`:        `server|--id|{id}`,
		`  a   b	c `:              `a|b|c`,
		`sh -c 'x "y" $z'`:        `sh|-c|x "y" $z`,
		`a "b 'c' \"d\" \n" e\ f`: `a|b 'c' "d" \n|e f`,
		`a''b "" c`:               `ab||c`,
		`java -jar "my node.jar"`: `java|-jar|my node.jar`,
		`'not closed`:             `error: a ' quote is not closed`,
		`"not closed`:             `error: a " quote is not closed`,
		`backslash \`:             `error: it ends in a backslash`,
		``:                        `error: it is empty`,
	} {
		words, err := Split(line)
		got := strings.Join(words, "|")
		if err != nil {
			got = "error: " + err.Error()
		}
		if got != want {
			t.Errorf("Split(%q) = %s, want %s", line, got, want)
		}
	}
}

func TestParseCommand(t *testing.T) {
	if _, err := ParseCommand("sh {id} {listen} {data}"); err != nil {
		t.Error(err)
	}
	for line, want := range map[string]string{
		"sh {id} {listen}":                     "{data} is missing",
		"no-such-program {id} {listen} {data}": "no-such-program",
		"sh '{id} {listen} {data}":             "quote is not closed",
	} {
		if _, err := ParseCommand(line); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseCommand(%q): %v, want %q", line, err, want)
		}
	}
}

func TestEnvironment(t *testing.T) {
	for _, c := range []struct {
		leaders int
		memory  int64
		want    string
	}{
		{1, foreignMemory, fmt.Sprint("GOMEMLIMIT=512MiB GOMAXPROCS=", runtime.NumCPU())},
		{10 * runtime.NumCPU(), foreignMemory, "GOMEMLIMIT=512MiB GOMAXPROCS=1"},
		{10 * runtime.NumCPU(), ownMemory, "GOMEMLIMIT=112MiB GOMAXPROCS=1"},
	} {
		got := strings.Join(environment([]string{"A=1", "GOGC=50"}, c.leaders, c.memory), " ")
		if want := "A=1 GOGC=50 " + c.want; got != want {
			t.Errorf("environment for %d leaders is %q, want %q", c.leaders, got, want)
		}
	}
}

func TestMemory(t *testing.T) {
	large, err := topology.Uniform(2, 3, 20_000_000, 1)
	if err != nil {
		t.Fatal(err)
	}
	if got := memoryOf([]string{"sh", "-c", "true"}, large); got != foreignMemory {
		t.Errorf("another program gets %d bytes, want %d", got, foreignMemory)
	}
	// Beside the test lies no server, so a link to the program that is asked for
	// stands in for it.
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	server := filepath.Join(filepath.Dir(self), "server")
	if err := os.Symlink("/bin/sh", server); err != nil {
		t.Skip(err)
	}
	defer os.Remove(server)
	if got, want := memoryOf([]string{"sh", "-c", "true"}, large), int64(ownMemory+10_000_000*ownItemMemory); got != want {
		t.Errorf("our server gets %d bytes for ten million items in a cluster, want %d", got, want)
	}
}
