package sim

import "testing"

// A failing run is made smaller, the smaller one still fails in the same way, and
// what it is called repeats it.
func TestShrink(t *testing.T) {
	opt := Options{Requests: 150, sabotage: sabotageNoSync}
	var failed Result
	for failed.Failure == nil {
		opt.Seed++
		if opt.Seed > 200 {
			t.Fatal("no seed notices a disk that lies about fsync")
		}
		failed = Run(opt)
	}
	small, res := Shrink(opt, failed, 60, func() bool { return false })
	if res.Failure == nil || res.Failure.Invariant != failed.Failure.Invariant {
		t.Fatalf("shrunk %v to %v", failed.Failure, res.Failure)
	}
	if small.Trim.String() == "" || res.Steps >= failed.Steps {
		t.Fatalf("nothing was left out: trim %q, %d steps, %d before", small.Trim, res.Steps, failed.Steps)
	}
	trim, err := ParseTrim(small.Trim.String())
	if err != nil {
		t.Fatal(err)
	}
	again := Run(Options{Seed: opt.Seed, Requests: 150, Trim: trim, sabotage: sabotageNoSync})
	if again.Hash != res.Hash {
		t.Fatalf("-trim %s gives hash %x, want %x", trim, again.Hash, res.Hash)
	}
}

func TestParseTrimRefuses(t *testing.T) {
	for _, s := range []string{"", "noise", "requests=x", "requests=", "sound=1", "without=rain", "salt=-1"} {
		if trim, err := ParseTrim(s); err == nil {
			t.Errorf("%q gives %+v", s, trim)
		}
	}
}
