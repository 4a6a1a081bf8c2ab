package replica

import (
	"strings"
	"testing"

	"paxbank/internal/topology"
	"paxbank/server/paxos"
)

// TestLimitsAreChecked: bounds of the log that contradict each other are refused,
// with the values that do.
func TestLimitsAreChecked(t *testing.T) {
	topo, err := topology.Uniform(1, 3, 9, 10)
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{Topology: topo, Self: 1, Epoch: 1, Limits: DefaultLimits(), Seed: 1}
	if _, err := New(cfg, paxos.Stable{}, 1); err != nil {
		t.Fatal(err)
	}
	cfg.Limits.MaxFrameEntries, cfg.Limits.MaxHole = 7, 6
	if _, err := New(cfg, paxos.Stable{}, 1); err == nil || !strings.Contains(err.Error(), "holes of up to 6 entries") {
		t.Errorf("frames of 7 entries and holes of 6: error %v, want one that says so", err)
	}
}
