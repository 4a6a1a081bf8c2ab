package service

import (
	"runtime"
	"sync"

	"paxbank/server/paxos"
)

// writer makes records durable in the order in which they come. While one
// synced write is under way the next ones gather, and go together (group
// commit).
type writer struct {
	disk    disk
	written func(write uint64)
	fatal   func(error)

	signal chan struct{}
	stop   chan struct{}
	once   sync.Once // close of stop
	done   chan struct{}

	mu      sync.Mutex
	pending []paxos.Record
	last    uint64 // number of the last write in pending
	busy    bool
}

func newWriter(d disk, written func(uint64), fatal func(error)) *writer {
	w := &writer{disk: d, written: written, fatal: fatal,
		signal: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{})}
	go w.run()
	return w
}

// add queues the records of one write. The slice may be reused afterwards; the
// bytes that the records point to may not change.
func (w *writer) add(write uint64, records []paxos.Record) {
	w.mu.Lock()
	w.pending = append(w.pending, records...)
	w.last = write
	w.mu.Unlock()
	select {
	case w.signal <- struct{}{}:
	default:
	}
}

// idle reports whether everything that was added is on disk.
func (w *writer) idle() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.last == 0 && !w.busy
}

// close waits for the write under way; what has only gathered is dropped, for
// nothing of it was acknowledged.
func (w *writer) close() {
	w.once.Do(func() { close(w.stop) })
	<-w.done
}

func (w *writer) run() {
	defer close(w.done)
	var spare []paxos.Record
	for {
		select {
		case <-w.stop:
			return
		case <-w.signal:
		}
		select {
		case <-w.stop:
			return
		default:
		}
		// What the same step sends leaves first: an fsync may hold on to the only
		// processor that this process has. A message goes through two goroutines, its
		// stream's and gRPC's.
		for range 2 {
			runtime.Gosched()
		}
		w.mu.Lock()
		records, last := w.pending, w.last
		w.pending, w.last, w.busy = spare[:0], 0, last != 0
		w.mu.Unlock()
		if last == 0 {
			// The buffers changed places all the same; without this, both ends
			// would use one.
			spare = records
			continue
		}
		if err := w.disk.Write(records); err != nil {
			w.fatal(err) // and never say that it is durable
			return
		}
		clear(records)
		spare = records
		w.written(last)
		w.mu.Lock()
		w.busy = false
		w.mu.Unlock()
	}
}
