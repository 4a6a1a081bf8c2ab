//go:build unix && !linux

package launch

import "syscall"

// processAttributes put a node into its own process group. Only Linux can also
// kill it when the driver is killed.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}

const abstractNames = false
