package paxos

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"paxbank/server/ids"
)

// Config is what a Node is told once. Durations are in nanoseconds.
type Config struct {
	Self ids.Node
	// Nodes are the cluster's nodes, ascending, Self included.
	Nodes []ids.Node
	// HeartbeatEvery: a leader that sent a follower nothing else for so long sends
	// a heartbeat.
	HeartbeatEvery ids.Duration
	// TellAfter: followers hear of what was chosen with the next ACCEPT, or so long
	// afterwards by a COMMIT; 0: by a COMMIT at once, if no ACCEPT goes just then.
	TellAfter ids.Duration
	// SpareAfter: only as many followers as make a quorum with the leader are sent
	// proposals and asked to confirm its leadership at once. The others, the spare
	// ones, are sent so long afterwards what they lack, together. A spare one that is
	// ahead of a prompt one when it answers, or answers clearly faster, takes its
	// place. 0: nobody is spare.
	SpareAfter ids.Duration
	// ElectionMin: a follower campaigns after a random silence in
	// [ElectionMin, 1.5·ElectionMin); a leader that heard no quorum for ElectionMin
	// steps down.
	ElectionMin ids.Duration
	// FirstElection: on an empty log the node of rank r campaigns after
	// (r+1)·FirstElection.
	FirstElection ids.Duration
	// MaxFrameEntries and MaxFrameBytes bound one ACCEPT or CATCH-UP message. A
	// single entry is sent whatever its size.
	MaxFrameEntries uint64
	MaxFrameBytes   int
	// MaxInFlight is how many entries a follower may be sent beyond what it has
	// acknowledged; the frame that reaches it still goes.
	MaxInFlight uint64
	// ChunkBytes is the data of one CHECKPOINT chunk.
	ChunkBytes uint64
	// MaxHole is how far above the last held entry an acceptor stores one. A frame
	// that joins the log must always be taken, so it is at least MaxFrameEntries.
	MaxHole uint64
	// Rand is the only source of random numbers; nil for one seeded by Self.
	Rand *rand.Rand
}

// Validate reports a node outside its cluster, or bounds that leave no progress.
func (c *Config) Validate() error {
	switch {
	case !slices.Contains(c.Nodes, c.Self):
		return fmt.Errorf("n%d is not one of %v", c.Self, c.Nodes)
	case c.MaxFrameEntries < 1 || c.MaxFrameBytes < 1 || c.MaxInFlight < 1 || c.ChunkBytes < 1:
		return fmt.Errorf("%d entries and %d bytes a frame, %d entries in flight, %d bytes a chunk: want at least 1 of each",
			c.MaxFrameEntries, c.MaxFrameBytes, c.MaxInFlight, c.ChunkBytes)
	case c.MaxHole < c.MaxFrameEntries || c.MaxHole > maxReplayHole:
		return fmt.Errorf("holes of up to %d entries: want at least as many as a frame has, %d, and at most %d",
			c.MaxHole, c.MaxFrameEntries, maxReplayHole)
	}
	return nil
}
