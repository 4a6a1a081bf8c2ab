package sandbox

import (
	"fmt"
	"io"
	"os"
	"sync"
)

// Output says what a program printed.
type Output struct {
	Path    string // of the log
	Bytes   int64  // printed
	Dropped int64  // of them not in the log
}

// Truncated reports whether part of the output is missing in the log.
func (o Output) Truncated() bool { return o.Dropped > 0 }

// keeper copies a program's output to its log: the first bytes as they come, the
// last ones at the end. It always takes what it is given, so that no program
// waits for it, and writes no more than it may.
type keeper struct {
	log   *os.File
	first int64 // bytes that are still to be written as they come

	mu    sync.Mutex
	bytes int64
	tail  []byte // ring
	next  int    // place in the ring of the next byte
	late  int64  // bytes that went to the ring
	err   error  // of the log
}

func newKeeper(log *os.File, keep int64) *keeper {
	return &keeper{log: log, first: keep - keep/4, tail: make([]byte, 0, keep/4)}
}

// copy reads until the end, and calls flood once when there is more than limit.
func (k *keeper) copy(from io.Reader, limit int64, flood func()) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if before := k.add(buffer[:n]); before <= limit && before+int64(n) > limit {
			flood()
		}
		if err != nil { // the writers are gone, or nobody waits for them any longer
			return
		}
	}
}

// add takes a piece of output and returns how much there was before.
func (k *keeper) add(p []byte) (before int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	before = k.bytes
	k.bytes += int64(len(p))
	if n := min(k.first, int64(len(p))); n > 0 {
		k.write(p[:n])
		k.first -= n
		p = p[n:]
	}
	k.late += int64(len(p))
	if over := len(p) - cap(k.tail); over > 0 {
		p = p[over:]
	}
	for len(p) > 0 {
		if len(k.tail) < cap(k.tail) {
			n := min(len(p), cap(k.tail)-len(k.tail))
			k.tail = append(k.tail, p[:n]...)
			p = p[n:]
			continue
		}
		n := copy(k.tail[k.next:], p)
		k.next = (k.next + n) % len(k.tail)
		p = p[n:]
	}
	return before
}

func (k *keeper) write(p []byte) {
	if k.err == nil {
		_, k.err = k.log.Write(p)
	}
}

// close writes the end of the output, and how much is missing before it.
func (k *keeper) close() (Output, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	o := Output{Path: k.log.Name(), Bytes: k.bytes, Dropped: k.late - int64(len(k.tail))}
	if o.Dropped > 0 {
		k.write(fmt.Appendf(nil, "\n[%d bytes of output are left out here]\n", o.Dropped))
	}
	k.write(k.tail[k.next:])
	k.write(k.tail[:k.next])
	if err := k.log.Close(); k.err == nil {
		k.err = err
	}
	return o, k.err
}
