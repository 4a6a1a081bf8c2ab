package launch

import "syscall"

// processAttributes put a node into its own process group and make the kernel
// kill it when the driver dies, however that happens.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// abstractNames: unix sockets whose name starts with @ vanish with their owner.
const abstractNames = true
