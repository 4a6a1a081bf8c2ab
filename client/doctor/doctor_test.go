package doctor

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"paxbank/client/launch"
	"paxbank/internal/topology"
	"paxbank/internal/topologypb"
	pb "paxbank/proto/paxbank/v1"
)

// program is the server, built once.
var program string

func TestMain(m *testing.M) { os.Exit(runTests(m)) }

func runTests(m *testing.M) int {
	// These tests wait for elections most of the time.
	flag.Parse()
	if err := flag.Set("test.parallel", "6"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	dir, err := os.MkdirTemp("", "paxbank-doctor-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	program = filepath.Join(dir, "server")
	build := exec.Command("go", "build", "-o", program, "paxbank/server")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building the server: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

func serverCommand() []string {
	return []string{program, "--id", "{id}", "--listen", "{listen}", "--data", "{data}"}
}

func small(t *testing.T) *topology.Topology {
	t.Helper()
	top, err := topology.Uniform(2, 3, 60, 10)
	if err != nil {
		t.Fatal(err)
	}
	return top
}

// running starts the server's nodes, without telling them anything.
func running(t *testing.T) *topology.Topology {
	t.Helper()
	dir := t.TempDir()
	fleet, err := launch.Start(t.Context(), launch.Config{Topology: small(t), Command: serverCommand(),
		LogDir: filepath.Join(dir, "logs"), DataDir: filepath.Join(dir, "data")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fleet.StopNow)
	return fleet.Topology()
}

// examined is the report on running nodes behind lies.
func examined(t *testing.T, real *topology.Topology, lies liars) *Report {
	t.Helper()
	r, err := Examine(t.Context(), Options{Attach: true, Topology: front(t, real, lies)})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// expect compares the report with the results wanted by probe; the others are OK
// or cannot be shown here.
func expect(t *testing.T, r *Report, want map[id]Result) {
	t.Helper()
	for i, f := range r.Findings {
		w, named := want[probes[i].id]
		if !named && f.Result == NotHere {
			continue
		}
		if !named {
			w = OK
		}
		if f.Result != w {
			t.Errorf("L%d %s, %s: %s (%s), want %s", f.Level, f.Call, f.Probe, f.Result, f.Got, w)
		}
		if (f.Result == Wrong || f.Result == Missing) && (f.Got == "" || f.Cost == "") {
			t.Errorf("L%d %s, %s: %s, but got is %q and cost %q", f.Level, f.Call, f.Probe, f.Result, f.Got, f.Cost)
		}
	}
}

func TestOurServerIsSound(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r, err := Examine(t.Context(), Options{Command: serverCommand(), Topology: small(t), Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	expect(t, r, nil)
	if !r.Sound() || r.of(process)[0].Result != OK || len(r.Advice) != 0 {
		t.Errorf("sound %t, restart %s, advice %v", r.Sound(), r.of(process)[0].Result, r.Advice)
	}
	if _, err := os.Stat(filepath.Join(dir, "nodes", "n1.log")); err != nil {
		t.Error(err)
	}
}

// What is missing from L2, fields included, is not graded and no failure.
func TestMissingL2IsNotGraded(t *testing.T) {
	t.Parallel()
	lies := liars{"Status": changed(func(_ string, r *pb.StatusReply) {
		// All that an implementation of an older contract might leave out.
		*r = pb.StatusReply{NodeId: r.GetNodeId(), Configured: r.GetConfigured(), Topology: r.GetTopology(), Epoch: r.GetEpoch(),
			Ready: r.GetReady(), Leader: r.GetLeader(), CommitIndex: r.GetCommitIndex(), AppliedIndex: r.GetAppliedIndex()}
	})}
	want := map[id]Result{}
	for _, c := range calls {
		if c.level == 2 && !strings.HasPrefix(c.name, "Status.") {
			_, method, _ := strings.Cut(c.name, ".")
			lies[method] = absent
		}
	}
	for _, p := range probes {
		if callNamed(p.call).level == 2 {
			want[p.id] = Missing
		}
	}
	r := examined(t, running(t), lies)
	expect(t, r, want)
	if !r.Sound() {
		t.Errorf("not sound: %v", r.Levels)
	}
	var b bytes.Buffer
	if err := r.Print(&b); err != nil {
		t.Fatal(err)
	}
	if text := b.String(); !strings.Contains(text, "\nL2: not graded\n") || strings.Contains(text, "missing ") && !strings.Contains(text, "PrintBalance is missing") {
		t.Errorf("the report reads:\n%s", text)
	}
}

// An implementation that is given its bank in another way can have L0 by itself.
func TestL0Alone(t *testing.T) {
	t.Parallel()
	real := running(t)
	lies := liars{"Configure": absent, "SetLive": absent, "Database": absent, "Balance": absent}
	direct := map[string]*node{}
	for c, cl := range real.Clusters {
		for _, tn := range cl.Nodes {
			n, err := connect(tn.ID, tn.Address, c)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { n.conn.Close() })
			if _, err := n.control.Configure(t.Context(), &pb.ConfigureRequest{NodeId: n.id, Topology: topologypb.ToProto(real), Epoch: 1}); err != nil {
				t.Fatal(err)
			}
			if err := n.setLive(t.Context(), true); err != nil {
				t.Fatal(err)
			}
			direct[n.id] = n
		}
	}
	// Always live.
	lies["Reset"] = func(node string, q proto.Message, call func(proto.Message) (proto.Message, error)) (proto.Message, error) {
		r, err := call(q)
		if err == nil {
			err = direct[node].setLive(context.Background(), true)
		}
		return r, err
	}
	r := examined(t, real, lies)
	if !r.Levels[0].Complete || r.Levels[1].Verdict != "L1: 4 of 4 calls missing" || r.Sound() {
		t.Errorf("levels %v", r.Levels)
		expect(t, r, map[id]Result{})
	}
}

// Every lie is found by the probe that is there for it.
func TestLiesAreFound(t *testing.T) {
	t.Parallel()
	unrefused := func(_ string, q proto.Message, call func(proto.Message) (proto.Message, error)) (proto.Message, error) {
		r, err := call(q)
		if s := status.Convert(err); s.Code() == codes.Unavailable {
			err = status.Error(codes.Unavailable, strings.TrimPrefix(s.Message(), refusedPrefix))
		}
		return r, err
	}
	// forgives makes a success of what is refused with a code.
	forgives := func(code codes.Code) lie {
		return func(_ string, q proto.Message, call func(proto.Message) (proto.Message, error)) (proto.Message, error) {
			r, err := call(q)
			if status.Code(err) == code {
				err = nil
			}
			return r, err
		}
	}
	r := examined(t, running(t), liars{
		"Submit": changed(func(_ string, r *pb.TransactionReply) {
			switch r.GetResult() {
			case pb.Result_RESULT_COMMITTED:
				r.Timestamp = 0
			case pb.Result_RESULT_INSUFFICIENT_FUNDS:
				r.Result = pb.Result_RESULT_COMMITTED
			case pb.Result_RESULT_INVALID:
				r.Result = pb.Result_RESULT_UNKNOWN
			case pb.Result_RESULT_NOT_LEADER:
				r.Leader = ""
			case pb.Result_RESULT_WRONG_EPOCH:
				r.Epoch = 0
			case pb.Result_RESULT_ABORTED:
				r.Result = pb.Result_RESULT_COMMITTED
			}
		}),
		"Read": unrefused,
		"Status": changed(func(node string, r *pb.StatusReply) {
			r.Quorum = r.GetLive()
			r.Checksum ^= uint64(node[1])
		}),
		"Configure": forgives(codes.InvalidArgument),
		"Reset":     forgives(codes.FailedPrecondition),
		"Database":  changed(func(_ string, r *pb.DatabaseReply) { r.Items = drop(r.GetItems(), 1) }),
		"Balance": func(_ string, q proto.Message, call func(proto.Message) (proto.Message, error)) (proto.Message, error) {
			r, err := call(q)
			if reply := r.(*pb.BalanceReply); err == nil && len(reply.GetItems()) == 0 {
				reply.Items = []*pb.BalanceReply_Item{{Item: q.(*pb.BalanceRequest).GetItems()[0]}}
			}
			return r, err
		},
		"Resolve":           changed(func(_ string, r *pb.ResolveReply) { r.Final = false }),
		"SubmitStream":      changed(func(_ string, r *pb.TransactionReplyBatch) { r.Replies[0].ClientId++ }),
		"ReadStream":        changed(func(_ string, r *pb.ReadReplyBatch) { r.Replies[0].Reply.Balance++ }),
		"Log":               changed(func(_ string, r *pb.LogReply) { setStatus(r, "A") }),
		"TransactionStatus": changed(func(_ string, r *pb.TransactionStatusReply) { r.Rows = nil }),
		"Views":             changed(func(_ string, r *pb.ViewsReply) { r.Views[0].Leader = "" }),
		"Locks":             changed(func(_ string, r *pb.LocksReply) { r.Locks = []*pb.LocksReply_Lock{{Item: 1}} }),
		"Timeline": changed(func(_ string, r *pb.TimelineReply) {
			for _, l := range r.GetTimelines() {
				l.ReleasedUs = 0
			}
		}),
		"Performance": changed(func(_ string, r *pb.PerformanceReply) { r.LockHold = nil }),
	})
	want := map[id]Result{performs: Missing}
	for _, p := range []id{commits, funds, malformed, contents, misdirected, otherEpoch, resetOver, bankEarly, configuresWrong, refuses,
		majority, participantDown, database, balances, resolves, tombstones, streams, readStreams, logs, rows, views, locks, timelines, checksums} {
		want[p] = Wrong
	}
	expect(t, r, want)
}

func setStatus(r *pb.LogReply, status string) {
	for _, e := range r.GetEntries() {
		e.Status = status
	}
}

// Lies about money, and a node that makes things up.
func TestMoneyIsCounted(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	seen := map[uint64]int{}
	r := examined(t, running(t), liars{
		// A second send of a request that was answered is another request.
		"Submit": func(_ string, m proto.Message, call func(proto.Message) (proto.Message, error)) (proto.Message, error) {
			q := m.(*pb.TransactionRequest)
			name := q.GetTimestamp()
			mu.Lock()
			again := seen[name]
			mu.Unlock()
			q.Timestamp += uint64(again) << 40
			r, err := call(q)
			if reply := r.(*pb.TransactionReply); err == nil {
				reply.Timestamp = name
				if reply.GetFinal() {
					mu.Lock()
					seen[name]++
					mu.Unlock()
				}
			}
			return r, err
		},
		// Promises what the bank does not know of.
		"Resolve": func(_ string, m proto.Message, _ func(proto.Message) (proto.Message, error)) (proto.Message, error) {
			q := m.(*pb.ResolveRequest)
			mu.Lock()
			defer mu.Unlock()
			if seen[q.GetTimestamp()] > 0 {
				return &pb.ResolveReply{Result: pb.Result_RESULT_COMMITTED, Final: true}, nil
			}
			return &pb.ResolveReply{Result: pb.Result_RESULT_ABORTED, Final: true}, nil
		},
		"Database": absent,
		// Says done and does nothing.
		"Reset": func(string, proto.Message, func(proto.Message) (proto.Message, error)) (proto.Message, error) {
			return &pb.ResetReply{}, nil
		},
	})
	expect(t, r, map[id]Result{twice: Wrong, contents: Wrong, tombstones: Wrong, database: Missing, resets: Wrong, resetOver: Wrong})
	if r.Sound() {
		t.Error("a bank that doubles money is called sound")
	}
	if first := r.Advice[0]; !strings.HasPrefix(first, "L0 Bank.Submit, the same again") {
		t.Errorf("advice begins with %q", first)
	}
}

// A node that never answers costs seconds, not for ever.
func TestNobodyAnswers(t *testing.T) {
	t.Parallel()
	began := time.Now()
	r := examined(t, running(t), liars{"Configure": func(string, proto.Message, func(proto.Message) (proto.Message, error)) (proto.Message, error) {
		return nil, status.Error(codes.Internal, "out of order")
	}})
	if f := r.of("Control.Configure")[0]; f.Result != Wrong || !strings.Contains(f.Got, `node n1: status INTERNAL ("out of order")`) {
		t.Errorf("Configure: %s, got %q", f.Result, f.Got)
	}
	if f := r.of("Bank.Submit")[0]; f.Result != NotTried || !strings.Contains(f.Got, "no bank could be set up") {
		t.Errorf("Submit: %s, got %q", f.Result, f.Got)
	}
	if d := time.Since(began); d > 30*time.Second {
		t.Errorf("it took %s", d)
	}
}
