package paxos

import "paxbank/server/ids"

const millisecond ids.Duration = 1_000_000

// The bounds of this package that nobody chooses. The others are in Config.
const (
	// maxCheckpointBytes bounds what a receiver will assemble.
	maxCheckpointBytes = 1 << 32
	// maxReplayHole is how far above the entries before it a frame on disk may
	// stand. It is far above every Config.MaxHole that makes sense: what lies beyond
	// was not written by a node but is damage.
	maxReplayHole = 1 << 20
	// keptSlots is how much room the log keeps when a checkpoint has emptied it. A
	// log that grew beyond it, while a checkpoint was late, gives its memory back.
	keptSlots = 1 << 17
	// maxTail is how many entries above the commit index a PROMISE may name.
	maxTail = 1 << 21
	// maxViews and maxViewEntries bound the recorded NEW-VIEW messages.
	maxViews       = 1000
	maxViewEntries = 200_000

	// answerNoise: a spare follower that answers more than twice as fast as a prompt
	// one, and by this, takes its place.
	answerNoise = 1 * millisecond
	// gapRetry: the same gap is repaired again only after so long. Every ACCEPT in
	// flight behind a lost one reports the same gap.
	gapRetry = 50 * millisecond
	// catchUpRetry and chunkRetry: without progress the same CATCH-UP or chunk is
	// sent again after so long.
	catchUpRetry = 100 * millisecond
	chunkRetry   = 200 * millisecond
	// commitRecordDelay: a commit index that no other record carries is recorded
	// on its own after so long. It only saves a restarted node a question.
	commitRecordDelay = 5 * millisecond
	// A follower whose connection to the leader broke campaigns after a random
	// time in [resetDelayMin, resetDelayMin+resetDelaySpread): quickly, because a
	// broken connection is evidence of a crash, but rarely two at once.
	resetDelayMin    = 10 * millisecond
	resetDelaySpread = 30 * millisecond
)
