package bench

// tend is called at every tick: it ends pauses, gives up silent nodes, and ends
// what is past its deadline. It returns the clients that may go on.
func (l *lane) tend() (freed []int32, now int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now = l.engine.now()
	if len(l.later) > 0 {
		l.retry = append(l.retry, l.later...)
		l.later = l.later[:0]
	}
	if l.sendable() && now >= l.resumeAt {
		l.signal()
	}
	for _, s := range l.streams {
		if s.silent(now) || s.open == 0 && s != l.stream {
			s.cancel() // its receiver sees to what is under way on it
		}
	}
	if l.ticks++; l.ticks%deadlinesEvery != 0 {
		return nil, now
	}
	for c := range l.rings {
		ring := &l.rings[c]
		for t := ring.low; t < ring.next; t++ {
			if e := ring.at(t); l.overdue(e, now) {
				freed = append(freed, l.giveUp(ring, t, e, now))
			}
		}
	}
	return freed, now
}

func (l *lane) overdue(e *entry, now int64) bool {
	late := now - e.first - int64(l.engine.load.deadline)
	switch e.state {
	case entryWaiting:
		return late > 0
	case entrySent:
		return late > int64(deadlineGrace)
	}
	return false
}

// giveUp ends a transfer at its deadline. One that some node may have taken is
// unknown: it stays open, and holds the client's floor, until it is settled.
// REQUIRES: l.mu is held.
func (l *lane) giveUp(ring *ring, timestamp uint64, e *entry, now int64) (client int32) {
	inWindow := l.engine.inWindow(&e.op, now)
	client = e.client
	if e.state == entryWaiting && !e.unclear {
		l.record.end(&e.op, unavailable, now, inWindow)
		l.close(ring, e)
		return client
	}
	l.record.end(&e.op, unknown, now, inWindow)
	e.state = entryUnknown
	l.engine.settler.add(unsettled{op: e.op, client: ring.client, timestamp: timestamp, doneBelow: ring.low, done: func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.close(ring, ring.at(timestamp))
	}})
	return client
}

// fault is a failure or recovery that struck, and the first commit after it.
type fault struct {
	at    int64 // when it was in force
	first int64 // when the first transfer committed that was sent after; 0: none
}

// watch waits for the first commit after f.
func (l *lane) watch(f *fault) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.faults = append(l.faults, f)
}

// sawCommit notes a transfer that was sent and has committed now. REQUIRES:
// l.mu is held.
func (l *lane) sawCommit(sent, now int64) {
	if len(l.faults) == 0 {
		return
	}
	waiting := l.faults[:0]
	for _, f := range l.faults {
		if sent < f.at {
			waiting = append(waiting, f)
			continue
		}
		f.first = now
	}
	l.faults = waiting
}
