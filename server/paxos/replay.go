package paxos

import "fmt"

// Replay rebuilds what a node knew from the records on its disk, in the order
// of writing. Frames up to the last checkpoint may be missing. Entries alias
// the records' data. Its errors say what is damaged.
func Replay(records []Record) (Stable, error) {
	var st Stable
	for i := range records {
		r := &records[i]
		if st.Promised.Less(r.Ballot) {
			st.Promised = r.Ballot
		}
		switch r.Kind {
		case RecordPromise, RecordFrame:
		case RecordCommit:
			st.Commit = max(st.Commit, r.Commit)
		case RecordCheckpoint:
			if r.Commit >= st.CheckpointIndex {
				st.CheckpointIndex, st.Checkpoint = r.Commit, r.Data
			}
		default:
			return Stable{}, fmt.Errorf("paxos: record %d of the disk has unknown kind %d", i, r.Kind)
		}
	}
	st.Commit = max(st.Commit, st.CheckpointIndex)
	log := entryLog{base: st.CheckpointIndex + 1}
	for i := range records {
		if r := &records[i]; r.Kind == RecordFrame {
			if err := replayFrame(&st, &log, r); err != nil {
				return Stable{}, err
			}
		}
	}
	for i := log.base; i <= st.Commit; i++ {
		if log.at(i) == nil {
			return Stable{}, fmt.Errorf("paxos: entry %d is missing on the disk; everything up to %d was committed", i, st.Commit)
		}
	}
	st.Entries = log.held(log.base)
	return st, nil
}

func replayFrame(st *Stable, log *entryLog, r *Record) error {
	list, err := DecodeEntries(r.First, r.Ballot, r.Data)
	if err == nil && (len(list) == 0 || list[len(list)-1].Index != r.Last) {
		err = fmt.Errorf("it holds %d entries", len(list))
	}
	if err == nil && r.First > log.end()+maxReplayHole {
		err = fmt.Errorf("the log before it ends at %d", log.end())
	}
	if err != nil {
		return fmt.Errorf("paxos: the frame on disk of entries %d to %d at ballot %s is damaged: %w", r.First, r.Last, r.Ballot, err)
	}
	for _, e := range list {
		if e.Index >= log.base {
			log.put(e)
		}
	}
	if r.NewView {
		st.Views, _ = mergeView(st.Views, r.Ballot, r.ViewFirst, list)
		if endsView(r.Ballot, list) {
			log.dropStale(max(r.Last, st.Commit), r.Ballot)
		}
		if drop := len(st.Views) - maxViews; drop > 0 {
			st.Views = st.Views[drop:]
		}
	}
	return nil
}
