package main

import "testing"

// The form of what the simulator prints is agreed on here and in cmd/sim.
func TestReadsTheVerdict(t *testing.T) {
	var f finding
	if err := f.read("seeds 1 to 9\n\nFAIL seed 7: no overdraft violated at 1.000000s on n2: x violated at y\n  plan: z\n7 seeds in 1s (420 a minute)\n"); err != nil {
		t.Fatal(err)
	}
	if f.invariant != "no overdraft" || f.seed != 7 || f.seeds != 7 {
		t.Errorf("caught: %+v", f)
	}
	f = finding{}
	if err := f.read("seeds 1 to 9\n9 seeds in 1s (540 a minute)\n"); err != nil || f.invariant != "" || f.seeds != 9 {
		t.Errorf("survived: %+v, %v", f, err)
	}
	if err := f.read("panic: oops\n"); err == nil {
		t.Error("a broken simulator passes for one that found nothing")
	}
}
