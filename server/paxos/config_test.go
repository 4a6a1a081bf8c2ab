package paxos

import (
	"testing"

	"paxbank/server/ids"
)

func TestConfigIsChecked(t *testing.T) {
	for name, change := range map[string]func(c *Config){
		"not in the cluster": func(c *Config) { c.Self = 4 },
		"frame of nothing":   func(c *Config) { c.MaxFrameEntries = 0 },
		"frame of no bytes":  func(c *Config) { c.MaxFrameBytes = 0 },
		"nothing in flight":  func(c *Config) { c.MaxInFlight = 0 },
		"empty chunks":       func(c *Config) { c.ChunkBytes = 0 },
		"frame over a hole":  func(c *Config) { c.MaxHole = c.MaxFrameEntries - 1 },
		"hole over a disk":   func(c *Config) { c.MaxHole = maxReplayHole + 1 },
	} {
		cfg := usual
		cfg.Self, cfg.Nodes = 1, []ids.Node{1, 2, 3}
		if err := cfg.Validate(); err != nil {
			t.Fatal(err)
		}
		if change(&cfg); cfg.Validate() == nil {
			t.Errorf("%s: valid", name)
		}
	}
}
