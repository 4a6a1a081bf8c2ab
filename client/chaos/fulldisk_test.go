package chaos

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"paxbank/client/session"
	"paxbank/internal/topology"
)

// The disk of one node in TestFullDisk, and how many transfers at most are made
// to fill it.
const (
	smallDisk     = "2m"
	fillTransfers = 200_000
	fillUnderWay  = 1000
)

// ownMounts is the command that runs another with mounts of its own; nil when
// this machine does not allow that.
func ownMounts(dir string) []string {
	for _, flags := range []string{"-m", "-rm"} { // as root, and as anybody
		if exec.Command("unshare", flags, "mount", "-t", "tmpfs", "-o", "size="+smallDisk, "tmpfs", dir).Run() == nil {
			return []string{"unshare", flags, "sh", "-c"}
		}
	}
	return nil
}

// TestFullDisk: a leader whose disk is full ends with one line and the right
// exit status, the others go on, and what was acknowledged is there.
func TestFullDisk(t *testing.T) {
	command := ownMounts(t.TempDir())
	if command == nil {
		t.Skip("no mounts of one's own on this machine, so no small disk (server/storage fakes one)")
	}
	topo, err := topology.Uniform(1, 3, 100, 1000)
	if err != nil {
		t.Fatal(err)
	}
	b := startAs(t, topo, nil, append(command, fmt.Sprintf(
		"if [ {id} = n1 ]; then mount -t tmpfs -o size=%s tmpfs {data}; fi; exec %s --id {id} --listen {listen} --data {data}", smallDisk, program)))
	if leader := b.leaders()[0]; leader != "n1" {
		t.Skipf("%s leads, not n1: this machine is too busy to say anything", leader)
	}
	s := b.session(b.connect())
	var next atomic.Int64
	var mu sync.Mutex
	balance := map[int64]int64{}
	var wg sync.WaitGroup
	for range fillUnderWay {
		wg.Go(func() {
			for {
				i := next.Add(1)
				if i > fillTransfers || len(b.fleet.Ended()) > 0 {
					return
				}
				from := 1 + i%99
				to := from + 1
				r := s.Transfer(b.ctx, from, to, 1, batchDeadline)
				for b.ctx.Err() == nil && r.Outcome == session.Unknown {
					r = s.Resolve(b.ctx, session.Request{Client: r.Client, Timestamp: r.Timestamp, Epoch: r.Epoch, From: from}, batchDeadline)
				}
				if r.Outcome == session.Committed {
					mu.Lock()
					balance[from]--
					balance[to]++
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	how := b.fleet.Ended()
	if len(how) != 1 || how["n1"] != "exit status 70" {
		t.Fatalf("after %d transfers these nodes ended: %v; want n1 alone, with exit status 70", next.Load(), how)
	}
	log, err := os.ReadFile(filepath.Join(b.logs, "n1.log"))
	if err != nil {
		t.Fatal(err)
	}
	_, said, _ := strings.Cut(string(log), "\n") // the first line says where it listens
	if !strings.Contains(said, "the disk failed: ") || !strings.Contains(said, "no space left on device") || strings.Count(said, "\n") != 1 {
		t.Errorf("n1 ended with %q, want one line that says that its disk is full", said)
	}
	t.Logf("after %d transfers: %s", next.Load(), strings.TrimSpace(said))
	if r := s.Transfer(b.ctx, 1, 100, 1, callDeadline); r.Outcome != session.Committed {
		t.Errorf("without n1: %+v", r)
	}
	balance[1]--
	balance[100]++
	for _, id := range []string{"n2", "n3"} {
		held := map[int64]int64{}
		b.until(id+" to have what was acknowledged", settleBound, func() (bool, string) {
			held = b.database(id)
			for item := int64(1); item <= 100; item++ {
				if held[item] != topo.Balance(item)+balance[item] {
					return false, fmt.Sprintf("item %d holds %d, want %d", item, held[item], topo.Balance(item)+balance[item])
				}
			}
			return true, ""
		})
	}
}
