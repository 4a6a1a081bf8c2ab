package service

import (
	"context"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"paxbank/internal/topology"
	pb "paxbank/proto/paxbank/v1"
)

// TestSickDisk: when the disks of so many nodes fail that no majority can keep a
// transfer, nobody is told that it is committed, and each of these nodes says
// once, in one line, why it must stop. When the disks are well again and the
// nodes are back, the transfer is settled, the same everywhere.
func TestSickDisk(t *testing.T) {
	for _, c := range []struct {
		name  string
		size  int
		ops   []errorfs.OpKind
		errno syscall.Errno
	}{
		{"the fsync of a node that stands alone fails", 1, []errorfs.OpKind{errorfs.OpFileSync, errorfs.OpFileSyncData}, syscall.EIO},
		{"the disk of a node that stands alone is full", 1, []errorfs.OpKind{errorfs.OpFileWrite}, syscall.ENOSPC},
		{"the fsyncs of both followers fail", 3, []errorfs.OpKind{errorfs.OpFileSync, errorfs.OpFileSyncData}, syscall.EIO},
		{"the disks of both followers are full", 3, []errorfs.OpKind{errorfs.OpFileWrite}, syscall.ENOSPC},
	} {
		t.Run(c.name, func(t *testing.T) {
			topo, err := topology.Uniform(1, c.size, 100, 10)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
			defer cancel()
			b := &bankOf{t: t, ctx: ctx, topo: topo, epoch: 1}
			sick := map[string]*atomic.Bool{}
			said := map[string]chan error{}
			for i := range topo.Clusters[0].Nodes {
				n := &topo.Clusters[0].Nodes[i]
				ill, lines := &atomic.Bool{}, make(chan error, 10)
				sick[n.ID], said[n.ID] = ill, lines
				disk := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
					for _, kind := range c.ops {
						if ill.Load() && op.Kind == kind {
							return c.errno
						}
					}
					return nil
				}))
				s, err := startMortal(t, n.ID, "127.0.0.1:0", disk, func(err error) { lines <- err })
				if err != nil {
					t.Fatal(err)
				}
				n.Address = s.address
				b.nodes = append(b.nodes, s)
			}
			for _, s := range b.nodes {
				b.configure(s)
			}
			b.live(b.nodes...)
			leader := b.leader("c1")
			b.submit(leader, 1, 1, 2, 3, pb.Result_RESULT_COMMITTED)
			b.quiet(b.nodes...)

			var ill []*server
			for _, s := range b.nodes {
				if c.size == 1 || s != leader {
					ill = append(ill, s)
					sick[s.id].Store(true)
				}
			}
			req := b.request(2, 1, 2, 3)
			req.DeadlineMs = 800
			if reply, err := leader.Submit(ctx, req); err == nil && reply.Result != pb.Result_RESULT_UNKNOWN {
				t.Errorf("a transfer that no majority can keep is answered %v", reply)
			}
			for _, s := range ill {
				var line string
				select {
				case err := <-said[s.id]:
					line = err.Error()
				case <-time.After(patience):
					t.Fatalf("%s does not say that its disk failed", s.id)
				}
				if !strings.HasPrefix(line, "data directory data: the disk failed: ") || !strings.Contains(line, c.errno.Error()) || strings.Contains(line, "\n") {
					t.Errorf("%s says %q, want one line with %q", s.id, line, c.errno)
				}
				// The process would have ended there and then.
				_ = s.conn.Close()
				s.node.Close()
				s.grpc.Stop()
				<-s.served
				sick[s.id].Store(false)
				_ = s.store.Close() // it failed, and says so again
				*s = *start(t, s.id, s.address, s.fs)
			}
			b.live(ill...)
			leader = b.leader("c1")
			resolved, err := leader.Resolve(ctx, &pb.ResolveRequest{Epoch: 1, Topology: topo.Hash(), ClientId: req.ClientId, Timestamp: 2, From: 1, DeadlineMs: 5000})
			if err != nil || !resolved.Final {
				t.Fatalf("it is resolved as %v, %v", resolved, err)
			}
			want := int64(7)
			if resolved.Result == pb.Result_RESULT_COMMITTED {
				want = 4
			}
			b.quiet(b.nodes...)
			for _, s := range b.nodes {
				if got := b.balance(s, 1); got != want {
					t.Errorf("the transfer is %v, and item 1 holds %d on %s, want %d", resolved.Result, got, s.id, want)
				}
			}
			b.stop()
		})
	}
}
