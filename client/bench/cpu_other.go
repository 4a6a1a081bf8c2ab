//go:build !linux

package bench

import "time"

// processCPU is not known here.
func processCPU(int) (used time.Duration, ok bool) { return 0, false }
