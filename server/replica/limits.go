package replica

import "paxbank/server/ids"

// Millisecond and Second are durations in nanoseconds.
const (
	Millisecond ids.Duration = 1_000_000
	Second                   = 1000 * Millisecond
)

// Limits are all timeouts, bounds and queue sizes of a replica.
type Limits struct {
	// HeartbeatEvery: a leader that sent nothing else for so long sends a
	// heartbeat. Five a second keep nine idle nodes at 2 % of a core: on the
	// machine this was measured on, a heartbeat and its answer cost half a
	// millisecond of wake-ups.
	HeartbeatEvery ids.Duration
	// TellAfter: followers hear of what was chosen with the next ACCEPT, or so long
	// afterwards by a COMMIT. Only who asks a follower what it holds could notice.
	TellAfter ids.Duration
	// SpareAfter: followers that a quorum can do without are sent proposals so long
	// after the others.
	SpareAfter ids.Duration
	// ElectionMin: a follower that heard nothing for a random time in
	// [ElectionMin, 1.5·ElectionMin) campaigns; a leader that heard no quorum for
	// ElectionMin steps down. Streams lose nothing while they stand, so two
	// heartbeats and a leader that is kept from the processor for more than a
	// quarter of a second are let pass, and a failed leader is still replaced
	// within three quarters of a second.
	ElectionMin ids.Duration
	// FirstElection: on an empty log the node of rank r in its cluster campaigns
	// after (r+1)·FirstElection, so that the lowest live node leads.
	FirstElection ids.Duration
	// CheckpointEvery: applied entries between two checkpoints.
	CheckpointEvery uint64
	// MaxFrameEntries and MaxFrameBytes bound one ACCEPT or CATCH-UP message. A
	// frame is one disk record and one slot in a peer's queue; a megabyte keeps
	// both short without costing throughput.
	MaxFrameEntries uint64
	MaxFrameBytes   int
	// MaxInFlight: entries that a follower may be sent beyond what it has
	// acknowledged. A slow follower stops costing memory there.
	MaxInFlight uint64
	// ChunkBytes: data of one CHECKPOINT chunk. One chunk is under way at a time, so
	// that a transfer never starves the heartbeats on the same stream.
	ChunkBytes uint64
	// MaxHole: how far above the last held entry an acceptor stores one. A node that
	// is further behind waits for CATCH-UP or a checkpoint instead of holding a log
	// that is mostly empty. At least MaxFrameEntries.
	MaxHole uint64
	// PrepareTimeout: how long a coordinator waits for a vote. Longer than an
	// election in the participant's cluster.
	PrepareTimeout ids.Duration
	// RetryEvery: an unanswered two-phase-commit message is sent again, to the
	// next node of the cluster when the last one kept silent.
	RetryEvery ids.Duration
	// RetryMax bounds the doubling of RetryEvery for messages that are repeated
	// for ever (commit, abort, inquiry).
	RetryMax ids.Duration
	// AckBound: so long after C a coordinator answers the client and unlocks
	// without the participant's acknowledgement; delivery goes on.
	AckBound ids.Duration
	// InquireAfter: a participant prepared for so long asks for the decision.
	InquireAfter ids.Duration
	// NoQuorumAfter: a coordinator whose participant says that it has no quorum
	// gives up after so long instead of waiting for PrepareTimeout.
	NoQuorumAfter ids.Duration
	// BackoffMin, BackoffMax: an attempt that lost a conflict is tried again after
	// a random pause that doubles from the one to the other.
	BackoffMin, BackoffMax ids.Duration
	// UrgentAfter: an intra-shard transfer that has waited so long for its items
	// makes younger cross-shard requests stand back.
	UrgentAfter ids.Duration
	// EndAfter: an acknowledged decision is forgotten by an END entry at the
	// latest so long afterwards, so that ENDs share entries.
	EndAfter ids.Duration
	// MaxRequests: client requests under way at one leader, reads included.
	MaxRequests int
	// MaxWaiters: requests waiting for one item.
	MaxWaiters int
	// MaxCalls: calls waiting for one request. A client resends it a few times and
	// may resolve it as often.
	MaxCalls int
	// MaxTells: aborts that are repeated until the participant answers. A cluster
	// that is away makes one of every attempt, and each is sent once a RetryMax.
	MaxTells int
	// MaxDeadline caps what a client may ask for.
	MaxDeadline ids.Duration
	// MaxTimelines: lock timelines kept.
	MaxTimelines int
}

// DefaultLimits are the limits of a node that was told nothing else.
func DefaultLimits() Limits {
	return Limits{
		HeartbeatEvery:  200 * Millisecond,
		TellAfter:       2 * Millisecond,
		SpareAfter:      10 * Millisecond,
		ElectionMin:     480 * Millisecond,
		FirstElection:   150 * Millisecond,
		CheckpointEvery: 50_000,
		MaxFrameEntries: 4096,
		MaxFrameBytes:   1 << 20,
		MaxInFlight:     32_768,
		ChunkBytes:      512 << 10,
		MaxHole:         1 << 18,
		PrepareTimeout:  2 * Second,
		RetryEvery:      100 * Millisecond,
		RetryMax:        1 * Second,
		AckBound:        400 * Millisecond,
		InquireAfter:    500 * Millisecond,
		NoQuorumAfter:   300 * Millisecond,
		BackoffMin:      2 * Millisecond,
		BackoffMax:      100 * Millisecond,
		UrgentAfter:     200 * Millisecond,
		EndAfter:        20 * Millisecond,
		MaxRequests:     65_536,
		MaxWaiters:      20_000,
		MaxCalls:        1024,
		MaxTells:        4096,
		MaxDeadline:     600 * Second,
		MaxTimelines:    10_000,
	}
}
