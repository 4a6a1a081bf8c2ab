package paxos

import "paxbank/server/ids"

const millisecond ids.Duration = 1_000_000

// The bounds of this package. What users may choose is in Config.
const (
	// maxFrameEntries and maxFrameBytes bound one ACCEPT or CATCH-UP message. A
	// frame is one disk record and one slot in a peer's queue; a megabyte keeps
	// both short without costing throughput.
	maxFrameEntries = 4096
	maxFrameBytes   = 1 << 20
	// maxInFlight is how many entries a follower may be sent beyond what it has
	// acknowledged. A slow follower stops costing memory there.
	maxInFlight = 32_768
	// chunkBytes is the data of one CHECKPOINT chunk; one chunk is under way at a
	// time, so that a transfer never starves the heartbeats on the same stream.
	chunkBytes = 512 << 10
	// maxCheckpointBytes bounds what a receiver will assemble.
	maxCheckpointBytes = 1 << 32
	// maxHole is how far above the last held entry an acceptor stores one: a node
	// that is further behind waits for CATCH-UP or a checkpoint instead of
	// holding a log that is mostly empty.
	maxHole = 1 << 18
	// maxTail is how many entries above the commit index a PROMISE may name.
	maxTail = 1 << 21
	// maxViews and maxViewEntries bound the recorded NEW-VIEW messages.
	maxViews       = 1000
	maxViewEntries = 200_000

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
