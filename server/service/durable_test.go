package service

import (
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"paxbank/internal/topology"
	"paxbank/server/bank"
	"paxbank/server/ids"
	"paxbank/server/paxos"
	"paxbank/server/replica"
	"paxbank/server/storage"
)

// crashNet joins engines directly. At the moment a promise or an acceptance
// leaves a node it takes a crash clone of the node's disk: what would be left if
// the machine lost its power right then.
type crashNet struct {
	self  ids.Node
	fs    *vfs.MemFS
	peers map[ids.Node]func([]replica.Event)

	mu     sync.Mutex
	live   bool
	clones []crash
}

// crash is what a message said and what the disk held.
type crash struct {
	message any
	fs      *vfs.MemFS
}

func (n *crashNet) SetLive(live bool) {
	n.mu.Lock()
	n.live = live
	n.mu.Unlock()
}

func (n *crashNet) Send(sends []replica.Send) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, s := range sends {
		if !n.live {
			return
		}
		switch m := s.Message.(type) {
		case *paxos.Promise:
			n.clones = append(n.clones, crash{m, n.fs.CrashClone(vfs.CrashCloneCfg{})})
		case *paxos.Accepted:
			// Only what speaks of something new, and not thousands of clones.
			if m.UpTo > 0 && len(n.clones) < 12 {
				n.clones = append(n.clones, crash{m, n.fs.CrashClone(vfs.CrashCloneCfg{})})
			}
		}
		n.peers[s.To]([]replica.Event{{Kind: replica.EventMessage, From: n.self, Message: s.Message}})
	}
}

// holds reports whether the clone remembers what the message told others.
func (c crash) holds(t *testing.T) bool {
	t.Helper()
	s, err := storage.Open("data", storage.Options{FS: c.fs})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	records, err := s.Load()
	if err != nil {
		t.Fatal(err)
	}
	st, err := paxos.Replay(records)
	if err != nil {
		t.Fatal(err)
	}
	switch m := c.message.(type) {
	case *paxos.Promise:
		return !st.Promised.Less(m.Ballot)
	case *paxos.Accepted:
		for _, e := range st.Entries {
			if e.Index == m.UpTo {
				return !e.Ballot.Less(m.Ballot) && !st.Promised.Less(m.Ballot)
			}
		}
	}
	return false
}

// TestNothingLeavesBeforeItIsDurable runs a cluster whose disks lose everything
// unsynced in a crash. Nothing may be told to another node that such a crash
// would make the teller forget. Without the fsync the same check must fail.
func TestNothingLeavesBeforeItIsDurable(t *testing.T) {
	for _, unsynced := range []bool{false, true} {
		topo, err := topology.Uniform(1, 3, 10, 10)
		if err != nil {
			t.Fatal(err)
		}
		fatal := func(err error) { t.Errorf("stopped: %v", err) }
		now := clock()
		var nets []*crashNet
		var engines []*engine
		var stores []*storage.Store
		peers := map[ids.Node]func([]replica.Event){}
		for i := range 3 {
			fs := vfs.NewCrashableMem()
			if s, err := storage.Open("data", storage.Options{FS: fs}); err != nil {
				t.Fatal(err)
			} else if err := s.Configure(storage.Identity{NodeID: "n", Epoch: 1}); err != nil {
				t.Fatal(err)
			} else if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			store, err := storage.Open("data", storage.Options{FS: fs, Unsynced: unsynced, OnFatal: fatal})
			if err != nil {
				t.Fatal(err)
			}
			self := ids.Node(i + 1)
			r, err := replica.New(replica.Config{Topology: topo, Self: self, Epoch: 1, Limits: replica.DefaultLimits(), Seed: 1}, paxos.Stable{}, now())
			if err != nil {
				t.Fatal(err)
			}
			net := &crashNet{self: self, fs: fs, peers: peers}
			e := newEngine("n", r, net, store, now, fatal)
			peers[self] = e.deliver
			nets, engines, stores = append(nets, net), append(engines, e), append(stores, store)
		}
		for _, e := range engines {
			if err := e.setLive(t.Context(), true); err != nil {
				t.Fatal(err)
			}
		}
		leader := -1
		until(t, "a leader", func() (bool, string) {
			for i, e := range engines {
				var s replica.Status
				if err := e.do(t.Context(), "status", func() { s = e.core.Status() }); err != nil {
					t.Fatal(err)
				}
				if s.Ready {
					leader = i
					return true, ""
				}
			}
			return false, "none"
		})
		for i := range uint64(5) {
			c := newOneCall()
			engines[leader].submit(submission{c, []replica.Event{{Kind: replica.EventSubmit,
				Request: ids.Request{Client: 1, Timestamp: i + 1}, Transfer: ids.Transfer{From: 1, To: 2, Amount: 1},
				Deadline: now() + ids.Time(5*replica.Second)}}})
			if r := <-c; r.err != nil || r.answer.Outcome != bank.OutcomeCommitted {
				t.Fatalf("transfer %d: %+v", i, r)
			}
		}
		for _, e := range engines {
			e.close()
		}
		promises, accepted, lost := 0, 0, 0
		for i, n := range nets {
			for _, c := range n.clones {
				if _, ok := c.message.(*paxos.Promise); ok {
					promises++
				} else {
					accepted++
				}
				if !c.holds(t) {
					lost++
					if !unsynced {
						t.Errorf("node %d said %+v and would forget it in a crash", i+1, c.message)
					}
				}
			}
			if err := stores[i].Close(); err != nil {
				t.Error(err)
			}
		}
		if promises == 0 || accepted < 5 {
			t.Errorf("only %d promises and %d acceptances were looked at", promises, accepted)
		}
		if unsynced && lost == 0 {
			t.Error("without fsync nothing was lost: this test cannot fail")
		}
	}
}
