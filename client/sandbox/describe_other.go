//go:build unix && !linux

package sandbox

import "runtime"

// watched: the init can see what the box's processes use.
const watched = false

func find() finding { return lack(runtime.GOOS + " has nothing of the kind that this program uses") }
