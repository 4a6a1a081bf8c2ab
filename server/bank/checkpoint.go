package bank

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"paxbank/server/ids"
)

const checkpointVersion = 1

// AppendCheckpoint appends the whole state, in a form that is equal on equal
// states: balances, wal, prepared, decided, sessions with their floors, the
// highest VIEW. The epoch and the item map belong to the node's identity, which
// is stored beside it.
func (s *State) AppendCheckpoint(b []byte) []byte {
	b = append(b, checkpointVersion)
	b = order.AppendUint64(b, s.applied)
	b = order.AppendUint64(b, s.view.Counter)
	b = order.AppendUint16(b, uint16(s.view.Node))
	b = order.AppendUint64(b, s.chain)
	b = order.AppendUint32(b, uint32(len(s.spans)))
	for i := range s.spans {
		sp := &s.spans[i]
		b = order.AppendUint64(b, uint64(sp.first))
		b = order.AppendUint64(b, uint64(len(sp.balances)))
		for i, bal := range sp.balances {
			m := byte(0)
			if sp.modified[i] {
				m = 1
			}
			b = append(order.AppendUint64(b, uint64(bal)), m)
		}
	}
	b = order.AppendUint32(b, uint32(len(s.prepared)))
	for _, seq := range s.PreparedSeqs() {
		p := s.prepared[seq]
		u := s.wal[seq]
		b = order.AppendUint64(b, p.Index)
		b = order.AppendUint64(b, p.Origin.Counter)
		b = order.AppendUint16(b, uint16(p.Origin.Node))
		b = order.AppendUint64(b, uint64(u.Before))
		b = order.AppendUint64(b, uint64(u.After))
		b = p.Append(b)
	}
	b = order.AppendUint32(b, uint32(len(s.decided)))
	for _, d := range s.Decisions() {
		b = appendTxn(b, d.Txn)
		b = order.AppendUint16(b, uint16(d.Peer))
		b = order.AppendUint64(b, d.PeerSeq)
	}
	b = order.AppendUint32(b, uint32(len(s.sessions)))
	for _, client := range slices.Sorted(maps.Keys(s.sessions)) {
		ses := s.sessions[client]
		b = order.AppendUint64(b, client)
		b = order.AppendUint64(b, ses.floor)
		b = order.AppendUint32(b, uint32(len(ses.outcomes)))
		for _, ts := range slices.Sorted(maps.Keys(ses.outcomes)) {
			c := ses.outcomes[ts]
			b = order.AppendUint64(b, ts)
			b = append(b, byte(c.outcome))
			b = order.AppendUint64(b, uint64(c.transfer.From))
			b = order.AppendUint64(b, uint64(c.transfer.To))
			b = order.AppendUint64(b, uint64(c.transfer.Amount))
		}
	}
	return b
}

var errShort = errors.New("checkpoint ends early")

// reader takes fixed-width numbers off a byte slice; after the end it only
// remembers the error.
type reader struct {
	b   []byte
	err error
}

func (r *reader) take(n int) []byte {
	if r.err != nil || n < 0 || n > len(r.b) {
		r.err = errShort
		return make([]byte, min(max(n, 0), 64))
	}
	p := r.b[:n]
	r.b = r.b[n:]
	return p
}

func (r *reader) u8() byte    { return r.take(1)[0] }
func (r *reader) u16() uint16 { return order.Uint16(r.take(2)) }
func (r *reader) u32() uint32 { return order.Uint32(r.take(4)) }
func (r *reader) u64() uint64 { return order.Uint64(r.take(8)) }

// count reads how many elements of at least size bytes follow.
func (r *reader) count(n uint64, size int) int {
	if r.err == nil && n > uint64(len(r.b)/size) {
		r.err = errShort
	}
	if r.err != nil {
		return 0
	}
	return int(n)
}

func (r *reader) ballot() ids.Ballot {
	return ids.Ballot{Counter: r.u64(), Node: ids.Node(r.u16())}
}

// Restore replaces s by the state that AppendCheckpoint wrote. The ranges of
// items must be those of s. On an error s is unchanged.
func (s *State) Restore(b []byte) error {
	r := &reader{b: b}
	if v := r.u8(); r.err == nil && v != checkpointVersion {
		return fmt.Errorf("checkpoint has version %d, this program knows %d", v, checkpointVersion)
	}
	n := New(nil, nil)
	n.applied = r.u64()
	n.view = r.ballot()
	n.chain = r.u64()
	for range r.count(uint64(r.u32()), 16) {
		first := int64(r.u64())
		sp := newSpan(first, r.count(r.u64(), 9))
		for i := range sp.balances {
			sp.balances[i] = int64(r.u64())
			sp.modified[i] = r.u8() == 1
		}
		n.spans = append(n.spans, sp)
	}
	if r.err == nil && !slices.EqualFunc(n.spans, s.spans, func(a, b span) bool {
		return a.first == b.first && len(a.balances) == len(b.balances)
	}) {
		return errors.New("checkpoint holds other items")
	}
	for range r.count(uint64(r.u32()), entrySize) {
		index, origin := r.u64(), r.ballot()
		u := Undo{Before: int64(r.u64()), After: int64(r.u64())}
		p := &Entry{}
		if err := p.Decode(index, origin, r.take(entrySize)); r.err == nil && err != nil {
			return err
		}
		u.Item = p.Transfer.From
		if p.Role == RoleParticipant {
			u.Item = p.Transfer.To
			n.byTxn[p.Txn] = p.Seq
		} else {
			n.byReq[p.Txn.Request] = p.Seq
		}
		n.prepared[p.Seq] = p
		n.wal[p.Seq] = u
		if sp, i := n.slot(u.Item); sp != nil {
			sp.undecided[i] = p.Seq
		} else if r.err == nil {
			return fmt.Errorf("checkpoint has item %d prepared, which it does not hold", u.Item)
		}
	}
	for range r.count(uint64(r.u32()), txnSize+10) {
		d := Decision{Txn: decodeTxn(r.take(txnSize))}
		d.Peer, d.PeerSeq = ids.Cluster(r.u16()), r.u64()
		n.decided[d.Txn] = d
	}
	for range r.count(uint64(r.u32()), 20) {
		client := r.u64()
		ses := n.session(client)
		ses.floor = r.u64()
		for range r.count(uint64(r.u32()), 33) {
			ts := r.u64()
			c := cached{outcome: Outcome(r.u8())}
			c.transfer = ids.Transfer{From: int64(r.u64()), To: int64(r.u64()), Amount: int64(r.u64())}
			ses.outcomes[ts] = c
		}
	}
	if r.err == nil && len(r.b) > 0 {
		r.err = fmt.Errorf("checkpoint has %d bytes too many", len(r.b))
	}
	if r.err != nil {
		return r.err
	}
	*s = *n
	return nil
}
